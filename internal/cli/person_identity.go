package cli

import (
	"context"
	"fmt"

	"github.com/grapevine-hq/grapevine/client"
)

type personIdentities struct {
	personArgument
	output
	tenantConnection
}

// Run lists identities.
func (c *personIdentities) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	all, err := api.Identities(e.ctx, c.Person)
	return c.showIdentities(e, all, err)
}

func (o output) showIdentities(e *env, all []client.Identity, err error) error {
	if err != nil {
		return err
	}
	table := newTable(e.out, 12)
	for _, as := range all {
		if !o.JSON {
			table.row(cell{as.Scheme, plain}, cell{as.Key, plain})
		} else if err := e.line(as); err != nil {
			return err
		}
	}
	return nil
}

// identityArgument is a person and a name.
type identityArgument struct {
	personArgument
	Scheme string `arg:"" help:"Whose name it is: native, yours; hosted, that of programs' own pages; or a dialect."`
	Key    string `arg:"" help:"The name. Of hosted: an e-mail address. Of saasquatch: the account's id and the user's, each escaped as in a path, with a slash between them."`
}

func (a identityArgument) identity() client.Identity {
	return client.Identity{Scheme: a.Scheme, Key: a.Key}
}

type personLink struct {
	identityArgument
	output
	tenantConnection
}

// Run adds an identity.
func (c *personLink) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	all, err := api.AddIdentity(e.ctx, c.Person, c.identity())
	return c.showIdentities(e, all, err)
}

type personUnlink struct {
	identityArgument
	tenantConnection
}

// Run removes an identity.
func (c *personUnlink) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := api.RemoveIdentity(e.ctx, c.Person, c.identity()); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s is not known as %s any more.\n", c.Person, c.Key)
	return nil
}

// codeCommands are about people's codes.
type codeCommands struct {
	Show    personCode  `cmd:"" aliases:"get" help:"Find out whose code it is."`
	Disable codeDisable `cmd:"" help:"Have nobody be credited for a code any more."`
	Enable  codeEnable  `cmd:"" help:"Take back what 'disable' has done."`
}

type codeArgument struct {
	Code string `arg:"" help:"The code, however it is written."`
	output
	tenantConnection
}

type codeDisable struct{ codeArgument }

// Run disables a code.
func (c *codeDisable) Run(e *env) error { return c.steer(e, (*client.Client).DisableCode) }

type codeEnable struct{ codeArgument }

// Run enables a code.
func (c *codeEnable) Run(e *env) error { return c.steer(e, (*client.Client).EnableCode) }

// steer does something with a code and shows how it then stands.
func (c codeArgument) steer(e *env, do func(*client.Client, context.Context, string) (client.CodeOwner, error)) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	owner, err := do(api, e.ctx, c.Code)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(owner)
	}
	showOwner(newSheet(e.out), owner)
	return nil
}
