package app_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/app"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAServerOnPostgresServesItsTenantsAfterItsMasterKeyWasChanged(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: elsewhere the key may be in a file")
	}
	first, second := strings.Repeat("1a", 32), strings.Repeat("2b", 32)
	cfg := settings("")
	cfg.Database, cfg.MasterKey = testkit.DatabaseURL(t), first
	a, err := app.New(t.Context(), cfg, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := mustPost(t, a.URL()+"/v1/tenants", adminKey, `{"alias":"acme","live":true}`)["api_key"].(string)
	sub := mustPost(t, a.URL()+"/v1/subscriptions", key, `{"url":"http://127.0.0.1:1/","event_types":["*"]}`)
	if status, answer, err := send(t.Context(), http.MethodPost, a.URL()+"/v1/backup", adminKey, ""); err != nil || status != http.StatusConflict {
		t.Errorf("a backup: %d %v %v", status, answer, err)
	}
	stop(a)

	if _, err := app.RotateMasterKey(t.Context(), app.KeyRotation{Database: cfg.Database, MasterKey: first, NewKey: second}); err != nil {
		t.Fatal(err)
	}
	if _, err := app.New(t.Context(), cfg, app.Options{}); !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("a server with the old key: %v", err)
	}
	cfg.MasterKey = second
	a = mustStart(t, cfg)
	status, shown, err := send(t.Context(), http.MethodPost, a.URL()+"/v1/subscriptions/"+sub["id"].(string)+"/secret", key, "")
	if err != nil || status != http.StatusOK || !strings.Contains(shown["text"].(string), sub["secret"].(string)) {
		t.Errorf("the secret: %d %v, want %v", status, err, sub["secret"])
	}
}
