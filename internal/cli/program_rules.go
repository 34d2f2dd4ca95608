package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// ruleCommands are about the rules of programs.
type ruleCommands struct {
	Show     rulesShow     `cmd:"" aliases:"get" help:"Show the rules of a program."`
	Set      rulesSet      `cmd:"" help:"Replace the rules of a program by a new version."`
	Versions rulesVersions `cmd:"" help:"List the versions of a program's rules, the latest first."`
	Validate rulesValidate `cmd:"" help:"Say everything that is wrong with rules, and keep nothing."`
	DryRun   rulesDryRun   `cmd:"" help:"Say what each rule would do about an activity and why, and do none of it."`
}

type rulesShow struct {
	programArgument
	Version int64 `placeholder:"N" help:"Which version; the one that holds unless said otherwise."`
	output
	tenantConnection
}

// Run shows rules.
func (c *rulesShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	set, err := api.Rules(e.ctx, c.Program, c.Version)
	return c.showRules(e, set, err)
}

// showRules writes rules so that they can be changed and given to 'set'.
func (o output) showRules(e *env, set client.RuleSet, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(set)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, set.Rules, "", "  "); err != nil {
		return err
	}
	e.note("Version %d, of %s.", set.Version, when(set.CreatedAt))
	_, err = fmt.Fprintln(e.out, text.String())
	return err
}

// rulesArgument is a list of rules.
type rulesArgument struct {
	Rules string `arg:"" help:"The rules: a JSON list, a file that has one (@FILE), or - for the standard input."`
}

type rulesSet struct {
	programArgument
	rulesArgument
	output
	tenantConnection
}

// Run replaces rules.
func (c *rulesSet) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	rules, err := e.readJSON("the list of rules", c.Rules)
	if err != nil {
		return err
	}
	set, err := api.SetRules(e.ctx, c.Program, rules)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(set)
	}
	fmt.Fprintf(e.out, "Version %d holds.\n", set.Version)
	return nil
}

type rulesVersions struct {
	programArgument
	output
	tenantConnection
}

// Run lists versions.
func (c *rulesVersions) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.RuleSet]{
		get: func(client.Page) (client.List[client.RuleSet], error) {
			sets, err := api.RuleVersions(e.ctx, c.Program)
			return client.List[client.RuleSet]{Data: sets}, err
		},
		widths: []int{7, 19}, header: []string{"VERSION", "CREATED", "RULES"},
		row: func(set client.RuleSet) []cell {
			return []cell{{strconv.FormatInt(set.Version, 10), plain}, {when(set.CreatedAt), dim}, {ruleKeys(set.Rules), plain}}
		},
	}.show(e, listing{output: c.output, All: true})
}

// ruleKeys names the rules of a list.
func ruleKeys(rules json.RawMessage) string {
	var list []struct {
		Key string `json:"key"`
	}
	_ = json.Unmarshal(rules, &list) // what can't be read has no names
	keys := make([]string, len(list))
	for i, rule := range list {
		keys[i] = rule.Key
	}
	return strings.Join(keys, ", ")
}

type rulesValidate struct {
	programArgument
	rulesArgument
	output
	tenantConnection
}

// Run checks rules. It fails where they have mistakes.
func (c *rulesValidate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	rules, err := e.readJSON("the list of rules", c.Rules)
	if err != nil {
		return err
	}
	checked, err := api.ValidateRules(e.ctx, c.Program, rules)
	if err != nil {
		return err
	}
	if c.JSON {
		if err := e.document(checked); err != nil {
			return err
		}
	}
	if !checked.Valid {
		for _, wrong := range checked.Errors {
			if !c.JSON {
				fmt.Fprintf(e.out, "%s: %s\n", printable(wrong.Name), printable(wrong.Message))
			}
		}
		return fmt.Errorf("the rules have %s", plural(len(checked.Errors), "mistake"))
	}
	if !c.JSON {
		fmt.Fprintln(e.out, "The rules are well made.")
	}
	return nil
}

