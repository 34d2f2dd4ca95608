package saasquatch_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// TestAURLIsFoundHoweverItArrives deletes, and tests, one of several URLs that
// look alike, by paths as clients and proxies make them.
func TestAURLIsFoundHoweverItArrives(t *testing.T) {
	const (
		plain   = "https://a.example.com/hook"
		slashed = "https://a.example.com/hook/"
		tested  = "https://a.example.com/test"
		query   = "https://a.example.com/hook?a=b&c=%2Fd"
		escaped = "https://b.example.com/a%2Fb"
		deep    = "https://b.example.com/a/b"
		double  = "https://c.example.com/a//b"
		port    = "https://c.example.com:8443/é"
	)
	w, tenants := dialecttest.NewWorld(t, newAPI, nil), 0
	all := []string{plain, slashed, tested, query, escaped, deep, double, port, "https://d.example.com/x//y", "https://d.example.com/x/y"}
	for name, c := range map[string]struct{ path, want string }{
		"encoded":                        {url.QueryEscape(plain), plain},
		"encoded, as paths are":          {url.PathEscape(plain), plain},
		"encoded in lower case":          {"https%3a%2f%2fa.example.com%2fhook", plain},
		"encoded with its last slash":    {url.PathEscape(slashed), slashed},
		"encoded, ending in test":        {url.PathEscape(tested), tested},
		"encoded with its query":         {url.PathEscape(query), query},
		"encoded with escapes":           {url.PathEscape(escaped), escaped},
		"encoded with two slashes":       {url.PathEscape(double), double},
		"encoded, not ASCII":             {url.PathEscape(port), port},
		"decoded":                        {plain, plain},
		"decoded with its last slash":    {slashed, slashed},
		"decoded, ending in test":        {tested, tested},
		"decoded with its query":         {query, query},
		"decoded with escapes":           {escaped, escaped},
		"decoded without escapes":        {deep, deep},
		"decoded, not ASCII":             {"https://c.example.com:8443/%C3%A9", port},
		"its slashes made one":           {"https:/a.example.com/hook", plain},
		"its slashes made one, query":    {"https:/a.example.com/hook?a=b&c=%2Fd", query},
		"its slashes made one, further":  {"https:/c.example.com/a/b", double},
		"decoded with a foreign query":   {plain + "?utm=1", plain},
		"encoded with a foreign query":   {url.PathEscape(plain) + "?utm=1", plain},
		"encoded with one slash of two":  {url.PathEscape("https://c.example.com/a/b"), ""},
		"encoded twice":                  {url.PathEscape(url.PathEscape(plain)), ""},
		"its slashes made one, one of 2": {"https:/d.example.com/x/y", ""},
		"without its scheme":             {"a.example.com%2Fhook", ""},
		"in upper case":                  {"HTTPS%3A%2F%2FA.EXAMPLE.COM%2Fhook", ""},
		"a part of it":                   {url.PathEscape("https://a.example.com/"), ""},
		"dots":                           {"https://a.example.com/x/../hook", ""},
		"encoded dots":                   {"..%2Fsubscription", ""},
		"a null byte":                    {url.PathEscape(plain) + "%00", ""},
		"an unknown one":                 {url.PathEscape("https://unknown.example.com/"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			tenants++
			owner := w.MustTenant("tenant_" + strconv.Itoa(tenants))
			auth := password(w.MustKey(owner))
			for _, endpoint := range all {
				w.MustSubscribe(owner, webhook.Draft{Dialect: "saasquatch", URL: endpoint, EventTypes: []string{webhook.AllTypes}})
			}
			base := "/api/v1/" + owner.Alias + "/subscription/"
			path := c.path + "/test"
			if strings.Contains(path, "utm=") { // which is the request's own query
				path = strings.Replace(c.path, "?", "/test?", 1)
			}
			testing := w.Send(http.MethodPost, base+path, "", auth)
			if c.want == "" {
				if testing.Status != http.StatusNotFound {
					t.Errorf("the test answers %d %s", testing.Status, testing.Body)
				}
			} else if got := w.MustReceive(); testing.Status != http.StatusNoContent || !sameURL(got.URL, c.want) {
				t.Errorf("%d, and %s was tested, want %s", testing.Status, got.URL, c.want)
			}

			deleting := w.Send(http.MethodDelete, base+c.path, "", auth)
			subs, err := w.Webhooks.SubscriptionsOf(t.Context(), owner.ID, "saasquatch")
			if err != nil {
				t.Fatal(err)
			}
			gone := strings.Join(all, " ")
			for _, sub := range subs {
				gone = strings.TrimSpace(strings.Replace(" "+gone+" ", " "+sub.URL+" ", " ", 1))
			}
			want := http.StatusNoContent
			if c.want == "" {
				want = http.StatusNotFound
			}
			if deleting.Status != want || gone != c.want {
				t.Errorf("%d, and deleted is %q, want %q", deleting.Status, gone, c.want)
			}
		})
	}
}

// sameURL compares a URL as it was requested with one as it was written.
func sameURL(requested, written string) bool {
	a, err := url.Parse(requested)
	if err != nil {
		return false
	}
	b, err := url.Parse(written)
	return err == nil && a.String() == b.String()
}
