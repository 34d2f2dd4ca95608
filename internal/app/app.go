// Package app is the server as a value: it wires the packages together, starts
// them in the order in which they need each other, and stops them in the
// opposite one.
package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/hosted"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/jwks"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Options are what a server needs besides its settings. The zero value works.
type Options struct {
	Logger  *slog.Logger // nil: nothing is logged
	Version string       // what is shown as the program's version; "": dev
}

// App is a server. It runs from New to Stop.
type App struct {
	// NewAdminKey is the operator's key if this start made it; it can't be read
	// again later. Empty if there is one already.
	NewAdminKey string

	log        *slog.Logger
	ready      readiness
	db         *db.DB
	webhooks   *webhook.Service
	audit      *audit.Service
	jobs       *job.Runner
	programs   *programs
	pages      *hosted.Hosted
	node       *node.Node
	dispatcher *dispatch.Dispatcher
	console    *console.Console
	listeners  []net.Listener // of the whole API, and then of dialects alone, as the settings list them
	servers    []*http.Server // one for each listener, once it serves
	debug      *http.Server   // nil: there is none
	serving    sync.WaitGroup
	failed     chan error
	stop       sync.Once
}

// New starts a server: it opens the database, goes on with what an earlier run
// left, and serves. What it had opened is closed again if it returns an error.
func New(ctx context.Context, cfg config.Server, opts Options) (*App, error) {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Version == "" {
		opts.Version = "dev"
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := checkDialects(cfg); err != nil {
		return nil, err
	}
	if err := checkMasterKey(cfg.Database, cfg.MasterKey); err != nil {
		return nil, err
	}
	a := &App{log: opts.Logger, failed: make(chan error, 1)}
	if err := a.start(ctx, cfg, opts); err != nil {
		a.Stop(ctx)
		return nil, err
	}
	return a, nil
}

// pooling says how many connections to receivers are kept. All subscriptions of a
// tenant may be at one host, and a connection that is opened anew costs as much as
// several requests.
func pooling(cfg config.Server) netguard.TransportOptions {
	return netguard.TransportOptions{MaxIdleConns: cfg.MaxInFlight, MaxIdleConnsPerHost: cmp.Or(cfg.MaxInFlight, 1024)}
}

func (a *App) start(ctx context.Context, cfg config.Server, opts Options) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	guard, err := newGuard(cfg)
	if err != nil {
		return err
	}
	if err := a.listen(ctx, cfg); err != nil {
		return err
	}
	if err := a.open(ctx, cfg, registry); err != nil {
		return err
	}
	box, err := a.join(ctx, cfg, registry)
	if err != nil {
		return err
	}
	var tenants *tenant.Service
	identify := func(ctx context.Context, of id.ID, dialect string) (*wire.Identity, error) {
		return tenants.Identity(ctx, of, dialect)
	}
	attempter := dispatch.NewAttempter(guard.Client(pooling(cfg)), identify, opts.Version)
	a.jobs = job.NewRunner(job.Options{DB: a.db, Logger: a.log, Metrics: registry})
	a.webhooks = webhook.New(webhook.Options{
		DB: a.db, Box: box, CheckURL: guard.CheckURL, Identify: identify, Attempter: attempter, Handshake: attempter.Handshake,
		Logger: a.log, Metrics: registry, MaxEventBytes: cfg.MaxEventBytes, Jobs: a.jobs, Node: a.sharing(),
		Keep: webhook.Periods{Records: cfg.RecordsKept(), Bodies: time.Duration(cfg.BodyRetention)}, KeepOf: keepOf,
	})
	keys, err := jwks.New(a.db, jwks.Options{Box: box, Feed: a.feed()})
	if err != nil {
		return err
	}
	if tenants, err = tenant.New(a.db, tenant.Options{
		OnDelete: a.deleteTenant, Box: box, Feed: a.feed(), RSAKey: keys.Current,
		Kept: tenant.Kept{Records: cfg.RecordsKept(), Bodies: time.Duration(cfg.BodyRetention)},
	}); err != nil {
		return err
	}
	if err := a.startAudit(cfg); err != nil {
		return err
	}
	if err := a.addPrograms(cfg, tenants, registry); err != nil {
		return err
	}
	// Late, so that a key that was made is not lost with a start that fails, and
	// before anything is sent.
	if a.NewAdminKey, err = tenants.EnsureAdminKey(ctx, cfg.AdminKey); err != nil {
		return err
	}
	if err := a.begin(ctx, dispatch.Options{
		Store: a.webhooks, Attempter: attempter, Logger: a.log, Metrics: registry, MaxInFlight: cfg.MaxInFlight,
		Node: a.sending(), Doubts: a.db.Doubts,
	}); err != nil {
		return err
	}
	native := a.nativeAPI(cfg, api.Options{Tenants: tenants, SigningKeys: keys, Registry: registry, Version: opts.Version}, registry)
	handler, err := a.withPages(cfg, hosted.Options{Tenants: tenants, Box: box, Metrics: edge.NewMetrics(registry)}, native)
	if err != nil {
		return err
	}
	if err := a.serveProfiles(ctx, cfg.DebugListen); err != nil {
		return err
	}
	a.serveAll(cfg, a.mount(cfg, handler, tenants, registry))
	a.announce(ctx, cfg, opts.Version)
	return nil
}

