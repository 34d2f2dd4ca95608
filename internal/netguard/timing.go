package netguard

import (
	"context"
	"crypto/tls"
	"net/http/httptrace"
	"sync"
	"time"
)

// Timing is how long the parts of a request took. A part that was not needed,
// such as DNS on a connection that was used again, is zero.
type Timing struct {
	DNS, Connect, TLS time.Duration

	// FirstByte is how long after the request was handed over the first byte of
	// its answer came, a hint's (1xx) included.
	FirstByte time.Duration
}

type timingKey struct{}

// WithTiming returns a context whose request fills t in before RoundTrip
// returns, whether it fails or not.
func WithTiming(ctx context.Context, t *Timing) context.Context {
	return context.WithValue(ctx, timingKey{}, t)
}

func timingOf(ctx context.Context) *Timing {
	t, _ := ctx.Value(timingKey{}).(*Timing)
	return t
}

// stopwatch notes when the parts of a request happen. Parts may run on several
// goroutines at once, and on after the request has ended.
type stopwatch struct {
	mu                               sync.Mutex
	start                            time.Time // of the request, if it measures the first byte
	dnsStart, connectStart, tlsStart time.Time
	timing                           Timing
}

// on returns a context under which the dialler and net/http work the watch.
func (w *stopwatch) on(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		DNSStart:             func(httptrace.DNSStartInfo) { w.began(&w.dnsStart) },
		DNSDone:              func(httptrace.DNSDoneInfo) { w.ended(&w.dnsStart, &w.timing.DNS) },
		ConnectStart:         func(string, string) { w.began(&w.connectStart) },
		ConnectDone:          func(string, string, error) { w.ended(&w.connectStart, &w.timing.Connect) },
		TLSHandshakeStart:    func() { w.began(&w.tlsStart) },
		TLSHandshakeDone:     func(tls.ConnectionState, error) { w.ended(&w.tlsStart, &w.timing.TLS) },
		GotFirstResponseByte: func() { w.ended(&w.start, &w.timing.FirstByte) },
	})
}

// began notes the first start of a part: of several that race, one is enough.
func (w *stopwatch) began(at *time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if at.IsZero() {
		*at = time.Now()
	}
}

func (w *stopwatch) ended(at *time.Time, took *time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*took = time.Since(*at)
}

// report sets what was measured until now.
func (w *stopwatch) report(t *Timing) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*t = w.timing
}
