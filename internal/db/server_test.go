package db_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/pgcluster"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// These tests are about a server, which a database may lose and find again.

func onServer(t *testing.T) {
	t.Helper()
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: a file is not lost for a while")
	}
}

// serverWays are the ways to write that use connections of their own.
func serverWays(d *db.DB) map[string]writeFunc {
	return map[string]writeFunc{"Write": d.Write, "Lane": d.Lane().Write}
}

func mustMakeNotes(t *testing.T, d *db.DB) {
	t.Helper()
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`CREATE TABLE note (id BIGINT PRIMARY KEY, text TEXT NOT NULL)`)
		return err
	})
}

// ledger is what became of notes, as their writers were told.
type ledger struct {
	mu      sync.Mutex
	stored  map[int64]bool // those that are stored; false: nobody knows
	written chan struct{}  // one token: one was stored
}

func (l *ledger) book(t *testing.T, id int64, err error) {
	t.Helper()
	if err != nil {
		wantUnavailable(t, "while the server is away", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored[id] = err == nil
	if err == nil {
		select {
		case l.written <- struct{}{}:
		default:
		}
	}
}

// await returns once so many more notes were stored.
func (l *ledger) await(n int) {
	for range n {
		<-l.written
	}
}

func TestAServerThatIsStartedAnewUnderLoadIsFoundAgainAndNothingStoredIsLost(t *testing.T) {
	onServer(t)
	cluster := testkit.MustCluster(t)
	d, err := db.Open(t.Context(), cluster.URL("postgres"), db.Options{}) // what it would log is too much
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	mustMakeNotes(t, d)
	l := &ledger{stored: make(map[int64]bool), written: make(chan struct{}, 1)}
	var next atomic.Int64
	var ended atomic.Bool
	var wg sync.WaitGroup
	for _, write := range serverWays(d) {
		for range 6 {
			wg.Go(func() {
				for done := false; !done; { // until one was stored after the last restart
					done = ended.Load()
					id := next.Add(1)
					err := write(t.Context(), note(id))
					l.book(t, id, err)
					if err != nil {
						done = false
						time.Sleep(10 * time.Millisecond)
					}
				}
			})
		}
	}
	for range 3 {
		l.await(20)
		if err := cluster.Restart(t.Context(), pgcluster.Immediate); err != nil {
			t.Fatal(err)
		}
	}
	l.await(1)
	ended.Store(true)
	wg.Wait()
	there := mustTransactions(t, d)
	doubtful := make(map[string]bool)
	for id, stored := range l.stored {
		by, found := there[id]
		if stored && !found {
			t.Errorf("note %d is lost", id)
		}
		if !stored && found {
			doubtful[by] = true
		}
	}
	t.Logf("%d notes, %d stored, %d doubts, %d of them with reason", len(l.stored), len(there), d.Doubts(), len(doubtful))
	if int64(len(doubtful)) > d.Doubts() {
		t.Errorf("%d commits took place of which it was not known, and %d were counted", len(doubtful), d.Doubts())
	}
}

// mustTransactions returns the notes that are stored, each with the transaction that
// has stored it.
func mustTransactions(t *testing.T, d *db.DB) map[int64]string {
	t.Helper()
	there := make(map[int64]string)
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT id, xmin::text FROM note`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id int64
			var by string
			if err := rows.Scan(&id, &by); err != nil {
				return err
			}
			there[id] = by
		}
		return rows.Err()
	}); err != nil {
		t.Fatal(err)
	}
	return there
}

func TestACommitWhoseAnswerIsLostIsADoubtAndOthersAreNot(t *testing.T) {
	onServer(t)
	for _, way := range []string{"Write", "Lane"} {
		t.Run(way, func(t *testing.T) {
			p := mustIntercept(t, testkit.BlankDatabaseURL(t))
			d := mustOpenURL(t, p.url, db.Options{})
			mustMakeNotes(t, d)
			write := serverWays(d)[way]
			var j journal
			p.swallow([]byte("COMMIT\x00"))
			wantUnavailable(t, "its answer was lost", write(t.Context(), func(tx *db.Tx) error {
				return errors.Join(j.hooked("doubtful", nil)(tx), insert(tx, 1))
			}))
			j.want(t, "doubtful: undo 2", "doubtful: undo 1")
			if d.Doubts() != 1 {
				t.Errorf("%d doubts, want 1", d.Doubts())
			}
			wantNotes(t, d, 1)
			p.swallow([]byte("INSERT INTO note"))
			wantUnavailable(t, "broken off before its commit", write(t.Context(), note(2)))
			if err := write(t.Context(), note(1)); !db.IsUnique(err) {
				t.Errorf("a key that exists: %v", err)
			}
			if err := write(t.Context(), note(3)); err != nil {
				t.Errorf("afterwards: %v", err)
			}
			wantNotes(t, d, 1, 3)
			if d.Doubts() != 1 {
				t.Errorf("%d doubts, want the one commit alone", d.Doubts())
			}
		})
	}
}

func TestAConnectionThatIsGoneIsReplacedWithoutAnybodyNoticing(t *testing.T) {
	onServer(t)
	p := mustIntercept(t, testkit.BlankDatabaseURL(t))
	d := mustOpenURL(t, p.url, db.Options{})
	mustMakeNotes(t, d)
	ways := serverWays(d)
	want := []int64{}
	for id := range int64(6) {
		if err := ways[[]string{"Write", "Lane"}[id%2]](t.Context(), note(id)); err != nil {
			t.Error(err)
		}
		want = append(want, id)
		wantNotes(t, d, want...)
		p.cut()
	}
}

func TestAWriteEndsWithItsDeadlineAlsoInTheMiddleOfAStatement(t *testing.T) {
	onServer(t)
	n := mustNotebook(t)
	for range 10 { // more often than there are connections
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := n.Write(ctx, func(tx *db.Tx) error {
			return cmp.Or(insert(tx, 1), tx.QueryRow(`SELECT pg_sleep(60)::text`).Scan(new(string)))
		})
		cancel()
		if err == nil {
			t.Fatal("it has waited for the statement")
		}
	}
	mustWrite(t, n.DB, note(2))
	wantNotes(t, n.DB, 2)
	if n.Doubts() != 0 {
		t.Errorf("%d doubts, and nothing was committed", n.Doubts())
	}
}

func TestALockThatSomebodyHasIsNotTried(t *testing.T) {
	onServer(t)
	n := mustNotebook(t)
	try := func(lane *db.Lane, key string) bool {
		got := false
		if err := lane.Write(t.Context(), func(tx *db.Tx) error {
			var err error
			got, err = tx.TryLock(key)
			return err
		}); err != nil {
			t.Error(err)
		}
		return got
	}
	other := n.Lane()
	mustWrite(t, n.DB, func(tx *db.Tx) error {
		if err := tx.Lock("taken"); err != nil {
			return err
		}
		if err := tx.Get(`SELECT 1`, nil, new(int)); err != nil { // it is taken with the next statement
			return err
		}
		if try(other, "taken") || !try(other, "free") {
			t.Error("a lock that is taken is had, or one that is free is not")
		}
		return nil
	})
	if !try(other, "taken") {
		t.Error("it is still taken after the end of the transaction")
	}
}

// interceptor is a network between a program and its server.
type interceptor struct {
	url    string
	target string

	mu   sync.Mutex
	trap []byte // whose answer is lost, with the connection; nil: none
	open map[net.Conn]bool
}

// mustIntercept returns a way to the database that url names.
func mustIntercept(t *testing.T, database string) *interceptor {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &interceptor{target: u.Host, open: make(map[net.Conn]bool)}
	u.Host = listener.Addr().String()
	p.url = u.String()
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
	})
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.connect(client)
		}
	}()
	return p
}

func (p *interceptor) connect(client net.Conn) {
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.open[client] = true
	p.mu.Unlock()
	go func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	}()
	go func() {
		defer server.Close()
		p.forward(server, client)
	}()
}

// forward passes on what a client sends until it closes. Of what was asked to be
// swallowed the server's answer does not arrive.
func (p *interceptor) forward(server, client net.Conn) {
	buffer := make([]byte, 64<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		caught := p.caught(buffer[:n])
		if caught { // nothing that comes from now on reaches the client
			_ = client.Close()
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
		if caught {
			// The server notices the end once it has done what it was told.
			_ = server.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, server)
			return
		}
	}
}

func (p *interceptor) caught(sent []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trap == nil || !bytes.Contains(sent, p.trap) {
		return false
	}
	p.trap = nil
	return true
}

// swallow loses the answer to the next thing that is sent that has the bytes in it.
func (p *interceptor) swallow(trap []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.trap = trap
}

// cut ends all connections.
func (p *interceptor) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.open {
		_ = conn.Close()
	}
	clear(p.open)
}
