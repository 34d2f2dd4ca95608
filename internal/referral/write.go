package referral

import (
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
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
	of, err := s.ProgramOf(c.Tx(), c.Tenant(), r.ProgramID)
	if err != nil || s.messages == nil || !of.Settings.writes() {
		return err
	}
	referred, err := personNow(c, r.ReferredID)
	if err != nil {
		return err
	}
	return s.write(c, r.ReferrerID, letter{what: what, values: message.Values{
		"referredUser": personValues(referred, nil), "program": programValues(of),
		"referral": map[string]any{"id": r.ID.String(), "dateReferralStarted": r.StartedAt.UnixMilli()},
	}})
}

// writeReward tells the referred person of a reward.
func (s *Service) writeReward(c *fact.Command, r *reward.Reward) error {
	if s.messages == nil || r.Audience != rule.Referred || r.ProgramID.IsZero() {
		return nil
	}
	of, err := s.ProgramOf(c.Tx(), c.Tenant(), r.ProgramID)
	if problem.NotFound.Has(err) || err == nil && !of.Settings.writes() {
		return nil
	}
	if err != nil {
		return err
	}
	return s.write(c, r.PersonID, letter{what: message.ReferredRewardEarned, values: message.Values{
		"reward": rewardValues(r), "program": programValues(of),
	}})
}

// writeLimit tells the referrer that a limit was reached.
func (s *Service) writeLimit(c *fact.Command, l *reward.Limit) error {
	if s.messages == nil || l.ProgramID.IsZero() {
		return nil
	}
	of, err := s.ProgramOf(c.Tx(), c.Tenant(), l.ProgramID)
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
	return s.write(c, l.PersonID, letter{what: message.RewardLimitReached, limit: limit, values: message.Values{
		"referralRewardLimit": limit, "program": programValues(of),
	}})
}

// letter is a message to be rendered.
type letter struct {
	what   message.Type
	values message.Values
	limit  int64
}

// write renders a message, keeps it, and tells of it.
func (s *Service) write(c *fact.Command, to id.ID, l letter) error {
	recipient, err := personNow(c, to)
	if err != nil || recipient.IsDeleted() {
		return err
	}
	shown, err := s.codesNow(c, to)
	if err != nil {
		return err
	}
	l.values["user"] = personValues(recipient, shown)
	rendered, err := s.messages.Render(c.Tx(), message.Request{Tenant: c.Tenant(), Locale: recipient.Locale, Type: l.what, Values: l.values})
	if err != nil {
		return err
	}
	m := message.Message{
		ID: id.New(c.Tx().Now()), TenantID: c.Tenant(), PersonID: to, Type: l.what, Subject: rendered.Subject, Message: rendered.Message,
		CreatedAt: c.Now(), Cause: c.Cause(),
	}
	if err := message.Record(c.Tx(), &m); err != nil {
		return err
	}
	_, err = c.Append(fact.Fact{
		Type: MessageSent, Subject: fact.Ref{Kind: MessageSubject, ID: m.ID}, Version: 1,
		Data: &Message{m.ID, to, string(l.what), m.Subject, m.Message, l.limit},
	})
	return err
}

func personValues(p *person.Person, shown []Code) map[string]any {
	values := map[string]any{
		"id": p.Key, "accountId": p.Account, "firstName": p.FirstName, "lastName": p.LastName, "email": p.Email, "imageUrl": p.ImageURL,
		"locale": p.Locale,
	}
	if len(shown) > 0 {
		values["referralCode"] = shown[0].Text
	}
	if len(p.Fields) > 0 {
		values["customFields"] = p.Fields
	}
	return values
}

func programValues(of Running) map[string]any { return map[string]any{"id": of.Key, "name": of.Name} }

// rewardValues are what a message says of a reward.
func rewardValues(r *reward.Reward) map[string]any {
	values := map[string]any{"name": RewardName(r), "value": r.Amount, "unit": r.Unit, "dateGiven": r.GivenAt.UnixMilli()}
	if !r.ExpiresAt.IsZero() {
		values["dateExpires"] = r.ExpiresAt.UnixMilli()
	}
	return values
}

// forgotten removes what was written to somebody.
func (s *Service) forgotten(c *fact.Command, of id.ID) error {
	if err := forget(c.Tx(), c.Tenant(), of); err != nil {
		return err
	}
	if err := attribution.Forget(c.Tx(), c.Tenant(), of); err != nil {
		return err
	}
	page := message.Page{Limit: 200}
	for {
		written, err := message.List(c.Tx(), c.Tenant(), of, page)
		if err != nil {
			return err
		}
		if len(written) == 0 {
			return message.Forget(c.Tx(), c.Tenant(), of)
		}
		for _, m := range written {
			if err := fact.Redact(c.Tx(), c.Tenant(), m.ID); err != nil {
				return err
			}
		}
		page.Before = written[len(written)-1].ID
	}
}
