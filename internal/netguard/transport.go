package netguard

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxResponseHeaderBytes = 64 << 10
	idleConnTimeout        = 90 * time.Second
	defaultMaxIdleConns    = 1024
	defaultMaxIdlePerHost  = 2
	defaultConnectTimeout  = time.Minute
)

// TransportOptions tunes a transport. The zero value is usable.
type TransportOptions struct {
	// MaxIdleConns bounds the connections kept for reuse, over all hosts.
	// Zero means 1,024.
	MaxIdleConns int

	// MaxIdleConnsPerHost bounds them for one scheme, host and port. Zero means
	// two.
	MaxIdleConnsPerHost int

	// ConnectTimeout bounds looking up and connecting, and once more the TLS
	// handshake, also where the request has no deadline or a later one. Zero
	// means one minute.
	ConnectTimeout time.Duration

	// TLS holds what goes beyond the system's roots: an authority, a client
	// certificate. It is copied. TLS 1.2 is required whatever it says.
	TLS *tls.Config
}

// Transport sends POST requests, and no others, to foreign servers, and keeps
// connections for the next ones. Make one with [Guard.Transport]. It is safe for
// concurrent use.
//
// Sending a webhook is a goroutine's whole purpose, so that goroutine itself
// writes the request and waits for the answer: a connection has no goroutines
// of its own to hand them over to, as those of net/http do, and its deadline is
// the request's. A body too long for the system to take in at once is the
// exception, since its receiver may answer before it has read it.
type Transport struct {
	guard          *Guard
	tls            *tls.Config
	connectTimeout time.Duration
	idle           *pool
	proxied        *http.Transport // takes the requests without credentials if there is a forward proxy; else nil
}

var _ http.RoundTripper = (*Transport)(nil)

// Transport returns a new transport whose every connection is checked when it
// is dialled, after DNS, for each address; and whose every request is checked
// for its scheme. It takes no proxy from the environment, asks for no
// compression (what arrives is what was sent), and bounds the header of a
// response to 64 KiB. It has no timeouts for a request: set a deadline in its
// context.
//
// It speaks HTTP/1.1 only: one request at a time on a connection, so that one
// that is cut off or times out takes no other down with it.
func (g *Guard) Transport(opts TransportOptions) *Transport {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.TLS != nil {
		config = opts.TLS.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	}
	config.NextProtos = []string{"http/1.1"}
	t := &Transport{
		guard:          g,
		tls:            config,
		connectTimeout: cmp.Or(opts.ConnectTimeout, defaultConnectTimeout),
		idle:           newPool(cmp.Or(opts.MaxIdleConns, defaultMaxIdleConns), cmp.Or(opts.MaxIdleConnsPerHost, defaultMaxIdlePerHost)),
	}
	if g.proxy != nil {
		t.proxied = t.newProxied()
	}
	return t
}

// Client returns a client on a new [Guard.Transport]. It follows no redirect
// (the 3xx is the response), keeps no cookies and has no timeout of its own.
func (g *Guard) Client(opts TransportOptions) *http.Client {
	return &http.Client{
		Transport:     g.Transport(opts),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// RoundTrip sends a POST request and returns once the head of its answer has
// arrived. Hints that come before it (1xx) are dropped. A 101 is an answer
// without a body. Where the request's context ends first, the error is the
// context's.
//
// A request may arrive twice. The peer can close a connection that is kept
// alive in the same moment in which it is used again; then no byte of an answer
// comes, and the request is repeated once, on a new connection. It may have been
// read all the same, so the receiver has to know the second by something in
// it, as the receiver of a webhook does by its id. What failed on a new
// connection is not repeated, and nothing after the deadline.
//
// The body of a request made by [NewRequest] is in use until the response's
// body is closed. A response's body is for one goroutine at a time; read to its
// end, it lets the connection be used again, closed before, it closes it.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.roundTrip(req, nil)
}

func (t *Transport) roundTrip(req *http.Request, credentials *Credentials) (*http.Response, error) {
	if t.proxied != nil && credentials == nil {
		return t.roundTripByProxy(req)
	}
	x, err := t.newExchange(req, credentials)
	if err != nil {
		return nil, err
	}
	defer x.free()
	if c := t.reuse(x); c != nil {
		resp, err := c.exchange(x)
		if err == nil || x.answered || x.ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
			return resp, err
		}
	}
	c, err := t.connect(x)
	if err != nil {
		return nil, err
	}
	return c.exchange(x)
}

// CloseIdleConnections closes the connections that wait to be used again, and
// those that would come to wait before the next request is made.
func (t *Transport) CloseIdleConnections() {
	t.idle.closeAll()
	if t.proxied != nil {
		t.proxied.CloseIdleConnections()
	}
}

// newProxied returns the transport for requests that a forward proxy carries. A
// proxy is a rare thing to have, and its protocol is net/http's to know.
func (t *Transport) newProxied() *http.Transport {
	p := &http.Transport{
		Proxy: t.guard.proxyFor,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return t.guard.dial(ctx, network, address, t.connectTimeout)
		},
		OnProxyConnectResponse: checkProxyAnswer,
		TLSClientConfig:        t.tls,
		TLSHandshakeTimeout:    t.connectTimeout,
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxIdleConns:           t.idle.most,
		MaxIdleConnsPerHost:    t.idle.mostPerHost,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
	p.Protocols.SetHTTP1(true)
	return p
}

func (t *Transport) roundTripByProxy(req *http.Request) (*http.Response, error) {
	if err := checkMethod(req); err != nil {
		closeBody(req)
		return nil, err
	}
	if timing := timingOf(req.Context()); timing != nil {
		watch := &stopwatch{start: time.Now()}
		defer watch.report(timing)
		req = req.WithContext(watch.on(req.Context()))
	}
	resp, err := t.proxied.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusSwitchingProtocols { // its body is the connection
		_ = resp.Body.Close()
		resp.Body = http.NoBody
	}
	return resp, err
}

// proxyFor is the Proxy function of the transport for a proxy, which net/http
// calls for every request, also when it reuses a connection. So it is where the
// scheme is checked, and the target too, since the proxy will dial it in our
// place.
func (g *Guard) proxyFor(req *http.Request) (*url.URL, error) {
	if err := g.checkScheme(req.URL.Scheme); err != nil {
		return nil, err
	}
	if err := g.checkHost(req.Context(), req.URL); err != nil {
		return nil, err
	}
	return g.proxy, nil
}

// proxyError says that the forward proxy would not connect to the target.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the forward proxy answered with status %d", e.status)
}

// checkProxyAnswer gives a refusal of the proxy a type; net/http would make it
// the bare text of the status.
func checkProxyAnswer(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &proxyError{resp.StatusCode}
	}
	return nil
}
