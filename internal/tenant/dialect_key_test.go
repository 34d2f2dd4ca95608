package tenant_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// credential is what a client of the tenant shows.
func credential(dialect string, of made, key string) tenant.Credential {
	return tenant.Credential{Dialect: dialect, Alias: of.Alias, Key: key}
}

func wantOpened(t testing.TB, s *tenant.Service, c tenant.Credential, now time.Time, want tenant.Key) {
	t.Helper()
	p, err := s.AuthenticateDialect(t.Context(), c, now)
	if err != nil {
		t.Fatalf("the key is refused: %v", err)
	}
	if p.KeyID != want.ID || p.Tenant.ID != want.TenantID || p.Dialect != want.Dialect || p.Admin || !cmp.Equal(p.Scopes, want.Scopes) {
		t.Fatalf("got %+v, want the owner of %+v", p, want)
	}
}

func wantShut(t testing.TB, s *tenant.Service, c tenant.Credential, now time.Time) {
	t.Helper()
	p, err := s.AuthenticateDialect(t.Context(), c, now)
	if !problem.Unauthenticated.Has(err) {
		t.Fatalf("got %v, want %s", err, problem.Unauthenticated.Name)
	}
	if diff := cmp.Diff(tenant.Principal{}, p); diff != "" {
		t.Fatalf("a refusal names someone (-want +got):\n%s", diff)
	}
}

// given is a good value of each dialect, for a live tenant.
var given = map[string]string{
	"saasquatch":   "LIVE_x7!~Qa",
	"referralloop": "pk_live_0123456789abcdef",
	"rehook":       "app1:s3cr",
	"partnerstack": "pub!:" + strings.Repeat("s", 200),
}

func TestADialectsKeyIsMadeInItsForm(t *testing.T) {
	s := newPolyglot(t)
	for _, tt := range []struct {
		dialect, form string
		live          bool
	}{
		{"saasquatch", `^gvsq_live_[0-9A-Za-z]{40}$`, true},
		{"saasquatch", `^gvsq_test_[0-9A-Za-z]{40}$`, false},
		{"referralloop", `^pk_live_[0-9A-Za-z]{40}$`, true},
		{"referralloop", `^pk_test_[0-9A-Za-z]{40}$`, false},
		{"rehook", `^gvrh_live_[0-9A-Za-z]{16}:gvrh_sk_[0-9A-Za-z]{40}$`, true},
		{"rehook", `^gvrh_test_[0-9A-Za-z]{16}:gvrh_sk_[0-9A-Za-z]{40}$`, false},
		{"partnerstack", `^gvps_live_[0-9A-Za-z]{16}:gvps_sk_[0-9A-Za-z]{40}$`, true},
	} {
		ten, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: tt.dialect + map[bool]string{true: "-live", false: "-test"}[tt.live], Live: tt.live})
		if err != nil {
			t.Fatal(err)
		}
		key, plaintext := MustCreateKey(t, s, ten.ID, tenant.NewKey{Dialect: tt.dialect, Name: "n", Scopes: tenant.AllScopes()})
		if !regexp.MustCompile(tt.form).MatchString(plaintext) {
			t.Errorf("%s: the key has another form than %s", tt.dialect, tt.form)
		}
		begins := plaintext[:strings.LastIndexByte(plaintext[:11], '_')+5]
		want := tenant.Key{
			ID: key.ID, TenantID: ten.ID, Dialect: tt.dialect, Name: "n", Scopes: tenant.AllScopes(), Hint: begins, CreatedAt: key.CreatedAt,
		}
		listed := slices.DeleteFunc(MustListKeys(t, s, ten.ID), func(k tenant.Key) bool { return k.ID != key.ID })
		if diff := cmp.Diff([][]tenant.Key{{want}, {want}}, [][]tenant.Key{{key}, listed}); diff != "" {
			t.Errorf("%s: created and listed (-want +got):\n%s", tt.dialect, diff)
		}
		wantOpened(t, s, credential(tt.dialect, made{Tenant: ten}, plaintext), time.Now(), key)
	}
}

