package api_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// mustSave stores a backup in a file and returns its path.
func mustSave(t testing.TB, b *client.Backup) string {
	t.Helper()
	defer b.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "copy.db"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(f, b)
	if err := errors.Join(err, f.Close()); err != nil || n != b.Size {
		t.Fatalf("%d of %d bytes, %v", n, b.Size, err)
	}
	return f.Name()
}

func TestTheOperatorGetsACopyOfTheWholeDatabase(t *testing.T) {
	w := MustWorld(t, nil)
	path := testkit.DatabasePath(t, w.url)
	a, b := w.MustAccount("acme"), w.MustAccount("emca")
	for range 3 {
		a.MustPublish(t, "invoice.paid")
		b.MustPublish(t, "invoice.paid")
	}
	for range 2 { // the first leaves nothing in the way of the second
		backup, err := w.MustClient(adminKey).Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		copied, err := db.OpenCopy(t.Context(), mustSave(t, backup))
		if err != nil {
			t.Fatal(err)
		}
		err = copied.Read(t.Context(), func(q db.Queryer) error {
			counts, err := webhook.Count(q, time.Now())
			if counts.Events != 6 {
				t.Errorf("%d events are in the copy", counts.Events)
			}
			return err
		})
		if err := errors.Join(err, copied.Close()); err != nil {
			t.Error(err)
		}
	}
	files, err := filepath.Glob(path + ".copying*")
	if err != nil || len(files) != 0 {
		t.Errorf("%v is left, %v", files, err)
	}
}

func TestOnlyTheOperatorGetsABackup(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	_, err := a.Backup(t.Context())
	wantCode(t, err, problem.Forbidden)
	_, err = w.MustClient("gv_admin_0123456789abcdefghijklmnopX").Backup(t.Context())
	wantCode(t, err, problem.Unauthenticated)
	w.send(http.MethodPost, "/v1/backup?tenant=x", adminKey, "").problem(t, problem.Invalid)
	w.send(http.MethodPost, "/v1/backup", adminKey, `{"tenant":"x"}`).problem(t, problem.Invalid)
	w.send(http.MethodGet, "/v1/backup", adminKey, "").problem(t, problem.MethodNotAllowed)
}

func TestADatabaseWithToolsOfItsOwnIsNotCopied(t *testing.T) {
	w := MustWorld(t, func(opts *api.Options) { opts.Backup = nil })
	w.send(http.MethodPost, "/v1/backup", adminKey, "").problem(t, problem.Conflict)
}

func TestThereIsOneBackupAtATimeAndACallerThatHangsUpEndsIt(t *testing.T) {
	begun := make(chan struct{})
	w := MustWorld(t, func(opts *api.Options) {
		opts.Backup = func(ctx context.Context) (*os.File, error) {
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	admin := w.MustClient(adminKey)
	ctx, hangUp := context.WithCancel(t.Context())
	ended := make(chan error)
	ask := func(ctx context.Context) {
		_, err := admin.Backup(ctx)
		ended <- err
	}
	go ask(ctx)
	<-begun
	_, err := admin.Backup(t.Context())
	wantCode(t, err, problem.Conflict)
	hangUp()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v", err)
	}
	// The server hears of it in its own time.
	again, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for {
		go ask(again)
		select {
		case err := <-ended:
			wantCode(t, err, problem.Conflict)
			continue
		case <-begun:
		}
		break
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the second ended with %v", err)
	}
}

func TestABackupThatCanNotBeMadeIsAProblem(t *testing.T) {
	full := problem.Unavailable.New("the disk is full")
	for name, c := range map[string]struct {
		backup func(context.Context) (*os.File, error)
		want   *problem.Code
	}{
		"no room":                       {func(context.Context) (*os.File, error) { return nil, full }, problem.Unavailable},
		"the database fails":            {func(context.Context) (*os.File, error) { return nil, db.ErrUnavailable }, problem.Unavailable},
		"something else":                {func(context.Context) (*os.File, error) { return nil, os.ErrPermission }, problem.Internal},
		"a database with its own tools": {nil, problem.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			w := MustWorld(t, func(opts *api.Options) { opts.Backup = c.backup })
			for range 2 { // a failure does not stand in the way of the next
				_, err := w.MustClient(adminKey).Backup(t.Context())
				wantCode(t, err, c.want)
			}
		})
	}
}

// pipes is a network of one server.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	conn, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p pipes) DialContext(context.Context, string, string) (net.Conn, error) {
	near, far := net.Pipe()
	p <- far
	return near, nil
}

// mustServeBackups serves the API with the deadlines that a server has, over
// pipes, and returns a client of the operator. Its backups have so many bytes
// and take so long to make.
func mustServeBackups(t *testing.T, size int, takes time.Duration) *client.Client {
	t.Helper()
	d := testkit.OpenDB(t, db.Options{})
	tenants, err := tenant.New(d, tenant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tenants.EnsureAdminKey(t.Context(), adminKey); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), size), 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := audit.New(d, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	handler := api.New(api.Options{
		Tenants: tenants, Webhooks: webhook.New(webhook.Options{DB: d}), Audit: entries,
		Backup: func(context.Context) (*os.File, error) {
			time.Sleep(takes)
			return os.Open(path)
		},
	})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: 90 * time.Second}
	network := make(pipes)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(network)
	}()
	transport := &http.Transport{DialContext: network.DialContext}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		close(network)
		_ = server.Close()
		<-ended
	})
	c, err := client.New("http://grapevine.test", adminKey, client.WithHTTPClient(&http.Client{Transport: transport, Timeout: 100 * time.Second}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestABackupMayTakeFarLongerThanAnyOtherCall(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		const size = 4 << 20
		b, err := mustServeBackups(t, size, 10*time.Minute).Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		received, part := 0, make([]byte, 256<<10)
		for {
			n, err := io.ReadFull(b, part)
			received += n
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(40 * time.Second)
		}
		if received != size {
			t.Errorf("%d of %d bytes arrived", received, size)
		}
	})
}

func TestACallerThatStopsReceivingHoldsUpNoOther(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		c := mustServeBackups(t, 4<<20, 0)
		stuck, err := c.Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer stuck.Close()
		_, err = c.Backup(t.Context())
		wantCode(t, err, problem.Conflict)
		time.Sleep(2 * time.Minute)
		next, err := c.Backup(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if n, err := io.Copy(io.Discard, next); err != nil || n != 4<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := io.Copy(io.Discard, stuck); err == nil {
			t.Error("the one that was broken off seems whole")
		}
	})
}
