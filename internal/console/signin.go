package console

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

const signInPath = "/console/sign-in"

type signInPage struct {
	frame
	Link  string // the token of a link; "": there is none
	Next  string // where to go afterwards
	Error string
}

func (c *Console) showSignIn(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	return c.render(w, http.StatusOK, "sign-in", signInPage{
		frame: v.frame("Sign in"), Link: q.Get("token"), Next: ownPath(q.Get("next")),
	})
}

// signIn opens a session for whoever has a link's token or a key.
func (c *Console) signIn(w http.ResponseWriter, r *http.Request, v *visit) error {
	page := signInPage{frame: v.frame("Sign in"), Next: ownPath(r.PostForm.Get("next"))}
	var principal tenant.Principal
	var err error
	if token := r.PostForm.Get("token"); token != "" {
		principal, err = c.redeem(r.Context(), token)
	} else {
		principal, err = c.authenticate(r, strings.TrimSpace(r.PostForm.Get("key")))
	}
	switch {
	case problem.Unauthenticated.Has(err), problem.Forbidden.Has(err):
		page.Error = sentence(detailOf(err))
		return c.render(w, http.StatusForbidden, "sign-in", page)
	case problem.RateLimited.Has(err):
		w.Header().Set("Retry-After", "60")
		page.Error = sentence(detailOf(err))
		return c.render(w, http.StatusTooManyRequests, "sign-in", page)
	case err != nil:
		return err
	}
	if err := c.sessions.End(r.Context(), c.cookies.read(r, sessionCookie)); err != nil {
		return err
	}
	cookie, err := c.begin(r.Context(), principal)
	if err != nil {
		return err
	}
	c.cookies.remove(w, visitorCookie)
	c.cookies.set(w, sessionCookie, cookie)
	seeOther(w, r, page.Next)
	return nil
}

func (c *Console) redeem(ctx context.Context, token string) (tenant.Principal, error) {
	good, err := c.sessions.Redeem(ctx, token)
	if err != nil {
		return tenant.Principal{}, err
	}
	if !good {
		return tenant.Principal{}, problem.Unauthenticated.New("this link was used already, or is older than 15 minutes: sign in with a key")
	}
	return tenant.Principal{Admin: true}, nil
}

// operatorPrefix begins the operator's key, the only one that somebody may have
// chosen. Others are too long to be guessed, so wrong ones need not be held back;
// behind a proxy that would keep everybody out.
const operatorPrefix = "gv_admin_"

func (c *Console) authenticate(r *http.Request, key string) (tenant.Principal, error) {
	now := time.Now()
	succeeded := func() {}
	if strings.HasPrefix(key, operatorPrefix) {
		var ok bool
		if succeeded, ok = c.failures.begin(r, now); !ok {
			return tenant.Principal{}, problem.RateLimited.New("too many keys of an operator were not accepted: wait a minute")
		}
	}
	principal, err := c.tenants.Authenticate(r.Context(), key, now)
	if problem.Unauthenticated.Has(err) {
		return tenant.Principal{}, problem.Unauthenticated.New("this key is not accepted: it is mistyped, revoked or expired")
	}
	succeeded()
	if err == nil && !principal.Can(tenant.Read) {
		return tenant.Principal{}, problem.Forbidden.New("this key can't be used here: it does not have the scope %q", tenant.Read)
	}
	return principal, err
}

func (c *Console) signOut(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := c.sessions.End(r.Context(), v.cookie); err != nil {
		return err
	}
	c.cookies.remove(w, sessionCookie)
	seeOther(w, r, signInPath)
	return nil
}

// ownPath returns the path and query if they are a page of the console, so that
// a link to the sign-in leads nowhere else; otherwise the first page.
func ownPath(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" ||
		!strings.HasPrefix(u.Path, "/console/") || path.Clean(u.Path) != u.Path || strings.Contains(u.Path, `\`) ||
		u.Path == signInPath {
		return applicationsPath
	}
	return (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}).String()
}
