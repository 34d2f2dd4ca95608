package referral_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// world is a tenant's programs on a database of their own.
type world struct {
	*referral.Service

	t        testing.TB
	db       *db.DB
	log      *fact.Log
	programs *program.Service
	rewards  *reward.Service
	timers   *timer.Runner
	tenant   id.ID
	sink     *sink
	naming   referral.Naming // of exports and messages
}

// sink keeps the facts that were told.
type sink struct {
	mu    sync.Mutex
	facts []*fact.Fact
	// refuse fails the telling; nil: nothing does.
	refuse func(facts []*fact.Fact) error
}

func (s *sink) Prepare(context.Context, id.ID) (fact.Teller, error) { return &teller{sink: s}, nil }
func (*sink) Stale(error) bool                                      { return false }

type teller struct{ sink *sink }

func (t *teller) Tell(c *fact.Command, facts []*fact.Fact) error {
	if t.sink.refuse != nil {
		if err := t.sink.refuse(facts); err != nil {
			return err
		}
	}
	facts = slices.Clone(facts)
	c.Tx().After(func() {
		t.sink.mu.Lock()
		defer t.sink.mu.Unlock()
		t.sink.facts = append(t.sink.facts, facts...)
	})
	return nil
}

func mustWorld(t testing.TB) *world {
	t.Helper()
	return mustWorldOn(t, testkit.OpenDB(t, db.Options{}), id.New(time.Now()))
}

// mustWorldOn is one of the processes that share a database.
func mustWorldOn(t testing.TB, d *db.DB, tenant id.ID) *world {
	w := &world{t: t, db: d, tenant: tenant, sink: &sink{}, naming: vendor}
	w.programs = program.NewService(w.db, referral.Kind())
	w.serve(nil)
	return w
}

// serve runs the programs, in the place of what ran them before.
func (w *world) serve(jobs *job.Runner) *message.Service {
	w.t.Helper()
	w.log = fact.New(fact.Options{DB: w.db, Sink: w.sink})
	w.rewards = reward.New(w.log)
	var messages *message.Service
	if jobs != nil { // else nobody is written to
		var err error
		if messages, err = message.New(message.Options{DB: w.db, Log: w.log, Jobs: jobs}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.Service = referral.New(referral.Options{
		DB: w.db, Log: w.log, Programs: w.programs, Rewards: w.rewards, Messages: messages, Naming: w.naming,
		Effects: effect.New(effect.Options{Log: w.log, Programs: w.programs, Rewards: w.rewards}),
	})
	w.timers = timer.New(timer.Options{DB: w.db, Execute: w.log.Execute})
	return messages
}

// giveAndGet gives both sides 20 when the referred person first buys for 50 or more.
const giveAndGet = `[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":2000,"unit":"cents"},
	 "undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,
	 "if":{"gte":["event.amount",5000]},"give":{"kind":"credit","amount":1000,"unit":"cents"}}
]`

func (w *world) mustProgram(rules, settings string) *program.Program {
	w.t.Helper()
	return w.mustProgramOf("referral", rules, settings)
}

func (w *world) mustProgramOf(key, rules, settings string) *program.Program {
	w.t.Helper()
	p, err := w.programs.Create(w.t.Context(), w.tenant, program.New{
		Key: key, Name: "Give and get", Kind: referral.KindName, Rules: json.RawMessage(rules), Settings: json.RawMessage(settings),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func who(key string) person.Identity { return person.Identity{Scheme: person.Native, Key: key} }

func (w *world) mustRegister(r referral.Registration) referral.Registered {
	w.t.Helper()
	done, err := w.Register(w.t.Context(), w.tenant, r)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// mustPair registers a referrer, and somebody who came by that one's code.
func (w *world) mustPair() (referral.Registered, referral.Registered) {
	w.t.Helper()
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Patch: person.Patch{FirstName: new("Anna"), LastName: new("Adams")}})
	second := w.mustRegister(referral.Registration{
		Identity: who("bert"), Patch: person.Patch{FirstName: new("Bert"), LastName: new("Olsen")}, ReferredBy: []string{first.Codes[0].Text},
	})
	return first, second
}

func (w *world) mustTrack(of *person.Person, activities ...activity.New) []activity.Result {
	w.t.Helper()
	done, err := w.Track(w.t.Context(), w.tenant, referral.Report{Person: of.ID, Activities: activities})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

func purchase(order string, amount int) activity.New {
	fields, _ := json.Marshal(map[string]any{"order_id": order, "amount": amount})
	return activity.New{Key: "purchase-" + order, Type: "purchase", Fields: fields}
}

func refund(order string) activity.New {
	fields, _ := json.Marshal(map[string]any{"order_id": order})
	return activity.New{Key: "refund-" + order, Type: "refund", Fields: fields}
}

func (w *world) read(fn func(q db.Queryer) error) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) balance(of *person.Person) int64 {
	w.t.Helper()
	var b ledger.Balance
	w.read(func(q db.Queryer) error {
		var err error
		b, err = ledger.ReadBalance(q, w.tenant, ledger.Wallet{Person: of.ID, Unit: "cents"})
		return err
	})
	return b.Available
}

func (w *world) referralOf(of *person.Person) *referral.Referral {
	w.t.Helper()
	var all []*referral.Referral
	w.read(func(q db.Queryer) error {
		var err error
		all, err = referral.OfReferred(q, w.tenant, of.ID)
		return err
	})
	if len(all) != 1 {
		w.t.Fatalf("%d referrals", len(all))
	}
	return all[0]
}

// told returns the types of the facts that were told since it was asked last.
func (w *world) told() []string {
	var types []string
	for _, f := range w.sink.facts {
		types = append(types, f.Type)
	}
	w.sink.facts = nil
	return types
}

// wantBooksInOrder checks the ledger of the tenant, and that the rewards agree with it.
func (w *world) wantBooksInOrder() {
	w.t.Helper()
	w.read(func(q db.Queryer) error {
		faults, _, err := ledger.Check(q, w.tenant, ledger.Place{}, 10_000)
		for _, f := range faults {
			w.t.Errorf("%+v", f)
		}
		return errors.Join(err, w.wantLotsAsRewards(q))
	})
}
