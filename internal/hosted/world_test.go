package hosted_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/hosted"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// world is a tenant's programs with their pages, on a real socket.
type world struct {
	*referral.Service

	t        *testing.T
	db       *db.DB
	programs *program.Service
	tenants  *tenant.Service
	box      *secret.Box
	tenant   tenant.Tenant
	program  *program.Program
	server   *httptest.Server
	direct   bool
	sink     *sink
}

// options are what worlds differ in.
type options struct {
	settings string
	url      string // "own": the server's; "": as requests say
	direct   bool   // requests go without a socket, as virtual time needs it
}

// sink keeps the messages that facts tell of.
type sink struct {
	mu       sync.Mutex
	messages []*referral.Message
}

func (s *sink) Prepare(context.Context, id.ID) (fact.Teller, error) { return s, nil }
func (*sink) Stale(error) bool                                      { return false }

func (s *sink) Tell(c *fact.Command, facts []*fact.Fact) error {
	for _, f := range facts {
		if m, ok := f.Data.(*referral.Message); ok {
			c.Tx().After(func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.messages = append(s.messages, m)
			})
		}
	}
	return nil
}

func (s *sink) pageLinks() []*referral.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	var links []*referral.Message
	for _, m := range s.messages {
		if m.Type == string(referral.PageLink) {
			links = append(links, m)
		}
	}
	return links
}

func mustWorld(t *testing.T, o options) *world {
	t.Helper()
	w := &world{t: t, db: testkit.OpenDB(t, db.Options{}), sink: &sink{}}
	var err error
	if w.box, err = secret.Open(t.Context(), w.db, secret.NewKey()); err != nil {
		t.Fatal(err)
	}
	if w.tenants, err = tenant.New(w.db, tenant.Options{Box: w.box}); err != nil {
		t.Fatal(err)
	}
	log := fact.New(fact.Options{DB: w.db, Sink: w.sink})
	w.programs = program.NewService(w.db, referral.Kind())
	rewards := reward.New(log)
	w.Service = referral.New(referral.Options{
		DB: w.db, Log: log, Programs: w.programs, Rewards: rewards,
		Effects: effect.New(effect.Options{Log: log, Programs: w.programs, Rewards: rewards}),
	})
	if w.tenant, _, _, err = w.tenants.Create(t.Context(), tenant.NewTenant{Alias: "acme"}); err != nil {
		t.Fatal(err)
	}
	w.program, w.direct = w.mustProgram("friends", o.settings), o.direct
	w.serve(o.url)
	return w
}

// serve puts the pages on a socket.
func (w *world) serve(base string) {
	w.t.Helper()
	var pages *hosted.Hosted
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		pages.Beside(http.NotFoundHandler()).ServeHTTP(rw, r)
	}))
	own := "http://" + w.server.Listener.Addr().String()
	w.server.URL = own
	if base == "own" {
		base = own
	}
	var err error
	pages, err = hosted.New(hosted.Options{
		Tenants: w.tenants, Referrals: w.Service, Box: w.box, URL: base, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(w.server.Close)
	if !w.direct {
		w.server.URL = ""
		w.server.Start()
	}
}

// direct answers requests without a socket.
type direct struct{ handler http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.RemoteAddr, r.Host = "127.0.0.1:1", r.URL.Host
	if r.Body == nil {
		r.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	d.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func (w *world) mustProgram(key, settings string) *program.Program {
	w.t.Helper()
	p, err := w.programs.Create(w.t.Context(), w.tenant.ID, program.New{
		Key: key, Kind: referral.KindName, Name: "Friends of Acme", Settings: json.RawMessage(settings), Rules: json.RawMessage(`[]`),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// mustMember returns somebody whom the tenant's own system knows, with a link.
func (w *world) mustMember(key string) (*person.Person, referral.Code) {
	w.t.Helper()
	done, err := w.Register(w.t.Context(), w.tenant.ID, referral.Registration{
		Identity: person.Identity{Scheme: person.Native, Key: key}, Patch: person.Patch{FirstName: &key},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return done.Person, done.Codes[0]
}

func (w *world) read(fn func(q db.Queryer) error) {
	w.t.Helper()
	if err := w.db.Read(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// touches returns the touches of a code, the newest first.
func (w *world) touches(of referral.Code) []attribution.Touch {
	w.t.Helper()
	var ids []id.ID
	w.read(func(q db.Queryer) error {
		rows, err := q.Query(`SELECT id FROM touch WHERE tenant_id = $1 AND short = $2 ORDER BY id DESC`, w.tenant.ID, of.Short)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var found id.ID
			if err := rows.Scan(&found); err != nil {
				return err
			}
			ids = append(ids, found)
		}
		return rows.Err()
	})
	all := make([]attribution.Touch, len(ids))
	for i, found := range ids {
		w.read(func(q db.Queryer) error {
			var err error
			all[i], err = attribution.Get(q, w.tenant.ID, found)
			return err
		})
	}
	return all
}

// mustFind returns who has registered with an address on a page first.
func (w *world) mustFind(address string) referral.Profile {
	w.t.Helper()
	p, err := w.Person(w.t.Context(), w.tenant.ID, person.Identity{Scheme: referral.Hosted, Key: address})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// people returns how many people there are.
func (w *world) people() int64 {
	w.t.Helper()
	_, n, err := w.People(w.t.Context(), w.tenant.ID, referral.Query{Limit: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

const (
	aBrowser = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	ourPage  = "/p/acme/friends"
)

// browser keeps cookies, and shows where it is led without going there.
type browser struct {
	w     *world
	http  *http.Client
	agent string
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	b := &browser{w: w, agent: aBrowser, http: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if w.direct {
		b.http.Transport = direct{w.server.Config.Handler}
	}
	return b
}

// answer is what came of a request.
type answer struct {
	*http.Response

	text string
}

func (a answer) location() string { return a.Header.Get("Location") }

func (b *browser) do(method, path string, body io.Reader, headers ...string) answer {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), method, b.w.server.URL+path, body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", b.agent)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.http.Do(req)
	if err != nil {
		b.w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.w.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

func (b *browser) get(path string, headers ...string) answer {
	b.w.t.Helper()
	return b.do(http.MethodGet, path, nil, headers...)
}

func (b *browser) post(path string, fields url.Values, headers ...string) answer {
	b.w.t.Helper()
	return b.do(http.MethodPost, path, strings.NewReader(fields.Encode()), headers...)
}

var formToken = regexp.MustCompile(`name="form" value="([^"]+)"`)

// registers opens a page and sends its form.
func (b *browser) registers(path, name, address string) answer {
	b.w.t.Helper()
	shown := formToken.FindStringSubmatch(b.get(path).text)
	if shown == nil {
		b.w.t.Fatalf("%s shows no form", path)
	}
	return b.post(path, url.Values{"form": {shown[1]}, "first_name": {name}, "last_name": {""}, "email": {address}})
}

func mustStatus(t *testing.T, a answer, status int) {
	t.Helper()
	if a.StatusCode != status {
		t.Fatalf("answered %d, not %d: %s", a.StatusCode, status, a.text)
	}
}
