package hosted

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// codeParameter names the code at the page that a link leads to.
const codeParameter = "rsCode"

// follow leads somebody who has followed a share link on.
func (h *Hosted) follow(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return problem.MethodNotAllowed.New("links are followed with GET")
	}
	short, link, ok := code.ParsePath(r.URL.Path)
	if !ok {
		return errNoLink
	}
	if isAhead(r.Header) {
		return errAhead
	}
	to := r.URL.Query().Get("to")
	landing, err := h.referrals.Link(r.Context(), short, to)
	if err != nil {
		return linkError(err)
	}
	of, err := h.tenants.Get(r.Context(), landing.TenantID)
	if err != nil {
		return linkError(err)
	}
	if isFollowed(r) && h.limits.touches.take(r, time.Now()) {
		h.touch(w, r, of, referral.Visit{Short: short, Link: link, To: to})
	}
	if landing.URL == "" {
		landing.URL = pagePath(of, landing.Program) + "?" + url.Values{codeParameter: {landing.Code}}.Encode()
	}
	w.Header().Set("Referrer-Policy", "no-referrer")
	http.Redirect(w, r, landing.URL, http.StatusFound)
	return nil
}

// linkError tells of a link that can't be found in the words of links.
func linkError(err error) error {
	if problem.NotFound.Has(err) {
		return errNoLink
	}
	return err
}

// touch records that a link was followed, and has the browser keep it. Where that
// fails the visitor is led on all the same.
func (h *Hosted) touch(w http.ResponseWriter, r *http.Request, of tenant.Tenant, v referral.Visit) {
	visits := h.Visits(r, of).Visit("", time.Now())
	v.Cookie, v.IP, v.UserAgent, v.URL = visits.ID, edge.Address(r), r.UserAgent(), r.Referer()
	landing, err := h.referrals.Visit(r.Context(), v)
	if err != nil {
		h.log.WarnContext(r.Context(), "touch_not_recorded", "error", err.Error())
		return
	}
	visits = visits.Visit(code.Fold(landing.Code), time.Now())
	h.setCookie(w, r, cookie{name: visitsCookie, of: of, value: visits.Value()})
}

// isAhead reports whether a browser asks before its user has clicked.
func isAhead(h http.Header) bool {
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		says := strings.ToLower(h.Get(name))
		if strings.Contains(says, "prefetch") || strings.Contains(says, "prerender") || strings.Contains(says, "preview") {
			return true
		}
	}
	return false
}

// isFollowed reports whether a request is of somebody who follows a link, as far as
// can be told. A program that looks at links for others says so in its name, or says
// nothing.
func isFollowed(r *http.Request) bool {
	if r.Method != http.MethodGet || r.UserAgent() == "" {
		return false
	}
	agent := strings.ReplaceAll(strings.ToLower(r.UserAgent()), "cubot", "") // a make of phones
	for _, word := range previewers {
		if strings.Contains(agent, word) {
			return false
		}
	}
	return true
}

// previewers are words in the names of programs that look at links for others.
var previewers = []string{
	"bot", "crawl", "spider", "slurp", "preview", "facebookexternalhit", "facebookcatalog", "meta-externalagent",
	"whatsapp/", "slack-imgproxy", "embedly", "pinterest/", "vkshare", "skypeuripreview", "google-safety", "mediapartners",
	"feedfetcher", "curl/", "wget/", "python-requests", "go-http-client", "monitor",
}
