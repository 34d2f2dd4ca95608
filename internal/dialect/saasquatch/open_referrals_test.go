package saasquatch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
)

// mustRefer stores anna, who refers bob, who refers carl, and has bob buy something.
func (s *site) mustRefer() {
	s.t.Helper()
	anna := s.mustUser("anna", "Anna", "Arendt")
	came := func(id, name, code string) string {
		shown := s.call(http.MethodPut, "/open"+userPath(id, id), fmt.Sprintf(
			`{"firstName":%q,"lastName":"Testerson","email":"%s@example.com","referredBy":{"code":%q}}`, name, id, code), http.StatusOK)
		own, _ := shown["referralCode"].(string)
		return own
	}
	bob := came("bob", "Bob", anna)
	came("carl", "Carl", bob)
	s.call(http.MethodPost, "/open"+userPath("bob", "bob")+"/events", `{"events":[{"key":"purchase"}]}`, http.StatusOK)
}

// pairs are the referrals of a list as "referrer>referred".
func pairs(list map[string]any) string {
	referrals, _ := list["referrals"].([]any)
	var all []string
	for _, r := range referrals {
		shown, _ := r.(map[string]any)
		all = append(all, fmt.Sprintf("%v>%v", at(shown, "referrerUser.id"), at(shown, "referredUser.id")))
	}
	return strings.Join(all, " ")
}

func TestATokenListsTheReferralsThatItsUserTakesPartIn(t *testing.T) {
	s := mustSite(t)
	s.mustRefer()
	auth := userToken(s.token("bob", nil))
	for query, want := range map[string]string{
		"":         "bob>carl",
		"?limit=0": "",
		"?referringAccountId=bob&referringUserId=bob":                                            "bob>carl",
		"?referredAccountId=bob&referredUserId=bob":                                              "anna>bob",
		"?referredAccountId=bob&referredUserId=bob&referringAccountId=anna&referringUserId=anna": "anna>bob",
		"?referringAccountId=bob&referringUserId=bob&referredAccountId=anna&referredUserId=anna": "",
	} {
		if got := pairs(s.callAs(auth, http.MethodGet, "/open/referrals"+query, "", http.StatusOK)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	for _, query := range []string{"?referringAccountId=anna&referringUserId=anna", "?referredAccountId=carl&referredUserId=carl", "?referringAccountId=bob"} {
		s.callAs(auth, http.MethodGet, "/open/referrals"+query, "", http.StatusForbidden)
	}
	s.callAs(userToken(s.token("nobody", nil)), http.MethodGet, "/open/referrals", "", http.StatusNotFound)
	s.callAs(nil, http.MethodGet, "/open/referrals", "", http.StatusUnauthorized)
}

func TestATokenShowsOfTheOtherPersonWhatEverybodyMayKnow(t *testing.T) {
	s := mustSite(t)
	s.mustRefer()
	mine := s.callAs(userToken(s.token("bob", nil)), http.MethodGet, "/open/referrals", "", http.StatusOK)
	shown, _ := mine["referrals"].([]any)[0].(map[string]any)
	s.wantAt(shown, map[string]string{
		"referrerUser.email": `"bob@example.com"`, "referrerUser.lastName": `"Testerson"`,
		"referredUser.firstName": `"Carl"`, "referredUser.lastInitial": `"T"`, "fraudSignals": `null`,
	})
	if text := fmt.Sprint(shown["referredUser"]); strings.Contains(text, "carl@") || strings.Contains(text, "Testerson") || strings.Contains(text, "IP") {
		t.Errorf("of the other one is shown %s", text)
	}
	theirs := s.callAs(userToken(s.token("bob", nil)), http.MethodGet, "/open/referrals?referredAccountId=bob&referredUserId=bob", "", http.StatusOK)
	shown, _ = theirs["referrals"].([]any)[0].(map[string]any)
	s.wantAt(shown, map[string]string{"referrerReward": `null`, "referredReward.discountPercent": `10`, "referralCodeUsed": `"ANNAARENDT"`})
	byKey := s.call(http.MethodGet, "/open/referrals?referredAccountId=bob&referredUserId=bob", "", http.StatusOK)
	shown, _ = byKey["referrals"].([]any)[0].(map[string]any)
	s.wantAt(shown, map[string]string{"referrerReward.assignedCredit": `2000`})
}

func TestABrowserMayAskForReferrals(t *testing.T) {
	s := mustSite(t)
	got := s.Send(http.MethodOptions, "/api/v1/acme/open/referrals", "", dialecttest.Header("Origin", "https://shop.example.com"))
	if got.Status != http.StatusNoContent || got.Header.Get("Access-Control-Allow-Methods") != http.MethodGet {
		t.Errorf("the answer is %d %v", got.Status, got.Header)
	}
}
