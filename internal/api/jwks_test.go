package api_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// MustKeySet looks up the ids of the server's keys as receivers do: without a key
// of their own.
func (w *world) MustKeySet() []string {
	w.t.Helper()
	a := w.send(http.MethodGet, "/.well-known/jwks.json", "", "")
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		}
	}
	if err := json.Unmarshal([]byte(a.body), &set); err != nil || a.status != http.StatusOK {
		w.t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	for name, want := range map[string]string{"Cache-Control": "public, max-age=300", "Content-Type": "application/json"} {
		if got := a.header.Get(name); got != want {
			w.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	var ids []string
	for _, key := range set.Keys {
		ids = append(ids, key.ID)
	}
	return ids
}

func TestReceiversFindTheServersKeysWithoutAKeyOfTheirOwn(t *testing.T) {
	w := MustWorld(t, nil)
	old := w.MustKeySet()
	rotated, err := w.MustClient(adminKey).RotateSigningKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{rotated.ID}, old...), w.MustKeySet()); diff != "" || len(old) != 1 {
		t.Errorf("after a rotation (-want +got):\n%s", diff)
	}
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(append([]string{rotated.ID}, old...), w.MustKeySet()); diff != "" {
		t.Errorf("without the database (-want +got):\n%s", diff)
	}
}
