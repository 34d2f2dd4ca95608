package referral

import (
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// host has the rules of referral programs be run.
type host struct{ s *Service }

var _ effect.Host = host{}

func (host) Kind() string { return KindName }

// Giver returns nil: all that these programs give is rewards.
func (host) Giver(rule.Kind) effect.Giver { return nil }

// Counter returns who counts referrals.
func (host) Counter() effect.Counter { return counter{} }

// Parts returns the referred person's, where there is a referral that had begun and
// not ended, and the referrer's, who had sent somebody. Who has neither is anybody.
func (h host) Parts(q db.Queryer, p *program.Program, of effect.Happening) ([]effect.Part, error) {
	settings, err := h.s.settings.read(p)
	if err != nil {
		return nil, err
	}
	var parts []effect.Part
	r, err := byReferred(q, p.TenantID, p.ID, of.Person)
	switch {
	case err == nil && r.heldAt(of):
		part := effect.Part{
			Role: rule.Referred, Subject: subject{h.s, r}, Since: r.StartedAt, Others: r.others(), Documents: r.documentsAt(of),
		}
		r.counts(&part, of)
		parts = append(parts, part)
	case err != nil && !problem.NotFound.Has(err):
		return nil, err
	}
	refers, err := hasReferred(q, p.TenantID, p.ID, of)
	if err != nil {
		return nil, err
	}
	if refers {
		parts = append(parts, effect.Part{Role: rule.Referrer})
	}
	if len(parts) == 0 {
		parts = append(parts, effect.Part{Role: rule.Self})
	}
	for i := range parts {
		parts[i].Clawback = settings.Clawback
	}
	return parts, nil
}

// Document returns what rules see of a fact: of an account, how it stood.
func (host) Document(f *fact.Fact) (map[string]any, error) {
	raw, err := f.Raw()
	if err != nil || f.Type != person.AccountChanged || len(raw) == 0 {
		return map[string]any{}, err
	}
	var a person.Account
	if err := json.Unmarshal(raw, &a); err != nil || a.Key == "" { // without a key it was forgotten
		return map[string]any{}, err
	}
	return accountDocument(&a), nil
}

// others are who is in a referral besides the referred person.
func (r *Referral) others() map[rule.Role]id.ID {
	return map[rule.Role]id.ID{rule.Referrer: r.ReferrerID}
}

// heldAt reports whether a referral had begun and not ended when something happened.
func (r *Referral) heldAt(h effect.Happening) bool {
	hadEnded := r.State == IsEnded && !h.Received.Before(r.EndedAt)
	switch {
	case h.Activity != nil:
		return !h.Precedes(r.ID) && !r.isBackfill(h) && !hadEnded
	case !h.Again(): // nothing converts it that happened after its end
		return r.State != IsEnded || h.On == Converted && h.Key == r.ID
	case h.Key == r.ID:
		return !hadEnded
	default: // people are there before they are referred
		return h.On != person.Created && !h.Received.Before(r.StartedAt) && !hadEnded
	}
}

// maxEarlier is how long before a referral began something may have occurred that was
// reported after that and counts in it: as long as clocks may differ, so that an order
// counts whose buyer is registered just after it.
const maxEarlier = 24 * time.Hour

// isBackfill reports whether an activity occurred before the referral, whenever it was
// reported.
func (r *Referral) isBackfill(h effect.Happening) bool {
	return h.Activity != nil && h.At.Before(r.StartedAt.Add(-maxEarlier))
}

// documentsAt are what rules see of a referral: where it stood when something happened.
func (r *Referral) documentsAt(h effect.Happening) map[string]any {
	state := r.State
	switch {
	case h.On == Started: // also where that is tried out
		state = IsStarted
	case h.On == Converted:
		state = IsConverted
	case h.Activity != nil:
		state = IsStarted
		if r.isConverted() && h.Follows(r.convertedBy) {
			state = IsConverted
		}
	}
	return map[string]any{"referral": map[string]any{
		"id": ReferralID.Format(r.ID), "state": string(state), "code": r.Code, "method": string(r.Method),
		"started_at": r.StartedAt.UTC().Format(time.RFC3339Nano),
	}}
}

// subject is a referral, as the engine knows it.
type subject struct {
	s *Service
	r *Referral
}

var _ effect.Subject = subject{}

func (of subject) Ref() id.ID { return of.r.ID }

func (of subject) ConvertedBy() id.ID { return of.r.convertedBy }

func (of subject) Convert(c *fact.Command, by id.ID) error { return of.s.convert(c, of.r, by) }

func (of subject) Unconvert(c *fact.Command, reason string) error {
	converted, err := of.s.latest(c, of.r.ID, Converted)
	if err != nil || converted == nil {
		return err
	}
	if _, err := c.Undo(fact.Undoing{Fact: converted.ID, Reason: reason}); err != nil {
		return err
	}
	now, err := selectReferral(c.Tx(), c.Tenant(), of.r.ID)
	if err == nil {
		*of.r = *now
	}
	return err
}

func (of subject) Terms(given *reward.Reward, to *person.Person) reward.Terms {
	return termsOf(of.r, given, to)
}
