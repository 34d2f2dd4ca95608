package saasquatch_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// restWorld is the API over programs, with a tenant that has one.
type restWorld struct {
	t         *testing.T
	url       string
	tenants   *tenant.Service
	referrals *referral.Service
	programs  *program.Service
	acme      tenant.Tenant
	auth      dialecttest.Auth
}

// friendRules give both sides a discount, and the friend money too.
const friendRules = `[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","convert":true,"give":{"kind":"percent","amount":2000}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","give":{"kind":"percent","amount":1000}},
	{"key":"money","on":"purchase","actor":"referred","to":"referred","give":{"kind":"credit","amount":2000,"unit":"cents"}}
]`

func mustRESTWorld(t *testing.T) *restWorld {
	t.Helper()
	w := &restWorld{t: t}
	database := testkit.OpenDB(t, db.Options{})
	box, err := secret.Open(t.Context(), database, secret.NewKey())
	w.must(err)
	identify := func(ctx context.Context, of id.ID, dialect string) (*wire.Identity, error) {
		return w.tenants.Identity(ctx, of, dialect)
	}
	webhooks := webhook.New(webhook.Options{DB: database, Box: box, Identify: identify})
	w.tenants, err = tenant.New(database, tenant.Options{OnDelete: webhooks.DeleteTenant, Box: box})
	w.must(err)
	log := fact.New(fact.Options{DB: database})
	w.programs = program.NewService(database, referral.Kind())
	rewards := reward.New(log)
	w.referrals = referral.New(referral.Options{
		DB: database, Log: log, Programs: w.programs, Rewards: rewards,
		Effects: effect.New(effect.Options{Log: log, Programs: w.programs, Rewards: rewards}),
		Schemes: map[string]referral.Scheme{saasquatch.Scheme: saasquatch.Names()},
	})
	api := saasquatch.New(saasquatch.Services{Tenants: w.tenants, Webhooks: webhooks, Programs: w.programs, Referrals: w.referrals})
	server := httptest.NewServer(dialect.New(api, dialect.Options{}))
	t.Cleanup(server.Close)
	w.url = server.URL
	w.acme, w.auth = w.mustTenant("acme")
	_, err = w.programs.Create(t.Context(), w.acme.ID, program.New{Key: "friends", Kind: referral.KindName, Rules: json.RawMessage(friendRules)})
	w.must(err)
	return w
}

func (w *restWorld) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *restWorld) mustTenant(alias string) (tenant.Tenant, dialecttest.Auth) {
	w.t.Helper()
	made, _, _, err := w.tenants.Create(w.t.Context(), tenant.NewTenant{Alias: alias, Live: true})
	w.must(err)
	_, key, err := w.tenants.CreateKey(w.t.Context(), made.ID, tenant.NewKey{Dialect: "saasquatch", Scopes: tenant.AllScopes()})
	w.must(err)
	return made, password(key)
}

// mustRegister registers a user of an account, who came by codes.
func (w *restWorld) mustRegister(account, user string, codes ...string) referral.Registered {
	w.t.Helper()
	done, err := w.referrals.Register(w.t.Context(), w.acme.ID, referral.Registration{
		Identity: person.Identity{Scheme: "saasquatch", Key: url.PathEscape(account) + "/" + url.PathEscape(user)},
		Patch:    person.Patch{Account: &account, FirstName: &user}, ReferredBy: codes,
	})
	w.must(err)
	return done
}

func (w *restWorld) mustBuy(by referral.Registered) {
	w.t.Helper()
	_, err := w.referrals.Track(w.t.Context(), w.acme.ID, referral.Report{Person: by.Person.ID, Activities: []activity.New{{Type: "purchase"}}})
	w.must(err)
}

// ask makes a call of acme's, by acme's key.
func (w *restWorld) ask(method, path, body string) dialecttest.Answer {
	w.t.Helper()
	return w.askAs(w.auth, method, "/api/v1/acme"+path, body)
}

func (w *restWorld) askAs(auth dialecttest.Auth, method, path, body string) dialecttest.Answer {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	w.must(err)
	auth(req)
	resp, err := http.DefaultClient.Do(req)
	w.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	w.must(err)
	return dialecttest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: strings.TrimSuffix(string(text), "\n")}
}

// wantRefused demands an error of the vendor's form with a code.
func wantRefused(t *testing.T, name string, got dialecttest.Answer, status int, code string) {
	t.Helper()
	wantError(t, got)
	if got.Status != status || !strings.Contains(got.Body, `"apiErrorCode":"`+code+`"`) {
		t.Errorf("%s: got %d %s, want %d %s", name, got.Status, got.Body, status, code)
	}
}

// mustDecode reads the body of an answer that has a status.
func mustDecode[T any](t *testing.T, a dialecttest.Answer, status int) T {
	t.Helper()
	var into T
	if a.Status != status {
		t.Fatalf("got %d %s", a.Status, a.Body)
	}
	if err := json.Unmarshal([]byte(a.Body), &into); err != nil {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return into
}
