package referral

import (
	"crypto/sha256"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// What people are written: the referrer when somebody came and when the referral was
// converted, and when there is nothing more to be had; the referred person when
// there is a reward.

func (s *Service) writeStarted(c *fact.Command, r *Referral) error {
	return s.writeReferrer(c, r, message.ReferralStarted)
}

func (s *Service) writeConverted(c *fact.Command, r *Referral) error {
	return s.writeReferrer(c, r, message.ReferralPaid)
}

func (s *Service) writeReferrer(c *fact.Command, r *Referral, what message.Type) error {
	of, err := s.programNow(c, r.ProgramID)
	if err != nil || s.messages == nil || !of.Settings.writes() {
		return err
	}
	l := letter{what: what, about: r.ID, of: of, referral: r}
	if l.given, err = rewardsNow(c, r); err != nil {
		return err
	}
	if what == message.ReferralPaid {
		l.reward = l.given[ReferrerSide]
	}
	return s.write(c, r.ReferrerID, l)
}

// writeReward tells the referred person of a reward, unless it is the same again in the
// place of one that they were told of.
func (s *Service) writeReward(c *fact.Command, r *reward.Reward) error {
	if s.messages == nil || r.Audience != rule.Referred || r.ProgramID.IsZero() || takesPlace(c, r) {
		return nil
	}
	of, err := s.programNow(c, r.ProgramID)
	if problem.NotFound.Has(err) || err == nil && !of.Settings.writes() {
		return nil
	}
	if err != nil {
		return err
	}
	l := letter{what: message.ReferredRewardEarned, about: r.ID, of: of, reward: r}
	if !r.ReferralID.IsZero() {
		if err := c.Tx().Flush(); err != nil {
			return err
		}
		if l.referral, err = selectReferral(c.Tx(), c.Tenant(), r.ReferralID); err != nil {
			return err
		}
		if l.given, err = rewardsNow(c, l.referral); err != nil {
			return err
		}
	}
	return s.write(c, r.PersonID, l)
}

// takesPlace reports whether the command has taken back a reward that was available,
// because what it was given for was undone, and gives the like of it for something else.
func takesPlace(c *fact.Command, r *reward.Reward) bool {
	return slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool {
		other, ok := f.Data.(*reward.Reward)
		return ok && f.Type == reward.Cancelled && other.CancelReason == reward.ReasonUndone && !other.AvailableAt.IsZero() && other.IsLike(r)
	})
}

// writeLimit tells the referrer that a limit was reached.
func (s *Service) writeLimit(c *fact.Command, l *reward.Limit) error {
	if s.messages == nil || l.ProgramID.IsZero() {
		return nil
	}
	of, err := s.programNow(c, l.ProgramID)
	if problem.NotFound.Has(err) || err == nil && !of.Settings.writes() {
		return nil
	}
	if err != nil {
		return err
	}
	limit := l.Count
	if limit == 0 {
		limit = l.Amount
	}
	return s.write(c, l.PersonID, letter{what: message.RewardLimitReached, about: aboutLimit(l), of: of, limit: limit})
}

// aboutLimit names a window of somebody's limit: it is reached once more if a reward is
// taken back and another one is given.
func aboutLimit(l *reward.Limit) id.ID {
	name := l.ProgramID.String() + "/" + l.Rule + "/" + l.Window + "/" + l.Start.UTC().Format(time.RFC3339Nano)
	if w, err := rule.ParseWindow(l.Window); err == nil && !w.Length.IsZero() { // it rolls, and has no start
		name += "/" + l.RewardID.String()
	}
	sum := sha256.Sum256([]byte(name))
	return id.ID(sum[:len(id.ID{})])
}

// write renders a message, keeps it, and tells of it, unless the same was written
// before.
func (s *Service) write(c *fact.Command, to id.ID, l letter) error {
	recipient, err := person.Now(c, to)
	if err != nil || recipient.IsDeleted() {
		return err
	}
	rendered, err := s.messages.Render(c.Tx(), message.Request{
		Tenant: c.Tenant(), Locale: recipient.Locale, Type: l.what,
		Values: func(needs message.Needs) (message.Values, error) { return s.valuesOf(c, recipient, l, needs) },
	})
	if err != nil {
		return err
	}
	m := message.Message{
		ID: id.New(c.Tx().Now()), TenantID: c.Tenant(), PersonID: to, Type: l.what, Subject: rendered.Subject, Message: rendered.Message,
		CreatedAt: c.Now(), Cause: c.Cause(), About: l.about,
	}
	isNew, err := message.Record(c.Tx(), &m)
	if err != nil || !isNew {
		return err
	}
	written := &Message{ID: m.ID, PersonID: to, Type: string(l.what), Subject: m.Subject, Message: m.Message, Limit: l.limit}
	if rendered.Fallback != nil {
		written.Fallback = rendered.Fallback.Error()
	}
	_, err = c.Append(fact.Fact{Type: MessageSent, Subject: fact.Ref{Kind: MessageSubject, ID: m.ID}, Version: 1, Data: written})
	return err
}
