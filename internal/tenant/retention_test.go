package tenant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestARetentionIsKeptAlsoOfATenantThatWasDeleted(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
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
	s := MustService(t, testkit.OpenDB(t, db.Options{}), tenant.Options{})
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

func TestNoTenantAsksForMoreThanTheServerKeeps(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	before := MustService(t, d, tenant.Options{})
	acme := MustCreate(t, before, "acme")
	if _, err := before.Update(t.Context(), acme.ID, tenant.Patch{RetentionDays: new(60)}); err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	records := MustService(t, d, tenant.Options{Kept: tenant.Kept{Records: 30 * day}})
	bodies := MustService(t, d, tenant.Options{Kept: tenant.Kept{Records: 30 * day, Bodies: 36 * time.Hour}})
	for name, c := range map[string]struct {
		service *tenant.Service
		patch   tenant.Patch
		says    string // "": nothing
	}{
		"as long":                            {records, tenant.Patch{RetentionDays: new(30), BodyRetentionDays: new(30)}, ""},
		"a day longer":                       {records, tenant.Patch{RetentionDays: new(31)}, "retention_days: must not be more than the 30 days for which the server keeps them"},
		"bodies for longer":                  {records, tenant.Patch{RetentionDays: new(0), BodyRetentionDays: new(31)}, "body_retention_days: must not be more than the 30 days for which the server keeps them"},
		"bodies for longer than it has any":  {bodies, tenant.Patch{BodyRetentionDays: new(2)}, "body_retention_days: must not be more than the 36h0m0s for which the server keeps them"},
		"bodies for less":                    {bodies, tenant.Patch{BodyRetentionDays: new(1)}, ""},
		"another alias of one that had more": {records, tenant.Patch{Alias: new("acme-2")}, ""},
	} {
		_, err := c.service.Update(t.Context(), acme.ID, c.patch)
		if c.says == "" && err != nil || c.says != "" && (!problem.Invalid.Has(err) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
