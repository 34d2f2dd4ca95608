package tenant

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// These tests stand inside the package to put a change exactly between the
// reading of a key and the keeping of it.

func TestAKeyThatChangesWhileItIsLoadedIsNotKeptAsItWas(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "t.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s, err := New(d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	refused := func(_ Tenant, p Principal, err error) bool {
		return problem.Unauthenticated.Has(err) && p.KeyID.IsZero()
	}
	for name, tt := range map[string]struct {
		change func(Tenant, Key) error
		right  func(was Tenant, p Principal, err error) bool
	}{
		"revoked": {func(ten Tenant, key Key) error { return s.RevokeKey(ctx, ten.ID, key.ID) }, refused},
		"rolled":  {func(ten Tenant, key Key) error { _, _, err := s.RollKey(ctx, ten.ID, key.ID, 0); return err }, refused},
		"deleted": {func(ten Tenant, _ Key) error { return s.Delete(ctx, ten.ID) }, refused},
		"renamed": {
			func(ten Tenant, _ Key) error { _, err := s.Update(ctx, ten.ID, Patch{Alias: new("other")}); return err },
			func(_ Tenant, p Principal, err error) bool { return err == nil && p.Tenant.Alias == "other" },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ten, key, plaintext, err := s.Create(ctx, NewTenant{Alias: name})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.principals.load(func() (*entry, error) {
				var e *entry
				err := d.Read(ctx, func(q db.Queryer) error {
					var err error
					e, err = principalByHash(q, hashOf(plaintext))
					return err
				})
				if err != nil {
					return nil, err
				}
				return e, tt.change(ten, key)
			})
			if err != nil {
				t.Fatal(err)
			}
			p, err := s.Authenticate(ctx, plaintext, time.Now())
			if !tt.right(ten, p, err) {
				t.Errorf("afterwards: %+v, %v", p, err)
			}
		})
	}
}

func TestTheCacheHoldsNoMoreThanItsLimit(t *testing.T) {
	p := newPrincipals(3)
	for i := range byte(10) {
		_, err := p.load(func() (*entry, error) { return &entry{hash: hash{i}}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if p.get(hash{i}) == nil {
			t.Fatalf("entry %d was not kept", i)
		}
		held := 0
		for j := range byte(10) {
			if p.get(hash{j}) != nil {
				held++
			}
		}
		if held > 3 {
			t.Fatalf("%d entries are held", held)
		}
	}
}
