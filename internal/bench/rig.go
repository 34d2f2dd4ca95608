package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// rig is what a scenario runs on: a receiver, and a server with one tenant on a
// database that was new.
type rig struct {
	opts     Options
	made     time.Time // with the monotonic clock: see checkClock
	dir      string
	show     func(format string, args ...any)
	load     *load
	bareFor  time.Duration
	receiver *remote
	server   *server

	operator *client.Client
	tenantID string
	tenant   *client.Client
	secret   string  // that all subscriptions sign with
	events   *target // publishes events that the endpoints are subscribed to
	begun    usage
}

// newRig starts a receiver and prepares a server, which serve starts.
func (b *bench) newRig(flags ...string) (*rig, error) {
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
	if r.server, err = newServer(b.opts, dir, flags); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// close ends the processes and removes the files.
func (r *rig) close() {
	if r.server != nil {
		r.server.kill()
	}
	if r.receiver != nil {
		r.receiver.close()
	}
	r.load.client.CloseIdleConnections()
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
	tenant, err := r.operator.CreateTenant(ctx, client.NewTenant{Alias: "bench"})
	if err != nil {
		return err
	}
	if r.tenant, err = client.New(r.server.url(), tenant.APIKey); err != nil {
		return err
	}
	r.tenantID = tenant.ID
	r.events = &target{
		url: r.server.url() + "/v1/events", head: []byte(`{"type":"` + eventType + `","data":`), tail: []byte{'}'},
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

// costs adds what a number of events has used.
func (r *rig) costs(result *Result, u usage, events int) {
	per := func(d time.Duration) float64 { return microseconds(d) / float64(events) }
	if measured {
		result.figure("server_cpu_per_event", per(u.server), "µs")
	}
	result.figure("load_cpu_per_event", per(u.load), "µs")
	result.figure("receiver_cpu_per_event", per(u.receiver), "µs")
	if !r.server.killed {
		result.figure("commits_per_event", u.commits/float64(events), "")
	}
	result.figure("disk_per_event", float64(r.server.onDisk())/float64(events), "bytes")
	if !measured {
		return
	}
	if !r.server.killed && u.written > 0 {
		result.figure("written_per_event", float64(u.written)/float64(events), "bytes")
	}
	result.figure("server_memory_most", megabytes(r.server.memory()), "MB")
	result.figure(othersBusy, u.others(), "cores")
}

func megabytes(bytes int64) float64 { return float64(bytes) / 1e6 }
