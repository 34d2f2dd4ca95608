package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// unaudited are the calls, other than those that read, that leave no entry.
var unaudited = map[string]string{
	"POST /v1/events":                     "publishes: the event is its own record",
	"POST /v1/events/batch":               "as above",
	"POST /v1/replays/preview":            "changes nothing",
	"POST /v1/subscriptions/{id}/explain": "changes nothing",
	"POST /v1/subscriptions/test":         "changes nothing",
	"POST /v1/subscriptions/{id}/test":    "changes nothing",

	"POST /v1/programs/{id}/rules/validate": "changes nothing",
	"POST /v1/programs/{id}/rules/dry-run":  "changes nothing",
	"PUT /v1/people/{id}":                   "reports: the facts are their own records",
	"POST /v1/people/{id}/activities":       "as above",
	"POST /v1/people/{id}/referral":         "as above",
	"POST /v1/people/{id}/spend":            "as above",
	"POST /v1/rewards/{id}/redeem":          "as above",
	"PUT /v1/accounts/{key}":                "as above",

	"POST /v1/theme/templates/{type}/preview": "changes nothing",
}

// demanded are the parameters that calls demand.
var demanded = map[string]string{"DELETE /v1/theme/variables": "?locale=de", "DELETE /v1/people/{id}/identities": "?scheme=native&key=another"}

