package tenant_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func MustIdentity(t testing.TB, s *tenant.Service, of id.ID, dialect string) *wire.Identity {
	t.Helper()
	as, err := s.Identity(t.Context(), of, dialect)
	if err != nil {
		t.Fatal(err)
	}
	return as
}

// MustSign makes a key that the tenant's saasquatch signs with.
func MustSign(t testing.TB, s *tenant.Service, of id.ID, n tenant.NewKey) (tenant.Key, string) {
	t.Helper()
	n.Dialect, n.Scopes = "saasquatch", tenant.AllScopes()
	return MustCreateKey(t, s, of, n)
}

// rsaKeys hands out the key that it holds.
type rsaKeys struct{ atomic.Pointer[wire.RSAKey] }

func newRSAKeys() *rsaKeys {
	var k rsaKeys
	k.Store(&wire.RSAKey{ID: "first", Private: &rsa.PrivateKey{}})
	return &k
}

func (k *rsaKeys) current(context.Context) (*wire.RSAKey, error) {
	key := k.Load()
	if key == nil {
		return nil, errNoRSA
	}
	return key, nil
}

var errNoRSA = errors.New("no RSA key")

func TestAnIdentityIsWhatTheTenantHasAndChose(t *testing.T) {
	rsaKeys := newRSAKeys()
	s := MustPolyglot(t, testkit.OpenDB(t, db.Options{}), rsaKeys.current)
	a := MustCreate(t, s, "acme")
	test, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "test"})
	if err != nil {
		t.Fatal(err)
	}
	_, plaintext := MustSign(t, s, a.ID, tenant.NewKey{})
	MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()})
	chosen := wire.Settings{"jws": "on", "payload_version": "2020"}
	MustSet(t, s, a.ID, "saasquatch", chosen)
	got := map[string]*wire.Identity{
		"with everything":  MustIdentity(t, s, a.ID, "saasquatch"),
		"no key, no RSA":   MustIdentity(t, s, test.ID, "saasquatch"),
		"keys only hashed": MustIdentity(t, s, a.ID, "rehook"),
		"standard":         MustIdentity(t, s, a.ID, "standard"),
	}
	live := wire.Tenant{Alias: "acme", Live: true, Settings: wire.Settings{}}
	want := map[string]*wire.Identity{
		"with everything":  {Tenant: wire.Tenant{Alias: "acme", Live: true, Settings: chosen}, Key: plaintext, RSA: rsaKeys.Load()},
		"no key, no RSA":   {Tenant: wire.Tenant{Alias: "test", Settings: wire.Settings{}}},
		"keys only hashed": {Tenant: live},
		"standard":         {Tenant: live},
	}
	sameRSA := cmp.Comparer(func(a, b *wire.RSAKey) bool { return a == b })
	if diff := cmp.Diff(want, got, sameRSA); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestAnIdentityIsTheSameUntilSomethingAboutItChanges(t *testing.T) {
	rsaKeys := newRSAKeys()
	s := MustPolyglot(t, testkit.OpenDB(t, db.Options{}), rsaKeys.current)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	native, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	first, _ := MustSign(t, s, a.ID, tenant.NewKey{})
	MustSet(t, s, a.ID, "saasquatch", wire.Settings{"jws": "on"})
	ctx := t.Context()
	for _, tt := range []struct {
		name    string
		change  func() error
		changes bool
	}{
		{"nothing", func() error { return nil }, false},
		{"another tenant's settings", func() error { return s.SetSettings(ctx, b.ID, "saasquatch", wire.Settings{"payload_version": "2020"}) }, false},
		{"another tenant's key", func() error { MustSign(t, s, b.ID, tenant.NewKey{}); return nil }, false},
		{"another tenant's alias", func() error { MustUpdate(t, s, b.ID, tenant.Patch{Alias: new("other")}); return nil }, false},
		{"another dialect's settings", func() error { return s.SetSettings(ctx, a.ID, "partnerstack", wire.Settings{"literal_slips": "on"}) }, false},
		{"another dialect's key", func() error {
			MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()})
			return nil
		}, false},
		{"a native key", func() error { return s.RevokeKey(ctx, a.ID, native.ID) }, false},
		{"a change that is refused", func() error {
			wantFields(t, s.SetSettings(ctx, a.ID, "saasquatch", wire.Settings{"jws": "no"}), "", "settings.jws")
			return nil
		}, false},
		{"its alias", func() error { MustUpdate(t, s, a.ID, tenant.Patch{Alias: new("acme-eu")}); return nil }, true},
		{"its settings", func() error {
			return s.SetSettings(ctx, a.ID, "saasquatch", wire.Settings{"jws": "on", "payload_version": "2020"})
		}, true},
		{"a newer key", func() error { MustSign(t, s, a.ID, tenant.NewKey{}); return nil }, true},
		{"the server's key", func() error { rsaKeys.Store(&wire.RSAKey{ID: "second"}); return nil }, true},
		{"a key rolled", func() error { _, _, err := s.RollKey(ctx, a.ID, first.ID, 0); return err }, true},
		{"the RSA key no longer wanted", func() error { return s.SetSettings(ctx, a.ID, "saasquatch", nil) }, true},
	} {
		before := MustIdentity(t, s, a.ID, "saasquatch")
		was := *before
		if err := tt.change(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		after := MustIdentity(t, s, a.ID, "saasquatch")
		if same := before == after; same == tt.changes {
			t.Errorf("%s: the same identity: %v", tt.name, same)
		}
		if tt.changes && cmp.Equal(*before, *after, cmp.Comparer(func(a, b *wire.RSAKey) bool { return a == b })) {
			t.Errorf("%s: another identity that says the same", tt.name)
		}
		if !cmp.Equal(was, *before, cmp.Comparer(func(a, b *wire.RSAKey) bool { return a == b })) {
			t.Errorf("%s: the identity that was handed out has changed", tt.name)
		}
	}
}

