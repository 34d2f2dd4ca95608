package dialect

import (
	"net/http"
	"net/url"
	"slices"
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
	named := make(map[string]string)
	for i, want := range p {
		if rest, ok := strings.CutSuffix(want, "...}"); ok {
			named[rest[1:]] = path
			return named, path != ""
		}
		segment, further, more := strings.Cut(path, "/")
		text, err := url.PathUnescape(segment)
		if err != nil {
			return nil, false
		}
		switch {
		case want[0] == '{' && text != "":
			named[strings.Trim(want, "{}")] = text
		case want != text:
			return nil, false
		}
		last := i == len(p)-1
		if last {
			return named, further == ""
		}
		if !more {
			return nil, false
		}
		path = further
	}
	return nil, false
}

// find returns the route of a request, or a refusal that says which methods the
// path takes.
func (h *handler) find(w http.ResponseWriter, r *http.Request, c *Call) error {
	path := r.URL.EscapedPath()
	i := slices.IndexFunc(h.routes, func(rt Route) bool {
		_, ok := h.patterns[rt.Pattern].match(path)
		return ok
	})
	if i < 0 {
		return errNoPath
	}
	c.Path, _ = h.patterns[h.routes[i].Pattern].match(path)
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	var allowed []string
	for j := range h.routes {
		rt := &h.routes[j]
		if rt.Pattern != h.routes[i].Pattern {
			continue
		}
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
