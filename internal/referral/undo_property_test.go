package referral_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// someRules are rules of every shape, of which a history has some.
var someRules = []string{
	`{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,"if":{"gte":["event.amount",300]},
	  "give":{"kind":"credit","amount":{"pct_bp":1000,"of":"event.amount"},"unit":"cents"},
	  "undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}`,
	`{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,"give":{"kind":"credit","amount":{"pct_bp":500,"of":"event.amount"},"unit":"cents","pending":"14d"}}`,
	`{"key":"two","on":"purchase","give":{"kind":"points","amount":{"pct_bp":100,"of":"event.amount"},"unit":"points"},"limit":{"per":"person","count":2}}`,
	`{"key":"three","on":["purchase","visit"],"to":"self","give":{"kind":"points","amount":7,"unit":"points"},"limit":{"per":"program","count":3},
	  "undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}`,
	`{"key":"sum","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":1000,"of":"event.amount"},"unit":"cents"},"limit":{"per":"person","amount":100}}`,
	`{"key":"all","on":"purchase","give":{"kind":"credit","amount":{"pct_bp":1000,"of":"event.amount"},"unit":"cents"},"limit":{"per":"program","amount":150,"window":"year"}}`,
	`{"key":"third","on":"purchase","if":{"gte":[{"count":"purchase","in":"30d"},3]},"give":{"kind":"points","amount":100,"unit":"points"}}`,
	`{"key":"big","on":"purchase","actor":"referred","to":"referrer","convert":true,"once":true,"if":{"gte":[{"sum":"purchase.amount"},700]},"give":{"kind":"percent","amount":1000}}`,
	`{"key":"start","on":"visit","actor":"referred","convert":true,"to":"referred","if":{"eq":["referral.state","started"]},"give":{"kind":"points","amount":11,"unit":"points"}}`,
	`{"key":"converted","on":"referral.converted","actor":"referred","to":"referrer","give":{"kind":"points","amount":50,"unit":"points"}}`,
	`{"key":"second","on":"referral.converted","to":"referrer","if":{"eq":[{"count":"referral.converted"},2]},"give":{"kind":"points","amount":60,"unit":"points"}}`,
	`{"key":"sender","on":"purchase","actor":"referrer","once":true,"give":{"kind":"points","amount":13,"unit":"points"}}`,
	`{"key":"quiet","on":"visit","unless":{"event":"refund","within":"1h"},"give":{"kind":"points","amount":17,"unit":"points"}}`,
	`{"key":"best","on":"purchase","pick":"max","give":{"kind":"points","amount":{"pct_bp":200,"of":"event.amount"},"unit":"stars"}}`,
	`{"key":"better","on":"purchase","pick":"max","if":{"gte":[{"count":"visit"},1]},"give":{"kind":"points","amount":10,"unit":"stars"}}`,
}

// step is a command of a history.
type step struct {
	Do     string
	Who    int
	Other  int
	Amount int
	Order  string
	Side   referral.Side
	To     referral.Moderation
	State  person.State
}

// key is what the activity of a step is called; "": it is none.
func (s step) key() string {
	switch s.Do {
	case "purchase", "visit", "refund":
		return s.Do + "-" + s.Order
	default:
		return ""
	}
}

func (s step) activity() activity.New {
	fields, _ := json.Marshal(map[string]any{"order_id": strings.TrimPrefix(s.Order, "again-"), "amount": s.Amount})
	return activity.New{Key: s.key(), Type: s.Do, Fields: fields}
}

func drawHistory(t *rapid.T, people int) []step {
	n := rapid.IntRange(4, 16).Draw(t, "steps")
	var steps []step
	var orders []step
	for i := range n {
		s := step{
			Do:  rapid.SampledFrom([]string{"purchase", "purchase", "purchase", "visit", "refund", "refer", "moderate", "account", "block"}).Draw(t, "do"),
			Who: rapid.IntRange(0, people-1).Draw(t, "who"), Order: fmt.Sprint(i),
		}
		switch s.Do {
		case "purchase":
			s.Amount = 100 * rapid.IntRange(1, 9).Draw(t, "amount")
			orders = append(orders, s)
		case "visit":
			orders = append(orders, s)
		case "refund":
			if len(orders) == 0 {
				continue
			}
			of := rapid.SampledFrom(orders).Draw(t, "of")
			s.Who, s.Order = of.Who, of.Order
			if slices.ContainsFunc(steps, func(other step) bool { return other.key() == s.key() }) {
				s.Order = "again-" + of.Order
			}
			if slices.ContainsFunc(steps, func(other step) bool { return other.key() == s.key() }) {
				continue
			}
		case "refer":
			s.Other = rapid.IntRange(0, people-1).Draw(t, "by")
		case "moderate":
			s.Side = rapid.SampledFrom([]referral.Side{referral.ReferrerSide, referral.ReferredSide, referral.BothSides}).Draw(t, "side")
			s.To = rapid.SampledFrom([]referral.Moderation{referral.Approved, referral.Denied, referral.Undecided}).Draw(t, "to")
		case "account":
			s.State = rapid.SampledFrom([]person.State{person.Trial, person.Paid, person.Cancelled}).Draw(t, "state")
		}
		steps = append(steps, s)
	}
	return steps
}

