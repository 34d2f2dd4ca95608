package netguard

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"
)

// Class names what went wrong with a request, for a person and for metrics.
type Class string

// The classes of errors. An error is of the first class that fits, in this
// order.
const (
	ClassBlocked  Class = "blocked"  // the guard refused the URL or all addresses; no packet was sent
	ClassCanceled Class = "canceled" // we gave up for a reason of our own
	ClassDNS      Class = "dns"      // the host could not be looked up
	ClassTLS      Class = "tls"      // no trusted, encrypted connection could be agreed on
	ClassTimeout  Class = "timeout"  // too slow to connect, to agree or to answer
	ClassConnect  Class = "connect"  // no connection, or it broke before the answer was whole
	ClassProtocol Class = "protocol" // the answer was not HTTP, or not within bounds; and whatever else
)

// Classify names an error of [http.Client.Do], of reading a response's body, or
// of [Guard.CheckURL]. It returns "" for nil.
func Classify(err error) Class {
	if err == nil {
		return ""
	}
	if refused, ok := errors.AsType[*URLError](err); ok {
		if refused.Reason == ReasonHostUnresolved {
			return ClassDNS
		}
		return ClassBlocked
	}
	switch {
	case errors.Is(err, ErrBlocked):
		return ClassBlocked
	case errors.Is(err, context.Canceled):
		return ClassCanceled
	case has[*net.DNSError](err):
		return ClassDNS
	case isTLS(err):
		return ClassTLS
	case isTimeout(err):
		return ClassTimeout
	case has[*net.OpError](err), has[*proxyError](err), has[syscall.Errno](err),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return ClassConnect
	}
	return ClassProtocol
}

func has[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	timeout, ok := errors.AsType[net.Error](innermost(err))
	return ok && timeout.Timeout()
}

func isTLS(err error) bool {
	if has[*tls.CertificateVerificationError](err) || has[tls.RecordHeaderError](err) ||
		has[tls.AlertError](err) || has[*tls.ECHRejectionError](err) || errors.Is(err, http.ErrSchemeMismatch) ||
		has[x509.UnknownAuthorityError](err) || has[x509.HostnameError](err) ||
		has[x509.CertificateInvalidError](err) || has[x509.SystemRootsError](err) {
		return true
	}
	// An alert that came over TCP has an unexported type, and a handshake that
	// fails on what the server chose (its version, say) none at all. Their text
	// is all that crypto/tls gives away.
	return strings.HasPrefix(innermost(err).Error(), "tls: ")
}

// innermost follows single wrapping to its end.
func innermost(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

var (
	quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"?`)
	anyURL     = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://\S*`)
)

const maxRedacted = 300 // bytes

// Redact gives the text of an error in a form that is safe to store and to
// show: no URL, nothing that is quoted from one or from an answer, no address of
// our own network; one line of at most 300 bytes. It returns "" for nil.
func Redact(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(describe(err), "?"))
	if len(text) <= maxRedacted {
		return text
	}
	cut := maxRedacted - len("…")
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "…"
}

func describe(err error) string {
	if refused, ok := errors.AsType[*URLError](err); ok {
		return refused.Detail
	}
	if errors.Is(err, ErrBlocked) {
		return "the host has an address that is not allowed"
	}
	if proxy, ok := errors.AsType[*proxyError](err); ok {
		return proxy.Error()
	}
	op, isOp := errors.AsType[*net.OpError](err)
	if isOp && op.Op == "proxyconnect" { // whose name and address concern the operator only
		return "the forward proxy could not be reached: " + string(Classify(op.Err))
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		switch { // its text names the name server
		case dns.IsNotFound:
			return "looking up the host: no such host"
		case dns.IsTimeout:
			return "looking up the host: timed out"
		}
		return "looking up the host: the name server failed"
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return cert.Error()
	}
	if isOp { // whose text has the addresses of both ends
		return op.Op + ": " + scrub(innermost(op.Err).Error())
	}
	for { // url.Error carries the whole URL
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			return scrub(err.Error())
		}
		err = u.Err
	}
}

func scrub(text string) string {
	return anyURL.ReplaceAllString(quotedText.ReplaceAllString(text, "…"), "…")
}
