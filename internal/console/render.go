package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

//go:embed templates assets
var files embed.FS

// pages are the templates of templates/pages, each with those that all share. They
// are parsed when the first is asked for: most processes show none.
var pages = sync.OnceValue(parsePages)

func parsePages() map[string]*template.Template {
	shared := template.Must(template.New("").Funcs(template.FuncMap{
		"asset":    assetPath,
		"capital":  capital,
		"isoTime":  func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"shortly":  shortly,
		"when":     when,
		"visible":  visible,
		"reason":   reasonWords,
		"span":     spell,
		"plural":   plural,
		"statuses": func() []webhook.Status { return shownStatuses },
		"grouped":  grouped,
		"isTime":   isTime,
		"typed":    typed,
	}).ParseFS(files, "templates/*.html"))
	names, err := fs.Glob(files, "templates/pages/*.html")
	if err != nil {
		panic(err)
	}
	parsed := make(map[string]*template.Template, len(names))
	for _, name := range names {
		page := template.Must(template.Must(shared.Clone()).ParseFS(files, name))
		parsed[strings.TrimSuffix(path.Base(name), ".html")] = page
	}
	return parsed
}

// frame is what all pages show around what is their own.
type frame struct {
	Title       string
	FormToken   string
	Who         string // has signed in; "": nobody
	CanManage   bool
	Application *applicationFrame // nil: the page belongs to none
	Refresh     bool              // the page loads itself again, where there is no script
}

// applicationFrame is what all pages of an application show of it.
type applicationFrame struct {
	Alias string
	Live  bool
	Path  string
	Tab   string // which part of it the page belongs to; "": none
}

// frame returns the frame of a page with the title.
func (v *visit) frame(title string) frame {
	f := frame{Title: title, FormToken: v.formToken, CanManage: v.can(tenant.Manage)}
	switch {
	case v.principal.Admin:
		f.Who = "the operator"
	case !v.principal.KeyID.IsZero():
		f.Who = v.principal.Tenant.Alias
	}
	if !v.application.ID.IsZero() {
		f.Application = &applicationFrame{Alias: v.application.Alias, Live: v.application.Live, Path: applicationPath(v.application)}
	}
	return f
}

// tab says which part of the application the page belongs to: its webhooks, its
// deliveries and so on, as the layout names them.
func (f frame) tab(name string) frame {
	if f.Application != nil {
		f.Application.Tab = name
	}
	return f
}

// applicationsPath is where the console begins.
const applicationsPath = "/console/applications"

func applicationPath(t tenant.Tenant) string { return applicationsPath + "/" + url.PathEscape(t.Alias) }

func webhookPath(t tenant.Tenant, sub id.ID) string {
	return applicationPath(t) + "/webhooks/" + id.Subscription.Format(sub)
}

func replaysPath(t tenant.Tenant) string { return applicationPath(t) + "/replays" }

func replayPath(t tenant.Tenant, replay id.ID) string {
	return replaysPath(t) + "/" + id.Job.Format(replay)
}

func eventTypesPath(t tenant.Tenant) string { return applicationPath(t) + "/event-types" }

func eventTypePath(t tenant.Tenant, name string) string {
	return eventTypesPath(t) + "/" + url.PathEscape(name)
}

func auditPath(t tenant.Tenant) string { return applicationPath(t) + "/audit" }

func deliveriesPath(t tenant.Tenant) string { return applicationPath(t) + "/deliveries" }

func deliveryPath(t tenant.Tenant, event, sub id.ID) string {
	return deliveriesPath(t) + "/" + id.Delivery.Format(event, sub)
}

// render answers with a page.
func (c *Console) render(w http.ResponseWriter, status int, page string, view any) error {
	return c.execute(w, status, rendering{page, "layout", view})
}

// rendering is a template of a page with what it shows.
type rendering struct {
	page, template string
	view           any
}

