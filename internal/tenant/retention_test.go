package tenant_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

func TestARetentionIsKeptAlsoOfATenantThatWasDeleted(t *testing.T) {
	d := MustDB(t, filepath.Join(t.TempDir(), "t.db"))
	s := MustService(t, d, tenant.Options{})
	acme := MustCreate(t, s, "acme")
	want := func(of id.ID, want tenant.Retention) {
		t.Helper()
		err := d.Read(t.Context(), func(q db.Queryer) error {
			got, err := tenant.RetentionOf(q, of)
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	want(acme.ID, tenant.Retention{})
	want(id.New(time.Now()), tenant.Retention{})
	changed, err := s.Update(t.Context(), acme.ID, tenant.Patch{RetentionDays: new(7), BodyRetentionDays: new(2)})
	if err != nil || changed.Retention != (tenant.Retention{Days: 7, BodyDays: 2}) {
		t.Fatalf("%+v, %v", changed.Retention, err)
	}
	if _, err := s.Update(t.Context(), acme.ID, tenant.Patch{BodyRetentionDays: new(0)}); err != nil {
		t.Fatal(err)
	}
	want(acme.ID, tenant.Retention{Days: 7})
	if err := s.Delete(t.Context(), acme.ID); err != nil {
		t.Fatal(err)
	}
	want(acme.ID, tenant.Retention{Days: 7})
}

func TestARetentionThatCanNotBeIsRefused(t *testing.T) {
	s := MustService(t, MustDB(t, filepath.Join(t.TempDir(), "t.db")), tenant.Options{})
	acme := MustCreate(t, s, "acme")
	for name, patch := range map[string]tenant.Patch{
		"less than none":                  {RetentionDays: new(-1)},
		"longer than ten years":           {RetentionDays: new(3651)},
		"bodies for longer than a record": {RetentionDays: new(7), BodyRetentionDays: new(8)},
		"bodies for less than none":       {BodyRetentionDays: new(-1)},
	} {
		if _, err := s.Update(t.Context(), acme.ID, patch); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if now, err := s.Get(t.Context(), acme.ID); err != nil || now.Retention != (tenant.Retention{}) {
		t.Errorf("%+v, %v", now.Retention, err)
	}
}
