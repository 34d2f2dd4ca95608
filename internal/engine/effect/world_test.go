package effect_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// shop is the kind of program of these tests: everybody is a customer, and what they
// do may be worth points, and a score that the kind itself keeps.
type shop struct{ scores map[string]score }

// score is what somebody has because of one effect.
type score struct {
	Key    string `json:"key"`
	Rule   string `json:"rule"`
	Person id.ID  `json:"person"`
	Order  id.ID  `json:"order"`
	Points int64  `json:"points"`
}

// scored is the fact that somebody has a score.
const scored = "shop.scored"

func (*shop) Kind() string { return "shop" }

func (*shop) Parts(db.Queryer, *program.Program, effect.Happening) ([]effect.Part, error) {
	return []effect.Part{{Role: rule.Self}}, nil
}

func (*shop) Document(*fact.Fact) (map[string]any, error) { return map[string]any{}, nil }

func (*shop) Counter() effect.Counter { return nil }

func (k *shop) Giver(of rule.Kind) effect.Giver {
	if of == rule.Score {
		return k
	}
	return nil
}

func (k *shop) Give(c *fact.Command, g effect.Gift) error {
	if _, ok := k.scores[g.Key()]; ok {
		return nil
	}
	s := score{Key: g.Key(), Rule: g.Rule.Key, Person: g.To, Order: g.For.Key, Points: g.Effect.Amount}
	k.set(c, s)
	_, err := c.Append(fact.Fact{Type: scored, Subject: fact.Ref{Kind: "score", ID: g.To}, Data: s})
	return err
}

func (k *shop) Withdraw(c *fact.Command, g effect.Gift) error {
	k.remove(c, g.Key())
	return nil
}

func (k *shop) GaveEarlier(_ db.Queryer, g effect.Gift) (bool, error) {
	for _, s := range k.scores {
		if s.Rule == g.Rule.Key && s.Person == g.To && g.For.Follows(s.Order) {
			return true, nil
		}
	}
	return false, nil
}

func (k *shop) set(c *fact.Command, s score) {
	k.scores[s.Key] = s
	c.Tx().Undo(func() { delete(k.scores, s.Key) })
}

func (k *shop) remove(c *fact.Command, key string) {
	if was, ok := k.scores[key]; ok {
		delete(k.scores, key)
		c.Tx().Undo(func() { k.scores[key] = was })
	}
}

func (k *shop) reversal() fact.Reversal {
	read := func(f *fact.Fact) score {
		var s score
		raw, _ := f.Raw()
		_ = json.Unmarshal(raw, &s)
		return s
	}
	return fact.Reversal{
		Undo: func(c *fact.Command, f *fact.Fact) error { k.remove(c, read(f).Key); return nil },
		Redo: func(c *fact.Command, f *fact.Fact) error { k.set(c, read(f)); return nil },
	}
}

// world is a tenant with a shop, on a database of its own.
type world struct {
	t        testing.TB
	db       *db.DB
	log      *fact.Log
	programs *program.Service
	effects  *effect.Engine
	timers   *timer.Runner
	shop     *shop
	program  *program.Program
	tenant   id.ID
	anna     *person.Person
}

func mustWorld(t testing.TB, rules string) *world {
	t.Helper()
	w := &world{t: t, db: testkit.OpenDB(t, db.Options{}), shop: &shop{scores: make(map[string]score)}, tenant: id.New(time.Now())}
	w.log = fact.New(fact.Options{DB: w.db})
	w.programs = program.NewService(w.db, program.Kind{
		Name: "shop", Check: func(json.RawMessage) (json.RawMessage, error) { return json.RawMessage("{}"), nil },
	})
	w.effects = effect.New(effect.Options{Log: w.log, Programs: w.programs, Rewards: reward.New(w.log)})
	w.effects.Add(w.shop)
	w.log.Reverse(scored, w.shop.reversal())
	w.timers = timer.New(timer.Options{DB: w.db, Execute: w.log.Execute})
	var err error
	w.program, err = w.programs.Create(t.Context(), w.tenant, program.New{Key: "shop", Kind: "shop", Unit: "points", Rules: json.RawMessage(rules)})
	if err != nil {
		t.Fatal(err)
	}
	w.anna = w.mustHave("anna")
	return w
}

