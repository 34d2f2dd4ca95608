package dialect

import (
	"net"
	"net/http"
	"strings"
)

// Mount says where the APIs of the dialects are served.
type Mount struct {
	Native   http.Handler
	Dialects map[string]http.Handler // by the dialect's name
	Hosts    map[string]string       // the dialect that a host name belongs to, in lower case
}

// Handler serves each dialect below its name, as in /referralloop/api/v1, and at
// the root of its hosts, and everything else natively.
func (m Mount) Handler() http.Handler {
	rooted := make(map[string]http.Handler, len(m.Hosts))
	for host, name := range m.Hosts {
		rooted[host] = m.Rooted(name)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h, ok := rooted[hostname(r.Host)]; ok {
			h.ServeHTTP(w, r)
			return
		}
		m.below(r).ServeHTTP(w, r)
	})
}

// What is native at a dialect's host too: receivers look for the server's public keys
// at the host that they know, and share links and pages of programs begin with the
// host that was asked for them. No dialect has paths like these.
const (
	keySet = "/.well-known/jwks.json"
	links  = "/r/"
	pages  = "/p/"
)

// Rooted serves one dialect at the root, and what is native at its host.
func (m Mount) Rooted(name string) http.Handler {
	api := m.Dialects[name]
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.EscapedPath() // as it was sent, as in below
		if path == keySet || strings.HasPrefix(path, links) || strings.HasPrefix(path, pages) {
			m.Native.ServeHTTP(w, r)
			return
		}
		api.ServeHTTP(w, r)
	})
}

// below returns whose path this is. The path is looked at as it was sent, so that
// no escape leads from one API into another.
func (m Mount) below(r *http.Request) http.Handler {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	if api, ok := m.Dialects[first]; ok {
		return http.StripPrefix("/"+first, api)
	}
	return m.Native
}

// hostname returns the name in a Host header, in lower case, without its port and
// a dot at its end.
func hostname(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
