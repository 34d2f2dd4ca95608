package reward

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// The kinds of timers.
const (
	dueTimer     = "reward.due"
	expiresTimer = "reward.expires"
)

// Service gives and takes back rewards. What it does belongs to the command that it
// is given.
type Service struct{}

// New returns a service whose timers and reversals are registered with the log.
func New(log *fact.Log) *Service {
	s := &Service{}
	log.Handle(dueTimer, s.due)
	log.Handle(expiresTimer, s.expire)
	log.Handle(pool.FilledTimer, s.fill)
	log.Ahead(s.ahead)
	given := fact.Reversal{
		May: mayTakeBack,
		Undo: func(c *fact.Command, f *fact.Fact) error {
			return s.onGiven(c, f, func(r *Reward) error { return s.object(c, r, undone) })
		},
		Redo: func(c *fact.Command, f *fact.Fact) error {
			return s.onGiven(c, f, func(r *Reward) error { return s.drop(c, r, undone) })
		},
	}
	log.Reverse(Pending, given)
	log.Reverse(Available, given)
	log.Reverse(Refused, given)
	log.Reverse(Reinstated, given)
	log.Reverse(Cancelled, given)
	return s
}

// Give gives an award, unless it was given before: then it returns that reward as it
// stands, and reports that it is not new. One that was taken back with what caused
// it, which has come about again, is reinstated.
func (s *Service) Give(c *fact.Command, a Award) (*Reward, bool, error) {
	effect := effectKey(a.Effect)
	before, err := selectByEffect(c.Tx(), c.Tenant(), effect)
	if err == nil {
		if !a.Order.IsZero() && a.Order != before.order {
			if err := s.move(c, before, a.Order); err != nil {
				return nil, false, err
			}
		}
		if err := before.joins(c, a); err != nil {
			return nil, false, err
		}
		return before, false, s.giveAgain(c, before)
	}
	if !problem.NotFound.Has(err) {
		return nil, false, err
	}
	r, err := a.reward(c)
	if err != nil {
		return nil, false, err
	}
	r.effect = effect
	return r, true, s.give(c, r, a)
}

// giveAgain has a reward be given by what happens now, if what gave it was undone.
func (s *Service) giveAgain(c *fact.Command, r *Reward) error {
	if r.against&undone == 0 {
		return nil
	}
	if err := s.drop(c, r, undone); err != nil || r.told.IsZero() {
		return err
	}
	r.cause = r.told
	return updateCause(c.Tx(), r)
}

// joins has a reward belong to the referral that it is given in now: what somebody did
// while that had ended was given apart from it, and is given in it when it goes on. So
// what becomes of the reward does not depend on whether it was given before or since.
func (r *Reward) joins(c *fact.Command, a Award) error {
	if a.ReferralID == r.ReferralID && a.Audience == r.Audience {
		return nil
	}
	r.ReferralID, r.Audience = a.ReferralID, a.Audience
	return updateReferral(c.Tx(), r)
}

// move puts a reward at another place among those of its limit: it is given anew there.
func (s *Service) move(c *fact.Command, r *Reward, to id.ID) error {
	if err := s.object(c, r, undone); err != nil {
		return err
	}
	r.order = to
	return updatePlace(c.Tx(), r)
}

// effectKey is how an effect's key is stored: of one length, whatever was put into
// it.
func effectKey(text string) string {
	sum := sha256.Sum256([]byte(text))
	return string(sum[:20])
}

func (a Award) reward(c *fact.Command) (*Reward, error) {
	zone := a.Zone
	if zone == nil {
		zone = time.UTC
	}
	r := &Reward{
		ID: id.New(c.Tx().Now()), TenantID: c.Tenant(), Version: 1, ProgramID: a.ProgramID, Rule: a.Rule, RuleVersion: a.RuleVersion,
		PersonID: a.PersonID, ReferralID: a.ReferralID, Audience: a.Audience, Kind: a.Kind, Amount: a.Amount, Unit: a.Unit, Name: a.Name,
		Source: a.Source, Def: a.Def, Code: a.Code, Details: a.Details, State: IsPending, Held: a.Held, GivenAt: c.Now(), Fixed: a.Fixed,
		ExpiresAt: a.ExpiresAt, order: a.Order, zoneName: zone.String(), clawback: cmp.Or(a.Clawback, ledger.Negative),
	}
	if a.DueAt.After(c.Now()) {
		r.DueAt = a.DueAt
	}
	if !a.Expires.IsZero() {
		r.expires = a.Expires.String()
	}
	if r.order.IsZero() {
		r.order = r.ID
	}
	return r, r.check()
}

// Check returns a problem that names what keeps an award from being given at all.
func (a Award) Check(now time.Time) error {
	r := &Reward{Kind: a.Kind, Amount: a.Amount, Unit: a.Unit, Def: a.Def, Code: a.Code, ExpiresAt: a.ExpiresAt, GivenAt: now}
	return r.check()
}

// MaxAmount bounds a reward, so that sums of many fit.
const MaxAmount = rule.MaxAmount

