package referral_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// nodes are processes on one database whose clocks differ. One of them at a time does
// something.
type nodes struct {
	t        *testing.T
	database string
	tenant   id.ID
}

func mustNodes(t *testing.T) *nodes { return &nodes{t, testkit.DatabaseURL(t), id.ID{1}} }

// at has a node do something whose clock shows so long after the beginning.
func (n *nodes) at(shows time.Duration, do func(w *world)) {
	n.t.Helper()
	testkit.VirtualTime(n.t, func(t *testing.T) {
		time.Sleep(shows)
		d, err := db.Open(t.Context(), n.database, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		do(mustWorldOn(t, d, n.tenant))
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

// Clocks that are further apart than ids make up for by themselves.
const (
	behind = 10 * time.Minute
	ahead  = 20 * time.Minute
)

func TestAPurchaseAfterTheReferralCountsAlsoAtANodeWhoseClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	var first, second referral.Registered
	n.at(0, func(w *world) { w.mustProgram(giveAndGet, "") })
	n.at(ahead, func(w *world) { first, second = w.mustPair() })
	n.at(behind, func(w *world) {
		done := w.mustTrack(second.Person, purchase("1", 5000))
		if a, b := w.balance(first.Person), w.balance(second.Person); a != 2000 || b != 1000 {
			t.Errorf("the referrer has %d and the referred %d", a, b)
		}
		if again := w.mustTrack(second.Person, purchase("1", 5000)); !again[0].Replayed || again[0].Activity.ID != done[0].Activity.ID {
			t.Error("the same report is stored twice")
		}
	})
}

func TestAPurchaseBeforeTheReferralDoesNotCountWhicheverClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	var first, second referral.Registered
	n.at(0, func(w *world) {
		w.mustProgram(giveAndGet, "")
		first, second = w.mustRegister(referral.Registration{Identity: who("anna")}), w.mustRegister(referral.Registration{Identity: who("bert")})
	})
	var bought []activity.Result
	n.at(ahead, func(w *world) { bought = w.mustTrack(second.Person, purchase("1", 5000), purchase("2", 9000)) })
	n.at(behind, func(w *world) {
		if _, err := w.Refer(w.t.Context(), n.tenant, second.Person.ID, first.Codes[0].Text); err != nil {
			t.Fatal(err)
		}
		// The second purchase is asked about again, and it still was before.
		if _, err := w.Undo(w.t.Context(), n.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
			t.Fatal(err)
		}
		if a := w.balance(first.Person); a != 0 || w.referralOf(second.Person).State != referral.IsStarted {
			t.Errorf("the referrer has %d for what was bought before", a)
		}
	})
}

func TestWhatSomebodyDoesIsInTheOrderInWhichItCameInWhicheverClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	var second referral.Registered
	var bought []activity.Result
	n.at(0, func(w *world) { w.mustProgram(giveAndGet, "") })
	n.at(ahead, func(w *world) {
		_, second = w.mustPair()
		bought = w.mustTrack(second.Person, purchase("1", 5000))
	})
	n.at(behind, func(w *world) {
		bought = append(bought, w.mustTrack(second.Person, purchase("2", 6000), purchase("3", 7000))...)
	})
	for i := range bought[1:] {
		if a, b := bought[i].Activity.ID, bought[i+1].Activity.ID; bytes.Compare(a[:], b[:]) >= 0 {
			t.Errorf("the purchase %d stands behind the next one", i+1)
		}
	}
	n.at(behind, func(w *world) {
		if _, err := w.Undo(w.t.Context(), n.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
			t.Fatal(err)
		}
		if r := w.referralOf(second.Person); r.State != referral.IsConverted || w.balance(second.Person) != 1000 {
			t.Errorf("the referral is %s, and the referred has %d: a later purchase counts in place of the one that was undone", r.State, w.balance(second.Person))
		}
	})
}

func TestWhatComesAfterTheEndDoesNotCountWhicheverClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	var first, second referral.Registered
	n.at(0, func(w *world) { w.mustProgram(giveAndGet, "") })
	n.at(ahead, func(w *world) {
		first, second = w.mustPair()
		if _, err := w.End(w.t.Context(), n.tenant, w.referralOf(second.Person).ID); err != nil {
			t.Fatal(err)
		}
	})
	n.at(behind, func(w *world) {
		w.mustTrack(second.Person, purchase("1", 5000))
		if a := w.balance(first.Person); a != 0 {
			t.Errorf("the referrer has %d for what was bought after the referral had ended", a)
		}
		ended := w.mustFact(w.referralOf(second.Person).ID, referral.Ended)
		if _, err := w.Undo(w.t.Context(), n.tenant, fact.Undoing{Fact: ended.ID}); err != nil {
			t.Fatal(err)
		}
		if a := w.balance(first.Person); a != 2000 {
			t.Errorf("the referrer has %d for what was bought meanwhile, once the end was undone", a)
		}
	})
}

