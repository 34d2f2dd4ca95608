package config

import (
	"errors"
	"net"
	"regexp"
	"strings"
)

// DialectName gives a dialect a name in the network: a host, or an address to
// listen at. It is written DIALECT=NAME.
type DialectName struct {
	Dialect string // app knows which there are
	Name    string // a host in lower case
}

// UnmarshalText reads what String writes.
func (n *DialectName) UnmarshalText(text []byte) error {
	dialect, name, ok := strings.Cut(string(text), "=")
	if !ok || dialect == "" || name == "" {
		return errors.New("must be the name of a dialect, = and a name in the network")
	}
	n.Dialect, n.Name = dialect, strings.ToLower(strings.TrimSuffix(name, "."))
	return nil
}

// String returns DIALECT=NAME.
func (n DialectName) String() string { return n.Dialect + "=" + n.Name }

var hostname = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$`)

// validateDialects refuses names that can't work, and a host that is there twice,
// since only one dialect can be at its root.
func (s *Server) validateDialects(refuse func(format string, args ...any)) {
	seen := make(map[string]bool)
	for _, n := range s.DialectHost {
		if len(n.Name) > 253 || !hostname.MatchString(n.Name) {
			refuse("--dialect-host must be DIALECT=HOST with a host name and no port, such as referralloop=hooks.example.com")
		}
		if seen[n.Name] {
			refuse("--dialect-host has a host twice: only one dialect can be served at its root")
		}
		seen[n.Name] = true
	}
	for _, n := range s.DialectListen {
		if _, port, err := net.SplitHostPort(n.Name); err != nil || !isPort(port) {
			refuse("--dialect-listen must be DIALECT=HOST:PORT, such as partnerstack=127.0.0.1:9002")
		}
	}
}

func namesOf(names []DialectName) []string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = n.String()
	}
	return texts
}
