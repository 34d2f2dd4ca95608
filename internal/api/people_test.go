package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestAReportChangesWhatDiffersAndSaysWhetherThePersonIsNew(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	const body = `{"first_name":"Anna","fields":{"plan":"gold"}}`
	created := w.send(http.MethodPut, "/v1/people/anna", a.Key, body)
	repeated := w.send(http.MethodPut, "/v1/people/anna", a.Key, body)
	if created.status != http.StatusCreated || repeated.status != http.StatusOK || created.body != repeated.body {
		t.Errorf("%d %s\n%d %s", created.status, created.body, repeated.status, repeated.body)
	}
	anna, err := a.Person(t.Context(), "anna")
	if err != nil {
		t.Fatal(err)
	}
	changed, err := a.ReportPerson(t.Context(), anna.ID, client.PersonReport{LastName: new("Adams")})
	if err != nil || changed.ID != anna.ID || changed.FirstName != "Anna" || changed.LastName != "Adams" || changed.Version != 2 {
		t.Errorf("by the id: %+v, %v", changed, err)
	}
	for _, named := range []string{"per_000000000000000000000000", "per_x", "per_"} {
		_, err = a.ReportPerson(t.Context(), named, client.PersonReport{})
		wantCode(t, err, problem.NotFound)
	}
}

func TestAPersonIsForgottenAndMayOrMayNotComeAgain(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, second := w.MustRun()
	if err := a.DeletePerson(t.Context(), "bert"); err != nil {
		t.Fatal(err)
	}
	for _, named := range []string{"bert", second.ID} {
		_, err := a.Person(t.Context(), named)
		wantCode(t, err, problem.NotFound)
	}
	again, err := a.ReportPerson(t.Context(), "bert", client.PersonReport{})
	if err != nil || again.ID == second.ID {
		t.Errorf("%+v, %v", again, err)
	}
	if err := a.ForgetPersonForEver(t.Context(), "anna"); err != nil {
		t.Fatal(err)
	}
	_, err = a.ReportPerson(t.Context(), "anna", client.PersonReport{})
	wantCode(t, err, problem.Conflict)
	if facts := w.send(http.MethodGet, "/v1/facts?subject="+first.ID, a.Key, ""); strings.Contains(facts.body, "anna@example.com") {
		t.Errorf("a fact remembers her: %s", facts.body)
	}
}

func TestAStoryHasAllKindsOfThingsOnceHoweverItIsPaged(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, _ := w.MustRun()
	a.MustReport(t, "anna", client.NewActivity{Type: "visit"}, client.NewActivity{Type: "visit"})
	a.MustReport(t, "bert", purchase("order-1", `{"amount":6000}`))
	var want []string
	for c, err := range a.AllStory(t.Context(), "anna") {
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, c.Kind)
	}
	kinds := slices.Compact(slices.Sorted(slices.Values(want)))
	if !slices.Equal(kinds, []string{"activity", "fact", "message", "referral", "reward"}) || want[len(want)-1] != "fact" {
		t.Errorf("the story is %q", want)
	}
	var got []string
	for page := (client.Page{Limit: 2}); ; {
		l, err := a.Story(t.Context(), first.ID, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range l.Data {
			got = append(got, c.Kind)
		}
		if page.Cursor = l.NextCursor; page.Cursor == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("two at a time (-all +parts):\n%s", diff)
	}
}

func TestAStoryTellsOfCodesTouchesAndWhatWasDecided(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, second := w.MustRun()
	if _, err := a.ModerateReferrals(t.Context(), []client.ModerationAction{{ReferralID: second.Referrals[0].ID, To: client.ModerationDenied}}); err != nil {
		t.Fatal(err)
	}
	for person, want := range map[string][]string{
		"anna": {"code.created", "referral.moderated"}, "bert": {"code.created", "referral.moderated", "touch ANNAADAMS code"},
	} {
		var told []string
		for c, err := range a.AllStory(t.Context(), person) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Fact != nil {
				told = append(told, c.Fact.Type)
			}
			if c.Touch != nil {
				told = append(told, "touch "+c.Touch.Code+" "+c.Touch.Method)
			}
		}
		for _, one := range want {
			if !slices.Contains(told, one) {
				t.Errorf("%s's story has no %s: %q", person, one, told)
			}
		}
	}
}

