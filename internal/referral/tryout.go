package referral

import (
	"context"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Tryout is an activity on which the rules of a program are tried out: one that was
// reported, or one that could be.
type Tryout struct {
	Program  *program.Program
	Rules    json.RawMessage // nil: those that the program has
	Activity id.ID           // one that was reported; zero: New
	Person   id.ID           // who would do New
	New      activity.New
}

// Tried is what came of one rule, asked of one part that the person has in the
// program.
type Tried struct {
	rule.Result

	Role       rule.Role
	ReferralID id.ID // in which the person is referred; zero: none
	// PersonID is who would get what the rule gives; zero: nobody, since there is
	// nobody of that role.
	PersonID id.ID
	// GaveBefore says that the rule gives once and has done so because of something
	// earlier: it would not give again.
	GaveBefore bool
}

// Try returns what each rule that listens to the activity would do, and why, and
// does none of it. Whether the program runs is not asked, and limits are not
// counted. A reported activity is judged with what came in up to it, and by the
// rules as they are now.
func (s *Service) Try(ctx context.Context, t Tryout) ([]Tried, error) {
	set := t.Program.Rules
	if t.Rules != nil {
		var err error
		if set, err = s.programs.ReadRules(t.Program, t.Rules); err != nil {
			return nil, err
		}
	}
	return read(ctx, s.db, func(q db.Queryer) ([]Tried, error) {
		h, err := t.happening(q)
		if err != nil {
			return nil, err
		}
		parts, err := s.parts(q, t.Program, h)
		if err != nil {
			return nil, err
		}
		var tried []Tried
		for i, of := range parts {
			found, err := of.try(q, set, h)
			if err != nil {
				return nil, err
			}
			for _, one := range found {
				if i > 0 && one.Rule.Actor != of.role { // it was asked in the first part
					continue
				}
				tried = append(tried, one)
			}
		}
		return tried, nil
	})
}

// happening is the activity that is tried.
func (t Tryout) happening(q db.Queryer) (happening, error) {
	tenant := t.Program.TenantID
	if !t.Activity.IsZero() {
		a, err := activity.Get(q, tenant, t.Activity)
		if err != nil {
			return happening{}, err
		}
		return ofActivity(a), nil
	}
	a, err := activity.Draft(tenant, t.Person, t.New, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return happening{}, err
	}
	h := ofActivity(a)
	h.key = Page{}.before() // everything was before it
	return h, nil
}

func (of part) try(q db.Queryer, set *rule.Set, h happening) ([]Tried, error) {
	in := of.input(q, h)
	in.Thorough = true
	results, err := set.Evaluate(in)
	if err != nil {
		return nil, err
	}
	tried := make([]Tried, len(results))
	for i, result := range results {
		tried[i] = Tried{Result: result, Role: of.role}
		if of.referral != nil {
			tried[i].ReferralID = of.referral.ID
		}
		to, ok := of.beneficiary(result.Rule.To)
		if !ok || !result.Matched {
			continue
		}
		tried[i].PersonID = to
		if result.Effect.Once && result.Effect.Kind != "" {
			if tried[i].GaveBefore, err = of.gaveEarlier(q, h, to, result.Rule); err != nil {
				return nil, err
			}
		}
	}
	return tried, nil
}
