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
	roomMade   bool // others were refused for it, perhaps more than it needed
}

// take counts a reward against its limit, and reports whether it is allowed.
func (s *Service) take(c *fact.Command, r *Reward, a Allowance) (bool, error) {
	at := a.At
	if at.IsZero() {
		at = c.Now()
	}
	r.limit = &taken{Scope: a.Scope, Window: a.Window.String(), At: db.Micro(at), Units: 1, Cap: a.Count, Clamp: a.Clamp, Notify: a.Notify}
	if a.Window.Period != "" {
		r.limit.Start = db.Micro(a.Window.Start(at, r.zone()))
	}
	if a.Count == 0 {
		r.limit.Units, r.limit.Cap, r.limit.Amount = r.Amount, a.Amount, true
	}
	return s.admit(c, r)
}

// admit counts a reward against the limit that it has, in the window that it was asked
// for in, and reports whether it is allowed: be it in the place of others whose causes
// came later.
func (s *Service) admit(c *fact.Command, r *Reward) (bool, error) {
	allowed, err := s.count(c, r)
	if err != nil || allowed || !r.limit.changesPlaces() {
		return allowed, err
	}
	made, err := s.makeRoom(c, r)
	if err != nil || !made {
		return false, err
	}
	r.limit.roomMade = true
	return s.count(c, r)
}

// count counts a reward against its limit where that allows it.
func (s *Service) count(c *fact.Command, r *Reward) (bool, error) {
	if err := c.Tx().Flush(); err != nil {
		return false, err
	}
	l := r.limit
	key, err := l.key(c.Tenant(), r.zone())
	if err != nil {
		return false, err
	}
	fn := counter.Take
	if l.Clamp && l.Amount && r.lot == noLot {
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

// changesPlaces reports whether what the limit allows goes to others when something
// is taken back or comes back.
func (l *taken) changesPlaces() bool {
	window, err := rule.ParseWindow(l.Window)
	return err == nil && window.Length.IsZero() && (!l.Clamp || !l.Amount)
}

// is reports whether two rewards count against one limit in one window.
func (l *taken) is(other *taken) bool {
	return l.Scope == other.Scope && l.Window == other.Window && l.Start == other.Start && l.Amount == other.Amount
}

// makeRoom refuses, after all, rewards whose causes came later than that of another one,
// the last first, if that makes room for it, and reports whether it did.
func (s *Service) makeRoom(c *fact.Command, r *Reward) (bool, error) {
	key, err := r.limit.key(c.Tenant(), r.zone())
	if err != nil {
		return false, err
	}
	used, err := counter.Used(c.Tx(), key)
	if err != nil {
		return false, err
	}
	later, err := selectAllowed(c.Tx(), c.Tenant(), r.limit, r.order, maxPlaces)
	if err != nil {
		return false, err
	}
	var gone []*Reward
	for _, other := range later {
		if used+r.limit.Units <= r.limit.Cap {
			break
		}
		if other.ID == r.ID || other.Fixed || other.Redeemed > 0 || !other.limit.is(r.limit) {
			continue
		}
		used -= other.limit.Units
		gone = append(gone, other)
	}
	if used+r.limit.Units > r.limit.Cap {
		return false, nil
	}
	for _, other := range gone {
		if err := s.refuse(c, other); err != nil {
			return false, err
		}
	}
	return len(gone) > 0, nil
}

// refuse refuses a reward that a limit had allowed.
func (s *Service) refuse(c *fact.Command, r *Reward) error {
	r.State = IsRefused
	if err := s.stopTimers(c, r); err != nil {
		return err
	}
	if err := s.change(c, r, Refused); err != nil {
		return err
	}
	return s.uncount(c, r)
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

// admitted does what follows when a reward is stored that its limit has allowed: it
// tells that this was the last one, if so, and has others be given what room is left.
func (s *Service) admitted(c *fact.Command, r *Reward) error {
	l := r.limit
	if l == nil {
		return nil
	}
	if l.reachedNow {
		l.reachedNow = false
		if err := s.tellLimit(c, r); err != nil {
			return err
		}
	}
	if !l.roomMade || !l.Amount {
		return nil
	}
	l.roomMade = false
	return s.refill(c, l)
}

// tellLimit tells that a reward was the last that its limit allows.
func (s *Service) tellLimit(c *fact.Command, r *Reward) error {
	l := r.limit
	limit := &Limit{PersonID: r.PersonID, ProgramID: r.ProgramID, Rule: r.Rule, Window: l.Window, Notify: l.Notify, RewardID: r.ID}
	if l.Start != 0 {
		limit.Start = db.FromMicro(l.Start)
	}
	if l.Amount {
		limit.Amount = l.Cap
	} else {
		limit.Count = l.Cap
	}
	_, err := c.Append(fact.Fact{Type: LimitReached, Subject: fact.Ref{Kind: LimitSubject, ID: r.ID}, Version: 1, Data: limit})
	return err
}

// maxPlaces is how many rewards change places at once when one is taken back or comes
// back.
const maxPlaces = 100

// giveBack gives back what a reward has taken of a limit, and has the earliest of
// those that it had refused be given instead.
func (s *Service) giveBack(c *fact.Command, r *Reward) error {
	if r.limit == nil {
		return nil
	}
	if err := s.uncount(c, r); err != nil || !r.limit.changesPlaces() {
		return err
	}
	return s.refill(c, r.limit)
}

// uncount gives back what a reward has taken of a limit.
func (s *Service) uncount(c *fact.Command, r *Reward) error {
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	key, err := r.limit.key(c.Tenant(), r.zone())
	if err != nil {
		return err
	}
	if err := counter.GiveBack(c.Tx(), key, r.limit.Units); err != nil && !problem.Conflict.Has(err) {
		return err
	}
	return nil
}

// refill has what a limit had refused be given as far as there is room now, the earliest
// first.
func (s *Service) refill(c *fact.Command, of *taken) error {
	refused, err := selectRefused(c.Tx(), c.Tenant(), of, maxPlaces)
	if err != nil {
		return err
	}
	for _, next := range refused {
		if !next.limit.is(of) {
			continue
		}
		// What was done for the one before may have changed it.
		if next, err = selectReward(c.Tx(), c.Tenant(), next.ID); err != nil {
			return err
		}
		if next.State != IsRefused {
			continue
		}
		allowed, err := s.admit(c, next)
		switch {
		case err != nil:
			return err
		case allowed:
			if err := s.promote(c, next); err != nil {
				return err
			}
		case !of.Amount: // there is no room for any other either
			return nil
		}
	}
	return nil
}

// promote gives a reward that a limit had refused.
func (s *Service) promote(c *fact.Command, r *Reward) error {
	how := Reinstated
	var err error
	if r.AvailableAt.IsZero() {
		how, err = s.next(c, r)
	} else {
		err = s.comeBack(c, r)
	}
	if err != nil {
		return err
	}
	if err := s.change(c, r, how); err != nil {
		return err
	}
	return s.admitted(c, r)
}
