package console_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func TestWhatIsDoneAtTheConsoleIsOnRecordWithWhoDidIt(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	press := func(b *browser, change string) {
		t.Helper()
		page := b.get(webhookPath(a, sub) + "/" + change)
		page.want(t, 200)
		b.submit(page, webhookPath(a, sub)+"/"+change, url.Values{}).want(t, 200)
	}
	press(w.MustSignIn(a.Key), "disable")
	press(w.MustSignIn(adminKey), "enable")
	asked := w.MustSignIn(a.Key)
	asked.submit(asked.get(webhookPath(a, sub)), webhookPath(a, sub)+"/secret", url.Values{}).want(t, 200)
	for action, want := range map[audit.Action]audit.Actor{
		audit.SubscriptionDisabled:       {Kind: audit.Key, KeyID: a.keyID},
		audit.SubscriptionEnabled:        {Kind: audit.Operator},
		audit.SubscriptionSecretRevealed: {Kind: audit.Key, KeyID: a.keyID},
	} {
		entries, _, err := w.audit.Entries(t.Context(), audit.Filter{Action: action, ObjectID: id.Subscription.Format(sub.ID)}, audit.Page{Limit: 10})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%s: %d entries, %v", action, len(entries), err)
		}
		by := entries[0].Actor
		if by.Kind != want.Kind || by.KeyID != want.KeyID || by.Via != audit.ViaConsole || by.Address.String() != "203.0.113.7" {
			t.Errorf("%s: by %+v", action, by)
		}
	}
}

func TestTheAuditPageSaysWhoDidWhatWhenAndFromWhere(t *testing.T) {
	w := MustWorld(t, "")
	a, other := w.MustAccount("acme"), w.MustAccount("other")
	_, key, err := w.tenants.CreateKey(t.Context(), a.ID, tenant.NewKey{Name: "billing", Scopes: []tenant.Scope{tenant.Read, tenant.Manage}})
	if err != nil {
		t.Fatal(err)
	}
	sub := w.MustSubscription(a)
	w.MustSubscriptionTo(other, "https://hooks.example.com/of-another")
	press := func(b *browser, change string) {
		t.Helper()
		b.submit(b.get(webhookPath(a, sub)+"/"+change), webhookPath(a, sub)+"/"+change, nil).want(t, http.StatusOK)
	}
	b, operator := w.MustSignIn(key), w.MustSignIn(adminKey)
	b.from, operator.from = "198.51.100.4:1", "192.0.2.99:1"
	press(b, "disable")
	press(operator, "enable")

	path := applicationPath(a) + "/audit"
	page := b.get(path)
	page.want(t, http.StatusOK, "Webhook disabled", "key billing ("+key[:len("gv_live_")], "198.51.100.4, at the console",
		"Webhook enabled", "the operator", "Webhook added", "the server itself", "Key created", id.Subscription.Format(sub.ID), "status enabled → disabled", "reason manual → nothing", "name billing")
	page.wantNot(t, "192.0.2.99", "of-another", key)
	if !strings.Contains(page.body, `href="`+webhookPath(a, sub)+`"`) {
		t.Error("no link leads to the webhook")
	}
	operator.get(path).want(t, http.StatusOK, "192.0.2.99, at the console")
	other1 := w.MustSignIn(other.Key).get(applicationPath(other) + "/audit")
	other1.want(t, http.StatusOK, "Webhook added")
	other1.wantNot(t, id.Subscription.Format(sub.ID), "billing")
}

func TestAuditEntriesAreFilteredByActionPageByPage(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	sub := w.MustSubscription(a)
	for range 60 {
		if _, err := w.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.webhooks.EnableSubscription(t.Context(), a.ID, sub.ID); err != nil {
			t.Fatal(err)
		}
	}
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/audit?action=" + string(audit.SubscriptionDisabled)
	first := b.get(path)
	first.want(t, http.StatusOK, "Webhook disabled")
	_, rest, more := strings.Cut(first.body, `<a class="button" href="`)
	next, _, _ := strings.Cut(rest, `"`)
	second := b.get(strings.ReplaceAll(next, "&amp;", "&"))
	second.want(t, http.StatusOK, "Newest")
	rows := func(page seen) int { return strings.Count(page.body, `data-label="What"><bdi>Webhook disabled<`) }
	if !more || rows(first) != 50 || rows(second) != 10 || strings.Contains(second.body, ">Older<") {
		t.Errorf("the pages have %d and %d entries, want 50 and 10", rows(first), rows(second))
	}
	b.get(applicationPath(a)+"/audit?action=moon.eaten").want(t, http.StatusOK, "There are no entries like this", "moon.eaten")
	b.get(applicationPath(a)+"/audit?after=x").want(t, http.StatusNotFound)
}

func TestAReplayMadeAtTheConsoleIsOnRecord(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	w.MustFailedDelivery(a, w.MustSubscription(a))
	b := w.MustSignIn(a.Key)
	path := applicationPath(a) + "/replays/new"
	made := b.submit(b.get(path), path, url.Values{"do": {"start"}, "status": {webhook.Failed.String()}, "since": {hourAgo()}})
	b.submit(made, made.path+"/cancel", nil).want(t, http.StatusOK)
	page := b.get(applicationPath(a) + "/audit")
	page.want(t, http.StatusOK, "Replay begun", "Replay cancelled", "203.0.113.7, at the console")
	if strings.Count(page.body, `href="`+made.path+`"`) != 2 {
		t.Error("the entries do not lead to the replay")
	}
}