func TestAPurchaseBeforeTheEndCountsWhicheverClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	var first, second referral.Registered
	var bought []activity.Result
	n.at(0, func(w *world) { w.mustProgram(giveAndGet, "") })
	n.at(ahead, func(w *world) {
		first, second = w.mustPair()
		bought = w.mustTrack(second.Person, purchase("1", 5000), purchase("2", 6000))
	})
	n.at(behind, func(w *world) {
		if _, err := w.End(w.t.Context(), n.tenant, w.referralOf(second.Person).ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Undo(w.t.Context(), n.tenant, fact.Undoing{Fact: bought[0].Activity.FactID}); err != nil {
			t.Fatal(err)
		}
		if r := w.referralOf(second.Person); r.ConvertedAt.IsZero() {
			t.Errorf("the second purchase, which came before the end, does not convert in place of the first; the referrer has %d", w.balance(first.Person))
		}
	})
}

func TestARuleThatGivesOnceGivesOnceWhicheverClockIsBehind(t *testing.T) {
	const rules = `[{"key":"welcome","on":["account.paid","purchase"],"once":true,"give":{"kind":"credit","amount":500,"unit":"cents"}}]`
	pays := person.AccountPatch{Key: "acme", State: person.Paid}
	for name, order := range map[string][2]func(w *world, p *person.Person){
		"a purchase after the account had paid": {
			func(w *world, _ *person.Person) { w.mustSetAccount(pays) }, func(w *world, p *person.Person) { w.mustTrack(p, purchase("1", 1)) },
		},
		"an account that pays after a purchase": {
			func(w *world, p *person.Person) { w.mustTrack(p, purchase("1", 1)) }, func(w *world, _ *person.Person) { w.mustSetAccount(pays) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := mustNodes(t)
			var anna referral.Registered
			n.at(0, func(w *world) {
				w.mustProgram(rules, "")
				anna = w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{Account: new("acme")}})
			})
			n.at(ahead, func(w *world) { order[0](w, anna.Person) })
			n.at(behind, func(w *world) {
				order[1](w, anna.Person)
				if got := w.balance(anna.Person); got != 500 {
					t.Errorf("a rule that gives 500 once gave %d", got)
				}
			})
		})
	}
}

func TestWhatAFactLedToStandsBehindItWhicheverClockIsBehind(t *testing.T) {
	n := mustNodes(t)
	const rules = `[{"key":"later","on":"purchase","give":{"kind":"credit","amount":500,"unit":"cents","pending":"5m"}}]`
	var anna referral.Registered
	n.at(0, func(w *world) {
		w.mustProgram(rules, "")
		anna = w.mustRegister(referral.Registration{Identity: who("anna")})
	})
	n.at(ahead, func(w *world) { w.mustTrack(anna.Person, purchase("1", 1)) })
	n.at(behind, func(w *world) {
		if _, err := w.timers.RunDue(w.t.Context(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		w.read(func(q db.Queryer) error {
			all, err := fact.List(q, n.tenant, fact.Page{Limit: 100})
			for _, f := range all {
				if bytes.Compare(f.ID[:], f.Cause[:]) <= 0 {
					t.Errorf("%s stands before the fact that led to it", f.Type)
				}
			}
			return err
		})
	})
}

// mustFact returns the latest fact of a type about a subject.
func (w *world) mustFact(of id.ID, factType string) *fact.Fact {
	w.t.Helper()
	var found *fact.Fact
	w.read(func(q db.Queryer) error {
		facts, err := fact.Of(q, w.tenant, of, fact.Page{Limit: 100})
		for _, f := range facts {
			if f.Type == factType && found == nil {
				found = f
			}
		}
		return err
	})
	if found == nil {
		w.t.Fatalf("there is no fact %s", factType)
	}
	return found
}