// nativeAPI returns the handler of the native API. shared has what the rest of the
// server does not keep.
func (a *App) nativeAPI(cfg config.Server, shared api.Options, metrics prometheus.Gatherer) http.Handler {
	shared.Webhooks, shared.Audit, shared.Logger = a.webhooks, a.audit, a.log
	shared.Programs, shared.Referrals, shared.Messages = a.programs.kinds, a.programs.referrals, a.programs.messages
	shared.Exports, shared.Pools, shared.Timers = a.programs.exports, a.programs.pools, Timers(a.db)
	shared.Blocklist = a.programs.blocklist
	shared.Ready, shared.Unavailable, shared.Backup = a.ready.check, webhook.Unavailable, a.backup(cfg.Database)
	shared.Metrics = promhttp.HandlerFor(metrics, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
	shared.RateLimit, shared.MaxEventBytes, shared.URL = cfg.RateLimit, cfg.MaxEventBytes, a.publicURL(cfg)
	return api.New(shared)
}

// begin begins to send, and to do what is due.
func (a *App) begin(ctx context.Context, opts dispatch.Options) error {
	a.dispatcher = dispatch.New(opts)
	a.webhooks.Start(a.dispatcher)
	if err := a.dispatcher.Start(ctx); err != nil {
		return err
	}
	a.jobs.Start()
	a.programs.timers.Start()
	a.programs.stop = a.keepPruning(ctx)
	return nil
}

// open opens the database. What this process has locked in a shared one is free half
// a lease after nothing more is heard of it: others pass over what is locked, and must
// find it free when they take this node for dead.
func (a *App) open(ctx context.Context, cfg config.Server, registry *prometheus.Registry) error {
	var err error
	a.db, err = db.Open(ctx, cfg.Database, db.Options{
		Logger: a.log, Metrics: registry, CommitDelay: cfg.CommitDelay,
		Stall: min(cmp.Or(cfg.Lease, node.DefaultLease)/2, db.DefaultStall),
	})
	if err != nil {
		return err
	}
	a.ready.ping = a.db.Ping
	return nil
}

// join makes this process a node of those that share the database, and then opens the
// box of secrets: while there are nodes nobody changes the master key.
func (a *App) join(ctx context.Context, cfg config.Server, registry *prometheus.Registry) (*secret.Box, error) {
	var err error
	a.node, err = node.Join(ctx, node.Options{DB: a.db, Lease: cfg.Lease, Listen: cfg.ListenURL(), Logger: a.log, Metrics: registry})
	if err != nil {
		return nil, err
	}
	first := a.node.Membership().Self
	a.node.OnMembership(func(now node.Membership) {
		if now.Self != first {
			go a.checkBox(context.WithoutCancel(ctx), cfg)
		}
	})
	return openBox(ctx, a.db, cfg)
}

// checkBox ends the server if it has another master key than the database by now: it
// was taken for dead, and the key was changed meanwhile.
func (a *App) checkBox(ctx context.Context, cfg config.Server) {
	_, err := openBox(ctx, a.db, cfg)
	if err == nil || errors.Is(err, db.ErrUnavailable) {
		return
	}
	select {
	case a.failed <- err:
	default: // something else has failed already
	}
}

// feed, sharing and sending are this process as a node, for those who ask for one if
// there are others; nil where the database is this process's own.

func (a *App) feed() db.Feed {
	if !a.db.Shared() {
		return nil
	}
	return a.node
}

func (a *App) sharing() webhook.Node {
	if !a.db.Shared() {
		return nil
	}
	return a.node
}

func (a *App) sending() dispatch.Node {
	if !a.db.Shared() {
		return nil
	}
	return a.node
}

// announce says what runs now, and warns of what makes it less safe.
func (a *App) announce(ctx context.Context, cfg config.Server, version string) {
	adminKey, masterKey := "stored", "file"
	if cfg.AdminKey != "" {
		adminKey = config.AdminKeyVariable
	}
	if cfg.MasterKey != "" {
		masterKey = config.MasterKeyVariable
	}
	a.log.InfoContext(ctx, "listening", slog.String("address", a.Address()), slog.String("version", version),
		slog.String("database", config.Redacted(cfg.Database)), slog.String("admin_key", adminKey), slog.String("master_key", masterKey))
	for i, address := range a.DialectAddresses() {
		a.log.InfoContext(ctx, "dialect_listening", slog.String("dialect", cfg.DialectListen[i].Dialect), slog.String("address", address))
	}
	if cfg.AllowHTTP || len(cfg.AllowNetwork) > 0 {
		a.log.WarnContext(ctx, "egress_guard_opened", slog.Bool("allow_http", cfg.AllowHTTP), slog.Any("allow_network", cfg.AllowNetwork))
	}
}

// readiness asks the database whether it can be used, once a second at most:
// asking costs a commit, and anybody may ask.
type readiness struct {
	ping func(ctx context.Context) error

	mu  sync.Mutex
	at  time.Time
	err error
}

func (r *readiness) check(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.at) >= time.Second {
		r.err = r.ping(context.WithoutCancel(ctx)) // the answer is for others too
		r.at = time.Now()
	}
	return r.err
}

