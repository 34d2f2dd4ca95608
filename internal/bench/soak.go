package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// soakRate is how many events a second the scenario soak publishes.
const soakRate = 200

// resident is one kind of endpoint in the scenario soak, with what its
// subscription is like.
type resident struct {
	name      string
	behaviour Behaviour
	policy    client.Policy
}

// residents are the endpoints that stay from the beginning to the end.
var residents = []resident{
	{name: "good"},
	{name: "good, one at a time", policy: client.Policy{MaxInFlight: 4}},
	{name: "slow", behaviour: Behaviour{Delay: 100 * time.Millisecond}},
	{"failing", Behaviour{Status: 500}, client.Policy{Schedule: []float64{0.2, 0.5}}},
	{"flapping", Behaviour{Status: 502, Flaps: 3 * time.Second}, client.Policy{Schedule: []float64{0.5, 1, 2, 4, 4, 4}}},
	{name: "gone"}, // it goes when a third is over
	{"throttling", Behaviour{Limit: 50}, client.Policy{Schedule: []float64{1, 2, 4, 8}}},
	{"silent", Behaviour{Dead: true}, client.Policy{Schedule: []float64{1}, Timeout: 1}},
}

// goneEndpoint is the resident that goes.
const goneEndpoint = 5

// attempts is how many a delivery to it has.
func (r resident) attempts() int {
	if r.policy.Schedule == nil {
		return 10
	}
	return len(r.policy.Schedule) + 1
}

// soaking is a server that everything is done to at once.
type soaking struct {
	*rig
	rng    *rand.Rand
	subs   []string // of the residents
	guests []string // subscriptions that come and go
	ids    int      // of the endpoints of guests
	done   map[string]int
}

// soak publishes at a steady rate to receivers of every kind, while subscriptions
// are disabled, enabled, changed, made and deleted, secrets rotated and
// deliveries sent again. In the end it finds out whether every accepted event is
// accounted for at every subscription that was there all the time: delivered, as
// the receiver says as well; failed with all its attempts; cancelled or held with
// a reason; or pending with a time.
func (b *bench) soak(ctx context.Context) ([]*Result, error) {
	r, err := b.newRig(ctx)
	if err != nil {
		return nil, err
	}
	defer r.close()
	s := &soaking{rig: r, rng: rand.New(rand.NewPCG(1, 2)), ids: len(residents), done: make(map[string]int)} //nolint:gosec // no secret
	if err := s.settleIn(ctx); err != nil {
		return nil, err
	}
	lasting := cmp.Or(b.opts.For, b.shareTime(time.Minute))
	posted, err := s.live(ctx, lasting)
	if err != nil {
		return nil, err
	}
	if err := s.heal(ctx); err != nil {
		return nil, err
	}
	found, err := s.account(ctx, posted)
	if err != nil {
		return nil, err
	}
	result := &Result{Name: soakName}
	result.figure("events", float64(len(posted)), "")
	for _, what := range slices.Sorted(maps.Keys(s.done)) {
		result.figure(what, float64(s.done[what]), "")
	}
	found.report(result)
	if measured {
		result.figure("server_memory_most", megabytes(r.memory()), "MB")
	}
	return []*Result{result}, nil
}

const soakName = "soak"

// settleIn starts the server and subscribes the residents.
func (s *soaking) settleIn(ctx context.Context) error {
	if err := s.serve(ctx, 0); err != nil {
		return err
	}
	behaviours := make(map[int]Behaviour)
	for i, r := range residents {
		behaviours[i] = r.behaviour
		sub, err := s.tenant.CreateSubscription(ctx, client.NewSubscription{
			URL: s.receiver.endpoint(i), EventTypes: []string{eventType}, Secret: s.secret, Description: r.name, Policy: &r.policy,
		})
		if err != nil {
			return err
		}
		s.subs = append(s.subs, sub.ID)
	}
	if err := s.receiver.behave(ctx, behaviours); err != nil {
		return err
	}
	return s.receiver.watch(ctx, Watch{})
}

