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
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// settingsOf lists what a dialect's settings are, by their names.
func settingsOf(s client.DialectSettings) map[string]string {
	are := make(map[string]string)
	for _, setting := range s.Settings {
		are[setting.Name] = setting.Value
	}
	return are
}

func TestEveryDialectIsListedWithWhatThereIsToChooseAndToSay(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	if _, err := w.MustClient(adminKey).UpdateTenant(t.Context(), a.ID, client.TenantChange{Dialects: &[]string{"rehook", "standard"}}); err != nil {
		t.Fatal(err)
	}
	listed, err := a.Dialects(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(listed) != len(dialects.All) {
		t.Fatalf("%d are listed, %d spoken", len(listed), len(dialects.All))
	}
	for i, d := range dialects.All {
		want := client.Dialect{
			Name: d.Name(), Spoken: slices.Contains([]string{"rehook", "standard"}, d.Name()), Signing: string(d.Signing()),
			Settings: []client.Setting{}, Fields: []client.DialectField{},
		}
		for _, s := range d.Settings() {
			want.Settings = append(want.Settings, client.Setting(s))
		}
		for _, f := range d.Fields() {
			want.Fields = append(want.Fields, client.DialectField{Name: f.Name, Description: f.Description, Required: f.Required})
		}
		if diff := cmp.Diff(want, listed[i]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.Name(), diff)
		}
	}
}

func TestSettingsAreTheTenantsOwnAndAllAreShown(t *testing.T) {
	w := MustWorld(t, nil)
	a, b := w.MustAccount("acme"), w.MustAccount("zenith")
	defaults := map[string]string{"payload_version": "2016", "signature_encoding": "base64", "jws": "off"}
	chosen := map[string]string{"payload_version": "2020", "signature_encoding": "base64", "jws": "off"}
	set, err := a.SetDialectSettings(t.Context(), "saasquatch", map[string]string{"payload_version": "2020"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.DialectSettings(t.Context(), "saasquatch")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]string{chosen, chosen}, []map[string]string{settingsOf(set), settingsOf(got)}); diff != "" {
		t.Errorf("set and got (-want +got):\n%s", diff)
	}
	other, err := b.DialectSettings(t.Context(), "saasquatch")
	if err != nil {
		t.Fatal(err)
	}
	back, err := a.SetDialectSettings(t.Context(), "saasquatch", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]map[string]string{defaults, defaults}, []map[string]string{settingsOf(other), settingsOf(back)}); diff != "" {
		t.Errorf("another tenant's, and what is left after nothing was chosen (-want +got):\n%s", diff)
	}
	operator := w.MustClient(adminKey, client.WithTenant("zenith"))
	if _, err := operator.SetDialectSettings(t.Context(), "saasquatch", map[string]string{"jws": "on"}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.DialectSettings(t.Context(), "saasquatch"); err != nil || settingsOf(got)["jws"] != "on" {
		t.Errorf("after the operator turned it on: %+v, %v", got, err)
	}
}