type rulesDryRun struct {
	programArgument
	Activity string  `placeholder:"ID" help:"An activity that was reported (act_…)."`
	Person   string  `placeholder:"PERSON" help:"Or who would do something: an id or external id."`
	Type     string  `placeholder:"TYPE" help:"What that one would do, such as purchase, or what would happen, such as referral.converted."`
	Fields   string  `placeholder:"JSON" help:"Its fields: a JSON object, a file that has one (@FILE), or - for the standard input."`
	At       *moment `placeholder:"TIME" help:"When: a time, or how long ago; now unless said otherwise."`
	Rules    string  `placeholder:"JSON" help:"Rules to try in place of the program's, given in the same way as the fields."`
	output
	tenantConnection
}

// Validate checks that there is one activity to ask about.
func (c *rulesDryRun) Validate() error {
	described := c.Person != "" || c.Type != "" || c.Fields != "" || c.At != nil
	if (c.Activity != "") == described || described && (c.Person == "" || c.Type == "") {
		return usagef("name an activity with --activity, or describe one with --person and --type")
	}
	return nil
}

// Run tries rules.
func (c *rulesDryRun) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	run, err := c.dryRun(e)
	if err != nil {
		return err
	}
	tried, err := api.DryRunRules(e.ctx, c.Program, run)
	if err != nil {
		return err
	}
	if len(tried) == 0 {
		e.note("No rule listens to that.")
	}
	for _, rule := range tried {
		if c.JSON {
			if err := e.line(rule); err != nil {
				return err
			}
			continue
		}
		showTried(newTable(e.out, 3), rule)
	}
	return nil
}

func (c *rulesDryRun) dryRun(e *env) (client.DryRun, error) {
	run := client.DryRun{ActivityID: c.Activity}
	var err error
	if c.Rules != "" {
		if run.Rules, err = e.readJSON("the list of rules", c.Rules); err != nil {
			return run, err
		}
	}
	if c.Activity != "" {
		return run, nil
	}
	run.Activity = &client.DryRunActivity{Person: c.Person, Type: c.Type}
	if c.At != nil {
		run.Activity.OccurredAt = c.At.Time
	}
	if c.Fields != "" {
		run.Activity.Fields, err = e.readJSON("the fields", c.Fields)
	}
	return run, err
}

// showTried shows what came of a rule, and of its condition.
func showTried(t *table, rule client.TriedRule) {
	text := rule.Rule + ": "
	switch {
	case !rule.Matched:
		text += rule.Reason
	case rule.Effect.Kind != "" && rule.PersonID == "":
		text += "there is nobody to give to"
	case rule.GaveBefore:
		text += "it gives once, and has"
	case rule.Limit != nil && rule.Limit.Refuses:
		text += fmt.Sprintf("its limit refuses that: of %d, %d are used", rule.Limit.Cap, rule.Limit.Used)
	case rule.Effect.Kind != "":
		text += fmt.Sprintf("gives %s of %s to %s", amount(rule.Effect.Amount, rule.Effect.Unit), rule.Effect.Kind, rule.PersonID)
	default:
		text += "matches"
	}
	if rule.Matched && rule.Effect.Convert {
		text += ", converts the referral"
	}
	if rule.Matched && rule.Effect.Wait != nil {
		text += fmt.Sprintf(", unless %s happens until %s", rule.Effect.Wait.Event, when(rule.Effect.Wait.Until))
	}
	if rule.Detail != "" {
		text += ": " + rule.Detail
	}
	refused := rule.GaveBefore || rule.Limit != nil && rule.Limit.Refuses
	t.row(verdict(rule.Matched && !refused), cell{text, plain})
	if rule.If != nil {
		showRuleCondition(t, *rule.If, 1)
	}
}

// showRuleCondition shows a condition and, indented, those inside of it.
func showRuleCondition(t *table, o client.RuleCondition, depth int) {
	text := o.Operator
	if o.Left != "" {
		text = strings.TrimSpace(fmt.Sprintf("%s %s %s", o.Left, o.Operator, o.Wanted))
		if len(o.Found) > 0 {
			text += ", found " + string(o.Found)
		}
	}
	if o.Note != "" {
		text += ": " + o.Note
	}
	t.row(verdict(o.Holds), cell{strings.Repeat("  ", depth) + text, plain})
	for _, part := range o.Conditions {
		showRuleCondition(t, part, depth+1)
	}
}