// story is a history that has come to pass, for a tenant of its own.
type story struct {
	*world

	people  []*person.Person
	codes   []string
	tracked map[string]*activity.Activity
	blocked map[int]bool
}

// begin registers the people: each but the first was sent by the one before.
func (w *world) begin(rules string, people int) *story {
	of := *w
	of.tenant = id.New(time.Now())
	s := &story{world: &of, tracked: make(map[string]*activity.Activity), blocked: make(map[int]bool)}
	s.mustProgram(rules, `{"fraud":`+noFraud+`}`)
	for i := range people {
		r := referral.Registration{Identity: who(fmt.Sprint("p", i)), Patch: person.Patch{Account: new(fmt.Sprint("a", i))}}
		if i > 0 && i < people-1 {
			r.ReferredBy = []string{s.codes[i-1]}
		}
		done := s.mustRegister(r)
		s.people, s.codes = append(s.people, done.Person), append(s.codes, done.Codes[0].Text)
	}
	return s
}

// take takes a step. What can't be done is passed over.
func (s *story) take(t rapid.TB, st step) {
	ctx, who := s.t.Context(), s.people[st.Who]
	var err error
	switch st.Do {
	case "purchase", "visit", "refund":
		var done []activity.Result
		done, err = s.Track(ctx, s.tenant, referral.Report{Person: who.ID, Activities: []activity.New{st.activity()}})
		if err == nil {
			s.tracked[st.key()] = done[0].Activity
		}
	case "refer":
		_, err = s.Refer(ctx, s.tenant, who.ID, s.codes[st.Other])
		if errors.Is(err, referral.ErrOwnCode) || errors.Is(err, referral.ErrReferred) || errors.Is(err, referral.ErrConverted) ||
			errors.Is(err, referral.ErrBlocked) || errors.Is(err, referral.ErrNoCode) {
			err = nil
		}
	case "moderate":
		for _, r := range s.referralsOf(who) {
			if _, err = s.Moderate(ctx, s.tenant, []referral.Decision{{Referral: r.ID, Side: st.Side, To: st.To}}); err != nil {
				break
			}
		}
	case "account":
		_, err = s.SetAccount(ctx, s.tenant, person.AccountPatch{Key: fmt.Sprint("a", st.Who), State: st.State})
	case "block":
		if s.blocked[st.Who] {
			_, err = s.Unblock(ctx, s.tenant, who.ID)
		} else {
			_, err = s.Block(ctx, s.tenant, who.ID)
		}
		s.blocked[st.Who] = !s.blocked[st.Who]
	}
	if err != nil {
		t.Fatalf("%+v: %v", st, err)
	}
}

// turn undoes a fact, and that, and so on, so many times in all. It reports whether
// the fact holds in the end: one that a refund has undone before does not.
func (s *story) turn(t rapid.TB, of id.ID, turns int) bool {
	for range turns {
		f, err := s.Undo(s.t.Context(), s.tenant, fact.Undoing{Fact: of})
		if errors.Is(err, fact.ErrUndone) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		of = f.ID
	}
	return turns%2 == 0
}

func (w *world) referralsOf(of *person.Person) []*referral.Referral {
	w.t.Helper()
	var all []*referral.Referral
	w.read(func(q db.Queryer) error {
		var err error
		all, err = referral.OfReferred(q, w.tenant, of.ID)
		return err
	})
	return all
}

// decide unblocks everybody and approves whatever is undecided. Until then somebody
// who is given something in another one's place waits for it, who would have had it
// before there was anything to decide.
func (s *story) decide(t rapid.TB) {
	for i, p := range s.people {
		if s.blocked[i] {
			s.take(t, step{Do: "block", Who: i})
		}
		for _, r := range s.referralsOf(p) {
			if r.Referrer == referral.Undecided {
				s.take(t, step{Do: "moderate", Who: i, Side: referral.ReferrerSide, To: referral.Approved})
			}
			if r.Referred == referral.Undecided {
				s.take(t, step{Do: "moderate", Who: i, Side: referral.ReferredSide, To: referral.Approved})
			}
		}
	}
}

