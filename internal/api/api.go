// Package api is the native REST API: it translates HTTP to calls of the
// packages tenant and webhook, and their results to JSON.
//
// A request passes through the same gates in the same order, whatever it asks
// for: it gets an id, its key is authenticated, its rate is counted, its route
// is found, its key's scope and tenant are checked, its body is read and
// decoded, and only then does a handler run. Whoever has no key therefore
// learns nothing, not even which paths there are.
//
// Each route is one call of register, which documents it in the OpenAPI
// document from the same Go types that it decodes and encodes. Bodies are
// checked against that document's schemas, so that the document can't say
// anything else than the program does. Publishing, the one route that has to be
// fast, is documented in the same way and read by hand.
//
// Every refusal is a problem document (RFC 9457) made of a problem.Error.
// Anything else is logged, and shown as an internal error that says nothing.
// Nothing that was submitted is ever repeated in an answer that refuses it.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Options are what the API needs. The services, SigningKeys and Timers are required.
type Options struct {
	Tenants     *tenant.Service
	Webhooks    *webhook.Service
	SigningKeys SigningKeys
	Audit       *audit.Service
	Programs    *program.Service
	Referrals   *referral.Service
	Messages    *message.Service
	Exports     *export.Service
	Pools       *pool.Service
	Blocklist   *blocklist.Service
	Timers      Timers

	// Ready says whether the node can serve; nil: always. /readyz asks it.
	Ready func(ctx context.Context) error
	// Unavailable reports whether an error says that the database can't be used
	// now and nothing was stored; nil: no error does. It is answered with 503.
	Unavailable func(err error) bool
	// Backup makes a consistent copy of the database and opens it; it is gone
	// once it is closed. nil: the database is Postgres, which has tools of its own.
	Backup func(ctx context.Context) (*os.File, error)

	Metrics  http.Handler          // served at /metrics; nil: nothing is
	Registry prometheus.Registerer // nil: requests are not measured
	Logger   *slog.Logger          // nil: nothing is logged
	Version  string                // of the program, for the documentation
	URL      string                // where the server is reached from outside: what share links begin with

	RateLimit     float64 // requests a second for each key; zero: no limit
	MaxEventBytes int     // the data of one event; zero: 256 KiB; as in webhook.Options
}

// server is the API.
type server struct {
	opts    Options
	log     *slog.Logger
	mux     *http.ServeMux
	huma    huma.API
	limiter *edge.Limiter
	metrics *edge.Metrics
}

// New returns the handler of the whole API. It reads bodies with no deadline of
// its own: the server that it is mounted on has to set them.
func New(opts Options) http.Handler {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Unavailable == nil {
		opts.Unavailable = func(error) bool { return false }
	}
	if opts.Ready == nil {
		opts.Ready = func(context.Context) error { return nil }
	}
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = 256 << 10
	}
	s := &server{opts: opts, log: opts.Logger, mux: http.NewServeMux(), metrics: edge.NewMetrics(opts.Registry), limiter: edge.NewLimiter(opts.RateLimit)}
	s.huma = humago.New(s.mux, s.config())
	s.huma.UseMiddleware(s.enter)
	s.tenantRoutes()
	s.keyRoutes()
	s.publishRoutes()
	s.eventRoutes()
	s.subscriptionRoutes()
	s.subscriptionActionRoutes()
	s.explainRoutes()
	s.deliveryRoutes()
	s.replayRoutes()
	s.eventTypeRoutes()
	s.programRoutes()
	s.peopleRoutes()
	s.referralRoutes()
	s.blocklistRoutes()
	s.rewardRoutes()
	s.factRoutes()
	s.whyRoutes()
	s.poolRoutes()
	s.themeRoutes()
	s.exportRoutes()
	s.timerRoutes()
	s.dialectRoutes()
	s.signingKeyRoutes()
	s.auditRoutes()
	s.backupRoutes()
	s.openAnswers()
	s.headers()
	s.siteRoutes()
	return s
}

// config is that of the library which finds parameters, encodes answers and
// writes the OpenAPI document. What it offers besides is turned off.
func (s *server) config() huma.Config {
	config := huma.DefaultConfig("Grapevine", s.opts.Version)
	config.Info.Description = "Publishes events and delivers them as signed webhooks."
	config.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: "bearer", Description: "A tenant's key (gv_live_…, gv_test_…) or the operator's (gv_admin_…)."},
	}
	config.OpenAPIPath, config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", "", nil
	config.RejectUnknownQueryParameters = true
	config.Formats = map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}
	config.Tags = []*huma.Tag{
		{Name: tagEvents, Description: "What a tenant publishes. An event commits together with a delivery for each subscription that matches it."},
		{Name: tagSubscriptions, Description: "Where events are sent, how they are signed, and when a failed delivery is tried again."},
		{Name: tagDeliveries, Description: "One event on its way to one subscription, with every attempt."},
		{Name: tagReplays, Description: "The sending again of many deliveries, with its progress."},
		{Name: tagEventTypes, Description: "What the dialects define."},
		{Name: tagPrograms, Description: "What is promised to whom: programs, and the rules by which they give."},
		{Name: tagPeople, Description: "Whom the programs are about, what they did, their accounts, codes and share links."},
		{Name: tagReferrals, Description: "Who came by whom, and what was decided about it."},
		{Name: tagRewards, Description: "What people are given, and what they can spend."},
		{Name: tagFacts, Description: "What changed in programs, what each change led to, and how it is taken back."},
		{Name: tagMessages, Description: "What people are written, and the theme that says it."},
		{Name: tagExports, Description: "Files with many rows."},
		{Name: tagDialects, Description: "Whose webhooks are spoken, and how the tenant speaks them."},
		{Name: tagTenants, Description: "Accounts' environments and their keys. These calls take the operator's key."},
		{Name: tagAudit, Description: "Who changed what, when and from where."},
		{Name: tagOperation, Description: "What keeps the server going. These calls take the operator's key."},
	}
	return config
}

// The groups of the documentation.
const (
	tagEvents        = "Events"
	tagSubscriptions = "Subscriptions"
	tagDeliveries    = "Deliveries"
	tagReplays       = "Replays"
	tagEventTypes    = "Event types"
	tagPrograms      = "Programs"
	tagPeople        = "People"
	tagReferrals     = "Referrals"
	tagRewards       = "Rewards"
	tagFacts         = "Facts"
	tagMessages      = "Messages"
	tagExports       = "Exports"
	tagDialects      = "Dialects"
	tagTenants       = "Tenants"
	tagAudit         = "Audit"
	tagOperation     = "Operation"
)
