package referral_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// mustLetterWorld is a world in which people are written to.
func mustLetterWorld(t *testing.T) *world {
	t.Helper()
	w := mustWorld(t)
	w.serve(job.NewRunner(job.Options{DB: w.db}))
	return w
}

// planted are words that say who somebody is, wherever they stand.
type planted []string

// mustHaveNone fails the test if any table has one of the words.
func (w *world) mustHaveNone(of planted) {
	w.t.Helper()
	for table, text := range w.texts() {
		for _, word := range of {
			if i := strings.Index(text, strings.ToUpper(word)); i >= 0 {
				w.t.Errorf("%s is in the table %s: …%s…", word, table, text[max(0, i-100):min(len(text), i+100)])
			}
		}
	}
}

// mustHaveAll fails the test unless each of the words is in some table.
func (w *world) mustHaveAll(of planted) {
	w.t.Helper()
	all := ""
	for _, text := range w.texts() {
		all += text
	}
	for _, word := range of {
		if !strings.Contains(all, strings.ToUpper(word)) {
			w.t.Errorf("%s is nowhere from the beginning", word)
		}
	}
}

// texts returns all that stands in each table, in capitals.
func (w *world) texts() map[string]string {
	w.t.Helper()
	var found map[string]string
	w.read(func(q db.Queryer) error {
		var err error
		found, err = testkit.Texts(q)
		return err
	})
	for table, text := range found {
		found[table] = strings.ToUpper(text)
	}
	return found
}

// activitiesOf returns what somebody did, the latest first.
func (w *world) activitiesOf(p *person.Person) []*activity.Activity {
	w.t.Helper()
	var all []*activity.Activity
	w.read(func(q db.Queryer) error {
		var err error
		all, err = activity.Latest(q, w.tenant, p.ID, id.ID{}, 1000)
		return err
	})
	return all
}

const (
	annas = "203.0.113.77"
	berts = "198.51.100.23"
)

