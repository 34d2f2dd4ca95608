package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestMain runs the program itself where a test has asked for it by the
// environment, so that tests start the real thing as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("GRAPEVINE_TEST_PROGRAM") == "1" {
		main()
	}
	os.Exit(m.Run())
}

const adminKey = "gv_admin_0123456789abcdefghijABCDEFGHIJ"

// server is the program, serving as a process of its own on one database and one
// port from start to start.
type server struct {
	dir string
	url string
	cmd *exec.Cmd
}

// newServer prepares a server that is not started yet.
func newServer(t *testing.T) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{dir: t.TempDir(), url: "http://" + l.Addr().String()}
	t.Cleanup(s.kill)
	return s
}

// mustStart starts the program and waits until it is ready.
func (s *server) mustStart(t *testing.T, flags ...string) {
	t.Helper()
	args := append([]string{"serve", "--database", "sqlite:" + s.database(), "--listen", s.url[len("http://"):], "--log-level", "error"}, flags...)
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], args...)
	s.cmd.Env = append(os.Environ(), "GRAPEVINE_TEST_PROGRAM=1", "GRAPEVINE_ADMIN_KEY="+adminKey)
	s.cmd.Stdout, s.cmd.Stderr = t.Output(), t.Output()
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		resp, err := http.Get(s.url + "/readyz")
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatal("the server did not become ready")
}

func (s *server) database() string { return filepath.Join(s.dir, "grapevine.db") }

// kill ends the program as a crash does.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	s.cmd = nil
}

// mustStop ends the program as an operator does.
func (s *server) mustStop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	s.cmd = nil
}

// call sends a JSON document, or none, and reads the answer into out if the
// status is a success.
func (s *server) call(ctx context.Context, method, path, key string, in, out any) (int, error) {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return 0, err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, body)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(raw, out)
	}
	return resp.StatusCode, err
}

// mustCall fails the test unless the call succeeds.
func (s *server) mustCall(t *testing.T, method, path, key string, in, out any) {
	t.Helper()
	status, err := s.call(t.Context(), method, path, key, in, out)
	if err != nil || status >= 300 {
		t.Fatalf("%s %s: %d, %v", method, path, status, err)
	}
}

// mustTenant makes a tenant with one subscription to everything, and returns the
// tenant's key, the subscription's id and its secret.
func (s *server) mustTenant(t *testing.T, endpoint string) (string, string, string) {
	t.Helper()
	var tenant struct {
		APIKey string `json:"api_key"`
	}
	s.mustCall(t, http.MethodPost, "/v1/tenants", adminKey, map[string]any{"alias": "acme", "live": true}, &tenant)
	var made struct{ ID, Secret string }
	s.mustCall(t, http.MethodPost, "/v1/subscriptions", tenant.APIKey, map[string]any{"url": endpoint, "event_types": []string{"*"}}, &made)
	return tenant.APIKey, made.ID, made.Secret
}
