package api_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/timer"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// operation is one route of the OpenAPI document.
type operation struct {
	method, path string
	scope        string
	body         string // the documented example
}

// MustOperations reads every route from the document that is served.
func (w *world) MustOperations() []operation {
	w.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			Security    []map[string][]string
			RequestBody struct {
				Content map[string]struct{ Example json.RawMessage }
			}
		}
	}
	if err := json.Unmarshal([]byte(w.send(http.MethodGet, "/openapi.json", "", "").body), &doc); err != nil {
		w.t.Fatal(err)
	}
	var ops []operation
	for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(doc.Paths[path])) {
			op := doc.Paths[path][method]
			if len(op.Security) != 1 || len(op.Security[0]["bearer"]) != 1 {
				w.t.Fatalf("%s %s: the document does not say which scope it needs", method, path)
			}
			ops = append(ops, operation{
				method: strings.ToUpper(method), path: path, scope: op.Security[0]["bearer"][0],
				body: string(op.RequestBody.Content["application/json"].Example),
			})
		}
	}
	if len(ops) < 29 {
		w.t.Fatalf("the document has %d routes only", len(ops))
	}
	return ops
}

// victim is a tenant with one of everything, and how its things are named.
type victim struct {
	account
	keyID string
	ids   map[string]string // by the path's first word
}

func (w *world) MustVictim() victim {
	w.t.Helper()
	v := victim{account: w.MustAccount("victim")}
	sub := v.MustSubscription(w.t, "*")
	v.MustPublish(w.t, "a.b")
	w.record(v.account, sub.ID, webhook.Attempt{StartedAt: time.Now(), ResponseStatus: 500, Verdict: wire.Retry, Reason: wire.ReasonServerError}, webhook.Failed)
	event := v.MustPublish(w.t, "a.b")
	keys, err := w.MustClient(adminKey).Keys(w.t.Context(), v.ID, client.Page{})
	if err != nil {
		w.t.Fatal(err)
	}
	v.keyID = keys.Data[0].ID
	replay, err := v.CreateReplay(w.t.Context(), client.NewReplay{Since: time.Now().Add(-time.Hour)})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := v.RegisterEventType(w.t.Context(), client.NewEventType{Name: ownType, Schema: json.RawMessage(`{"title":"victim"}`)}); err != nil {
		w.t.Fatal(err)
	}
	v.ids = w.MustProgramThings(v.account)
	maps.Copy(v.ids, map[string]string{
		"replays": replay.ID,
		"tenants": v.ID, "subscriptions": sub.ID, "events": event.ID,
		"deliveries": "dlv_" + strings.TrimPrefix(event.ID, "evt_") + strings.TrimPrefix(sub.ID, "sub_"),
	})
	return v
}

