package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/verify"
)

// mustRun runs a command of the program to its end.
func (s *server) mustRun(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "GRAPEVINE_TEST_PROGRAM=1", "GRAPEVINE_ADMIN_KEY="+adminKey, "GRAPEVINE_URL="+s.url)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
}

func TestWhatWasAcceptedBeforeABackupUnderLoadIsSentAfterItsRestore(t *testing.T) {
	s, r := newServer(t), newReceiver(t)
	flags := []string{"--allow-network", "127.0.0.0/8", "--allow-http"}
	s.mustStart(t, flags...)
	// While the endpoint is down everything stays pending.
	key, subscription, secret := s.mustTenant(t, r.URL)
	s.mustCall(t, http.MethodPatch, "/v1/subscriptions/"+subscription, key,
		map[string]any{"url": "http://127.0.0.1:1/down", "policy": map[string]any{"schedule": []int{1, 1, 1, 1, 1, 1, 1, 1, 1, 1}}}, nil)
	verifier, err := verify.NewStandard(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier.Tolerance = time.Hour
	r.verifier.Store(verifier)

	publish := func(ctx context.Context) (string, error) {
		var answer struct{ ID string }
		status, err := s.call(ctx, http.MethodPost, "/v1/events", key, map[string]any{"type": "test.happened", "data": map[string]any{}}, &answer)
		if err == nil && status != http.StatusAccepted {
			err = fmt.Errorf("status %d", status)
		}
		return answer.ID, err
	}
	var before []string
	for range 200 {
		id, err := publish(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		before = append(before, id)
	}
	var during int
	var mu sync.Mutex
	load, end := context.WithCancel(t.Context())
	defer end()
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for load.Err() == nil {
				if _, err := publish(load); err == nil {
					mu.Lock()
					during++
					mu.Unlock()
				}
			}
		})
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	s.mustRun(t, "backup", backup)
	s.kill()
	end()
	clients.Wait()
	if during == 0 {
		t.Error("nothing was accepted while the backup was made")
	}

	s.mustRun(t, "restore", backup, "--database", "sqlite:"+s.database(), "--force")
	s.mustStart(t, flags...)
	s.mustCall(t, http.MethodPatch, "/v1/subscriptions/"+subscription, key, map[string]any{"url": r.URL}, nil)
	for deadline := time.Now().Add(time.Minute); r.missing(before) > 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	s.mustStop(t)
	if lost := r.missing(before); lost > 0 {
		t.Errorf("%d of %d that were accepted before the backup were not sent", lost, len(before))
	}
	if r.invalid > 0 {
		t.Errorf("%d requests did not verify", r.invalid)
	}
	t.Logf("accepted before: %d, during: %d, delivered after the restore: %d", len(before), during, len(r.arrivals))
}
