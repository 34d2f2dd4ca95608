package saasquatch_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/referral"
)

type object = map[string]any

type referralPage struct {
	Count      int
	TotalCount int
	Referrals  []object
}

func TestAReferralIsShownWithItsUsersAndRewards(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	second := w.mustRegister("a2", "bert", first.Codes[0].Text)
	path := "/referrals/" + second.Referrals[0].ID.String()
	started := mustDecode[object](t, w.ask(http.MethodGet, path, ""), http.StatusOK)
	w.mustBuy(second)
	shown := mustDecode[object](t, w.ask(http.MethodGet, path, ""), http.StatusOK)
	for _, c := range []struct {
		of   object
		side string
		user string
		get  any
	}{
		{started, "referrer", "anna", nil},
		{started, "referred", "bert", nil},
		{shown, "referrer", "anna", 20.0},
		{shown, "referred", "bert", 10.0},
	} {
		if got := c.of[c.side+"User"].(object)["id"]; got != c.user {
			t.Errorf("the %s user is %v", c.side, got)
		}
		given, _ := c.of[c.side+"Reward"].(object)
		if given["discountPercent"] != c.get {
			t.Errorf("the %s reward is %v", c.side, c.of[c.side+"Reward"])
		}
	}
	want := []string{
		"dateModerated", "dateReferralEnded", "dateReferralPaid", "dateReferralStarted", "fraudSignals", "id", "moderationStatus",
		"referralCodeUsed", "referredModerationStatus", "referredReward", "referredUser", "referrerModerationStatus", "referrerReward",
		"referrerUser", "shareLinkUsed",
	}
	var keys []string
	for key := range shown {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
	if started["dateReferralPaid"] != nil || shown["dateReferralPaid"] == nil || shown["moderationStatus"] != "ACTIONED" {
		t.Errorf("%v, then %v", started, shown)
	}
}

func TestReferralsAreListedByWhatIsAskedFor(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	other := w.mustRegister("a1", "otto")
	bert := w.mustRegister("a2", "bert", first.Codes[0].Text)
	w.mustRegister("a3", "carl", first.Codes[0].Text)
	ended := w.mustRegister("a4", "dora", other.Codes[0].Text)
	w.mustBuy(bert)
	_, err := w.referrals.End(t.Context(), w.acme.ID, ended.Referrals[0].ID)
	w.must(err)
	_, err = w.referrals.Moderate(t.Context(), w.acme.ID, []referral.Decision{{Referral: bert.Referrals[0].ID, Side: referral.ReferredSide, To: referral.Denied}})
	w.must(err)
	converted, err := w.referrals.ReferralByID(t.Context(), w.acme.ID, bert.Referrals[0].ID)
	w.must(err)
	paid := converted.ConvertedAt.UnixMilli()
	for query, want := range map[string]string{
		"":                  "dora carl bert of 3",
		"?limit=2":          "dora carl of 3",
		"?limit=2&offset=2": "bert of 3",
		"?limit=0":          "of 3",
		"?referringAccountId=a1&referringUserId=anna":         "carl bert of 2",
		"?referringAccountId=a1&referringUserId=anna&limit=1": "carl of 2",
		"?referringAccountId=a1":                              "dora carl bert of 3",
		"?referringAccountId=a1&referringUserId=nobody":       "of 0",
		"?referringAccountId=nowhere":                         "of 0",
		"?referredAccountId=a3&referredUserId=carl":           "carl of 1",
		"?referredAccountId=a3&referringAccountId=a2":         "of 0",
		"?referredModerationStatus=DENIED":                    "bert of 1",
		"?referrerModerationStatus=PENDING":                   "of 0",
		fmt.Sprintf("?dateReferralPaid=%d", paid):             "bert of 1",
		fmt.Sprintf("?dateReferralPaid=0,%d", paid-1):         "of 0",
		fmt.Sprintf("?dateReferralStarted=0,%d", paid+1000):   "dora carl bert of 3",
		"?dateReferralEnded=0,99999999999999":                 "dora of 1",
	} {
		page := mustDecode[referralPage](t, w.ask(http.MethodGet, "/referrals"+query, ""), http.StatusOK)
		var got []string
		for _, r := range page.Referrals {
			got = append(got, r["referredUser"].(object)["id"].(string))
		}
		got = append(got, fmt.Sprintf("of %d", page.TotalCount))
		if strings.Join(got, " ") != want || page.Count != len(page.Referrals) {
			t.Errorf("%s: got %q, want %q", query, strings.Join(got, " "), want)
		}
	}
}

func TestTheOpenListIsForAServerWhatTheOtherOneIs(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	w.mustRegister("a2", "bert", first.Codes[0].Text)
	for query, want := range map[string]int{
		"": 1,
		"?referringAccountId=a1&referringUserId=anna": 1,
		"?referredAccountId=a2&referredUserId=bert":   1,
		"?referredAccountId=a1&referredUserId=anna":   0,
	} {
		if page := mustDecode[referralPage](t, w.ask(http.MethodGet, "/open/referrals"+query, ""), http.StatusOK); page.Count != want {
			t.Errorf("%s: %d referrals", query, page.Count)
		}
	}
}

func TestSidesAreModeratedApartAndTheirRewardsFollow(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	second := w.mustRegister("a2", "bert", first.Codes[0].Text)
	w.mustBuy(second)
	of := second.Referrals[0].ID.String()
	for _, step := range []struct{ action, referrer, referred string }{
		{"REFERRED_DENIED", "APPROVED", "DENIED"},
		{"REFERRER_DENIED", "DENIED", "DENIED"},
		{"REFERRED_APPROVED", "DENIED", "APPROVED"},
		{"APPROVED", "APPROVED", "APPROVED"},
		{"DENIED", "DENIED", "DENIED"},
		{"REFERRER_APPROVED", "APPROVED", "DENIED"},
	} {
		want(t, w.ask(http.MethodPost, "/referrals/moderate", `{"actions":[{"referralId":"`+of+`","action":"`+step.action+`"}]}`), http.StatusOK, "")
		shown := mustDecode[object](t, w.ask(http.MethodGet, "/referrals/"+of, ""), http.StatusOK)
		if shown["referrerModerationStatus"] != step.referrer || shown["referredModerationStatus"] != step.referred {
			t.Errorf("after %s: %v and %v", step.action, shown["referrerModerationStatus"], shown["referredModerationStatus"])
		}
		for side, status := range map[string]string{"referrer": step.referrer, "referred": step.referred} {
			cancelled := shown[side+"Reward"].(object)["dateCancelled"] != nil
			if cancelled != (status == "DENIED") {
				t.Errorf("after %s the reward of the %s is cancelled: %t", step.action, side, cancelled)
			}
		}
	}
}

func TestWhatIsWrongWithACallAboutReferralsIsSaidAndChangesNothing(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	second := w.mustRegister("a2", "bert", first.Codes[0].Text)
	good := `{"referralId":"` + second.Referrals[0].ID.String() + `","action":"DENIED"}`
	const nobodys = "0123456789abcdef01234567"
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"no such referral":       {http.MethodGet, "/referrals/" + nobodys, "", 404, "REFERRAL_NOT_FOUND"},
		"no id":                  {http.MethodGet, "/referrals/x", "", 404, "REFERRAL_NOT_FOUND"},
		"a negative limit":       {http.MethodGet, "/referrals?limit=-1", "", 400, "VALIDATION_FAILED"},
		"a limit in words":       {http.MethodGet, "/referrals?limit=ten", "", 400, "VALIDATION_FAILED"},
		"a user without account": {http.MethodGet, "/referrals?referringUserId=anna", "", 400, "VALIDATION_FAILED"},
		"an unknown status":      {http.MethodGet, "/referrals?referredModerationStatus=denied", "", 400, "VALIDATION_FAILED"},
		"no time":                {http.MethodGet, "/referrals?dateReferralPaid=yesterday", "", 400, "VALIDATION_FAILED"},
		"a span backwards":       {http.MethodGet, "/referrals?dateReferralPaid=2,1", "", 400, "VALIDATION_FAILED"},
		"no body":                {http.MethodPost, "/referrals/moderate", "", 400, "BAD_REQUEST"},
		"no JSON":                {http.MethodPost, "/referrals/moderate", "{", 400, "BAD_REQUEST"},
		"a list":                 {http.MethodPost, "/referrals/moderate", "[]", 400, "BAD_REQUEST"},
		"no actions":             {http.MethodPost, "/referrals/moderate", `{}`, 400, "VALIDATION_FAILED"},
		"actions of a type":      {http.MethodPost, "/referrals/moderate", `{"actions":"all"}`, 400, "VALIDATION_FAILED"},
		"too many actions":       {http.MethodPost, "/referrals/moderate", `{"actions":[` + good + strings.Repeat(","+good, 100) + `]}`, 400, "VALIDATION_FAILED"},
		"an unknown action":      {http.MethodPost, "/referrals/moderate", `{"actions":[` + good + `,{"referralId":"` + nobodys + `","action":"IGNORED"}]}`, 400, "VALIDATION_FAILED"},
		"an id that is none":     {http.MethodPost, "/referrals/moderate", `{"actions":[` + good + `,{"referralId":"r1","action":"DENIED"}]}`, 400, "VALIDATION_FAILED"},
		"the opposite of one before": {
			http.MethodPost, "/referrals/moderate", `{"actions":[` + good + `,{"referralId":"` + second.Referrals[0].ID.String() + `","action":"REFERRER_APPROVED"}]}`,
			400, "VALIDATION_FAILED",
		},
		"a foreign id among others": {
			http.MethodPost, "/referrals/moderate", `{"actions":[` + good + `,{"referralId":"` + nobodys + `","action":"DENIED"}]}`, 404, "REFERRAL_NOT_FOUND",
		},
		"another method": {http.MethodDelete, "/referrals", "", 405, "METHOD_NOT_ALLOWED"},
	} {
		wantRefused(t, name, w.ask(c.method, c.path, c.body), c.status, c.code)
	}
	_, others := w.mustTenant("other")
	of := second.Referrals[0].ID.String()
	wantRefused(t, "another tenant's", w.askAs(others, http.MethodGet, "/api/v1/other/referrals/"+of, ""), 404, "REFERRAL_NOT_FOUND")
	wantRefused(t, "another tenant's decision", w.askAs(others, http.MethodPost, "/api/v1/other/referrals/moderate", `{"actions":[`+good+`]}`), 404, "REFERRAL_NOT_FOUND")
	wantRefused(t, "another tenant's key", w.askAs(others, http.MethodGet, "/api/v1/acme/referrals", ""), 401, "UNAUTHORIZED")
	shown, err := w.referrals.ReferralByID(t.Context(), w.acme.ID, second.Referrals[0].ID)
	w.must(err)
	if shown.Version != second.Referrals[0].Version {
		t.Errorf("the referral was changed: %+v", shown.Referral)
	}
}
