package netguard

import (
	"bufio"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
)

// Credentials are what one owner's connections are made with beyond what the
// transport has: a certificate that proves who connects, and the authorities
// that vouch for the server instead of the system's. They do not change, and are
// safe for concurrent use.
type Credentials struct {
	key         string           // of the connections that are made with them
	certificate *tls.Certificate // nil: none
	roots       *x509.CertPool   // nil: the transport's
}

// NewCredentials returns the credentials of an owner: a certificate, or nil, and
// authorities, or none. Connections are shared by requests whose owner,
// certificate and authorities are all the same, and by no others.
func NewCredentials(owner string, certificate *tls.Certificate, authorities []*x509.Certificate) *Credentials {
	c := &Credentials{certificate: certificate}
	h := sha256.New()
	add := func(part []byte) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		h.Write(part)
	}
	add([]byte(owner))
	if certificate != nil {
		for _, link := range certificate.Certificate {
			add(link)
		}
	}
	add(nil) // ends the chain: no certificate is empty
	if len(authorities) > 0 {
		c.roots = x509.NewCertPool()
	}
	for _, authority := range authorities {
		c.roots.AddCert(authority)
		add(authority.Raw)
	}
	c.key = string(h.Sum(nil))
	return c
}

// With returns a transport that makes its connections with the credentials. It
// keeps them where t keeps its own, within the same bounds, but apart from all
// others. It sends to https only, and nothing to a server that does not ask for
// the certificate.
func (t *Transport) With(c *Credentials) http.RoundTripper { return &credentialed{t, c} }

type credentialed struct {
	transport   *Transport
	credentials *Credentials
}

// RoundTrip does what [Transport.RoundTrip] does.
func (c *credentialed) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.transport.roundTrip(req, c.credentials)
}

// errUnasked says that a server would let anybody connect.
var errUnasked = errors.New("tls: the server did not ask for the client's certificate")

// apply changes a connection's configuration. The function that it returns says
// after the handshake whether all of it was made use of.
func (c *Credentials) apply(config *tls.Config) func() error {
	if c.roots != nil {
		config.RootCAs, config.InsecureSkipVerify = c.roots, false
	}
	if c.certificate == nil {
		return func() error { return nil }
	}
	asked := false
	config.Certificates, config.ClientSessionCache = nil, nil // a resumed session asks for nothing
	// Whichever authorities the server names: a list that leaves out a link of the
	// chain would have no certificate sent, and without one nothing may be.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return c.certificate, nil
	}
	return func() error {
		if !asked {
			return errUnasked
		}
		return nil
	}
}

// dial connects to a server: what TLS is spoken on, and what was dialled.
// With credentials the way leads through the forward proxy here, since net/http
// would use them towards an https proxy too.
func (t *Transport) dial(ctx context.Context, x *exchange) (net.Conn, net.Conn, error) {
	if t.proxied != nil {
		return t.tunnel(ctx, x)
	}
	raw, err := t.guard.dial(ctx, "tcp", address(x.req.URL), t.connectTimeout)
	return raw, raw, err
}

// tunnel has the forward proxy connect to the server, which is checked first,
// since the proxy dials it in our place.
func (t *Transport) tunnel(ctx context.Context, x *exchange) (net.Conn, net.Conn, error) {
	if err := t.guard.checkHost(ctx, x.req.URL); err != nil {
		return nil, nil, err
	}
	raw, err := t.guard.dial(ctx, "tcp", t.guard.proxyAddr, t.connectTimeout)
	if err != nil {
		return nil, nil, proxyConnect(err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.connectTimeout)
	defer cancel()
	disarm := context.AfterFunc(ctx, func() { _ = raw.SetDeadline(longAgo) })
	carrier, err := t.askProxy(ctx, raw, address(x.req.URL))
	if !disarm() && err == nil {
		err = proxyConnect(context.Cause(ctx))
	}
	if err != nil {
		_ = raw.Close()
		return nil, nil, err
	}
	return carrier, raw, nil
}

// askProxy asks for a tunnel to the target and returns it.
func (t *Transport) askProxy(ctx context.Context, raw net.Conn, target string) (net.Conn, error) {
	proxy, carrier := t.guard.proxy, raw
	if proxy.Scheme == "https" {
		config := t.tls.Clone()
		config.ServerName = proxy.Hostname()
		encrypted := tls.Client(raw, config)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, proxyConnect(err)
		}
		carrier = encrypted
	}
	ask := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: target}, Host: target, Header: http.Header{"User-Agent": {""}}}
	if proxy.User != nil {
		password, _ := proxy.User.Password()
		pair := base64.StdEncoding.EncodeToString([]byte(proxy.User.Username() + ":" + password))
		ask.Header.Set("Proxy-Authorization", "Basic "+pair)
	}
	if err := ask.Write(carrier); err != nil {
		return nil, proxyConnect(err)
	}
	in := bufio.NewReader(io.LimitReader(carrier, maxResponseHeaderBytes))
	answer, err := http.ReadResponse(in, ask)
	if err != nil {
		return nil, proxyConnect(err)
	}
	defer answer.Body.Close() // a tunnel has none; it does not close the connection
	if err := checkProxyAnswer(ctx, nil, nil, answer); err != nil {
		return nil, err
	}
	if in.Buffered() > 0 { // no server speaks first
		return nil, proxyConnect(errors.New("the forward proxy sent more than its answer"))
	}
	return carrier, nil
}

// proxyConnect marks an error as one of the way to the forward proxy, as
// net/http does.
func proxyConnect(err error) error { return &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err} }
