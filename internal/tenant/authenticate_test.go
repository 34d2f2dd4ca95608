package tenant_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhatIsNoKeyIsRefusedLikeAnUnknownKey(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	admin, err := s.EnsureAdminKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	revoked, revokedPlaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err := s.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, expiring := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes(), ExpiresAt: new(time.Now().Add(time.Hour))})
	deleted := MustCreate(t, s, "deleted")
	if err := s.Delete(t.Context(), deleted.ID); err != nil {
		t.Fatal(err)
	}
	good, now := a.plaintext, time.Now().Add(2*time.Hour)
	_, unknown := s.Authenticate(t.Context(), "gv_live_"+strings.Repeat("0", 40), now)
	wantProblem(t, unknown, problem.Unauthenticated)
	for name, text := range map[string]string{
		"nothing":                    "",
		"a space":                    " ",
		"a prefix":                   "gv_live_",
		"the admin prefix":           "gv_admin_",
		"a character too few":        good[:len(good)-1],
		"a character too many":       good + "0",
		"a space before":             " " + good,
		"a newline after":            good + "\n",
		"a NUL after":                good + "\x00",
		"another kind":               "gv_test_" + good[len("gv_live_"):],
		"a tenant's as an admin's":   "gv_admin_" + good[len("gv_live_"):],
		"an admin's as a tenant's":   "gv_live_" + admin[len("gv_admin_"):],
		"a long prefix":              "gv_live__" + good[len("gv_live_"):len(good)-1],
		"prefix in capitals":         strings.ToUpper(good[:8]) + good[8:],
		"the key in capitals":        good[:8] + strings.ToUpper(good[8:]),
		"with its scheme":            "Bearer " + good,
		"two keys":                   good + "," + good,
		"SQL":                        "gv_live_' OR '1'='1" + strings.Repeat("-", 29),
		"a wildcard":                 "gv_live_" + strings.Repeat("%", 40),
		"not UTF-8":                  "gv_live_" + strings.Repeat("\xff", 40),
		"an umlaut":                  "gv_live_" + strings.Repeat("ä", 20),
		"a megabyte":                 "gv_live_" + strings.Repeat("0", 1<<20),
		"a megabyte for the admin":   "gv_admin_" + strings.Repeat("0", 1<<20),
		"an unknown admin key":       "gv_admin_" + strings.Repeat("0", 40),
		"part of the admin key":      admin[:len(admin)-1],
		"more than the admin key":    admin + "0",
		"the key's hint":             a.key.Hint,
		"the key's id":               a.key.ID.String(),
		"a revoked key":              revokedPlaintext,
		"an expired key":             expiring,
		"a key of a deleted tenant":  deleted.plaintext,
		"an expired key, once again": expiring,
	} {
		t.Run(name, func(t *testing.T) {
			wantRefused(t, s, text, now)
			_, err := s.Authenticate(t.Context(), text, now)
			if diff := cmp.Diff(unknown, err); diff != "" {
				t.Errorf("it is told apart from an unknown key (-want +got):\n%s", diff)
			}
		})
	}
	wantAccepted(t, s, good, now, a)
}

func TestExpiryGoesByTheTimeOfEachCall(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes(), ExpiresAt: new(time.Now().Add(time.Hour))})
	for range 2 {
		wantRefused(t, s, plaintext, key.ExpiresAt)
		p := wantAccepted(t, s, plaintext, key.ExpiresAt.Add(-time.Microsecond), a)
		if !p.ExpiresAt.Equal(key.ExpiresAt) {
			t.Errorf("the principal expires at %s, want %s", p.ExpiresAt, key.ExpiresAt)
		}
		wantRefused(t, s, plaintext, key.ExpiresAt.Add(100*365*day))
	}
}

func TestAKeyIsLookedUpOnceAndThenKnown(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustService(t, d, tenant.Options{})
	a := MustCreate(t, s, "acme")
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
}

