package dialect

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// pattern is a route's pattern, in segments.
type pattern []string

func parsePattern(text string) pattern { return strings.Split(strings.TrimPrefix(text, "/"), "/") }

// match returns what stands in the place of the names in an escaped path. A slash
// at its end changes nothing, unless it belongs to the rest of the path.
func (p pattern) match(path string) (map[string]string, bool) {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nil, false
	}
	var texts []string // of the names, in their order
	for i, want := range p {
		if strings.HasSuffix(want, "...}") {
			return p.named(append(texts, path)), path != ""
		}
		segment, further, more := strings.Cut(path, "/")
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		switch {
		case want[0] == '{' && text != "":
			texts = append(texts, text)
		case want != text:
			return nil, false
		}
		last := i == len(p)-1
		if last {
			return p.named(texts), further == ""
		}
		if !more {
			return nil, false
		}
		path = further
	}
	return nil, false
}

// named returns the texts by the names of the pattern.
func (p pattern) named(texts []string) map[string]string {
	named := make(map[string]string, len(texts))
	for _, want := range p {
		if name, ok := strings.CutPrefix(want, "{"); ok && len(texts) > 0 {
			named[strings.TrimRight(name, ".}")], texts = texts[0], texts[1:]
		}
	}
	return named
}

// place is a path that there is, with the routes of its pattern.
type place struct {
	routes []*Route
	path   map[string]string
}

// find returns the place of a request, and notes its path.
func (h *handler) find(r *http.Request, c *Call) (place, error) {
	path := r.URL.EscapedPath()
	for i := range h.routes {
		named, ok := h.patterns[h.routes[i].Pattern].match(path)
		if !ok {
			continue
		}
		at := place{path: named}
		for j := range h.routes {
			if h.routes[j].Pattern == h.routes[i].Pattern {
				at.routes = append(at.routes, &h.routes[j])
			}
		}
		c.Path = named
		return at, nil
	}
	return place{}, errNoPath
}

// choose picks the route of the request's method, or refuses it and says which
// methods the path takes.
func (p place) choose(w http.ResponseWriter, r *http.Request, c *Call) error {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for _, rt := range p.routes {
		if rt.Method == method {
			c.route = rt
			return nil
		}
		if allowed = append(allowed, rt.Method); rt.Method == http.MethodGet {
			allowed = append(allowed, http.MethodHead)
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return problem.MethodNotAllowed.New("this path takes %s only", strings.Join(allowed, ", "))
}
