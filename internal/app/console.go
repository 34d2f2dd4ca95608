package app

import (
	"cmp"
	"context"
	"net/http"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// withConsole serves the console beside a handler. The console is not inside of
// the API: its pages have paths and errors of their own.
func (a *App) withConsole(cfg config.Server, tenants *tenant.Service, beside http.Handler) (http.Handler, error) {
	sessions, err := session.New(a.db)
	if err != nil {
		return nil, err
	}
	a.console, err = console.New(console.Options{
		Tenants: tenants, Webhooks: a.webhooks, Audit: a.audit, Sessions: sessions, URL: cmp.Or(cfg.PublicURL, a.URL()), Logger: a.log,
	})
	if err != nil {
		return nil, err
	}
	// By the prefix alone: a mux would redirect the API's callers as well.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/console/"):
			a.console.ServeHTTP(w, r)
		case r.URL.Path == "/console":
			http.Redirect(w, r, "/console/", http.StatusPermanentRedirect)
		default:
			beside.ServeHTTP(w, r)
		}
	}), nil
}

// SignInLink returns a link that signs whoever opens it first into the console,
// as the operator. It is good for a quarter of an hour.
func (a *App) SignInLink(ctx context.Context) (string, error) { return a.console.NewLink(ctx) }
