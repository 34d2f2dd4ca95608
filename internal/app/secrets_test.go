package app_test

import (
	"bytes"
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// known are secrets by what they are.
type known map[string]string

// The secrets that the test chooses. What it can't choose it learns from the
// answers that show it once.
const (
	masterKeyText  = "5f1d8c0a7b3e94268d0f6a1c2b7e5d39f48a60c1e7d2b5938c4f0a6e1d7b2c85"
	chosenSecret   = "whsec_TWlzdGxldG9lLXNob3VsZC1zdGF5LWhpZGRlbi1oZXJl"
	rotatedSecret  = "whsec_QW5vdGhlci1vbmUtdGhhdC1tdXN0LW5vdC1iZS1zZWVu"
	headerValue    = "header-value-Zq8vT3nLw5"
	basicPassword  = "basic-password-Hx7mK2pRt9"
	bearerToken    = "bearer-token-Jc4sF8yGb6"
	dialectKey     = "TEST_dialect_key_9rDnXw3LqPzVa7YtKe2MhB"
	dialectSecret  = "ReferralLoopSecret_Ub6kNs1Wf8"
	clientSecret   = "client-secret-Wd5rQz9Xh3"
	accessToken    = "access-token-Kf2mPv6Ys8"
	refusedSecret  = "whsec_not-base64-!-Pq5zXc8Vb2"
	mistypedHeader = "mistyped-header-Mn3bVg7Lk1\u0007"
)

// ledger collects what the server has said: its log and its refusals.
type ledger struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// Write takes a line of the log.
func (l *ledger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.Write(p)
}

func (l *ledger) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.said.Bytes())
}

// call makes a request. An answer that is a refusal is noted.
func (l *ledger) call(t *testing.T, method, url, key, body string) map[string]any {
	t.Helper()
	status, answer, err := send(t.Context(), method, url, key, body)
	if err != nil {
		t.Fatal(err)
	}
	if status >= 400 {
		fmt.Fprintln(l, answer["text"])
	}
	return answer
}

// mustMake makes something and returns one field of it.
func (l *ledger) mustMake(t *testing.T, url, key, body, field string) string {
	t.Helper()
	value, ok := l.call(t, http.MethodPost, url, key, body)[field].(string)
	if !ok {
		t.Fatalf("POST %s %s: no %s", url, body, field)
	}
	return value
}

