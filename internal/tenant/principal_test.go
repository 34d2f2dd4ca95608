package tenant_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

func TestAKeyIsThePrincipalsWhetherItIsShownOrNamed(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	now := time.Now()
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}, ExpiresAt: new(now.Add(time.Hour))})
	named, err := s.Principal(t.Context(), a.ID, key.ID, now)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantAccepted(t, s, plaintext, now, a), named); diff != "" {
		t.Errorf("the named key is another principal's (-shown +named):\n%s", diff)
	}
}

func TestANamedKeyThatHasEndedIsRefused(t *testing.T) {
	s := newService(t)
	a, b, deleted := MustCreate(t, s, "acme"), MustCreate(t, s, "other"), MustCreate(t, s, "deleted")
	now := time.Now()
	expiring, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes(), ExpiresAt: new(now.Add(time.Hour))})
	revoked, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err := s.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), deleted.ID); err != nil {
		t.Fatal(err)
	}
	for name, of := range map[string]struct{ tenant, key id.ID }{
		"expired":             {a.ID, expiring.ID},
		"revoked":             {a.ID, revoked.ID},
		"another tenant's":    {b.ID, a.key.ID},
		"a deleted tenant's":  {deleted.ID, deleted.key.ID},
		"unknown":             {a.ID, id.New(now)},
		"of an unknown owner": {id.New(now), a.key.ID},
		"nobody's":            {},
	} {
		p, err := s.Principal(t.Context(), of.tenant, of.key, now.Add(time.Hour))
		if !problem.Unauthenticated.Has(err) || !cmp.Equal(p, tenant.Principal{}) {
			t.Errorf("%s: got %v and %v, want a refusal", name, p, err)
		}
	}
}
