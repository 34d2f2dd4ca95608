package testkit

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/pgcluster"
)

// The variables that say which database the tests run on.
const (
	// databaseVariable is "sqlite" or "postgres"; unset: SQLite.
	databaseVariable = "GRAPEVINE_TEST_DATABASE"
	// serverVariable is the URL of a Postgres server and an account that may create
	// databases; unset: a cluster of this process's own.
	serverVariable = "TEST_POSTGRES_URL"
)

// patience is how long a server may take for what a test needs of it.
const patience = time.Minute

// OnPostgres reports whether tests get their databases in Postgres.
func OnPostgres() bool { return variable(databaseVariable) == "postgres" }

// NeedsSQLite skips the test on Postgres. why completes "SQLite only: ".
func NeedsSQLite(t testing.TB, why string) {
	t.Helper()
	if OnPostgres() {
		t.Skip("SQLite only: " + why)
	}
}

// VirtualTime runs fn in a bubble of [synctest.Test] that may use a database, on
// Postgres too: there the bubble's time stands still while a query waits for its
// answer. What reads a socket without end would hold it for ever, such as one who
// listens for notifications; and the server's clock shows another time.
//
// Under the race detector a bubble runs on one thread, and its test may not run in
// parallel with others: two timers of a bubble that fire on two threads at once
// corrupt the detector's own state (https://go.dev/issue/78156). What it reports
// stays the same, since it looks at what is ordered and not at what is simultaneous.
func VirtualTime(t *testing.T, fn func(t *testing.T)) {
	t.Helper()
	if RaceDetector {
		threads := runtime.GOMAXPROCS(1)
		defer runtime.GOMAXPROCS(threads)
	}
	if OnPostgres() {
		mustHost(t) // a process that is started in a bubble would have to end in it
	}
	synctest.Test(t, fn)
}

// OpenDB opens a new database for the test. When the test ends, it is closed and
// removed.
func OpenDB(t testing.TB, opts db.Options) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), DatabaseURL(t), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// DatabaseURL returns the URL of a new database for the test, for tests that open
// it more than once. It has the program's tables, which are empty, or none yet.
// When the test ends, it is removed; what the test has opened has to be closed by
// then.
func DatabaseURL(t testing.TB) string {
	t.Helper()
	if !OnPostgres() {
		return BlankDatabaseURL(t)
	}
	return PostgresURL(t)
}

// PostgresURL is DatabaseURL for tests of what only Postgres does, whatever the
// others run on. Without a server the test is skipped, except under CI=true, where
// it fails.
func PostgresURL(t testing.TB) string {
	t.Helper()
	host := mustHost(t)
	return host.mustMake(t, func(ctx context.Context, name string) error {
		if host.template == "" {
			return host.Create(ctx, name)
		}
		return host.Copy(ctx, name, host.template)
	})
}

// BlankDatabaseURL is DatabaseURL for a database that has no tables.
func BlankDatabaseURL(t testing.TB) string {
	t.Helper()
	switch chosen := variable(databaseVariable); chosen {
	case "", "sqlite":
		return "sqlite:" + filepath.Join(t.TempDir(), "grapevine.db")
	case "postgres":
		host := mustHost(t)
		return host.mustMake(t, host.Create)
	default:
		t.Fatalf("%s is %q: it must be sqlite or postgres", databaseVariable, chosen)
		return ""
	}
}

// MustCluster returns a Postgres server of the test's own, which may be started anew,
// whichever database the tests run on. What was committed is not lost with it. Where
// none is installed the test is skipped, except under CI=true, where it fails unless
// the tests were given a server that is elsewhere.
func MustCluster(t testing.TB) *pgcluster.Cluster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{Durable: true})
	if errors.Is(err, pgcluster.ErrNotInstalled) && (variable("CI") != "true" || variable(serverVariable) != "") {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	})
	return cluster
}

// DatabasePath returns the file of a database of DatabaseURL, and skips the test
// where it has none.
func DatabasePath(t testing.TB, url string) string {
	t.Helper()
	NeedsSQLite(t, "it looks at the database's file")
	return strings.TrimPrefix(url, "sqlite:")
}

// postgres is the server that the tests of this process use.
type postgres struct {
	pgcluster.Server
	template string // a database with the program's tables; "": there is none
}

// theHost is found once for a process. A cluster of the process's own ends with
// it. What is made on a server that was named is made anew for each test, so that
// nothing is left there in the end.
var theHost = sync.OnceValues(func() (*postgres, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if url := variable(serverVariable); url != "" {
		server, err := pgcluster.At(url)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", serverVariable, err)
		}
		return &postgres{Server: server}, nil
	}
	cluster, err := pgcluster.Start(ctx, pgcluster.Options{})
	if err != nil {
		return nil, err
	}
	const template = "template_grapevine"
	if err := cluster.Create(ctx, template); err != nil {
		return nil, errors.Join(err, cluster.Stop())
	}
	migrated, err := db.Open(ctx, cluster.URL(template), db.Options{})
	if err == nil {
		err = migrated.Close()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the template: %w", err), cluster.Stop())
	}
	return &postgres{cluster.Server, template}, nil
})

// mustHost returns the server. Without one the test is skipped, except under
// CI=true, where it fails.
func mustHost(t testing.TB) *postgres {
	t.Helper()
	host, err := theHost()
	if errors.Is(err, pgcluster.ErrNotInstalled) && variable("CI") != "true" {
		t.Skipf("%v; or name a server in %s", err, serverVariable)
	}
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// mustMake returns the URL of a database that is made for the test.
func (p *postgres) mustMake(t testing.TB, create func(ctx context.Context, name string) error) string {
	t.Helper()
	name := "grapevine_test_" + strings.ToLower(rand.Text())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := create(ctx, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := p.Drop(ctx, name); err != nil {
			t.Error(err)
		}
	})
	return p.URL(name)
}

// variable reads a setting of the tests, which is none of the program's.
func variable(name string) string {
	return os.Getenv(name) //nolint:forbidigo // see above
}
