package cli

import (
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// demoReceiver is the receiving side of the story: an ordinary web server that
// verifies every webhook as a receiver's developer would.
type demoReceiver struct {
	server *http.Server
	url    string

	mu       sync.Mutex
	verifier map[string]verifier // by path
	arrived  map[demoRequest]demoArrival
	failures map[string]int // how often a path still fails
}

// demoRequest names a request that arrived.
type demoRequest struct {
	path    string
	id      string // of the event
	attempt int
}

// demoArrival is what came of it.
type demoArrival struct {
	refused error  // nil: it was verified
	kind    string // the event's type, as the verified message has it
	body    string // how it begins
}

// The endpoints of the story.
const (
	goodPath  = "/billing"
	flakyPath = "/crm"
	gonePath  = "/legacy"
)

func startDemoReceiver() (*demoReceiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return nil, err
	}
	r := &demoReceiver{
		url:      "http://" + l.Addr().String(),
		verifier: make(map[string]verifier),
		arrived:  make(map[demoRequest]demoArrival),
		failures: map[string]int{flakyPath: 2},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(l) }() // ends with Close
	return r, nil
}

// trust has the requests to a path verified.
func (r *demoReceiver) trust(path string, by verifier) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier[path] = by
}

// received returns what came of a request, and whether it arrived at all.
func (r *demoReceiver) received(path, id string, attempt int) (demoArrival, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, arrived := r.arrived[demoRequest{path, id, attempt}]
	return a, arrived
}

// ServeHTTP verifies first and then plays its part.
func (r *demoReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, known := r.verifier[req.URL.Path]
	if !known {
		http.NotFound(w, req)
		return
	}
	msg, err := v.Request(req)
	attempt, _ := strconv.Atoi(req.Header.Get("X-Grapevine-Attempt"))
	r.arrived[demoRequest{req.URL.Path, req.Header.Get("X-Grapevine-Event-Id"), attempt}] = demoArrival{err, msg.Type, beginning(string(msg.Body), 100)}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case r.failures[req.URL.Path] > 0:
		r.failures[req.URL.Path]--
		http.Error(w, "the database is being restarted", http.StatusInternalServerError)
	case req.URL.Path == gonePath:
		http.Error(w, "this integration was switched off", http.StatusGone)
	default:
		w.WriteHeader(http.StatusOK) // which every dialect takes for success
	}
}
