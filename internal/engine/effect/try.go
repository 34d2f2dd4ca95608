package effect

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Trial is something on which rules are tried out.
type Trial struct {
	Program *program.Program
	Rules   *rule.Set
	Of      Happening // with its times
}

// Tried is what came of one rule, asked of one part that the person has.
type Tried struct {
	rule.Result

	Part Part
	To   id.ID // who would get what the rule gives; zero: nobody
	// GaveEarlier says that the rule gives once and has done so because of something
	// earlier: it would not give again.
	GaveEarlier bool
	// Limit is how the limit stands that a reward counts against; nil: there is none.
	Limit *reward.Room
}

// Try returns what each rule that listens to what happened would do, and why, and
// does none of it. Whether the program runs, and whether the person takes part in any,
// is not asked, and limits are not counted, but told of.
func (e *Engine) Try(q db.Queryer, t Trial) ([]Tried, error) {
	parts, err := e.parts(q, t.Program, t.Of)
	if err != nil {
		return nil, err
	}
	var tried []Tried
	for i, of := range parts {
		in := of.Input(q, t.Of)
		in.Thorough = true
		results, err := of.Evaluate(t.Rules, in, t.Of)
		if err != nil {
			return nil, err
		}
		for _, result := range results {
			if i > 0 && result.Rule.Actor != of.Role { // it was asked in the first part
				continue
			}
			one, err := e.try(q, Gift{Of: of, For: t.Of, Rule: result.Rule, Effect: result.Effect}, result)
			if err != nil {
				return nil, err
			}
			tried = append(tried, one)
		}
	}
	return tried, nil
}

func (e *Engine) try(q db.Queryer, g Gift, result rule.Result) (Tried, error) {
	tried := Tried{Result: result, Part: g.Of}
	to, ok := g.Of.Beneficiary(g.Rule.To)
	if !ok || !result.Matched {
		return tried, nil
	}
	tried.To, g.To = to, to
	if g.Effect.Kind == "" {
		return tried, nil
	}
	giver := e.giver(g.Of, g.Effect.Kind)
	var err error
	if g.Effect.Once {
		if tried.GaveEarlier, err = giver.GaveEarlier(q, g); err != nil {
			return tried, err
		}
	}
	if _, isReward := giver.(rewards); isReward {
		tried.Limit, err = reward.RoomFor(q, g.Of.Program.TenantID, g.award())
	}
	return tried, err
}