func TestAGivenKeyIsKeptAndItsHintGivesLittleAway(t *testing.T) {
	s := newPolyglot(t)
	a := MustCreate(t, s, "acme")
	hints := map[string]string{"saasquatch": "LI", "referralloop": "pk_liv", "rehook": "app1", "partnerstack": "pub!"}
	for dialect, value := range given {
		key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: dialect, Value: value, Scopes: []tenant.Scope{tenant.Read}})
		if plaintext != value || key.Hint != hints[dialect] {
			t.Errorf("%s: another key, or the hint %q", dialect, key.Hint)
		}
		wantOpened(t, s, credential(dialect, a, value), time.Now(), key)
	}
}

func TestAKeyOpensItsOwnDialectOnly(t *testing.T) {
	s := newPolyglot(t)
	if _, err := s.EnsureAdminKey(t.Context(), givenAdmin); err != nil {
		t.Fatal(err)
	}
	a := MustCreate(t, s, "acme")
	keys := map[string]string{"": a.plaintext, "standard": a.plaintext, "admin": givenAdmin}
	for dialect := range given {
		_, keys[dialect] = MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: dialect, Scopes: tenant.AllScopes()})
	}
	for from, key := range keys {
		for into := range keys {
			if from != into || given[into] == "" {
				wantShut(t, s, credential(into, a, key), time.Now())
			}
		}
		if given[from] != "" {
			wantRefused(t, s, key, time.Now())
		}
	}
	// A text that has the shape of a native key is not one for that.
	shaped := "gv_live_" + strings.Repeat("a", 40)
	key, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "saasquatch", Value: shaped, Scopes: tenant.AllScopes()})
	for range 2 {
		wantRefused(t, s, shaped, time.Now())
		wantOpened(t, s, credential("saasquatch", a, shaped), time.Now(), key)
	}
}

func TestTheSameTextCanBeAKeyOfTwoDialects(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	const pair = "public:secret"
	one, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Value: pair, Scopes: []tenant.Scope{tenant.Read}})
	other, _ := MustCreateKey(t, s, b.ID, tenant.NewKey{Dialect: "partnerstack", Value: pair, Scopes: []tenant.Scope{tenant.Publish}})
	wantOpened(t, s, credential("rehook", a, pair), time.Now(), one)
	wantOpened(t, s, credential("partnerstack", b, pair), time.Now(), other)
}

func TestWhatIsNoKeyOfADialectIsRefusedLikeAnUnknownOne(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	sign, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "saasquatch", Value: "in-use-by-acme", Scopes: tenant.AllScopes()})
	MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Value: "public:secret", Scopes: tenant.AllScopes()})
	MustCreateKey(t, s, b.ID, tenant.NewKey{Dialect: "rehook", Value: "other:private", Scopes: tenant.AllScopes()})
	revoked, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Value: "revoked:secret", Scopes: tenant.AllScopes()})
	MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Value: "expired:secret", Scopes: tenant.AllScopes(), ExpiresAt: new(time.Now().Add(time.Hour))})
	if err := s.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(2 * time.Hour)
	_, unknown := s.AuthenticateDialect(t.Context(), tenant.Credential{Dialect: "rehook", Key: "nobody:knows"}, now)
	wantProblem(t, unknown, problem.Unauthenticated)
	for name, c := range map[string]tenant.Credential{
		"nothing":                 {},
		"an unknown dialect":      {Dialect: "klingon", Key: "public:secret"},
		"no key":                  {Dialect: "rehook"},
		"the public half":         {Dialect: "rehook", Key: "public"},
		"the public half alone":   {Dialect: "rehook", Key: "public:"},
		"the secret half alone":   {Dialect: "rehook", Key: ":secret"},
		"another's secret half":   {Dialect: "rehook", Key: "public:private"},
		"another's public half":   {Dialect: "rehook", Key: "other:secret"},
		"the halves exchanged":    {Dialect: "rehook", Key: "secret:public"},
		"a half too many":         {Dialect: "rehook", Key: "public:secret:"},
		"a space after":           {Dialect: "rehook", Key: "public:secret "},
		"a NUL between":           {Dialect: "rehook", Key: "public\x00secret"},
		"in capitals":             {Dialect: "rehook", Key: "PUBLIC:SECRET"},
		"a megabyte":              {Dialect: "rehook", Key: "public:" + strings.Repeat("s", 1<<20)},
		"a revoked one":           {Dialect: "rehook", Key: "revoked:secret"},
		"an expired one":          {Dialect: "rehook", Key: "expired:secret"},
		"without its alias":       {Dialect: "saasquatch", Key: "in-use-by-acme"},
		"under another's alias":   {Dialect: "saasquatch", Alias: "zenith", Key: "in-use-by-acme"},
		"under an unknown alias":  {Dialect: "saasquatch", Alias: "nobody", Key: "in-use-by-acme"},
		"alias and key run on":    {Dialect: "saasquatch", Alias: "acme\x00in", Key: "use-by-acme"},
		"under an alias too long": {Dialect: "saasquatch", Alias: strings.Repeat("a", 1<<20), Key: "in-use-by-acme"},
		"its hint":                {Dialect: "saasquatch", Alias: "acme", Key: sign.Hint},
		"the tenant's native key": {Dialect: "saasquatch", Alias: "acme", Key: a.plaintext},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				wantShut(t, s, c, now)
			}
			_, err := s.AuthenticateDialect(t.Context(), c, now)
			if diff := cmp.Diff(unknown, err); diff != "" {
				t.Errorf("it is told apart from an unknown key (-want +got):\n%s", diff)
			}
		})
	}
	wantOpened(t, s, credential("saasquatch", a, "in-use-by-acme"), now, sign)
}

