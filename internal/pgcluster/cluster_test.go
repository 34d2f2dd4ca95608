package pgcluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/grapevine-hq/grapevine/internal/pgcluster"
)

// victimVariable tells a run of this binary to be the process that is killed, and
// where its cluster is made.
const victimVariable = "PGCLUSTER_VICTIM_FOLDER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(victimVariable); folder != "" {
		c, err := pgcluster.Start(context.Background(), pgcluster.Options{Folder: folder})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Fprintln(os.Stdout, c.URL("postgres"))
		select {} // until it is killed
	}
	os.Exit(m.Run())
}

// mustFolder makes a folder into which the user may come that the server runs as,
// which holds for no t.TempDir of root's.
func mustFolder(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "pgcluster-test-") //nolint:usetesting // see above
	if err == nil {
		err = os.Chmod(folder, 0o711)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	return folder
}

// mustHave fails the test for an error, or skips it where no server is installed.
func mustHave(t *testing.T, c *pgcluster.Cluster, err error) *pgcluster.Cluster {
	t.Helper()
	if errors.Is(err, pgcluster.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var start = sync.OnceValues(func() (*pgcluster.Cluster, error) {
	return pgcluster.Start(context.Background(), pgcluster.Options{})
})

// mustShare returns a cluster that several tests use. It ends with the process.
func mustShare(t *testing.T) *pgcluster.Cluster {
	t.Helper()
	c, err := start()
	return mustHave(t, c, err)
}

// mustStart starts a cluster until the end of the test.
func mustStart(t *testing.T, opts pgcluster.Options) *pgcluster.Cluster {
	t.Helper()
	opts.Folder = mustFolder(t)
	c, err := pgcluster.Start(t.Context(), opts)
	mustHave(t, c, err)
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
		wantEmpty(t, opts.Folder)
	})
	return c
}

func mustConnect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func mustExec(t *testing.T, conn *pgx.Conn, statement string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// wantOne demands that a query gives the one value.
func wantOne[T comparable](t *testing.T, conn *pgx.Conn, query string, want T) {
	t.Helper()
	var got T
	if err := conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != want {
		t.Errorf("%s: %v, %v, want %v", query, got, err, want)
	}
}

func wantEmpty(t *testing.T, folder string) {
	t.Helper()
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestDatabasesAreMadeCopiedAndRemoved(t *testing.T) {
	c := mustShare(t)
	if err := c.Create(t.Context(), `od"d name`); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Drop(context.Background(), `od"d name`); err != nil {
			t.Error(err)
		}
	})
	made := mustConnect(t, c.URL(`od"d name`))
	mustExec(t, made, `CREATE TABLE a AS SELECT 'grün' AS word`)
	if err := made.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Copy(t.Context(), "copy", `od"d name`); err != nil {
		t.Fatal(err)
	}
	copied := mustConnect(t, c.URL("copy"))
	wantOne(t, copied, `SELECT word FROM a`, "grün")
	for range 2 { // the second time there is none
		if err := c.Drop(t.Context(), "copy"); err != nil {
			t.Fatal(err)
		}
	}
	if err := copied.Ping(t.Context()); err == nil {
		t.Error("a session goes on in a database that was removed")
	}
	if err := c.Create(t.Context(), `od"d name`); err == nil {
		t.Error("a database is made twice")
	}
}

func TestARestartKeepsThePortAndWhatWasCommitted(t *testing.T) {
	c := mustStart(t, pgcluster.Options{Durable: true})
	for _, mode := range []pgcluster.Mode{pgcluster.Fast, pgcluster.Immediate} {
		t.Run(string(mode), func(t *testing.T) {
			before := mustConnect(t, c.URL("postgres"))
			mustExec(t, before, `CREATE TABLE `+string(mode)+` AS SELECT 1 AS n`)
			if err := c.Restart(t.Context(), mode); err != nil {
				t.Fatal(err)
			}
			if err := before.Ping(t.Context()); err == nil {
				t.Error("a session outlives the server")
			}
			wantOne(t, mustConnect(t, c.URL("postgres")), `SELECT n FROM `+string(mode), 1)
		})
	}
}

