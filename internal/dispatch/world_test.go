package dispatch_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

var worldSeed = flag.Uint64("world.seed", 0, "run the random world of this seed only")

// TestARandomWorld publishes to receivers that behave in every way, does
// everything that can be done to subscriptions and deliveries, stops and
// crashes, sets the clock, for hours and days of virtual time, and finds that every
// promise was kept. The operations are the seed's; how goroutines take turns is not.
func TestARandomWorld(t *testing.T) {
	testkit.NeedsSQLite(t, "its crashes copy the database's file")
	first, last := uint64(1), uint64(500)
	switch {
	case *worldSeed != 0:
		first, last = *worldSeed, *worldSeed
	case testing.Short() || testkit.RaceDetector:
		last = 20
	}
	for seed := first; seed <= last; seed++ {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			testkit.VirtualTime(t, func(t *testing.T) { newWorld(t, seed).run() })
			if t.Failed() {
				t.Logf("run it again with: go test ./internal/dispatch -run TestARandomWorld -world.seed=%d", seed)
			}
		})
	}
}

type world struct {
	t       *testing.T
	rng     *rand.Rand
	s       *testkit.Sender
	notes   *notes
	witness *witness // of this run

	most, mostBytes int
	receivers       []*receiver
	subs            []*webhook.Subscription // not the deleted ones
	of              map[id.ID]*receiver     // by subscription
	events          []happened
	expunged        map[id.ID]bool
}

// happened is an event that was accepted.
type happened struct {
	event      id.ID
	deliveries int
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), notes: newNotes(t, seed),
		of: make(map[id.ID]*receiver), expunged: make(map[id.ID]bool),
	}
	w.most, w.mostBytes = 2+w.rng.IntN(63), 1<<(8+w.rng.IntN(16))
	w.s = testkit.NewSender(t, w.options())
	for range 2 + w.rng.IntN(5) {
		w.subscribe()
	}
	return w
}

// options puts a new witness into the next run of the dispatcher.
func (w *world) options() testkit.SenderOptions {
	v := &witness{notes: w.notes, most: w.most, flying: make(map[id.ID]int), buckets: make(map[id.ID]*bucket)}
	w.witness = v
	return testkit.SenderOptions{
		MaxInFlight: w.most, MaxMemoryBytes: w.mostBytes,
		Store:   func(s dispatch.Store) dispatch.Store { v.store = s; return v },
		Through: func(a webhook.Attempter) webhook.Attempter { v.attempter = a; return v },
	}
}

func (w *world) run() {
	steps := []struct {
		name  string
		do    func()
		times int // more often than others
	}{
		{"publish", w.publish, 4},
		{"change a policy", w.changePolicy, 1},
		{"change a URL", w.changeURL, 1},
		{"disable", w.disable, 1},
		{"enable", w.enable, 2},
		{"retry", w.retry, 3},
		{"send again", w.sendAgain, 2},
		{"rotate", w.rotate, 1},
		{"expunge", w.expunge, 1},
		{"subscribe", w.subscribe, 1},
		{"delete", w.delete, 1},
		{"restart", w.restart, 1},
		{"set the clock", w.setClock, 1},
		{"crash", w.crash, 2},
	}
	var order []int
	for i, step := range steps {
		order = append(order, slices.Repeat([]int{i}, step.times)...)
	}
	for range 20 + w.rng.IntN(25) {
		most := []time.Duration{10 * time.Millisecond, time.Second, 20 * time.Second, 10 * time.Minute, 5 * time.Hour}[w.rng.IntN(5)]
		settle(time.Duration(w.rng.Int64N(int64(most))))
		step := steps[order[w.rng.IntN(len(order))]]
		w.t.Logf("%s: %s", time.Now().Format("02T15:04:05.000000"), step.name)
		step.do() // while it runs nothing else does but what follows from it
	}
	var resting []*webhook.Subscription
	for _, sub := range w.subs {
		if w.rng.IntN(3) == 0 {
			resting = append(resting, sub)
			w.setEnabled(sub, false)
		}
	}
	w.restart()
	for _, sub := range resting {
		w.setEnabled(sub, true)
	}
	for i, r := range w.receivers {
		r.heal()
		w.s.Net.Repoint(r.hosts[0], fmt.Sprintf("9.0.0.%d", i+1))
	}
	settle(50 * time.Hour) // whatever is still pending has its turn
	w.check()
}

