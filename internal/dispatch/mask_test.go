package dispatch_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// answered returns what is stored of an answer to the subscription's request.
func answered(t *testing.T, sub *webhook.Subscription, body, header string) (string, string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Echo", header)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(server.Close)
	sub.URL = server.URL
	a := attempt(t, mustAttempter(t), sub)
	if a.Verdict != wire.Delivered {
		t.Fatalf("%+v", a)
	}
	for _, h := range a.Headers {
		if h.Name == "X-Echo" {
			return string(a.Body), h.Value
		}
	}
	return string(a.Body), ""
}

// sends returns a subscription whose requests have the values in headers.
func sends(values ...string) *webhook.Subscription {
	sub := &webhook.Subscription{}
	for i, value := range values {
		sub.Headers = append(sub.Headers, wire.Header{Name: "X-Own-" + string(rune('A'+i)), Value: value})
	}
	return sub
}

func TestEverySecretThatComesBackIsMaskedWithNothingLeftOfIt(t *testing.T) {
	for name, c := range map[string]struct {
		secrets    []string
		body, want string
	}{
		"two beside each other":         {[]string{"first-secret", "other-secret"}, "first-secretother-secret.", "****************."},
		"one within another":            {[]string{"the-secret", "not-the-secret-alone"}, "<not-the-secret-alone the-secret>", "<******** ********>"},
		"one that begins another":       {[]string{"the-secret", "the-secret-is-long"}, "<the-secret-is-long>", "<********>"},
		"two of which one goes on":      {[]string{"abcdefgh1234", "1234wxyz5678"}, "<abcdefgh1234wxyz5678>", "<********>"},
		"three, one over the others":    {[]string{"abcdefgh", "efghijklmnop", "ijklmnopqrst"}, "<abcdefghijklmnopqrst>", "<********>"},
		"one that is the mask's length": {[]string{"12345678"}, "12345678123456789", "****************9"},
		"one of ordinary words":         {[]string{"ok", "the-secret"}, "ok: the-secret is ok", "ok: ******** is ok"},
		"one given twice":               {[]string{"the-secret", "the-secret"}, "the-secret", "********"},
		"none":                          {nil, "ok", "ok"},
		"one that is not there":         {[]string{"the-secret"}, "the-secre t", "the-secre t"},
	} {
		t.Run(name, func(t *testing.T) {
			body, header := answered(t, sends(c.secrets...), c.body, c.body)
			if body != c.want || header != c.want {
				t.Errorf("stored are %q and %q, want %q", body, header, c.want)
			}
		})
	}
}

func TestMasksMakeAnAnswerNoLonger(t *testing.T) {
	long := strings.Repeat("a", 8<<10-400)
	for name, sub := range map[string]*webhook.Subscription{
		"the shortest secret":   sends("aaaaaaaa"),
		"secrets of one letter": sends("aaaaaaaa", "aaaaaaaaa", "aaaaaaaaaaa", strings.Repeat("a", 100)),
		"a tiny password":       {Auth: webhook.Auth{Type: webhook.BasicAuth, Username: "u", Password: "a"}},
		"a tiny token":          {Auth: webhook.Auth{Type: webhook.BearerAuth, Token: "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			body, header := answered(t, sub, long+long+long+long, long)
			if len(body) > 16<<10 || len(header) > len(long) {
				t.Errorf("%d bytes of a body are stored, and %d of a header of %d", len(body), len(header), len(long))
			}
		})
	}
}

func TestNothingIsLeftOfASecretAcrossTheEndOfWhatIsKept(t *testing.T) {
	const kept = 16 << 10
	secret := strings.Repeat("s3cr3t-", 700)
	for name, c := range map[string]struct{ body, want string }{
		"at the end":        {strings.Repeat("x", kept-4) + secret + "y", strings.Repeat("x", kept-4) + "****"},
		"over and over":     {strings.Repeat(secret, 10), strings.Repeat(webhook.Masked, (kept+len(secret)-1)/len(secret))},
		"right behind it":   {strings.Repeat("x", kept) + secret, strings.Repeat("x", kept)},
		"before other text": {secret + strings.Repeat("x", 2*kept), webhook.Masked + strings.Repeat("x", kept-len(secret))},
	} {
		t.Run(name, func(t *testing.T) {
			if body, _ := answered(t, sends(secret), c.body, ""); body != c.want {
				t.Errorf("%d bytes are stored, want %d; they end with %q", len(body), len(c.want), body[max(0, len(body)-20):])
			}
		})
	}
}
