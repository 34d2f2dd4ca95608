package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// rig is what a scenario runs on: a receiver, and a server, or several nodes, with
// one tenant on a database that was new.
type rig struct {
	opts     Options
	made     time.Time // with the monotonic clock: see checkClock
	dir      string
	show     func(format string, args ...any)
	load     *load
	bareFor  time.Duration
	receiver *remote
	database database
	server   *server   // the first of the nodes
	nodes    []*server // that share the database

	operator *client.Client
	tenantID string
	tenant   *client.Client
	secret   string  // that all subscriptions sign with
	events   *target // publishes events that the endpoints are subscribed to
	begun    usage
	counted  int // events that were published here, and whose cost is known
}

const tenantAlias = "bench"

// newRig starts a receiver, makes a database and prepares a server, which serve
// starts.
func (b *bench) newRig(ctx context.Context, flags ...string) (*rig, error) {
	dir, err := os.MkdirTemp(b.opts.Dir, "grapevine-bench-")
	if err != nil {
		return nil, fmt.Errorf("bench: %w (choose a folder with --dir)", err)
	}
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	r := &rig{
		opts: b.opts, made: time.Now(), dir: dir, show: b.show, load: b.load, bareFor: b.shareTime(3 * time.Second),
		secret: "whsec_" + base64.StdEncoding.EncodeToString(secret),
	}
	if r.receiver, err = startReceiver(b.opts); err != nil {
		r.close()
		return nil, err
	}
	if r.database, err = b.newDatabase(ctx, dir); err != nil {
		r.close()
		return nil, err
	}
	if r.server, err = newServer(b.opts, "gv_admin_"+rand.Text()+rand.Text(), r.database.settings(), flags); err != nil {
		r.close()
		return nil, err
	}
	r.nodes = []*server{r.server}
	return r, nil
}

// grow starts another node, with the settings of the first.
func (r *rig) grow(ctx context.Context) error {
	s, err := newServer(r.opts, r.server.adminKey, r.server.settings, r.server.flags)
	if err != nil {
		return err
	}
	s.stderr = r.server.stderr
	r.nodes = append(r.nodes, s)
	_, err = s.start(ctx)
	return err
}

// publishAtAll has the load publish at all nodes, in turn.
func (r *rig) publishAtAll() {
	r.events.urls = nil
	for _, s := range r.nodes {
		r.events.urls = append(r.events.urls, s.events())
	}
}

// close ends the processes and removes the files.
func (r *rig) close() {
	for _, s := range r.nodes {
		s.kill()
	}
	if r.receiver != nil {
		r.receiver.close()
	}
	r.load.client.CloseIdleConnections()
	if r.database != nil {
		_ = r.database.remove(context.Background()) // at the latest it goes with its cluster
	}
	if !r.opts.Keep {
		_ = os.RemoveAll(r.dir)
		return
	}
	if r.opts.Out != nil {
		fmt.Fprintf(r.opts.Out, "kept in %s\n", r.dir)
	}
}

// serve starts the server for the first time and makes a tenant, to whose events
// so many endpoints are subscribed.
func (r *rig) serve(ctx context.Context, endpoints int) error {
	if _, err := r.server.start(ctx); err != nil {
		return err
	}
	var err error
	if r.operator, err = client.New(r.server.url(), r.server.adminKey); err != nil {
		return err
	}
	tenant, err := r.operator.CreateTenant(ctx, client.NewTenant{Alias: tenantAlias})
	if err != nil {
		return err
	}
	if r.tenant, err = client.New(r.server.url(), tenant.APIKey); err != nil {
		return err
	}
	r.tenantID = tenant.ID
	r.events = &target{
		urls: []string{r.server.events()}, head: []byte(`{"type":"` + eventType + `","data":`), tail: []byte{'}'},
		header: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer " + tenant.APIKey}},
	}
	return r.subscribe(ctx, eventType, 0, endpoints)
}

