package app

import (
	"cmp"
	"net/http"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// withConsole serves the console beside a handler. The console is not inside of
// the API: its pages have paths and errors of their own.
func (a *App) withConsole(cfg config.Server, tenants *tenant.Service, beside http.Handler) (http.Handler, error) {
	var err error
	a.console, err = console.New(console.Options{
		Tenants: tenants, Webhooks: a.webhooks, URL: cmp.Or(cfg.PublicURL, a.URL()), Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/console/", a.console)
	mux.Handle("/", beside)
	return mux, nil
}

// SignInLink returns a link that signs whoever opens it first into the console,
// as the operator. It is good for a quarter of an hour.
func (a *App) SignInLink() string { return a.console.NewLink() }