// must ends the test unless an operation succeeded.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func (w *world) policy(schedule []time.Duration) webhook.Policy {
	p := webhook.Policy{Schedule: schedule, Ordered: w.rng.IntN(3) == 0}
	if w.rng.IntN(2) == 0 && !p.Ordered {
		p.MaxInFlight = 1 + w.rng.IntN(6)
	}
	if w.rng.IntN(3) == 0 {
		p.Rate = []float64{0.1, 1, 7, 200}[w.rng.IntN(4)]
	}
	if w.rng.IntN(3) == 0 {
		p.Timeout = time.Duration(1+w.rng.IntN(20)) * time.Second
	}
	return p
}

func (w *world) subscribe() {
	if len(w.subs) > 7 {
		return
	}
	n := len(w.receivers)
	r := &receiver{
		hosts: [2]string{fmt.Sprintf("a%d.example", n), fmt.Sprintf("b%d.example", n)}, kind: kinds[w.rng.IntN(len(kinds))],
		rng: rand.New(rand.NewPCG(w.rng.Uint64(), 0)), leaves: time.Now().Add(time.Duration(w.rng.IntN(24)) * time.Hour),
		arrived: make(map[string]int), taken: make(map[string]int), hungUp: make(map[string]int),
	}
	w.s.Net.MustServe(w.t, r.hosts[1], r)
	schedule := [][]time.Duration{nil, {}, {time.Second, 30 * time.Second, 10 * time.Minute, time.Hour}, slices.Repeat([]time.Duration{100 * time.Millisecond}, 12)}[w.rng.IntN(4)]
	sub := w.s.MustSubscribe(w.t, r.hosts[0], w.policy(schedule), r.ServeHTTP)
	if r.kind == "blocked" {
		w.s.Net.Repoint(r.hosts[0], "127.0.0.1")
	}
	w.notes.setURL(sub.ID, sub.URL)
	w.receivers, w.subs, w.of[sub.ID] = append(w.receivers, r), append(w.subs, sub), r
}

// pick returns one of the subscriptions, as it is now.
func (w *world) pick() *webhook.Subscription {
	if len(w.subs) == 0 {
		w.subscribe()
	}
	sub := w.subs[w.rng.IntN(len(w.subs))]
	return must[*webhook.Subscription](w.t)(w.s.Webhooks.Subscription(w.t.Context(), w.s.Tenant, sub.ID))
}

func (w *world) publish() {
	for _, event := range w.s.MustPublish(w.t, []int{1, 1, 1, 3, 12}[w.rng.IntN(5)]) {
		w.events = append(w.events, happened{event, len(w.subs)})
		_, deliveries, err := w.s.Webhooks.Event(w.t.Context(), w.s.Tenant, event)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range deliveries {
			if d.Status == webhook.Pending || d.Status == webhook.Retrying {
				w.notes.waits(deliveryKey{event, d.SubscriptionID})
			}
		}
	}
}

func (w *world) changePolicy() {
	sub := w.pick()
	p := w.policy(sub.Policy.Schedule)
	must[*webhook.Subscription](w.t)(w.s.Webhooks.UpdateSubscription(w.t.Context(), w.s.Tenant, sub.ID, webhook.Patch{Policy: &p}))
}

func (w *world) changeURL() {
	sub := w.pick()
	url := "http://" + w.of[sub.ID].hosts[w.rng.IntN(2)] + "/"
	if w.of[sub.ID].kind == "blocked" {
		url = "http://" + w.of[sub.ID].hosts[1] + "/"
	}
	w.notes.setURL(sub.ID, url)
	renewed := func() {
		if url != sub.URL {
			w.notes.renewed(sub.ID)
		}
	}
	renewed()
	must[*webhook.Subscription](w.t)(w.s.Webhooks.UpdateSubscription(w.t.Context(), w.s.Tenant, sub.ID, webhook.Patch{URL: &url}))
	renewed()
}

func (w *world) disable() { w.setEnabled(w.pick(), false) }

func (w *world) enable() { w.setEnabled(w.pick(), true) }

func (w *world) setEnabled(sub *webhook.Subscription, enabled bool) {
	if !enabled {
		w.notes.setDisabled(sub.ID, time.Now())
		must[*webhook.Subscription](w.t)(w.s.Webhooks.DisableSubscription(w.t.Context(), w.s.Tenant, sub.ID))
		return
	}
	w.notes.setDisabled(sub.ID, time.Time{})
	w.notes.renewed(sub.ID) // and after it for the attempts that end meanwhile
	must[*webhook.Subscription](w.t)(w.s.Webhooks.EnableSubscription(w.t.Context(), w.s.Tenant, sub.ID))
	w.notes.renewed(sub.ID)
}

