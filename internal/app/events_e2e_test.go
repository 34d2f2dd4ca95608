package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// storyOfSaaSquatch is how often the story tells of each of SaaSquatch's event types.
var storyOfSaaSquatch = map[string]int{
	"user.created": 3, "coupon.created": 3,
	"referral.started": 2, "referral.automoderation.complete": 2, "email.referral.started": 2,
	"referral.converted": 1, "email.referral.paid": 1, "email.referral.rewardLimitReached": 1, "email.referred.reward.earned": 2,
	"reward.created":              5, // a percentage each, twenty dollars, and two by hand
	"user.reward.balance.changed": 4, // earned, given, redeemed, cancelled
	"referral.ended":              1,
	"theme.publish.finished":      1,
	"export.created":              1,
	"export.completed":            1,
	"test":                        1,
}

// storyOfFacts is how often the same story tells of each native event type.
var storyOfFacts = map[string]int{
	"person.created": 3, "code.created": 3, "activity.tracked": 1, "message.created": 6,
	"referral.started": 2, "referral.moderated": 2, "referral.converted": 1, "referral.ended": 1,
	"reward.limit_reached": 1, "reward.available": 5, "reward.redeemed": 1, "reward.cancelled": 1,
	"wallet.credited": 2, "wallet.debited": 2,
	"theme.published": 1, "export.created": 1, "export.completed": 1, "account.changed": 1,
}

