package dispatch_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// notes are what is known of the deliveries from outside of the dispatcher,
// across crashes: from the attempts that began and the outcomes that were
// stored. They say at once what is wrong.
type notes struct {
	t *testing.T

	mu         sync.Mutex
	rng        *rand.Rand
	deliveries map[deliveryKey]*note
	disabled   map[id.ID]time.Time      // since when subscriptions are, by hand
	lastBegun  map[id.ID]time.Time      // of a subscription's attempts
	urls       map[id.ID]string         // of subscriptions
	asked      map[id.ID]asked          // by subscriptions' endpoints
	stored     map[id.ID]asked          // of them: on disk
	failing    map[id.ID]time.Time      // since when subscriptions' endpoints are, as is on disk
	well       map[id.ID]time.Time      // when they last took something, or were given a new chance
	line       map[id.ID]map[id.ID]bool // by subscription: the events that are known to be pending
	wrongs     int
}

// asked is how long an endpoint wanted to be left alone.
type asked struct{ since, until time.Time }

type deliveryKey struct{ event, sub id.ID }

// note is what is known of a delivery.
type note struct {
	begun    int // attempts
	recorded int // of them
	lost     int // of them: a crash or a hurried stop came before their record
	open     int // of them: may still be recorded

	steps    int       // recorded since the schedule began
	earliest time.Time // when the next attempt may begin; zero: at once
	ended    string    // how; empty: it goes on
	endedAt  time.Time // zero: an attempt ended it, and nothing may come after, not even at once
}

func newNotes(t *testing.T, seed uint64) *notes {
	return &notes{
		t: t, rng: rand.New(rand.NewPCG(seed, 1)), deliveries: make(map[deliveryKey]*note),
		disabled: make(map[id.ID]time.Time), lastBegun: make(map[id.ID]time.Time),
		urls: make(map[id.ID]string), asked: make(map[id.ID]asked), stored: make(map[id.ID]asked),
		failing: make(map[id.ID]time.Time), well: make(map[id.ID]time.Time), line: make(map[id.ID]map[id.ID]bool),
	}
}

// wrong reports the first few breaches of a run. n.mu is held, here and in of.
func (n *notes) wrong(key deliveryKey, format string, args ...any) {
	if n.wrongs++; n.wrongs <= 5 {
		n.t.Errorf("%s, event %s, subscription %s: %s: %+v", time.Now().Format("02T15:04:05.000000"),
			key.event, key.sub, fmt.Sprintf(format, args...), *n.of(key))
	}
}

func (n *notes) of(key deliveryKey) *note {
	if n.deliveries[key] == nil {
		n.deliveries[key] = new(note)
	}
	return n.deliveries[key]
}

// restarted notes that a delivery's schedule begins again now.
func (n *notes) restarted(key deliveryKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	of := n.of(key)
	of.steps, of.earliest, of.ended, of.endedAt = 0, time.Time{}, "", time.Time{}
}

// ended notes that a delivery is ended by hand now. Attempts that have begun are
// fine.
func (n *notes) ended(key deliveryKey, how string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.line[key.sub], key.event)
	if of := n.of(key); of.ended == "" {
		of.ended, of.endedAt = how, time.Now()
	}
}

func (n *notes) setDisabled(sub id.ID, since time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disabled[sub] = since
}

// renewed notes that nothing is held against a subscription's endpoint any more.
func (n *notes) renewed(sub id.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.asked, sub)
	delete(n.stored, sub)
	delete(n.failing, sub)
	n.well[sub] = time.Now()
}

// waits notes that an event is to be sent to a subscription before all later ones.
func (n *notes) waits(key deliveryKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.line[key.sub] == nil {
		n.line[key.sub] = make(map[id.ID]bool)
	}
	n.line[key.sub][key.event] = true
}

// setURL notes where a subscription's events go from now on.
func (n *notes) setURL(sub id.ID, url string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.urls[sub] = url
}

// interrupted notes that what is under way will not be recorded any more, and
// that of what was asked only that is known which is on disk.
func (n *notes) interrupted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, of := range n.deliveries {
		of.lost += of.open
		of.open = 0
	}
	n.asked = maps.Clone(n.stored)
}

