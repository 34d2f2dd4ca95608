package app_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// shortLease is the shortest that the settings allow. A beat is a fifth of it.
const (
	shortLease = 3 * time.Second
	beat       = shortLease / 5
)

// fleet is servers that share a database in Postgres, with a tenant.
type fleet struct {
	t      testing.TB
	url    string  // of the database
	hints  string  // --listen-database
	db     *sql.DB // for what the API does not show
	tenant string  // its id
	key    string  // of the tenant
}

// member is one of the servers. Receivers know it by its name.
type member struct {
	*app.App
	fleet *fleet
	name  string
}

// mustFleet returns a fleet that has no servers yet.
func mustFleet(t testing.TB) *fleet {
	t.Helper()
	return mustFleetAt(t, testkit.PostgresURL(t))
}

func mustFleetAt(t testing.TB, url string) *fleet {
	t.Helper()
	pool, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Close() })
	return &fleet{t: t, url: url, db: pool}
}

// mustPair returns a fleet of two servers that know of each other.
func mustPair(t testing.TB) (*fleet, *member, *member) {
	t.Helper()
	f := mustFleet(t)
	return f, f.mustStart("a"), f.mustStart("b")
}

// onHints runs a test where nodes hear each other's hints and where they don't.
func onHints(t *testing.T, fn func(f *fleet)) {
	t.Helper()
	for name, setting := range map[string]string{"hints are heard": "", "hints are off": config.ListenOff} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := mustFleet(t)
			f.hints = setting
			fn(f)
		})
	}
}

// mustStart starts a server, which runs until the test ends.
func (f *fleet) mustStart(name string) *member {
	f.t.Helper()
	return f.mustStartAt(name, f.url)
}

// mustStartAt starts a server that reaches the database at another address.
func (f *fleet) mustStartAt(name, url string) *member {
	f.t.Helper()
	cfg := settings("")
	cfg.Database, cfg.ListenDatabase, cfg.Lease = url, f.hints, shortLease
	cfg.MasterKey = strings.Repeat("0123456789abcdef", 4)
	logger := slog.New(slog.NewTextHandler(f.t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})).With("server", name)
	a, err := app.New(f.t.Context(), cfg, app.Options{Version: name, Logger: logger})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { stop(a) })
	m := &member{a, f, name}
	if f.key == "" {
		made := mustPost(f.t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)
		f.tenant, f.key = made["id"].(string), made["api_key"].(string)
	}
	living := 0
	f.mustScan(`SELECT count(*) FROM node WHERE left_at IS NULL`, &living)
	eventually(f.t, "all servers know of "+name, func() bool { return m.sees(living) })
	return m
}

// sees reports whether the server counts so many that live.
func (m *member) sees(living int) bool {
	_, metrics, err := send(m.fleet.t.Context(), http.MethodGet, m.URL()+"/metrics", "", "")
	return err == nil && strings.Contains(metrics["text"].(string), fmt.Sprintf("\ngrapevine_nodes %d\n", living))
}

func (m *member) mustDo(method, path, body string) map[string]any {
	m.fleet.t.Helper()
	status, answer, err := send(m.fleet.t.Context(), method, m.URL()+path, m.fleet.key, body)
	if err != nil || status >= 300 {
		m.fleet.t.Fatalf("%s %s at %s: %d %v %v", method, path, m.name, status, answer, err)
	}
	return answer
}

// mustSubscribe has a receiver get events of the type, and returns the id of the
// subscription. policy is JSON.
func (m *member) mustSubscribe(to *receiver, eventType, policy string) string {
	m.fleet.t.Helper()
	return m.mustDo(http.MethodPost, "/v1/subscriptions",
		fmt.Sprintf(`{"url":%q,"event_types":[%q],"policy":%s}`, to.URL, eventType, policy))["id"].(string)
}

// mustPublish publishes an event and returns its id, and how many deliveries it has.
func (m *member) mustPublish(eventType string) (string, int) {
	m.fleet.t.Helper()
	answer := m.mustDo(http.MethodPost, "/v1/events", fmt.Sprintf(`{"type":%q,"data":{"amount":4200}}`, eventType))
	return answer["id"].(string), int(answer["deliveries"].(float64))
}

// tryPublish publishes an event with a key, again until the answer says that it is
// stored or that the server has ended, and returns its id or nothing.
func (m *member) tryPublish(ctx context.Context, key string) string {
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL()+"/v1/events", strings.NewReader(event))
		if err != nil {
			return ""
		}
		req.Header.Set("Idempotency-Key", key)
		status, answer, err := do(req, m.fleet.key)
		if err == nil && status < 300 {
			return answer["id"].(string)
		}
	}
	return ""
}

// alternately publishes so many events of the type, in turns at the servers, and
// returns their ids in that order. They are a moment apart: of two events of one
// millisecond only those of one server are in order.
func alternately(n int, eventType string, at ...*member) []string {
	at[0].fleet.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i], _ = at[i%len(at)].mustPublish(eventType)
		time.Sleep(2 * time.Millisecond)
	}
	return ids
}

