package saasquatch_test

import (
	"net/http"
	"testing"
)

func TestAServerSeesWhatAUserLedToWithTheUser(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"referredBy":{"code":"`+mike+`"}}`, http.StatusOK)
	s.call(http.MethodPost, "/open"+userPath("bob", "bob")+"/events", `{"events":[{"key":"purchase"}]}`, http.StatusOK)
	shown := s.call(http.MethodGet, userPath("mike", "mike")+"/pii", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"rewards.totalCount": "1", "referrals.totalCount": "1", "referredByReferral": "null"})
	rewards, _ := at(shown, "rewards.data").([]any)
	if first, _ := rewards[0].(map[string]any); first["assignedCredit"] != 2000.0 || first["userId"] != "mike" {
		t.Errorf("%v", rewards)
	}
	shown = s.call(http.MethodGet, userPath("bob", "bob")+"/pii", "", http.StatusOK)
	s.wantAt(shown, map[string]string{
		"rewards.totalCount": "1", "referrals.totalCount": "0", "referredByReferral.referrerUser.id": `"mike"`, "referredByReferral.referredUser.id": `"bob"`,
	})
}
