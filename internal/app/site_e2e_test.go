package app_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/verify"
)

// mustStartAnywhere starts a server on a new database of whichever kind the tests
// run on.
func mustStartAnywhere(t testing.TB) *app.App {
	t.Helper()
	cfg := settings("")
	cfg.Database = testkit.DatabaseURL(t)
	if testkit.OnPostgres() {
		cfg.MasterKey = strings.Repeat("1a", 32)
	}
	return mustStart(t, cfg)
}

// site is a tenant with a program, as a company has it that integrates by SaaSquatch's
// API: its calls, and the endpoint that receives.
type site struct {
	t      testing.TB
	url    string
	alias  string
	native string // a key of the native API
	key    string // a key of SaaSquatch's, which signs
	inbox  *inbox
}

// mustSite creates a tenant with a program.
func mustSite(t testing.TB, url, alias string) *site {
	t.Helper()
	made := mustPost(t, url+"/v1/tenants", adminKey, `{"alias":"`+alias+`","live":true}`)
	s := &site{t: t, url: url, alias: alias, native: made["api_key"].(string)}
	s.key = mustPost(t, url+"/v1/tenants/"+made["id"].(string)+"/keys", adminKey,
		`{"dialect":"saasquatch","scopes":["manage","publish","read"]}`)["api_key"].(string)
	s.mustSet(wire.Settings{"jws": "on"})
	mustPost(t, url+"/v1/programs", s.native, `{"key":"friends","settings":{"landing_url":"https://www.example.com"},"rules":`+app.ProgramRules+`}`)
	return s
}

// mustSet chooses SaaSquatch's settings.
func (s *site) mustSet(chosen wire.Settings) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"settings": chosen})
	if err != nil {
		s.t.Fatal(err)
	}
	status, answer, err := send(s.t.Context(), http.MethodPut, s.url+"/v1/dialects/saasquatch/settings", s.native, string(body))
	if err != nil || status != http.StatusOK {
		s.t.Fatal(status, answer, err)
	}
}

// auth is how a request says who makes it.
type auth func(r *http.Request)

func byKey(key string) auth { return func(r *http.Request) { r.SetBasicAuth("", key) } }

func byToken(token string) auth {
	return func(r *http.Request) { r.Header.Set("X-SaaSquatch-User-Token", token) }
}

// answer is what came back.
type answer struct {
	status int
	text   string
}

// member returns a member of an answer that is an object.
func (a answer) member(t testing.TB, name string) any {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(a.text), &all); err != nil || all[name] == nil {
		t.Fatalf("there is no %s in %s: %v", name, a.text, err)
	}
	return all[name]
}

// call makes a call of SaaSquatch's API, of the site's tenant.
func (s *site) call(by auth, method, path, body string) answer {
	s.t.Helper()
	return s.ask(by, method, "/api/v1/"+s.alias+path, body)
}

// ask makes a call of SaaSquatch's.
func (s *site) ask(by auth, method, path, body string) answer {
	s.t.Helper()
	got, err := s.try(by, method, path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return got
}

// try is ask for any goroutine.
func (s *site) try(by auth, method, path, body string) (answer, error) {
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/saasquatch"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	by(r)
	r.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, strings.TrimSuffix(string(text), "\n")}, err
}

// must makes a call by the site's key that succeeds.
func (s *site) must(method, path, body string) answer {
	s.t.Helper()
	got := s.call(byKey(s.key), method, path, body)
	if got.status >= http.StatusMultipleChoices {
		s.t.Fatalf("%s %s: %d %s", method, path, got.status, got.text)
	}
	return got
}

func of(user string) string { return "/account/" + user + "-inc/user/" + user }

// mustUser stores a user and returns the user's code.
func (s *site) mustUser(user, body string) string {
	s.t.Helper()
	return s.must(http.MethodPut, "/open"+of(user), body).member(s.t, "referralCode").(string)
}

// mustBuy has a user buy something.
func (s *site) mustBuy(user string) {
	s.t.Helper()
	s.must(http.MethodPost, "/open"+of(user)+"/events", `{"events":[{"key":"purchase"}]}`)
}

// mustGet returns what the native API shows.
func (s *site) mustGet(path string) string {
	s.t.Helper()
	status, answer, err := send(s.t.Context(), http.MethodGet, s.url+path, s.native, "")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %v %v", path, status, answer, err)
	}
	return answer["text"].(string)
}

