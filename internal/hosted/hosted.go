// Package hosted is the pages of programs: share links, and a page of each referral
// program at which people register, find their link and see their rewards.
//
// # Share links
//
// A share link records a touch, keeps the browser's cookie, and leads on: to the
// program's landing page with the code, to the URL in its parameter "to" if the
// program allows that host, or to the program's own page. It leads nowhere else, so
// nobody can lend it to lead astray.
//
// Only somebody who follows a link counts. Programs that preview links (by what they
// call themselves) and HEAD requests are led on, so that a preview shows the landing
// page, but leave no touch and get no cookie. A browser that loads ahead of a click
// is refused with 503, since with an answer it would not ask again at the click. Nor
// does a touch count where one address follows too many; its user is led on.
//
// # The page
//
// The page needs no script; the one that there is copies links. What people have
// typed is shown as text. Other sites may show the page in a frame where the program
// says so: those that its settings name.
//
// # Who is who
//
// An e-mail address proves nothing: anybody may type it. What identifies a browser is
// a cookie that registering sets, sealed with the master key: whoever made it was the
// server. A browser without it that registers an address which is known is treated
// like one with an address that is new, and becomes a person apart: it gets a link of
// its own, and sees nothing of the one who is known, nor that there is one. The one
// who is known is sent a message with a link to the own page, which is good once, for
// an hour. Two things can still be told apart, by somebody who has a link of the same
// program: whether a registration by it is rewarded at once, where rules do that, and
// whether a code made of a name gets a digit, since codes are unique. A browser that
// has lost its cookie has to wait for that message, and where the program's messages
// are off, or the server does not know its own address (see Options.URL), it stays a
// person apart.
//
// Cookies are a tenant's: no tenant learns by which browser another one was visited.
// A frame on another site gets cookies of its own, which no other site sees, over
// https only.
//
// A form is refused if a browser says that another site has sent it.
package hosted

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/edge"
	programs "github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// Box seals what browsers keep; secret.Box is one.
type Box interface {
	Seal(plain []byte, row id.ID) ([]byte, error)
	Open(sealed []byte, row id.ID) ([]byte, error)
}

// Options are what the pages need. Tenants, Referrals and Box are required.
type Options struct {
	Tenants   *tenant.Service
	Referrals *referral.Service
	Box       Box

	// URL is where browsers reach the server, without a path, such as
	// https://refer.example.com. "": where each request says that it went, which is
	// good enough for pages, but not for messages: anybody can say anything, so none
	// is sent. With https cookies are sent over https only.
	URL string

	// Unavailable reports whether an error says that the database can't be used for
	// now; nil: none does.
	Unavailable func(error) bool
	Metrics     *edge.Metrics // nil: nothing is measured
	Logger      *slog.Logger  // nil: nothing is logged
}

// Hosted serves the pages. Create it with New; its methods may be called
// concurrently.
type Hosted struct {
	tenants     *tenant.Service
	referrals   *referral.Service
	box         Box
	url         string // without a slash at its end; "": as requests say
	unavailable func(error) bool
	metrics     *edge.Metrics
	log         *slog.Logger
	limits      limits
	handler     http.Handler
}

var _ http.Handler = (*Hosted)(nil)