func (w *world) mustHave(key string) *person.Person {
	w.t.Helper()
	var p *person.Person
	w.mustDo(func(c *fact.Command) error {
		saved, err := person.Save(c, person.Identity{Scheme: person.Native, Key: key}, person.Patch{})
		p = saved.Person
		return err
	})
	return p
}

// mustSet has the program be in a state.
func (w *world) mustSet(status program.Status) {
	w.t.Helper()
	if _, err := w.programs.Update(w.t.Context(), w.tenant, w.program.ID, program.Patch{Status: &status}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustSetRules(rules string) {
	w.t.Helper()
	if _, err := w.programs.SetRules(w.t.Context(), w.tenant, w.program.ID, json.RawMessage(rules)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustDo(fn func(c *fact.Command) error) {
	w.t.Helper()
	if err := w.log.Do(w.t.Context(), fact.Order{Tenant: w.tenant, Key: "test"}, fn); err != nil {
		w.t.Fatal(err)
	}
}

// mustTrack reports what anna did, all in one command.
func (w *world) mustTrack(reports ...activity.New) []*activity.Activity {
	w.t.Helper()
	return w.mustTrackOf(w.anna, reports...)
}

func (w *world) mustTrackOf(who *person.Person, reports ...activity.New) []*activity.Activity {
	w.t.Helper()
	var done []*activity.Activity
	w.mustDo(func(c *fact.Command) error {
		done = nil
		for _, n := range reports {
			result, err := activity.Track(c, who.ID, activity.Place{}, n)
			if err != nil {
				return err
			}
			done = append(done, result.Activity)
		}
		return nil
	})
	return done
}

func order(number, amount int) activity.New {
	return activity.New{Type: "order", Fields: json.RawMessage(fmt.Sprintf(`{"number":%d,"amount":%d}`, number, amount))}
}

// orders are so many of one amount, numbered from a number on.
func orders(from, n, amount int) []activity.New {
	all := make([]activity.New, n)
	for i := range all {
		all[i] = order(from+i, amount)
	}
	return all
}

func refund(number int) activity.New {
	return activity.New{Type: "refund", Fields: json.RawMessage(fmt.Sprintf(`{"number":%d}`, number))}
}

func (w *world) mustUndo(a *activity.Activity) *fact.Fact {
	w.t.Helper()
	return w.mustUndoFact(a.FactID)
}

func (w *world) mustUndoFact(of id.ID) *fact.Fact {
	w.t.Helper()
	var f *fact.Fact
	w.mustDo(func(c *fact.Command) error {
		var err error
		f, err = c.Undo(fact.Undoing{Fact: of, Reason: "test"})
		return err
	})
	return f
}

func (w *world) mustRunTimers(now time.Time) {
	w.t.Helper()
	if _, err := w.timers.RunDue(w.t.Context(), now); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustRead(fn func(q db.Queryer) error) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// wantPoints checks what somebody can spend.
func (w *world) wantPoints(of *person.Person, want int64) {
	w.t.Helper()
	w.mustRead(func(q db.Queryer) error {
		b, err := ledger.ReadBalance(q, w.tenant, ledger.Wallet{Person: of.ID, Unit: "points"})
		if b.Available != want {
			w.t.Errorf("there are %d points, not %d", b.Available, want)
		}
		return err
	})
}

// wantScore checks the sum of what the shop has given itself.
func (w *world) wantScore(want int64) {
	w.t.Helper()
	sum := int64(0)
	for _, s := range w.shop.scores {
		sum += s.Points
	}
	if sum != want {
		w.t.Errorf("the score is %d, not %d", sum, want)
	}
}
