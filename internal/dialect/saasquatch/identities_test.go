package saasquatch_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// mustKnow has the tenant know somebody who did not come by this API.
func (s *site) mustKnow(r referral.Registration) *person.Person {
	s.t.Helper()
	done, err := s.Referrals.Register(s.t.Context(), s.acme.ID, r)
	if err != nil {
		s.t.Fatal(err)
	}
	return done.Person
}

func (s *site) mustBePeople(want int64) {
	s.t.Helper()
	if _, n, err := s.Referrals.People(s.t.Context(), s.acme.ID, referral.Query{Limit: 1}); err != nil || n != want {
		s.t.Errorf("there are %d people, want %d: %v", n, want, err)
	}
}

func TestSomebodyIsFoundAndChangedUnderTheNamesThatAreShown(t *testing.T) {
	for what, known := range map[string]referral.Registration{
		"by the tenant's own id": {Identity: person.Identity{Scheme: person.Native, Key: "anna"}},
		"with an account":        {Identity: person.Identity{Scheme: person.Native, Key: "anna"}, Patch: person.Patch{Account: new("shop")}},
		"by the hosted page":     {Identity: person.Identity{Scheme: referral.Hosted, Key: "anna@example.com"}},
	} {
		t.Run(what, func(t *testing.T) {
			s := mustSite(t)
			p := s.mustKnow(known)
			listed := s.call(http.MethodGet, "/users", "", http.StatusOK)
			users, _ := listed["users"].([]any)
			one, _ := users[0].(map[string]any)
			account, user := fmt.Sprint(one["accountId"]), fmt.Sprint(one["id"])
			path := "/open" + userPath(account, user)
			s.call(http.MethodGet, path, "", http.StatusOK)
			s.call(http.MethodPost, path+"/events", `{"events":[{"key":"visit"}]}`, http.StatusOK)
			s.refused(http.MethodPost, path, fmt.Sprintf(`{"id":%q,"accountId":%q}`, user, account), http.StatusBadRequest, "USER_ALREADY_EXISTS", "RS048")
			changed := s.call(http.MethodPut, path, fmt.Sprintf(`{"id":%q,"accountId":%q,"firstName":"Anna"}`, user, account), http.StatusOK)
			if changed["id"] != user || changed["accountId"] != account || changed["firstName"] != "Anna" {
				t.Errorf("it is shown as %v", changed)
			}
			s.mustBePeople(1)
			again, err := s.Referrals.PersonByID(t.Context(), s.acme.ID, p.ID)
			if as, linked := again.KnownIn("saasquatch"); err != nil || !linked || as.Key != account+"/"+user {
				t.Errorf("linked as %+v, %v", as, err)
			}
		})
	}
}

func TestAnIdOfAnotherAccountIsSomebodyElse(t *testing.T) {
	s := mustSite(t)
	s.mustKnow(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "anna"}, Patch: person.Patch{Account: new("shop")}})
	path := "/open" + userPath("other", "anna")
	s.refused(http.MethodGet, path, "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	s.call(http.MethodPut, path, `{"id":"anna","accountId":"other"}`, http.StatusOK)
	s.mustBePeople(2)
}

func TestWhoIsNotToBeTrackedStaysSoUnderTheNamesThatWereShown(t *testing.T) {
	s := mustSite(t)
	s.mustKnow(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "anna"}})
	path := "/open" + userPath("anna", "anna")
	s.call(http.MethodDelete, path+"?doNotTrack=true", "", http.StatusNoContent)
	s.refused(http.MethodPut, path, `{"id":"anna","accountId":"anna"}`, http.StatusForbidden, "DO_NOT_TRACK", "RS050")
}

func TestSomebodyIsShownAsLinked(t *testing.T) {
	s := mustSite(t)
	s.mustKnow(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "anna"}})
	s.mustKnow(referral.Registration{
		Identity: person.Identity{Scheme: "saasquatch", Key: "big%20shop/u7"}, Else: referral.Alias{Key: "anna", Is: func(*person.Person) bool { return true }},
	})
	s.mustBePeople(1)
	shown := s.call(http.MethodGet, "/open/account/big%20shop/user/u7", "", http.StatusOK)
	if shown["id"] != "u7" || shown["accountId"] != "big shop" {
		t.Errorf("shown as %v", shown)
	}
}

func TestADisabledCodeIsOneThatThereIsNot(t *testing.T) {
	s := mustSite(t)
	code := s.mustUser("anna", "Anna", "Adams")
	s.mustUser("bert", "Bert", "Olsen")
	if _, _, err := s.Referrals.DisableCode(t.Context(), s.acme.ID, code); err != nil {
		t.Fatal(err)
	}
	for method, path := range map[string]string{http.MethodGet: "/open/code/" + code, http.MethodPost: "/open/code/" + code + "/account/bert/user/bert"} {
		s.refused(method, path, "", http.StatusNotFound, "REFERRAL_CODE_NOT_FOUND", "RS034")
	}
	if _, _, err := s.Referrals.EnableCode(t.Context(), s.acme.ID, code); err != nil {
		t.Fatal(err)
	}
	s.call(http.MethodPost, "/open/code/"+code+"/account/bert/user/bert", "", http.StatusOK)
}