// MustAudit returns all entries there are, the newest first.
func (w *world) MustAudit(f audit.Filter) []audit.Entry {
	w.t.Helper()
	entries, _, err := w.audit.Entries(w.t.Context(), f, audit.Page{Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	return entries
}

func TestEveryCallThatChangesSomethingLeavesAnEntry(t *testing.T) {
	asked := 0
	for _, op := range MustWorld(t, nil).MustOperations() {
		name := op.method + " " + op.path
		if op.method == http.MethodGet || unaudited[name] != "" {
			continue
		}
		asked++
		t.Run(name, func(t *testing.T) {
			w := MustWorld(t, nil)
			if op.path == "/v1/backup" {
				testkit.NeedsSQLite(t, "a server's database is copied with its own tools")
			}
			v := w.MustVictim()
			v.prepare(t, op.path)
			key, actor := v.Key, audit.Actor{Kind: audit.Key}
			if op.scope == "operator" {
				key, actor = adminKey, audit.Actor{Kind: audit.Operator}
			}
			before := len(w.MustAudit(audit.Filter{}))
			elsewhere := strings.NewReplacer("{id}", "nothing", "{key_id}", "nothing", "{dialect}", "klingon", "{key}", "nothing", "{type}", "nothing").Replace(op.path)
			for what, refused := range map[string]answer{
				"without a key":               w.send(op.method, v.name(op.path), "", op.body),
				"of what is not there":        w.send(op.method, elsewhere+"?nothing=1", key, op.body),
				"with a parameter of no kind": w.send(op.method, v.name(op.path)+"?nothing=1", key, op.body),
			} {
				if refused.status < 300 {
					t.Fatalf("%s: %d", what, refused.status)
				}
			}
			if after := len(w.MustAudit(audit.Filter{})); after != before {
				t.Fatalf("calls that were refused left %d entries", after-before)
			}
			sent := w.send(op.method, v.name(op.path)+demanded[name], key, v.fill(op.body), "X-Request-Id: r-4711")
			if sent.status > 299 {
				t.Fatalf("%d %s", sent.status, sent.body)
			}
			entries := w.MustAudit(audit.Filter{})
			if len(entries) <= before {
				t.Fatal("there is no entry: the service has to call audit.Write in the transaction of the change")
			}
			for _, e := range entries[:len(entries)-before] {
				if e.Actor.Kind != actor.Kind || e.Actor.Via != audit.ViaAPI || e.Actor.RequestID != "r-4711" || !e.Actor.Address.IsLoopback() || e.ObjectID == "" {
					t.Errorf("%s: by %+v of %q", e.Action, e.Actor, e.ObjectID)
				}
				if own := e.TenantID == v.tenant.ID; op.scope != "operator" && !own {
					t.Errorf("%s belongs to %s", e.Action, e.TenantID)
				}
			}
		})
	}
	if asked < 14 {
		t.Errorf("only %d calls were made", asked)
	}
}

// prepare brings what a call is about into a state that the call changes.
func (v victim) prepare(t *testing.T, path string) {
	t.Helper()
	var err error
	switch {
	case path == "/v1/codes/{code}/enable":
		_, err = v.DisableCode(t.Context(), v.ids["code"])
	case strings.HasSuffix(path, "/identities"):
		_, err = v.AddIdentity(t.Context(), v.ids["people"], client.Identity{Scheme: "native", Key: "another"})
	case strings.HasSuffix(path, "/enable"):
		_, err = v.DisableSubscription(t.Context(), v.ids["subscriptions"])
	case strings.HasSuffix(path, "/unblock"):
		_, err = v.BlockPerson(t.Context(), v.ids["people"])
	case strings.HasSuffix(path, "/convert"): // of what was converted
		_, err = v.UndoFact(t.Context(), v.ids["facts"], client.Undoing{})
	case path == "/v1/theme/variables":
		_, err = v.SetThemeVariables(t.Context(), "de", json.RawMessage(`{}`))
	case path == "/v1/theme/templates/{type}":
		_, err = v.SetTemplate(t.Context(), "referral_paid", "", client.Template{Subject: "s", Message: "m"})
	case path == "/v1/replays/{id}/resume":
		_, err = v.PauseReplay(t.Context(), v.ids["replays"])
	}
	if err != nil {
		t.Fatal(err)
	}
}

// fieldsOf returns what the newest entry about a thing says of its fields.
func (w *world) fieldsOf(object string, action audit.Action) []audit.Field {
	w.t.Helper()
	entries := w.MustAudit(audit.Filter{ObjectID: object, Action: action})
	if len(entries) == 0 {
		w.t.Fatalf("there is no %s of %s", action, object)
	}
	// The list is in the order of milliseconds, the times are exact.
	return slices.MaxFunc(entries, func(a, b audit.Entry) int { return a.At.Compare(b.At) }).Fields
}

func TestAnEntryOfASubscriptionNamesWhatChangedAndShowsNoSecret(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	made, err := a.CreateSubscription(t.Context(), client.NewSubscription{
		URL: "https://hooks.example.com/in?token=hidden-1", EventTypes: []string{"a.b", "c.d"}, Description: "hidden-2",
		Headers: map[string]string{"X-Team": "hidden-3"}, Auth: &client.Auth{Type: "bearer", Token: "hidden-4"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Field{
		{Name: "dialect", After: "standard"},
		{Name: "url_host", After: "hooks.example.com"},
		{Name: "event_types", After: "a.b c.d"},
		{Name: "description"},
		{Name: "headers"},
		{Name: "auth"},
		{Name: "secrets"},
		{Name: "status", After: "enabled"},
	}
	if diff := cmp.Diff(want, w.fieldsOf(made.ID, audit.SubscriptionCreated)); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		change client.SubscriptionChange
		want   []audit.Field
	}{
		{client.SubscriptionChange{EventTypes: &[]string{"*"}}, []audit.Field{{Name: "event_types", Before: "a.b c.d", After: "*"}}},
		{client.SubscriptionChange{URL: new("https://hooks.example.com/other")}, []audit.Field{{Name: "url"}}},
		{client.SubscriptionChange{URL: new("https://in.example.com/other")}, []audit.Field{{Name: "url_host", Before: "hooks.example.com", After: "in.example.com"}}},
		{client.SubscriptionChange{RemoveAuth: true, Headers: &map[string]string{}}, []audit.Field{{Name: "headers"}, {Name: "auth"}}},
		{client.SubscriptionChange{Policy: &client.Policy{Timeout: 3}}, []audit.Field{{Name: "policy"}}},
	} {
		if _, err := a.UpdateSubscription(t.Context(), made.ID, c.change); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, w.fieldsOf(made.ID, audit.SubscriptionUpdated)); diff != "" {
			t.Errorf("updated (-want +got):\n%s", diff)
		}
	}
	rotated, err := a.RotateSecret(t.Context(), made.ID, client.Rotation{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]audit.Field{{Name: "secrets"}}, w.fieldsOf(made.ID, audit.SubscriptionSecretRotated)); diff != "" {
		t.Errorf("rotated (-want +got):\n%s", diff)
	}
	if _, err := a.DisableSubscription(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	want = []audit.Field{{Name: "status", Before: "enabled", After: "disabled"}, {Name: "reason", After: "manual"}}
	if diff := cmp.Diff(want, w.fieldsOf(made.ID, audit.SubscriptionDisabled)); diff != "" {
		t.Errorf("disabled (-want +got):\n%s", diff)
	}
	all := w.send(http.MethodGet, "/v1/audit?limit=250", adminKey, "").body
	for _, hidden := range []string{"hidden-", made.Secret, rotated.Secret, a.Key} {
		if strings.Contains(all, hidden) {
			t.Errorf("an entry has %q", hidden)
		}
	}
}

func TestWhatChangesNothingLeavesNoEntry(t *testing.T) {
	w := MustWorld(t, nil)
	v := w.MustVictim()
	sub := v.ids["subscriptions"]
	operator := w.MustClient(adminKey)
	if err := operator.RevokeKey(t.Context(), v.ID, v.keyID); err != nil {
		t.Fatal(err)
	}
	_, key, err := w.tenants.CreateKey(t.Context(), v.tenant.ID, tenant.NewKey{Scopes: tenant.AllScopes()})
	if err != nil {
		t.Fatal(err)
	}
	c := w.MustClient(key)
	if err := c.ExpungeEvent(t.Context(), v.ids["events"]); err != nil {
		t.Fatal(err)
	}
	before := w.MustAudit(audit.Filter{})
	expunging := c.ExpungeEvent(t.Context(), v.ids["events"])
	_, enabling := c.EnableSubscription(t.Context(), sub)
	_, updating := c.UpdateSubscription(t.Context(), sub, client.SubscriptionChange{EventTypes: &[]string{"*"}, Policy: &client.Policy{}})
	_, choosing := c.SetDialectSettings(t.Context(), "saasquatch", nil)
	_, renaming := operator.UpdateTenant(t.Context(), v.ID, client.TenantChange{Alias: new("victim")})
	revoking := operator.RevokeKey(t.Context(), v.ID, v.keyID)
	for _, err := range []error{expunging, enabling, updating, choosing, renaming, revoking} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if after := w.MustAudit(audit.Filter{}); len(after) != len(before) {
		t.Errorf("there are %d entries more: the latest is %s of %v", len(after)-len(before), after[0].Action, after[0].Fields)
	}
}

func TestASubscriptionThatIsGoneIsDisabledByTheProgramItself(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	a.MustPublish(t, "a.b")
	w.record(a, sub.ID, webhook.Attempt{StartedAt: time.Now(), ResponseStatus: http.StatusGone, Verdict: "gone", Reason: "gone"}, webhook.Cancelled)
	entries := w.MustAudit(audit.Filter{ObjectID: sub.ID, Action: audit.SubscriptionDisabled})
	if len(entries) != 1 || entries[0].Actor.Kind != audit.System || entries[0].Actor.Via != "" {
		t.Errorf("entries: %+v", entries)
	}
}

// MustList asks for the audit entries with a key, as the API shows them.
func (w *world) MustList(key, query string, headers ...string) []client.AuditEntry {
	w.t.Helper()
	a := w.send(http.MethodGet, "/v1/audit"+query, key, "", headers...)
	var l client.List[client.AuditEntry]
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || a.status != http.StatusOK {
		w.t.Fatalf("%s: %d %s", query, a.status, a.body)
	}
	return l.Data
}

func TestATenantSeesItsOwnEntriesAndTheOperatorAll(t *testing.T) {
	w := MustWorld(t, nil)
	a, b := w.MustAccount("acme"), w.MustAccount("other")
	a.MustSubscription(t, "*")
	if _, err := w.MustClient(adminKey).RotateSigningKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	const ofA, ofB = 3, 2 // each its tenant and its first key, and a subscription
	all := w.MustList(adminKey, "")
	for name, c := range map[string]struct {
		got  []client.AuditEntry
		want int
	}{
		"the operator":                        {all, ofA + ofB + 1},
		"the operator for a tenant, by id":    {w.MustList(adminKey, "?tenant_id="+a.ID), ofA},
		"the operator for a tenant, by alias": {w.MustList(adminKey, "", "Grapevine-Tenant: other"), ofB},
		"the operator for a tenant, twice":    {w.MustList(adminKey, "?tenant_id="+a.ID, "Grapevine-Tenant: acme"), ofA},
		"a tenant":                            {w.MustList(a.Key, ""), ofA},
		"a tenant that names itself":          {w.MustList(a.Key, "?tenant_id="+a.ID), ofA},
		"another":                             {w.MustList(b.Key, ""), ofB},
		"another with a cursor of the list":   {w.MustList(b.Key, "?cursor="+all[0].ID), ofB},
	} {
		if len(c.got) != c.want {
			t.Errorf("%s sees %d entries, want %d", name, len(c.got), c.want)
		}
	}
	for _, e := range w.MustList(a.Key, "") {
		if e.TenantID != a.ID || (e.Actor.Address == "") != (e.Actor.Kind == "operator") {
			t.Errorf("the tenant sees %+v", e)
		}
	}
	for _, query := range []string{"?tenant_id=" + b.ID, "?tenant_id=ten_000000000000000000000000"} {
		w.send(http.MethodGet, "/v1/audit"+query, a.Key, "").problem(t, problem.NotFound)
	}
	w.send(http.MethodGet, "/v1/audit?tenant_id="+b.ID, adminKey, "", "Grapevine-Tenant: acme").problem(t, problem.NotFound)
	p := w.send(http.MethodGet, "/v1/audit?tenant_id=x&actor_key_id=y&action=z", adminKey, "").problem(t, problem.Invalid)
	if diff := cmp.Diff([]string{"query.tenant_id", "query.action", "query.actor_key_id"}, p.fields()); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
	w.send(http.MethodGet, "/v1/audit?cursor=x", adminKey, "").problem(t, problem.Invalid)
	if got := w.MustList(a.Key, "?object_id="+b.ID); len(got) > 0 {
		t.Errorf("the tenant sees the other's: %+v", got)
	}
}

func TestTheEntriesOfADeletedTenantStayForTheOperator(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	if err := w.MustClient(adminKey).DeleteTenant(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := w.MustList(adminKey, "?tenant_id="+a.ID+"&action=tenant.deleted"); len(got) != 1 || got[0].ObjectID != a.ID || got[0].Actor.Kind != "operator" {
		t.Errorf("the deletion: %+v", got)
	}
	if got := w.MustList(adminKey, "?object_id="+sub.ID); len(got) != 1 {
		t.Errorf("of its subscription: %+v", got)
	}
}

func TestAnEntryOfAKeySaysWhatItIsGoodForAndNotTheKey(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	operator := w.MustClient(adminKey)
	made, err := operator.CreateKey(t.Context(), a.ID, client.NewKey{Dialect: "rehook", Value: "public:very-secret", Name: "shop", Scopes: []client.Scope{client.ScopeRead, client.ScopeManage}})
	if err != nil {
		t.Fatal(err)
	}
	rolled, err := operator.RollKey(t.Context(), a.ID, made.ID, new(time.Duration(0)))
	if err != nil {
		t.Fatal(err)
	}
	want := []audit.Field{{Name: "dialect", After: "rehook"}, {Name: "name", After: "shop"}, {Name: "scopes", After: "manage read"}, {Name: "hint", After: "public"}}
	if diff := cmp.Diff(want, w.fieldsOf(made.ID, audit.KeyCreated)); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	ended := w.fieldsOf(made.ID, audit.KeyRolled)
	if len(ended) != 2 || ended[0] != (audit.Field{Name: "replaced_by", After: rolled.ID}) || ended[1].Name != "expires_at" || ended[1].After == "" {
		t.Errorf("rolled: %+v", ended)
	}
	fresh := w.fieldsOf(rolled.ID, audit.KeyCreated)
	if last := fresh[len(fresh)-1]; last != (audit.Field{Name: "replaces", After: made.ID}) {
		t.Errorf("the one in its place: %+v", fresh)
	}
	all := w.send(http.MethodGet, "/v1/audit", adminKey, "").body
	for _, hidden := range []string{"very-secret", rolled.APIKey, a.Key} {
		if strings.Contains(all, hidden) {
			t.Errorf("an entry has %q", hidden)
		}
	}
}

func TestAnEntryOfATenantSaysWhatItWasAndIs(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	operator := w.MustClient(adminKey)
	if _, err := operator.UpdateTenant(t.Context(), a.ID, client.TenantChange{Alias: new("acme-eu"), Dialects: &[]string{"standard", "saasquatch"}}); err != nil {
		t.Fatal(err)
	}
	want := []audit.Field{{Name: "alias", Before: "acme", After: "acme-eu"}, {Name: "dialects", Before: "all", After: "standard saasquatch"}}
	if diff := cmp.Diff(want, w.fieldsOf(a.ID, audit.TenantUpdated)); diff != "" {
		t.Errorf("updated (-want +got):\n%s", diff)
	}
	if _, err := a.SetDialectSettings(t.Context(), "saasquatch", map[string]string{"payload_version": "2020"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]audit.Field{{Name: "saasquatch.payload_version", After: "2020"}}, w.fieldsOf(a.ID, audit.SettingsChosen)); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
