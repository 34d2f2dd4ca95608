package console_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

func TestOnlyTheDialectsThatTheApplicationSpeaksAreOffered(t *testing.T) {
	w := MustWorld(t, "")
	made, _, key, err := w.tenants.Create(t.Context(), tenant.NewTenant{Alias: "acme", Dialects: []string{"rehook", "referralloop"}})
	if err != nil {
		t.Fatal(err)
	}
	a := account{Tenant: made}
	b := w.MustSignIn(key)
	page := b.get(applicationPath(a) + "/webhooks/new")
	var offered []string
	for _, d := range dialects.All {
		if strings.Contains(page.body, fmt.Sprintf("<option value=%q", d.Name())) {
			offered = append(offered, d.Name())
		}
	}
	if diff := cmp.Diff([]string{"referralloop", "rehook"}, offered); diff != "" {
		t.Errorf("the dialog offers (-want +got):\n%s", diff)
	}
	y := typing{b, a, page}
	y.press("save", url.Values{"dialect": {"saasquatch"}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}}).
		want(t, http.StatusUnprocessableEntity, "not a dialect that is spoken here")
	if len(y.subscriptions()) != 0 {
		t.Error("a webhook was made in a dialect that the application does not speak")
	}
}

func TestEveryFieldOfADialectCanBeRestricted(t *testing.T) {
	y := MustWorld(t, "").MustType()
	for _, d := range dialects.All {
		page := y.press("events", url.Values{"dialect": {d.Name()}})
		if got := strings.Count(page.body, `name="only.`); got != len(d.Fields()) {
			t.Errorf("%s: %d fields can be restricted, want %d", d.Name(), got, len(d.Fields()))
		}
		for _, f := range d.Fields() {
			page.want(t, http.StatusOK, "Only events of this "+f.Name, f.Description)
		}
	}
}

func TestAWebhookIsRestrictedAsItWasTyped(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for dialect, filter := range map[string]struct{ Field, Value string }{
		"referralloop": {"waitlist_id", waitlist},
		"rehook":       {"source_id", "customer <7>"},
	} {
		page := y.press("save", url.Values{
			"dialect": {dialect}, "url": {"https://hooks.example.com/" + dialect}, "scope": {"all"}, "only." + filter.Field: {" " + filter.Value + " "},
		})
		page.want(t, http.StatusOK, "All events only of "+filter.Field+" "+filter.Value)
		y.get(applicationPath(y.account)).want(t, http.StatusOK, "All events only of "+filter.Field+" "+filter.Value)
		subs, err := w.webhooks.SubscriptionsOf(t.Context(), y.account.ID, dialect)
		if err != nil || len(subs) != 1 {
			t.Fatalf("%s: there are %d webhooks, %v", dialect, len(subs), err)
		}
		if diff := cmp.Diff(webhook.FieldFilter(filter.Field, filter.Value).String(), subs[0].Filter.String()); diff != "" {
			t.Errorf("%s: the filter (-want +got):\n%s", dialect, diff)
		}
	}
}

func TestAnEmptyRestrictionIsNone(t *testing.T) {
	y := MustWorld(t, "").MustType()
	y.press("save", url.Values{"dialect": {"referralloop"}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}, "only.waitlist_id": {" "}}).
		wantNot(t, "only of")
	if f := y.subscriptions()[0].Filter; f != nil {
		t.Errorf("it is restricted by %+v", f)
	}
}

func TestWhatOneDialectIsRestrictedToIsNotAnothers(t *testing.T) {
	y := MustWorld(t, "").MustType()
	typed := url.Values{"dialect": {"rehook"}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}, "only.waitlist_id": {waitlist}}
	y.press("events", typed).wantNot(t, waitlist)
	y.press("save", typed).want(t, http.StatusOK, "The webhook is saved")
	if f := y.subscriptions()[0].Filter; f != nil {
		t.Errorf("it is restricted by %+v", f)
	}
}

