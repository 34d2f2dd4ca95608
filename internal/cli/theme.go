package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// themeCommands are about what messages say.
type themeCommands struct {
	Status    themeStatus       `cmd:"" help:"Show which version is in use, and how the latest publication went."`
	Publish   themePublish      `cmd:"" help:"Bring the draft into use, once all of it could be rendered."`
	Variables variablesCommands `cmd:"" help:"Show and change the variables of the draft."`
	Template  templateCommands  `cmd:"" help:"Show, change and try the templates of the draft."`
	Schema    schemaCommands    `cmd:"" help:"Show and replace the description of the variables."`
}

// localeFlag chooses a locale of the theme.
type localeFlag struct {
	Locale string `placeholder:"LOCALE" help:"Such as de or en_GB; what is for everybody unless said otherwise."`
}

type themeStatus struct {
	output
	tenantConnection
}

// Run shows the status.
func (c *themeStatus) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	status, err := api.ThemeStatus(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(status)
	}
	s := newSheet(e.out)
	if status.Version == "" {
		status.Version = "the built-in theme"
	}
	s.field("version", status.Version)
	for _, locale := range status.Locales {
		if locale == "" {
			locale = "for everybody"
		}
		s.field("draft", locale)
	}
	for _, entry := range status.Log {
		s.field(when(entry.At), entry.Message)
	}
	return nil
}

type themePublish struct {
	output
	tenantConnection
}

// Run publishes the draft.
func (c *themePublish) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	version, err := api.PublishTheme(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(map[string]string{"version": version})
	}
	fmt.Fprintf(e.out, "Version %s is being tried.\n", version)
	e.note("To see how that ends: grapevine theme status")
	return nil
}

// variablesCommands are about the variables of the draft.
type variablesCommands struct {
	Show   variablesShow   `cmd:"" aliases:"get" help:"Show the variables that are set for a locale."`
	Set    variablesSet    `cmd:"" help:"Change the variables that are given; null removes one."`
	Delete variablesDelete `cmd:"" help:"Remove a locale, its variables and templates, from the draft."`
}

type variablesShow struct {
	localeFlag
	tenantConnection
}

// Run shows variables.
func (c *variablesShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	variables, err := api.ThemeVariables(e.ctx, c.Locale)
	return e.indented(variables, err)
}

type variablesSet struct {
	Variables string `arg:"" help:"A JSON object, a file that has one (@FILE), or - for the standard input."`
	Replace   bool   `help:"Remove what is not given."`
	localeFlag
	tenantConnection
}

// Run sets variables.
func (c *variablesSet) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	variables, err := e.readJSON("the variables", c.Variables)
	if err != nil {
		return err
	}
	set := api.ChangeThemeVariables
	if c.Replace {
		set = api.SetThemeVariables
	}
	variables, err = set(e.ctx, c.Locale, variables)
	return e.indented(variables, err)
}

type variablesDelete struct {
	Locale string `arg:"" help:"Such as de or en_GB."`
	confirmation
	tenantConnection
}

// Run removes a locale.
func (c *variablesDelete) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, "This removes the variables and templates for "+c.Locale+" from the draft."); err != nil {
		return err
	}
	if err := api.DeleteThemeLocale(e.ctx, c.Locale); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Removed %s.\n", c.Locale)
	return nil
}

// indented shows JSON so that it can be changed and given back.
func (e *env) indented(document json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	var text bytes.Buffer
	if err := json.Indent(&text, document, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.out, text.String())
	return err
}

// templateCommands are about the templates of the draft.
type templateCommands struct {
	Show    templateShow    `cmd:"" aliases:"get" help:"Show a template."`
	Set     templateSet     `cmd:"" help:"Replace a template."`
	Preview templatePreview `cmd:"" help:"Show a message that the draft makes with sample values."`
	Delete  templateDelete  `cmd:"" help:"Remove a template: that for everybody, or the built-in one, is used there."`
}

// templateArgument names a template.
type templateArgument struct {
	Type string `arg:"" help:"referral_started, referral_paid, referred_reward_earned or reward_limit_reached."`
	localeFlag
}

type templateShow struct {
	templateArgument
	output
	tenantConnection
}

// Run shows a template.
func (c *templateShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	t, err := api.Template(e.ctx, c.Type, c.Locale)
	return c.showTemplate(e, t, err)
}

func (o output) showTemplate(e *env, t client.Template, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(t)
	}
	s := newSheet(e.out)
	s.field("subject", t.Subject)
	s.field("format", t.Format)
	fmt.Fprintln(e.out)
	for line := range strings.Lines(t.Message) {
		fmt.Fprintln(e.out, printable(strings.TrimRight(line, "\r\n")))
	}
	return nil
}

type templateSet struct {
	templateArgument
	Subject string `required:"" placeholder:"TEXT" help:"The subject's template."`
	Message string `required:"" placeholder:"TEXT" help:"The message's template, a file that has it (@FILE), or - for the standard input."`
	Format  string `enum:",html,text" default:"" placeholder:"FORMAT" help:"html or text; html unless said otherwise."`
	output
	tenantConnection
}

// Run sets a template.
func (c *templateSet) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	text, err := e.read(c.Message)
	if err != nil {
		return usagef("the message: %v", err)
	}
	t, err := api.SetTemplate(e.ctx, c.Type, c.Locale, client.Template{Subject: c.Subject, Message: string(text), Format: c.Format})
	return c.showTemplate(e, t, err)
}

type templatePreview struct {
	templateArgument
	output
	tenantConnection
}

// Run shows a message of samples.
func (c *templatePreview) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	made, err := api.PreviewTemplate(e.ctx, c.Type, c.Locale)
	return c.showTemplate(e, client.Template(made), err)
}

type templateDelete struct {
	templateArgument
	tenantConnection
}

// Run removes a template.
func (c *templateDelete) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := api.ResetTemplate(e.ctx, c.Type, c.Locale); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Removed the template for %s.\n", c.Type)
	return nil
}

// schemaCommands are about the description of the variables.
type schemaCommands struct {
	Show schemaShow `cmd:"" aliases:"get" help:"Show what variables there are."`
	Set  schemaSet  `cmd:"" help:"Describe the variables anew."`
}

type schemaShow struct{ tenantConnection }

// Run shows the schema.
func (c *schemaShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	schema, err := api.ThemeSchema(e.ctx)
	return e.indented(schema, err)
}

type schemaSet struct {
	Schema string `arg:"" help:"A JSON Schema, a file that has one (@FILE), or - for the standard input."`
	tenantConnection
}

// Run replaces the schema.
func (c *schemaSet) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	schema, err := e.readJSON("the schema", c.Schema)
	if err != nil {
		return err
	}
	schema, err = api.SetThemeSchema(e.ctx, schema)
	return e.indented(schema, err)
}
