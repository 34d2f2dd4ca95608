package pool_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// world is a tenant that gives codes as rewards, on a database of its own.
type world struct {
	*pool.Service

	t       testing.TB
	db      *db.DB
	log     *fact.Log
	rewards *reward.Service
	timers  *timer.Runner
	tenant  id.ID
}

func mustWorld(t testing.TB) *world {
	t.Helper()
	w := &world{t: t, db: testkit.OpenDB(t, db.Options{}), tenant: id.New(time.Now())}
	w.Service = pool.New(w.db)
	w.log = fact.New(fact.Options{DB: w.db})
	w.rewards = reward.New(w.log)
	w.timers = timer.New(timer.Options{DB: w.db, Execute: w.log.Execute})
	return w
}

// codes returns texts that begin with a prefix and end with a number.
func codes(prefix string, from, to int) []string {
	var all []string
	for n := from; n < to; n++ {
		all = append(all, fmt.Sprintf("%s-%03d", prefix, n))
	}
	return all
}

func (w *world) mustAdd(texts ...string) pool.Added {
	w.t.Helper()
	done, err := w.Add(w.t.Context(), w.tenant, "shop", texts)
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// do runs a command about somebody.
func (w *world) do(key string, fn func(c *fact.Command) error) error {
	return w.log.Do(w.t.Context(), fact.Order{Tenant: w.tenant, Key: key}, fn)
}

func (w *world) mustDo(fn func(c *fact.Command) error) {
	w.t.Helper()
	if err := w.do("", fn); err != nil {
		w.t.Fatal(err)
	}
}

// give gives somebody a code.
func (w *world) give(effect string, held bool) (*reward.Reward, error) {
	var given *reward.Reward
	err := w.do(effect, func(c *fact.Command) error {
		var err error
		given, _, err = w.rewards.Give(c, reward.Award{
			Effect: effect, PersonID: id.New(time.Now()), Kind: rule.CodePool, Def: "shop", Held: held,
		})
		return err
	})
	return given, err
}

func (w *world) mustGive(effect string) *reward.Reward {
	w.t.Helper()
	given, err := w.give(effect, false)
	if err != nil {
		w.t.Fatal(err)
	}
	return given
}

// mustGet returns a reward as it stands.
func (w *world) mustGet(r *reward.Reward) *reward.Reward {
	w.t.Helper()
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		r, err = reward.Get(q, w.tenant, r.ID)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// mustCatchUp has all timers that are due be done.
func (w *world) mustCatchUp() {
	w.t.Helper()
	if _, err := w.timers.RunDue(w.t.Context(), time.Now().Add(time.Second)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) wantCode(r *reward.Reward, code string) {
	w.t.Helper()
	state := reward.IsAvailable
	if code == "" {
		state = reward.IsPending
	}
	if got := w.mustGet(r); got.Code != code || got.State != state {
		w.t.Errorf("the reward is %s with the code %q, want %s and %q", got.State, got.Code, state, code)
	}
}

func (w *world) wantPool(added, given int64) {
	w.t.Helper()
	if p, err := w.Get(w.t.Context(), w.tenant, "shop"); err != nil || p.Added != added || p.Given != given || p.Left() != added-given {
		w.t.Errorf("the pool is %+v, %v; want %d codes, %d of them given", p, err, added, given)
	}
}
