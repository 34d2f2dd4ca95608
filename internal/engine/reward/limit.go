package reward

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/counter"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// taken is a reward's part of a limit, of which it has taken so many units, or, if
// it was refused, would have.
type taken struct {
	Scope  string `json:"scope"`
	Window string `json:"window"` // as a rule writes it
	Start  int64  `json:"start"`  // of the window, in microseconds; 0: it has none
	At     int64  `json:"at"`     // when it was asked for, in microseconds
	Units  int64  `json:"units"`
	Cap    int64  `json:"cap"`
	Amount bool   `json:"amount,omitempty"` // units are those of the amount, not rewards
	Clamp  bool   `json:"clamp,omitempty"`
	Notify string `json:"notify,omitempty"`

	reachedNow bool
}

// take counts a reward against its limit, and reports whether it is allowed.
func (s *Service) take(c *fact.Command, r *Reward, a Allowance) (bool, error) {
	at := c.Now()
	r.limit = &taken{Scope: a.Scope, Window: a.Window.String(), At: db.Micro(at), Units: 1, Cap: a.Count, Clamp: a.Clamp, Notify: a.Notify}
	if a.Window.Period != "" {
		r.limit.Start = db.Micro(a.Window.Start(at, r.zone()))
	}
	if a.Count == 0 {
		r.limit.Units, r.limit.Cap, r.limit.Amount = r.Amount, a.Amount, true
	}
	return s.retake(c, r)
}

// retake counts a reward against the limit that it has, in the window that it was
// asked for in.
func (s *Service) retake(c *fact.Command, r *Reward) (bool, error) {
	if err := c.Tx().Flush(); err != nil {
		return false, err
	}
	l := r.limit
	key, err := l.key(c.Tenant(), r.zone())
	if err != nil {
		return false, err
	}
	fn := counter.Take
	if l.Amount && l.Clamp {
		fn = counter.TakeUpTo
	}
	got, err := fn(c.Tx(), key, l.Units, l.Cap)
	if err != nil || got.Granted == 0 {
		return false, err
	}
	l.reachedNow = got.ReachedNow
	if l.Amount {
		l.Units, r.Amount = got.Granted, got.Granted
	}
	return true, nil
}

func (l *taken) key(tenant id.ID, zone *time.Location) (counter.Key, error) {
	window, err := rule.ParseWindow(l.Window)
	key := counter.Key{Tenant: tenant, Scope: l.Scope, At: db.FromMicro(l.At)}
	switch {
	case err != nil:
		return key, err
	case window.Period == rule.Day:
		key.Window = counter.Day(zone)
	case window.Period == rule.Week:
		key.Window = counter.Week(zone)
	case window.Period == rule.Month:
		key.Window = counter.Month(zone)
	case window.Period == rule.Year:
		key.Window = counter.Year(zone)
	case !window.Length.IsZero():
		epoch := time.Unix(0, 0).UTC()
		key.Window = counter.Rolling(window.Length.After(epoch, time.UTC).Sub(epoch))
	}
	return key, nil
}

func (r *Reward) zone() *time.Location {
	zone, err := time.LoadLocation(r.zoneName)
	if err != nil { // it was read before it was stored
		return time.UTC
	}
	return zone
}

// tellLimit tells that the last of what the limit allows was given, if so.
func (s *Service) tellLimit(c *fact.Command, r *Reward) error {
	l := r.limit
	if l == nil || !l.reachedNow {
		return nil
	}
	l.reachedNow = false
	limit := &Limit{PersonID: r.PersonID, ProgramID: r.ProgramID, Rule: r.Rule, Window: l.Window, Notify: l.Notify, RewardID: r.ID}
	if l.Start != 0 {
		limit.Start = db.FromMicro(l.Start)
	}
	if l.Amount {
		limit.Amount = l.Cap
	} else {
		limit.Count = l.Cap
	}
	_, err := c.Append(fact.Fact{Type: LimitReached, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: limit})
	return err
}

// maxPromoted is how many refused rewards one that is taken back makes room for at
// once.
const maxPromoted = 100

// giveBack gives back what a reward has taken of a limit, and has the earliest of
// those that it had refused be given instead. Where the window is one that rolls
// that is not done: what was refused then would count against the limit of now.
func (s *Service) giveBack(c *fact.Command, r *Reward) error {
	l := r.limit
	if l == nil {
		return nil
	}
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	key, err := l.key(c.Tenant(), r.zone())
	if err != nil {
		return err
	}
	if err := counter.GiveBack(c.Tx(), key, l.Units); err != nil && !problem.Conflict.Has(err) {
		return err
	}
	if window, err := rule.ParseWindow(l.Window); err != nil || !window.Length.IsZero() {
		return err
	}
	refused, err := selectRefused(c.Tx(), c.Tenant(), l, maxPromoted)
	if err != nil {
		return err
	}
	for _, next := range refused {
		allowed, err := s.retake(c, next)
		if err != nil {
			return err
		}
		if !allowed {
			return nil
		}
		if err := s.promote(c, next); err != nil {
			return err
		}
	}
	return nil
}

// promote gives a reward that a limit had refused.
func (s *Service) promote(c *fact.Command, r *Reward) error {
	how, err := s.next(c, r)
	if err != nil {
		return err
	}
	if err := s.change(c, r, how); err != nil {
		return err
	}
	return s.tellLimit(c, r)
}
