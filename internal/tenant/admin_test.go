package tenant_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

const givenAdmin = "gv_admin_given-by-the-operator-1!"

func wantAdmin(t testing.TB, s *tenant.Service, plaintext string) {
	t.Helper()
	p, err := s.Authenticate(t.Context(), plaintext, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tenant.Principal{Admin: true}, p); diff != "" {
		t.Fatalf("-want +got:\n%s", diff)
	}
}

func TestAnAdminKeyIsMadeAndShownOnce(t *testing.T) {
	url := testkit.DatabaseURL(t)
	d := MustDB(t, url)
	s := MustService(t, d, tenant.Options{})
	shown, err := s.EnsureAdminKey(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if random, ok := strings.CutPrefix(shown, "gv_admin_"); !ok || len(random) != 40 {
		t.Fatalf("a key of %d characters that begins with %.9s", len(shown), shown)
	}
	wantAdmin(t, s, shown)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}

	s = MustService(t, MustDB(t, url), tenant.Options{})
	wantRefused(t, s, shown, time.Now()) // nobody has said yet which key is accepted
	for range 2 {
		again, err := s.EnsureAdminKey(t.Context(), "")
		if err != nil || again != "" {
			t.Fatalf("shown again: %v, %v", again != "", err)
		}
		wantAdmin(t, s, shown)
	}
}

func TestOnlyTheGivenAdminKeyIsAcceptedAndItIsNotStored(t *testing.T) {
	url := testkit.DatabaseURL(t)
	d := MustDB(t, url)
	s := MustService(t, d, tenant.Options{})
	if shown, err := s.EnsureAdminKey(t.Context(), givenAdmin); err != nil || shown != "" {
		t.Fatalf("%q, %v", shown, err)
	}
	wantAdmin(t, s, givenAdmin)
	var stored int
	err := d.Read(t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT count(*) FROM admin_key`).Scan(&stored)
	})
	if err != nil || stored != 0 {
		t.Fatalf("%d stored, %v", stored, err)
	}

	shown, err := s.EnsureAdminKey(t.Context(), "")
	if err != nil || shown == "" {
		t.Fatalf("none was made: %v", err)
	}
	wantAdmin(t, s, shown)
	wantRefused(t, s, givenAdmin, time.Now())

	if _, err := s.EnsureAdminKey(t.Context(), givenAdmin); err != nil {
		t.Fatal(err)
	}
	wantAdmin(t, s, givenAdmin)
	wantRefused(t, s, shown, time.Now())
}

func TestAWeakOrUnusableAdminKeyIsRefusedWithoutRepeatingIt(t *testing.T) {
	s := newService(t)
	if _, err := s.EnsureAdminKey(t.Context(), givenAdmin); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ key, says string }{
		"another prefix":       {"gv_live_" + strings.Repeat("x", 40), "gv_admin_"},
		"no prefix":            {strings.Repeat("x", 40), "gv_admin_"},
		"prefix in capitals":   {"GV_ADMIN_" + strings.Repeat("x", 40), "gv_admin_"},
		"a space before":       {" gv_admin_" + strings.Repeat("x", 40), "gv_admin_"},
		"only the prefix":      {"gv_admin_", "24"},
		"a character too few":  {"gv_admin_" + strings.Repeat("x", 23), "24"},
		"a character too many": {"gv_admin_" + strings.Repeat("x", 201), "200"},
		"a newline after":      {"gv_admin_" + strings.Repeat("x", 40) + "\n", "space"},
		"a space inside":       {"gv_admin_" + strings.Repeat("x y", 20), "space"},
		"an umlaut":            {"gv_admin_" + strings.Repeat("xä", 20), "ASCII"},
		"not UTF-8":            {"gv_admin_" + strings.Repeat("x\xff", 20), "ASCII"},
		"a DEL":                {"gv_admin_" + strings.Repeat("x\x7f", 20), "ASCII"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.EnsureAdminKey(t.Context(), tt.key)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "xx") {
				t.Fatalf("got %v", err)
			}
			wantRefused(t, s, tt.key, time.Now())
			wantAdmin(t, s, givenAdmin)
		})
	}
	for _, n := range []int{24, 200} {
		key := "gv_admin_" + strings.Repeat("x", n)
		if _, err := s.EnsureAdminKey(t.Context(), key); err != nil {
			t.Fatalf("%d characters: %v", n, err)
		}
		wantAdmin(t, s, key)
	}
}

func TestServersThatStartTogetherMakeOneAdminKey(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	services := make([]*tenant.Service, 8)
	shown := make([]string, len(services))
	var wg sync.WaitGroup
	for i := range services {
		services[i] = MustService(t, d, tenant.Options{})
		wg.Go(func() {
			var err error
			if shown[i], err = services[i].EnsureAdminKey(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	key := strings.Join(shown, "") // of which all but one are empty
	for _, s := range services {
		wantAdmin(t, s, key)
	}
}

func TestTheAdminKeyIsNoTenants(t *testing.T) {
	s := newService(t)
	if _, err := s.EnsureAdminKey(t.Context(), givenAdmin); err != nil {
		t.Fatal(err)
	}
	a := MustCreate(t, s, "acme")
	if err := s.Delete(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	wantAdmin(t, s, givenAdmin)
}
