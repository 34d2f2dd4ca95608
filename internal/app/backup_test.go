package app_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/verify"
)

// mustBackUp stores a copy of the server's database in a file and returns its
// path.
func mustBackUp(t testing.TB, a *app.App) string {
	t.Helper()
	c, err := client.New(a.URL(), adminKey)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := c.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Close()
	f, err := os.Create(filepath.Join(t.TempDir(), "copy.db"))
	if err == nil {
		_, err = io.Copy(f, backup)
	}
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

func TestARestoredServerSendsWhatWasPendingSignedAsBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	key := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	var mu sync.Mutex
	var verifier *verify.Standard // nil: the receiver is down
	arrived := make(map[string]bool)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if verifier == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		msg, err := verifier.Request(r)
		if err != nil {
			t.Error(err)
		}
		arrived[msg.ID] = true
	}))
	defer receiver.Close()
	sub := mustPost(t, a.URL()+"/v1/subscriptions", key, `{"url":"`+receiver.URL+`","event_types":["*"],"policy":{"schedule":[1,1,1,1,1,1,1,1]}}`)
	before := mustPost(t, a.URL()+"/v1/events", key, event)["id"].(string)
	copied := mustBackUp(t, a)
	after := mustPost(t, a.URL()+"/v1/events", key, event)["id"].(string)
	stop(a)

	contents, err := app.CheckBackup(t.Context(), copied)
	if err != nil || contents.Tenants != 1 || contents.Subscriptions != 1 || contents.Events != 1 || contents.Pending != 1 || contents.Newest.IsZero() {
		t.Errorf("the copy has %+v, %v", contents, err)
	}
	done, err := app.Restore(t.Context(), app.Restoring{From: copied, Database: "sqlite:" + path, Replace: true})
	if err != nil || done.MissingKey != "" || done.Kept == "" || done.Pending != 1 {
		t.Fatalf("restored %+v, %v", done, err)
	}
	mu.Lock()
	if verifier, err = verify.NewStandard(sub["secret"].(string)); err != nil {
		t.Error(err)
	}
	mu.Unlock()
	again := mustStart(t, settings(path))
	eventually(t, "the pending event arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return arrived[before]
	})
	if status, _, err := send(t.Context(), http.MethodGet, again.URL()+"/v1/events/"+after, key, ""); err != nil || status != http.StatusNotFound {
		t.Errorf("what was accepted after the backup: %d, %v", status, err)
	}
}

func TestACopyIsRestoredOnlyWithItsOwnMasterKeyOrNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	copied := mustBackUp(t, a)
	stop(a)
	place := filepath.Join(t.TempDir(), "other.db")
	restoring := app.Restoring{From: copied, Database: "sqlite:" + place}

	stranger := restoring
	stranger.MasterKey = strings.Repeat("ab", 32)
	if _, err := app.Restore(t.Context(), stranger); !errors.Is(err, secret.ErrWrongKey) || !strings.Contains(err.Error(), "GRAPEVINE_MASTER_KEY") {
		t.Errorf("another key: %v", err)
	}
	if err := os.WriteFile(place+".key", []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), restoring); !errors.Is(err, secret.ErrWrongKey) || !strings.Contains(err.Error(), place+".key") {
		t.Errorf("another key in the file: %v", err)
	}
	if err := os.WriteFile(place+".key", []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := app.Restore(t.Context(), restoring); err == nil || !strings.Contains(err.Error(), "holds no key") {
		t.Errorf("a file without a key: %v", err)
	}
	if _, err := os.Stat(place); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was put in place: %v", err)
	}
	if err := os.Remove(place + ".key"); err != nil {
		t.Fatal(err)
	}
	done, err := app.Restore(t.Context(), restoring)
	if err != nil || done.MissingKey != place+".key" {
		t.Fatalf("without a key: %+v, %v", done, err)
	}
	if err := os.Rename(path+".key", place+".key"); err != nil {
		t.Fatal(err)
	}
	mustStart(t, settings(place))
}

func TestARunningServersDatabaseIsNotReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "grapevine.db")
	a := mustStart(t, settings(path))
	copied := mustBackUp(t, a)
	_, err := app.Restore(t.Context(), app.Restoring{From: copied, Database: "sqlite:" + path, Replace: true})
	if !errors.Is(err, db.ErrUnavailable) || !strings.Contains(err.Error(), "stop the server first") {
		t.Errorf("got %v", err)
	}
	if status, _, err := send(t.Context(), http.MethodGet, a.URL()+"/readyz", "", ""); err != nil || status != http.StatusOK {
		t.Errorf("the server: %d, %v", status, err)
	}
}
