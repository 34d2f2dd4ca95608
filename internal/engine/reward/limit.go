package reward

import (
	"math"
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
	if a.At.IsZero() {
		a.At = c.Now()
	}
	r.limit = a.of(r)
	return s.admit(c, r)
}

// of is what a reward would take of the limit. At is given.
func (a Allowance) of(r *Reward) *taken {
	l := &taken{Scope: a.Scope, Window: a.Window.String(), At: db.Micro(a.At), Units: 1, Cap: a.Count, Clamp: a.Clamp, Notify: a.Notify}
	if a.Window.Period != "" {
		l.Start = db.Micro(a.Window.Start(a.At, r.zone()))
	}
	if a.Count == 0 {
		l.Units, l.Cap, l.Amount = r.Amount, a.Amount, true
	}
	return l
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
	if l.Clamp && l.Amount && r.lot == noLot && r.Redeemed == 0 {
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
	gone, err := movable(c, r, used+r.limit.Units-r.limit.Cap)
	if err != nil || len(gone) == 0 {
		return false, err
	}
	for _, other := range gone {
		// What was done for the one before may have changed it.
		if other, err = selectReward(c.Tx(), c.Tenant(), other.ID); err != nil {
			return false, err
		}
		if err := s.refuse(c, other); err != nil {
			return false, err
		}
	}
	return true, nil
}

// movable returns what the limit of a reward has allowed because of what happened later,
// the last first, until that is so many units; nil: there are not as many.
func movable(c *fact.Command, r *Reward, units int64) ([]*Reward, error) {
	var found []*Reward
	part := allowances{of: r.limit, after: r.order, limit: maxPlaces}
	for {
		later, err := selectAllowed(c.Tx(), c.Tenant(), part)
		if err != nil || len(later) == 0 {
			return nil, err
		}
		for _, other := range later {
			part.before = other
			if !other.yields(r.limit) {
				continue
			}
			found, units = append(found, other), units-other.limit.Units
			if units <= 0 {
				return found, nil
			}
		}
	}
}

// yields reports whether what the reward takes of a limit may go to one whose cause came
// earlier.
func (r *Reward) yields(of *taken) bool {
	return !r.Fixed && r.Redeemed == 0 && r.State != IsRedeemed && r.limit.is(of)
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
		length := window.Length.After(epoch, time.UTC).Sub(epoch)
		key.Window = counter.RollingBy(length, func(until time.Time) time.Time { return window.Length.Before(until, zone) })
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
	return s.refill(c, r)
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

// maxPlaces is how many rewards are looked at, at a time, that may change places.
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
	return s.refill(c, r)
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

// refill has what the limit of a reward had refused be given as far as there is room
// now, the earliest first.
func (s *Service) refill(c *fact.Command, r *Reward) error {
	part := refusals{of: r.limit, limit: maxPlaces}
	for {
		var err error
		if part.used, err = leastUsed(c, r, part.after); err != nil {
			return err
		}
		refused, err := selectRefused(c.Tx(), c.Tenant(), part)
		if err != nil || len(refused) == 0 {
			return err
		}
		for _, next := range refused {
			part.after = next
			if !next.limit.is(r.limit) || next.limit.fits() < part.used {
				continue
			}
			given, err := s.giveAfterAll(c, next.ID)
			switch {
			case err != nil:
				return err
			case given:
				if part.used, err = leastUsed(c, r, next); err != nil {
					return err
				}
			case !r.limit.Amount: // there is no room for any other either
				return nil
			}
		}
	}
}

// leastUsed returns how much is used at least of a reward's limit, whatever makes room
// for those that it has refused after one of them; nil: for all of them.
func leastUsed(c *fact.Command, r, after *Reward) (int64, error) {
	if err := c.Tx().Flush(); err != nil {
		return 0, err
	}
	key, err := r.limit.key(c.Tenant(), r.zone())
	if err != nil {
		return 0, err
	}
	used, err := counter.Used(c.Tx(), key)
	if err != nil {
		return 0, err
	}
	part := allowances{of: r.limit, limit: maxPlaces}
	if after != nil {
		part.after = after.order
	}
	later, err := selectAllowed(c.Tx(), c.Tenant(), part)
	if len(later) == maxPlaces { // and perhaps all of it goes to others
		return math.MinInt64, err
	}
	for _, other := range later {
		if other.yields(r.limit) {
			used -= other.limit.Units
		}
	}
	return used, err
}

// fits is the most that may be used for as much to be allowed; nil: 0.
func (l *taken) fits() int64 {
	if l == nil {
		return 0
	}
	return l.Cap - l.Units
}

// giveAfterAll gives what a limit had refused if that allows it now, and reports
// whether it is not refused any more.
func (s *Service) giveAfterAll(c *fact.Command, of id.ID) (bool, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return false, err
	}
	if r.State != IsRefused { // what was done for the one before has changed it
		return true, nil
	}
	allowed, err := s.admit(c, r)
	if err != nil || !allowed {
		return false, err
	}
	return true, s.promote(c, r)
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
