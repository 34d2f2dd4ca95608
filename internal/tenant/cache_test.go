package tenant

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// These tests stand inside the package to put a change exactly between the
// reading of something and the keeping of it.

func TestAKeyThatChangesWhileItIsLoadedIsNotKeptAsItWas(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
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
			_, err = s.principals.load(hashOf(plaintext), func() (*entry, error) {
				var e *entry
				err := d.Read(ctx, func(q db.Queryer) error {
					var err error
					e, err = principalByHash(q, native, hashOf(plaintext))
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

// keyed is a dialect that signs with its API's key.
type keyed struct{ standard.Dialect }

func (keyed) Name() string          { return "saasquatch" }
func (keyed) Signing() wire.Signing { return wire.ByKey }
func (keyed) Settings() []wire.Setting {
	return []wire.Setting{{Name: "payload_version", Values: []string{"2016", "2020"}}}
}

func TestATenantThatChangesWhileItsIdentityIsLoadedIsNotKeptAsItWas(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(d, Options{Box: box, Dialects: []wire.Dialect{standard.Dialect{}, keyed{}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	newKey := NewKey{Dialect: "saasquatch", Value: "given-value", Scopes: AllScopes()}
	for name, tt := range map[string]struct {
		change func(Tenant, Key) error
		right  func(as *wire.Identity, err error) bool
	}{
		"renamed": {
			func(ten Tenant, _ Key) error { _, err := s.Update(ctx, ten.ID, Patch{Alias: new("other")}); return err },
			func(as *wire.Identity, err error) bool { return err == nil && as.Tenant.Alias == "other" },
		},
		"set": {
			func(ten Tenant, _ Key) error {
				return s.SetSettings(ctx, ten.ID, "saasquatch", wire.Settings{"payload_version": "2020"})
			},
			func(as *wire.Identity, err error) bool {
				return err == nil && as.Tenant.Settings["payload_version"] == "2020"
			},
		},
		"newer": {
			func(ten Tenant, _ Key) error { _, _, err := s.CreateKey(ctx, ten.ID, newKey); return err },
			func(as *wire.Identity, err error) bool { return err == nil && as.Key == "given-value" },
		},
		"revoked": {
			func(ten Tenant, key Key) error { return s.RevokeKey(ctx, ten.ID, key.ID) },
			func(as *wire.Identity, err error) bool { return err == nil && as.Key == "" },
		},
		"silenced": {
			func(ten Tenant, _ Key) error {
				_, err := s.Update(ctx, ten.ID, Patch{Dialects: &[]string{"standard"}})
				return err
			},
			func(_ *wire.Identity, err error) bool { return problem.Invalid.Has(err) },
		},
		"deleted": {
			func(ten Tenant, _ Key) error { return s.Delete(ctx, ten.ID) },
			func(_ *wire.Identity, err error) bool { return problem.NotFound.Has(err) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			ten, _, _, err := s.Create(ctx, NewTenant{Alias: name})
			if err != nil {
				t.Fatal(err)
			}
			key, _, err := s.CreateKey(ctx, ten.ID, NewKey{Dialect: "saasquatch", Scopes: AllScopes()})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.speakers.load(speaking{ten.ID, "saasquatch"}, func() (*speaker, error) {
				var sp *speaker
				err := d.Read(ctx, func(q db.Queryer) error {
					var err error
					sp, err = s.readSpeaker(q, ten.ID, keyed{})
					return err
				})
				if err != nil {
					return nil, err
				}
				return sp, tt.change(ten, key)
			})
			if err != nil {
				t.Fatal(err)
			}
			if as, err := s.Identity(ctx, ten.ID, "saasquatch"); !tt.right(as, err) {
				t.Errorf("afterwards: %+v, %v", as, err)
			}
		})
	}
}

func TestTheCacheHoldsNoMoreThanItsLimit(t *testing.T) {
	c := newCache[int, *entry](3, nil)
	for i := range 10 {
		_, err := c.load(i, func() (*entry, error) { return &entry{}, nil })
		if err != nil {
			t.Fatal(err)
		}
		if c.get(i) == nil {
			t.Fatalf("entry %d was not kept", i)
		}
		held := 0
		for j := range 10 {
			if c.get(j) != nil {
				held++
			}
		}
		if held > 3 {
			t.Fatalf("%d entries are held", held)
		}
	}
}
