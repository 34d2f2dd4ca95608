package config

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// ListenOff is what --listen-database says where no connection is to listen.
const ListenOff = "off"

// The bounds of a lease. A shorter one would end with every pause of a busy
// machine; with a longer one a dead node's work would wait for too long.
const (
	minLease = 3 * time.Second
	maxLease = 5 * time.Minute
)

// postgresSchemes are how the URL of a Postgres database begins.
var postgresSchemes = []string{"postgres://", "postgresql://"}

// IsPostgres reports whether a database's URL is that of one in Postgres.
func IsPostgres(database string) bool {
	_, ok := withoutScheme(database)
	return ok
}

func withoutScheme(database string) (string, bool) {
	for _, scheme := range postgresSchemes {
		if rest, ok := strings.CutPrefix(database, scheme); ok {
			return rest, true
		}
	}
	return "", false
}

// Redacted returns a database's URL as it may be shown: without a password. One
// that can't be read is not shown at all, since any part of it may be one.
func Redacted(database string) string {
	if database == "" || database == ListenOff || strings.HasPrefix(database, "sqlite:") {
		return database
	}
	u, err := readPostgres(database)
	if err != nil {
		return "(not readable)"
	}
	return u.redacted()
}

// ListenURL is where a node listens for what others have changed; empty: nowhere.
func (s *Server) ListenURL() string {
	switch {
	case s.ListenDatabase == ListenOff || !IsPostgres(s.Database):
		return ""
	case s.ListenDatabase != "":
		return s.ListenDatabase
	}
	return s.Database
}

// postgresURL is the parts of a Postgres URL, as they are written in it. There
// may be several hosts, which is why it is not read as other URLs are.
type postgresURL struct {
	scheme             string
	user, password     string
	hasUser, hasSecret bool
	hosts              []string // each with its port, if it has one
	name               string   // of the database
	query              []string // NAME=VALUE
}

// What can be wrong with the text that names a database. No error repeats any of it.
var (
	errDatabase     = errors.New("must be sqlite: and the path of a file, such as sqlite:grapevine.db, or the URL of a Postgres database, such as postgres://grapevine@db.example.com/grapevine")
	errPostgresHost = errors.New("must name a host, such as postgres://grapevine@db.example.com/grapevine; that of a socket is ?host=/run/postgresql")
	errPostgresName = errors.New("must name the database, such as postgres://grapevine@db.example.com/grapevine")
	errPostgresText = errors.New("can't be read as postgres://USER:PASSWORD@HOST:PORT/NAME?OPTION=VALUE. In a password @ : / ? # % are written as %40 %3A %2F %3F %23 %25; " +
		"or leave it out, and give it as PGPASSWORD or in a file that PGPASSFILE names")
)

// readPostgres takes a URL apart as Postgres' own library does: what stands before
// the first @ is the user's, unless a / comes first. It refuses what is most
// likely a password with characters that are not escaped, parts of which would
// otherwise be taken for a host or a name, and shown.
func readPostgres(text string) (postgresURL, error) {
	rest, ok := withoutScheme(text)
	if !ok {
		return postgresURL{}, errPostgresText
	}
	u := postgresURL{scheme: strings.TrimSuffix(text, rest)}
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		u.hasUser = true
		u.user, u.password, u.hasSecret = strings.Cut(rest[:i], ":")
		rest = rest[i+1:]
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, name, _ := strings.Cut(rest, "/")
	u.name = name
	if hosts != "" {
		u.hosts = strings.Split(hosts, ",")
	}
	if query != "" {
		u.query = strings.Split(query, "&")
	}
	for _, part := range append([]string{u.user, u.password, u.name}, u.query...) {
		if _, err := url.PathUnescape(part); err != nil {
			return postgresURL{}, errPostgresText
		}
	}
	if strings.ContainsAny(u.name, "@/#") || !u.hasUser && strings.Contains(query, "@") {
		return postgresURL{}, errPostgresText
	}
	for _, host := range u.hosts {
		if !isHostAndPort(host) {
			return postgresURL{}, errPostgresText
		}
	}
	for _, pair := range u.query {
		if _, value, ok := strings.Cut(pair, "="); !ok || strings.Contains(value, "=") {
			return postgresURL{}, errPostgresText
		}
	}
	return u, nil
}

// isHostAndPort reports whether a text is a host, or an IPv6 address in brackets,
// and perhaps a port.
func isHostAndPort(text string) bool {
	host, port, _ := strings.Cut(text, ":")
	if bracketed, ok := strings.CutPrefix(text, "["); ok {
		address, after, closed := strings.Cut(bracketed, "]")
		_, err := netip.ParseAddr(address)
		between, number, _ := strings.Cut(after, ":")
		if !closed || err != nil || between != "" {
			return false
		}
		host, port = "", number
	}
	return !strings.ContainsAny(host, "@[]# ") && (port == "" || port != "0" && isPort(port))
}

// option returns the value of an option, as it is written.
func (u postgresURL) option(name string) string {
	found := ""
	for _, pair := range u.query {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			found = value
		}
	}
	return found
}

func (u postgresURL) redacted() string {
	var shown strings.Builder
	shown.WriteString(u.scheme)
	if u.hasUser {
		shown.WriteString(u.user)
		if u.hasSecret {
			shown.WriteString(":xxxxx")
		}
		shown.WriteString("@")
	}
	shown.WriteString(strings.Join(u.hosts, ","))
	shown.WriteString("/" + u.name)
	for i, pair := range u.query {
		shown.WriteString([]string{"?", "&"}[min(i, 1)])
		key, _, _ := strings.Cut(pair, "=")
		if name, err := url.QueryUnescape(key); err != nil || strings.Contains(strings.ToLower(name), "password") {
			pair = key + "=xxxxx"
		}
		shown.WriteString(pair)
	}
	return shown.String()
}

// checkPostgres reports what is wrong with a Postgres URL.
func checkPostgres(database string) error {
	u, err := readPostgres(database)
	switch {
	case err != nil:
		return err
	case len(u.hosts) == 0 && u.option("host") == "":
		return errPostgresHost
	case u.name == "" && u.option("dbname") == "":
		return errPostgresName
	}
	return nil
}

// CheckDatabase reports why a text can't name a database. The error repeats none of
// it.
func CheckDatabase(database string) error {
	if IsPostgres(database) {
		return checkPostgres(database)
	}
	if path, ok := strings.CutPrefix(database, "sqlite:"); !ok || path == "" {
		return errDatabase
	}
	return nil
}

// validateDatabase refuses a database that can't be opened, and what is set for
// nodes where there can't be several.
func (s *Server) validateDatabase(refuse func(format string, args ...any)) {
	if err := CheckDatabase(s.Database); err != nil {
		refuse("--database %w", err)
	}
	switch {
	case s.ListenDatabase == "":
	case !IsPostgres(s.Database):
		refuse("--listen-database is for a Postgres database: with SQLite there is nobody to listen to")
	case s.ListenDatabase == ListenOff:
	case !IsPostgres(s.ListenDatabase):
		refuse("--listen-database must be the URL of the Postgres database, postgres://…, or %s", ListenOff)
	default:
		if err := checkPostgres(s.ListenDatabase); err != nil {
			refuse("--listen-database %w", err)
		}
	}
	if s.Lease != 0 && (s.Lease < minLease || s.Lease > maxLease) {
		refuse("--lease must be between 3s and 5m")
	}
}
