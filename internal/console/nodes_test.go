package console_test

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/console"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// MustSecond returns the world as another server of its database has it, which
// accepts an operator's key of its own.
func (w *world) MustSecond(operatorKey string) *world {
	w.t.Helper()
	second := *w
	var err error
	if second.tenants, err = tenant.New(w.db, tenant.Options{OnDelete: w.webhooks.DeleteTenant}); err != nil {
		w.t.Fatal(err)
	}
	if _, err = second.tenants.EnsureAdminKey(w.t.Context(), operatorKey); err != nil {
		w.t.Fatal(err)
	}
	if second.audit, err = audit.New(w.db, audit.Options{}); err != nil {
		w.t.Fatal(err)
	}
	if second.sessions, err = session.New(w.db); err != nil {
		w.t.Fatal(err)
	}
	second.console, err = console.New(console.Options{
		Tenants: second.tenants, Webhooks: w.webhooks, Audit: second.audit, Sessions: second.sessions, URL: w.url,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return &second
}

// at has the browser's next requests go to another server.
func (b *browser) at(w *world) *browser {
	b.w = w
	return b
}

func TestOneSessionIsGoodAtEveryServer(t *testing.T) {
	here := MustWorld(t, "")
	there := here.MustSecond(adminKey)
	a := here.MustAccount("acme")
	for _, key := range []string{a.Key, adminKey} {
		b := here.MustBrowser()
		b.at(there).submit(b.at(here).get("/console/sign-in"), "/console/sign-in", url.Values{"key": {key}})
		if !b.at(here).isSignedIn() || !b.at(there).isSignedIn() {
			t.Fatal("who signed in at one server is unknown at the other")
		}
		page := b.at(here).get("/console/applications")
		b.at(there).submit(page, "/console/sign-out", nil).want(t, http.StatusOK, "Sign in")
		if b.at(here).isSignedIn() {
			t.Error("who signed out at one server is signed in at the other")
		}
	}
}

func TestWhatIsDoneAtOneServerIsSaidByTheNext(t *testing.T) {
	here := MustWorld(t, "")
	there := here.MustSecond(adminKey)
	a := here.MustAccount("acme")
	sub := here.MustSubscription(a)
	if _, err := here.webhooks.DisableSubscription(t.Context(), a.ID, sub.ID); err != nil {
		t.Fatal(err)
	}
	b := here.MustSignIn(a.Key)
	page := webhookPath(a, sub)
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.submit(b.get(page+"/enable"), page+"/enable", nil)
	b.at(there).get(page).want(t, http.StatusOK, "The webhook is enabled.")
	b.at(here).get(page).wantNot(t, "The webhook is enabled.")
}

func TestALinkOfOneServerIsUsedUpAtAll(t *testing.T) {
	here := MustWorld(t, "")
	there := here.MustSecond(adminKey)
	link := here.MustLink()
	there.MustBrowser().open(link).want(t, http.StatusOK, "Signed in as the operator")
	here.MustBrowser().open(link).want(t, http.StatusForbidden, "This link was used already")
}

func TestASessionOfTheOperatorEndsWithItsKey(t *testing.T) {
	before := MustWorld(t, "")
	after := before.MustSecond("gv_admin_another9abcdefghijklmnop")
	a := before.MustAccount("acme")
	tenants, byKey, byLink := before.MustSignIn(a.Key), before.MustSignIn(adminKey), before.MustBrowser()
	byLink.open(before.MustLink()).want(t, http.StatusOK)
	for name, b := range map[string]*browser{"by key": byKey, "by link": byLink} {
		if b.at(after).isSignedIn() {
			t.Errorf("%s: who had the operator's old key is let in by a server with another", name)
		}
	}
	if !tenants.at(after).isSignedIn() {
		t.Error("a tenant's session has ended with the operator's key")
	}
}