func TestAKeyThatCanNotBeLookedUpIsNotCalledWrong(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustService(t, d, tenant.Options{})
	a := MustCreate(t, s, "acme")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Authenticate(ctx, a.plaintext, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	_, other := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Authenticate(t.Context(), other, time.Now()); err == nil || problem.Unauthenticated.Has(err) {
		t.Errorf("closed: %v", err)
	}
}

func TestMoreKeysThanAreCachedWorkAndAreRevokedAllTheSame(t *testing.T) {
	s := MustService(t, testkit.OpenDB(t, db.Options{}), tenant.Options{CachedKeys: 2})
	a := MustCreate(t, s, "acme")
	plaintexts := map[string]tenant.Key{}
	for range 5 {
		key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
		plaintexts[plaintext] = key
	}
	for range 3 {
		for plaintext, key := range plaintexts {
			if p := wantAccepted(t, s, plaintext, time.Now(), a); p.KeyID != key.ID {
				t.Fatal("another key's principal")
			}
		}
	}
	for plaintext, key := range plaintexts {
		if err := s.RevokeKey(t.Context(), a.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, s, plaintext, time.Now())
	}
}

func TestNoCallThatBeginsAfterARevocationIsAccepted(t *testing.T) {
	// One cached key and two in use: nearly every call loads.
	s := MustService(t, testkit.OpenDB(t, db.Options{}), tenant.Options{CachedKeys: 1})
	a := MustCreate(t, s, "acme")
	for range 40 {
		revokeUnderLoad(t, s, a)
	}
}

// revokeUnderLoad revokes a fresh key of the tenant while others use it.
func revokeUnderLoad(t *testing.T, s *tenant.Service, a made) {
	t.Helper()
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	var revoked, done atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	defer wg.Wait()
	defer done.Store(true)
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				already := revoked.Load()
				if _, err := s.Authenticate(t.Context(), plaintext, time.Now()); (err == nil || !problem.Unauthenticated.Has(err)) && already {
					t.Errorf("a revoked key: %v", err)
				}
				if _, err := s.Authenticate(t.Context(), a.plaintext, time.Now()); err != nil {
					t.Errorf("another key: %v", err)
				}
				calls.Add(1)
			}
		})
	}
	for calls.Load() < 8 {
		wantAccepted(t, s, plaintext, time.Now(), a)
	}
	if err := s.RevokeKey(t.Context(), a.ID, key.ID); err != nil {
		t.Fatal(err)
	}
	revoked.Store(true)
	for until := calls.Load() + 8; calls.Load() < until; {
		wantRefused(t, s, plaintext, time.Now())
	}
}

func TestThePlaintextOfAKeyIsNotInTheDatabase(t *testing.T) {
	url := testkit.DatabaseURL(t)
	dir := filepath.Dir(testkit.DatabasePath(t, url))
	s := MustService(t, MustDB(t, url), tenant.Options{})
	admin, err := s.EnsureAdminKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	a := MustCreate(t, s, "findable-alias")
	key, second := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	_, third, err := s.RollKey(t.Context(), a.ID, key.ID, day)
	if err != nil {
		t.Fatal(err)
	}
	var stored []byte
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, content...)
	}
	if !bytes.Contains(stored, []byte("findable-alias")) || !bytes.Contains(stored, []byte(a.key.Hint)) {
		t.Fatal("what is stored was not read")
	}
	for name, plaintext := range map[string]string{"admin": admin, "first": a.plaintext, "second": second, "rolled": third} {
		random := plaintext[len(plaintext)-40:]
		for _, part := range []string{random, random[4:], random[:20], random[20:]} {
			if bytes.Contains(stored, []byte(part)) {
				t.Errorf("the %s key is stored", name)
			}
		}
	}
}

func TestKeysAreLongRandomAndUseTheWholeAlphabet(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	seen := map[string]bool{}
	counts := map[rune]int{}
	const keys = 100
	for range keys {
		_, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
		if seen[plaintext] {
			t.Fatal("twice the same key")
		}
		seen[plaintext] = true
		for _, c := range plaintext[len("gv_live_"):] {
			counts[c]++
		}
	}
	// Each of 62 characters comes about 64 times in 4000; none of a fair
	// source comes fewer than 20 or more than 130 times, once in 10^9 runs.
	for _, c := range "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz" {
		if counts[c] < 20 || counts[c] > 130 {
			t.Errorf("%q comes %d times in %d characters", c, counts[c], keys*40)
		}
		delete(counts, c)
	}
	if len(counts) != 0 {
		t.Errorf("other characters: %v", counts)
	}
}

func BenchmarkAuthenticateWithAKeyInUse(b *testing.B) {
	s := newService(b)
	a := MustCreate(b, s, "acme")
	now := time.Now()
	wantAccepted(b, s, a.plaintext, now, a)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), a.plaintext, now); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthenticateWithAnUnknownKey(b *testing.B) {
	s := newService(b)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Authenticate(b.Context(), "gv_live_"+strings.Repeat("0", 40), now); err == nil {
			b.Fatal("accepted")
		}
	}
}
