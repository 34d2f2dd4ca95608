package hosted

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// cookieAge is how long both cookies are kept, from when they are set.
const cookieAge = 90 * 24 * time.Hour

// The cookies: one of the visits by share links, one of the person. Their names end
// with the tenant.
const (
	visitsCookie = "grapevine_visits_"
	personCookie = "grapevine_person_"
)

// cookieName adds the prefix that makes browsers refuse a cookie which another host
// of the same domain sets. It demands https.
func (h *Hosted) cookieName(r *http.Request, name string, of tenant.Tenant) string {
	name += of.ID.String()
	if h.secure(r) {
		return "__Host-" + name
	}
	return name
}

// cookie is what a browser is to keep for a tenant.
type cookie struct {
	name   string // of the constants above
	of     tenant.Tenant
	value  string // "": it is to keep it no longer
	framed bool   // by a page in a frame
}

// setCookie sets a cookie that scripts don't see. In a frame on another site only a
// cookie that is partitioned is sent, which no other site shares, and that demands
// https.
func (h *Hosted) setCookie(w http.ResponseWriter, r *http.Request, c cookie) {
	set := http.Cookie{ //nolint:gosec // Secure wherever browsers come by https; SameSite is given up for what is partitioned
		Name: h.cookieName(r, c.name, c.of), Value: c.value, Path: "/", MaxAge: int(cookieAge / time.Second),
		HttpOnly: true, Secure: h.secure(r), SameSite: http.SameSiteLaxMode,
	}
	if c.value == "" {
		set.MaxAge = -1
	}
	if c.framed && set.Secure {
		set.SameSite, set.Partitioned = http.SameSiteNoneMode, true
	}
	http.SetCookie(w, &set)
}

// Visits returns what the browser keeps of its visits to the tenant's links; nothing
// where it keeps none.
func (h *Hosted) Visits(r *http.Request, of tenant.Tenant) attribution.Cookie {
	for _, c := range r.CookiesNamed(h.cookieName(r, visitsCookie, of)) {
		if visits := attribution.ParseCookie(c.Value); visits.ID != "" {
			return visits
		}
	}
	return attribution.Cookie{}
}

// purpose stands before what a token says: what was sealed for something else opens
// nothing.
const purpose = "a browser of the person at the hosted pages\x00"

var errNoToken = errors.New("hosted: the token is not one of ours, or has expired")

// token names a person of the tenant, until it expires, and can be made by this
// server only.
type token struct {
	person id.ID
	until  time.Time
}

func (h *Hosted) seal(of tenant.Tenant, t token) (string, error) {
	plain := binary.BigEndian.AppendUint64(append([]byte(purpose), t.person[:]...), uint64(t.until.Unix())) //nolint:gosec // after 1970
	sealed, err := h.box.Seal(plain, of.ID)
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// unseal returns a token, if it has not expired.
func (h *Hosted) unseal(of tenant.Tenant, text string) (token, error) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return token{}, errNoToken
	}
	plain, err := h.box.Open(sealed, of.ID)
	if err != nil {
		return token{}, errNoToken
	}
	rest, ok := strings.CutPrefix(string(plain), purpose)
	var t token
	if !ok || len(rest) != len(t.person)+8 {
		return token{}, errNoToken
	}
	copy(t.person[:], rest)
	t.until = time.Unix(int64(binary.BigEndian.Uint64([]byte(rest[len(t.person):]))), 0) //nolint:gosec // what seal wrote
	if !time.Now().Before(t.until) {
		return token{}, errNoToken
	}
	return t, nil
}

// recognise has the browser be known as the person's from now on.
func (h *Hosted) recognise(w http.ResponseWriter, r *http.Request, p page, person id.ID) error {
	value, err := h.seal(p.tenant, token{person, time.Now().Add(cookieAge)})
	if err != nil {
		return err
	}
	h.setCookie(w, r, cookie{personCookie, p.tenant, value, p.framed})
	return nil
}

// recognised returns whose browser it is, and whether its cookie should be renewed;
// zero: nobody's that is known.
func (h *Hosted) recognised(r *http.Request, p page) (id.ID, bool) {
	for _, c := range r.CookiesNamed(h.cookieName(r, personCookie, p.tenant)) {
		if t, err := h.unseal(p.tenant, c.Value); err == nil {
			return t.person, time.Until(t.until) < cookieAge*9/10
		}
	}
	return id.ID{}, false
}
