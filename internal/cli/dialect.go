package cli

import (
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// dialectCommands are about the products whose webhooks are spoken.
type dialectCommands struct {
	List     dialectList     `cmd:"" help:"List the dialects, the default first."`
	Settings dialectSettings `cmd:"" help:"Show or change what a tenant chooses of a dialect's settings."`
}

type dialectList struct {
	output
	tenantConnection
}

// Run lists dialects.
func (c *dialectList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	dialects, err := api.Dialects(e.ctx)
	if err != nil {
		return err
	}
	return list[client.Dialect]{
		get: func(client.Page) (client.List[client.Dialect], error) {
			return client.List[client.Dialect]{Data: dialects}, nil
		},
		widths: []int{12, 6, 7, 12}, header: []string{"NAME", "SPOKEN", "SIGNS BY", "FIELDS", "SETTINGS"},
		row: func(d client.Dialect) []cell {
			return []cell{{d.Name, plain}, spokenCell(d), {d.Signing, plain}, {orDash(fieldNames(d)), plain}, {orDash(settingNames(d)), plain}}
		},
	}.show(e, listing{output: c.output, All: true})
}

func spokenCell(d client.Dialect) cell {
	if d.Spoken {
		return cell{"yes", green}
	}
	return cell{"no", dim}
}

func fieldNames(d client.Dialect) []string {
	names := make([]string, len(d.Fields))
	for i, f := range d.Fields {
		names[i] = f.Name
	}
	return names
}

func settingNames(d client.Dialect) []string {
	names := make([]string, len(d.Settings))
	for i, s := range d.Settings {
		names[i] = s.Name
	}
	return names
}

// orDash joins words, and stands in for none.
func orDash(words []string) string {
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ",")
}

type dialectSettings struct {
	Dialect string   `arg:"" help:"The dialect's name; 'grapevine dialect list' shows them."`
	Set     []string `sep:"none" placeholder:"NAME=VALUE" help:"Choose a value; repeatable. What is not named stays; without a value a setting goes back to its default."`
	output
	tenantConnection
}

// Run shows the settings, after it has changed them.
func (c *dialectSettings) Run(e *env) error {
	changes, err := c.changes()
	if err != nil {
		return err
	}
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	settings, err := api.DialectSettings(e.ctx, c.Dialect)
	if err != nil {
		return err
	}
	if len(changes) > 0 {
		if settings, err = api.SetDialectSettings(e.ctx, c.Dialect, changed(settings, changes)); err != nil {
			return err
		}
	}
	if c.JSON {
		return e.document(settings)
	}
	showSettings(e, settings)
	return nil
}

// changes reads the flags: the values by the settings' names.
func (c *dialectSettings) changes() (map[string]string, error) {
	changes := make(map[string]string)
	for _, text := range c.Set {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, usagef("--set must be NAME=VALUE, not %q", text)
		}
		if _, twice := changes[name]; twice {
			return nil, usagef("--set names %s twice", name)
		}
		changes[name] = value
	}
	return changes, nil
}

// changed returns what is chosen after the changes. What is as by default is left
// out, so that it goes on following its default.
func changed(settings client.DialectSettings, changes map[string]string) map[string]string {
	chosen := make(map[string]string)
	for _, s := range settings.Settings {
		if s.Value != s.Values[0] {
			chosen[s.Name] = s.Value
		}
	}
	for name, value := range changes {
		chosen[name] = value
		if value == "" {
			delete(chosen, name)
		}
	}
	return chosen
}

func showSettings(e *env, settings client.DialectSettings) {
	if len(settings.Settings) == 0 {
		e.note("There are none.")
		return
	}
	t := newTable(e.out, 20, 10, 20)
	t.row(cell{"NAME", bold}, cell{"VALUE", bold}, cell{"CHOICES", bold}, cell{"MEANING", bold})
	for _, s := range settings.Settings {
		t.row(cell{s.Name, plain}, cell{s.Value, green}, cell{strings.Join(s.Values, ","), plain}, cell{s.Description, dim})
	}
}

// jwksCommands are about the server's own signing keys.
type jwksCommands struct {
	Rotate jwksRotate `cmd:"" help:"Make another key, which signs from now on. Receivers find the old one for 30 days more."`
}

type jwksRotate struct {
	output
	connection
}

// Run makes another key.
func (c *jwksRotate) Run(e *env) error {
	api, err := c.operator(e)
	if err != nil {
		return err
	}
	key, err := api.RotateSigningKey(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(key)
	}
	newSheet(e.out).field("kid", key.ID)
	return nil
}