func (w *world) retry() {
	for range 1 + w.rng.IntN(3) {
		sub := w.pick()
		deliveries, _, err := w.s.Webhooks.Deliveries(w.t.Context(), w.s.Tenant, webhook.DeliveryFilter{SubscriptionID: sub.ID}, webhook.Page{Limit: 50})
		if err != nil {
			w.t.Fatal(err)
		}
		if !sub.Enabled || len(deliveries) == 0 {
			continue
		}
		d := deliveries[w.rng.IntN(len(deliveries))]
		if w.expunged[d.EventID] {
			continue
		}
		w.notes.restarted(deliveryKey{d.EventID, sub.ID})
		must[webhook.Delivery](w.t)(w.s.Webhooks.Retry(w.t.Context(), w.s.Tenant, d.EventID, sub.ID))
		w.notes.waits(deliveryKey{d.EventID, sub.ID})
	}
}

func (w *world) rotate() {
	sub := w.pick()
	must[*webhook.Subscription](w.t)(w.s.Webhooks.RotateSecret(w.t.Context(), w.s.Tenant, sub.ID, "", 0))
}

func (w *world) expunge() {
	if len(w.events) == 0 {
		return
	}
	e := w.events[max(0, len(w.events)-1-w.rng.IntN(20))]
	w.expunged[e.event] = true
	for sub := range w.of {
		w.notes.ended(deliveryKey{e.event, sub}, "expunged")
	}
	if err := w.s.Webhooks.ExpungeBody(w.t.Context(), w.s.Tenant, e.event); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) delete() {
	sub := w.pick()
	w.notes.setDisabled(sub.ID, time.Now())
	w.subs = slices.DeleteFunc(w.subs, func(s *webhook.Subscription) bool { return s.ID == sub.ID })
	if err := w.s.Webhooks.DeleteSubscription(w.t.Context(), w.s.Tenant, sub.ID); err != nil {
		w.t.Fatal(err)
	}
}

// restart stops with or without patience. Only a hurried stop may leave attempts
// unrecorded.
func (w *world) restart() {
	w.stop()
	settle(time.Duration(w.rng.IntN(3600)) * time.Second)
	w.s.MustStart(w.t, w.options())
}

func (w *world) stop() {
	hurried := w.rng.IntN(2) == 0
	patience := 2 * time.Minute
	if hurried {
		patience = time.Second
	}
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	defer cancel()
	w.s.Stop(ctx)
	if open := w.notes.stillOpen(); open > 0 && !hurried {
		w.t.Errorf("%d attempts were not recorded by a stop that had time", open)
	}
	w.notes.interrupted()
}

func (w *world) crash() {
	w.notes.mu.Lock()
	w.witness.crashed = true
	w.notes.mu.Unlock()
	w.notes.interrupted()
	w.s.MustCrash(w.t, w.options())
}

// check reads the records and compares them with what was seen.
func (w *world) check() {
	if books := w.s.Dispatcher.Books(); books != (dispatch.Books{}) {
		w.t.Errorf("there is nothing to do, but in memory there is %+v", books)
	}
	enabled := make(map[id.ID]bool)
	for _, sub := range w.subs {
		found := must[*webhook.Subscription](w.t)(w.s.Webhooks.Subscription(w.t.Context(), w.s.Tenant, sub.ID))
		enabled[sub.ID] = found.Enabled
		if last := w.notes.lastBegun[sub.ID].Truncate(time.Microsecond); !found.Enabled && last.After(found.UpdatedAt) {
			w.t.Errorf("%s was disabled at %s as %s, and an attempt began at %s", sub.ID, found.UpdatedAt, found.Reason, last)
		}
	}
	w.notes.mu.Lock()
	defer w.notes.mu.Unlock()
	for _, e := range w.events {
		_, deliveries, err := w.s.Webhooks.Event(w.t.Context(), w.s.Tenant, e.event)
		if err != nil || len(deliveries) != e.deliveries {
			w.t.Fatalf("event %s has %d deliveries, not %d: %v", e.event, len(deliveries), e.deliveries, err)
		}
		for _, d := range deliveries {
			w.checkDelivery(d, enabled[d.SubscriptionID])
		}
	}
}

