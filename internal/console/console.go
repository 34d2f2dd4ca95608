// Package console is the web console: a tenant's people, or the operator for all
// tenants, see on it where events go and what became of each delivery, add
// webhooks, and retry.
//
// Its pages are made on the server and need no script; the one script that there
// is keeps lists up to date and what was typed in place. Everything is served
// from here, under a Content-Security-Policy that allows nothing else. What
// comes from outside, such as a URL, a header or a body, is shown as text and
// never interpreted.
//
// Whoever signs in shows a key once, or opens a link that the server has
// printed. From then on a random cookie stands for the key: the package session
// keeps its hash, and each request asks the package tenant anew whether the key
// still holds and what it may do. So any server of a database can answer, and
// nothing is lost when one stops. A tenant's key finds its own tenant
// only, and everything else is not found, whether it exists or not.
//
// A form carries a token that only its own session's cookie leads to, and a
// request that changes something is refused if its browser says that another
// site has caused it.
package console

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Options are what the console needs. All but the logger are required.
type Options struct {
	Tenants  *tenant.Service
	Webhooks *webhook.Service
	Audit    *audit.Service
	Sessions *session.Service

	// URL is where browsers reach the server, without a path, such as
	// https://hooks.example.com. Behind a proxy that speaks TLS it has to be the
	// proxy's: with https the cookies are sent over https only.
	URL string

	Logger *slog.Logger // nil: nothing is logged
}

// Console serves the pages under /console/. Create it with New; its methods may
// be called concurrently.
type Console struct {
	tenants  *tenant.Service
	webhooks *webhook.Service
	audit    *audit.Service
	log      *slog.Logger
	url      string // without a slash at its end
	cookies  cookies
	sessions *session.Service
	failures *failures
	handler  http.Handler
}

var _ http.Handler = (*Console)(nil)

// New returns the console. It reads bodies with no deadline of its own: the
// server that it is mounted on has to set them.
func New(opts Options) (*Console, error) {
	if opts.Tenants == nil || opts.Webhooks == nil || opts.Audit == nil || opts.Sessions == nil {
		return nil, errors.New("console: there are no tenants, no webhooks, no audit entries or no sessions")
	}
	base, err := url.Parse(opts.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.User != nil ||
		base.Path != "" && base.Path != "/" || base.RawQuery != "" || base.Fragment != "" {
		return nil, errors.New("console: its URL must be http:// or https:// and a host, such as https://hooks.example.com")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Console{
		tenants:  opts.Tenants,
		webhooks: opts.Webhooks,
		audit:    opts.Audit,
		log:      opts.Logger,
		url:      base.Scheme + "://" + base.Host,
		cookies:  cookies{secure: base.Scheme == "https"},
		sessions: opts.Sessions,
		failures: newFailures(),
	}
	c.handler = c.routes()
	return c, nil
}

// routes lists every page.
func (c *Console) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /console/assets/{name}", c.asset)
	mux.HandleFunc("GET /console/sign-in", c.open(c.showSignIn))
	mux.HandleFunc("POST /console/sign-in", c.open(c.signIn))

	seen := func(pattern string, h handlerFunc) { mux.HandleFunc(pattern, c.enter(tenant.Read, h)) }
	changing := func(pattern string, h handlerFunc) { mux.HandleFunc(pattern, c.enter(tenant.Manage, h)) }
	seen("/console/", func(http.ResponseWriter, *http.Request, *visit) error { return errNoPage })
	seen("GET /console/{$}", func(w http.ResponseWriter, r *http.Request, _ *visit) error {
		seeOther(w, r, applicationsPath)
		return nil
	})
	seen("POST /console/sign-out", c.signOut)
	seen("GET "+applicationsPath, c.showApplications)

	const application = applicationsPath + "/{application}"
	seen("GET "+application, c.showApplication)
	changing("GET "+application+"/webhooks/new", c.showDialog)
	changing("POST "+application+"/webhooks/new", c.submitDialog)

	const hook = application + "/webhooks/{webhook}"
	seen("GET "+hook, c.showWebhook)
	changing("POST "+hook+"/test", c.testWebhook)
	changing("POST "+hook+"/secret", c.showSecret)
	changing("GET "+hook+"/enable", c.showEnable)
	changing("POST "+hook+"/enable", c.submitEnable)
	changing("GET "+hook+"/recover", c.showRecover)
	changing("POST "+hook+"/recover", c.submitRecover)
	changing("GET "+hook+"/{change}", c.showChange)
	changing("POST "+hook+"/{change}", c.submitChange)

	seen("GET "+application+"/deliveries", c.showDeliveries)
	seen("GET "+application+"/deliveries/{delivery}", c.showDelivery)
	changing("POST "+application+"/deliveries/{delivery}/retry", c.retry)

	seen("GET "+application+"/replays", c.showReplays)
	changing("GET "+application+"/replays/new", c.showNewReplay)
	changing("POST "+application+"/replays/new", c.submitNewReplay)
	seen("GET "+application+"/replays/{replay}", c.showReplay)
	changing("POST "+application+"/replays/{replay}/{steering}", c.steerReplay)

	seen("GET "+application+"/event-types", c.showEventTypes)
	seen("GET "+application+"/event-types/{type}", c.showEventType)
	changing("GET "+application+"/audit", c.showAudit)

	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.refuse(w, r, &visit{}, errCrossOrigin)
	}))
	return sameOrigin.Handler(mux)
}

