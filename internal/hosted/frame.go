package hosted

import (
	"net/url"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/referral"
)

// policy lets pages have what is served beside them, and nothing else; and lets the
// hosts show them in frames, none if there are none.
func policy(hosts []string) string {
	ancestors := "'none'"
	if len(hosts) > 0 {
		ancestors = "'self'"
		for _, host := range hosts {
			ancestors += " https://" + host
			if isLocal(host) {
				ancestors += " http://" + host
			}
		}
	}
	return "default-src 'none'; style-src 'self'; script-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors " + ancestors
}

// framers returns the hosts that may show the program's page in a frame; nil: none.
// What isn't plainly the name of a host, with or without a port, is none: in a policy
// it might say something else.
func framers(s *referral.Settings) []string {
	if !s.Page.Frame {
		return nil
	}
	hosts := slices.Clone(s.AllowedHosts)
	if u, err := url.Parse(s.LandingURL); err == nil && u.Host != "" {
		hosts = append(hosts, strings.ToLower(u.Host))
	}
	hosts = slices.DeleteFunc(hosts, func(host string) bool {
		return host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-:[]") != ""
	})
	slices.Sort(hosts)
	return slices.Compact(hosts)
}

// isLocal reports whether a host is the machine itself, which has no certificates.
func isLocal(host string) bool {
	name := (&url.URL{Host: host}).Hostname()
	return name == "localhost" || name == "127.0.0.1" || name == "::1"
}
