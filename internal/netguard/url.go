package netguard

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const (
	// MaxURLLength is the longest URL that is accepted, in bytes.
	MaxURLLength = 2048

	// lookupTimeout bounds the name lookup of a check.
	lookupTimeout = 5 * time.Second
)

// Reason is a stable code that says why a URL is refused.
type Reason string

// The reasons for which a URL is refused.
const (
	ReasonRequired       Reason = "url_required"
	ReasonTooLong        Reason = "url_too_long"
	ReasonMalformed      Reason = "url_malformed"
	ReasonScheme         Reason = "scheme_not_allowed"
	ReasonCredentials    Reason = "credentials_not_allowed"
	ReasonFragment       Reason = "fragment_not_allowed"
	ReasonHostRequired   Reason = "host_required"
	ReasonHostInvalid    Reason = "host_invalid"
	ReasonPortInvalid    Reason = "port_invalid"
	ReasonIPNotation     Reason = "ip_notation"
	ReasonAddress        Reason = "address_not_allowed"
	ReasonHostUnresolved Reason = "host_not_resolved"
)

// URLError says why a URL is refused. Nothing of the URL is in its text, so
// that it can be shown and stored.
type URLError struct {
	Reason Reason
	Detail string // a sentence for a person

	cause error
}

// Error returns the reason and the sentence.
func (e *URLError) Error() string { return string(e.Reason) + ": " + e.Detail }

// Unwrap returns the cause, if there is one: an [ErrBlocked], or what the
// lookup of the host said.
func (e *URLError) Unwrap() error { return e.cause }

func refuse(reason Reason, detail string) error {
	return &URLError{Reason: reason, Detail: detail}
}

// CheckURL validates the URL of an endpoint as far as one can without
// connecting: its form, and, after a lookup of at most 5 seconds, every address
// of its host. It returns nil or a [*URLError]; if ctx ends first, an error that
// wraps ctx.Err(). A URL that passes may still be refused when it is dialled.
func (g *Guard) CheckURL(ctx context.Context, raw string) error {
	u, err := parse(raw)
	if err != nil {
		return err
	}
	if err := g.checkScheme(u.Scheme); err != nil {
		return err
	}
	switch {
	case u.Opaque != "":
		return refuse(ReasonMalformed, "The URL has no // after its scheme.")
	case u.User != nil:
		return refuse(ReasonCredentials, "A URL with a user name or password in it is not accepted.")
	case strings.Contains(raw, "#"):
		return refuse(ReasonFragment, "A URL with a fragment (#) is not accepted.")
	case u.Hostname() == "":
		return refuse(ReasonHostRequired, "The URL has no host.")
	}
	if err := checkPort(u); err != nil {
		return err
	}
	return g.checkHost(ctx, u)
}

func parse(raw string) (*url.URL, error) {
	if raw == "" {
		return nil, refuse(ReasonRequired, "A URL is required.")
	}
	if len(raw) > MaxURLLength {
		return nil, refuse(ReasonTooLong, fmt.Sprintf("The URL is longer than %d bytes.", MaxURLLength))
	}
	if !utf8.ValidString(raw) {
		return nil, refuse(ReasonMalformed, "The URL is not valid UTF-8.")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r == ' ' || r == '\\' || !unicode.IsPrint(r) }) {
		return nil, refuse(ReasonMalformed, "The URL contains white space, a backslash or an invisible character.")
	}
	u, err := url.Parse(raw)
	if err != nil { // quotes the URL, or parts of it
		return nil, refuse(ReasonMalformed, "The URL cannot be parsed.")
	}
	return u, nil
}

// checkScheme takes a scheme in lower case.
func (g *Guard) checkScheme(scheme string) error {
	if scheme == "https" || (scheme == "http" && g.allowHTTP) {
		return nil
	}
	if g.allowHTTP {
		return refuse(ReasonScheme, "The URL must begin with https:// or http://.")
	}
	return refuse(ReasonScheme, "The URL must begin with https://.")
}

func checkPort(u *url.URL) error {
	port := u.Port()
	if port == "" && !strings.HasSuffix(u.Host, ":") {
		return nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return refuse(ReasonPortInvalid, "The port must be a number from 1 to 65535.")
	}
	return nil
}

// checkHost refuses a host that is not well formed, can't be resolved, or has
// an address that is not allowed.
func (g *Guard) checkHost(ctx context.Context, u *url.URL) error {
	host := u.Hostname()
	literal, err := hostForm(u)
	if err != nil {
		return err
	}
	if literal.IsValid() {
		if err := g.CheckAddr(literal); err != nil {
			return &URLError{ReasonAddress, "The IP address is not allowed: it is not a public one.", err}
		}
		return nil
	}
	if isLocalhost(host) && g.CheckAddr(loopback4) != nil && g.CheckAddr(loopback6) != nil {
		return &URLError{ReasonAddress, "The host is not allowed: it names this machine.", ErrBlocked}
	}
	lookupCtx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	addrs, err := g.lookup(lookupCtx, host)
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("looking up the URL's host: %w", ctx.Err())
	}
	if err != nil {
		return &URLError{ReasonHostUnresolved, "The host name cannot be resolved.", err}
	}
	for _, addr := range addrs {
		if err := g.CheckAddr(addr); err != nil {
			return &URLError{ReasonAddress, "The host is not allowed: it has an address that is not a public one.", err}
		}
	}
	return nil
}

// hostForm checks how the host is written: an IP address in its one canonical
// form, which it returns, or an ASCII host name, for which it returns the zero
// Addr. Other notations of an address (decimal, hexadecimal, octal, shortened)
// mean different things to different programs.
func hostForm(u *url.URL) (netip.Addr, error) {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return netip.Addr{}, refuse(ReasonHostInvalid, "What stands in brackets must be an IPv6 address without a zone.")
		}
		if addr.Is4In6() || addr.String() != strings.ToLower(host) {
			return netip.Addr{}, refuse(ReasonIPNotation, "An IPv6 address must be written in its canonical form.")
		}
		return addr, nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return netip.Addr{}, refuse(ReasonHostInvalid, "An internationalised host name must be written in its ASCII form (xn--).")
	}
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	labels := strings.Split(name, ".")
	if isNumber(labels[len(labels)-1]) {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return netip.Addr{}, refuse(ReasonIPNotation, "An IPv4 address must be written as four decimal numbers.")
		}
		return addr, nil
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return netip.Addr{}, refuse(ReasonHostInvalid, "The host is not a valid host name.")
		}
	}
	if len(name) > 253 {
		return netip.Addr{}, refuse(ReasonHostInvalid, "The host name is too long.")
	}
	return netip.Addr{}, nil
}

// isNumber reports whether a last label makes the host an IPv4 address in the
// eyes of a lenient parser. No top-level domain is such a number.
func isNumber(label string) bool {
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		return strings.Trim(hex, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// isLocalhost reports whether the name is reserved for the machine itself
// (RFC 6761), whatever a resolver answers.
func isLocalhost(host string) bool {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}