func TestNoSecretIsOnDiskInTheLogOrInAnError(t *testing.T) {
	said, path := new(ledger), filepath.Join(t.TempDir(), "grapevine.db")
	cfg := settings(path)
	cfg.MasterKey = masterKeyText
	a, err := app.New(t.Context(), cfg, app.Options{Logger: slog.New(slog.NewJSONHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	if err != nil {
		t.Fatal(err)
	}
	defer stop(a)
	receiver := httptest.NewServer(http.HandlerFunc(echo))
	defer receiver.Close()

	secrets := known{
		"the master key": masterKeyText, "the operator's key": adminKey, "a chosen secret": chosenSecret, "a rotated secret": rotatedSecret,
		"a header": headerValue, "a password": basicPassword, "a token": bearerToken, "a key of a dialect": dialectKey,
		"a dialect's secret": dialectSecret, "a client's secret": clientSecret, "an access token": accessToken, "a secret that was refused": refusedSecret, "a header that was refused": strings.TrimSuffix(mistypedHeader, "\u0007"),
	}
	attempts := exercise(t, a.URL(), receiver.URL, said, secrets)
	fail(t, a.URL(), said, secrets)
	eventually(t, "all is sent and on record", func() bool {
		return bytes.Count(said.bytes(), []byte(`"msg":"attempt"`)) >= attempts
	})
	wantNowhere(t, "while the server runs", path, said, secrets)
	stop(a)
	secrets["the server's private key"] = mustPrivateKey(t, path)
	wantNowhere(t, "after a stop", path, said, secrets)
}

// echo answers with all that it was sent, and every third time with a failure. It
// is a token endpoint as well.
func echo(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/token" {
		_, _ = io.WriteString(w, `{"access_token":"`+accessToken+`","token_type":"Bearer"}`)
		return
	}
	for name, values := range r.Header {
		w.Header()["Echo-"+name] = values
	}
	if echoed.Add(1)%3 == 0 {
		w.WriteHeader(http.StatusInternalServerError)
	}
	_ = r.Header.Write(w)
	_, _ = io.Copy(w, r.Body)
}

var echoed atomic.Int64

// exercise makes a secret of each kind, has all of them used, and returns how many
// attempts that takes at least.
func exercise(t *testing.T, url, receiver string, said *ledger, secrets known) int {
	t.Helper()
	key := said.mustMake(t, url+"/v1/tenants", adminKey, `{"alias":"acme"}`, "api_key")
	secrets["a tenant's key"] = key
	tenant := strings.TrimSpace(said.call(t, http.MethodGet, url+"/v1/tenants", adminKey, "")["data"].([]any)[0].(map[string]any)["id"].(string))
	keys := url + "/v1/tenants/" + tenant + "/keys"
	secrets["a further key"] = said.mustMake(t, keys, adminKey, `{"scopes":["read"]}`, "api_key")
	secrets["SaaSquatch's key"] = said.mustMake(t, keys, adminKey, `{"dialect":"saasquatch","scopes":["read"]}`, "api_key")
	secrets["ReferralLoop's key"] = said.mustMake(t, keys, adminKey, `{"dialect":"referralloop","scopes":["read"]}`, "api_key")
	said.mustMake(t, keys, adminKey, `{"dialect":"saasquatch","scopes":["read"],"value":"`+dialectKey+`"}`, "api_key")
	said.mustMake(t, url+"/v1/jwks/rotate", adminKey, "", "kid")

	subs := url + "/v1/subscriptions"
	with := func(rest string) string { return `{"url":"` + receiver + `","event_types":["*"],` + rest + `}` }
	first := said.mustMake(t, subs, key, with(`"secret":"`+chosenSecret+`","headers":{"X-Own":"`+headerValue+`"}`), "id")
	secrets["a secret that was made"] = said.mustMake(t, subs, key, with(`"auth":{"type":"basic","username":"u","password":"`+basicPassword+`"}`), "secret")
	secrets["a private key that was made"] = said.mustMake(t, subs, key, with(`"signature":"v1a","auth":{"type":"bearer","token":"`+bearerToken+`"}`), "secret")
	said.mustMake(t, subs+"/"+first+"/secret/rotate", key, `{"secret":"`+rotatedSecret+`"}`, "id")
	said.mustMake(t, subs, key, with(`"dialect":"referralloop","secret":"`+dialectSecret+`"`), "id")
	said.mustMake(t, subs, key, with(`"auth":{"type":"oauth2","token_url":"`+receiver+`/token","client_id":"shop","client_secret":"`+clientSecret+`"}`), "id")
	certificate, private := testkit.MustAuthority(t).MustIssue(t, "A client", time.Now().Add(time.Hour))
	secrets["the private key of a certificate"] = strings.Split(private, "\n")[1]
	auth, err := json.Marshal(map[string]string{"type": "mtls", "certificate": certificate, "private_key": private})
	if err != nil {
		t.Fatal(err)
	}
	secure := strings.Replace(receiver, "http://", "https://", 1) // which it does not speak
	said.mustMake(t, subs, key, `{"url":"`+secure+`","event_types":["*"],"auth":`+string(auth)+`}`, "id")
	said.mustMake(t, subs+"/"+first+"/test", key, "", "verdict")
	said.call(t, http.MethodPatch, subs+"/"+first, key, `{"description":"changed"}`)
	for range 4 {
		said.mustMake(t, url+"/v1/events", key, event, "id")
	}
	return 5 * 4
}

// fail makes calls that are refused, with secrets in all places where they may
// stand by mistake.
func fail(t *testing.T, url string, said *ledger, secrets known) {
	t.Helper()
	key, subs := secrets["a tenant's key"], url+"/v1/subscriptions"
	for _, body := range []string{
		`{"url":"https://user:` + basicPassword + `@example.com/","event_types":["*"]}`,
		`{"url":"` + chosenSecret + `","event_types":["` + headerValue + `"]}`,
		`{"url":"https://example.com/","event_types":["*"],"secret":"` + refusedSecret + `"}`,
		`{"url":"https://example.com/","event_types":["*"],"headers":{"X-Own":"` + mistypedHeader + `"}}`,
		`{"url":"https://example.com/","event_types":["*"],"auth":{"type":"` + bearerToken + `","token":1}}`,
		`{"url":"https://example.com/","event_types":["*"],"secret":["` + chosenSecret + `"]}`,
		`{"url":"https://example.com/","event_types":["*"],"auth":{"type":"oauth2","token_url":"` + clientSecret + `","client_secret":"` + clientSecret + `"}}`,
		`{"url":"https://example.com/","event_types":["*"],"auth":{"type":"mtls","certificate":"` + accessToken + `","private_key":"` + clientSecret + `"}}`,
		`{"` + chosenSecret + `":"` + headerValue + `"}`,
		`{"secret":"` + chosenSecret + `"`,
	} {
		said.call(t, http.MethodPost, subs, key, body)
		said.call(t, http.MethodPost, subs+"/test", key, body)
		said.call(t, http.MethodPost, url+"/v1/events", key, body)
	}
	for name, value := range secrets {
		if strings.ContainsAny(value, " !") {
			continue
		}
		said.call(t, http.MethodGet, subs+"/"+value, key, "")
		said.call(t, http.MethodGet, subs+"?cursor="+value, key, "")
		said.call(t, http.MethodGet, url+"/v1/deliveries?status="+value, key, "")
		said.call(t, http.MethodGet, url+"/"+value, key, "")
		if !strings.Contains(name, "tenant's key") && !strings.Contains(name, "operator") {
			said.call(t, http.MethodGet, subs, value, "")
			said.call(t, http.MethodDelete, url+"/v1/tenants/"+value, adminKey, "")
		}
	}
}

// forms returns a secret as it could be written.
func forms(value string) map[string][]byte {
	raw := []byte(value)
	all := map[string][]byte{
		"as it is": raw, "in hexadecimal": []byte(hex.EncodeToString(raw)), "in capital hexadecimal": []byte(strings.ToUpper(hex.EncodeToString(raw))),
		"in base64": []byte(base64.RawStdEncoding.EncodeToString(raw)), "in base64 for URLs": []byte(base64.RawURLEncoding.EncodeToString(raw)),
		"as a password in base64": []byte(base64.RawStdEncoding.EncodeToString([]byte("u:" + value))),
	}
	for _, prefix := range []string{"whsec_", "whsk_"} {
		if text, ok := strings.CutPrefix(value, prefix); ok {
			if key, err := base64.StdEncoding.DecodeString(text); err == nil {
				all["the key alone"], all["the key alone in hexadecimal"], all["the key alone in base64"] = key, []byte(hex.EncodeToString(key)), []byte(text)
			}
		}
	}
	if key, err := hex.DecodeString(value); err == nil {
		all["its bytes"], all["its bytes in base64"] = key, []byte(base64.StdEncoding.EncodeToString(key))
	}
	return all
}

// wantNowhere fails the test if the database's files, the log or a refusal have
// one of the secrets.
func wantNowhere(t *testing.T, when, path string, said *ledger, secrets known) {
	t.Helper()
	places := map[string][]byte{"the log and the refusals": said.bytes()}
	for _, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil && (suffix == "" || !errors.Is(err, os.ErrNotExist)) {
			t.Fatal(err)
		}
		places["the file "+filepath.Base(path+suffix)] = content
	}
	if !bytes.Contains(append(places["the file "+filepath.Base(path)], places["the file "+filepath.Base(path)+"-wal"]...), []byte("amount")) {
		t.Fatalf("%s, the files have not even what is no secret", when)
	}
	for place, content := range places {
		for name, value := range secrets {
			for form, text := range forms(value) {
				if bytes.Contains(content, text) {
					t.Errorf("%s, %s has %s %s", when, place, name, form)
				}
			}
		}
	}
}

// mustPrivateKey returns the secret exponent of the server's own key.
func mustPrivateKey(t *testing.T, path string) string {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+path, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	key, err := secret.ParseKey(masterKeyText)
	if err != nil {
		t.Fatal(err)
	}
	box, err := secret.NewBox(key)
	if err != nil {
		t.Fatal(err)
	}
	var private *rsa.PrivateKey
	err = d.Read(context.Background(), func(q db.Queryer) error {
		var row id.ID
		var sealed []byte
		if err := q.QueryRow(`SELECT id, sealed FROM jwk WHERE sealed IS NOT NULL`).Scan(&row, &sealed); err != nil {
			return err
		}
		der, err := box.Open(sealed, row)
		if err != nil {
			return err
		}
		parsed, err := x509.ParsePKCS8PrivateKey(der)
		private, _ = parsed.(*rsa.PrivateKey)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(private.D.Bytes())
}
