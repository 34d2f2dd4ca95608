package cli

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/verify"
)

// demoReceiver is the receiving side of the story: an ordinary web server that
// verifies every webhook as a receiver's developer would.
type demoReceiver struct {
	server *http.Server
	url    string

	mu       sync.Mutex
	verifier map[string]*verify.Standard // by path
	valid    map[demoRequest]bool
	failures map[string]int // how often a path still fails
}

// demoRequest names a request that arrived.
type demoRequest struct {
	path    string
	id      string
	attempt int
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
		verifier: make(map[string]*verify.Standard),
		valid:    make(map[demoRequest]bool),
		failures: map[string]int{flakyPath: 2},
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = r.server.Serve(l) }() // ends with Close
	return r, nil
}

// trust has the requests to a path verified with the secret.
func (r *demoReceiver) trust(path, secret string) error {
	v, err := verify.NewStandard(secret)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.verifier[path] = v
	return nil
}

// verified reports whether a request had a valid signature, and whether it
// arrived at all.
func (r *demoReceiver) verified(path, id string, attempt int) (bool, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	valid, arrived := r.valid[demoRequest{path, id, attempt}]
	return valid, arrived
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
	r.valid[demoRequest{req.URL.Path, req.Header.Get("Webhook-Id"), msg.Attempt}] = err == nil
	switch {
	case err != nil:
		http.Error(w, "the signature is not valid", http.StatusUnauthorized)
	case r.failures[req.URL.Path] > 0:
		r.failures[req.URL.Path]--
		http.Error(w, "the database is being restarted", http.StatusInternalServerError)
	case req.URL.Path == gonePath:
		http.Error(w, "this integration was switched off", http.StatusGone)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}
