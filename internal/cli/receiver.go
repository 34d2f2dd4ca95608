package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxReceived  = 8 << 20 // bytes of a body; above what any server is set to send
	maxForwarded = 1 << 20 // bytes of a local answer that are passed back
	maxSeen      = 10_000  // ids that are remembered, to tell duplicates
)

// receiver verifies what arrives, forwards it or takes it, and shows it.
type receiver struct {
	how      reception
	ready    chan struct{} // closed once there is a verifier
	verifier verifier
	forward  *forwarder // nil: take everything
	testing  atomic.Bool
	tested   atomic.Bool // a test event has arrived

	mu      sync.Mutex // serialises show, so that rows stay whole
	show    func(arrival)
	seen    map[string]bool
	refused error // why the latest request that could not be verified was refused
}

// begin has requests verified. Those that arrived before wait for it, since an
// event can be faster than the answer that has the secret.
func (r *receiver) begin(v verifier) {
	r.verifier = v
	close(r.ready)
}

// ServeHTTP receives a webhook. What can't be verified goes nowhere.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		http.Error(w, "webhooks are received here, by POST", http.StatusMethodNotAllowed)
		return
	}
	select {
	case <-r.ready:
	case <-req.Context().Done():
		return
	}
	a := arrival{at: time.Now(), how: &r.how}
	a.message, a.invalid = r.verifier.Request(req)
	switch {
	case a.invalid != nil:
		a.answer = http.StatusUnauthorized
		http.Error(w, a.invalid.Error(), a.answer)
	case r.testing.Load() && a.message.Type == r.how.test: // the one that listen asked for itself
		r.tested.Store(true)
		w.WriteHeader(r.how.taken)
		return
	case r.forward == nil:
		a.answer = r.how.taken
		w.WriteHeader(a.answer)
	default:
		a.forwarded = true
		a.answer, a.failure = r.forward.pass(w, req, a.message.Body)
		a.took = time.Since(a.at)
	}
	r.arrived(a)
}

// arrived shows what arrived, one after the other.
func (r *receiver) arrived(a arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.invalid != nil {
		r.refused = a.invalid
		r.show(a)
		return
	}
	if len(r.seen) >= maxSeen || r.seen == nil {
		r.seen = make(map[string]bool)
	}
	a.duplicate = r.seen[a.message.ID]
	r.seen[a.message.ID] = true
	r.show(a)
}

// refusal is why the latest request that could not be verified was refused; nil
// if there was none.
func (r *receiver) refusal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refused
}

// forwarder passes requests on to one URL.
type forwarder struct {
	target string
	http   *http.Client
}

// forwardTimeout is longer than any sender waits.
const forwardTimeout = 90 * time.Second

func newForwarder(target string) *forwarder {
	return &forwarder{target, &http.Client{
		Timeout:       forwardTimeout,
		Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ofConnection lists the headers that are about a connection, not a message.
var ofConnection = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
}

// pass sends a request on as it came and answers it as it was answered: 502
// where there is no answer. It returns the status, and why there was none. It
// gives up when the sender does.
func (f *forwarder) pass(w http.ResponseWriter, req *http.Request, body []byte) (int, error) {
	status, header, text, err := f.send(req.Context(), req.Header, body)
	if err != nil {
		http.Error(w, "the event could not be forwarded: "+err.Error(), http.StatusBadGateway)
		return http.StatusBadGateway, err
	}
	maps.Copy(w.Header(), header)
	w.WriteHeader(status)
	_, _ = w.Write(text) // fails only if the sender has gone
	return status, nil
}

func (f *forwarder) send(ctx context.Context, header http.Header, body []byte) (int, http.Header, []byte, error) {
	out, err := http.NewRequestWithContext(ctx, http.MethodPost, f.target, bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	out.Header = ofMessage(header)
	resp, err := f.http.Do(out)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err
		}
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxForwarded))
	if err != nil {
		return 0, nil, nil, err
	}
	answered := ofMessage(resp.Header)
	answered.Del("Content-Length")
	return resp.StatusCode, answered, text, nil
}

// ofMessage returns the headers without those of the connection.
func ofMessage(header http.Header) http.Header {
	kept := header.Clone()
	for _, name := range ofConnection {
		kept.Del(name)
	}
	return kept
}