func TestTheNewestKeySignsAndAnOlderOneWhenThatEnds(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustPolyglot(t, d, nil)
	a := MustCreate(t, s, "acme")
	wantKey := func(want string) {
		t.Helper()
		if got := MustIdentity(t, s, a.ID, "saasquatch").Key; got != want {
			t.Fatalf("signs with another key than the one that begins with %.12q: %.12q", want, got)
		}
	}
	wantKey("")
	first, one := MustSign(t, s, a.ID, tenant.NewKey{})
	wantKey(one)
	second, two := MustSign(t, s, a.ID, tenant.NewKey{Value: "given-by-the-company"})
	wantKey(two)
	third, three, err := s.RollKey(t.Context(), a.ID, first.ID, day) // the older one, which then ends
	if err != nil {
		t.Fatal(err)
	}
	wantKey(three)
	wantOpened(t, s, credential("saasquatch", a, one), time.Now(), first)
	if err := s.RevokeKey(t.Context(), a.ID, third.ID); err != nil {
		t.Fatal(err)
	}
	wantKey(two)
	if err := s.RevokeKey(t.Context(), a.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	wantKey(two)
	if err := s.RevokeKey(t.Context(), a.ID, second.ID); err != nil {
		t.Fatal(err)
	}
	wantKey("")

	// The clock was set back since the last key was made.
	ahead, _ := MustSign(t, s, a.ID, tenant.NewKey{})
	err = d.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE api_key SET created_at = $2 WHERE id = $1`, ahead.ID, db.Micro(tx.Now().Add(day)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	_, newest := MustSign(t, s, a.ID, tenant.NewKey{})
	wantKey(newest)
}

func TestAKeyStopsSigningWhenItExpires(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := testkit.OpenDB(t, db.Options{})
		s := MustPolyglot(t, d, nil)
		a := MustCreate(t, s, "acme")
		_, lasting := MustSign(t, s, a.ID, tenant.NewKey{})
		_, middle := MustSign(t, s, a.ID, tenant.NewKey{ExpiresAt: new(time.Now().Add(2 * time.Hour))})
		_, short := MustSign(t, s, a.ID, tenant.NewKey{ExpiresAt: new(time.Now().Add(time.Hour))})
		for _, tt := range []struct {
			wait time.Duration
			want string
		}{{0, short}, {time.Hour - time.Microsecond, short}, {time.Microsecond, middle}, {time.Hour, lasting}, {1000 * day, lasting}} {
			time.Sleep(tt.wait)
			first := MustIdentity(t, s, a.ID, "saasquatch")
			if first.Key != tt.want || first != MustIdentity(t, s, a.ID, "saasquatch") {
				t.Errorf("after another %s: key %.12s, or not the same identity twice", tt.wait, first.Key)
			}
		}
	})
}

func TestAnIdentityIsReadOnceAndThenKnown(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustPolyglot(t, d, nil)
	a := MustCreate(t, s, "acme")
	seen := make([]*wire.Identity, 16)
	var wg sync.WaitGroup
	for i := range seen {
		wg.Go(func() { seen[i], _ = s.Identity(t.Context(), a.ID, "saasquatch") })
	}
	wg.Wait()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for _, as := range seen {
		if as == nil || as != MustIdentity(t, s, a.ID, "saasquatch") {
			t.Fatal("not the same identity for all")
		}
	}
	if _, err := s.Identity(t.Context(), a.ID, "standard"); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("one that can't be read: %v", err)
	}
}

func TestWhoDoesNotSpeakADialectHasNoIdentityInIt(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	MustIdentity(t, s, a.ID, "rehook")
	MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{"standard", "saasquatch"}})
	for range 2 {
		_, err := s.Identity(t.Context(), a.ID, "rehook")
		wantFields(t, err, "rehook", "dialect")
		_, err = s.Identity(t.Context(), a.ID, "klingon")
		wantFields(t, err, "klingon", "dialect")
		MustIdentity(t, s, a.ID, "saasquatch")
		MustIdentity(t, s, b.ID, "rehook")
	}
	MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{}})
	MustIdentity(t, s, a.ID, "rehook")
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	for _, of := range []id.ID{a.ID, {}} {
		_, err := s.Identity(t.Context(), of, "rehook")
		wantProblem(t, err, problem.NotFound)
	}
}

func TestTheServersKeyIsThereBeforeASettingThatNeedsIt(t *testing.T) {
	keys := &rsaKeys{}
	s := MustPolyglot(t, testkit.OpenDB(t, db.Options{}), keys.current)
	a := MustCreate(t, s, "acme")
	on := wire.Settings{"jws": "on"}
	if err := s.SetSettings(t.Context(), a.ID, "saasquatch", on); !errors.Is(err, errNoRSA) {
		t.Errorf("got %v", err)
	}
	wantSettings(t, s, a.ID, "saasquatch", wire.Settings{})
	MustIdentity(t, s, a.ID, "saasquatch")

	keys.Store(&wire.RSAKey{ID: "k"})
	MustSet(t, s, a.ID, "saasquatch", on)
	keys.Store(nil)
	if as, err := s.Identity(t.Context(), a.ID, "saasquatch"); !errors.Is(err, errNoRSA) {
		t.Errorf("without the key it was promised the tenant is %+v, %v", as, err)
	}
	unable := newPolyglot(t)
	b := MustCreate(t, unable, "acme")
	if err := unable.SetSettings(t.Context(), b.ID, "saasquatch", on); err == nil {
		t.Error("a server without keys lets a tenant ask for one")
	}
}

func TestNoIdentityIsOlderThanAChangeThatWasCommittedBefore(t *testing.T) {
	rsaKeys := newRSAKeys()
	s := MustPolyglot(t, testkit.OpenDB(t, db.Options{}), rsaKeys.current)
	a := MustCreate(t, s, "acme")
	MustSet(t, s, a.ID, "saasquatch", wire.Settings{"jws": "on"})
	// What was committed, by the number of the change; readers look at it first.
	type state struct {
		n                int
		alias, key, kind string
	}
	var committed atomic.Pointer[state]
	first, one := MustSign(t, s, a.ID, tenant.NewKey{})
	committed.Store(&state{0, "acme", one, "first"})
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				before := committed.Load()
				as, err := s.Identity(t.Context(), a.ID, "saasquatch")
				after := committed.Load()
				if err != nil {
					t.Error(err)
					return
				}
				// A change may be seen before its call has returned.
				if before == after && as.Tenant.Alias != before.alias && as.Tenant.Alias != fmt.Sprintf("acme%d", before.n+1) {
					t.Errorf("after change %d the alias is %s", before.n, as.Tenant.Alias)
				}
			}
		})
	}
	defer wg.Wait()
	defer done.Store(true)
	last := first
	for n := 1; n <= 60; n++ {
		now := *committed.Load()
		now.n = n
		switch n % 3 {
		case 0:
			now.alias = fmt.Sprintf("acme%d", n)
			MustUpdate(t, s, a.ID, tenant.Patch{Alias: &now.alias})
		case 1:
			var err error
			if last, now.key, err = s.RollKey(t.Context(), a.ID, last.ID, 0); err != nil {
				t.Fatal(err)
			}
		case 2:
			now.kind = fmt.Sprint(n)
			rsaKeys.Store(&wire.RSAKey{ID: now.kind})
		}
		committed.Store(&now)
		as := MustIdentity(t, s, a.ID, "saasquatch")
		got := state{n, as.Tenant.Alias, as.Key, as.RSA.ID}
		if got != now {
			t.Fatalf("after change %d: %+v, want %+v", n, got, now)
		}
	}
}

func BenchmarkIdentityThatIsKnown(b *testing.B) {
	s := MustPolyglot(b, testkit.OpenDB(b, db.Options{}), newRSAKeys().current)
	a := MustCreate(b, s, "acme")
	MustSet(b, s, a.ID, "saasquatch", wire.Settings{"jws": "on"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Identity(b.Context(), a.ID, "saasquatch"); err != nil {
			b.Fatal(err)
		}
	}
}
