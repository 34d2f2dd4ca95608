package cli

import (
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

type subscriptionExplain struct {
	subscriptionArgument
	Event   string `placeholder:"ID" help:"An event that was published (evt_…)."`
	Type    string `placeholder:"TYPE" help:"Or the type of one that could be."`
	Data    string `placeholder:"JSON" help:"Its data: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Dialect string `placeholder:"NAME" help:"Whose event it is; standard unless said otherwise."`
	fieldFlags
	output
	tenantConnection
}

// Validate checks that there is one event to ask about.
func (c *subscriptionExplain) Validate() error {
	byID, made := c.Event != "", c.Type != "" && c.Data != ""
	if byID == made || byID && (c.Type != "" || c.Data != "" || c.Dialect != "" || len(c.Field) > 0) {
		return usagef("name an event with --event, or describe one with --type and --data")
	}
	return nil
}

// Run explains whether an event reaches a subscription.
func (c *subscriptionExplain) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	q := client.Question{EventID: c.Event, Type: c.Type, Dialect: c.Dialect}
	if c.Event == "" {
		if q.Fields, err = c.fields(); err != nil {
			return err
		}
		if q.Data, err = e.readJSON("the data", c.Data); err != nil {
			return err
		}
	}
	explained, err := api.Explain(e.ctx, c.ID, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(explained)
	}
	showExplanation(e, explained)
	return nil
}

func showExplanation(e *env, x client.Explanation) {
	table := newTable(e.out, 3)
	table.row(verdict(x.Matches), cell{x.Summary, plain})
	table.row(verdict(x.Dialect.Matches), cell{fmt.Sprintf("dialect %s, of the event %s", x.Dialect.Wanted, x.Dialect.Found), plain})
	for _, p := range x.EventType.Patterns {
		table.row(verdict(p.Matches), cell{fmt.Sprintf("event type %s for %s", p.Pattern, x.EventType.Type), plain})
	}
	if x.Filter != nil {
		showCondition(table, *x.Filter, 0)
	}
	if x.Delivery != nil {
		table.row(cell{"", plain}, cell{"delivery " + x.Delivery.ID + " " + string(x.Delivery.Status), dim})
	}
}

func verdict(holds bool) cell {
	if holds {
		return cell{"yes", green}
	}
	return cell{"no", red}
}

// showCondition shows a condition and, indented, those inside of it.
func showCondition(t *table, o client.ConditionOutcome, depth int) {
	text := o.Operator
	if o.Path != "" {
		text = strings.TrimSpace(fmt.Sprintf("%s %s %s", o.Path, o.Operator, o.Wanted)) + ", found " + o.FoundType
		if len(o.Found) > 0 {
			text += " " + string(o.Found)
		}
	}
	if o.Note != "" {
		text += ": " + o.Note
	}
	t.row(verdict(o.Holds), cell{strings.Repeat("  ", depth) + text, plain})
	for _, part := range o.Conditions {
		showCondition(t, part, depth+1)
	}
}