// standing is what there is to see of a story, in words that are the same for each
// tenant.
func (s *story) standing() []string {
	s.t.Helper()
	var lines []string
	s.read(func(q db.Queryer) error {
		for i, p := range s.people {
			for _, r := range s.referralsOf(p) {
				lines = append(lines, fmt.Sprintf("p%d is referred: %s, converted %t, %s/%s", i, r.State, !r.ConvertedAt.IsZero(), r.Referrer, r.Referred))
			}
			rewards, err := reward.OfPerson(q, s.tenant, p.ID, reward.Page{Limit: 1000})
			if err != nil {
				return err
			}
			var had []string
			for _, r := range rewards {
				if r.State != reward.IsCancelled || r.CancelReason != reward.ReasonUndone {
					had = append(had, fmt.Sprintf("p%d has %s: %d %s, %s %s held %t", i, r.Rule, r.Amount, r.Unit, r.State, r.CancelReason, r.Held))
				}
			}
			slices.Sort(had)
			lines = append(lines, had...)
			balances, err := ledger.Balances(q, s.tenant, p.ID)
			if err != nil {
				return err
			}
			for _, b := range balances {
				if b.Available != 0 || b.Pending != 0 {
					lines = append(lines, fmt.Sprintf("p%d holds %d, %d pending, owes %d %s", i, b.Available, b.Pending, b.Debt+b.Owed, b.Wallet.Unit))
				}
			}
		}
		faults, _, err := ledger.Check(q, s.tenant, ledger.Place{}, 1000)
		for _, f := range faults {
			lines = append(lines, "fault: "+f.Detail)
		}
		return err
	})
	return lines
}

// noFraud leaves moderation to people.
const noFraud = `{}`

// The property that everything else about undoing serves: what is left when an
// activity is undone, at whatever moment, is what there would be had it never been;
// and when that is undone in turn, what there would be had nobody undone anything.
// What it does not cover is said in the documentation of the package and of reward.
func TestUndoingAnActivityLeavesWhatAReplayWithoutItGives(t *testing.T) {
	fewer(t)
	w := mustWorld(t)
	const people = 4
	rapid.Check(t, func(t *rapid.T) {
		rules := rapid.SliceOfNDistinct(rapid.SampledFrom(someRules), 1, 5, rapid.ID[string]).Draw(t, "rules")
		set := "[" + strings.Join(rules, ",") + "]"
		steps := drawHistory(t, people)
		var activities []int
		for i, s := range steps {
			if s.key() != "" {
				activities = append(activities, i)
			}
		}
		if len(activities) == 0 {
			t.Skip("nobody did anything")
		}
		without := rapid.SampledFrom(activities).Draw(t, "without")
		at := rapid.IntRange(without, len(steps)-1).Draw(t, "undone after")
		turns := rapid.IntRange(1, 4).Draw(t, "turns")

		lived, told, holds := w.begin(set, people), w.begin(set, people), false
		for i, s := range steps {
			lived.take(t, s)
			if i == at {
				holds = lived.turn(t, lived.tracked[steps[without].key()].FactID, turns)
			}
		}
		for i, s := range steps {
			if i != without || holds {
				told.take(t, s)
			}
		}
		lived.decide(t)
		told.decide(t)
		if diff := cmp.Diff(told.standing(), lived.standing()); diff != "" {
			t.Fatalf("a replay gives (-), undoing leaves (+):\n%s", diff)
		}
		w.runTimers(time.Now().Add(24 * 20 * time.Hour))
		if diff := cmp.Diff(told.standing(), lived.standing()); diff != "" {
			t.Fatalf("twenty days later a replay gives (-), undoing leaves (+):\n%s", diff)
		}
	})
}

func (w *world) runTimers(now time.Time) {
	w.t.Helper()
	if _, err := w.timers.RunDue(w.t.Context(), now); err != nil {
		w.t.Fatal(err)
	}
}

// fewer has a property be checked on fewer histories where each takes many times as
// long.
func fewer(t *testing.T) {
	t.Helper()
	if !testkit.RaceDetector {
		return
	}
	checks := flag.Lookup("rapid.checks")
	was := checks.Value.String()
	if err := checks.Value.Set("10"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(was) })
}
