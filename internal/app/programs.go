package app

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/dialect/standard"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/hosted"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/timer"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// programs are the engine and the programs that run on it.
type programs struct {
	log       *fact.Log
	timers    *timer.Runner
	kinds     *program.Service
	rewards   *reward.Service
	referrals *referral.Service
	messages  *message.Service
	exports   *export.Service
	pools     *pool.Service
	blocklist *blocklist.Service
	stop      func() // ends what is done from time to time; nil: it has not begun
}

// Stop ends what programs do by themselves.
func (p *programs) Stop() {
	if p.stop != nil {
		p.stop()
	}
	p.timers.Stop()
}

// programsOptions are what programs need. All are required but Sink.
type programsOptions struct {
	DB      *db.DB
	Jobs    *job.Runner // not yet started
	Tenants *tenant.Service
	Sink    fact.Sink // nil: nobody is told of facts
	Base    string    // what the addresses of share links begin with
	Logger  *slog.Logger
	Metrics prometheus.Registerer
}

// newPrograms wires the engine and the programs together. Nothing runs before the
// timers and the jobs are started.
func newPrograms(opts programsOptions) (*programs, error) {
	p := &programs{
		log:   fact.New(fact.Options{DB: opts.DB, Sink: opts.Sink, Logger: opts.Logger}),
		kinds: program.NewService(opts.DB, referral.Kind()),
		pools: pool.New(opts.DB), blocklist: blocklist.New(blocklist.Options{DB: opts.DB, Jobs: opts.Jobs}),
	}
	p.timers = timer.New(timer.Options{DB: opts.DB, Execute: p.living(opts), Logger: opts.Logger, Metrics: opts.Metrics})
	var err error
	if p.messages, err = message.New(message.Options{DB: opts.DB, Log: p.log, Jobs: opts.Jobs}); err != nil {
		return nil, err
	}
	p.rewards = reward.New(p.log)
	p.referrals = referral.New(referral.Options{
		DB: opts.DB, Log: p.log, Programs: p.kinds, Rewards: p.rewards, Messages: p.messages,
		Effects: effect.New(effect.Options{Log: p.log, Programs: p.kinds, Rewards: p.rewards}),
		Schemes: map[string]referral.Scheme{saasquatch.Scheme: saasquatch.Names()}, Naming: naming(opts.Base),
	})
	p.exports, err = export.New(export.Options{DB: opts.DB, Log: p.log, Jobs: opts.Jobs, Sources: p.referrals.Exports()})
	return p, err
}

// living does the timers of tenants that there are. Those of a tenant that was
// deleted are passed over as they become due: there may be many. An export that was
// ordered at another node just when the tenant was deleted goes with them.
func (p *programs) living(opts programsOptions) func(context.Context, id.ID, []timer.Timer) error {
	return func(ctx context.Context, of id.ID, due []timer.Timer) error {
		_, err := opts.Tenants.Get(ctx, of)
		if problem.NotFound.Has(err) {
			return opts.DB.Write(ctx, func(tx *db.Tx) error {
				if err := timer.Each(tx, due, func(timer.Timer) error { return nil }); err != nil {
					return err
				}
				return p.exports.DeleteTenant(tx, of)
			})
		}
		if err != nil {
			return err
		}
		return p.log.Execute(ctx, of, due)
	}
}

// deleteTenant ends what belongs to a tenant, inside the transaction that deletes it.
func (a *App) deleteTenant(tx *db.Tx, of id.ID) error {
	if err := a.webhooks.DeleteTenant(tx, of); err != nil {
		return err
	}
	if err := a.programs.blocklist.DeleteTenant(tx, of); err != nil {
		return err
	}
	return a.programs.exports.DeleteTenant(tx, of)
}

// naming is how exports and messages call people, rewards and links: as SaaSquatch does.
func naming(base string) referral.Naming {
	return referral.Naming{
		User:   saasquatch.NameOf,
		Link:   func(short string, l code.Link) string { return base + code.Path(short, l) },
		Reward: saasquatch.RewardType,
		Source: saasquatch.RewardSource,
	}
}

// addPrograms makes the server run programs.
func (a *App) addPrograms(cfg config.Server, tenants *tenant.Service, registry prometheus.Registerer) error {
	base, told := a.publicURL(cfg), &telling{webhooks: a.webhooks}
	var err error
	a.programs, err = newPrograms(programsOptions{
		DB: a.db, Jobs: a.jobs, Tenants: tenants, Sink: told, Base: base, Logger: a.log, Metrics: registry,
	})
	if err != nil {
		return err
	}
	told.renderers = []dialect.Renderer{
		standard.NewRenderer(a.programs.referrals), saasquatch.NewRenderer(a.programs.referrals, base),
	}
	a.node.OnGap(a.programs.timers.Wake)
	return nil
}

// publicURL is where people find the server, without a slash at its end.
func (a *App) publicURL(cfg config.Server) string {
	return strings.TrimSuffix(cmp.Or(cfg.PublicURL, a.URL()), "/")
}

// withPages serves the console and the pages of programs beside a handler.
func (a *App) withPages(cfg config.Server, shared hosted.Options, beside http.Handler) (http.Handler, error) {
	beside, err := a.withConsole(cfg, shared.Tenants, beside)
	if err != nil {
		return nil, err
	}
	shared.Referrals, shared.URL, shared.Unavailable, shared.Logger = a.programs.referrals, cfg.PublicURL, webhook.Unavailable, a.log
	if a.pages, err = hosted.New(shared); err != nil {
		return nil, err
	}
	return a.pages.Beside(beside), nil
}