func TestBadInputAboutDialectsIsRefusedByItsFields(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	settings, keys := "/v1/dialects/saasquatch/settings", "/v1/tenants/"+a.ID+"/keys"
	key := func(fields string) string { return `{"scopes":["read"],` + fields + `}` }
	for _, tt := range []bad{
		{name: "no body", method: http.MethodPut, path: settings, code: problem.Malformed},
		{name: "no settings", method: http.MethodPut, path: settings, body: `{}`, code: problem.Invalid, fields: []string{"settings"}},
		{name: "settings that are a list", method: http.MethodPut, path: settings, body: `{"settings":[]}`, code: problem.Invalid, fields: []string{"settings"}},
		{name: "a setting that is a number", method: http.MethodPut, path: settings, body: `{"settings":{"payload_version":2020}}`, code: problem.Invalid, fields: []string{"settings.payload_version"}},
		{name: "an unknown value", method: http.MethodPut, path: settings, body: `{"settings":{"payload_version":"` + poison + `"}}`, code: problem.Invalid, fields: []string{"settings.payload_version"}},
		{name: "an unknown setting", method: http.MethodPut, path: settings, body: `{"settings":{"` + poison + `":"on"}}`, code: problem.Invalid, fields: []string{"settings"}},
		{name: "a setting twice", method: http.MethodPut, path: settings, body: `{"settings":{"jws":"on","jws":"off"}}`, code: problem.Invalid, fields: []string{"settings.jws"}},
		{name: "an unknown dialect", method: http.MethodPut, path: "/v1/dialects/" + poison + "/settings", body: `{"settings":{}}`, code: problem.NotFound},
		{name: "an unknown dialect to see", method: http.MethodGet, path: "/v1/dialects/" + poison + "/settings", code: problem.NotFound},
		{name: "a key of an unknown dialect", method: http.MethodPost, path: keys, body: key(`"dialect":"` + poison + `"`), code: problem.Invalid, fields: []string{"dialect"}},
		{name: "a key of an empty dialect", method: http.MethodPost, path: keys, body: key(`"dialect":""`), code: problem.Invalid, fields: []string{"dialect"}},
		{name: "a native key with a value", method: http.MethodPost, path: keys, body: key(`"value":"` + poison + `"`), code: problem.Invalid, fields: []string{"value"}},
		{name: "an empty value", method: http.MethodPost, path: keys, body: key(`"dialect":"rehook","value":""`), code: problem.Invalid, fields: []string{"value"}},
		{name: "half a pair", method: http.MethodPost, path: keys, body: key(`"dialect":"rehook","value":"` + poison + `"`), code: problem.Invalid, fields: []string{"value"}},
		{name: "an unknown dialect of a tenant", method: http.MethodPost, path: "/v1/tenants", body: `{"alias":"x","dialects":["` + poison + `"]}`, code: problem.Invalid, fields: []string{"dialects"}},
		{name: "null dialects", method: http.MethodPatch, path: "/v1/tenants/" + a.ID, body: `{"dialects":null}`, code: problem.Invalid, fields: []string{"dialects"}},
		{name: "a dialect that is a number", method: http.MethodPatch, path: "/v1/tenants/" + a.ID, body: `{"dialects":[1]}`, code: problem.Invalid, fields: []string{"dialects[0]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			with := a.Key
			if strings.HasPrefix(tt.path, "/v1/tenants") {
				with = adminKey
			}
			got := w.send(tt.method, tt.path, with, tt.body)
			if diff := cmp.Diff(tt.fields, got.problem(t, tt.code).fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if strings.Contains(got.body, poison) {
				t.Errorf("the value is repeated: %s", got.body)
			}
		})
	}
}

func TestAKeyThatIsBroughtAlongOpensItsDialectAndNothingHere(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	operator := w.MustClient(adminKey)
	n := client.NewKey{Dialect: "saasquatch", Value: "LIVE_brought-along", Scopes: []client.Scope{client.ScopeRead, client.ScopePublish, client.ScopeManage}}
	created, err := operator.CreateKey(t.Context(), a.ID, n)
	if err != nil {
		t.Fatal(err)
	}
	if created.APIKey != n.Value || created.Dialect != "saasquatch" || strings.Contains(created.Hint, "brought") {
		t.Errorf("created %+v", created)
	}
	_, err = operator.CreateKey(t.Context(), a.ID, n)
	wantCode(t, err, problem.Conflict)
	w.send(http.MethodGet, "/v1/events", n.Value, "").problem(t, problem.Unauthenticated)
	c := tenant.Credential{Dialect: "saasquatch", Alias: "acme", Key: n.Value}
	if p, err := w.tenants.AuthenticateDialect(t.Context(), c, time.Now()); err != nil || p.Tenant.ID != a.tenant.ID {
		t.Errorf("got %+v, %v", p, err)
	}
	keys := w.send(http.MethodGet, "/v1/tenants/"+a.ID+"/keys", adminKey, "")
	if !strings.Contains(keys.body, `"dialect":"saasquatch"`) || strings.Contains(keys.body, n.Value) {
		t.Errorf("listed: %s", keys.body)
	}
	rolled, err := operator.RollKey(t.Context(), a.ID, created.ID, new(time.Duration(0)))
	if err != nil || rolled.Dialect != "saasquatch" || !strings.HasPrefix(rolled.APIKey, "gvsq_live_") {
		t.Errorf("rolled into a key that begins with %s, %v", rolled.Hint, err)
	}
	if strings.Contains(w.log.String(), n.Value) || strings.Contains(w.log.String(), rolled.APIKey) {
		t.Error("a key was logged")
	}
}

func TestAnEventInADialectThatTheTenantDoesNotSpeakIsRefused(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	operator := w.MustClient(adminKey)
	sample := dialects.All[slices.IndexFunc(dialects.All, func(d wire.Dialect) bool { return d.Name() == "partnerstack" })].Catalogue(nil)[0]
	publication := client.Publication{Dialect: "partnerstack", Type: sample.Name, Data: json.RawMessage(sample.Sample)}
	if _, err := a.Publish(t.Context(), publication); err != nil {
		t.Fatal(err)
	}
	if _, err := operator.UpdateTenant(t.Context(), a.ID, client.TenantChange{Dialects: &[]string{"standard"}}); err != nil {
		t.Fatal(err)
	}
	_, err := a.Publish(t.Context(), publication)
	if fields := wantCode(t, err, problem.Invalid); len(fields) != 1 || fields[0].Name != "dialect" {
		t.Errorf("fields %v", fields)
	}
	a.MustPublish(t, "a.b")
}