func (r *Reward) check() error {
	var checks problem.Checks
	switch r.Kind {
	case rule.Credit, rule.Points:
		if r.Amount <= 0 || r.Amount > MaxAmount {
			checks.Add("amount", "must be 1 to %d", MaxAmount)
		}
		if r.Unit == "" || len(r.Unit) > ledger.MaxName {
			checks.Add("unit", "must have 1 to %d bytes", ledger.MaxName)
		}
	case rule.Percent:
		if r.Amount <= 0 || r.Amount > 10_000 {
			checks.Add("amount", "must be 1 to 10000 basis points")
		}
	default:
		if r.Amount < 0 || r.Amount > MaxAmount {
			checks.Add("amount", "must be 0 to %d", MaxAmount)
		}
	}
	if r.lacksCode() && r.Def == "" {
		checks.Add("def", "must name the pool that the code is from")
	}
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(r.GivenAt) {
		checks.Add("expires_at", "must be in the future")
	}
	return checks.Err()
}

// give stores a new reward, as far as a limit allows.
func (s *Service) give(c *fact.Command, r *Reward, a Award) error {
	if a.Limit != nil {
		allowed, err := s.take(c, r, *a.Limit)
		if err != nil {
			return err
		}
		if !allowed {
			r.State = IsRefused
			return s.begin(c, r, Refused)
		}
	}
	how, err := s.next(c, r)
	if err != nil {
		return err
	}
	if err := s.begin(c, r, how); err != nil {
		return err
	}
	return s.admitted(c, r)
}

// next moves a pending reward on if it waits for nothing, and returns the fact that
// says how it stands. A code is taken last, so that nobody has one who is to get
// nothing after all.
func (s *Service) next(c *fact.Command, r *Reward) (string, error) {
	r.State = IsPending
	if r.Held || r.DueAt.After(c.Now()) {
		return Pending, nil
	}
	if coded, err := r.takeCode(c); err != nil || !coded {
		return Pending, err
	}
	r.State, r.AvailableAt = IsAvailable, c.Now()
	if r.expires != "" && r.ExpiresAt.IsZero() {
		r.ExpiresAt = r.expiry()
	}
	return Available, nil
}

// expiry is when a reward ends that is available now.
func (r *Reward) expiry() time.Time {
	d, err := rule.ParseDuration(r.expires)
	if err != nil { // it was read before it was stored
		return time.Time{}
	}
	return d.After(r.AvailableAt, r.zone())
}

// begin stores a reward for the first time, and tells of it.
func (s *Service) begin(c *fact.Command, r *Reward, how string) error {
	f, err := s.tell(c, r, how)
	if err != nil {
		return err
	}
	r.cause = f.ID
	if err := c.Because(f.ID, func() error { return s.follow(c, r) }); err != nil {
		return err
	}
	return insert(c.Tx(), r, c.Now())
}

// change stores a reward that has changed, and tells of it.
func (s *Service) change(c *fact.Command, r *Reward, how string) error {
	r.Version++
	f, err := s.tell(c, r, how)
	if err != nil {
		return err
	}
	if err := c.Because(f.ID, func() error { return s.follow(c, r) }); err != nil {
		return err
	}
	if err := update(c.Tx(), r, c.Now()); err != nil || r.State != IsRedeemed || r.Used() >= r.Amount {
		return err
	}
	return s.reopen(c, r)
}

func (s *Service) tell(c *fact.Command, r *Reward, how string) (*fact.Fact, error) {
	now := *r
	f, err := c.Append(fact.Fact{Type: how, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: &now})
	if err == nil {
		r.told = f.ID
	}
	return f, err
}

// follow books a reward as it stands, and sets its timers.
func (s *Service) follow(c *fact.Command, r *Reward) error {
	if err := s.book(c, r); err != nil {
		return err
	}
	switch {
	case r.State == IsPending && r.DueAt.After(c.Now()):
		return s.set(c, r, dueTimer, r.DueAt)
	case r.State == IsAvailable && !r.ExpiresAt.IsZero() && !r.timed:
		r.timed = true
		return s.set(c, r, expiresTimer, r.ExpiresAt)
	}
	return nil
}

// set has a timer run in the name of the fact that led to it.
func (s *Service) set(c *fact.Command, r *Reward, kind string, at time.Time) error {
	cause, err := json.Marshal(c.Cause())
	if err != nil {
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: kind, DueAt: at, Ref: r.ID, Data: cause})
	return err
}

// causeOf is the fact in whose name a timer was set.
func causeOf(t timer.Timer) id.ID {
	var cause id.ID
	_ = json.Unmarshal(t.Data, &cause) // as set wrote it
	return cause
}

// due makes a reward available whose time has come, unless somebody has still to
// decide: then that makes it available.
func (s *Service) due(c *fact.Command, t timer.Timer) error {
	r, err := selectReward(c.Tx(), c.Tenant(), t.Ref)
	if err != nil || r.State != IsPending || r.DueAt.After(c.Now()) {
		return err
	}
	return c.Because(causeOf(t), func() error { return s.advance(c, r) })
}

// advance makes a pending reward available if it waits for nothing any more.
func (s *Service) advance(c *fact.Command, r *Reward) error {
	how, err := s.next(c, r)
	if err != nil || how == Pending {
		return err
	}
	return s.change(c, r, Available)
}

// expire ends a reward whose time is over.
func (s *Service) expire(c *fact.Command, t timer.Timer) error {
	r, err := selectReward(c.Tx(), c.Tenant(), t.Ref)
	if err != nil || r.State != IsAvailable || r.ExpiresAt.IsZero() || r.ExpiresAt.After(c.Now()) {
		return err
	}
	return c.Because(causeOf(t), func() error {
		r.State = IsExpired
		return s.change(c, r, Expired)
	})
}
