package api

import (
	"encoding/json"
	"net/http"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// siteRoutes adds what needs no key: whether the node lives, what it measures,
// and the documentation.
func (s *server) siteRoutes() {
	s.mux.HandleFunc("/", s.noRoute)
	s.mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/docs", http.StatusFound)
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, health{"ok"})
	})
	s.mux.HandleFunc("GET /readyz", s.readyz)
	if s.opts.Metrics != nil {
		s.mux.Handle("GET /metrics", s.opts.Metrics)
	}
	s.serveDocument("/openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(s.huma.OpenAPI()) })
	s.serveDocument("/openapi.yaml", "application/openapi+yaml", func() ([]byte, error) { return s.huma.OpenAPI().YAML() })
	s.serveDocument("/docs", "text/html; charset=utf-8", s.docs)
}

type health struct {
	Status string `json:"status"`
}

func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.opts.Ready(r.Context()); err != nil {
		s.log.WarnContext(r.Context(), "not_ready", "request_id", callOf(r.Context()).requestID, "error", err.Error())
		s.refuse(w, r, problem.Unavailable.New("this node can't serve now"))
		return
	}
	writeJSON(w, http.StatusOK, health{"ok"})
}

// serveDocument serves a text that is made once, when somebody first asks.
func (s *server) serveDocument(path, contentType string, build func() ([]byte, error)) {
	build = sync.OnceValues(build)
	policy := "default-src 'none'; style-src " + docsStyle + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	s.mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) {
		text, err := build()
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(text) // fails only if the caller has gone
	})
}