func (w *world) checkDelivery(d webhook.Delivery, enabled bool) {
	key := deliveryKey{d.EventID, d.SubscriptionID}
	of, r, name := w.notes.of(key), w.of[d.SubscriptionID], id.Event.Format(d.EventID)
	_, attempts, err := w.s.Webhooks.Delivery(w.t.Context(), w.s.Tenant, d.EventID, d.SubscriptionID)
	if err != nil || len(attempts) != d.Attempts || d.Attempts != of.recorded || of.begun != of.recorded+of.lost || of.open != 0 {
		w.notes.wrong(key, "the attempts don't add up: %d are stored, %d counted: %v", len(attempts), d.Attempts, err)
	}
	if r.arrived[name] > of.begun+r.hungUp[name] { // an attempt may be repeated once if nothing was answered
		w.notes.wrong(key, "it arrived %d times", r.arrived[name])
	}
	switch d.Status {
	case webhook.Delivered:
		if r.taken[name] == 0 || of.ended != "delivered" && of.ended != "expunged" {
			w.notes.wrong(key, "delivered, but the receiver took it %d times", r.taken[name])
		}
	case webhook.Failed:
		if of.ended != "failed" && of.ended != "expunged" {
			w.notes.wrong(key, "failed without an end of its schedule")
		}
	case webhook.Cancelled:
		if !slices.Contains([]string{webhook.ReasonGone, webhook.ReasonSubscriptionDeleted, webhook.ReasonBodyExpunged}, d.Reason) {
			w.notes.wrong(key, "cancelled because of %q", d.Reason)
		}
	case webhook.Held:
		if of.begun > 0 || d.Reason != webhook.ReasonDisabled {
			w.notes.wrong(key, "held because of %q", d.Reason)
		}
	default:
		if enabled || d.NextAt.IsZero() {
			w.notes.wrong(key, "still pending, due %s", d.NextAt)
		}
	}
}

// receiver is the endpoint of one subscription, under two names.
type receiver struct {
	hosts  [2]string
	kind   string
	leaves time.Time

	mu      sync.Mutex
	rng     *rand.Rand
	healed  bool
	window  time.Time // since when it counts
	counted int
	arrived map[string]int // by event
	taken   map[string]int // of them: answered with 2xx
	hungUp  map[string]int // of them: cut off without an answer
}

var kinds = []string{"good", "good", "slow", "failing", "flapping", "silent", "leaving", "limited", "limited in silence", "busy", "redirecting", "blocked", "moody"}

func (r *receiver) heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.healed, r.kind = true, "good"
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body) // only then is it noticed that the client has gone
	event := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	r.arrived[event]++
	status, delay := r.mood(r.kind, w.Header())
	if status >= 200 && status < 300 {
		r.taken[event]++
	}
	r.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-req.Context().Done():
		return
	}
	if status == 0 {
		r.mu.Lock()
		r.hungUp[event]++
		r.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
}

// mood decides what to answer, 0 for breaking off, and after how long.
func (r *receiver) mood(kind string, header http.Header) (int, time.Duration) {
	between := func(least, most time.Duration) time.Duration {
		return least + time.Duration(r.rng.Int64N(int64(most-least)))
	}
	bad := time.Now().Hour()%2 == 1 // what comes and goes does so with the hours
	switch {
	case kind == "slow":
		return http.StatusAccepted, between(time.Second, 12*time.Second)
	case kind == "failing", kind == "flapping" && bad:
		return []int{500, 404, 0}[r.rng.IntN(3)], between(0, time.Second)
	case kind == "silent":
		return 0, 10 * time.Minute
	case kind == "leaving" && time.Now().After(r.leaves):
		return http.StatusGone, between(0, time.Second)
	case kind == "limited", kind == "limited in silence":
		if time.Since(r.window) > 10*time.Second {
			r.window, r.counted = time.Now(), 0
		}
		if r.counted++; r.counted <= 3 {
			return http.StatusOK, 0
		}
		if kind == "limited" {
			header.Set("Retry-After", []string{"7", "300", "3600", time.Now().Add(time.Minute).UTC().Format(http.TimeFormat)}[r.rng.IntN(4)])
		}
		return http.StatusTooManyRequests, 0
	case kind == "busy" && (bad || r.rng.IntN(4) == 0):
		return []int{502, 503, 504}[r.rng.IntN(3)], between(0, 50*time.Millisecond)
	case kind == "redirecting":
		header.Set("Location", "/elsewhere")
		return http.StatusFound, 0
	case kind == "moody":
		return r.mood(kinds[r.rng.IntN(len(kinds)-1)], header)
	}
	return http.StatusOK, between(0, 50*time.Millisecond)
}
