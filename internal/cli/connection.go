package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// keyVariable holds a tenant's key, as config.AdminKeyVariable holds the
// operator's. Keys are never flags: everybody on a machine sees its command
// lines.
const keyVariable = "GRAPEVINE_KEY"

// operatorPrefix is how the operator's keys begin.
const operatorPrefix = "gv_admin_"

// connection says which server a command asks, and with whose key.
type connection struct {
	URL     string `name:"url" env:"GRAPEVINE_URL" default:"http://127.0.0.1:8080" placeholder:"URL" group:"connection" help:"The server."`
	KeyFile string `type:"path" placeholder:"FILE" group:"connection" help:"Read the key from this file instead of from GRAPEVINE_KEY or GRAPEVINE_ADMIN_KEY."`
}

// tenantConnection is a connection for what belongs to a tenant.
type tenantConnection struct {
	connection
	Tenant string `env:"GRAPEVINE_TENANT" placeholder:"TENANT" group:"connection" help:"Act for this tenant, named by id or alias, with the operator's key."`
}

// server is which server was asked, with whose key and where that came from, and
// for which tenant if one was named, for messages.
type server struct {
	url, keyOrigin string
	operator       bool
	tenant         string
}

// credential is a key and where it came from.
type credential struct{ key, origin string }

func (c credential) isOperator() bool { return strings.HasPrefix(c.key, operatorPrefix) }

// operator returns a client with the operator's key.
func (c *connection) operator(e *env) (*client.Client, error) {
	given, err := c.givenKey(config.AdminKeyVariable)
	if err != nil {
		return nil, err
	}
	if tenant := os.Getenv(keyVariable); given.key == "" && strings.HasPrefix(tenant, operatorPrefix) {
		given = credential{tenant, keyVariable}
	}
	if given.key == "" {
		return nil, usagef("this takes the operator's key, which the first 'grapevine serve' has shown: put it into %s, or name a file that holds it with --key-file. A demonstration's is in its file, demo.env", config.AdminKeyVariable)
	}
	return c.dial(e, given)
}

// dial returns a client for what belongs to a tenant: with the tenant's key, or
// with the operator's if a tenant is named or there is no other key.
func (c *tenantConnection) dial(e *env) (*client.Client, error) {
	given, err := c.givenKey(keyVariable)
	if err != nil {
		return nil, err
	}
	if admin := os.Getenv(config.AdminKeyVariable); admin != "" && c.KeyFile == "" && (c.Tenant != "" || given.key == "") {
		given = credential{admin, config.AdminKeyVariable}
	}
	switch {
	case given.key == "":
		return nil, usagef("there is no key: put a tenant's key into %s, or the operator's into %s and name the tenant with --tenant. A demonstration's is in its file:  . ./demo.env", keyVariable, config.AdminKeyVariable)
	case given.isOperator() && c.Tenant == "":
		return nil, usagef("the key in %s is the operator's: say with --tenant (or GRAPEVINE_TENANT) which tenant is meant; 'grapevine tenant list' shows them", given.origin)
	case c.Tenant != "":
		e.server.tenant = c.Tenant
		return c.connection.dial(e, given, client.WithTenant(c.Tenant))
	}
	return c.connection.dial(e, given)
}

// givenKey reads the key's file, if one is named, or else the variable.
func (c *connection) givenKey(variable string) (credential, error) {
	if c.KeyFile == "" {
		return credential{os.Getenv(variable), variable}, nil
	}
	text, err := os.ReadFile(c.KeyFile)
	if err != nil {
		return credential{}, usagef("--key-file: %v", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" {
		return credential{}, usagef("--key-file: %s is empty", c.KeyFile)
	}
	return credential{key, c.KeyFile}, nil
}

func (c *connection) dial(e *env, k credential, opts ...client.Option) (*client.Client, error) {
	e.server = server{url: c.URL, keyOrigin: k.origin, operator: k.isOperator(), tenant: e.server.tenant}
	api, err := client.New(c.URL, k.key, opts...)
	if err != nil {
		return nil, usagef("%s (the URL is from --url or GRAPEVINE_URL, the key from %s)", strings.TrimPrefix(err.Error(), "client: "), k.origin)
	}
	return api, nil
}

// tenantID returns the id of a tenant that is named by its id or its alias.
func tenantID(e *env, api *client.Client, named string) (string, error) {
	if _, err := id.Tenant.Parse(named); err == nil {
		return named, nil
	}
	for t, err := range api.AllTenants(e.ctx) {
		if err != nil {
			return "", err
		}
		if t.Alias == named {
			return t.ID, nil
		}
	}
	return "", fmt.Errorf("there is no tenant with that id or alias: %q\n'grapevine tenant list' shows those there are", named)
}
