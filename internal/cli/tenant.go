package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// tenantCommands are about tenants. They take the operator's key.
type tenantCommands struct {
	Create tenantCreate `cmd:"" help:"Make a tenant, and its first key."`
	List   tenantList   `cmd:"" help:"List the tenants, the oldest first."`
	Show   tenantShow   `cmd:"" help:"Show a tenant."`
	Update tenantUpdate `cmd:"" help:"Give a tenant another alias, other dialects, or a shorter retention."`
	Delete tenantDelete `cmd:"" help:"End a tenant, its keys and its subscriptions."`
}

type tenantCreate struct {
	Alias    string   `arg:"" help:"What it is called: lower-case letters, digits, _ and -."`
	Live     bool     `help:"It is for real, not for tests. This can't be changed."`
	Dialects []string `placeholder:"NAMES" help:"The dialects that it speaks, with commas between. All, if this is not given."`
	output
	connection
}

// Run makes a tenant and shows its key, which is shown this once.
func (c *tenantCreate) Run(e *env) error {
	api, err := c.operator(e)
	if err != nil {
		return err
	}
	made, err := api.CreateTenant(e.ctx, client.NewTenant{Alias: c.Alias, Live: c.Live, Dialects: c.Dialects})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(made)
	}
	showTenant(e, made.Tenant)
	showNewKey(e, made.APIKey)
	return nil
}

// showNewKey shows a key, which nobody can show again.
func showNewKey(e *env, key string) {
	newSheet(e.out).painted("key", cell{key, bold})
	e.note("\nKeep the key now: it is not shown again. The commands read it from a variable:\n  export %s=…", keyVariable)
}

func showTenant(e *env, t client.Tenant) {
	s := newSheet(e.out)
	s.field("id", t.ID)
	s.field("alias", t.Alias)
	s.field("kind", tenantKind(t))
	s.field("dialects", cmp.Or(strings.Join(t.Dialects, ","), allDialects))
	s.field("keeps events", days(t.RetentionDays))
	s.field("keeps bodies", days(t.BodyRetentionDays))
	s.field("created", when(t.CreatedAt))
	s.field("updated", when(t.UpdatedAt))
}

// days shows a retention, and nothing where it is the server's.
func days(n int) string {
	if n == 0 {
		return ""
	}
	return plural(n, "day")
}

func tenantKind(t client.Tenant) string {
	if t.Live {
		return "live"
	}
	return "test"
}

type tenantList struct {
	listing
	connection
}

// Run lists tenants.
func (c *tenantList) Run(e *env) error {
	api, err := c.operator(e)
	if err != nil {
		return err
	}
	return list[client.Tenant]{
		get:    func(p client.Page) (client.List[client.Tenant], error) { return api.Tenants(e.ctx, p) },
		widths: []int{28, 4, 19}, header: []string{"ID", "KIND", "CREATED", "ALIAS"},
		row: func(t client.Tenant) []cell {
			return []cell{{t.ID, plain}, {tenantKind(t), plain}, {when(t.CreatedAt), dim}, {t.Alias, plain}}
		},
	}.show(e, c.listing)
}

// tenantArgument names a tenant.
type tenantArgument struct {
	Tenant string `arg:"" help:"The tenant's id or alias."`
}

type tenantShow struct {
	tenantArgument
	output
	connection
}

// Run shows a tenant.
func (c *tenantShow) Run(e *env) error {
	api, named, err := c.find(e, c.connection)
	if err != nil {
		return err
	}
	t, err := api.Tenant(e.ctx, named)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(t)
	}
	showTenant(e, t)
	return nil
}

// find returns the operator's client and the tenant's id.
func (a tenantArgument) find(e *env, c connection) (*client.Client, string, error) {
	api, err := c.operator(e)
	if err != nil {
		return nil, "", err
	}
	named, err := tenantID(e, api, a.Tenant)
	return api, named, err
}

type tenantUpdate struct {
	tenantArgument
	Alias    *string  `placeholder:"ALIAS" help:"What it is called from now on."`
	Dialects []string `placeholder:"NAMES" help:"The dialects that it speaks from now on, with commas between, or 'all'."`

	RetentionDays     *int `placeholder:"N" help:"For how many days its events are kept; 0: as long as the server keeps them, which is the most."`
	BodyRetentionDays *int `placeholder:"N" help:"For how many days the bodies of events are kept, and what receivers answered."`
	output
	connection
}

// allDialects stands for all that the server speaks.
const allDialects = "all"

// Validate demands a change.
func (c *tenantUpdate) Validate() error {
	if c.Alias == nil && c.Dialects == nil && c.RetentionDays == nil && c.BodyRetentionDays == nil {
		return usagef("there is nothing to change: give --alias, --dialects, --retention-days or --body-retention-days")
	}
	return nil
}

func (c *tenantUpdate) change() client.TenantChange {
	change := client.TenantChange{Alias: c.Alias, RetentionDays: c.RetentionDays, BodyRetentionDays: c.BodyRetentionDays}
	switch {
	case slices.Equal(c.Dialects, []string{allDialects}):
		change.Dialects = &[]string{}
	case c.Dialects != nil:
		change.Dialects = &c.Dialects
	}
	return change
}

// Run changes a tenant.
func (c *tenantUpdate) Run(e *env) error {
	api, named, err := c.find(e, c.connection)
	if err != nil {
		return err
	}
	t, err := api.UpdateTenant(e.ctx, named, c.change())
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(t)
	}
	showTenant(e, t)
	return nil
}

type tenantDelete struct {
	tenantArgument
	confirmation
	connection
}

// Run ends a tenant.
func (c *tenantDelete) Run(e *env) error {
	api, named, err := c.find(e, c.connection)
	if err != nil {
		return err
	}
	t, err := api.Tenant(e.ctx, named)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("This ends the %s tenant %s (%s) with its keys and subscriptions, for good.", tenantKind(t), t.Alias, t.ID)); err != nil {
		return err
	}
	if err := api.DeleteTenant(e.ctx, t.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Deleted %s.\n", t.ID)
	return nil
}