func TestTheDialogSaysHowADialectTreatsReceivers(t *testing.T) {
	y := MustWorld(t, "").MustType()
	for dialect, words := range map[string][]string{
		"standard":     {"10 attempts, after waits of 5 s, 5 min, 30 min,", "any 2xx, within 15 s", "a secret of the webhook’s own"},
		"saasquatch":   {"72 attempts, 1 h apart", "200 alone, within 15 s", "the application’s current key"},
		"referralloop": {"5 attempts, after waits of 1 min, 5 min, 15 min, 1 h", "any 2xx, within 5 s", "a secret of the webhook’s own"},
		"rehook":       {"are not signed. A user id with a password, or a header"},
		"partnerstack": {"are not signed. A user id with a password, or a header"},
	} {
		y.press("events", url.Values{"dialect": {dialect}}).want(t, http.StatusOK, words...)
	}
}

func TestASecretIsShownOnceInEveryDialectThatHasOne(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for _, d := range dialects.All {
		page := y.press("save", url.Values{"dialect": {d.Name()}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}})
		page.want(t, http.StatusOK, "The webhook is saved")
		subs, err := w.webhooks.SubscriptionsOf(t.Context(), y.account.ID, d.Name())
		if err != nil || len(subs) != 1 {
			t.Fatalf("%s: there are %d webhooks, %v", d.Name(), len(subs), err)
		}
		again := y.get(webhookPath(y.account, subs[0]))
		if d.Signing() != wire.BySecret {
			page.wantNot(t, "Copy its secret", "Show the secret")
			again.wantNot(t, "Show the secret")
			continue
		}
		page.want(t, http.StatusOK, "Copy its secret now", subs[0].CurrentSecret())
		again.wantNot(t, subs[0].CurrentSecret())
	}
}

func TestItIsSaidWhetherThereIsAKeyToSignWith(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	const without, with = "There is none now, and until there is, nothing is sent. Make one with grapevine key create --dialect saasquatch", "There is one now."
	typed := url.Values{"dialect": {"saasquatch"}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}}
	y.press("events", typed).want(t, http.StatusOK, without)
	y.press("save", typed).want(t, http.StatusOK, without)
	sub := y.subscriptions()[0]
	made, key, err := w.tenants.CreateKey(t.Context(), y.account.ID, tenant.NewKey{Dialect: "saasquatch", Scopes: []tenant.Scope{tenant.Manage}})
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range []seen{y.press("events", typed), y.get(webhookPath(y.account, sub))} {
		page.want(t, http.StatusOK, with)
		page.wantNot(t, key, "There is none now")
	}
	if err := w.tenants.RevokeKey(t.Context(), y.account.ID, made.ID); err != nil {
		t.Fatal(err)
	}
	y.get(webhookPath(y.account, sub)).want(t, http.StatusOK, without)
}

func TestAWebhookWhoseDialectIsNotSpokenAnyMoreIsShown(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	y.press("save", url.Values{"dialect": {"saasquatch"}, "url": {"https://hooks.example.com/in"}, "scope": {"all"}})
	if _, err := w.tenants.Update(t.Context(), y.account.ID, tenant.Patch{Dialects: new([]string{"standard"})}); err != nil {
		t.Fatal(err)
	}
	y.get(webhookPath(y.account, y.subscriptions()[0])).want(t, http.StatusOK, "The application does not speak it now.")
}

func TestTestJudgesAsTheDialectDoes(t *testing.T) {
	w := MustWorld(t, "")
	y := w.MustType()
	for _, c := range []struct {
		dialect string
		status  int
		words   string
	}{
		{"saasquatch", 200, "The endpoint answered 200 after 34 ms. A delivery would succeed."},
		{"saasquatch", 204, "The endpoint answered 204 after 34 ms. A delivery would fail, and be tried again: saasquatch takes 200 alone."},
		{"rehook", 204, "The endpoint answered 204 after 34 ms. A delivery would succeed: rehook takes any 2xx."},
		{"referralloop", 410, "The endpoint answered 410 after 34 ms. A delivery would fail, and be tried again: the endpoint is gone"},
	} {
		d, _ := dialects.Get(c.dialect)
		judged := d.Judge(wire.Answer{Status: c.status})
		w.receiver.attempt = webhook.Attempt{
			ResponseStatus: c.status, Verdict: judged.Verdict, Reason: judged.Reason, Timing: webhook.Timing{Total: 34 * time.Millisecond},
		}
		y.press("test", url.Values{"dialect": {c.dialect}, "url": {"https://hooks.example.com/in"}}).want(t, http.StatusOK, c.words)
	}
}
