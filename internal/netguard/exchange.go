package netguard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	// oneWrite is how long a request may be to be sent in one piece. The system
	// takes that much, with nothing before it, whether the peer reads or not.
	oneWrite = 16 << 10

	// maxHints bounds the 1xx answers before the one that counts. Their bytes
	// count as its head's.
	maxHints = 32
)

var (
	errHeadTooLarge = fmt.Errorf("server response headers exceeded %d bytes", maxResponseHeaderBytes)
	errHints        = fmt.Errorf("server sent more than %d informational responses", maxHints)
)

// exchange is a request and what comes of it.
type exchange struct {
	req      *http.Request
	ctx      context.Context
	deadline time.Time // zero: none
	origin   origin
	timing   *Timing // nil: nobody wants to know

	credentials *Credentials // nil: none
	start       time.Time

	buf   *[]byte // is first's, and goes back to buffers
	first []byte  // the head, and the body if both fit into one write
	rest  []byte  // the body otherwise

	answered bool // at least one byte of an answer has come
}

// buffers hold requests of up to oneWrite bytes.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// newExchange makes what is to be sent, or says why the request can't be.
func (t *Transport) newExchange(req *http.Request, credentials *Credentials) (*exchange, error) {
	body, err := readPayload(req)
	if err != nil {
		return nil, err
	}
	if err := checkMethod(req); err != nil {
		return nil, err
	}
	if err := t.guard.checkScheme(req.URL.Scheme); err != nil {
		return nil, err
	}
	if err := checkTarget(req.URL); err != nil {
		return nil, err
	}
	x := &exchange{req: req, ctx: req.Context(), origin: origin{secure: req.URL.Scheme == "https", host: req.URL.Host}, credentials: credentials}
	if credentials != nil {
		if !x.origin.secure {
			return nil, refuse(ReasonScheme, "The URL must begin with https://, since the request has a certificate or authorities of its own.")
		}
		x.origin.credentials = credentials.key
	}
	if x.ctx.Err() != nil {
		return nil, context.Cause(x.ctx)
	}
	x.deadline, _ = x.ctx.Deadline()
	if x.timing = timingOf(x.ctx); x.timing != nil {
		*x.timing, x.start = Timing{}, time.Now()
	}
	x.buf, _ = buffers.Get().(*[]byte)
	x.first, err = appendHead((*x.buf)[:0], req, len(body))
	if err != nil {
		return nil, err
	}
	if len(x.first)+len(body) > oneWrite {
		x.rest = body
		return x, nil
	}
	x.first = append(x.first, body...)
	*x.buf = x.first
	return x, nil
}

// free gives the buffer back. A long request's may still be in use.
func (x *exchange) free() {
	if x.rest == nil {
		buffers.Put(x.buf)
	}
}

// cause says why an exchange failed. If its context has ended, that is why:
// what the connection says then is only how it was interrupted. A connection's
// deadline is its exchange's, and may pass a moment before the context's.
func (x *exchange) cause(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !x.deadline.IsZero() && !time.Now().Before(x.deadline) {
		return context.DeadlineExceeded
	}
	return err
}

// exchange sends the request and reads the head of its answer. If it fails, the
// connection is closed.
func (c *conn) exchange(x *exchange) (*http.Response, error) {
	c.begin(x.ctx)
	c.send(x)
	resp, err := c.receive(x)
	if err != nil {
		c.abort()
		return nil, x.cause(err)
	}
	resp.TLS = c.state
	reusable := useAgain
	if resp.Close || resp.StatusCode == http.StatusSwitchingProtocols {
		reusable = useOnce
	}
	if resp.Body == http.NoBody {
		c.finish(reusable)
		return resp, nil
	}
	c.bodyBegins()
	resp.Body = &body{src: resp.Body, conn: c, x: x, reusable: reusable}
	return resp, nil
}

// send writes the request. That it fails says little: the peer may have
// answered before it stopped reading, and receive finds out. A long request is
// written while the answer is awaited, since a peer that answers early may
// neither read on nor hang up.
func (c *conn) send(x *exchange) {
	c.sending, c.sendErr = nil, nil
	if x.rest == nil {
		_, c.sendErr = c.Write(x.first)
		return
	}
	sent := make(chan struct{})
	c.sending = sent
	go func() {
		defer close(sent)
		parts := net.Buffers{x.first, x.rest}
		_, c.sendErr = parts.WriteTo(c.Conn)
	}()
}

// receive reads the head of the answer, past the hints before it.
func (c *conn) receive(x *exchange) (*http.Response, error) {
	if _, err := c.in.Peek(1); err != nil {
		return nil, err
	}
	x.answered = true
	if x.timing != nil {
		x.timing.FirstByte = time.Since(x.start)
	}
	for range maxHints + 1 {
		resp, err := http.ReadResponse(c.in, x.req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode < 100 || resp.StatusCode > 199 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errHints
}

// reusability says whether a connection can be used again after an answer.
type reusability int

const (
	useOnce reusability = iota
	useAgain
)

// body is the body of an answer. Its end is the end of the exchange.
type body struct {
	src      io.Reader
	conn     *conn
	x        *exchange
	reusable reusability
	err      error // what Read answers from now on
}

// Read gives the connection back at the end of the body.
func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.src.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.conn.finish(b.reusable)
		b.err = io.EOF
	default:
		b.conn.abort()
		b.err = b.x.cause(err)
	}
	return n, b.err
}

// Close closes the connection if the body was not read to its end.
func (b *body) Close() error {
	if b.err == nil {
		b.conn.abort()
		b.err = http.ErrBodyReadAfterClose
	}
	return nil
}

// hostname returns the host of a URL's host and port.
func hostname(host string) string { return (&url.URL{Host: host}).Hostname() }
