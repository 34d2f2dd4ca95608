package cli

import (
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// factCommands are about what changed in programs.
type factCommands struct {
	List factList `cmd:"" help:"List what changed, the latest first."`
	Show factShow `cmd:"" aliases:"get" help:"Show a fact and, indented, what it led to."`
	Undo factUndo `cmd:"" help:"Take a fact back with what it led to. Undoing that brings everything about again."`
}

type factList struct {
	Subject string `arg:"" optional:"" help:"The id of a person, a referral, a reward or an activity."`
	listing
	tenantConnection
}

// Run lists facts.
func (c *factList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Fact]{
		get:    func(p client.Page) (client.List[client.Fact], error) { return api.Facts(e.ctx, c.Subject, p) },
		widths: []int{28, 19, 28, 6}, header: []string{"ID", "AT", "SUBJECT", "BY", "TYPE"},
		row: func(f client.Fact) []cell {
			return []cell{{f.ID, plain}, {when(f.At), dim}, {f.Subject.ID, plain}, {f.Actor, plain}, factCell(f)}
		},
	}.show(e, c.listing)
}

// factCell shows what a fact says, and whether it holds.
func factCell(f client.Fact) cell {
	if f.UndoneBy != "" {
		return cell{f.Type + " (undone)", yellow}
	}
	return cell{f.Type, plain}
}

// factArgument names a fact.
type factArgument struct {
	ID string `arg:"" help:"The fact's id (fct_…)."`
}

type factShow struct {
	factArgument
	output
	tenantConnection
}

// Run shows a fact.
func (c *factShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	t, err := api.Fact(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(t)
	}
	showFact(newSheet(e.out), t.Fact)
	showEffects(newTable(e.out, 28, 28), t, 0)
	return nil
}

func showFact(s sheet, f client.Fact) {
	s.field("id", f.ID)
	s.painted("type", factCell(f))
	s.field("subject", f.Subject.ID)
	s.field("by", f.Actor)
	s.field("at", when(f.At))
	s.field("cause", f.Cause)
	s.field("undone by", f.UndoneBy)
	s.field("data", excerpt(string(f.Data), 1000))
}

// showEffects shows what a fact led to, each below its cause.
func showEffects(t *table, of client.Trace, depth int) {
	for _, below := range of.Effects {
		what := factCell(below.Fact)
		what.text = strings.Repeat("  ", depth) + what.text
		t.row(cell{below.ID, plain}, cell{below.Subject.ID, plain}, what)
		showEffects(t, below, depth+1)
	}
	if of.More {
		t.row(cell{"… and more", dim})
	}
}

type factUndo struct {
	factArgument
	Reason string `placeholder:"TEXT" help:"Why."`
	Depth  int    `placeholder:"N" help:"How far down it goes: 1 takes back the fact alone, 2 also what it led to at once, and so on; everything unless said otherwise."`
	confirmation
	output
	tenantConnection
}

// Run undoes a fact.
func (c *factUndo) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, "This takes back the fact "+c.ID+" with what it led to."); err != nil {
		return err
	}
	undone, err := api.UndoFact(e.ctx, c.ID, client.Undoing{Reason: c.Reason, Depth: c.Depth})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(undone)
	}
	showFact(newSheet(e.out), undone)
	e.note("To bring it about again: grapevine fact undo %s", undone.ID)
	return nil
}
