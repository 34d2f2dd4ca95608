package cli

import (
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

type personExplain struct {
	personArgument
	Program  string `placeholder:"PROGRAM" help:"In this program alone, named by key or id."`
	Rule     string `placeholder:"KEY" help:"Of this rule alone."`
	Referral string `placeholder:"ID" help:"Of this referral alone (ref_…)."`
	output
	tenantConnection
}

// Run explains what a person did and did not get.
func (c *personExplain) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	why, err := api.ExplainPerson(e.ctx, c.Person, client.WhyQuestion{Program: c.Program, Rule: c.Rule, Referral: c.Referral})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(why)
	}
	s := sentences{newTable(e.out)}
	s.say(0, plain, why.Sentence)
	for _, p := range why.Programs {
		s.program(p)
	}
	if len(why.ByHand) > 0 {
		s.say(0, bold, "By hand")
	}
	for _, o := range why.ByHand {
		s.outcome(1, o)
	}
	for _, cut := range why.Cut {
		e.note("%s", cut)
	}
	return nil
}

// sentences are an explanation on its way to the output, what follows from one below it.
type sentences struct{ table *table }

func (s sentences) say(depth int, c colour, sentence string) {
	if sentence != "" {
		s.table.row(cell{strings.Repeat("  ", depth) + sentence, c})
	}
}

func (s sentences) program(p client.WhyProgram) {
	s.say(0, bold, fmt.Sprintf("%s (%s)", p.Name, p.Key))
	s.say(1, plain, p.Sentence)
	if p.Attribution != nil {
		s.attribution(1, *p.Attribution)
	}
	for _, r := range p.Referrals {
		s.say(1, bold, r.ID)
		s.say(2, plain, r.Sentence)
		s.attribution(2, r.Attribution)
		s.say(2, plain, r.Moderation.Sentence)
		for _, rule := range r.Rules {
			s.rule(2, rule)
		}
	}
	for _, rule := range p.Rules {
		s.rule(1, rule)
	}
}

func (s sentences) attribution(depth int, a client.WhyAttribution) {
	s.say(depth, plain, a.Sentence)
	for _, passed := range a.Passed {
		s.say(depth+1, dim, passed.Sentence)
	}
}

func (s sentences) rule(depth int, r client.WhyRule) {
	s.say(depth, verdictColour(r.Verdict), r.Rule+": "+r.Verdict)
	s.say(depth+1, plain, r.Sentence)
	for _, o := range r.Outcomes {
		if o.Sentence != r.Sentence {
			s.say(depth+1, plain, o.Sentence)
		}
		s.details(depth+2, o)
	}
}

func (s sentences) outcome(depth int, o client.WhyOutcome) {
	s.say(depth, plain, o.Sentence)
	s.details(depth+1, o)
}

// details are what an outcome rests on.
func (s sentences) details(depth int, o client.WhyOutcome) {
	if o.Reward != nil && o.Reward.Sentence != o.Sentence {
		s.say(depth, plain, o.Reward.Sentence)
	}
	if o.Reward != nil && o.Reward.Limit != nil {
		s.say(depth, plain, o.Reward.Limit.Sentence)
	}
	for _, f := range o.Facts {
		s.say(depth, dim, strings.TrimSpace(f.ID+" "+f.Sentence))
	}
}

func verdictColour(verdict string) colour {
	switch verdict {
	case "given", "converted":
		return green
	case "waiting":
		return yellow
	}
	return plain
}

type personMessages struct {
	personArgument
	listing
	tenantConnection
}

// Run lists messages.
func (c *personMessages) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Message]{
		get:    func(p client.Page) (client.List[client.Message], error) { return api.Messages(e.ctx, c.Person, p) },
		widths: []int{28, 19, 22}, header: []string{"ID", "CREATED", "TYPE", "SUBJECT"},
		row: func(m client.Message) []cell {
			return []cell{{m.ID, plain}, {when(m.CreatedAt), dim}, {m.Type, plain}, {m.Subject, plain}}
		},
	}.show(e, c.listing)
}
