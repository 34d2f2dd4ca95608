package tenant_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestATenantIsFoundAsItWasCreated(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	if !a.Live || a.Alias != "acme" || a.ID.IsZero() || a.CreatedAt.IsZero() || !a.UpdatedAt.Equal(a.CreatedAt) {
		t.Errorf("created %+v", a.Tenant)
	}
	byID, err := s.Get(t.Context(), a.ID)
	if err != nil {
		t.Fatal(err)
	}
	byAlias, err := s.ByAlias(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	want := []tenant.Tenant{a.Tenant, a.Tenant}
	if diff := cmp.Diff(want, []tenant.Tenant{byID, byAlias}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheFirstKeyHasAllScopesAndTheTenantsKind(t *testing.T) {
	s := newService(t)
	for _, tt := range []struct {
		live   bool
		prefix string
	}{{true, "gv_live_"}, {false, "gv_test_"}} {
		ten, key, plaintext, err := s.Create(t.Context(), tenant.NewTenant{Alias: "a" + tt.prefix, Live: tt.live})
		if err != nil {
			t.Fatal(err)
		}
		want := tenant.Key{
			ID: key.ID, TenantID: ten.ID, Name: "default", Scopes: tenant.AllScopes(),
			Hint: plaintext[:12], CreatedAt: ten.CreatedAt,
		}
		if diff := cmp.Diff(want, key); diff != "" {
			t.Errorf("key (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]tenant.Key{want}, MustListKeys(t, s, ten.ID)); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		if random, ok := strings.CutPrefix(plaintext, tt.prefix); !ok || len(random) != 40 {
			t.Errorf("the key of a tenant with live=%v begins with %s and has %d characters", tt.live, plaintext[:8], len(plaintext))
		}
		p, err := s.Authenticate(t.Context(), plaintext, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tenant.Principal{KeyID: key.ID, KeyName: key.Name, KeyHint: key.Hint, Tenant: ten, Scopes: tenant.AllScopes()}, p); diff != "" {
			t.Errorf("principal (-want +got):\n%s", diff)
		}
	}
}

func TestAnAliasHasOneSpelling(t *testing.T) {
	good := []string{"a", "0", "acme", "acme-eu_2", "a-", "9_", strings.Repeat("a", 64)}
	bad := map[string]string{
		"empty":           "",
		"too long":        strings.Repeat("a", 65),
		"far too long":    strings.Repeat("a", 1<<20),
		"upper case":      "Acme",
		"a space":         "ac me",
		"a slash":         "acme/x",
		"dots":            "..",
		"leading dash":    "-acme",
		"leading line":    "_acme",
		"an umlaut":       "äcme",
		"a Kelvin sign":   "\u212aelvin",
		"a NUL":           "acme\x00",
		"a newline":       "acme\n",
		"not UTF-8":       "acme\xff",
		"SQL":             "a'; DROP TABLE tenant; --",
		"a wildcard":      "acme%",
		"a full-width a":  "\uff41cme",
		"only separators": "-_-",
	}
	s := newService(t)
	for _, alias := range good {
		MustCreate(t, s, alias)
	}
	other := MustCreate(t, s, "other")
	for name, alias := range bad {
		t.Run(name, func(t *testing.T) {
			_, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: alias})
			wantFields(t, err, alias, "alias")
			_, err = s.Update(t.Context(), other.ID, tenant.Patch{Alias: new(alias)})
			wantFields(t, err, alias, "alias")
			_, err = s.ByAlias(t.Context(), alias)
			wantProblem(t, err, problem.NotFound)
		})
	}
	all, _, err := s.List(t.Context(), tenant.Page{})
	if err != nil || len(all) != len(good)+1 {
		t.Errorf("%d tenants, %v; want the good ones", len(all), err)
	}
}

func TestAnAliasBelongsToOneLivingTenant(t *testing.T) {
	s := newService(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")

	_, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "acme"})
	wantProblem(t, err, problem.AliasTaken)
	_, err = s.Update(t.Context(), b.ID, tenant.Patch{Alias: new("acme")})
	wantProblem(t, err, problem.AliasTaken)
	if got, err := s.Get(t.Context(), b.ID); err != nil || !cmp.Equal(got, b.Tenant) {
		t.Errorf("the refused change left %+v, %v", got, err)
	}

	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	again := MustCreate(t, s, "acme")
	if again.ID == a.ID {
		t.Error("the new tenant has the deleted one's id")
	}
	wantRefused(t, s, a.plaintext, time.Now())
	wantAccepted(t, s, again.plaintext, time.Now(), again)
	if keys := MustListKeys(t, s, again.ID); len(keys) != 1 {
		t.Errorf("the new tenant has %d keys, want its own", len(keys))
	}
}

func TestOfManyWhoWantAnAliasOneGetsIt(t *testing.T) {
	s := newService(t)
	errs := make([]error, 16)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, _, _, errs[i] = s.Create(t.Context(), tenant.NewTenant{Alias: "acme"}) })
	}
	wg.Wait()
	got := 0
	for _, err := range errs {
		if err == nil {
			got++
			continue
		}
		wantProblem(t, err, problem.AliasTaken)
	}
	if got != 1 {
		t.Errorf("%d got the alias", got)
	}
}