func (c *Console) execute(w http.ResponseWriter, status int, r rendering) error {
	var buf bytes.Buffer
	if err := pages()[r.page].ExecuteTemplate(&buf, r.template, r.view); err != nil {
		return fmt.Errorf("console: page %s: %w", r.page, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // fails only if the browser has gone
	return nil
}

// partParameter asks for the part of a page that changes by itself, and
// refreshParameter for a page that loads itself again.
const (
	partParameter    = "part"
	refreshParameter = "refresh"
)

// renderLive answers with a page, or with the part of it that changes, if that
// was asked for, and has changed since the browser got it.
func (c *Console) renderLive(w http.ResponseWriter, r *http.Request, page string, view any) error {
	if !r.URL.Query().Has(partParameter) {
		return c.render(w, http.StatusOK, page, view)
	}
	var buf bytes.Buffer
	if err := pages()[page].ExecuteTemplate(&buf, "live", view); err != nil {
		return fmt.Errorf("console: part of page %s: %w", page, err)
	}
	etag := `"` + shortHash(buf.Bytes()) + `"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(buf.Bytes()) // fails only if the browser has gone
	return nil
}

// live returns the address of the part of the page that changes.
func live(r *http.Request) string { return withParameter(r, partParameter, "live") }

// withParameter returns the address of the page with one parameter more, which
// it has in place of both that say how it is loaded.
func withParameter(r *http.Request, name, value string) string {
	q := r.URL.Query()
	q.Del(partParameter)
	q.Del(refreshParameter)
	if name != "" {
		q.Set(name, value)
	}
	return (&url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: q.Encode()}).String()
}

// What is refused in a way of the console's own.
var (
	errSignedOut   = errors.New("console: nobody has signed in")
	errNoPage      = problem.NotFound.New("there is no such page")
	errStaleForm   = problem.Forbidden.New("the form is out of date: go back, load the page again, and repeat what you did")
	errCrossOrigin = problem.Forbidden.New("another site has sent this form: open the console itself")
)

type errorPage struct {
	frame
	Detail string
	Back   string // "": there is nowhere to go back to
}

// refuse answers with what may be shown of err. What is not a refusal is logged.
func (c *Console) refuse(w http.ResponseWriter, r *http.Request, v *visit, err error) {
	if errors.Is(err, errSignedOut) {
		c.askToSignIn(w, r)
		return
	}
	refusal := c.refusal(r, err)
	page := errorPage{frame: v.frame(refusal.Code.Title), Detail: sentence(refusal.Detail), Back: applicationsPath}
	if refusal.Code == problem.NotFound { // the same, whatever there is
		page.Detail = "The address is mistyped, what was there has been deleted, or it belongs to somebody else."
		page.Application = nil
	}
	if page.Application != nil {
		page.Back = page.Application.Path
	}
	if err := c.render(w, refusal.Code.Status, "error", page); err != nil {
		c.log.ErrorContext(r.Context(), "console_failed", "route", r.Pattern, "error", err.Error())
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// askToSignIn sends the browser to the sign-in, and back here afterwards if the
// request can be repeated. A script that asks for a part is told that the
// session has ended.
func (c *Console) askToSignIn(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Has(partParameter) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	to := signInPath
	if r.Method == http.MethodGet && r.URL.Path != "/console/" {
		to += "?" + url.Values{"next": {r.URL.RequestURI()}}.Encode()
	}
	seeOther(w, r, to)
}

// refusal returns what may be shown of an error.
func (c *Console) refusal(r *http.Request, err error) *problem.Error {
	refusal, ok := errors.AsType[*problem.Error](err)
	switch {
	case ok:
		return refusal
	case r.Context().Err() != nil: // the browser did not wait
		return problem.Unavailable.New("nothing was changed: try again")
	case webhook.Unavailable(err):
		c.log.WarnContext(r.Context(), "database_unavailable", "error", err.Error())
		return problem.Unavailable.New("nothing was changed: try again")
	}
	reference := id.New(time.Now()).String()
	c.log.ErrorContext(r.Context(), "console_failed", "route", r.Pattern, "reference", reference, "error", err.Error())
	return problem.Internal.New("it was logged under %s: tell the operator", reference)
}

// detailOf returns what a refusal says to a person.
func detailOf(err error) string {
	if refusal, ok := errors.AsType[*problem.Error](err); ok {
		return refusal.Detail
	}
	return ""
}

// An asset is a file of assets/, with the hash that stands in its address.
type asset struct {
	content     []byte
	contentType string
	hash        string
}

var assets = readAssets()

func readAssets() map[string]asset {
	types := map[string]string{
		".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml",
	}
	read := make(map[string]asset)
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err)
	}
	for _, entry := range entries {
		content, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		read[entry.Name()] = asset{content, types[path.Ext(entry.Name())], shortHash(content)}
	}
	return read
}

// assetPath returns an address that is another one when the file is.
func assetPath(name string) string { return "/console/assets/" + name + "?v=" + assets[name].hash }

func shortHash(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// asset serves a file of assets/, to anybody.
func (c *Console) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok {
		c.refuse(w, r, &visit{}, errNoPage)
		return
	}
	h := w.Header()
	h.Set("Content-Type", a.contentType)
	if r.URL.Query().Get("v") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.content) // fails only if the browser has gone
}
