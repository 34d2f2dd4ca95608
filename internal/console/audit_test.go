package console_test

import (
	"net/url"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/id"
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
