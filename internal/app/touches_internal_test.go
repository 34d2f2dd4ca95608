package app

import (
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// soon waits until ok.
func soon(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("it did not come to pass that %s", what)
}

func TestWithATenantItsExportsAreDeleted(t *testing.T) {
	w := mustVendorWorld(t)
	if _, err := w.programs.exports.Order(t.Context(), w.tenant, export.Request{Type: "REFERRAL"}); err != nil {
		t.Fatal(err)
	}
	status, text := w.ask(http.MethodDelete, w.URL()+"/v1/tenants/"+id.Tenant.Format(w.tenant), "", func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+operatorKey)
	})
	if status != http.StatusNoContent {
		t.Fatalf("%d %s", status, text)
	}
	soon(t, "the export is gone", func() bool {
		_, n, err := w.programs.exports.List(t.Context(), w.tenant, export.Page{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
}

func TestAServerThatStartsRemovesClicksThatAreNobodysAndOld(t *testing.T) {
	w := mustVendorWorld(t)
	p, err := w.programs.kinds.Create(t.Context(), w.tenant, program.New{Key: "friends", Kind: referral.KindName})
	if err != nil {
		t.Fatal(err)
	}
	for _, age := range []time.Duration{time.Hour, 401 * 24 * time.Hour} {
		err := w.db.Write(t.Context(), func(tx *db.Tx) error {
			_, err := attribution.Record(tx, attribution.Touch{
				TenantID: w.tenant, Short: "anna12345", ProgramID: p.ID, MembershipID: id.New(time.Now()), Method: attribution.ByLink,
				CookieID: "a", IP: netip.MustParseAddr("203.0.113.9"), At: time.Now().Add(-age),
			})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	stop := w.keepPruning(t.Context())
	defer stop()
	soon(t, "the old one is gone, and the other one is left", func() bool {
		left := 0
		err := w.db.Read(t.Context(), func(q db.Queryer) error {
			touches, err := attribution.OfCookie(q, w.tenant, "a", attribution.Page{})
			left = len(touches)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return left == 1
	})
}
