package dialect_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect"
)

// says answers with a name and the path that it sees.
func says(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, name+" "+r.URL.EscapedPath())
	})
}

func TestARequestGoesToTheDialectThatItsPathOrHostNames(t *testing.T) {
	m := dialect.Mount{
		Native:   says("native"),
		Dialects: map[string]http.Handler{"rehook": says("rehook"), "referralloop": says("referralloop")},
		Hosts:    map[string]string{"hooks.example.com": "rehook"},
	}
	for _, c := range []struct{ host, path, want string }{
		{"localhost:8080", "/v1/events", "native /v1/events"},
		{"localhost:8080", "/", "native /"},
		{"localhost:8080", "/rehook/webhooks", "rehook /webhooks"},
		{"localhost:8080", "/rehook/webhooks/a%2Fb%3F", "rehook /webhooks/a%2Fb%3F"},
		{"localhost:8080", "/rehook//webhooks", "rehook //webhooks"},
		{"localhost:8080", "/rehook/", "rehook /"},
		{"localhost:8080", "/rehook", "rehook "},
		{"localhost:8080", "/rehook/rehook/x", "rehook /rehook/x"},
		{"localhost:8080", "/rehook/../v1/events", "rehook /../v1/events"},
		{"localhost:8080", "/rehooks/webhooks", "native /rehooks/webhooks"},
		{"localhost:8080", "/Rehook/webhooks", "native /Rehook/webhooks"},
		{"localhost:8080", "/rehook%2Fwebhooks", "native /rehook%2Fwebhooks"},
		{"localhost:8080", "/%72ehook/webhooks", "native /%72ehook/webhooks"},
		{"localhost:8080", "/v1/../rehook/webhooks", "native /v1/../rehook/webhooks"},
		{"localhost:8080", "/referralloop/api/v1/webhooks", "referralloop /api/v1/webhooks"},
		{"hooks.example.com", "/webhooks", "rehook /webhooks"},
		{"HOOKS.example.com.:443", "/webhooks", "rehook /webhooks"},
		{"hooks.example.com", "/referralloop/api/v1/webhooks", "rehook /referralloop/api/v1/webhooks"},
		{"hooks.example.com", "/v1/events", "rehook /v1/events"},
		{"hooks.example.com", "/.well-known/jwks.json", "native /.well-known/jwks.json"},
		{"hooks.example.com", "/.well-known/../v1/tenants", "rehook /.well-known/../v1/tenants"},
		{"hooks.example.com", "/x/../.well-known/jwks.json", "rehook /x/../.well-known/jwks.json"},
		{"hooks.example.com", "/r/mPbcF5", "native /r/mPbcF5"},
		{"hooks.example.com", "/p/acme/friends", "native /p/acme/friends"},
		{"hooks.example.com", "/r", "rehook /r"},
		{"hooks.example.com", "/%72/mPbcF5", "rehook /%72/mPbcF5"},
		{"hooks.example.com", "/r%2FmPbcF5", "rehook /r%2FmPbcF5"},
		{"hooks.example.com.evil.example", "/webhooks", "native /webhooks"},
		{"", "/webhooks", "native /webhooks"},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://x"+c.path, nil)
		req.Host = c.host
		rec := httptest.NewRecorder()
		m.Handler().ServeHTTP(rec, req)
		if got := rec.Body.String(); got != c.want {
			t.Errorf("%s%s goes to %q, want %q", c.host, c.path, got, c.want)
		}
	}
}