// inbox is an endpoint for a dialect each, at the dialect's name.
type inbox struct {
	url string

	mu        sync.Mutex
	verifiers map[string]verifier
	received  map[string]app.Told // by the event's id
}

// verifier is one of package verify's.
type verifier interface {
	Request(r *http.Request) (verify.Message, error)
}

// both demands both of SaaSquatch's signatures.
type both struct{ byKey, byServer verifier }

func (b both) Request(r *http.Request) (verify.Message, error) {
	if _, err := b.byKey.Request(r); err != nil {
		return verify.Message{}, err
	}
	return b.byServer.Request(r)
}

// mustListen subscribes an endpoint to all that is told of the site in both dialects,
// and has it verify what it receives.
func (s *site) mustListen() {
	t := s.t
	t.Helper()
	in := &inbox{received: make(map[string]app.Told)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { in.receive(t, w, r) }))
	t.Cleanup(server.Close)
	in.url, s.inbox = server.URL, in
	keys, err := verify.FetchJWKS(s.url+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	byServer, err := verify.NewSaaSquatchJWS(keys, s.alias)
	if err != nil {
		t.Fatal(err)
	}
	bySecret, err := verify.NewSaaSquatch(s.key)
	if err != nil {
		t.Fatal(err)
	}
	s.must(http.MethodPost, "/subscription", `{"endpointUrl":"`+in.url+`/saasquatch","name":"ours"}`)
	sub := mustPost(t, s.url+"/v1/subscriptions", s.native, `{"url":"`+in.url+`/standard","event_types":["*"]}`)
	standard, err := verify.NewStandard(sub["secret"].(string))
	if err != nil {
		t.Fatal(err)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.verifiers = map[string]verifier{"saasquatch": both{bySecret, byServer}, "standard": standard}
}

// receive takes what is authentic and answers everything else with 401.
func (in *inbox) receive(t testing.TB, w http.ResponseWriter, r *http.Request) {
	dialect := strings.TrimPrefix(r.URL.Path, "/")
	in.mu.Lock()
	defer in.mu.Unlock()
	msg, err := in.verifiers[dialect].Request(r)
	if err != nil {
		t.Errorf("%s %s: %v", dialect, r.Header.Get("X-Grapevine-Event-Type"), err)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body struct{ Data json.RawMessage }
	if err := json.Unmarshal(msg.Body, &body); err != nil {
		t.Errorf("%s: %v", msg.Body, err)
	}
	in.received[r.Header.Get("X-Grapevine-Event-Id")] = app.Told{
		Event: webhook.Event{Type: msg.Type, Dialect: dialect, Body: msg.Body}, Data: body.Data,
	}
}

// mustHear returns what was received in a dialect, by the type, once there are as many
// events of each type as are wanted, or more, and everything on record was received.
func (s *site) mustHear(dialect string, want map[string]int) map[string][]app.Told {
	s.t.Helper()
	var heard map[string][]app.Told
	missing := ""
	defer func() {
		if missing != "" {
			s.t.Logf("missing in %s:%s; received: %v", dialect, missing, counts(heard))
		}
	}()
	eventually(s.t, "all is received", func() bool {
		var page struct{ Data []struct{ ID, Type string } }
		if err := json.Unmarshal([]byte(s.mustGet("/v1/events?limit=100")), &page); err != nil {
			s.t.Fatal(err)
		}
		s.inbox.mu.Lock()
		defer s.inbox.mu.Unlock()
		heard, missing = make(map[string][]app.Told), ""
		for _, e := range s.inbox.received {
			if e.Dialect == dialect {
				heard[e.Type] = append(heard[e.Type], e)
			}
		}
		for _, e := range page.Data {
			if _, ok := s.inbox.received[e.ID]; !ok {
				missing += " " + e.Type
			}
		}
		for eventType, n := range want {
			if len(heard[eventType]) < n {
				missing += " " + eventType
			}
		}
		return missing == ""
	})
	return heard
}

// counts are how many events of each type there are.
func counts(heard map[string][]app.Told) map[string]int {
	n := make(map[string]int)
	for eventType := range maps.Keys(heard) {
		n[eventType] = len(heard[eventType])
	}
	return n
}

// sorted are the types of events, each once.
func sorted(heard map[string][]app.Told) []string { return slices.Sorted(maps.Keys(heard)) }
