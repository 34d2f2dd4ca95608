package netguard

import (
	"cmp"
	"context"
	"crypto/tls"
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
	defaultConnectTimeout  = time.Minute
)

// TransportOptions tunes a transport. The zero value is usable.
type TransportOptions struct {
	// MaxIdleConns bounds the connections kept for reuse, over all hosts.
	// Zero means 1,024.
	MaxIdleConns int

	// MaxIdleConnsPerHost bounds them for one host and port. Zero means
	// net/http's default, two.
	MaxIdleConnsPerHost int

	// ConnectTimeout bounds looking up and connecting, and once more the TLS
	// handshake. Requests end at their own deadline, but net/http goes on with
	// a dial whose request has ended, so that without a limit a server that
	// never answers a handshake would hold its connection for ever. Zero means
	// one minute; it should not be shorter than the requests' deadlines.
	ConnectTimeout time.Duration

	// TLS holds what goes beyond the system's roots: an authority, a client
	// certificate. It is copied. TLS 1.2 is required whatever it says.
	TLS *tls.Config
}

// Transport returns a new transport whose every connection is checked when it
// is dialled, after DNS, for each address; and whose every request is checked
// for its scheme. It takes no proxy from the environment, asks for no
// compression (what arrives is what was sent), and bounds the header of a
// response to 64 KiB. It has no timeouts for a request: set a deadline in its
// context. A caller must not replace its Proxy or dial functions.
//
// It speaks HTTP/1.1 only: one request at a time on a connection, so that one
// that is cut off or times out takes no other down with it.
func (g *Guard) Transport(opts TransportOptions) *http.Transport {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if opts.TLS != nil {
		config = opts.TLS.Clone()
		config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	}
	limit := cmp.Or(opts.ConnectTimeout, defaultConnectTimeout)
	t := &http.Transport{
		Proxy: g.proxyFor,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return g.dial(ctx, network, address, limit)
		},
		OnProxyConnectResponse: checkProxyAnswer,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    limit,
		Protocols:              new(http.Protocols),
		DisableCompression:     true,
		MaxIdleConns:           cmp.Or(opts.MaxIdleConns, defaultMaxIdleConns),
		MaxIdleConnsPerHost:    opts.MaxIdleConnsPerHost,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxResponseHeaderBytes,
	}
	t.Protocols.SetHTTP1(true)
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

// proxyFor is the transport's Proxy function, which net/http calls for every
// request, also when it reuses a connection. So it is where the scheme is
// checked, and the target too when a proxy will dial it in our place.
func (g *Guard) proxyFor(req *http.Request) (*url.URL, error) {
	if err := g.checkScheme(req.URL.Scheme); err != nil {
		return nil, err
	}
	if g.proxy == nil {
		return nil, nil // net/http's way to say: no proxy
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