// mustTell has everything happen that SaaSquatch tells of, by calls alone.
func (s *site) mustTell() {
	s.t.Helper()
	mikes := s.mustUser("mike", `{"firstName":"Mike","lastName":"Keenerson","email":"mike@example.com","locale":"en_US"}`)
	s.mustUser("susy", `{"firstName":"Mike","lastName":"Keenersson","referredBy":{"code":"`+mikes+`"},"customFields":{"plan":"gold"}}`)
	s.mustBuy("susy")
	s.must(http.MethodPost, "/rewards"+of("susy"), `{"type":"FUELTANK","fuelTankCode":"TANK-7F3K"}`)
	credit := s.must(http.MethodPost, "/rewards"+of("susy"), `{"type":"CREDIT","assignedCredit":700,"unit":"cents"}`).member(s.t, "id")
	s.must(http.MethodPost, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":500}`)
	s.must(http.MethodPost, "/reward/"+credit.(string)+"/cancel", "")

	s.mustUser("otto", `{"firstName":"Otto"}`)
	s.must(http.MethodPost, "/open/code/"+mikes+of("otto"), "")
	s.must(http.MethodPost, "/accountsync", `{"id":"otto-inc","subscription":{"status":"CANCELLED"}}`)

	s.must(http.MethodPost, "/theme/publish", "{}")
	export := s.must(http.MethodPost, "/export", `{"type":"USER","format":"CSV","name":"All","params":{"createdOrUpdatedSince":0}}`).member(s.t, "id")
	eventually(s.t, "the export is there", func() bool {
		return s.must(http.MethodGet, "/export/"+export.(string), "").member(s.t, "status") == "COMPLETED"
	})
	s.must(http.MethodPost, "/subscription/"+url.PathEscape(s.inbox.url+"/saasquatch")+"/test", "")
}

func TestEveryEventOfSaaSquatchIsBroughtAboutByCallsAndArrivesSignedOnPostgresToo(t *testing.T) {
	a := mustStartAnywhere(t)
	for _, version := range []string{"2016", "2020"} {
		t.Run(version, func(t *testing.T) {
			chosen := wire.Settings{"payload_version": version, "jws": "on"}
			s := mustSite(t, a.URL(), "acme-"+version)
			s.mustSet(chosen)
			s.mustListen()
			s.mustTell()
			heard := s.mustHear("saasquatch", storyOfSaaSquatch)
			if diff := cmp.Diff(storyOfSaaSquatch, counts(heard)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			all := app.Schemas(t, "saasquatch", chosen)
			for eventType := range all {
				if len(heard[eventType]) == 0 {
					t.Errorf("%s was not told", eventType)
				}
			}
			for _, e := range each(heard) {
				app.WantValid(t, all, e)
				if version == "2016" && (e.Type != "reward.created" || strings.Contains(string(e.Data), `"PCT_DISCOUNT"`)) {
					app.WantPagesShape(t, e)
				}
			}
			s.wantKnown(heard)
		})
	}
}

func TestTheSameStoryIsToldNativelyUnderTheNamesOfTheFactsOnPostgresToo(t *testing.T) {
	s := mustSite(t, mustStartAnywhere(t).URL(), "acme")
	s.mustListen()
	s.mustTell()
	heard := s.mustHear("standard", storyOfFacts)
	if diff := cmp.Diff(storyOfFacts, counts(heard)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	all := app.Schemas(t, "standard", nil)
	for _, e := range each(heard) {
		app.WantValid(t, all, e)
	}
}

func TestWhatSaaSquatchHasNoWordForIsToldNativelyAloneOnPostgresToo(t *testing.T) {
	s := mustSite(t, mustStartAnywhere(t).URL(), "acme")
	mikes := s.mustUser("mike", `{"firstName":"Mike"}`)
	s.mustUser("susy", `{"referredBy":{"code":"`+mikes+`"}}`)
	s.mustBuy("susy")
	s.must(http.MethodPost, of("susy")+"/block", "") // the one who was referred: that ends the referral
	s.mustListen()

	s.mustUser("mike", `{"firstName":"Michael"}`)
	s.must(http.MethodPost, of("mike")+"/block", "")
	s.must(http.MethodPost, of("mike")+"/unblock", "")
	s.must(http.MethodPost, of("susy")+"/unblock", "")
	s.must(http.MethodPost, "/rewards"+of("mike"), `{"type":"CREDIT","assignedCredit":1,"unit":"cents","dateScheduledFor":4102444800000}`)
	for _, action := range []string{"REFERRER_DENIED", "REFERRER_APPROVED"} {
		s.must(http.MethodPost, "/referrals/moderate", `{"actions":[{"referralId":"`+s.referral()+`","action":"`+action+`"}]}`)
	}
	want := map[string]int{
		"person.updated": 1, "person.blocked": 1, "person.unblocked": 2, "referral.resumed": 1, "reward.pending": 1, "referral.moderated": 2,
		"reward.cancelled": 1, "reward.reinstated": 1,
	}
	heard := s.mustHear("standard", want)
	if diff := cmp.Diff(want, counts(heard)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if others := s.mustHear("saasquatch", nil); len(others) > 0 {
		t.Errorf("SaaSquatch's endpoint is told of %v", counts(others))
	}
}

func TestIdsOfAnyTextAreToldAsTheyWereGivenOnPostgresToo(t *testing.T) {
	s := mustSite(t, mustStartAnywhere(t).URL(), "acme")
	s.mustListen()
	ids := []string{"a/b", "..", "a b", "a%2Fb", "user:1@example.com", "Zoë ☃", "?a=b&c#d", `"'\\<script>`, "a+b;c,d"}
	for _, given := range ids {
		path := "/account/" + url.PathEscape("of "+given) + "/user/" + url.PathEscape(given)
		s.must(http.MethodPut, "/open"+path, "{}")
		if got := s.must(http.MethodGet, path, "").member(t, "id"); got != given {
			t.Errorf("%q is shown as %q", given, got)
		}
	}
	told := make(map[string]string)
	for _, e := range s.mustHear("saasquatch", map[string]int{"user.created": len(ids)})["user.created"] {
		var user struct{ ID, AccountID string }
		s.mustDecode(e.Data, &user)
		told[user.ID] = user.AccountID
	}
	for _, given := range ids {
		if told[given] != "of "+given {
			t.Errorf("%q was not told: %q", given, told)
		}
	}
}

// each are all the events.
func each(heard map[string][]app.Told) []app.Told {
	var all []app.Told
	for _, eventType := range sorted(heard) {
		all = append(all, heard[eventType]...)
	}
	return all
}

// wantKnown demands that what events are about can be asked for under the names that
// they give it, and that the API says the same of it.
func (s *site) wantKnown(heard map[string][]app.Told) {
	s.t.Helper()
	for eventType, where := range map[string]struct {
		path string // with the members that it is made of
		same []string
	}{
		"user.created":       {"/account/{accountId}/user/{id}", []string{"id", "accountId", "email", "referralCode", "dateCreated", "shareLinks"}},
		"referral.converted": {"/referrals/{id}", []string{"id", "moderationStatus", "dateReferralStarted", "dateReferralPaid", "dateReferralEnded"}},
		"referral.ended":     {"/referrals/{id}", []string{"id", "moderationStatus", "dateReferralStarted", "dateReferralPaid", "dateReferralEnded"}},
		"reward.created":     {"/reward/{id}", []string{"id", "type", "accountId", "userId", "rewardSource", "unit", "dateGiven", "dateExpires"}},
		"export.completed":   {"/export/{id}", []string{"id", "name", "status", "dateCreated", "dateCompleted", "dateExpires"}},
	} {
		for _, e := range heard[eventType] {
			var told, shown map[string]any
			s.mustDecode(e.Data, &told)
			path := where.path
			for name, value := range told {
				path = strings.ReplaceAll(path, "{"+name+"}", fmt.Sprint(value))
			}
			s.mustDecode([]byte(s.must(http.MethodGet, path, "").text), &shown)
			for _, name := range where.same {
				if diff := cmp.Diff(shown[name], told[name]); diff != "" {
					s.t.Errorf("%s of %s (-by %s +told):\n%s", name, eventType, path, diff)
				}
			}
		}
	}
}

func (s *site) mustDecode(text []byte, into any) {
	s.t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		s.t.Fatalf("%v: %s", err, text)
	}
}