// MustProgramThings has a tenant run a program in which somebody was referred and
// rewarded, and returns the ids.
func (w *world) MustProgramThings(a account) map[string]string {
	w.t.Helper()
	p, err := a.CreateProgram(w.t.Context(), client.NewProgram{Key: "give-and-get", Rules: json.RawMessage(giveAndGet)})
	if err != nil {
		w.t.Fatal(err)
	}
	first, second := a.MustPair(w.t)
	reported := a.MustReport(w.t, "bert", client.NewActivity{Key: "order-1", Type: "purchase", Fields: json.RawMessage(`{"amount":6000}`)})
	rewards, err := a.Rewards(w.t.Context(), client.RewardFilter{Person: "anna"}, client.Page{})
	if err != nil || len(rewards.Data) != 1 {
		w.t.Fatalf("%+v, %v", rewards, err)
	}
	if _, err := a.SetAccount(w.t.Context(), "victims", client.AccountReport{State: client.AccountTrial}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := a.AddCodes(w.t.Context(), "victims", []string{"FIRST"}); err != nil {
		w.t.Fatal(err)
	}
	written, err := a.CreateExport(w.t.Context(), client.NewExport{Type: "USER"})
	if err != nil {
		w.t.Fatal(err)
	}
	listed, err := a.AddBlocklistEntry(w.t.Context(), client.NewBlocklistEntry{Kind: client.BlocklistDomain, Value: "victims.example"})
	if err != nil {
		w.t.Fatal(err)
	}
	return map[string]string{
		"blocklist": listed.ID,
		"exports":   written.ID, "timers": w.MustParked(a),
		"programs": p.ID, "people": first.ID, "referrals": second.Referrals[0].ID, "rewards": rewards.Data[0].ID,
		"facts": reported[0].FactID, "code": first.Codes[0].Text, "account": "victims", "activity": reported[0].ID, "referred": second.ID,
	}
}

// MustParked is a timer of the tenant that has failed too often.
func (w *world) MustParked(a account) string {
	w.t.Helper()
	var parked id.ID
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		var err error
		parked, err = timer.Set(tx, timer.Timer{TenantID: a.tenant.ID, Kind: "broken", DueAt: time.Now().Add(-time.Hour), Ref: a.tenant.ID})
		if err != nil {
			return err
		}
		if err := tx.Flush(); err != nil {
			return err
		}
		_, err = tx.Exec(`UPDATE timer SET parked_at = try_at, failures = 20, error = 'it is broken' WHERE tenant_id = $1 AND kind = $2`, a.tenant.ID[:], "broken")
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return api.TimerID.Format(parked)
}

// examples are the ids in the document's examples that name things of a tenant's.
var examples = map[string]string{"ref_019a9c1d2f3b5e8d7c6a4f10": "referrals", "ANNAADAMS": "code"}

// fill puts the victim's ids in place of those of an example.
func (v victim) fill(body string) string {
	for example, noun := range examples {
		body = strings.ReplaceAll(body, example, v.ids[noun])
	}
	return body
}

// ownType is an event type that the victim has registered.
const ownType = "victims.own"

// name puts the victim's ids into a route's path.
func (v victim) name(path string) string {
	noun := strings.Split(path, "/")[2]
	path = strings.NewReplacer("{id}", v.ids[noun], "{dialect}", "saasquatch", "{name}", ownType, "{type}", "referral_paid",
		"{key}", v.ids["account"], "{code}", v.ids["code"]).Replace(path)
	return strings.Replace(path, "{key_id}", v.keyID, 1)
}

// MustSee returns all that can be seen of the victim's things.
func (v victim) MustSee(w *world) string {
	w.t.Helper()
	var b strings.Builder
	see := func(method, path, key string) {
		a := w.send(method, v.name(path), key, "")
		if a.status != http.StatusOK {
			w.t.Fatalf("%s: %d %s", path, a.status, a.body)
		}
		fmt.Fprintln(&b, path, a.body)
	}
	for _, path := range []string{
		"/v1/events", "/v1/events/{id}", "/v1/subscriptions", "/v1/subscriptions/{id}", "/v1/deliveries", "/v1/deliveries/{id}", "/v1/replays", "/v1/replays/{id}", "/v1/event-types/{name}", "/v1/dialects/{dialect}/settings",
		"/v1/programs", "/v1/programs/{id}", "/v1/programs/{id}/rules/versions", "/v1/people", "/v1/people/{id}", "/v1/people/{id}/story", "/v1/people/{id}/balances",
		"/v1/accounts/{key}", "/v1/codes/{code}", "/v1/referrals", "/v1/referrals/{id}", "/v1/rewards", "/v1/rewards/{id}", "/v1/facts", "/v1/facts/{id}",
		"/v1/people/{id}/explain", "/v1/people/{id}/messages", "/v1/exports", "/v1/exports/{id}", "/v1/pools", "/v1/pools/{key}", "/v1/blocklist", "/v1/blocklist/{id}", "/v1/timers", "/v1/timers?parked=true",
		"/v1/theme/variables", "/v1/theme/schema", "/v1/theme/status", "/v1/theme/templates/{type}",
	} {
		see(http.MethodGet, path, v.Key)
	}
	see(http.MethodPost, "/v1/subscriptions/{id}/secret", v.Key)
	for _, path := range []string{"/v1/tenants/{id}", "/v1/tenants/{id}/keys"} {
		see(http.MethodGet, path, adminKey)
	}
	return b.String()
}

func TestNoRouteShowsOrChangesWhatIsAnotherTenants(t *testing.T) {
	w := MustWorld(t, nil)
	v, stranger := w.MustVictim(), w.MustAccount("stranger")
	before := v.MustSee(w)
	asked := 0
	for _, op := range w.MustOperations() {
		if !strings.Contains(op.path, "{") || strings.Contains(op.path, "{dialect}") || strings.Contains(op.path, "{type}") || // those are nobody's
			op.method != http.MethodGet && op.method != http.MethodDelete && strings.Contains(op.path, "{key}") { // and each tenant makes its own accounts and pools
			continue
		}
		asked++
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			foreign := w.send(op.method, v.name(op.path), stranger.Key, op.body)
			got := foreign.problem(t, problem.NotFound)
			for what, id := range map[string]string{"unknown": "000000000000000000000000", "malformed": "x"} {
				named := op.path
				for noun, prefix := range map[string]string{
					"tenants": "ten_", "subscriptions": "sub_", "events": "evt_", "deliveries": "dlv_" + id, "replays": "job_",
					"programs": "prg_", "people": "per_", "referrals": "ref_", "rewards": "rwd_", "facts": "fct_", "exports": "exp_", "timers": "tmr_", "blocklist": "blk_",
				} {
					if strings.HasPrefix(op.path, "/v1/"+noun) {
						named = strings.Replace(named, "{id}", prefix+id, 1)
					}
				}
				named = strings.Replace(named, "{key_id}", "key_"+id, 1)
				other := w.send(op.method, named, stranger.Key, op.body).problem(t, problem.NotFound)
				other.RequestID = got.RequestID
				if diff := cmp.Diff(got, other); diff != "" {
					t.Errorf("what is another's differs from what is %s (-foreign +%s):\n%s", what, what, diff)
				}
			}
		})
	}
	if asked < 15 {
		t.Errorf("only %d routes were asked", asked)
	}
	if diff := cmp.Diff(before, v.MustSee(w)); diff != "" {
		t.Errorf("the victim's things have changed (-before +after):\n%s", diff)
	}
}

