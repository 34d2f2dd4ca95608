package cli

import (
	"cmp"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// auditCommands are about who changed what.
type auditCommands struct {
	List auditList `cmd:"" help:"List who changed what, the newest first: with the operator's key everything, with a tenant's what is the tenant's."`
}

type auditList struct {
	Action string `placeholder:"ACTION" help:"Entries with this action, such as subscription.updated."`
	Object string `placeholder:"ID" help:"Entries about the thing with this id."`
	Key    string `placeholder:"ID" help:"Entries of whoever had the key with this id (key_…)."`
	Since  moment `placeholder:"TIME" help:"At this time or later: a time, or how long ago, such as 2h or 3d."`
	Until  moment `placeholder:"TIME" help:"Before this time, given in the same way."`
	listing
	connection
	Tenant string `env:"GRAPEVINE_TENANT" placeholder:"TENANT" group:"connection" help:"Only what is this tenant's, named by id or alias; one that was deleted by its id."`
}

// Validate refuses a key where its id is meant, without repeating it.
func (c *auditList) Validate() error {
	if err := c.listing.Validate(); err != nil || c.Key == "" {
		return err
	}
	return notAKeyItself(c.Key)
}

// Run lists entries.
func (c *auditList) Run(e *env) error {
	filter := client.AuditFilter{Action: c.Action, ObjectID: c.Object, ActorKeyID: c.Key, Since: c.Since.Time, Until: c.Until.Time}
	given, err := c.anyKey()
	if err != nil {
		return err
	}
	var opts []client.Option
	if _, malformed := id.Tenant.Parse(c.Tenant); malformed == nil {
		filter.TenantID = c.Tenant
	} else if c.Tenant != "" {
		opts, e.server.tenant = append(opts, client.WithTenant(c.Tenant)), c.Tenant
	}
	api, err := c.dial(e, given, opts...)
	if err != nil {
		return err
	}
	return list[client.AuditEntry]{
		get:    func(p client.Page) (client.List[client.AuditEntry], error) { return api.Audit(e.ctx, filter, p) },
		widths: []int{19, 24, 28, 30, 15}, header: []string{"AT", "ACTION", "OBJECT", "WHO", "FROM", "WHAT CHANGED"},
		row: func(entry client.AuditEntry) []cell {
			return []cell{
				{when(entry.At), dim},
				{entry.Action, plain},
				{entry.ObjectID, plain},
				{actorText(entry.Actor), plain},
				{cmp.Or(entry.Actor.Address, "-"), plain},
				{fieldTexts(entry.Fields), plain},
			}
		},
	}.show(e, c.listing)
}

// anyKey returns the operator's key if there is one, since that sees the most,
// or else a tenant's.
func (c *auditList) anyKey() (credential, error) {
	given, err := c.givenKey(config.AdminKeyVariable)
	if err != nil || given.key != "" {
		return given, err
	}
	if given, err = c.givenKey(keyVariable); err == nil && given.key == "" {
		err = usagef("there is no key: put the operator's into %s, or a tenant's that may manage into %s", config.AdminKeyVariable, keyVariable)
	}
	return given, err
}

// actorText says who it was: what kind, how the key begins, and the way in
// unless that is the API.
func actorText(a client.AuditActor) string {
	words := []string{a.Kind}
	if a.KeyHint != "" {
		words = []string{a.KeyHint + "…"}
	}
	if a.KeyName != "" {
		words = append(words, "("+a.KeyName+")")
	}
	if a.Via != "" && a.Via != "api" {
		words = append(words, "by", a.Via)
	}
	return strings.Join(words, " ")
}

// fieldTexts says what changed, with the values that are shown.
func fieldTexts(fields []client.AuditField) string {
	texts := make([]string, len(fields))
	for i, f := range fields {
		switch {
		case f.Before == "" && f.After == "":
			texts[i] = f.Name
		case f.Before == "":
			texts[i] = f.Name + "=" + f.After
		case f.After == "":
			texts[i] = f.Name + "=" + f.Before + "→-"
		default:
			texts[i] = f.Name + "=" + f.Before + "→" + f.After
		}
	}
	return strings.Join(texts, ", ")
}
