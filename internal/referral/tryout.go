package referral

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Tryout is what the rules of a program are tried out on: an activity that was
// reported, one that could be, or a fact that could come about.
type Tryout struct {
	Program  *program.Program
	Rules    json.RawMessage // nil: those that the program has
	Activity id.ID           // one that was reported; zero: New
	Person   id.ID           // who would do New
	New      activity.New    // its type may be that of a fact to which rules listen
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
	// Limit is how the limit stands that what the rule gives counts against; nil: there
	// is none, or nothing is given.
	Limit *reward.Room
}

// Try returns what each rule that listens to the activity would do, and why, and
// does none of it. Whether the program runs is not asked, and limits are not
// counted, but told of. A reported activity is judged with what came in up to it, and by the
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
		if err := t.checkFact(q, h); err != nil {
			return nil, err
		}
		found, err := s.effects.Try(q, effect.Trial{Program: t.Program, Rules: set, Of: h})
		tried := make([]Tried, len(found))
		for i, one := range found {
			tried[i] = Tried{Result: one.Result, Role: one.Part.Role, PersonID: one.To, GaveBefore: one.GaveEarlier, Limit: one.Limit}
			if one.Part.Subject != nil {
				tried[i].ReferralID = one.Part.Subject.Ref()
			}
		}
		return tried, err
	})
}

// happening is the activity that is tried.
func (t Tryout) happening(q db.Queryer) (effect.Happening, error) {
	tenant := t.Program.TenantID
	if !t.Activity.IsZero() {
		a, err := activity.Get(q, tenant, t.Activity)
		if err != nil {
			return effect.Happening{}, err
		}
		return effect.OfActivity(a), nil
	}
	if slices.Contains(listenedTo(), t.New.Type) {
		return t.fact(q)
	}
	a, err := activity.Draft(tenant, t.Person, t.New, time.Now().UTC().Truncate(time.Microsecond))
	if err != nil {
		return effect.Happening{}, err
	}
	h := effect.OfActivity(a)
	h.Key = Page{}.before() // everything was before it
	return h, nil
}

// fact is the fact that is tried, as it would come about at the time.
func (t Tryout) fact(q db.Queryer) (effect.Happening, error) {
	if len(t.New.Fields) > 0 && string(t.New.Fields) != "null" {
		return effect.Happening{}, problem.InvalidField("fields", "belong to activities, and the type is that of a fact")
	}
	at := t.New.OccurredAt.UTC()
	if at.IsZero() {
		at = time.Now().UTC().Truncate(time.Microsecond)
	}
	h := effect.Happening{On: t.New.Type, Person: t.Person, Key: Page{}.before(), At: at, Received: at, Document: map[string]any{}}
	if !isAccountState(h.On) {
		return h, nil
	}
	p, err := person.Get(q, t.Program.TenantID, t.Person)
	if err != nil {
		return effect.Happening{}, err
	}
	if p.Account == "" {
		return effect.Happening{}, problem.InvalidField("type", "is about an account, and the person has none")
	}
	a, err := person.AccountOf(q, t.Program.TenantID, p.Account)
	if err != nil && !problem.NotFound.Has(err) {
		return effect.Happening{}, err
	}
	if err != nil { // nothing is known of it but its key
		a = &person.Account{Key: p.Account}
	}
	a.State = person.State(strings.TrimPrefix(h.On, accountPrefix))
	h.Document = accountDocument(a)
	return h, nil
}

// checkFact refuses to try a fact about a referral where there is none.
func (t Tryout) checkFact(q db.Queryer, h effect.Happening) error {
	if h.On != Started && h.On != Converted {
		return nil
	}
	r, err := byReferred(q, t.Program.TenantID, t.Program.ID, h.Person)
	if err != nil && !problem.NotFound.Has(err) {
		return err
	}
	if err != nil || !r.heldAt(h) {
		return problem.InvalidField("type", "is about a referral, and the person is in none")
	}
	return nil
}