func TestUpdateChangesTheAliasForEveryoneWhoAsks(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	wantAccepted(t, s, a.plaintext, time.Now(), a)

	changed, err := s.Update(t.Context(), a.ID, tenant.Patch{Alias: new("acme-eu")})
	if err != nil {
		t.Fatal(err)
	}
	if changed.Alias != "acme-eu" || !changed.UpdatedAt.After(a.UpdatedAt) || !changed.CreatedAt.Equal(a.CreatedAt) {
		t.Errorf("got %+v, was %+v", changed, a.Tenant)
	}
	a.Tenant = changed
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if got, err := s.ByAlias(t.Context(), "acme-eu"); err != nil || !cmp.Equal(got, changed) {
		t.Errorf("by the new alias: %+v, %v", got, err)
	}
	_, err = s.ByAlias(t.Context(), "acme")
	wantProblem(t, err, problem.NotFound)
}

func TestAnUpdateThatChangesNothingLeavesTheTenantAsItWas(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	for name, patch := range map[string]tenant.Patch{"empty": {}, "the same alias": {Alias: new("acme")}} {
		if got, err := s.Update(t.Context(), a.ID, patch); err != nil || !cmp.Equal(got, a.Tenant) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestListGivesEveryLivingTenantOnceInTheOrderOfIDs(t *testing.T) {
	s := newService(t)
	var want []id.ID
	for i := range 7 {
		a := MustCreate(t, s, fmt.Sprintf("t%d", i))
		if i == 3 {
			if err := s.Delete(t.Context(), a.ID); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want = append(want, a.ID)
	}
	slices.SortFunc(want, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) })
	for _, limit := range []int{1, 2, 3, 5, 6, 7, 250, 100_000, 0, -1} {
		var got []id.ID
		page := tenant.Page{Limit: limit}
		for pages := 0; ; pages++ {
			read, next, err := s.List(t.Context(), page)
			if err != nil || pages > len(want) || limit > 0 && len(read) > limit {
				t.Fatalf("limit %d: %d in page %d, %v", limit, len(read), pages, err)
			}
			for _, ten := range read {
				got = append(got, ten.ID)
			}
			if next.IsZero() {
				break
			}
			page.After = next
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
}

func TestAPageHasAtMost250(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	var wg sync.WaitGroup
	for range 250 { // with the first key one more than a page
		wg.Go(func() {
			if _, _, err := s.CreateKey(t.Context(), a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	keys, next, err := s.ListKeys(t.Context(), a.ID, tenant.Page{Limit: 1000})
	if err != nil || len(keys) != 250 || next != keys[249].ID {
		t.Fatalf("%d keys, next %s, %v", len(keys), next, err)
	}
	rest, next, err := s.ListKeys(t.Context(), a.ID, tenant.Page{Limit: 1000, After: next})
	if err != nil || len(rest) != 1 || !next.IsZero() {
		t.Fatalf("then %d keys, next %s, %v", len(rest), next, err)
	}
}

func TestADeletedTenantIsNotFoundAndItsKeysAreRefusedAtOnce(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	_, unused := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}})
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, s, a.plaintext, time.Now())
	wantRefused(t, s, unused, time.Now())
	wantNoTenant(t, s, a.ID, a.key.ID)
	_, err := s.ByAlias(t.Context(), "acme")
	wantProblem(t, err, problem.NotFound)
}

func TestATenantThatNeverWasIsNotFound(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	wantNoTenant(t, s, id.New(time.Now()), a.key.ID)
	wantNoTenant(t, s, id.ID{}, a.key.ID)
	wantAccepted(t, s, a.plaintext, time.Now(), a)
}

// wantNoTenant asks for everything that needs a tenant.
func wantNoTenant(t *testing.T, s *tenant.Service, of, key id.ID) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"get":        func() error { _, err := s.Get(ctx, of); return err },
		"update":     func() error { _, err := s.Update(ctx, of, tenant.Patch{Alias: new("other")}); return err },
		"delete":     func() error { return s.Delete(ctx, of) },
		"create key": func() error { _, _, err := s.CreateKey(ctx, of, tenant.NewKey{Scopes: tenant.AllScopes()}); return err },
		"list keys":  func() error { _, _, err := s.ListKeys(ctx, of, tenant.Page{}); return err },
		"revoke key": func() error { return s.RevokeKey(ctx, of, key) },
		"roll key":   func() error { _, _, err := s.RollKey(ctx, of, key, 0); return err },
	} {
		if err := call(); !problem.NotFound.Has(err) || !strings.Contains(err.Error(), "there is no such tenant") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhatBelongsToATenantEndsWithItOrNothingDoes(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	var told []id.ID
	refusal := errors.New("not now")
	s := MustService(t, d, tenant.Options{OnDelete: func(tx *db.Tx, of id.ID) error {
		told = append(told, of)
		if _, err := tx.Exec(`DELETE FROM subscription_version WHERE tenant_id = $1`, of); err != nil {
			return err
		}
		return refusal
	}})
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	for _, of := range []id.ID{a.ID, b.ID} {
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO subscription_version (tenant_id, version) VALUES ($1, 1)`, of)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	left := func() int {
		var n int
		err := d.Read(t.Context(), func(q db.Queryer) error {
			return q.QueryRow(`SELECT count(*) FROM subscription_version`).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if err := s.Delete(t.Context(), a.ID); !errors.Is(err, refusal) {
		t.Fatalf("got %v", err)
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if got, err := s.Get(t.Context(), a.ID); err != nil || !cmp.Equal(got, a.Tenant) || left() != 2 {
		t.Fatalf("the refused deletion left %+v, %v, and %d rows of 2", got, err, left())
	}

	refusal = nil
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if left() != 1 {
		t.Errorf("%d rows left, want the other tenant's", left())
	}
	wantRefused(t, s, a.plaintext, time.Now())
	wantAccepted(t, s, b.plaintext, time.Now(), b)
	if diff := cmp.Diff([]id.ID{a.ID, a.ID}, told); diff != "" {
		t.Errorf("told of (-want +got):\n%s", diff)
	}
}

func TestAServiceNeedsADatabaseAndSaneOptions(t *testing.T) {
	if _, err := tenant.New(nil, tenant.Options{}); err == nil {
		t.Error("made without a database")
	}
	if _, err := tenant.New(testkit.OpenDB(t, db.Options{}), tenant.Options{CachedKeys: -1}); err == nil {
		t.Error("made with a negative number of cached keys")
	}
}