func TestTenantsThatAreNamedBesideTheKeyMayHaveTheSame(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	const value = "changeme"
	n := tenant.NewKey{Dialect: "saasquatch", Value: value, Scopes: tenant.AllScopes()}
	ofA, _ := MustCreateKey(t, s, a.ID, n)
	ofB, _ := MustCreateKey(t, s, b.ID, n)
	wantOpened(t, s, credential("saasquatch", a, value), time.Now(), ofA)
	wantOpened(t, s, credential("saasquatch", b, value), time.Now(), ofB)

	// An alias that wanders from one to the other takes no key along.
	a.Tenant = MustUpdate(t, s, a.ID, tenant.Patch{Alias: new("other")})
	wantShut(t, s, tenant.Credential{Dialect: "saasquatch", Alias: "acme", Key: value}, time.Now())
	b.Tenant = MustUpdate(t, s, b.ID, tenant.Patch{Alias: new("acme")})
	wantOpened(t, s, credential("saasquatch", a, value), time.Now(), ofA)
	wantOpened(t, s, credential("saasquatch", b, value), time.Now(), ofB)
	if err := s.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	wantShut(t, s, credential("saasquatch", b, value), time.Now())
	wantOpened(t, s, credential("saasquatch", a, value), time.Now(), ofA)
}

func TestAValueInUseIsRefusedUntilItsKeyIsRevoked(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	for dialect, value := range given {
		n := tenant.NewKey{Dialect: dialect, Value: value, Scopes: tenant.AllScopes(), ExpiresAt: new(time.Now().Add(time.Hour))}
		key, _ := MustCreateKey(t, s, a.ID, n)
		owners := []made{a, b}
		if dialect == "saasquatch" {
			owners = owners[:1]
		}
		for _, of := range owners {
			_, _, err := s.CreateKey(t.Context(), of.ID, n)
			wantProblem(t, err, problem.Conflict)
			if strings.Contains(err.Error(), value) || strings.Contains(err.Error(), "acme") || strings.Contains(err.Error(), a.ID.String()) {
				t.Errorf("%s: the refusal tells too much: %v", dialect, err)
			}
		}
		wantOpened(t, s, credential(dialect, a, value), time.Now(), key)
		if err := s.RevokeKey(t.Context(), a.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		wantShut(t, s, credential(dialect, a, value), time.Now())
		again, _ := MustCreateKey(t, s, b.ID, n)
		wantOpened(t, s, credential(dialect, b, value), time.Now(), again)
	}
	// A tenant that is deleted gives its values back.
	if err := s.Delete(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	for dialect, value := range given {
		wantShut(t, s, credential(dialect, b, value), time.Now())
		key, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: dialect, Value: value, Scopes: tenant.AllScopes()})
		wantOpened(t, s, credential(dialect, a, value), time.Now(), key)
	}
}

