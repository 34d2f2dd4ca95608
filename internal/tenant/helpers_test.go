package tenant_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

func MustDB(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func MustService(t testing.TB, d *db.DB, opts tenant.Options) *tenant.Service {
	t.Helper()
	s, err := tenant.New(d, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newService returns a service on a database of its own.
func newService(t testing.TB) *tenant.Service {
	t.Helper()
	return MustService(t, testkit.OpenDB(t, db.Options{}), tenant.Options{})
}

// speaks is a dialect of which only what tenants have to do with is made up.
type speaks struct {
	standard.Dialect
	name     string
	signing  wire.Signing
	settings []wire.Setting
}

func (d speaks) Name() string             { return d.name }
func (d speaks) Signing() wire.Signing    { return d.signing }
func (d speaks) Settings() []wire.Setting { return d.settings }

// spoken are the dialects of the services that newPolyglot returns.
var spoken = []wire.Dialect{
	standard.Dialect{},
	speaks{name: "saasquatch", signing: wire.ByKey, settings: []wire.Setting{
		{Name: "payload_version", Values: []string{"2016", "2020"}},
		{Name: "jws", Values: []string{"off", "on"}},
	}},
	speaks{name: "referralloop", signing: wire.BySecret},
	speaks{name: "rehook", signing: wire.Unsigned},
	speaks{name: "partnerstack", signing: wire.Unsigned, settings: []wire.Setting{{Name: "literal_slips", Values: []string{"off", "on"}}}},
}

// newPolyglot returns a service that speaks several dialects and can keep keys.
func newPolyglot(t testing.TB) *tenant.Service {
	t.Helper()
	return MustPolyglot(t, testkit.OpenDB(t, db.Options{}), nil)
}

// MustPolyglot returns a service on the database as newPolyglot does, with the
// server's own key.
func MustPolyglot(t testing.TB, d *db.DB, rsaKey func(context.Context) (*wire.RSAKey, error)) *tenant.Service {
	t.Helper()
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	return MustService(t, d, tenant.Options{Box: box, Dialects: spoken, RSAKey: rsaKey})
}

// made is a tenant with its first key.
type made struct {
	tenant.Tenant
	key       tenant.Key
	plaintext string
}

func MustCreate(t testing.TB, s *tenant.Service, alias string) made {
	t.Helper()
	ten, key, plaintext, err := s.Create(t.Context(), tenant.NewTenant{Alias: alias, Live: true})
	if err != nil {
		t.Fatal(err)
	}
	return made{ten, key, plaintext}
}

func MustCreateKey(t testing.TB, s *tenant.Service, of id.ID, n tenant.NewKey) (tenant.Key, string) {
	t.Helper()
	key, plaintext, err := s.CreateKey(t.Context(), of, n)
	if err != nil {
		t.Fatal(err)
	}
	return key, plaintext
}

func MustListKeys(t testing.TB, s *tenant.Service, of id.ID) []tenant.Key {
	t.Helper()
	keys, next, err := s.ListKeys(t.Context(), of, tenant.Page{Limit: 250})
	if err != nil || !next.IsZero() {
		t.Fatalf("next %s, %v", next, err)
	}
	return keys
}

// wantAccepted demands that the key is the principal's at now.
func wantAccepted(t testing.TB, s *tenant.Service, plaintext string, now time.Time, of made) tenant.Principal {
	t.Helper()
	p, err := s.Authenticate(t.Context(), plaintext, now)
	if err != nil {
		t.Fatalf("the key is refused: %v", err)
	}
	if diff := cmp.Diff(of.Tenant, p.Tenant); diff != "" || p.Admin {
		t.Fatalf("admin %v, tenant (-want +got):\n%s", p.Admin, diff)
	}
	return p
}

func wantRefused(t testing.TB, s *tenant.Service, plaintext string, now time.Time) {
	t.Helper()
	p, err := s.Authenticate(t.Context(), plaintext, now)
	if !problem.Unauthenticated.Has(err) {
		t.Fatalf("got %v, want %s", err, problem.Unauthenticated.Name)
	}
	if diff := cmp.Diff(tenant.Principal{}, p); diff != "" {
		t.Fatalf("a refusal names someone (-want +got):\n%s", diff)
	}
}

func wantProblem(t testing.TB, err error, code *problem.Code) {
	t.Helper()
	if !code.Has(err) {
		t.Fatalf("got %v, want %s", err, code.Name)
	}
}

// wantFields demands a refusal that names the fields, and nothing of the value.
func wantFields(t testing.TB, err error, value string, fields ...string) {
	t.Helper()
	wantProblem(t, err, problem.Invalid)
	refusal, _ := errors.AsType[*problem.Error](err)
	var got []string
	for _, f := range refusal.Fields {
		got = append(got, f.Name)
		if len(value) > 3 && strings.Contains(f.Message, value) {
			t.Errorf("the message repeats the value: %s", f.Message)
		}
	}
	if diff := cmp.Diff(fields, got); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
