//go:build unix

package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// MustPool starts PgBouncer in front of a Postgres database and returns the URL that
// leads through it: a server's connection belongs to a client for a transaction at a
// time. Without PgBouncer the test is skipped, except under CI=true, where it fails.
func MustPool(t testing.TB, database string) string {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/pgbouncer") // users don't have that folder in their path
	}
	if err != nil && variable("CI") != "true" {
		t.Skip("PgBouncer is not installed")
	}
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	owner := unprivileged(t)
	cmd := exec.Command(program, "-q", mustConfigure(t, u, address, owner)) //nolint:gosec,noctx // ends with the test
	cmd.Dir, cmd.Stderr = "/", t.Output()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	})
	awaitListener(t, address)
	u.Host = address.String()
	return u.String()
}

// mustConfigure writes PgBouncer's settings and returns their file.
func mustConfigure(t testing.TB, database *url.URL, address *net.TCPAddr, owner *syscall.Credential) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "grapevine-pooler-") //nolint:usetesting // t.TempDir may be closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	name := database.Path[1:]
	password, _ := database.User.Password()
	text := fmt.Sprintf(`[databases]
%s = host=%s port=%s dbname=%s user=%s password=%s
[pgbouncer]
listen_addr = %s
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 30
max_client_conn = 200
`, name, database.Hostname(), database.Port(), name, database.User.Username(), password, address.IP, address.Port)
	file := filepath.Join(folder, "pgbouncer.ini")
	err = os.WriteFile(file, []byte(text), 0o600) //nolint:gosec // a folder of our own
	if err == nil && owner != nil {
		err = errors.Join(os.Chown(folder, int(owner.Uid), int(owner.Gid)), os.Chown(file, int(owner.Uid), int(owner.Gid)))
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// unprivileged returns a user for a program that does not run as root; nil where this
// process is not root's.
func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		return nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// freeAddress returns an address of the loopback network on which nobody listens.
func freeAddress(t testing.TB) *net.TCPAddr {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr) //nolint:forcetypeassert // it is one
}

// awaitListener returns once somebody listens.
func awaitListener(t testing.TB, address *net.TCPAddr) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address.String())
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}
