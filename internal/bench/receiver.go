package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/verify"
)

// Arrival is one webhook that the receiver has read and answers with a success.
type Arrival struct {
	Endpoint int
	ID       string // of the event, as its header says
	N        int    // the number in the body; -1: there is none
	Sum      uint32 // of the body's data
	At       int64  // nanoseconds of the wall clock

	Type  string // where there is no number: the type of a program's event; "": it is none
	About string // whom that is about: see aboutWhom
}

// Behaviour is how an endpoint answers. The zero value answers at once with a
// success.
type Behaviour struct {
	Delay time.Duration // before a success
	Dead  bool          // there is no answer
	Busy  bool          // 503 with Retry-After: an hour

	Status int           // what it answers instead of a success; 0: a success
	Flaps  time.Duration // for how long it is well and not well, in turns; 0: it never changes
	Limit  int           // webhooks a second that it takes, before it answers 429; 0: any number
}

// refuses reports whether an endpoint does not take what arrives at now, as the
// n-th of that second.
func (b Behaviour) refuses(now time.Time, n int) bool {
	switch {
	case b.Flaps > 0 && now.UnixNano()/int64(b.Flaps)%2 == 0:
		return false
	case b.Dead || b.Busy || b.Status != 0:
		return true
	default:
		return b.Limit > 0 && n > b.Limit
	}
}

// Watch is what the receiver is to note from now on.
type Watch struct {
	Secret string // that all endpoints share; "": none
	Verify int    // how many signatures to verify
}

// Noted is what the receiver has noted since its last Watch.
type Noted struct {
	Arrivals []Arrival
	Verified int // signatures that were verified and valid
	Invalid  int // those that were not valid
}

// State is how the receiver stands.
type State struct {
	Arrived int           // webhooks noted since the last Watch
	Turned  int           // webhooks that got another answer or none
	CPU     time.Duration // that the process has used so far
}

// None stands for no arguments and no result. A call needs some type for them.
type None bool

// receiver is a web server that notes what arrives. Its exported methods are
// what the bench calls over its standard input and output.
type receiver struct {
	behaviours sync.Map // Behaviour by int
	seconds    sync.Map // *second by int

	arrived, turned, verified, invalid atomic.Int64
	watch                              atomic.Pointer[watch]
	shards                             [16]shard
}

// watch is a Watch in use.
type watch struct {
	verifier *verify.Standard
	left     atomic.Int64
}

// shard holds a part of the arrivals, so that requests seldom wait for each
// other.
type shard struct {
	mu       sync.Mutex
	arrivals []Arrival
}

// greeting is the first line that the receiver writes.
type greeting struct {
	URL string `json:"url"`
}

// Receive runs the receiver: a web server on a free port of this machine. It
// writes where that is as a line of JSON to out, then obeys calls (net/rpc) from
// in until that ends.
func Receive(in io.ReadCloser, out io.WriteCloser) error {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // at once
	if err != nil {
		return err
	}
	debug.SetGCPercent(gcPercent)
	r := new(receiver)
	r.watch.Store(new(watch))
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	defer server.Close()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()

	if err := json.NewEncoder(out).Encode(greeting{"http://" + l.Addr().String()}); err != nil {
		return err
	}
	calls := rpc.NewServer()
	if err := calls.RegisterName("Receiver", r); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		calls.ServeConn(pipes{in, out})
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("bench: the receiver: %w", err)
	case <-ended:
		return nil
	}
}

// pipes makes one connection of two.
type pipes struct {
	io.ReadCloser
	out io.WriteCloser
}

// Write writes to the outgoing half.
func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

// Close closes both halves.
func (p pipes) Close() error { return errors.Join(p.ReadCloser.Close(), p.out.Close()) }

