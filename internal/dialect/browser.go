package dialect

import (
	"net/http"
	"slices"
	"strings"
)

const (
	// readable is what browsers of other origins may read of an answer besides its
	// body.
	readable = "Retry-After, X-Request-Id"
	// remembered is for how many seconds a browser need not ask again.
	remembered = "3600"
	// maxSendable is how long a list of headers may be that a browser asks for.
	maxSendable = 1024
)

// browsers reports whether browsers of other origins may make a call here.
func (p place) browsers() bool {
	return slices.ContainsFunc(p.routes, func(rt *Route) bool { return rt.Access != ByKey })
}

// preflight answers a browser that asks what it may send: any header that it asks
// for, since what counts is who asks then. It tells nothing of anybody, so nobody
// need be authenticated.
func (p place) preflight(w http.ResponseWriter, r *http.Request) Answer {
	var methods []string
	for _, rt := range p.routes {
		if rt.Access != ByKey {
			methods = append(methods, rt.Method)
		}
	}
	allowOrigin(w, r)
	head := w.Header()
	head.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" && len(asked) <= maxSendable {
		head.Set("Access-Control-Allow-Headers", asked)
	}
	head.Set("Access-Control-Max-Age", remembered)
	return Answer{Status: http.StatusNoContent}
}

// allowOrigin lets a page of any origin read an answer, also where its visitor's
// browser sends cookies: those say no more than by which links it came, and a token
// is not a cookie.
func allowOrigin(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		head.Set("Access-Control-Allow-Origin", origin)
		head.Set("Access-Control-Allow-Credentials", "true")
		head.Set("Access-Control-Expose-Headers", readable)
	}
}

// forbidOrigin takes that back.
func forbidOrigin(w http.ResponseWriter) {
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers"} {
		w.Header().Del(name)
	}
}
