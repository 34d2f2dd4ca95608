package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// keyCommands are about the keys of a tenant. They take the operator's key.
type keyCommands struct {
	Create keyCreate `cmd:"" help:"Make a further key for a tenant."`
	List   keyList   `cmd:"" help:"List a tenant's keys, the oldest first, revoked and expired ones too."`
	Revoke keyRevoke `cmd:"" help:"End a key at once."`
	Roll   keyRoll   `cmd:"" help:"Replace a key by a new one of the same dialect, with the same name and scopes."`
}

// keyConnection is a connection for the keys of a tenant.
type keyConnection struct {
	connection
	Tenant string `required:"" env:"GRAPEVINE_TENANT" placeholder:"TENANT" group:"connection" help:"Whose keys: a tenant's id or alias."`
}

// find returns the operator's client and the tenant's id.
func (c keyConnection) find(e *env) (*client.Client, string, error) {
	return tenantArgument{c.Tenant}.find(e, c.connection)
}

type keyCreate struct {
	Dialect string         `placeholder:"NAME" help:"Whose API it opens: saasquatch, referralloop, rehook or partnerstack. Grapevine's own, if this is not given. Of saasquatch the newest key signs what is sent."`
	Value   string         `placeholder:"@FILE" help:"Keep this key of the dialect instead of making one: read it from a file, or from the standard input (-). Never the key itself, which everybody on the machine would see."`
	Name    string         `placeholder:"NAME" help:"What people know it by."`
	Scope   []client.Scope `required:"" enum:"read,publish,manage" placeholder:"SCOPE" help:"What it is good for: read, publish or manage; repeatable. None includes another."`
	Expires *deadline      `placeholder:"TIME" help:"When it ends: a time, or a distance such as 90d. Never, if this is not given."`
	output
	keyConnection
}

// Validate refuses a key on the command line, without repeating it.
func (c *keyCreate) Validate() error {
	switch {
	case c.Value != "" && c.Value != "-" && !strings.HasPrefix(c.Value, "@"):
		return usagef("--value takes - for the standard input or @FILE, not the key itself, which everybody on the machine could read")
	case c.Value != "" && c.Dialect == "":
		return usagef("--value goes with --dialect: Grapevine's own keys are made here")
	}
	return nil
}

// Run makes a key and shows it, this once.
func (c *keyCreate) Run(e *env) error {
	value, err := c.given(e)
	if err != nil {
		return err
	}
	api, tenant, err := c.find(e)
	if err != nil {
		return err
	}
	n := client.NewKey{Dialect: c.Dialect, Value: value, Name: c.Name, Scopes: c.Scope}
	if c.Expires != nil {
		n.ExpiresAt = c.Expires.UTC()
	}
	made, err := api.CreateKey(e.ctx, tenant, n)
	if err != nil {
		return err
	}
	return c.showMade(e, made)
}

// given reads the key that is kept, if there is one.
func (c *keyCreate) given(e *env) (string, error) {
	if c.Value == "" {
		return "", nil
	}
	text, err := e.read(c.Value)
	if errors.Is(err, context.Canceled) {
		return "", err
	}
	if err != nil {
		return "", usagef("--value: %v", err)
	}
	value := strings.TrimSpace(string(text))
	if value == "" {
		return "", usagef("--value: there is nothing to read")
	}
	return value, nil
}

func (o output) showMade(e *env, made client.CreatedKey) error {
	if o.JSON {
		return e.document(made)
	}
	s := newSheet(e.out)
	s.field("id", made.ID)
	s.field("dialect", made.Dialect)
	s.field("name", made.Name)
	s.field("scopes", scopes(made.Scopes))
	if !made.ExpiresAt.IsZero() {
		s.field("expires", when(made.ExpiresAt))
	}
	if made.Dialect != "" {
		newSheet(e.out).painted("key", cell{made.APIKey, bold})
		e.note("\nKeep the key now: it is not shown again. It opens the API of %s.", made.Dialect)
		return nil
	}
	showNewKey(e, made.APIKey)
	return nil
}

func scopes(list []client.Scope) string {
	words := make([]string, len(list))
	for i, scope := range list {
		words[i] = string(scope)
	}
	return strings.Join(words, ",")
}

type keyList struct {
	listing
	keyConnection
}

// Run lists keys.
func (c *keyList) Run(e *env) error {
	api, tenant, err := c.find(e)
	if err != nil {
		return err
	}
	now := time.Now()
	return list[client.Key]{
		get:    func(p client.Page) (client.List[client.Key], error) { return api.Keys(e.ctx, tenant, p) },
		widths: []int{28, 14, 12, 19, 27}, header: []string{"ID", "BEGINS", "DIALECT", "SCOPES", "STATE", "NAME"},
		row: func(k client.Key) []cell {
			return []cell{{k.ID, plain}, {k.Hint, plain}, {cmp.Or(k.Dialect, "-"), plain}, {scopes(k.Scopes), plain}, keyState(k, now), {k.Name, plain}}
		},
	}.show(e, c.listing)
}

// keyState says whether a key is accepted.
func keyState(k client.Key, now time.Time) cell {
	switch {
	case !k.RevokedAt.IsZero():
		return cell{"revoked " + when(k.RevokedAt), red}
	case !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt):
		return cell{"expired " + when(k.ExpiresAt), red}
	case !k.ExpiresAt.IsZero():
		return cell{"until " + when(k.ExpiresAt), yellow}
	}
	return cell{"valid", green}
}

type keyRevoke struct {
	Key string `arg:"" help:"The key's id (key_…), not the key itself."`
	confirmation
	keyConnection
}

// Run ends a key.
func (c *keyRevoke) Run(e *env) error {
	api, tenant, err := c.find(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("Whoever uses the key %s is refused from now on.", c.Key)); err != nil {
		return err
	}
	if err := api.RevokeKey(e.ctx, tenant, c.Key); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Revoked %s.\n", c.Key)
	return nil
}

// Validate refuses a key where its id is meant, without repeating it.
func (c *keyRevoke) Validate() error { return notAKeyItself(c.Key) }

func notAKeyItself(id string) error {
	if !strings.HasPrefix(id, "key_") {
		return usagef("this takes the id of a key (key_…), not the key itself: 'grapevine key list' shows the ids, with how each key begins")
	}
	return nil
}

type keyRoll struct {
	Key     string         `arg:"" help:"The key's id (key_…), not the key itself."`
	Overlap *time.Duration `placeholder:"TIME" help:"For how long the old key goes on, such as 1h, at most 168h; a day unless said otherwise."`
	output
	keyConnection
}

// Validate refuses a key where its id is meant, without repeating it.
func (c *keyRoll) Validate() error { return notAKeyItself(c.Key) }

// Run replaces a key and shows the new one, this once.
func (c *keyRoll) Run(e *env) error {
	api, tenant, err := c.find(e)
	if err != nil {
		return err
	}
	made, err := api.RollKey(e.ctx, tenant, c.Key, c.Overlap)
	if err != nil {
		return err
	}
	return c.showMade(e, made)
}