// live publishes for as long, and meanwhile does to the server whatever can be
// done.
func (s *soaking) live(ctx context.Context, lasting time.Duration) ([]publication, error) {
	n := int(lasting.Seconds() * soakRate)
	published := make(chan error, 1)
	var posted []publication
	go func() {
		var err error
		posted, err = s.load.pace(ctx, s.events, time.Second/soakRate, n)
		published <- err
	}()
	actions := s.actions()
	for begun, gone := time.Now(), false; len(published) == 0; {
		s.show("%s of %s, %d events arrived or turned away", time.Since(begun).Round(time.Second), lasting, s.load.accepted.Load())
		if !gone && time.Since(begun) > lasting/3 {
			gone = true
			if err := s.receiver.behave(ctx, map[int]Behaviour{goneEndpoint: {Status: 410}}); err != nil {
				return nil, err
			}
		}
		a := actions[s.rng.IntN(len(actions))]
		switch err := a.do(ctx); {
		case err == nil:
			s.done[a.name]++
		case !errors.Is(err, errNothing):
			return nil, fmt.Errorf("%s: %w", a.name, err)
		}
		if !sleep(ctx, 50*time.Millisecond) {
			return nil, context.Cause(ctx)
		}
	}
	return posted, <-published
}

// action is something that is done to the server.
type action struct {
	name string
	do   func(ctx context.Context) error
}

func (s *soaking) actions() []action {
	return []action{
		{"disabled", func(ctx context.Context) error {
			_, err := s.tenant.DisableSubscription(ctx, s.resident())
			return err
		}},
		{"enabled", s.enable},
		{"enabled", s.enable},
		{"rotated", func(ctx context.Context) error {
			overlap := time.Second
			_, err := s.tenant.RotateSecret(ctx, s.resident(), client.Rotation{Overlap: &overlap})
			return err
		}},
		{"changed", func(ctx context.Context) error {
			i := s.rng.IntN(len(s.subs))
			policy := residents[i].policy
			policy.MaxInFlight = 1 + s.rng.IntN(64)
			_, err := s.tenant.UpdateSubscription(ctx, s.subs[i], client.SubscriptionChange{Policy: &policy})
			return err
		}},
		{"retried", s.retry},
		{"retried", s.retry},
		{"recovered", s.sendAgain(func(ctx context.Context, sub string) error {
			_, err := s.tenant.RecoverSubscription(ctx, sub, time.Now().Add(-10*time.Second), time.Time{})
			return err
		})},
		{"replayed", s.sendAgain(func(ctx context.Context, sub string) error {
			delivered := []client.DeliveryStatus{client.Delivered}
			_, err := s.tenant.CreateReplay(ctx, client.NewReplay{SubscriptionID: sub, Status: delivered, Since: time.Now().Add(-2 * time.Second)})
			return err
		})},
		{"subscribed", s.welcome},
		{"unsubscribed", s.dismiss},
	}
}

// errNothing says that there was nothing to do.
var errNothing = errors.New("there is nothing to do it to")

// resident returns one of the subscriptions that stay.
func (s *soaking) resident() string { return s.subs[s.rng.IntN(len(s.subs))] }

