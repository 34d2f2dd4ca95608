package app_test

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// failing fails the first attempts of some events.
func failing(every int) func(*request) int {
	seen := make(map[string]int)
	return func(req *request) int {
		if _, known := seen[req.event]; !known {
			seen[req.event] = len(seen)
		}
		if req.attempt == 1 && seen[req.event]%every == every-1 {
			return http.StatusInternalServerError
		}
		return http.StatusNoContent
	}
}

// wantOrder complains unless the events have first arrived in the order given, and
// none before the one before it was taken.
func wantOrder(t testing.TB, r *receiver, events []string) {
	t.Helper()
	if got := r.arrivals(); !slices.Equal(got, events) {
		for i := range min(len(got), len(events)) {
			if got[i] != events[i] {
				t.Errorf("of %d events %d have arrived; the first out of order is number %d, in whose place came number %d",
					len(events), len(got), i, slices.Index(events, got[i]))
				return
			}
		}
		t.Errorf("of %d events %d have arrived", len(events), len(got))
	}
	latest := 0
	for _, req := range r.all() {
		at := slices.Index(events, req.event)
		if at < latest {
			t.Errorf("event %d came again after event %d", at, latest)
		}
		latest = max(latest, at)
	}
}

func TestAnOrderedSubscriptionGetsInOrderWhatIsPublishedAtTwoNodesInTurns(t *testing.T) {
	t.Parallel()
	onHints(t, func(f *fleet) {
		a, b := f.mustStart("a"), f.mustStart("b")
		r := mustReceive(f.t)
		r.answers(failing(40))
		a.mustSubscribe(r, "invoice.paid", `{"ordered":true,"schedule":[1]}`)
		events := alternately(120, "invoice.paid", a, b)
		f.mustSettle()
		wantOrder(f.t, r, events)
		if r.mostAtOnce() > 1 {
			f.t.Errorf("%d attempts were made at once", r.mostAtOnce())
		}
	})
}

func TestAnOrderedSubscriptionStaysInOrderWhenItsNodeGoes(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*member, *network){
		"stopped":            func(m *member, _ *network) { stop(m.App) },
		"heard of no longer": func(_ *member, n *network) { n.cut() },
		"stalled":            func(_ *member, n *network) { n.stall() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onHints(t, func(f *fleet) { keepsOrder(f, leave) })
		})
	}
}

// keepsOrder has the node that sends to an ordered subscription go in the middle.
func keepsOrder(f *fleet, leave func(*member, *network)) {
	networks := map[string]*network{"a": mustNetwork(f.t, f.url), "b": mustNetwork(f.t, f.url)}
	members := make(map[string]*member)
	for name, n := range networks {
		members[name] = f.mustStartAt(name, n.url)
	}
	r := mustReceive(f.t)
	r.slow(5 * time.Millisecond)
	r.answers(failing(30))
	members["a"].mustSubscribe(r, "invoice.paid", `{"ordered":true,"schedule":[1,1]}`)
	events := alternately(60, "invoice.paid", members["a"], members["b"])
	eventually(f.t, "the first ones have arrived", func() bool { return len(r.all()) > 5 })
	owner := r.all()[0].node
	var leaving sync.WaitGroup
	leaving.Go(func() { leave(members[owner], networks[owner]) })
	other := members[map[string]string{"a": "b", "b": "a"}[owner]]
	events = append(events, alternately(60, "invoice.paid", other)...)
	leaving.Wait()
	f.mustSettle()
	networks[owner].mend()
	wantOrder(f.t, r, events)
	if r.by(other.name) == 0 {
		f.t.Error("the other node has sent nothing")
	}
}