// mustNamed has everything happen in which Anna, who refers Bert, and Bert are named.
func mustNamed(t *testing.T) (*world, *person.Person, *person.Person) {
	t.Helper()
	w := mustLetterWorld(t)
	w.mustProgram(giveAndGet, `{"landing_url":"https://www.example.com"}`)
	first := w.mustRegister(referral.Registration{
		Identity: who("anna-quillfeather@example.net"), IP: netip.MustParseAddr(annas), Device: "browser-of-quillfeather",
		Patch: person.Patch{
			FirstName: new("Annabell"), LastName: new("Quillfeather"), Email: new("annabell@quillfeather.example"), Account: new("acct-1"),
			Fields: new(json.RawMessage(`{"note":"quillfeather's favourite"}`)), ImageURL: new("https://img.example/quillfeather.png"),
		},
	})
	w.mustRegister(referral.Registration{Identity: who("anna-quillfeather@example.net"), Codes: map[string]string{"": "QUILLVANITY"}})
	w.mustSetAccount(person.AccountPatch{Key: "acct-1", State: person.Trial, Details: json.RawMessage(`{"owner":"Quillfeather Ltd"}`)})
	visit := referral.Visit{Short: first.Codes[0].Short, Cookie: "browser-of-thistlewood", IP: netip.MustParseAddr(berts), UserAgent: "Thistlewood/1.0", URL: "/r/?thistlewood"}
	for range 2 {
		if _, err := w.Visit(t.Context(), visit); err != nil {
			t.Fatal(err)
		}
	}
	second := w.mustRegister(referral.Registration{
		Identity: who("bert-thistlewood@example.net"), IP: netip.MustParseAddr(berts), Device: "browser-of-thistlewood",
		Patch: person.Patch{
			FirstName: new("Bertram"), LastName: new("Thistlewood"), Email: new("bertram@mailinator.com"),
			Fields: new(json.RawMessage(`{"note":"thistlewood lives in a lighthouse"}`)),
		},
		ReferredBy: []string{"quillvanity"},
	})
	w.mustTrack(second.Person, activity.New{
		Key: "order-of-thistlewood", Type: "purchase", Fields: json.RawMessage(`{"order_id":"1","amount":7000,"to":"Thistlewood, Lighthouse Lane"}`),
	})
	_, err := w.GiveReward(t.Context(), w.tenant, reward.Award{
		Effect: "thank-you", PersonID: second.Person.ID, Kind: rule.Credit, Amount: 500, Unit: "cents", Details: json.RawMessage(`{"to":"thistlewood"}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, first.Person, second.Person
}

// What says who the two are.
var (
	ofAnna = planted{"Annabell", "Quillfeather", "QuillVanity", annas}
	ofBert = planted{"Bertram", "Thistlewood", "Lighthouse", "mailinator", berts}
)

func TestNoTableSaysAnythingOfWhoWasForgotten(t *testing.T) {
	for name, forget := range map[string]struct {
		of   planted
		with func(w *world, anna, bert *person.Person) error
	}{
		"somebody who was referred": {ofBert, func(w *world, _, bert *person.Person) error {
			return w.Forget(w.t.Context(), w.tenant, bert.ID, person.Deletion{})
		}},
		"a referrer with the account": {ofAnna, func(w *world, anna, _ *person.Person) error {
			_, err := w.ForgetAccount(w.t.Context(), w.tenant, anna.Account, person.Deletion{})
			return err
		}},
		"a referrer who was the last of the account": {ofAnna, func(w *world, anna, _ *person.Person) error {
			return w.Remove(w.t.Context(), w.tenant, referral.Removal{Person: anna.ID, EmptyAccount: true})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w, anna, bert := mustNamed(t)
			w.mustHaveAll(forget.of)
			if err := forget.with(w, anna, bert); err != nil {
				t.Fatal(err)
			}
			w.mustHaveNone(forget.of)
		})
	}
}

func TestWhatSomebodyLedToForOthersStaysWhenTheyAreForgotten(t *testing.T) {
	w, anna, bert := mustNamed(t)
	before, tracked := w.referralOf(bert), w.mustFact(w.activitiesOf(bert)[0].ID, activity.Tracked)
	if err := w.Forget(t.Context(), w.tenant, bert.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	r := w.referralOf(bert)
	if w.balance(anna) != 2000 || !r.ConvertedAt.Equal(before.ConvertedAt) || r.Code != before.Code || len(r.Signals) != len(before.Signals) {
		t.Errorf("the referrer has %d; the referral is %+v, and was %+v", w.balance(anna), r, before)
	}
	for i, signal := range r.Signals {
		if signal.Kind != before.Signals[i].Kind || signal.Score != before.Signals[i].Score {
			t.Errorf("the signal %s is %s now", before.Signals[i].Kind, signal.Kind)
		}
	}
	if kept := w.activitiesOf(bert)[0]; kept.Type != "purchase" || kept.Fields != nil || !kept.ReceivedAt.Equal(w.activitiesOf(bert)[0].ReceivedAt) {
		t.Errorf("the activity is %+v", kept)
	}
	// Taking it back still works for the referrer.
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: tracked.ID}); err != nil || w.balance(anna) != 0 {
		t.Errorf("undone: %v, the referrer has %d", err, w.balance(anna))
	}
	w.wantBooksInOrder()
}

func TestWhatIsLeftOfWhoWasForgottenIsNotJudgedAnew(t *testing.T) {
	w, anna, bert := mustNamed(t)
	w.mustTrack(bert, activity.New{Key: "second", Type: "purchase", Fields: json.RawMessage(`{"order_id":"2","amount":8000}`)})
	rules := `[{"key":"each","on":"purchase","actor":"referred","to":"referrer","if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":100,"unit":"cents"}}]`
	if _, err := w.programs.SetRules(t.Context(), w.tenant, w.referralOf(bert).ProgramID, json.RawMessage(rules)); err != nil {
		t.Fatal(err)
	}
	third := w.mustTrack(bert, activity.New{Key: "third", Type: "purchase", Fields: json.RawMessage(`{"order_id":"3","amount":8000}`)})
	w.mustTrack(bert, activity.New{Key: "fourth", Type: "purchase", Fields: json.RawMessage(`{"order_id":"4","amount":8000}`)})
	if got := w.balance(anna); got != 2200 {
		t.Fatalf("the referrer has %d", got)
	}
	if err := w.Forget(t.Context(), w.tenant, bert.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: third[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	if got := w.balance(anna); got != 2100 {
		t.Errorf("the referrer has %d: only what the third purchase had led to is taken back", got)
	}
}

func TestTheCodesOfWhoWasForgottenLeadNowhereAndNobodyGetsThem(t *testing.T) {
	w, anna, _ := mustNamed(t)
	var codes []code.Code
	w.read(func(q db.Queryer) error {
		var err error
		codes, err = code.ByPerson(q, w.tenant, anna.ID)
		return err
	})
	if err := w.Forget(t.Context(), w.tenant, anna.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	for _, c := range codes {
		if _, err := w.Visit(t.Context(), referral.Visit{Short: c.Short}); !problem.NotFound.Has(err) {
			t.Errorf("the link of %s: %v", c.Text, err)
		}
		_, err := w.Register(t.Context(), w.tenant, referral.Registration{Identity: who("carl"), ReferredBy: []string{c.Text}})
		if !errors.Is(err, referral.ErrNoCode) {
			t.Errorf("somebody comes by %s: %v", c.Text, err)
		}
		_, err = w.Register(t.Context(), w.tenant, referral.Registration{Identity: who("carl"), Codes: map[string]string{"": c.Text}})
		if !errors.Is(err, code.ErrTaken) {
			t.Errorf("somebody claims %s: %v", c.Text, err)
		}
	}
	namesake := w.mustRegister(referral.Registration{
		Identity: who("namesake"), Patch: person.Patch{FirstName: new("Annabell"), LastName: new("Quillfeather")},
	})
	if got := namesake.Codes[0].Text; strings.EqualFold(got, "ANNABELLQUILLFEATHER") {
		t.Errorf("a namesake gets the code %s", got)
	}
}

func TestAnActivityOfWhoWasForgottenDoesNotCountAgainForSomebodyElse(t *testing.T) {
	w, anna, bert := mustNamed(t)
	if err := w.Forget(t.Context(), w.tenant, bert.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	_, err := w.Track(t.Context(), w.tenant, referral.Report{Person: anna.ID, Activities: []activity.New{{Key: "order-of-thistlewood", Type: "purchase"}}})
	if !problem.IdempotencyConflict.Has(err) {
		t.Errorf("its key is used again: %v", err)
	}
}

func TestWhoDidThousandsOfThingsIsForgottenInSeveralCommands(t *testing.T) {
	w, _, bert := mustNamed(t)
	for i := range 7 {
		activities := make([]activity.New, 100)
		for j := range activities {
			activities[j] = activity.New{Type: "visit", Key: fmt.Sprint("thistlewood-", i, "-", j), Fields: json.RawMessage(`{"page":"/thistlewood"}`)}
		}
		w.mustTrack(bert, activities...)
	}
	if err := w.Forget(t.Context(), w.tenant, bert.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := w.timers.RunDue(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	w.mustHaveNone(ofBert)
}

func TestTouchesOfNobodyByTheBrowserOfWhoWasForgottenSayNothing(t *testing.T) {
	w, _, bert := mustNamed(t)
	all := func() []attribution.Touch {
		var touches []attribution.Touch
		w.read(func(q db.Queryer) error {
			var err error
			touches, err = attribution.OfPerson(q, w.tenant, bert.ID, attribution.Page{})
			return err
		})
		return touches
	}
	before := len(all())
	if err := w.Forget(t.Context(), w.tenant, bert.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	for _, touch := range all() {
		if touch.IP.IsValid() || touch.CookieID != "" || touch.UserAgent != "" || touch.URL != "" || touch.MembershipID.IsZero() {
			t.Errorf("a touch is %+v", touch)
		}
	}
	if before != len(all()) || before == 0 {
		t.Errorf("%d touches are left of %d", len(all()), before)
	}
}

func TestATouchByACodeOfWhoWasForgottenDoesNotNameIt(t *testing.T) {
	w, anna, bert := mustNamed(t)
	codes := func() []string {
		story, _, err := w.Story(t.Context(), w.tenant, bert.ID, referral.Page{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var named []string
		for _, c := range story {
			if c.Touch != nil {
				named = append(named, c.Touch.Code)
			}
		}
		return slices.Compact(slices.Sorted(slices.Values(named)))
	}
	if got := codes(); !slices.Equal(got, []string{"ANNABELLQUILLFEATHER", "QUILLVANITY"}) {
		t.Errorf("before, touches name %v", got)
	}
	if err := w.Forget(t.Context(), w.tenant, anna.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	for _, named := range codes() {
		if !strings.HasPrefix(named, "~") {
			t.Errorf("afterwards, a touch names %q", named)
		}
	}
}
