// Package config is what an operator can set.
//
// Every setting is a flag and an environment variable, GRAPEVINE_ and the
// flag's name in capitals; the flag wins. The two secrets are variables only,
// since a command line is seen by everybody on the machine.
package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Names of the variables that hold secrets.
const (
	AdminKeyVariable  = "GRAPEVINE_ADMIN_KEY"
	MasterKeyVariable = "GRAPEVINE_MASTER_KEY"
	// NewMasterKeyVariable holds the key that the database is given.
	NewMasterKeyVariable = "GRAPEVINE_NEW_MASTER_KEY"
)

// Server is the settings of a server. The tags are the documentation. A number
// that is zero stands for the default that its tag names, so that Server{} with
// a Database and a Listen works.
type Server struct {
	Database        string         `default:"sqlite:grapevine.db" placeholder:"URL" help:"Where everything is stored: sqlite: and a file's path, or the postgres:// URL of a database, which several servers may share as nodes. One with a password belongs into the variable: everybody on a machine sees its command lines."`
	ListenDatabase  string         `placeholder:"URL" help:"With Postgres: where a connection listens for what other nodes have changed, if that is not --database itself, such as past a pooler; or off, then nodes see it a moment later."`
	Lease           time.Duration  `default:"10s" placeholder:"TIME" help:"With Postgres: how long other nodes leave a node's deliveries alone of which they hear nothing, 3s to 5m. Then they send them."`
	Listen          string         `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where the API is served. Port 0 takes a free one."`
	PublicURL       string         `placeholder:"URL" help:"Where browsers reach the server, such as https://hooks.example.com: what the links begin with of the console, of referral programs and of messages, and whether cookies need https. Absent: the address that it listens on; share links and programs' pages then go by the Host of each request, and nobody is sent a link to the own page."`
	AllowNetwork    []netip.Prefix `placeholder:"CIDR" help:"A network that webhooks may be sent to although it is not public, such as 10.1.0.0/16. Repeatable."`
	AllowHTTP       bool           `name:"allow-http" help:"Accept endpoints with http:// beside https://."`
	ForwardProxy    string         `placeholder:"URL" help:"Send webhooks through this proxy, which then has to keep them from private networks as well."`
	MaxInFlight     int            `default:"1024" placeholder:"N" help:"Webhooks under way at once, over all endpoints."`
	MaxEventBytes   int            `default:"262144" placeholder:"N" help:"The most bytes that the data of an event may have."`
	RateLimit       float64        `default:"0" placeholder:"N" help:"API requests a second with one key; 0: no limit."`
	TrustedProxy    []netip.Prefix `placeholder:"CIDR" help:"A network of proxies that are believed when they say which address they speak for, such as 127.0.0.1/32: what audit entries, the log and limits for addresses then go by. Repeatable. None unless set."`
	ProxyHeader     string         `default:"X-Forwarded-For" enum:"X-Forwarded-For,Forwarded" placeholder:"NAME" help:"The header in which trusted proxies say that: X-Forwarded-For or Forwarded (RFC 7239). They have to add to it, or to replace it."`
	AuditRetention  time.Duration  `default:"8760h" placeholder:"TIME" help:"How long audit entries are kept."`
	DialectHost     []DialectName  `placeholder:"DIALECT=HOST" help:"Serve a dialect's API at the root of a host name as well, such as referralloop=hooks.example.com: for clients in which only the host can be set. Repeatable."`
	DialectListen   []DialectName  `placeholder:"DIALECT=HOST:PORT" help:"Serve a dialect's API at the root of an address of its own, such as partnerstack=127.0.0.1:9002, with share links, programs' pages and the server's public keys, and nothing else. Repeatable."`
	DebugListen     string         `placeholder:"HOST:PORT" help:"Where Go's profiles are served (/debug/pprof), for whoever looks for the cause of load. They show what is in memory: keep the address to yourself. Nowhere unless set."`
	Retention       Period         `default:"30d" placeholder:"TIME" help:"How long events are kept with their deliveries and attempts, such as 30d: 1d to 3650d. What is still to be sent stays."`
	BodyRetention   Period         `placeholder:"TIME" help:"How long the bodies of events are kept, and what receivers answered, such as 7d. Absent: as long as --retention."`
	ShortRetention  bool           `hidden:"" help:"For measurements: let --retention be as short as a second."`
	ShutdownTimeout time.Duration  `default:"20s" placeholder:"TIME" help:"How long a stop waits for requests and attempts under way."`
	CommitDelay     time.Duration  `default:"0s" placeholder:"TIME" hidden:"" help:"For measurements: wait so long after every commit, as on a slower disk."`
	LogLevel        slog.Level     `default:"info" placeholder:"LEVEL" help:"The least level that is logged: debug, info, warn or error."`
	LogFormat       string         `default:"auto" enum:"auto,text,json" placeholder:"FORMAT" help:"How lines are logged: text, json, or auto: text on a terminal, else json."`

	AdminKey  string `kong:"-"` // GRAPEVINE_ADMIN_KEY; empty: one is made at the first start
	MasterKey string `kong:"-"` // GRAPEVINE_MASTER_KEY; empty: a file beside the database, which only SQLite has
}