func TestNoListShowsWhatIsAnotherTenants(t *testing.T) {
	w := MustWorld(t, nil)
	v, stranger := w.MustVictim(), w.MustAccount("stranger")
	for _, query := range []string{
		"/v1/events", "/v1/subscriptions", "/v1/deliveries", "/v1/deliveries?data=n:1", "/v1/replays",
		"/v1/programs", "/v1/people", "/v1/people?search=anna", "/v1/people?search=" + v.ids["code"], "/v1/referrals", "/v1/rewards", "/v1/facts",
		"/v1/exports", "/v1/pools", "/v1/blocklist", "/v1/blocklist?kind=domain&value=victims.example", "/v1/blocklist?cursor=" + v.ids["blocklist"], "/v1/timers", "/v1/timers?parked=true", "/v1/exports?cursor=" + v.ids["exports"],
		"/v1/facts?subject=" + v.ids["people"],
		"/v1/deliveries?subscription_id=" + v.ids["subscriptions"], "/v1/deliveries?event_id=" + v.ids["events"],
	} {
		if a := w.send(http.MethodGet, query, stranger.Key, ""); a.status != http.StatusOK || strings.TrimSpace(a.body) != `{"data":[]}` {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	page := w.send(http.MethodGet, "/v1/deliveries?limit=1", v.Key, "")
	var l client.List[client.Delivery]
	if err := json.Unmarshal([]byte(page.body), &l); err != nil || l.NextCursor == "" {
		t.Fatalf("%v: %s", err, page.body)
	}
	if a := w.send(http.MethodGet, "/v1/deliveries?cursor="+l.NextCursor, stranger.Key, ""); strings.TrimSpace(a.body) != `{"data":[]}` {
		t.Errorf("with the other's cursor: %s", a.body)
	}
}

func TestATenantsKeyOpensNothingOfTheOperators(t *testing.T) {
	w := MustWorld(t, nil)
	v := w.MustVictim()
	before := v.MustSee(w)
	for _, op := range w.MustOperations() {
		if op.scope != "operator" {
			continue
		}
		// Where a tenant is named, its own is none of its business either.
		code := problem.Forbidden
		if strings.Contains(op.path, "{") {
			code = problem.NotFound
		}
		if p := w.send(op.method, v.name(op.path), v.Key, op.body).problem(t, code); !strings.Contains(p.Detail, "the operator's key") {
			t.Errorf("%s %s does not say which key it takes: %s", op.method, op.path, p.Detail)
		}
	}
	if diff := cmp.Diff(before, v.MustSee(w)); diff != "" {
		t.Errorf("something has changed (-before +after):\n%s", diff)
	}
}

func TestWithoutAValidKeyEveryRouteSaysTheSame(t *testing.T) {
	w := MustWorld(t, nil)
	v := w.MustVictim()
	key, revoked, err := w.tenants.CreateKey(t.Context(), v.tenant.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.tenants.RevokeKey(t.Context(), v.tenant.ID, key.ID); err != nil {
		t.Fatal(err)
	}
	before := v.MustSee(w)
	asked := []operation{
		{method: http.MethodGet, path: "/v1/nowhere"},
		{method: http.MethodPut, path: "/v1/events"},
		{method: http.MethodGet, path: "/v1"},
		{method: http.MethodPost, path: "/v1/events", body: "{"},
		{method: http.MethodGet, path: "/v1/events?limit=x"},
	}
	for _, op := range append(asked, w.MustOperations()...) {
		for what, headers := range map[string][]string{
			"no key":               nil,
			"a revoked key":        {"Authorization: Bearer " + revoked},
			"no scheme":            {"Authorization: " + v.Key},
			"another scheme":       {"Authorization: Basic " + v.Key},
			"a key with a tail":    {"Authorization: Bearer " + v.Key + "x"},
			"an empty key":         {"Authorization: Bearer "},
			"two keys":             {"Authorization: Bearer " + v.Key, "Authorization: Bearer " + v.Key},
			"an operator's, wrong": {"Authorization: Bearer gv_admin_0123456789abcdefghijklmnoX"},
			"the key elsewhere":    {"X-Api-Key: " + v.Key},
		} {
			a := w.send(op.method, v.name(op.path + "/")[:len(v.name(op.path+"/"))-1], "", op.body, headers...)
			p := a.problem(t, problem.Unauthenticated)
			if a.header.Get("WWW-Authenticate") != "Bearer" || len(p.Errors) > 0 {
				t.Errorf("%s %s with %s: %s %s", op.method, op.path, what, a.header, a.body)
			}
		}
	}
	if diff := cmp.Diff(before, v.MustSee(w)); diff != "" {
		t.Errorf("the victim's things have changed (-before +after):\n%s", diff)
	}
}

func TestEveryRouteDemandsItsScope(t *testing.T) {
	w := MustWorld(t, nil)
	v := w.MustVictim()
	before := v.MustSee(w)
	keys := make(map[string]string)
	for _, scope := range tenant.AllScopes() {
		others := slices.DeleteFunc(tenant.AllScopes(), func(s tenant.Scope) bool { return s == scope })
		_, plaintext, err := w.tenants.CreateKey(t.Context(), v.tenant.ID, tenant.NewKey{Name: string(scope), Scopes: others})
		if err != nil {
			t.Fatal(err)
		}
		keys[string(scope)] = plaintext
	}
	for _, op := range w.MustOperations() {
		if op.scope == "operator" {
			continue
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			if keys[op.scope] == "" {
				t.Fatalf("there is no scope %q", op.scope)
			}
			p := w.send(op.method, v.name(op.path), keys[op.scope], op.body).problem(t, problem.Forbidden)
			if !strings.Contains(p.Detail, op.scope) {
				t.Errorf("the detail does not name the scope %s: %s", op.scope, p.Detail)
			}
			// Bad input of somebody who may not ask is not looked at.
			w.send(op.method, v.name(op.path)+"?limit=x", keys[op.scope], "{").problem(t, problem.Forbidden)
		})
	}
	for _, key := range keys {
		if _, err := w.tenants.Authenticate(t.Context(), key, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	after := v.MustSee(w)
	cutKeys := func(seen string) string { seen, _, _ = strings.Cut(seen, "/v1/tenants/{id}/keys "); return seen }
	if diff := cmp.Diff(cutKeys(before), cutKeys(after)); diff != "" {
		t.Errorf("the tenant's things have changed (-before +after):\n%s", diff)
	}
}

func TestAKeyThatIsRevokedWhileTheBodyArrivesIsRefused(t *testing.T) {
	w := MustWorld(t, nil)
	v := w.MustVictim()
	for _, path := range []string{"/v1/events", "/v1/subscriptions"} {
		key, plaintext, err := w.tenants.CreateKey(t.Context(), v.tenant.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
		if err != nil {
			t.Fatal(err)
		}
		before := v.MustSee(w)
		body, sending := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+plaintext)
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			_, _ = io.WriteString(sending, `{"type":"a.b",`)
			// By now the server has taken a part of the body, or will have taken
			// the key: either way it has to look again.
			if err := w.tenants.RevokeKey(t.Context(), v.tenant.ID, key.ID); err != nil {
				t.Error(err)
			}
			_, _ = io.WriteString(sending, `"data":{}}`)
			sending.Close()
		}()
		resp, err := w.server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-sent
		if resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
		after := v.MustSee(w)
		cut := func(seen string) string { seen, _, _ = strings.Cut(seen, "/v1/tenants/{id}/keys "); return seen }
		if diff := cmp.Diff(cut(before), cut(after)); diff != "" {
			t.Errorf("%s: something was written (-before +after):\n%s", path, diff)
		}
	}
}