func TestAClusterIsDurableOnlyIfAskedTo(t *testing.T) {
	for want, c := range map[string]*pgcluster.Cluster{"off": mustShare(t), "on": mustStart(t, pgcluster.Options{Durable: true})} {
		conn := mustConnect(t, c.URL("postgres"))
		for _, setting := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
			wantOne(t, conn, `SELECT current_setting('`+setting+`')`, want)
		}
	}
}

func TestNobodyComesInWithoutThePassword(t *testing.T) {
	c := mustShare(t)
	config, err := pgx.ParseConfig(c.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{"", "grapevine", config.Password + "x"} {
		config.Password = password
		conn, err := pgx.ConnectConfig(t.Context(), config)
		if err == nil {
			conn.Close(t.Context())
			t.Errorf("%q is let in", password)
		}
	}
}

func TestAStoppedClusterDoesNotComeBack(t *testing.T) {
	c := mustStart(t, pgcluster.Options{})
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Restart(t.Context(), pgcluster.Fast); err == nil {
		t.Error("it is restarted")
	}
}

func TestAClusterDoesNotOutliveAProcessThatIsKilled(t *testing.T) {
	mustShare(t) // or the test is skipped
	folder := mustFolder(t)
	victim := exec.CommandContext(t.Context(), os.Args[0])
	victim.Env = append(os.Environ(), victimVariable+"="+folder)
	victim.Stderr = os.Stderr
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var url string
	_, scanErr := fmt.Fscan(output, &url)
	conn := mustConnect(t, url)
	killErr := victim.Process.Kill()
	_ = victim.Wait() // says that it was killed
	if err := errors.Join(scanErr, killErr); err != nil {
		t.Fatal(err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if _, err := conn.WaitForNotification(soon); err == nil || soon.Err() != nil {
		t.Fatalf("the server goes on: %v", err)
	}
	for left := []string{""}; len(left) > 0; { // the janitor removes the folder last
		if left, err = filepath.Glob(filepath.Join(folder, "*")); err != nil || soon.Err() != nil {
			t.Fatalf("%v is left, %v", left, err)
		}
	}
	if again, err := pgx.Connect(t.Context(), url); err == nil {
		again.Close(t.Context())
		t.Error("the server takes connections")
	}
}

func TestAClusterOfWhichOnlyTheURLIsKeptLivesOn(t *testing.T) {
	mustShare(t) // or the test is skipped
	url := func() string {
		c, err := pgcluster.Start(t.Context(), pgcluster.Options{}) // ends with the process
		return mustHave(t, c, err).URL("postgres")
	}()
	conn := mustConnect(t, url)
	runtime.GC()
	soon, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if _, err := conn.WaitForNotification(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the server has ended: %v", err)
	}
}

func TestAStartThatIsBrokenOffLeavesNothing(t *testing.T) {
	mustShare(t) // or the test is skipped
	folder := mustFolder(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if c, err := pgcluster.Start(ctx, pgcluster.Options{Folder: folder}); err == nil {
		t.Errorf("it has started: %v", c.Stop())
	}
	wantEmpty(t, folder)
}

func TestAServerIsNamedByAURL(t *testing.T) {
	const secret = "hunter2"
	for _, text := range []string{"", "sqlite:a.db", "postgres://", "user:" + secret + "@host", "postgres://u:" + secret + "@h:port/d"} {
		if _, err := pgcluster.At(text); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", text, err)
		}
	}
	server, err := pgcluster.At("postgresql://u:" + secret + "@h:5432/postgres?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := server.URL("a/b"), "postgresql://u:"+secret+"@h:5432/a%2Fb?sslmode=require"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWhereNoServerIsInstalledTheErrorSaysWhatToInstall(t *testing.T) {
	folder := t.TempDir()
	for _, name := range []string{"initdb", "postgres"} {
		script := "#!/bin/sh\necho '" + name + " (PostgreSQL) 14.11 (Debian 14.11-1)'\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_, err := pgcluster.Start(t.Context(), pgcluster.Options{Bin: folder})
	if !errors.Is(err, pgcluster.ErrNotInstalled) || !strings.Contains(err.Error(), "version 14") {
		t.Errorf("version 14: %v", err)
	}
	if _, err := pgcluster.Start(t.Context(), pgcluster.Options{Bin: t.TempDir()}); err == nil {
		t.Error("a folder without a server will do")
	}
}
