package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/config"
)

// settings are a server's on a database.
func settings(database string) config.Server {
	return config.Server{Database: database, Listen: "127.0.0.1:0"}
}

func TestADatabaseIsAFileOrAURLOfPostgres(t *testing.T) {
	for _, database := range []string{
		"sqlite:grapevine.db",
		"postgres://localhost/grapevine",
		"postgresql://grapevine@db.example.com:5432/grapevine?sslmode=verify-full",
		"postgres://grapevine:s%40cret%2F%3F@db.example.com/grapevine",
		"postgres://grapevine:what?#an=odd&one@db.example.com/grapevine", // as Postgres' library reads it
		"postgres://a.example.com:5432,b.example.com/grapevine?target_session_attrs=read-write",
		"postgres://[::1]:5432/grapevine",
		"postgres://[fe80::1%eth0]/grapevine",
		"postgres:///grapevine?host=/run/postgresql",
		"postgres://localhost?dbname=grapevine",
		"postgres://me@localhost/grapevine?application_name=a@b",
		"postgres://localhost/grapevine?user=me%40company",
	} {
		s := settings(database)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", database, err)
		}
	}
}

func TestADatabaseThatCanNotBeOpenedIsRefusedInWordsThatRepeatNoneOfIt(t *testing.T) {
	for database, want := range map[string]string{
		"":                                          "must be sqlite: and the path",
		"sqlite:":                                   "must be sqlite: and the path",
		"mysql://u:hunter2@localhost/g":             "must be sqlite: and the path",
		"Postgres://u:hunter2@localhost/g":          "must be sqlite: and the path",
		"host=localhost password=hunter2":           "must be sqlite: and the path",
		"postgres://":                               "must name a host",
		"postgres://u:hunter2@/g":                   "must name a host",
		"postgres:///g":                             "must name a host",
		"postgres://u:hunter2@localhost":            "must name the database",
		"postgres://u:hunter2@localhost/":           "must name the database",
		"postgres://u:hunter/2@localhost/g":         "in a file that PGPASSFILE names",
		"postgres://u:1234/hunter2@localhost/g":     "in a file that PGPASSFILE names",
		"postgres://u:1234/hunter2?@localhost/g":    "in a file that PGPASSFILE names",
		"postgres://u:1234?x/hunter2@localhost/g":   "in a file that PGPASSFILE names",
		"postgres://u:1234/?x=hunter2@localhost/g":  "in a file that PGPASSFILE names", // or an option that is right but for its @
		"postgres://u:hunter2@2@localhost/g":        "in a file that PGPASSFILE names",
		"postgres://u:hunter2%@localhost/g":         "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost:port/g":     "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost:0/g":        "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost:70000/g":    "in a file that PGPASSFILE names",
		"postgres://u:hunter2@[localhost]/g":        "in a file that PGPASSFILE names",
		"postgres://u:hunter2@[::1/g":               "in a file that PGPASSFILE names",
		"postgres://u:hunter2@[::1]x:5432/g":        "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost/g?sslmode":  "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost/g?a=b=c":    "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost/g?a=%zz":    "in a file that PGPASSFILE names",
		"postgres://u:hunter2@local host/g":         "in a file that PGPASSFILE names",
		"postgres://u:hunter2@localhost/g#fragment": "in a file that PGPASSFILE names",
	} {
		s := settings(database)
		err := s.Validate()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", database, err, want)
			continue
		}
		if strings.Contains(err.Error(), "hunter") {
			t.Errorf("the error shows the password: %v", err)
		}
		if shown := config.Redacted(database); strings.Contains(shown, "hunter") {
			t.Errorf("%s is shown as %s", database, shown)
		}
	}
}

func TestADatabaseIsShownWithoutItsPassword(t *testing.T) {
	for database, want := range map[string]string{
		"":                    "",
		"off":                 "off",
		"sqlite:grapevine.db": "sqlite:grapevine.db",
		"postgres://grapevine:hunter2@db.example.com:5432/grapevine?sslmode=verify-full": "postgres://grapevine:xxxxx@db.example.com:5432/grapevine?sslmode=verify-full",
		"postgresql://grapevine@a,b:5433/grapevine":                                      "postgresql://grapevine@a,b:5433/grapevine",
		"postgres://u:hunter2?#@h/g":                                                     "postgres://u:xxxxx@h/g",
		"postgres://u:@h/g":                                                              "postgres://u:xxxxx@h/g",
		"postgres://h/g?password=hunter2&sslmode=require":                                "postgres://h/g?password=xxxxx&sslmode=require",
		"postgres://h/g?pass%77ord=hunter2&sslpassword=hunter2":                          "postgres://h/g?pass%77ord=xxxxx&sslpassword=xxxxx",
		"postgres://u:hunter/2@h/g":                                                      "(not readable)",
		"mysql://u:hunter2@h/g":                                                          "(not readable)",
	} {
		if got := config.Redacted(database); got != want {
			t.Errorf("%s is shown as %s, want %s", database, got, want)
		}
	}
	s := settings("postgres://u:hunter2@h/g")
	s.ListenDatabase = "postgres://u:hunter2@direct/g"
	for _, setting := range s.Effective() {
		if text, ok := setting.Value.(string); ok && strings.Contains(text, "hunter") {
			t.Errorf("%s is %s", setting.Name, text)
		}
	}
}

func TestANodeListensToItsDatabaseUnlessAnotherWayIsNamed(t *testing.T) {
	for _, c := range []struct{ database, listen, want string }{
		{"postgres://h/g", "", "postgres://h/g"},
		{"postgres://h/g", "postgres://direct/g", "postgres://direct/g"},
		{"postgres://h/g", "off", ""},
		{"sqlite:grapevine.db", "", ""},
	} {
		s := settings(c.database)
		s.ListenDatabase = c.listen
		if got := s.ListenURL(); got != c.want {
			t.Errorf("--listen-database %s with %s: listens at %q, want %q", c.listen, c.database, got, c.want)
		}
	}
}

func TestWhereANodeListensIsPostgresOrNowhere(t *testing.T) {
	for _, c := range []struct{ database, listen, want string }{
		{"postgres://h/g", "", ""},
		{"postgres://h/g", "off", ""},
		{"postgres://h/g", "postgres://direct/g", ""},
		{"postgres://h/g", "on", "--listen-database must be the URL"},
		{"postgres://h/g", "postgres://direct", "--listen-database must name the database"},
		{"postgres://h/g", "postgres://u:hunter/2@direct/g", "--listen-database can't be read"},
		{"sqlite:grapevine.db", "off", "--listen-database is for a Postgres database"},
	} {
		s := settings(c.database)
		s.ListenDatabase = c.listen
		err := s.Validate()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("--listen-database %s with %s: %v, want %q", c.listen, c.database, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
}

func TestALeaseLastsFromThreeSecondsToFiveMinutes(t *testing.T) {
	for lease, fits := range map[time.Duration]bool{
		0: true, 3 * time.Second: true, 10 * time.Second: true, 5 * time.Minute: true,
		-time.Second: false, 3*time.Second - 1: false, 5*time.Minute + 1: false,
	} {
		s := settings("postgres://h/g")
		s.Lease = lease
		if err := s.Validate(); fits != (err == nil) {
			t.Errorf("a lease of %s: %v", lease, err)
		}
	}
}