// listen opens the addresses that the settings name.
func (a *App) listen(ctx context.Context, cfg config.Server) error {
	open := func(address, setting string) error {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("app: listen: %w (choose another address with %s)", err, setting)
		}
		a.listeners = append(a.listeners, listener)
		return nil
	}
	if err := open(cfg.Listen, "--listen"); err != nil {
		return err
	}
	for _, dialect := range cfg.DialectListen {
		if err := open(dialect.Name, "--dialect-listen"); err != nil {
			return err
		}
	}
	return nil
}

// serveAll serves everything where the settings say.
func (a *App) serveAll(cfg config.Server, mount dialect.Mount) {
	proxies := edge.Proxies{Trusted: cfg.TrustedProxy, Header: cfg.ProxyHeader}
	a.serve(a.listeners[0], proxies.Handler(mount.Handler()))
	for i, alone := range cfg.DialectListen {
		a.serve(a.listeners[i+1], proxies.Handler(mount.Rooted(alone.Dialect)))
	}
}

func (a *App) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		WriteTimeout:      90 * time.Second, // testing an endpoint may take a minute
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelDebug),
	}
	a.servers = append(a.servers, server)
	a.serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			select {
			case a.failed <- fmt.Errorf("app: serve: %w", err):
			default: // another one has failed already
			}
		}
	})
}

// Address is where the server listens.
func (a *App) Address() string { return a.listeners[0].Addr().String() }

// DialectAddresses are where dialects are served alone, as the settings list them.
func (a *App) DialectAddresses() []string {
	var addresses []string
	for _, listener := range a.listeners[1:] {
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses
}

// URL is where the API is.
func (a *App) URL() string { return "http://" + a.Address() }

// Failed delivers the error that made the server unable to go on, if there is
// one.
func (a *App) Failed() <-chan error { return a.failed }

// Stop takes no more requests, waits for those under way and for the attempts,
// and closes the database. When ctx ends it cuts short what still goes on: then
// the deliveries concerned stay pending. It may be called more than once.
func (a *App) Stop(ctx context.Context) {
	a.stop.Do(func() {
		if a.debug != nil {
			_ = a.debug.Close()
		}
		if a.programs != nil {
			a.programs.Stop()
		}
		if a.jobs != nil {
			a.jobs.Stop()
		}
		// Side by side: a request that takes its time must not shorten the time
		// that the attempts under way have. What is accepted meanwhile stays
		// pending.
		var draining sync.WaitGroup
		if a.dispatcher != nil {
			draining.Go(func() { a.dispatcher.Stop(ctx) })
		}
		for _, server := range a.servers {
			draining.Go(func() {
				if err := server.Shutdown(ctx); err != nil {
					_ = server.Close()
				}
			})
		}
		for _, listener := range a.listeners[len(a.servers):] { // the start failed
			_ = listener.Close()
		}
		draining.Wait()
		a.serving.Wait()
		if a.webhooks != nil {
			a.webhooks.Stop()
		}
		if a.audit != nil {
			a.audit.Stop()
		}
		if a.node != nil {
			// Also where ctx has ended: the others would have to wait for the lease.
			leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := a.node.Stop(leaving); err != nil {
				a.log.ErrorContext(ctx, "node_not_left", slog.String("error", err.Error()))
			}
		}
		if a.db != nil {
			if err := a.db.Close(); err != nil {
				a.log.ErrorContext(ctx, "database_not_closed", slog.String("error", err.Error()))
			}
		}
		if len(a.servers) > 0 {
			a.log.InfoContext(ctx, "stopped")
		}
	})
}

func newGuard(cfg config.Server) (*netguard.Guard, error) {
	guard := netguard.Config{AllowNetworks: cfg.AllowNetwork, AllowHTTP: cfg.AllowHTTP}
	if cfg.ForwardProxy != "" {
		proxy, err := url.Parse(cfg.ForwardProxy)
		if err != nil {
			return nil, errors.New("app: --forward-proxy is not a URL")
		}
		guard.ForwardProxy = proxy
	}
	return netguard.New(guard)
}
