package pgcluster_test

import (
	"runtime"
	"testing"
	"time"
)

func TestWhatIsWrittenIsSeenInTheLogAndOnTheDisk(t *testing.T) {
	c := mustShare(t)
	const name = "written"
	if err := c.Create(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	measure := func() (int64, int64) {
		t.Helper()
		log, err := c.WAL(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		disk, err := c.Size(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return log, disk
	}
	logBefore, diskBefore := measure()
	conn := mustConnect(t, c.URL(name))
	mustExec(t, conn, "CREATE TABLE line AS SELECT md5(n::text) AS text FROM generate_series(1, 30000) AS n")
	log, disk := measure()
	const least = 30_000 * 32
	if log-logBefore < least {
		t.Errorf("the log has %d bytes more, want at least %d", log-logBefore, least)
	}
	if disk-diskBefore < least {
		t.Errorf("the database takes %d bytes more, want at least %d", disk-diskBefore, least)
	}
	if _, err := c.Size(t.Context(), "nowhere"); err == nil {
		t.Error("a database that does not exist has a size")
	}
}

func TestTheCPUOfASessionCountsAlsoOnceItIsOver(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this system does not tell what other processes use")
	}
	c := mustShare(t)
	before, err := c.CPU()
	if err != nil {
		t.Fatal(err)
	}
	conn := mustConnect(t, c.URL("postgres"))
	mustExec(t, conn, "SELECT sum(length(md5(n::text))) FROM generate_series(1, 500000) AS n")
	during, err := c.CPU()
	if err != nil {
		t.Fatal(err)
	}
	if during-before < 50*time.Millisecond {
		t.Errorf("half a million digests took %s of CPU", during-before)
	}
	pid := conn.PgConn().PID()
	if err := conn.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	watcher := mustConnect(t, c.URL("postgres"))
	for more := true; more; {
		if err := watcher.QueryRow(t.Context(), "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", pid).Scan(&more); err != nil {
			t.Fatal(err)
		}
	}
	after, err := c.CPU()
	if err != nil {
		t.Fatal(err)
	}
	if after < during {
		t.Errorf("it was %s of CPU during the session, and %s when that was over", during, after)
	}
}

func TestTheServerSaysItsVersion(t *testing.T) {
	version, err := mustShare(t).Version(t.Context())
	if err != nil || len(version) < 2 {
		t.Errorf("got %q, %v", version, err)
	}
}
