package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// begin opens a session for whoever has signed in, and returns its cookie.
func (c *Console) begin(ctx context.Context, p tenant.Principal) (string, error) {
	cookie := session.NewToken()
	holder := session.Holder{Tenant: p.Tenant.ID, Key: p.KeyID}
	if p.Admin {
		holder.Proof = c.tenants.AdminProof(cookie)
	}
	return cookie, c.sessions.Begin(ctx, cookie, holder)
}

// leave keeps what the next page of a thing says. Where that fails, what was done
// is done, and the page shows it too.
func (c *Console) leave(ctx context.Context, v *visit, of id.ID, notice string) {
	_ = c.sessions.Leave(ctx, v.session, of, notice)
}

// NewLink returns a URL at which the operator signs in, once and within 15
// minutes. Opening it only shows a button, since programs that preview links
// open them too. It is as good as the operator's key: show it to nobody else.
func (c *Console) NewLink(ctx context.Context) (string, error) {
	token, err := c.sessions.NewLink(ctx)
	if err != nil {
		return "", err
	}
	query := url.Values{"token": {token}}
	return c.url + signInPath + "?" + query.Encode(), nil
}

// Names of the cookies; see cookies.name.
const (
	sessionCookie = "grapevine_console"
	visitorCookie = "grapevine_visitor" // of those who are about to sign in
)

// cookies sets and reads them, and makes the tokens of forms from them.
type cookies struct {
	secure bool // browsers come over https
}

// name adds the prefix that makes browsers refuse a cookie which another host of
// the same domain sets. It demands https.
func (c *cookies) name(name string) string {
	if c.secure {
		return "__Host-" + name
	}
	return name
}

func (c *cookies) read(r *http.Request, name string) string {
	cookie, err := r.Cookie(c.name(name))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// set sends a cookie that lasts until the browser is closed.
func (c *cookies) set(w http.ResponseWriter, name, value string) { c.send(w, name, value, 0) }

func (c *cookies) remove(w http.ResponseWriter, name string) { c.send(w, name, "", -1) }

func (c *cookies) send(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // not Secure where browsers come over http, where it would not be sent
		Name: c.name(name), Value: value, Path: "/", MaxAge: maxAge,
		HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteStrictMode,
	})
}

// formToken returns what the forms of whoever has the cookie carry. Only who knows
// the cookie, which no script can read, can make it, at any server.
func formToken(cookie string) string {
	mac := hmac.New(sha256.New, []byte(cookie))
	mac.Write([]byte("form token"))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// visitorToken returns the token of somebody who has not signed in, and gives
// them the cookie that it comes from.
func (c *cookies) visitorToken(w http.ResponseWriter, r *http.Request) string {
	visitor := c.read(r, visitorCookie)
	if len(visitor) != base64.RawURLEncoding.EncodedLen(sha256.Size) {
		visitor = session.NewToken()
		c.set(w, visitorCookie, visitor)
	}
	return formToken(visitor)
}

func sameToken(want, got string) bool {
	return want != "" && subtle.ConstantTimeCompare([]byte(want), []byte(got)) == 1
}