// subscribe subscribes the endpoints from first on, n of them, to a type.
func (r *rig) subscribe(ctx context.Context, eventType string, first, n int) error {
	for endpoint := first; endpoint < first+n; endpoint++ {
		_, err := r.tenant.CreateSubscription(ctx, client.NewSubscription{
			URL: r.receiver.endpoint(endpoint), EventTypes: []string{eventType}, Secret: r.secret,
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// signatures is how many signatures of a scenario are verified.
const signatures = 500

// begin has everything counted from here on.
func (r *rig) begin(ctx context.Context) error {
	if err := r.receiver.watch(ctx, Watch{Secret: r.secret, Verify: signatures}); err != nil {
		return err
	}
	var err error
	r.begun, err = r.used(ctx)
	return err
}

// settle is how long a duplicate may take after the last webhook that was
// expected.
const settle = 300 * time.Millisecond

// end waits until each of the events has arrived at each of the endpoints, or
// nothing arrives any more.
func (r *rig) end(ctx context.Context, posted []publication, endpoints int) (flow, error) {
	f := flow{posted: posted, endpoints: endpoints}
	expected := len(posted) * endpoints
	err := r.receiver.await(ctx, expected, func(s State) { r.show("%d of %d delivered", s.Arrived, expected) })
	if err != nil && !errors.Is(err, errStalled) {
		return f, err
	}
	sleep(ctx, settle)
	now, err := r.used(ctx)
	if err != nil {
		return f, err
	}
	f.used = now.since(r.begun)
	f.noted, err = r.receiver.noted(ctx)
	return f, errors.Join(err, r.checkClock())
}

// checkClock returns an error if the clock of this machine was set since the rig
// was made. Load and receiver compare times by it, so rates and latencies would
// be wrong, perhaps for the better. That it was made faster or slower does no
// harm.
func (r *rig) checkClock() error {
	now := time.Now()
	passed := now.Sub(r.made) // by the monotonic clock
	set := (now.Round(0).Sub(r.made.Round(0)) - passed).Abs()
	if set > 5*time.Millisecond+passed/1000 {
		return fmt.Errorf("bench: the clock of this machine was set by %s meanwhile: measure again when it is steady", set)
	}
	return nil
}

// conclude adds what the events cost and whether they arrived as accepted.
func (r *rig) conclude(result *Result, f flow) {
	r.costs(result, f.used, len(f.posted))
	result.intact(compare(f.posted, f.noted, f.endpoints))
}

// wasKilled reports whether a server was killed, so that what it did until then is
// not counted.
func (r *rig) wasKilled() bool {
	return slices.ContainsFunc(r.nodes, func(s *server) bool { return s.killed })
}

// memory is the most bytes that one of the servers has had.
func (r *rig) memory() int64 {
	var most int64
	for _, s := range r.nodes {
		most = max(most, s.memory())
	}
	return most
}

// costs adds what a number of events has used.
func (r *rig) costs(result *Result, u usage, events int) {
	per := func(d time.Duration) float64 { return microseconds(d) / float64(events) }
	if measured {
		result.figure("server_cpu_per_event", per(u.server), "µs")
	}
	result.figure("load_cpu_per_event", per(u.load), "µs")
	result.figure("receiver_cpu_per_event", per(u.receiver), "µs")
	if r.opts.Postgres {
		if measured {
			result.figure("postgres_cpu_per_event", per(u.database.cpu), "µs")
		}
		result.figure("wal_per_event", float64(u.database.log)/float64(events), "bytes")
	}
	if !r.wasKilled() {
		result.figure("commits_per_event", u.commits/float64(events), "")
	}
	r.counted += events
	result.figure("disk_per_event", float64(u.disk)/float64(r.counted), "bytes")
	if !measured {
		return
	}
	if !r.opts.Postgres && !r.wasKilled() && u.written > 0 {
		result.figure("written_per_event", float64(u.written)/float64(events), "bytes")
	}
	result.figure("server_memory_most", megabytes(r.memory()), "MB")
	result.figure(othersBusy, u.others(), "cores")
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