func TestABadValueIsRefusedWithoutRepeatingIt(t *testing.T) {
	s := newPolyglot(t)
	a := MustCreate(t, s, "acme")
	test, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "test"})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		n      tenant.NewKey
		fields []string
	}{
		"a native one":                   {tenant.NewKey{Value: "gv_live_" + strings.Repeat("a", 40)}, []string{"value"}},
		"an unknown dialect":             {tenant.NewKey{Dialect: "klingon", Value: "long enough"}, []string{"dialect"}},
		"the native dialect by its name": {tenant.NewKey{Dialect: "standard"}, []string{"dialect"}},
		"too short":                      {tenant.NewKey{Dialect: "saasquatch", Value: "shorter"}, []string{"value"}},
		"too long":                       {tenant.NewKey{Dialect: "saasquatch", Value: strings.Repeat("a", 201)}, []string{"value"}},
		"with a colon":                   {tenant.NewKey{Dialect: "saasquatch", Value: "abcd:efgh"}, []string{"value"}},
		"with a space":                   {tenant.NewKey{Dialect: "saasquatch", Value: "abcd efgh"}, []string{"value"}},
		"with a newline":                 {tenant.NewKey{Dialect: "saasquatch", Value: "abcdefgh\n"}, []string{"value"}},
		"with a NUL":                     {tenant.NewKey{Dialect: "saasquatch", Value: "abcdefgh\x00"}, []string{"value"}},
		"with an umlaut":                 {tenant.NewKey{Dialect: "saasquatch", Value: "abcdefgä"}, []string{"value"}},
		"not in UTF-8":                   {tenant.NewKey{Dialect: "saasquatch", Value: "abcdefgh\xff"}, []string{"value"}},
		"another prefix":                 {tenant.NewKey{Dialect: "referralloop", Value: "sk_live_0123456789"}, []string{"value"}},
		"the prefix of a test tenant":    {tenant.NewKey{Dialect: "referralloop", Value: "pk_test_0123456789"}, []string{"value"}},
		"the prefix and too little":      {tenant.NewKey{Dialect: "referralloop", Value: "pk_live_0123456"}, []string{"value"}},
		"one half":                       {tenant.NewKey{Dialect: "rehook", Value: "publicsecret"}, []string{"value"}},
		"three halves":                   {tenant.NewKey{Dialect: "rehook", Value: "public:secret:more"}, []string{"value"}},
		"a short public half":            {tenant.NewKey{Dialect: "rehook", Value: "pub:secret"}, []string{"value"}},
		"a short secret half":            {tenant.NewKey{Dialect: "partnerstack", Value: "public:sec"}, []string{"value"}},
		"a long half":                    {tenant.NewKey{Dialect: "partnerstack", Value: "public:" + strings.Repeat("s", 201)}, []string{"value"}},
		"a space in a half":              {tenant.NewKey{Dialect: "partnerstack", Value: "public:se cret"}, []string{"value"}},
		"everything":                     {tenant.NewKey{Dialect: "rehook", Value: "one-half", Name: "\t", Scopes: []tenant.Scope{"all"}}, []string{"value", "name", "scopes"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.n.Scopes == nil {
				tt.n.Scopes = tenant.AllScopes()
			}
			_, _, err := s.CreateKey(t.Context(), a.ID, tt.n)
			wantFields(t, err, tt.n.Value, tt.fields...)
		})
	}
	_, _, err = s.CreateKey(t.Context(), test.ID, tenant.NewKey{Dialect: "referralloop", Value: "pk_live_0123456789", Scopes: tenant.AllScopes()})
	wantFields(t, err, "0123456789", "value")
	if keys := MustListKeys(t, s, a.ID); len(keys) != 1 {
		t.Errorf("%d keys, want the first one only", len(keys))
	}
}

func TestADialectThatATenantGivesUpIsShutToItsKeys(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()})
	ofB, other := MustCreateKey(t, s, b.ID, tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()})
	wantOpened(t, s, credential("rehook", a, plaintext), time.Now(), key)
	MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{"standard"}})
	for range 2 {
		p, err := s.AuthenticateDialect(t.Context(), credential("rehook", a, plaintext), time.Now())
		if !problem.Forbidden.Has(err) || !cmp.Equal(p, tenant.Principal{}) {
			t.Errorf("got %+v, %v", p, err)
		}
	}
	wantShut(t, s, credential("rehook", a, plaintext+"x"), time.Now())
	_, _, err := s.CreateKey(t.Context(), a.ID, tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()})
	wantFields(t, err, "rehook", "dialect")
	wantOpened(t, s, credential("rehook", b, other), time.Now(), ofB)
	MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{"rehook"}})
	wantOpened(t, s, credential("rehook", a, plaintext), time.Now(), key)
}

