package reward

import (
	"math"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/counter"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// EffectKey returns an effect key as it is stored, which is what Effect returns.
func EffectKey(text string) string { return effectKey(text) }

// Effect is the key under which the reward was given; see EffectKey.
func (r *Reward) Effect() string { return r.effect }

// Order is where what caused the reward stands among all that happened: the id of
// an activity, or of what a fact is about.
func (r *Reward) Order() id.ID { return r.order }

// Claim is how a limit stands of which a reward has taken a part or, where it was
// refused, wanted one.
type Claim struct {
	Window  string    // as a rule writes it
	Start   time.Time // of the window; zero: it has none, or rolls
	Units   int64     // that the reward has taken, or wanted
	Used    int64     // in the window, by all
	Cap     int64
	Amount  bool // units are those of the amount, not rewards
	Refused bool
	// Ahead is how many refused rewards are given before this one, if others are taken
	// back; -1: more than 100.
	Ahead int
	// Reopens says that what is taken back makes room for what was refused.
	Reopens bool

	scope string
	start int64
	since time.Time // of a window that rolls
}

// Claim returns what the reward has to do with a limit, as it stands at a time; nil:
// there is no limit.
func (r *Reward) Claim(q db.Queryer, now time.Time) (*Claim, error) {
	l := r.limit
	if l == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	key, err := l.key(r.TenantID, r.zone())
	if err != nil {
		return nil, err
	}
	window, err := rule.ParseWindow(l.Window)
	if err != nil {
		return nil, err
	}
	c := &Claim{
		Window: l.Window, Units: l.Units, Cap: l.Cap, Amount: l.Amount, Refused: r.State == IsRefused, Reopens: window.Length.IsZero(),
		scope: l.Scope, start: l.Start,
	}
	if l.Start != 0 {
		c.Start = db.FromMicro(l.Start)
	}
	if !c.Reopens { // what counts is what the window has now
		key.At, c.since = now, window.Length.Before(now, r.zone())
	}
	if c.Used, err = counter.Used(q, key); err != nil || !c.Refused {
		return c, err
	}
	waiting, err := selectRefused(q, r.TenantID, refusals{of: l, used: math.MinInt64, limit: maxPlaces})
	if err != nil {
		return nil, err
	}
	c.Ahead = slices.IndexFunc(waiting, func(other *Reward) bool { return other.ID == r.ID })
	return c, nil
}

// Takes returns how much the reward takes of what a claim is on.
func (r *Reward) Takes(of *Claim) int64 {
	l := r.limit
	if l == nil || l.Scope != of.scope || l.Start != of.start || r.State == IsRefused || r.State == IsCancelled {
		return 0
	}
	if !of.Reopens && !db.FromMicro(l.At).After(of.since) {
		return 0
	}
	return l.Units
}
