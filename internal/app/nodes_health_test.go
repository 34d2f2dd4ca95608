package app_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// recovering answers with a status for so long after its first request, and then
// takes everything.
func recovering(status int, after time.Duration) func(*request) int {
	var first time.Time
	return func(req *request) int {
		if first.IsZero() {
			first = req.began
		}
		if req.began.Sub(first) < after {
			return status
		}
		return http.StatusNoContent
	}
}

func TestAnEndpointThatAsksToWaitIsProbedByOneNodeOnlyUntilItIsWell(t *testing.T) {
	t.Parallel()
	onHints(t, func(f *fleet) {
		a, b := f.mustStart("a"), f.mustStart("b")
		r := mustReceive(f.t)
		r.slow(5 * time.Millisecond)
		r.answers(recovering(http.StatusTooManyRequests, 4*time.Second)) // each asks for a second
		a.mustSubscribe(r, "invoice.paid", `{"max_in_flight":2,"schedule":[1,1,1,1,1,1,1,1]}`)
		events := alternately(40, "invoice.paid", a, b)
		f.wantOnce(r, events)
		all := r.all()
		well := slices.IndexFunc(all, func(req request) bool { return req.status/100 == 2 })
		known := all[0].began.Add(2 * beat) // to both
		probes := slices.DeleteFunc(all[:well+1], func(req request) bool { return req.began.Before(known) })
		for i, probe := range probes {
			if probe.node != probes[0].node {
				f.t.Errorf("of %d probes one was made by another node", len(probes))
			}
			if i > 0 && probe.began.Sub(probes[i-1].began) < time.Second {
				f.t.Errorf("a probe was made %v after the one before", probe.began.Sub(probes[i-1].began))
			}
		}
		if len(probes) < 2 {
			f.t.Errorf("%d probes were made", len(probes))
		}
		f.wantBoth(r, a, b)
	})
}

func TestANodeThatHasSentNothingYetKnowsThatAnEndpointAsksToWait(t *testing.T) {
	t.Parallel()
	for _, first := range []string{"a", "b"} { // one of which will do the probing
		t.Run(first, func(t *testing.T) {
			t.Parallel()
			f := mustFleet(t)
			members := map[string]*member{first: f.mustStart(first)}
			r := mustReceive(t)
			r.answers(recovering(http.StatusTooManyRequests, 500*time.Millisecond))
			members[first].mustSubscribe(r, "invoice.paid", `{"schedule":[1,1,1]}`)
			second := map[string]string{"a": "b", "b": "a"}[first]
			members[second] = f.mustStart(second) // when there is nothing to send
			eventually(t, "the first one has heard of it", func() bool { return members[first].sees(2) })
			events := alternately(1, "invoice.paid", members[first])
			eventually(t, "the endpoint asks to wait", func() bool { return len(r.all()) == 1 })
			asked := r.all()[0].began
			time.Sleep(100 * time.Millisecond) // so the other one has heard of that
			events = append(events, alternately(10, "invoice.paid", members[first], members[second])...)
			f.wantAll(r, events)
			for _, req := range r.all()[1:] {
				if after := req.began.Sub(asked); after < time.Second {
					t.Fatalf("a request was made %v after the endpoint had asked for a second, of %d", after, len(r.all()))
				}
			}
		})
	}
}

func TestAnEndpointThatFailsIsProbedByOneNodeOnlyUntilItIsWell(t *testing.T) {
	t.Parallel()
	onHints(t, func(f *fleet) {
		a, b := f.mustStart("a"), f.mustStart("b")
		r := mustReceive(f.t)
		r.answers(func(*request) int { return http.StatusInternalServerError })
		a.mustSubscribe(r, "invoice.paid", `{"max_in_flight":2,"schedule":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}`)
		events := alternately(30, "invoice.paid", a, b)
		eventually(f.t, "ten attempts have failed", func() bool { return len(r.all()) >= 10 })
		time.Sleep(2 * beat) // so both know
		known := time.Now()
		eventually(f.t, "it is probed", func() bool { return len(r.all()) > len(r.before(known)) })
		r.answers(nil)
		f.wantAll(r, events)
		all := r.all()
		well := slices.IndexFunc(all, func(req request) bool { return req.status/100 == 2 })
		for _, probe := range all[len(r.before(known)) : well+1] {
			if probe.node != all[well].node {
				f.t.Error("both nodes have probed")
			}
		}
		f.wantBoth(r, a, b)
	})
}

func TestTheNodeThatProbesLearnsOfRetriesThatFollowFromAttemptsOfOthers(t *testing.T) {
	t.Parallel()
	f, a, _ := mustPair(t)
	r := mustReceive(t)
	r.answers(func(req *request) int {
		if req.attempt == 1 || strings.HasSuffix(req.kind, ".first") {
			return http.StatusInternalServerError
		}
		return http.StatusNoContent
	})
	r.takes = func(req *request) time.Duration { // the second one fails when the first has made the endpoint one that fails
		if req.attempt == 1 && strings.HasSuffix(req.kind, ".second") {
			return 2500 * time.Millisecond
		}
		return 0
	}
	var events []string
	for i := range 6 { // either node is to probe some of them
		shop := fmt.Sprintf("shop%d", i)
		a.mustSubscribe(r, shop+".*", `{"schedule":[1]}`)
		alternately(1, shop+".first", a)
		events = append(events, alternately(1, shop+".second", a)...)
	}
	f.wantAll(r, events)
	if n := len(r.taken()); n != len(events) {
		t.Errorf("%d events were taken, of %d", n, len(events))
	}
}

// wantBoth complains unless both nodes soon send again.
func (f *fleet) wantBoth(r *receiver, at ...*member) {
	f.t.Helper()
	since := time.Now()
	eventually(f.t, "both nodes send", func() bool {
		alternately(2, "invoice.paid", at...)
		return r.sawBoth(since)
	})
	if took := time.Since(since); took > 2*beat {
		f.t.Errorf("it took %v until both nodes sent", took)
	}
	f.mustSettle()
}
