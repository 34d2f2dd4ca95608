package rule

import (
	"fmt"
	"slices"
	"strings"
)

// World is what there is in a kind of program. A rule that could never act there is
// refused by the path of what keeps it from acting.
type World struct {
	// Roots are what the paths of conditions may begin with.
	Roots []string
	// Amounts are those of them below which there are numbers of which a part can be
	// given.
	Amounts []string
	// Roles are those that somebody may have, beside Self.
	Roles []Role
	// Facts are the types of facts that rules are asked about.
	Facts []string
	// Counted are those of them that conditions can count, in rules about them, and
	// CountedFor the role of the person whose they are, for whom such a rule has to be.
	Counted    []string
	CountedFor Role
	// Reported reports whether somebody can report an activity of a type.
	Reported func(activity string) bool
	// Segments says that people can be in segments.
	Segments bool
	// Unit is that of rewards whose rule names none; "": each rule has to.
	Unit string
}

// maxUnit is how many bytes a unit has that can be stored.
const maxUnit = 64

// roots are what the paths of the rules of a program may begin with.
func (o Options) roots() []string {
	if o.World == nil {
		return allRoots
	}
	return o.World.Roots
}

func (o Options) amountRoots() []string {
	if o.World == nil {
		return allRoots
	}
	return o.World.Amounts
}

// roles returns those of some that somebody may have.
func (o Options) roles(of ...Role) []Role {
	if o.World == nil {
		return of
	}
	return slices.DeleteFunc(of, func(r Role) bool { return r != Self && !slices.Contains(o.World.Roles, r) })
}

// reported reports whether there may be activities of a type, as far as is known.
func (o Options) reported(event string) bool {
	return o.World == nil || o.World.Reported == nil || o.World.Reported(event)
}

// checkWorld refuses what can never come about in the program. A rule with other
// mistakes is left alone.
func (p *parser) checkWorld(f fields, r *Rule) {
	if p.options.World == nil {
		return
	}
	p.checkTypes(f, r)
	if r.UndoOn != nil {
		p.checkReported(f.at("undo_on.event"), r.UndoOn.Event)
	}
	if r.Unless != nil {
		p.checkReported(f.at("unless.event"), r.Unless.Event)
	}
	if r.Actor == Referrer && r.To == Referred {
		f.refuse("to", "can't be known: somebody may have referred many")
	}
	if r.Actor == Referrer && r.Convert {
		f.refuse("convert", "can't be known: somebody may have referred many, and each referral converts by what the referred person does")
	}
	p.checkCounts(f, r)
	p.checkUnit(f, r.Give)
}

// checkTypes looks at what a rule listens to.
func (p *parser) checkTypes(f fields, r *Rule) {
	activities := false
	for i, event := range r.On {
		place := "on"
		if f.isList("on") {
			place = fmt.Sprintf("on[%d]", i)
		}
		reported := p.options.reported(event)
		activities = activities || reported
		if event != "" && !reported && !slices.Contains(p.options.World.Facts, event) {
			f.refuse(place, "is nothing that happens here: it must be an activity that can be reported, or one of %s", strings.Join(p.options.World.Facts, ", "))
		}
	}
	if activities || len(r.On) == 0 {
		return
	}
	if r.UndoOn != nil {
		f.refuse("undo_on", "takes back what an activity led to, and the rule listens to none")
	}
	if r.Give != nil && strings.HasPrefix(r.Give.Amount.Of, "event.") {
		f.refuse("give.amount.of", "has to be in an activity, and the rule listens to none")
	}
}

func (p *parser) checkReported(place, event string) {
	if event != "" && !p.options.reported(event) {
		p.checks.Add(place, "must be an activity that can be reported")
	}
}

// checkUnit looks for the unit of what is given.
func (p *parser) checkUnit(f fields, g *Give) {
	switch {
	case g == nil || g.Kind == "":
	case len(g.Unit) > maxUnit:
		f.refuse("give.unit", "has more than %d bytes", maxUnit)
	case g.lacksUnit() && p.options.World.Unit == "":
		f.refuse("give.unit", "is required, since the program has no unit")
	}
}

// lacksUnit reports whether a unit has to come from the program.
func (g *Give) lacksUnit() bool {
	return g.Unit == "" && (g.Kind == Points || g.Kind == Commission)
}

// LacksUnit returns a rule whose rewards have no unit but the program's. It reports
// whether there is one.
func (s *Set) LacksUnit() (*Rule, bool) {
	i := slices.IndexFunc(s.rules, func(r *Rule) bool { return r.Give != nil && r.Give.lacksUnit() })
	if i < 0 {
		return nil, false
	}
	return s.rules[i], true
}