// ReadSecrets takes the secrets from the environment.
func (s *Server) ReadSecrets() {
	s.AdminKey = os.Getenv(AdminKeyVariable)
	s.MasterKey = os.Getenv(MasterKeyVariable)
}

// Validate reports every setting that can't work, before anything is started.
func (s *Server) Validate() error {
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	s.validateDatabase(refuse)
	if _, port, err := net.SplitHostPort(s.Listen); err != nil || !isPort(port) {
		refuse("--listen must be HOST:PORT, such as 127.0.0.1:8080")
	}
	if _, port, err := net.SplitHostPort(s.DebugListen); s.DebugListen != "" && (err != nil || !isPort(port)) {
		refuse("--debug-listen must be HOST:PORT, such as 127.0.0.1:6060")
	}
	if s.PublicURL != "" && !isBase(s.PublicURL) {
		refuse("--public-url must be http:// or https:// and a host, without a path, such as https://hooks.example.com")
	}
	s.validateDialects(refuse)
	if s.ForwardProxy != "" {
		u, err := url.Parse(s.ForwardProxy)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			refuse("--forward-proxy must be an http:// or https:// URL")
		}
	}
	if s.MaxInFlight < 0 {
		refuse("--max-in-flight can't be negative")
	}
	if s.MaxEventBytes < 0 || s.MaxEventBytes > 4<<20 {
		refuse("--max-event-bytes must be at most %d", 4<<20)
	}
	if !(s.RateLimit >= 0 && s.RateLimit <= 1e9) { // neither is NaN
		refuse("--rate-limit must be between 0 and 1e9")
	}
	if s.ProxyHeader != "" && s.ProxyHeader != "X-Forwarded-For" && s.ProxyHeader != "Forwarded" {
		refuse("--proxy-header must be X-Forwarded-For or Forwarded")
	}
	if s.AuditRetention < 0 {
		refuse("--audit-retention can't be negative")
	}
	s.validateRetention(refuse)
	if s.ShutdownTimeout < 0 {
		refuse("--shutdown-timeout can't be negative")
	}
	if s.CommitDelay < 0 || s.CommitDelay > time.Second {
		refuse("--commit-delay must be between 0s and 1s; it is for measurements only")
	}
	return errors.Join(errs...)
}

// isBase reports whether text is a URL of nothing but a scheme and a host.
func isBase(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		(*u == url.URL{Scheme: u.Scheme, Host: u.Host} || *u == url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"})
}

func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// Setting is one row of the effective configuration. Value is a text, a number,
// a truth value or a list of texts.
type Setting struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// Effective lists all settings as they are in force, secrets masked.
func (s *Server) Effective() []Setting {
	proxy := s.ForwardProxy
	if u, err := url.Parse(proxy); err == nil {
		proxy = u.Redacted()
	}
	return []Setting{
		{"database", Redacted(s.Database)},
		{"listen-database", Redacted(s.ListenDatabase)},
		{"lease", s.Lease.String()},
		{"listen", s.Listen},
		{"public-url", s.PublicURL},
		{"allow-network", networksOf(s.AllowNetwork)},
		{"allow-http", s.AllowHTTP},
		{"forward-proxy", proxy},
		{"max-in-flight", s.MaxInFlight},
		{"max-event-bytes", s.MaxEventBytes},
		{"rate-limit", s.RateLimit},
		{"trusted-proxy", networksOf(s.TrustedProxy)},
		{"proxy-header", s.ProxyHeader},
		{"audit-retention", s.AuditRetention.String()},
		{"dialect-host", namesOf(s.DialectHost)},
		{"dialect-listen", namesOf(s.DialectListen)},
		{"debug-listen", s.DebugListen},
		{"retention", s.Retention.String()},
		{"body-retention", s.BodyRetention.String()},
		{"short-retention", s.ShortRetention},
		{"shutdown-timeout", s.ShutdownTimeout.String()},
		{"commit-delay", s.CommitDelay.String()},
		{"log-level", strings.ToLower(s.LogLevel.String())},
		{"log-format", s.LogFormat},
		{AdminKeyVariable, masked(s.AdminKey)},
		{MasterKeyVariable, masked(s.MasterKey)},
	}
}

// UnknownVariables returns the names in an environment that look like settings
// and are none: most likely they are mistyped.
func (s *Server) UnknownVariables(environ []string) []string {
	// The last three are the client's; the demonstration's file of keys has two.
	known := map[string]bool{AdminKeyVariable: true, MasterKeyVariable: true, "GRAPEVINE_URL": true, "GRAPEVINE_KEY": true, "GRAPEVINE_TENANT": true}
	for _, setting := range s.Effective() {
		known["GRAPEVINE_"+strings.ToUpper(strings.ReplaceAll(setting.Name, "-", "_"))] = true
	}
	var unknown []string
	for _, pair := range environ {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, "GRAPEVINE_") && !known[name] {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

func networksOf(prefixes []netip.Prefix) []string {
	texts := make([]string, len(prefixes))
	for i, p := range prefixes {
		texts[i] = p.String()
	}
	return texts
}

func masked(secret string) string {
	if secret == "" {
		return "(not set)"
	}
	return "********"
}
