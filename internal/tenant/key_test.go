package tenant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

const day = 24 * time.Hour

func TestAKeyIsListedAsItWasCreated(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	ends := time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{
		Name:      "Büro 🍇",
		Scopes:    []tenant.Scope{tenant.Read, tenant.Publish, tenant.Read},
		ExpiresAt: new(ends.In(time.FixedZone("east", 3600))),
	})
	want := tenant.Key{
		ID: key.ID, TenantID: a.ID, Name: "Büro 🍇", Scopes: tenant.Scopes{tenant.Publish, tenant.Read},
		Hint: plaintext[:12], CreatedAt: key.CreatedAt, ExpiresAt: ends.Truncate(time.Microsecond),
	}
	if diff := cmp.Diff(want, key); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for _, listed := range MustListKeys(t, s, a.ID) {
		if listed.ID == key.ID {
			if diff := cmp.Diff(want, listed); diff != "" {
				t.Errorf("listed (-want +got):\n%s", diff)
			}
			return
		}
	}
	t.Error("not listed")
}

func TestScopesAreExactAndIndependent(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	for _, has := range tenant.AllScopes() {
		_, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: []tenant.Scope{has}})
		p := wantAccepted(t, s, plaintext, time.Now(), a)
		for _, asked := range tenant.AllScopes() {
			if p.Can(asked) != (asked == has) {
				t.Errorf("a key for %s: Can(%s) = %v", has, asked, p.Can(asked))
			}
		}
	}
	for _, scope := range tenant.AllScopes() {
		if (tenant.Principal{}).Can(scope) || !(tenant.Principal{Admin: true}).Can(scope) {
			t.Errorf("%s: nobody can, or the operator can't", scope)
		}
	}
}

func TestABadKeyIsRefusedWithItsFields(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	read := []tenant.Scope{tenant.Read}
	for name, tt := range map[string]struct {
		key    tenant.NewKey
		fields []string
	}{
		"a name too long":        {tenant.NewKey{Name: strings.Repeat("ä", 101), Scopes: read}, []string{"name"}},
		"a name far too long":    {tenant.NewKey{Name: strings.Repeat("a", 1<<20), Scopes: read}, []string{"name"}},
		"a newline in the name":  {tenant.NewKey{Name: "a\nb", Scopes: read}, []string{"name"}},
		"a NUL in the name":      {tenant.NewKey{Name: "a\x00b", Scopes: read}, []string{"name"}},
		"an escape in the name":  {tenant.NewKey{Name: "a\x1b[31mb", Scopes: read}, []string{"name"}},
		"a C1 control":           {tenant.NewKey{Name: "a\u0085b", Scopes: read}, []string{"name"}},
		"a name not in UTF-8":    {tenant.NewKey{Name: "a\xffb", Scopes: read}, []string{"name"}},
		"no scopes":              {tenant.NewKey{}, []string{"scopes"}},
		"an unknown scope":       {tenant.NewKey{Scopes: []tenant.Scope{tenant.Read, "admin"}}, []string{"scopes"}},
		"two scopes in one":      {tenant.NewKey{Scopes: []tenant.Scope{"read publish"}}, []string{"scopes"}},
		"an empty scope":         {tenant.NewKey{Scopes: []tenant.Scope{""}}, []string{"scopes"}},
		"a scope in capitals":    {tenant.NewKey{Scopes: []tenant.Scope{"READ"}}, []string{"scopes"}},
		"an expiry in the past":  {tenant.NewKey{Scopes: read, ExpiresAt: new(time.Now().Add(-time.Second))}, []string{"expires_at"}},
		"the zero time":          {tenant.NewKey{Scopes: read, ExpiresAt: new(time.Time{})}, []string{"expires_at"}},
		"the year 10000":         {tenant.NewKey{Scopes: read, ExpiresAt: new(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))}, []string{"expires_at"}},
		"a time beyond counting": {tenant.NewKey{Scopes: read, ExpiresAt: new(time.Unix(1<<60, 0))}, []string{"expires_at"}},
		"everything":             {tenant.NewKey{Name: "\t", ExpiresAt: new(time.Unix(0, 0))}, []string{"name", "scopes", "expires_at"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := s.CreateKey(t.Context(), a.ID, tt.key)
			wantFields(t, err, tt.key.Name, tt.fields...)
		})
	}
	if keys := MustListKeys(t, s, a.ID); len(keys) != 1 {
		t.Errorf("%d keys, want the first one only", len(keys))
	}
}

func TestAThousandRepetitionsOfAScopeCountOnce(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	var scopes []tenant.Scope
	for range 1000 {
		scopes = append(scopes, tenant.Read, tenant.Manage)
	}
	key, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Name: strings.Repeat("ä", 100), Scopes: scopes})
	if got := key.Scopes.String(); got != "manage read" {
		t.Errorf("scopes %q", got)
	}
	if len(scopes) != 2000 || scopes[0] != tenant.Read {
		t.Error("the caller's scopes were changed")
	}
}

