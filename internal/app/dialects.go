package app

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/partnerstack"
	"github.com/grapevine-hq/grapevine/internal/dialect/referralloop"
	"github.com/grapevine-hq/grapevine/internal/dialect/rehook"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// dialectAPIs are the dialects that have an API of their own, by their names.
// Adding one is its package and a line here.
var dialectAPIs = map[string]func(apiParts) dialect.API{
	"partnerstack": func(p apiParts) dialect.API { return partnerstack.New(p.tenants, p.webhooks) },
	"referralloop": func(p apiParts) dialect.API { return referralloop.New(p.tenants, p.webhooks) },
	"rehook":       func(p apiParts) dialect.API { return rehook.New(p.tenants, p.webhooks) },
	"saasquatch": func(p apiParts) dialect.API {
		return saasquatch.New(saasquatch.Services{
			Tenants: p.tenants, Webhooks: p.webhooks, Programs: p.programs.kinds, Referrals: p.programs.referrals,
			Messages: p.programs.messages, Exports: p.programs.exports, BaseURL: p.publicURL, Visits: p.pages.Visits,
		})
	},
}

// apiParts are what dialects' APIs are made of.
type apiParts struct {
	*App

	tenants   *tenant.Service
	publicURL string // "": as each request says
}

// checkDialects refuses settings that name a dialect which has no API.
func checkDialects(cfg config.Server) error {
	for _, named := range slices.Concat(cfg.DialectHost, cfg.DialectListen) {
		if dialectAPIs[named.Dialect] == nil {
			return fmt.Errorf("app: --dialect-host and --dialect-listen must name one of: %s", strings.Join(dialectNames(), ", "))
		}
	}
	return nil
}

func dialectNames() []string {
	var names []string
	for name := range dialectAPIs {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// mount puts the APIs of the dialects beside the native one.
func (a *App) mount(cfg config.Server, native http.Handler, tenants *tenant.Service, registry prometheus.Registerer) dialect.Mount {
	m := dialect.Mount{Native: native, Dialects: make(map[string]http.Handler), Hosts: make(map[string]string)}
	opts := dialect.Options{
		Limiter: edge.NewLimiter(cfg.RateLimit), Unavailable: webhook.Unavailable, Metrics: edge.NewMetrics(registry), Logger: a.log,
		Visits: dialect.NewVisitLimiter(dialect.Visits{CreationsADay: 50, OthersAnHour: 100}),
	}
	parts := apiParts{App: a, tenants: tenants, publicURL: cfg.PublicURL}
	for name, makeAPI := range dialectAPIs {
		m.Dialects[name] = dialect.New(makeAPI(parts), opts)
	}
	for _, host := range cfg.DialectHost {
		m.Hosts[host.Name] = host.Dialect
	}
	return m
}