// load publishes at servers until it is stopped, and keeps what was accepted.
type load struct {
	stop     func() []string
	accepted atomic.Int64
}

// mustLoad has workers publish at each of the servers, pausing between two events.
func mustLoad(pause time.Duration, at ...*member) *load {
	ctx, cancel := context.WithCancel(at[0].fleet.t.Context())
	ending := make(chan struct{})
	l := new(load)
	var mu sync.Mutex
	var ids []string
	var workers sync.WaitGroup
	for _, m := range at {
		for worker := range 2 {
			workers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-ending:
						return
					case <-time.After(pause):
					}
					if id := m.tryPublish(ctx, fmt.Sprintf("%s-%d-%d", m.name, worker, i)); id != "" {
						l.accepted.Add(1)
						mu.Lock()
						ids = append(ids, id)
						mu.Unlock()
					}
				}
			})
		}
	}
	l.stop = sync.OnceValue(func() []string {
		close(ending)
		giveUp := time.AfterFunc(15*time.Second, cancel)
		defer giveUp.Stop()
		workers.Wait()
		cancel()
		return ids
	})
	at[0].fleet.t.Cleanup(func() { l.stop() })
	return l
}

func (f *fleet) mustScan(query string, dest ...any) {
	f.t.Helper()
	if err := f.db.QueryRowContext(f.t.Context(), query).Scan(dest...); err != nil {
		f.t.Fatal(err)
	}
}

// mustSettle waits until every delivery has ended and none is held by anybody.
func (f *fleet) mustSettle() {
	f.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		pending, held := 0, 0
		f.mustScan(`SELECT count(*) FILTER (WHERE status <= 1), count(*) FILTER (WHERE owner <> 0) FROM delivery`, &pending, &held)
		if pending+held == 0 {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%d deliveries are pending and %d are held, such as\n%s", pending, held, f.stuck())
		}
	}
}

// stuck describes a delivery that is pending or held, and the nodes.
func (f *fleet) stuck() string {
	var text string
	f.mustScan(`SELECT string_agg(line, E'\n') FROM ((SELECT 'delivery ' || row_to_json(d)::text AS line FROM (SELECT encode(event_id, 'hex') AS event,
			encode(subscription_id, 'hex') AS subscription, status, owner, epoch, attempts,
			to_timestamp(next_at / 1e6) AS next_at, to_timestamp(updated_at / 1e6) AS updated_at FROM delivery
			WHERE status <= 1 OR owner <> 0 ORDER BY event_id LIMIT 3) d)
		UNION ALL (SELECT 'node ' || row_to_json(n)::text FROM node n)
		UNION ALL (SELECT 'health ' || health FROM endpoint_health)) lines`, &text)
	return text
}

// wantOnce complains about events that have not arrived, or more than once.
func (f *fleet) wantOnce(r *receiver, events []string) {
	f.t.Helper()
	eventually(f.t, "all events arrive", func() bool { return len(r.taken()) >= len(events) })
	f.mustSettle()
	times := make(map[string]int)
	for _, req := range r.taken() {
		times[req.event]++
	}
	for _, event := range events {
		if times[event] != 1 {
			f.t.Errorf("event %s has arrived %d times", event, times[event])
		}
		delete(times, event)
	}
	if len(times) > 0 {
		f.t.Errorf("%d events have arrived that nobody has published", len(times))
	}
}

// wantAll complains about events that have not arrived.
func (f *fleet) wantAll(r *receiver, events []string) {
	f.t.Helper()
	f.mustSettle()
	arrived := make(map[string]bool)
	for _, req := range r.taken() {
		arrived[req.event] = true
	}
	lost := 0
	for _, event := range events {
		if !arrived[event] {
			lost++
		}
	}
	if lost > 0 {
		f.t.Errorf("of %d events that were accepted %d have not arrived", len(events), lost)
	}
}

func TestEventsPublishedAtTwoNodesAreDeliveredOnceAndTheNodesShareTheWork(t *testing.T) {
	onHints(t, func(f *fleet) {
		a, b := f.mustStart("a"), f.mustStart("b")
		r := mustReceive(f.t)
		a.mustSubscribe(r, "invoice.paid", `{}`)
		const workers, each = 4, 50
		ids := make([][]string, workers)
		var wg sync.WaitGroup
		for w := range ids {
			wg.Go(func() {
				for i := range each {
					ids[w] = append(ids[w], []*member{a, b}[i%2].tryPublish(f.t.Context(), fmt.Sprint(w, "-", i)))
				}
			})
		}
		wg.Wait()
		f.wantOnce(r, slices.Concat(ids...))
		const half = workers * each / 2
		if n := r.by("a"); n < half*9/10 || n > half*11/10 {
			f.t.Errorf("of %d events one of two nodes has sent %d", 2*half, n)
		}
	})
}