// New returns the pages. They read bodies with no deadline of their own: the server
// that they are mounted on has to set them.
func New(opts Options) (*Hosted, error) {
	if opts.Tenants == nil || opts.Referrals == nil || opts.Box == nil {
		return nil, errors.New("hosted: there are no tenants, no referral programs or no box")
	}
	base := ""
	if opts.URL != "" {
		u, err := url.Parse(opts.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" {
			return nil, errors.New("hosted: its URL must be http:// or https:// and a host, such as https://refer.example.com")
		}
		base = u.Scheme + "://" + u.Host
	}
	if opts.Unavailable == nil {
		opts.Unavailable = func(error) bool { return false }
	}
	if opts.Metrics == nil {
		opts.Metrics = edge.NewMetrics(nil)
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	h := &Hosted{
		tenants: opts.Tenants, referrals: opts.Referrals, box: opts.Box, url: base, unavailable: opts.Unavailable,
		metrics: opts.Metrics, log: opts.Logger, limits: newLimits(),
	}
	h.handler = h.routes()
	return h, nil
}

// The folders of the paths. A tenant's alias does not begin with "-", so that the
// assets are nobody's.
const (
	linkFolder  = "/r/"
	pageFolder  = "/p/"
	assetFolder = "/p/-/"
)

// Beside serves the pages by their paths, and everything else by next.
func (h *Hosted) Beside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, linkFolder) || strings.HasPrefix(r.URL.Path, pageFolder) {
			h.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// handlerFunc answers a request, or returns an error before it has begun to.
type handlerFunc func(w http.ResponseWriter, r *http.Request) error

func (h *Hosted) routes() http.Handler {
	pages := http.NewServeMux()
	serve := func(pattern string, fn handlerFunc) {
		pages.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.answer(w, r, fn) })
	}
	serve("/", func(http.ResponseWriter, *http.Request) error { return errNoPage })
	serve("GET /p/-/{name}", h.asset)
	serve("GET /p/{tenant}/{program}", h.onPage(h.show))
	serve("POST /p/{tenant}/{program}", h.onPage(h.register))
	serve("POST /p/{tenant}/{program}/join", h.onPage(h.join))
	serve("POST /p/{tenant}/{program}/leave", h.onPage(h.leave))
	serve("GET /p/{tenant}/{program}/back", h.onPage(h.showBack))
	serve("POST /p/{tenant}/{program}/back", h.onPage(h.back))

	sameOrigin := http.NewCrossOriginProtection()
	sameOrigin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.answer(w, r, func(http.ResponseWriter, *http.Request) error { return errCrossOrigin })
	}))
	guarded := sameOrigin.Handler(pages)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, linkFolder) { // as it was sent: a mux would clean it
			r.Pattern = linkFolder + "{link}"
			h.answer(w, r, h.follow)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// ServeHTTP answers one request, whatever happens meanwhile.
func (h *Hosted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began, answer := time.Now(), &edge.Writer{ResponseWriter: w}
	header := answer.Header()
	header.Set("Content-Security-Policy", policy(nil))
	header.Set("X-Frame-Options", "DENY")
	header.Set("X-Content-Type-Options", "nosniff")
	// Not no-referrer: under that, browsers send "Origin: null" with our forms.
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Robots-Tag", "noindex")
	defer func() {
		v := recover()
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		if v != nil {
			h.log.ErrorContext(r.Context(), "page_panicked", "route", r.Pattern, "panic", v, "stack", string(debug.Stack()))
			h.refuse(answer, r, problem.Internal.New("it was logged"))
		}
		h.metrics.Observe(route(r), answer.Status, time.Since(began))
	}()
	h.handler.ServeHTTP(answer, r)
}

// route names the page of a request, for measuring.
func route(r *http.Request) string {
	if r.Pattern == "" || r.Pattern == "/" {
		return pageFolder
	}
	return r.Pattern
}

// answer lets a request to what answers it, unless its address makes too many.
func (h *Hosted) answer(w http.ResponseWriter, r *http.Request, fn handlerFunc) {
	if !h.limits.requests.take(r, time.Now()) {
		w.Header().Set("Retry-After", "10")
		h.refuse(w, r, problem.RateLimited.New("there were too many requests from your network"))
		return
	}
	if err := fn(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

// base is where the browser that asks reaches the server.
func (h *Hosted) base(r *http.Request) string {
	switch {
	case h.url != "":
		return h.url
	case r.TLS != nil:
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// secure reports whether the browser that asks comes by https.
func (h *Hosted) secure(r *http.Request) bool { return strings.HasPrefix(h.base(r), "https://") }

// page is the page of a program that a request asks for.
type page struct {
	tenant  tenant.Tenant
	program referral.Running
	path    string
	framed  bool // it is to be shown inside of another page
}

type pageFunc func(w http.ResponseWriter, r *http.Request, p page) error

// onPage finds the page that the path names, and says who may show it in a frame.
func (h *Hosted) onPage(fn pageFunc) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		of, err := h.page(r.Context(), r.PathValue("tenant"), r.PathValue("program"))
		if err != nil {
			return err
		}
		of.framed = r.URL.Query().Get("embed") == "1"
		if hosts := framers(of.program.Settings); len(hosts) > 0 {
			w.Header().Set("Content-Security-Policy", policy(hosts))
			w.Header().Del("X-Frame-Options")
		}
		return fn(w, r, of)
	}
}

func (h *Hosted) page(ctx context.Context, alias, key string) (page, error) {
	of, err := h.tenants.ByAlias(ctx, alias)
	if err != nil {
		return page{}, err
	}
	program, err := h.referrals.ProgramByKey(ctx, of.ID, key)
	if err != nil {
		return page{}, err
	}
	if program.Status == programs.Draft {
		return page{}, errNoPage
	}
	return page{tenant: of, program: program, path: pagePath(of, program)}, nil
}

func pagePath(of tenant.Tenant, program referral.Running) string {
	return pageFolder + url.PathEscape(of.Alias) + "/" + url.PathEscape(program.Key)
}
