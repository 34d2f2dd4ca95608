package netguard

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// NewRequest returns a POST request whose body is in memory and is sent from
// there. The body must not change until the response's body is closed.
func NewRequest(ctx context.Context, rawURL string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rawURL, http.NoBody)
	if err != nil {
		return nil, err
	}
	if len(body) > 0 {
		req.Body, req.ContentLength = newPayload(body), int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return newPayload(body), nil }
	}
	return req, nil
}

// payload is a request's body that is in memory whole.
type payload struct {
	bytes.Reader
	all []byte
}

func newPayload(all []byte) *payload {
	p := &payload{all: all}
	p.Reset(all)
	return p
}

// Close does nothing.
func (*payload) Close() error { return nil }

// readPayload returns the body of a request, and closes it.
func readPayload(req *http.Request) ([]byte, error) {
	defer closeBody(req)
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	if p, ok := req.Body.(*payload); ok {
		return p.all, nil
	}
	all, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the request's body: %w", err)
	}
	return all, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

func checkMethod(req *http.Request) error {
	if req.Method != http.MethodPost {
		return errors.New("netguard: the method is not POST, which is the only one that is sent")
	}
	return nil
}

// checkTarget refuses what a request line and a dialler can't take. Hosts that
// are not ASCII were refused when the URL was checked; no translation of them
// stands between the guard and the network.
func checkTarget(u *url.URL) error {
	if u.Hostname() == "" || u.Opaque != "" {
		return refuse(ReasonHostRequired, "The URL has no host.")
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return &URLError{ReasonHostInvalid, "An internationalised host name must be written in its ASCII form (xn--).", ErrBlocked}
	}
	if strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`/\?#@,`, r) }) {
		return refuse(ReasonHostInvalid, "The host is not a valid host name.")
	}
	return nil
}

// address returns the host and port to dial.
func address(u *url.URL) string {
	port := "443"
	if u.Scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), port))
}

// ownHeaders are left out of a request's headers, since they say how the
// message is framed, which is this package's.
var ownHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Trailer", "Connection"}

// appendHead appends the request line and the headers of a request, in the order
// of their names, so that the same request has the same bytes. Neither the user
// nor the fragment of its URL is in them.
func appendHead(dst []byte, req *http.Request, length int) ([]byte, error) {
	dst = append(dst, "POST "...)
	dst, err := appendTarget(dst, req.URL)
	if err != nil {
		return nil, err
	}
	dst = append(dst, " HTTP/1.1\r\nHost: "...)
	dst = append(dst, strings.TrimSuffix(req.URL.Host, ":")...)
	dst = append(dst, "\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(length), 10)
	dst = append(dst, "\r\n"...)
	var room [24]string
	names := room[:0]
	for name := range req.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if slices.ContainsFunc(ownHeaders, func(own string) bool { return strings.EqualFold(own, name) }) {
			continue
		}
		if !isToken(name) {
			return nil, errors.New("netguard: the request has a header whose name is not one")
		}
		for _, value := range req.Header[name] {
			if !isFieldValue(value) {
				return nil, errors.New("netguard: the request has a header whose value has control characters")
			}
			dst = append(dst, name...)
			dst = append(dst, ": "...)
			dst = append(dst, value...)
			dst = append(dst, "\r\n"...)
		}
	}
	return append(dst, "\r\n"...), nil
}

// appendTarget appends what stands in the request line: path and query.
func appendTarget(dst []byte, u *url.URL) ([]byte, error) {
	start := len(dst)
	path := u.EscapedPath()
	if !strings.HasPrefix(path, "/") {
		dst = append(dst, '/')
	}
	dst = append(dst, path...)
	if u.ForceQuery || u.RawQuery != "" {
		dst = append(dst, '?')
		dst = append(dst, u.RawQuery...)
	}
	for _, b := range dst[start:] {
		if b <= ' ' || b == 0x7f {
			return nil, refuse(ReasonMalformed, "The URL contains white space or an invisible character.")
		}
	}
	return dst, nil
}

// isToken reports whether name may name a header (RFC 9110 §5.6.2).
func isToken(name string) bool {
	for i := range len(name) {
		b := name[i]
		letter := 'a' <= b|0x20 && b|0x20 <= 'z'
		if !letter && !('0' <= b && b <= '9') && strings.IndexByte("!#$%&'*+-.^_`|~", b) < 0 {
			return false
		}
	}
	return name != ""
}

// isFieldValue reports whether a header may have the value (RFC 9110 §5.5).
// Above all it has no line break: what follows one would be a header of its own.
func isFieldValue(value string) bool {
	for i := range len(value) {
		if b := value[i]; (b < ' ' && b != '\t') || b == 0x7f {
			return false
		}
	}
	return true
}