func (s *soaking) enable(ctx context.Context) error {
	for _, sub := range s.subs {
		if _, err := s.tenant.EnableSubscription(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// retry sends a delivery again that has ended.
func (s *soaking) retry(ctx context.Context) error {
	sub, err := s.tenant.Subscription(ctx, s.resident())
	if err != nil || sub.Status != client.Enabled {
		return cmp.Or(err, errNothing)
	}
	status := []client.DeliveryStatus{client.Delivered, client.Failed}[s.rng.IntN(2)]
	list, err := s.tenant.Deliveries(ctx, client.DeliveryFilter{SubscriptionID: sub.ID, Status: status}, client.Page{Limit: 20})
	if err != nil || len(list.Data) == 0 {
		return cmp.Or(err, errNothing)
	}
	_, err = s.tenant.RetryDelivery(ctx, list.Data[s.rng.IntN(len(list.Data))].ID)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Code == "subscription_disabled" { // it answered 410 meanwhile
		return errNothing
	}
	return err
}

// sendAgain does it to a subscription that is enabled, unless too much of the kind
// is under way.
func (s *soaking) sendAgain(do func(ctx context.Context, sub string) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		err := do(ctx, s.resident())
		if refused, ok := errors.AsType[*client.Error](err); ok && (refused.Code == "subscription_disabled" || refused.Code == "conflict") {
			return errNothing
		}
		return err
	}
}

// welcome makes a subscription that does not stay.
func (s *soaking) welcome(ctx context.Context) error {
	if len(s.guests) >= 8 {
		return errNothing
	}
	s.ids++
	sub, err := s.tenant.CreateSubscription(ctx, client.NewSubscription{
		URL: s.receiver.endpoint(s.ids), EventTypes: []string{eventType}, Secret: s.secret,
	})
	s.guests = append(s.guests, sub.ID)
	return err
}

// dismiss deletes the oldest of them.
func (s *soaking) dismiss(ctx context.Context) error {
	if len(s.guests) == 0 {
		return errNothing
	}
	oldest := s.guests[0]
	s.guests = s.guests[1:]
	return s.tenant.DeleteSubscription(ctx, oldest)
}

// heal makes every endpoint good and every subscription enabled, and waits until
// nothing is pending, or nothing changes any more.
func (s *soaking) heal(ctx context.Context) error {
	well := make(map[int]Behaviour)
	for i := range residents {
		well[i] = Behaviour{}
	}
	if err := s.receiver.behave(ctx, well); err != nil {
		return err
	}
	if err := s.enable(ctx); err != nil {
		return err
	}
	for until := time.Now().Add(patience / 2); time.Now().Before(until); {
		pending, err := s.tenant.Deliveries(ctx, client.DeliveryFilter{Status: client.Pending}, client.Page{Limit: 1})
		if err != nil || len(pending.Data) == 0 {
			return err
		}
		s.show("waiting for what is pending")
		if !sleep(ctx, 200*time.Millisecond) {
			return context.Cause(ctx)
		}
	}
	return nil
}

// accounts are what became of the events.
type accounts struct {
	ends map[client.DeliveryStatus]int

	missing     int // an accepted event without a delivery to a resident
	doubled     int // with two
	unknown     int // a delivery of no accepted event
	notSeen     int // delivered, but the receiver never took it
	tooEarly    int // failed before its schedule's end
	unexplained int // ended without a reason, or pending without a time
	foreign     int // arrived, of no accepted event
}

// account compares what the server says of every delivery with what was accepted
// and what arrived.
func (s *soaking) account(ctx context.Context, posted []publication) (*accounts, error) {
	noted, err := s.receiver.noted(ctx)
	if err != nil {
		return nil, err
	}
	endpoints := make(map[string]int)
	for i, sub := range s.subs {
		endpoints[sub] = i
	}
	accepted := make(map[string]bool)
	for _, p := range posted {
		accepted[p.ID] = true
	}
	found := &accounts{ends: make(map[client.DeliveryStatus]int)}
	taken := make(map[place]bool)
	for _, a := range noted.Arrivals {
		taken[place{a.ID, a.Endpoint}] = true
		if !accepted[a.ID] {
			found.foreign++
		}
	}
	seen := make(map[place]bool)
	n := 0
	for d, err := range s.tenant.AllDeliveries(ctx, client.DeliveryFilter{}) {
		if err != nil {
			return nil, err
		}
		if n++; n%1000 == 0 {
			s.show("%d deliveries accounted for", n)
		}
		if !accepted[d.EventID] {
			found.unknown++
		}
		endpoint, resident := endpoints[d.SubscriptionID]
		if !resident {
			continue
		}
		at := place{d.EventID, endpoint}
		if seen[at] {
			found.doubled++
		}
		seen[at] = true
		found.count(d, taken[at], residents[endpoint].attempts())
	}
	found.missing = len(accepted)*len(s.subs) - len(seen)
	return found, nil
}

// count counts a delivery to a resident whose schedule has so many attempts.
func (a *accounts) count(d client.Delivery, taken bool, attempts int) {
	a.ends[d.Status]++
	switch d.Status {
	case client.Delivered:
		if !taken {
			a.notSeen++
		}
	case client.Failed:
		if d.AttemptCount < attempts {
			a.tooEarly++
		}
	case client.Pending:
		if d.NextAttemptAt.IsZero() {
			a.unexplained++
		}
	default:
		if d.Reason == "" {
			a.unexplained++
		}
	}
}

// report adds what was found, and holds it to nothing being wrong.
func (a *accounts) report(result *Result) {
	for _, status := range slices.Sorted(maps.Keys(a.ends)) {
		result.figure("ended_"+string(status), float64(a.ends[status]), "")
	}
	for _, wrong := range []struct {
		name  string
		count int
	}{
		{"accepted events without a delivery to a subscription that was there", a.missing},
		{"events with two deliveries to a subscription", a.doubled},
		{"deliveries or webhooks of no accepted event", a.unknown + a.foreign},
		{"deliveries that are said to have arrived and did not", a.notSeen},
		{"deliveries that failed before their schedule's end", a.tooEarly},
		{"deliveries that ended without a reason or wait without a time", a.unexplained},
	} {
		result.atMost(wrong.name, float64(wrong.count), 0)
	}
	result.atLeast("deliveries that arrived", float64(a.ends[client.Delivered]), 1, "")
	result.atLeast("deliveries that failed", float64(a.ends[client.Failed]), 1, "")
	result.atLeast("deliveries that were cancelled or held", float64(a.ends[client.Cancelled]+a.ends[client.Held]), 1, "")
}