// shift notes that all times on disk are moved.
func (n *notes) shift(by time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, of := range n.deliveries {
		if !of.earliest.IsZero() {
			of.earliest = of.earliest.Add(by)
		}
	}
	for _, asked := range []map[id.ID]asked{n.asked, n.stored} {
		for sub, a := range asked {
			if a.until.Before(time.Now()) { // nothing of it need be on disk
				delete(asked, sub)
				continue
			}
			a.until = a.until.Add(by)
			asked[sub] = a
		}
	}
}

// stillOpen counts the attempts whose outcome is not stored.
func (n *notes) stillOpen() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	open := 0
	for _, of := range n.deliveries {
		open += of.open
	}
	return open
}

// pause sleeps at most as long, so that others get in between.
func (n *notes) pause(most time.Duration) {
	n.mu.Lock()
	d := time.Duration(n.rng.Int64N(int64(most)))
	n.mu.Unlock()
	time.Sleep(d)
}

// witness stands between one run of a dispatcher and the rest of the world.
type witness struct {
	*notes
	store     dispatch.Store
	attempter webhook.Attempter
	most      int // attempts at once

	total   int
	flying  map[id.ID]int
	buckets map[id.ID]*bucket
	crashed bool
}

var errCrashed = fmt.Errorf("%w: the process has crashed", db.ErrUnavailable)

// bucket holds what a subscription's rate still allows.
type bucket struct {
	rate, tokens float64
	at           time.Time
}

func (v *witness) Waiting(ctx context.Context) ([]*webhook.Subscription, error) {
	return v.store.Waiting(ctx)
}

func (v *witness) Due(ctx context.Context, query webhook.DueQuery) (webhook.Due, error) {
	due, err := v.store.Due(ctx, query)
	v.pause([]time.Duration{time.Millisecond, 20 * time.Millisecond, time.Second}[len(due.Jobs)%3])
	return due, err
}

func (v *witness) Split(outcomes []webhook.Outcome) [][]webhook.Outcome {
	return v.store.Split(outcomes)
}

func (v *witness) Release(ctx context.Context, held []webhook.Job) error {
	return v.store.Release(ctx, held)
}

func (v *witness) Held(ctx context.Context, sub *webhook.Subscription, owner int64) ([]webhook.Job, error) {
	return v.store.Held(ctx, sub, owner)
}

func (v *witness) LoadBody(ctx context.Context, job *webhook.Job) error {
	return v.store.LoadBody(ctx, job)
}

func (v *witness) Record(ctx context.Context, outcomes []webhook.Outcome, done func()) error {
	v.pause(100 * time.Millisecond)
	v.mu.Lock()
	crashed, fails := v.crashed, v.rng.IntN(20) == 0
	v.mu.Unlock()
	switch {
	case crashed:
		return errCrashed
	case fails:
		return fmt.Errorf("%w: for a moment", db.ErrUnavailable)
	}
	return v.store.Record(ctx, outcomes, func() {
		v.noteOutcomes(outcomes)
		done()
	})
}

func (v *witness) noteOutcomes(outcomes []webhook.Outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for i := range outcomes {
		o := &outcomes[i]
		key := deliveryKey{o.Job.EventID, o.Job.Sub.ID}
		of := v.of(key)
		of.recorded++
		of.open--
		v.noteHealth(o)
		if o.Superseded {
			of.steps, of.earliest = 0, time.Time{}
			continue
		}
		if o.Status != webhook.Retrying {
			delete(v.line[key.sub], key.event)
		}
		if o.Attempt.Verdict == wire.Gone { // the others are cancelled
			delete(v.line, key.sub)
		}
		schedule := o.Job.Sub.Schedule()
		if of.steps++; of.steps > len(schedule.Delays)+1 {
			v.wrong(key, "more attempts than its schedule has")
		}
		switch o.Status {
		case webhook.Retrying:
			delay := float64(schedule.Delays[of.steps-1]) * (1 - schedule.Jitter)
			// Times are stored in whole microseconds.
			of.earliest = o.Attempt.StartedAt.Add(o.Attempt.Timing.Total + time.Duration(delay)).Truncate(time.Microsecond)
		case webhook.Failed:
			if of.steps != len(schedule.Delays)+1 {
				v.wrong(key, "failed before its schedule's end")
			}
			of.ended, of.endedAt = "failed", time.Time{}
		default:
			of.ended, of.endedAt = o.Status.String(), time.Time{}
		}
	}
}

