package referral_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var errBroken = errors.New("it broke")

// breaker is a reactor that fails at the nth fact that it gets; 0: at none.
type breaker struct{ at, seen int }

func (b *breaker) React(*fact.Command, *fact.Fact) error {
	if b.seen++; b.seen == b.at {
		return errBroken
	}
	return nil
}

func TestACommandThatFailsAtAnyFactLeavesNothing(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	b := &breaker{}
	w.log.React(b)
	before := w.facts()
	report := referral.Report{Person: second.Person.ID, Activities: []activity.New{purchase("1", 5000)}}
	for b.at = 1; ; b.at++ {
		b.seen = 0
		_, err := w.Track(t.Context(), w.tenant, report)
		if err == nil {
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		if after := w.facts(); after != before {
			t.Fatalf("where it fails at fact %d there are %d facts, not %d", b.at, after, before)
		}
		if r := w.referralOf(second.Person); r.State != referral.IsStarted || w.balance(second.Person) != 0 {
			t.Fatalf("where it fails at fact %d the referral is %s", b.at, r.State)
		}
	}
	if b.at < 5 || w.balance(second.Person) != 1000 {
		t.Errorf("it failed at %d facts, and then the referred had %d", b.at-1, w.balance(second.Person))
	}
}

func TestACommandOfWhichNobodyCanBeToldLeavesNothing(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	before := w.facts()
	w.sink.refuse = func([]*fact.Fact) error { return errBroken }
	_, err := w.Track(t.Context(), w.tenant, referral.Report{Person: second.Person.ID, Activities: []activity.New{purchase("1", 5000)}})
	if !errors.Is(err, errBroken) || w.facts() != before || w.balance(second.Person) != 0 {
		t.Errorf("%v, %d facts", err, w.facts()-before)
	}
	w.sink.refuse = nil
	w.mustTrack(second.Person, purchase("1", 5000))
	if w.balance(second.Person) != 1000 {
		t.Error("the same, tried again, does not count")
	}
}

// facts counts the tenant's facts.
func (w *world) facts() int {
	w.t.Helper()
	n := 0
	w.read(func(q db.Queryer) error {
		all, err := fact.List(q, w.tenant, fact.Page{Limit: 100_000})
		n = len(all)
		return err
	})
	return n
}

func TestOneActivityThatTwentyReportAtOnceCountsOnceAndAllHearTheSame(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	answers := make([]activity.Result, 20)
	errs := atOnce(len(answers), len(answers), func(i int) error {
		done, err := w.Track(t.Context(), w.tenant, referral.Report{Person: second.Person.ID, Activities: []activity.New{purchase("1", 5000)}})
		if err == nil {
			answers[i] = done[0]
		}
		return err
	})
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	fresh := 0
	for _, a := range answers {
		if !a.Replayed {
			fresh++
		}
		if a.Activity.ID != answers[0].Activity.ID {
			t.Error("two of them hear of different activities")
		}
	}
	if a, b := w.balance(first.Person), w.balance(second.Person); fresh != 1 || a != 2000 || b != 1000 {
		t.Errorf("%d were new; the referrer has %d, the referred %d", fresh, a, b)
	}
}

func TestAKeyIsForOneActivityForEver(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	other := purchase("1", 5001)
	for _, of := range []*person.Person{first.Person, second.Person} {
		_, err := w.Track(t.Context(), w.tenant, referral.Report{Person: of.ID, Activities: []activity.New{other}})
		if !problem.IdempotencyConflict.Has(err) {
			t.Errorf("another activity of that key: %v", err)
		}
	}
}

func TestSomebodyWhomTwentyRegisterAtOnceIsOnePersonWithOneCodeAndOneReferral(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	answers := make([]referral.Registered, 20)
	errs := atOnce(len(answers), len(answers), func(i int) error {
		var err error
		answers[i], err = w.Register(t.Context(), w.tenant, referral.Registration{Identity: who("bert"), ReferredBy: []string{first.Codes[0].Text}})
		return err
	})
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	for _, a := range answers {
		if a.Person.ID != answers[0].Person.ID || len(a.Codes) != 1 || a.Codes[0].Text != answers[0].Codes[0].Text ||
			len(a.Referrals) != 1 || a.Referrals[0].ID != answers[0].Referrals[0].ID {
			t.Errorf("%+v, %+v", a, answers[0])
		}
	}
}

func TestTwoProcessesThatAreToldTheSameAtOnceKeepItOnce(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("a file belongs to one process")
	}
	url := testkit.DatabaseURL(t)
	var nodes []*world
	for range 2 {
		d, err := db.Open(t.Context(), url, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		nodes = append(nodes, mustWorldOn(t, d, id.New(time.Now())))
	}
	nodes[1].tenant = nodes[0].tenant
	w := nodes[0]
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	for round := range 20 {
		people := make([]id.ID, 8)
		errs := atOnce(len(people), len(people), func(i int) error {
			of := nodes[i%2]
			done, err := of.Register(t.Context(), w.tenant, referral.Registration{Identity: who(fmt.Sprint("friend", round)), ReferredBy: []string{first.Codes[0].Text}})
			if err != nil {
				return err
			}
			people[i] = done.Person.ID
			_, err = of.Track(t.Context(), w.tenant, referral.Report{Person: done.Person.ID, Activities: []activity.New{purchase(fmt.Sprint(round), 5000)}})
			return err
		})
		if len(errs) > 0 {
			t.Fatal(errs[0])
		}
		for _, of := range people {
			if of != people[0] {
				t.Fatalf("one identity is %v", people)
			}
		}
		if got := w.balance(first.Person); got != int64(2000*(round+1)) {
			t.Fatalf("after %d purchases the referrer has %d", round+1, got)
		}
	}
	w.wantBooksInOrder()
}

func TestSpendingThatIsRepeatedIsAnsweredAsTheFirstTime(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	w.mustTrack(second.Person, purchase("1", 5000))
	for range 2 {
		left, err := w.Spend(t.Context(), w.tenant, []id.ID{second.Person.ID}, reward.Redemption{Ref: "order-9", Amount: 1000, Unit: "cents"})
		if err != nil || left != 0 {
			t.Errorf("left %d, %v", left, err)
		}
	}
	if _, err := w.Spend(t.Context(), w.tenant, []id.ID{second.Person.ID}, reward.Redemption{Amount: 1, Unit: "cents"}); !errors.Is(err, reward.ErrInsufficient) {
		t.Errorf("more than there is: %v", err)
	}
}

func TestEachFactAboutSomethingHasTheVersionAfterThatOfTheOneBefore(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"moderation":{"referrer":"pending"}}`)
	first, second := w.mustPair()
	r := w.referralOf(second.Person)
	done := w.mustTrack(second.Person, purchase("1", 5000))
	for _, to := range []referral.Moderation{referral.Approved, referral.Denied, referral.Approved} {
		if _, err := w.Moderate(t.Context(), w.tenant, []referral.Decision{{Referral: r.ID, Side: referral.BothSides, To: to}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []person.State{person.Trial, person.Trial, person.Cancelled} {
		if _, err := w.SetAccount(t.Context(), w.tenant, person.AccountPatch{Key: "acme", State: state, Currency: string(state)}); err != nil {
			t.Fatal(err)
		}
	}
	w.mustRegister(referral.Registration{Identity: who("anna"), Codes: map[string]string{"": "ANNAS"}, Patch: person.Patch{Email: new("anna@example.com")}})
	if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: done[0].Activity.FactID}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Block(t.Context(), w.tenant, first.Person.ID); err != nil {
		t.Fatal(err)
	}
	latest := make(map[string]int64)
	for _, f := range w.sink.facts {
		if f.Type == fact.Undone || f.Subject.Kind == reward.WalletSubject { // a wallet has a version of its own, which counts more
			continue
		}
		of := fmt.Sprint(f.Subject)
		if f.Version != latest[of]+1 {
			t.Errorf("%s has version %d after %d", f.Type, f.Version, latest[of])
		}
		latest[of] = f.Version
	}
	if !slices.Contains(w.told(), reward.Reinstated) {
		t.Error("nothing was reinstated")
	}
}

func TestOneCommandAsksRulesOnlySoOften(t *testing.T) {
	if testing.Short() || testkit.RaceDetector {
		t.Skip("it takes some seconds")
	}
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	_, second := w.mustPair()
	for batch, of := range []string{"1", "other", "other"} { // purchases of one order, and much that rules listen to after them
		many := make([]activity.New, 90)
		for i := range many {
			many[i] = purchase(of, 1)
			many[i].Key = fmt.Sprint(batch, "/", i)
		}
		w.mustTrack(second.Person, many...)
	}
	_, err := w.Track(t.Context(), w.tenant, referral.Report{Person: second.Person.ID, Activities: []activity.New{refund("1")}})
	if !problem.Conflict.Has(err) {
		t.Errorf("a refund of ninety purchases is answered with %v", err)
	}
	w.mustTrack(second.Person, purchase("2", 6000), refund("2"))
}
