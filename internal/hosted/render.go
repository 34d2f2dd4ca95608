package hosted

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
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

//go:embed templates assets
var files embed.FS

// templates are the contents of pages, each with the layout around it.
var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	layout := template.Must(template.New("").Funcs(template.FuncMap{"asset": assetPath}).ParseFS(files, "templates/layout.html"))
	parsed := make(map[string]*template.Template)
	for _, name := range []string{"form", "own", "back", "refusal"} {
		parsed[name] = template.Must(template.Must(layout.Clone()).ParseFS(files, "templates/"+name+".html"))
	}
	return parsed
}

// render answers with a page.
func (h *Hosted) render(w http.ResponseWriter, status int, name string, v any) error {
	var buf bytes.Buffer
	if err := templates[name].ExecuteTemplate(&buf, "layout", v); err != nil {
		return fmt.Errorf("hosted: page %s: %w", name, err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes()) // fails only if the browser has gone
	return nil
}

// What is refused in words of the pages.
var (
	errNoPage      = problem.NotFound.New("there is no such page: the address is mistyped, or what was there has been removed")
	errNoLink      = problem.NotFound.New("this link leads nowhere: it is mistyped, or it is not active any more; ask whoever sent it for another one")
	errAhead       = problem.Unavailable.New("this link is not opened ahead of a click")
	errCrossOrigin = problem.Forbidden.New("another site has sent this form: open the page itself")
	errStale       = problem.Forbidden.New("this link was used already, or has expired: register with your e-mail address again to be sent another one")
	errClosed      = problem.Conflict.New("nobody can register here at the moment")
)

// refusalView is a page that says why there is nothing else.
type refusalView struct {
	Title, Detail string
	Framed        bool
}

// titles are what is above a refusal; the problem's own title where there is none.
var titles = map[*problem.Code]string{
	problem.NotFound: "Not found", problem.RateLimited: "Too many requests", problem.Internal: "Something went wrong",
	problem.Unavailable: "Not available now", problem.Conflict: "That is not possible now", problem.Forbidden: "That is not possible",
}

// refuse answers with what may be shown of err. What is not a refusal is logged.
func (h *Hosted) refuse(w http.ResponseWriter, r *http.Request, err error) {
	refusal := h.refusal(r, err)
	v := refusalView{Title: titles[refusal.Code], Detail: sentence(refusal.Detail)}
	if v.Title == "" {
		v.Title = refusal.Code.Title
	}
	if refusal.Code == problem.NotFound && refusal != errNoLink { // the same, whatever there is
		v.Detail = sentence(errNoPage.Detail)
	}
	if err := h.render(w, refusal.Code.Status, "refusal", v); err != nil {
		h.log.ErrorContext(r.Context(), "page_failed", "route", r.Pattern, "error", err.Error())
		w.WriteHeader(http.StatusInternalServerError)
	}
}

func (h *Hosted) refusal(r *http.Request, err error) *problem.Error {
	if refusal, ok := errors.AsType[*problem.Error](err); ok {
		return refusal
	}
	if r.Context().Err() != nil { // the browser did not wait
		return problem.Unavailable.New("try again in a moment")
	}
	if h.unavailable(err) {
		h.log.WarnContext(r.Context(), "database_unavailable", "error", err.Error())
		return problem.Unavailable.New("try again in a moment")
	}
	reference := id.New(time.Now()).String()
	h.log.ErrorContext(r.Context(), "page_failed", "route", r.Pattern, "reference", reference, "error", err.Error())
	return problem.Internal.New("it was logged under %s", reference)
}

// sentence begins a text with a capital and ends it with a full stop.
func sentence(text string) string {
	first, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[n:] + "."
}

// An asset is a file of assets/, with the hash that stands in its address.
type asset struct {
	content           []byte
	contentType, hash string
}

var assets = readAssets()

func readAssets() map[string]asset {
	types := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	entries, err := fs.ReadDir(files, "assets")
	if err != nil {
		panic(err)
	}
	read := make(map[string]asset)
	for _, entry := range entries {
		content, err := files.ReadFile("assets/" + entry.Name())
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(content)
		read[entry.Name()] = asset{content, types[path.Ext(entry.Name())], base64.RawURLEncoding.EncodeToString(sum[:12])}
	}
	return read
}

// assetPath returns an address that is another one when the file is.
func assetPath(name string) string { return assetFolder + name + "?v=" + assets[name].hash }

func (h *Hosted) asset(w http.ResponseWriter, r *http.Request) error {
	a, ok := assets[strings.TrimPrefix(r.URL.Path, assetFolder)]
	if !ok {
		return errNoPage
	}
	w.Header().Set("Content-Type", a.contentType)
	if r.URL.Query().Get("v") == a.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	_, _ = w.Write(a.content) // fails only if the browser has gone
	return nil
}