func TestADialectsKeyIsRolledIntoOneOfTheSameForm(t *testing.T) {
	s := newPolyglot(t)
	a := MustCreate(t, s, "acme")
	for dialect, value := range given {
		old, _ := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: dialect, Value: value, Name: "n", Scopes: []tenant.Scope{tenant.Read}})
		wantOpened(t, s, credential(dialect, a, value), time.Now(), old)
		key, plaintext, err := s.RollKey(t.Context(), a.ID, old.ID, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if key.Dialect != dialect || key.Name != "n" || !cmp.Equal(key.Scopes, old.Scopes) || strings.Contains(plaintext, ":") != strings.Contains(value, ":") {
			t.Errorf("%s: rolled into %+v", dialect, key)
		}
		end := key.CreatedAt.Add(2 * time.Hour)
		wantOpened(t, s, credential(dialect, a, value), time.Now(), old)
		wantShut(t, s, credential(dialect, a, value), end)
		wantOpened(t, s, credential(dialect, a, plaintext), end, key)
		if err := s.RevokeKey(t.Context(), a.ID, key.ID); err != nil {
			t.Fatal(err)
		}
		wantShut(t, s, credential(dialect, a, plaintext), time.Now())
	}
	wantAccepted(t, s, a.plaintext, time.Now(), a)
}

func TestADialectsKeyIsLookedUpOnceAndThenKnown(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustPolyglot(t, d, nil)
	a := MustCreate(t, s, "acme")
	key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: "saasquatch", Scopes: tenant.AllScopes()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.AuthenticateDialect(ctx, credential("saasquatch", a, plaintext), time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("a key that can't be looked up: %v", err)
	}
	wantOpened(t, s, credential("saasquatch", a, plaintext), time.Now(), key)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	wantOpened(t, s, credential("saasquatch", a, plaintext), time.Now(), key)
}

func TestThePlaintextOfADialectsKeyIsNotInTheDatabase(t *testing.T) {
	url := testkit.DatabaseURL(t)
	dir := filepath.Dir(testkit.DatabasePath(t, url))
	s := MustPolyglot(t, MustDB(t, url), nil)
	a := MustCreate(t, s, "findable-alias")
	var secrets []string
	for dialect := range given {
		key, plaintext := MustCreateKey(t, s, a.ID, tenant.NewKey{Dialect: dialect, Scopes: tenant.AllScopes()})
		_, rolled, err := s.RollKey(t.Context(), a.ID, key.ID, day)
		if err != nil {
			t.Fatal(err)
		}
		secrets = append(secrets, plaintext[len(plaintext)-36:], rolled[len(rolled)-36:])
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var stored []byte
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, content...)
	}
	if !bytes.Contains(stored, []byte("findable-alias")) {
		t.Fatal("what is stored was not read")
	}
	for i, text := range secrets {
		for _, part := range []string{text[:18], text[18:]} {
			if bytes.Contains(stored, []byte(part)) {
				t.Errorf("a part of secret %d is stored", i)
			}
		}
	}
}

func TestAKeyThatHasToBeKeptNeedsABox(t *testing.T) {
	s := MustService(t, testkit.OpenDB(t, db.Options{}), tenant.Options{Dialects: spoken})
	a := MustCreate(t, s, "acme")
	n := tenant.NewKey{Dialect: "saasquatch", Value: "secret-value", Scopes: tenant.AllScopes()}
	if _, _, err := s.CreateKey(t.Context(), a.ID, n); err == nil || strings.Contains(err.Error(), n.Value) {
		t.Errorf("got %v", err)
	}
	if keys := MustListKeys(t, s, a.ID); len(keys) != 1 {
		t.Errorf("%d keys, want the first one only", len(keys))
	}
	n = tenant.NewKey{Dialect: "rehook", Scopes: tenant.AllScopes()}
	key, plaintext := MustCreateKey(t, s, a.ID, n)
	wantOpened(t, s, credential("rehook", a, plaintext), time.Now(), key)
}