// ServeHTTP reads the webhook whole and answers as its endpoint does. If the
// answer is a success the webhook is noted first, so that it counts as arrived
// even where the sender no longer waits, and as doubled if it comes again.
func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	endpoint, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // whoever sent it has gone
	}
	behaviour, _ := r.behaviours.Load(endpoint)
	b, _ := behaviour.(Behaviour)
	if b.refuses(time.Now(), r.nth(endpoint, b)) {
		r.turnAway(w, req, b)
		return
	}
	r.note(endpoint, req, body)
	if b.Delay > 0 && !sleep(req.Context(), b.Delay) {
		return
	}
	w.WriteHeader(http.StatusOK) // the one success of all dialects
}

func (r *receiver) turnAway(w http.ResponseWriter, req *http.Request, b Behaviour) {
	r.turned.Add(1)
	switch {
	case b.Dead:
		<-req.Context().Done()
	case b.Busy:
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	case b.Status != 0:
		w.WriteHeader(b.Status)
	default:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	}
}

// second counts what arrives at an endpoint in a second.
type second struct {
	mu    sync.Mutex
	at    int64
	count int
}

// nth returns how many webhooks have arrived at an endpoint in this second, where
// it takes a limited number.
func (r *receiver) nth(endpoint int, b Behaviour) int {
	if b.Limit == 0 {
		return 0
	}
	found, _ := r.seconds.LoadOrStore(endpoint, new(second))
	s := found.(*second) //nolint:forcetypeassert // nothing else is stored
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now().Unix(); now != s.at {
		s.at, s.count = now, 0
	}
	s.count++
	return s.count
}

func (r *receiver) note(endpoint int, req *http.Request, body []byte) {
	a := Arrival{Endpoint: endpoint, ID: req.Header.Get(idHeader), At: time.Now().UnixNano()}
	if a.N, a.Sum = parseBody(body); a.N < 0 {
		says := parseProgramEvent(body)
		a.Type, a.About = says.eventType, says.about
	}
	r.check(req.Header, body)
	s := &r.shards[uint(a.N)%uint(len(r.shards))] // any will do
	s.mu.Lock()
	s.arrivals = append(s.arrivals, a)
	s.mu.Unlock()
	r.arrived.Add(1)
}

// check verifies the signature, if it is one of those that are to be verified.
func (r *receiver) check(header http.Header, body []byte) {
	watch := r.watch.Load()
	if watch.left.Load() <= 0 || watch.left.Add(-1) < 0 {
		return
	}
	if _, err := watch.verifier.Verify(header, body); err != nil {
		r.invalid.Add(1)
		return
	}
	r.verified.Add(1)
}

// Behave changes how an endpoint answers.
func (r *receiver) Behave(to map[int]Behaviour, _ *None) error {
	for endpoint, b := range to {
		r.behaviours.Store(endpoint, b)
	}
	return nil
}

// Watch forgets what was noted and begins anew.
func (r *receiver) Watch(what Watch, _ *None) error {
	next := new(watch)
	if what.Secret != "" {
		v, err := verify.NewStandard(what.Secret)
		if err != nil {
			return err
		}
		v.Tolerance = time.Hour
		next.verifier = v
		next.left.Store(int64(what.Verify))
	}
	r.watch.Store(next)
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		s.arrivals = nil
		s.mu.Unlock()
	}
	for _, counter := range []*atomic.Int64{&r.arrived, &r.turned, &r.verified, &r.invalid} {
		counter.Store(0)
	}
	return nil
}

// Noted returns what was noted since Watch.
func (r *receiver) Noted(_ None, noted *Noted) error {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		noted.Arrivals = append(noted.Arrivals, s.arrivals...)
		s.mu.Unlock()
	}
	noted.Verified, noted.Invalid = int(r.verified.Load()), int(r.invalid.Load())
	return nil
}

// State returns how the receiver stands.
func (r *receiver) State(_ None, state *State) error {
	*state = State{Arrived: int(r.arrived.Load()), Turned: int(r.turned.Load()), CPU: ownCPU()}
	return nil
}