func TestARevokedKeyIsRefusedAtOnceAndStaysRevoked(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	other, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}})
	wantAccepted(t, s, plaintext, time.Now(), a)
	var first time.Time
	for range 2 {
		if err := s.RevokeKey(t.Context(), a.ID, other.ID); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, s, plaintext, time.Now())
		for _, k := range MustListKeys(t, s, a.ID) {
			if revoked := !k.RevokedAt.IsZero(); revoked != (k.ID == other.ID) {
				t.Errorf("key %s: revoked %v", k.ID, revoked)
			}
			if k.ID == other.ID && first.IsZero() {
				first = k.RevokedAt
			}
			if k.ID == other.ID && !k.RevokedAt.Equal(first) {
				t.Error("revoking again moved the time of revocation")
			}
		}
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
}

func TestATenantCanNotTouchAnothersKeys(t *testing.T) {
	s := newService(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	before := MustListKeys(t, s, a.ID)
	for name, key := range map[string]id.ID{"another tenant's": a.key.ID, "unknown": id.New(time.Now()), "zero": {}} {
		errs := []error{s.RevokeKey(t.Context(), b.ID, key)}
		_, _, err := s.RollKey(t.Context(), b.ID, key, 0)
		for _, err := range append(errs, err) {
			if !problem.NotFound.Has(err) || !strings.Contains(err.Error(), "there is no such key") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	if diff := cmp.Diff(before, MustListKeys(t, s, a.ID)); diff != "" {
		t.Errorf("the other tenant's keys changed (-want +got):\n%s", diff)
	}
	if keys := MustListKeys(t, s, b.ID); len(keys) != 1 || keys[0].ID != b.key.ID {
		t.Errorf("a tenant sees %d keys, want its own", len(keys))
	}
	wantAccepted(t, s, b.plaintext, time.Now(), b)
}

func TestARolledKeyGoesOnForTheOverlap(t *testing.T) {
	for name, overlap := range map[string]time.Duration{"none": 0, "a day": day, "a week": 7 * day} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			a := MustCreate(t, s, "acme")
			old, oldPlaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Name: "ci", Scopes: []tenant.Scope{tenant.Publish}})
			wantAccepted(t, s, oldPlaintext, time.Now(), a)
			key, plaintext, err := s.RollKey(t.Context(), a.ID, old.ID, overlap)
			if err != nil {
				t.Fatal(err)
			}
			want := tenant.Key{
				ID: key.ID, TenantID: a.ID, Name: "ci", Scopes: old.Scopes, Hint: plaintext[:12], CreatedAt: key.CreatedAt,
			}
			if diff := cmp.Diff(want, key); diff != "" || key.ID == old.ID || plaintext == oldPlaintext {
				t.Errorf("the new key (-want +got):\n%s", diff)
			}
			end := key.CreatedAt.Add(overlap)
			if overlap > 0 {
				wantAccepted(t, s, oldPlaintext, end.Add(-time.Microsecond), a)
			}
			wantRefused(t, s, oldPlaintext, end)
			wantAccepted(t, s, plaintext, end.Add(365*day), a)
			for _, k := range MustListKeys(t, s, a.ID) {
				if k.ID == old.ID && !k.ExpiresAt.Equal(end) {
					t.Errorf("the old key expires at %s, want %s", k.ExpiresAt, end)
				}
			}
		})
	}
}

func TestRollingNeverProlongsAKey(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	end := time.Now().Add(time.Hour)
	old, oldPlaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes(), ExpiresAt: &end})
	if _, _, err := s.RollKey(t.Context(), a.ID, old.ID, 7*day); err != nil {
		t.Fatal(err)
	}
	wantAccepted(t, s, oldPlaintext, old.ExpiresAt.Add(-time.Microsecond), a)
	wantRefused(t, s, oldPlaintext, old.ExpiresAt)
	if _, _, err := s.RollKey(t.Context(), a.ID, old.ID, time.Minute); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, s, oldPlaintext, old.ExpiresAt.Add(-time.Second))
}

func TestAKeyThatHasEndedCanNotBeRolled(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	revoked, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err := s.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	rolled, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if _, _, err := s.RollKey(t.Context(), a.ID, rolled.ID, 0); err != nil {
		t.Fatal(err)
	}
	before := MustListKeys(t, s, a.ID)
	for _, key := range []id.ID{revoked.ID, rolled.ID} {
		_, _, err := s.RollKey(t.Context(), a.ID, key, day)
		wantProblem(t, err, problem.Conflict)
	}
	if diff := cmp.Diff(before, MustListKeys(t, s, a.ID)); diff != "" {
		t.Errorf("the refused calls changed the keys (-want +got):\n%s", diff)
	}
}

func TestAnOverlapIsAtMostAWeek(t *testing.T) {
	s := newService(t)
	a := MustCreate(t, s, "acme")
	for _, overlap := range []time.Duration{-1, -day, 7*day + 1, 1<<63 - 1, -1 << 63} {
		_, _, err := s.RollKey(t.Context(), a.ID, a.key.ID, overlap)
		wantFields(t, err, overlap.String(), "overlap")
	}
	wantAccepted(t, s, a.plaintext, time.Now().Add(365*day), a)
}
