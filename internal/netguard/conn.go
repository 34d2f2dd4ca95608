package netguard

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"math"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// conn is a connection to a foreign server. One exchange at a time is under way
// on it, and belongs to one goroutine.
type conn struct {
	net.Conn          // what is spoken on: encrypted if the origin is secure
	raw      net.Conn // what is dialled
	state    *tls.ConnectionState
	origin   origin
	pool     *pool
	socket   *socket // nil if it has no file descriptor

	// Of the exchange under way.
	in        *bufio.Reader
	headLeft  int // bytes of the answer's head that are still taken
	interrupt func()
	disarm    func() bool   // ends what interrupts the exchange when its context ends
	sending   chan struct{} // closed when all is sent; nil if that is done already
	sendErr   error         // valid when sending is closed or nil

	// Of the pool.
	idleSince    time.Time
	older, newer *conn
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// connect opens a connection for an exchange.
func (t *Transport) connect(x *exchange) (*conn, error) {
	ctx, watch := x.ctx, (*stopwatch)(nil)
	if x.timing != nil {
		watch = &stopwatch{}
		ctx = watch.on(ctx)
		defer func() { watch.report(x.timing) }()
	}
	carrier, raw, err := t.dial(ctx, x)
	if err != nil {
		return nil, x.cause(err)
	}
	// The host is a part of the URL, and would keep it whole.
	own := origin{x.origin.secure, strings.Clone(x.origin.host), x.origin.credentials}
	c := &conn{Conn: carrier, raw: raw, origin: own, pool: t.idle, socket: newSocket(raw)}
	if c.origin.secure {
		if err := t.encrypt(ctx, c, x.credentials, watch); err != nil {
			_ = raw.Close()
			return nil, x.cause(err)
		}
	}
	c.interrupt = func() { _ = c.SetDeadline(longAgo) }
	if err := c.SetDeadline(x.deadline); err != nil {
		_ = raw.Close()
		return nil, x.cause(err)
	}
	return c, nil
}

// encrypt agrees with the server on TLS.
func (t *Transport) encrypt(ctx context.Context, c *conn, credentials *Credentials, watch *stopwatch) error {
	ctx, cancel := context.WithTimeout(ctx, t.connectTimeout)
	defer cancel()
	config := t.tls.Clone()
	if config.ServerName == "" {
		config.ServerName = hostname(c.origin.host)
	}
	used := func() error { return nil }
	if credentials != nil {
		used = credentials.apply(config)
	}
	encrypted := tls.Client(c.Conn, config)
	if watch != nil {
		watch.began(&watch.tlsStart)
		defer watch.ended(&watch.tlsStart, &watch.timing.TLS)
	}
	if err := encrypted.HandshakeContext(ctx); err != nil {
		if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(plain.RecordHeader[:]) == "HTTP/" {
			return http.ErrSchemeMismatch
		}
		return err
	}
	if err := used(); err != nil {
		return err
	}
	state := encrypted.ConnectionState()
	c.Conn, c.state = encrypted, &state
	return nil
}

// reuse returns an idle connection whose peer has neither closed it nor sent
// anything since; or nil.
func (t *Transport) reuse(x *exchange) *conn {
	for {
		c := t.idle.take(x.origin)
		if c == nil {
			return nil
		}
		// The deadline first: looking at a socket fails while an old one has passed.
		if c.SetDeadline(x.deadline) == nil && c.socket.isQuiet() {
			return c
		}
		c.retire()
	}
}

// Read reads what the peer sends, as far as the head of an answer may go.
func (c *conn) Read(p []byte) (int, error) {
	if c.headLeft == 0 {
		return 0, errHeadTooLarge
	}
	n, err := c.Conn.Read(p[:min(len(p), c.headLeft)])
	c.headLeft -= n
	return n, err
}

// readers hold their buffers for as long as an exchange is under way, so that
// an idle connection has none.
var readers = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}

func (c *conn) begin(ctx context.Context) {
	c.in, _ = readers.Get().(*bufio.Reader)
	c.in.Reset(c)
	c.headLeft = maxResponseHeaderBytes
	c.disarm = context.AfterFunc(ctx, c.interrupt)
}

// bodyBegins lifts the bound: how much of a body is read is the caller's to say.
func (c *conn) bodyBegins() { c.headLeft = math.MaxInt }

// abort ends an exchange that failed, or whose answer nobody wants to read to
// its end, and the connection with it. It does not say goodbye as TLS would,
// since a peer that reads nothing could make that wait.
func (c *conn) abort() {
	_ = c.raw.Close()
	if c.sending != nil {
		<-c.sending // the body is the caller's again
	}
	c.disarm()
	c.dropReader()
}

// finish ends an exchange whose answer was read to its end.
func (c *conn) finish(reusable reusability) {
	if reusable == useOnce || c.in.Buffered() > 0 || !c.isSent() || !c.disarm() || !c.isDrained() {
		c.abort()
		return
	}
	c.dropReader()
	c.pool.put(c)
}

// sentLimit is how long after the end of an answer the end of the request may
// come, so that the connection can still be used again. Normally the last byte
// was taken long ago, and only the goroutine that wrote it has to say so.
const sentLimit = 50 * time.Millisecond

// isSent reports whether the request was sent to its end.
func (c *conn) isSent() bool {
	if c.sending != nil {
		limit := time.NewTimer(sentLimit)
		defer limit.Stop()
		select {
		case <-c.sending:
			c.sending = nil
		case <-limit.C:
			return false
		}
	}
	return c.sendErr == nil
}

// isDrained reports whether TLS has handed over all that it took from the
// network. What came in one piece with the end of an answer stays in it, where
// neither the reader nor the socket shows it, and would be taken for the answer
// to the next request.
func (c *conn) isDrained() bool {
	if !c.origin.secure {
		return true
	}
	if err := c.SetReadDeadline(longAgo); err != nil {
		return false
	}
	var next [1]byte
	n, err := c.Conn.Read(next[:]) // does not wait: the deadline has passed
	return n == 0 && errors.Is(err, os.ErrDeadlineExceeded)
}

func (c *conn) dropReader() {
	c.in.Reset(nil)
	readers.Put(c.in)
	c.in = nil
}

// retire closes an idle connection and does not wait: TLS says goodbye first,
// for which a peer that reads nothing may need seconds.
func (c *conn) retire() {
	if c.origin.secure {
		go func() { _ = c.Close() }()
		return
	}
	_ = c.raw.Close()
}