func TestPeopleAreFoundByAddressNameAndCodeAndPaged(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, second := w.MustRun()
	for _, search := range []string{"anna@", "adams", "ADAMS a", "annaadams", "Ann", "anna ad", "anna", first.ID} {
		l, err := a.People(t.Context(), search, client.Page{})
		if err != nil || len(l.Data) != 1 || l.Data[0].ID != first.ID {
			t.Errorf("%q: %+v, %v", search, l, err)
		}
	}
	for _, external := range []string{"adams-1", "adams-2", "adams-3"} {
		if _, err := a.ReportPerson(t.Context(), external, client.PersonReport{LastName: new("Adams")}); err != nil {
			t.Fatal(err)
		}
	}
	for search, want := range map[string]int{"": 5, "adams": 4} {
		seen := make(map[string]bool)
		for page := (client.Page{Limit: 2}); ; {
			l, err := a.People(t.Context(), search, page)
			if err != nil || len(l.Data) > 2 {
				t.Fatalf("%+v, %v", l, err)
			}
			for _, p := range l.Data {
				seen[p.ID] = true
			}
			if page.Cursor = l.NextCursor; page.Cursor == "" {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("%q finds %d people, want %d", search, len(seen), want)
		}
	}
	owner, err := a.Code(t.Context(), "anna-adams")
	if err == nil && owner.Person.ID != first.ID {
		t.Errorf("%+v", owner)
	}
	links, err := a.Links(t.Context(), second.ID, "EMAIL")
	if err != nil || len(links) != 1 || !strings.HasPrefix(links[0].URL, "https://hooks.example.com/r/") || links[0].Shares["FACEBOOK"] != links[0].URL+"ef" {
		t.Errorf("%+v, %v", links, err)
	}
}

func TestAnAccountThatPaysConvertsWhatItsPeopleWereReferredBy(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, second := w.MustRun()
	if _, err := a.ReportPerson(t.Context(), "bert", client.PersonReport{Account: new("olsen ltd")}); err != nil {
		t.Fatal(err)
	}
	set, err := a.SetAccount(t.Context(), "olsen ltd", client.AccountReport{State: client.AccountPaid, Currency: "EUR", Details: json.RawMessage(`{"plan":"gold"}`)})
	if err != nil || set.State != client.AccountPaid {
		t.Fatalf("%+v, %v", set, err)
	}
	r, err := a.Referral(t.Context(), second.Referrals[0].ID)
	if err != nil || r.State != client.ReferralConverted {
		t.Errorf("%+v, %v", r, err)
	}
	of, err := a.Account(t.Context(), "olsen ltd")
	if err != nil || of.Currency != "EUR" || len(of.People) != 1 || of.People[0].ID != second.ID {
		t.Errorf("%+v, %v", of, err)
	}
}

func TestWhoIsBlockedIsNotReferredAnyMoreUntilUnblocked(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, second := w.MustRun()
	blocked, err := a.BlockPerson(t.Context(), "bert")
	if err != nil || blocked.BlockedAt.IsZero() {
		t.Fatalf("%+v, %v", blocked, err)
	}
	state := func() client.ReferralState {
		r, err := a.Referral(t.Context(), second.Referrals[0].ID)
		if err != nil {
			t.Fatal(err)
		}
		return r.State
	}
	if got := state(); got != client.ReferralEnded {
		t.Errorf("it is %s", got)
	}
	if _, err := a.UnblockPerson(t.Context(), second.ID); err != nil {
		t.Fatal(err)
	}
	if got := state(); got != client.ReferralStarted {
		t.Errorf("it is %s", got)
	}
}

func TestSomebodyIsReferredByACodeThatSomebodyDecides(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, _ := w.MustRun()
	if _, err := a.ReportPerson(t.Context(), "carl", client.PersonReport{}); err != nil {
		t.Fatal(err)
	}
	r, err := a.ReferPerson(t.Context(), "carl", "annaadams")
	if err != nil || r.ReferrerID != first.ID || r.Method != "manual" {
		t.Fatalf("%+v, %v", r, err)
	}
	if again, err := a.ReferPerson(t.Context(), "carl", "ANNAADAMS"); err != nil || again.ID != r.ID {
		t.Errorf("%+v, %v", again, err)
	}
	for _, code := range []string{"nobodys", "BERTOLSEN"} {
		_, err = a.ReferPerson(t.Context(), "bert", code)
		if fields := wantCode(t, err, problem.Invalid); len(fields) != 1 || fields[0].Name != "code" {
			t.Errorf("%s: %+v", code, fields)
		}
	}
}