// policy lets pages have what is served beside them, and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// ServeHTTP answers one request, whatever happens meanwhile.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	// Not no-referrer: under that, browsers send "Origin: null" with our forms.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		c.log.ErrorContext(r.Context(), "console_panicked", "route", r.Pattern, "panic", v, "stack", string(debug.Stack()))
		c.refuse(w, r, &visit{}, problem.Internal.New("it was logged"))
	}()
	c.handler.ServeHTTP(w, r)
}

// visit is what is known of a request. The gates fill it in.
type visit struct {
	cookie      string           // the session's
	session     *session.Session // nil: nobody has signed in
	principal   tenant.Principal // zero: nobody has signed in
	application tenant.Tenant    // zero where the path names none
	formToken   string
}

// can reports whether the visitor may do what takes the scope.
func (v *visit) can(scope tenant.Scope) bool { return v.principal.Can(scope) }

// handlerFunc answers a request, or returns an error before it has begun to.
type handlerFunc func(w http.ResponseWriter, r *http.Request, v *visit) error

// maxForm bounds the body of a request: a webhook has at most 20 headers of
// 4 KiB each.
const maxForm = 256 << 10

// open lets everybody to a page.
func (c *Console) open(h handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{formToken: c.cookies.visitorToken(w, r)}
		err := checkForm(w, r, v)
		if err == nil {
			err = h(w, r, v)
		}
		if err != nil {
			c.refuse(w, r, v, err)
		}
	}
}

// enter lets those to a page who have signed in with a key that is good for the
// scope, and for the application that the path names.
func (c *Console) enter(scope tenant.Scope, h handlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{}
		err := c.recognise(r, v)
		if err == nil {
			err = checkForm(w, r, v)
		}
		if err == nil {
			err = c.authorize(r, v, scope)
		}
		if err == nil {
			actor := v.principal.Actor()
			actor.Via, actor.Address = audit.ViaConsole, edge.Address(r)
			err = h(w, r.WithContext(audit.WithActor(r.Context(), actor)), v)
		}
		if err != nil {
			c.refuse(w, r, v, err)
		}
	}
}

// recognise learns whose session the request belongs to.
func (c *Console) recognise(r *http.Request, v *visit) error {
	cookie := c.cookies.read(r, sessionCookie)
	now := time.Now()
	if cookie == "" {
		return errSignedOut
	}
	found, err := c.sessions.Find(r.Context(), cookie, now)
	if problem.Unauthenticated.Has(err) {
		return errSignedOut
	}
	if err != nil {
		return err
	}
	if found.Operator() && !found.ProvenBy(c.tenants.AdminProof(cookie)) {
		return errSignedOut // the operator has another key since
	}
	principal, err := c.principalOf(r.Context(), found, now)
	if problem.Unauthenticated.Has(err) {
		_ = c.sessions.End(r.Context(), cookie) // it is as good as ended
		return errSignedOut
	}
	if err != nil {
		return err
	}
	if !inBackground(r) {
		if err := c.sessions.Touch(r.Context(), found, now); err != nil {
			return err
		}
	}
	v.cookie, v.session, v.principal, v.formToken = cookie, found, principal, formToken(cookie)
	return nil
}

// principalOf asks whether the session's key still holds.
func (c *Console) principalOf(ctx context.Context, s *session.Session, now time.Time) (tenant.Principal, error) {
	if s.Operator() { // that key never changes while the process runs
		return tenant.Principal{Admin: true}, nil
	}
	return c.tenants.Principal(ctx, s.Tenant, s.Key, now)
}

// confirm returns the function that asks it once more, after something that took
// time.
func (c *Console) confirm(v *visit) webhook.ConfirmFunc {
	return func(ctx context.Context) error {
		principal, err := c.principalOf(ctx, v.session, time.Now())
		if problem.Unauthenticated.Has(err) || err == nil && !principal.Can(tenant.Manage) {
			return errSignedOut
		}
		return err
	}
}

// inBackground reports whether a page asks for news by itself, which does not
// count as use of a session.
func inBackground(r *http.Request) bool {
	q := r.URL.Query()
	return q.Has(partParameter) || q.Has(refreshParameter)
}

// authorize checks what the visitor's key is good for and learns which
// application is meant. What belongs to another tenant is not found before
// anything else is said of it.
func (c *Console) authorize(r *http.Request, v *visit, scope tenant.Scope) error {
	alias := r.PathValue("application")
	switch {
	case alias == "":
	case v.principal.Admin:
		found, err := c.tenants.ByAlias(r.Context(), alias)
		if err != nil {
			return err
		}
		v.application = found
	case alias != v.principal.Tenant.Alias:
		return errNoPage
	default:
		v.application = v.principal.Tenant
	}
	if !v.can(scope) {
		return problem.Forbidden.New("the key that you have signed in with does not have the scope %q", scope)
	}
	return nil
}

// subscription returns the webhook that the path names.
func (c *Console) subscription(r *http.Request, v *visit) (*webhook.Subscription, error) {
	sub, err := id.Subscription.Parse(r.PathValue("webhook"))
	if err != nil {
		return nil, errNoPage
	}
	return c.webhooks.Subscription(r.Context(), v.application.ID, sub)
}

// checkForm reads the form of a request that changes something, and checks that
// it is one of ours.
func checkForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if r.Method != http.MethodPost {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := r.ParseForm()
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return problem.TooLarge.New("the form has more than %d KiB", maxForm>>10)
	}
	if err != nil {
		return problem.Malformed.New("the form could not be read")
	}
	if !sameToken(v.formToken, r.PostForm.Get("form_token")) {
		return errStaleForm
	}
	return nil
}

// seeOther sends the browser to another page.
func seeOther(w http.ResponseWriter, r *http.Request, to string) {
	http.Redirect(w, r, to, http.StatusSeeOther)
}
