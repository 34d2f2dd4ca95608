package app_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// receiver is an endpoint that keeps what it gets.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	requests []*request // as they came
	takes    func(*request) time.Duration
	answer   func(*request) int
	inFlight int
	most     int // requests under way at once
}

// request is one that was received.
type request struct {
	node    string // that made it
	event   string
	kind    string // the event's type
	attempt int
	began   time.Time

	signatures int
	status     int // 0: it is under way
}

// mustReceive returns a receiver that takes everything.
func mustReceive(t testing.TB) *receiver {
	t.Helper()
	r := new(receiver)
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	attempt, _ := strconv.Atoi(req.Header.Get("X-Grapevine-Attempt"))
	got := &request{
		node: strings.TrimPrefix(req.UserAgent(), "Grapevine/"), event: req.Header.Get("X-Grapevine-Event-Id"),
		kind: req.Header.Get("X-Grapevine-Event-Type"), attempt: attempt, began: time.Now(), signatures: len(strings.Fields(req.Header.Get("Webhook-Signature"))),
	}
	r.mu.Lock()
	r.requests = append(r.requests, got)
	r.inFlight++
	r.most = max(r.most, r.inFlight)
	var takes time.Duration
	if r.takes != nil {
		takes = r.takes(got)
	}
	r.mu.Unlock()
	time.Sleep(takes) // the endpoint's own slowness
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inFlight--
	got.status = http.StatusNoContent
	if r.answer != nil {
		got.status = r.answer(got)
	}
	if got.status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(got.status)
}

// answers has the receiver answer with what fn returns, which is called with its
// lock held.
func (r *receiver) answers(fn func(*request) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = fn
}

// slow has every request take so long.
func (r *receiver) slow(takes time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes = func(*request) time.Duration { return takes }
}

// all returns the requests as they came.
func (r *receiver) all() []request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]request, len(r.requests))
	for i, req := range r.requests {
		all[i] = *req
	}
	return all
}

// forget forgets the requests that were made.
func (r *receiver) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

// taken returns those that were answered with a success.
func (r *receiver) taken() []request {
	return slices.DeleteFunc(r.all(), func(req request) bool { return req.status/100 != 2 })
}

// by counts the requests of a node.
func (r *receiver) by(node string) int { return len(r.since(node, time.Time{})) }

// since returns the requests of a node that began after a moment.
func (r *receiver) since(node string, after time.Time) []request {
	return slices.DeleteFunc(r.all(), func(req request) bool { return req.node != node || !req.began.After(after) })
}

// before returns the requests that began before a moment.
func (r *receiver) before(moment time.Time) []request {
	return slices.DeleteFunc(r.all(), func(req request) bool { return !req.began.Before(moment) })
}

// sawBoth reports whether both nodes have sent since a moment.
func (r *receiver) sawBoth(after time.Time) bool {
	return len(r.since("a", after)) > 0 && len(r.since("b", after)) > 0
}

// arrivals returns the events in the order in which they arrived first.
func (r *receiver) arrivals() []string {
	var events []string
	for _, req := range r.all() {
		if !slices.Contains(events, req.event) {
			events = append(events, req.event)
		}
	}
	return events
}

// mostAtOnce returns how many requests were under way at once at most.
func (r *receiver) mostAtOnce() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.most
}

// mostWithin returns how many requests began within any span of time at most.
func (r *receiver) mostWithin(span time.Duration) int {
	all, most := r.all(), 0
	for from, to := 0, 0; to < len(all); to++ {
		for all[to].began.Sub(all[from].began) >= span {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}