// noteHealth notes what is now on disk of an endpoint. v.mu is held.
func (v *witness) noteHealth(o *webhook.Outcome) {
	sub := o.Job.Sub.ID
	if asked, ok := v.asked[sub]; ok && o.Attempt.Wait > 0 {
		v.stored[sub] = asked
	}
	if o.Health == nil {
		return
	}
	delete(v.failing, sub)
	if since := o.Health.FailingSince; since.After(v.well[sub]) {
		v.failing[sub] = since
	}
}

func (v *witness) Attempt(ctx context.Context, sub *webhook.Subscription, msg wire.Message, traceparent string) webhook.Attempt {
	if !v.begin(sub, msg) {
		return webhook.Attempt{Verdict: wire.Refused}
	}
	a := v.attempter.Attempt(ctx, sub, msg, traceparent)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.total--
	v.flying[sub.ID]--
	if a.Verdict == wire.Delivered {
		v.well[sub.ID] = time.Now()
		delete(v.failing, sub.ID)
	}
	if now := time.Now(); a.Wait > 0 && v.urls[sub.ID] == sub.URL && now.Add(a.Wait).After(v.asked[sub.ID].until) {
		v.asked[sub.ID] = asked{now, now.Add(a.Wait)}
	}
	return a
}

// begin checks an attempt that begins; it reports whether there is still a
// process to make it.
func (v *witness) begin(sub *webhook.Subscription, msg wire.Message) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.crashed {
		return false
	}
	key, now := deliveryKey{msg.EventID, sub.ID}, time.Now()
	of := v.of(key)
	if since := v.disabled[sub.ID]; !since.IsZero() && now.After(since) {
		v.wrong(key, "sent while its subscription is disabled since %s", since)
	}
	if of.ended != "" && (of.endedAt.IsZero() || now.After(of.endedAt)) {
		v.wrong(key, "sent after its end")
	}
	if asked := v.asked[sub.ID]; now.After(asked.since) && now.Before(asked.until) {
		v.wrong(key, "sent although the endpoint asked to be left alone until %s", asked.until)
	}
	if now.Before(of.earliest) {
		v.wrong(key, "sent %s too early", of.earliest.Sub(now))
	}
	if of.open > 0 {
		v.wrong(key, "sent while it is under way or its outcome is not stored")
	}
	if sub.Policy.Ordered {
		v.checkOrder(key)
	}
	of.begun++
	of.open++
	v.lastBegun[sub.ID] = now
	v.total++
	v.flying[sub.ID]++
	most := 128
	if sub.Policy.MaxInFlight > 0 {
		most = sub.Policy.MaxInFlight
	}
	if _, failing := v.failing[sub.ID]; failing || sub.Policy.Ordered {
		most = 1
	}
	if v.flying[sub.ID] > most || v.total > v.most {
		v.wrong(key, "%d attempts at once to an endpoint that takes %d, and %d of %d in all", v.flying[sub.ID], most, v.total, v.most)
	}
	v.spend(key, sub.Policy.Rate, now)
	return true
}

// checkOrder checks that nothing before the delivery is pending, under way or not
// stored. v.mu is held.
func (v *witness) checkOrder(key deliveryKey) {
	for event := range v.line[key.sub] {
		if bytes.Compare(event[:], key.event[:]) < 0 {
			v.wrong(key, "sent before %s", event)
		}
	}
	for other, of := range v.deliveries {
		if other.sub == key.sub && of.open > 0 {
			v.wrong(key, "sent although the outcome of %s is not stored", other.event)
		}
	}
}

// spend checks the rate: what it allows in 20 ms may come at once, but at least
// one attempt.
func (v *witness) spend(key deliveryKey, rate float64, now time.Time) {
	b := v.buckets[key.sub]
	burst := max(1, float64(int(rate/50)))
	if b == nil || b.rate != rate {
		b = &bucket{rate: rate, tokens: burst, at: now}
		v.buckets[key.sub] = b
	}
	b.tokens, b.at = min(burst, b.tokens+rate*now.Sub(b.at).Seconds())-1, now
	if rate > 0 && b.tokens < -1e-6 {
		v.wrong(key, "sent faster than at %v a second", rate)
	}
}
