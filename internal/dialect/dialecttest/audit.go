package dialecttest

import (
	"net/http"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func (s Suite) audit(t *testing.T) {
	w, a := s.world(t, nil)
	key, plaintext := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: w.API.Name(), Name: "auditor's"})
	onRecord := func(action audit.Action) {
		t.Helper()
		entries, _, err := w.Audit.Entries(t.Context(), audit.Filter{TenantID: a.ID, KeyID: key.ID, Action: action}, audit.Page{Limit: 10})
		if err != nil || len(entries) != 1 {
			t.Fatalf("%d entries of %s, %v", len(entries), action, err)
		}
		by := entries[0].Actor
		if by.Kind != audit.Key || by.Via != w.API.Name() || by.KeyName != "auditor's" || by.KeyHint != key.Hint || !by.Address.IsLoopback() || by.RequestID == "" {
			t.Errorf("%s: by %+v", action, by)
		}
	}
	if got := w.send(s.Create.of(a.Tenant, ""), s.Auth(plaintext)); got.Status > 299 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	onRecord(audit.SubscriptionCreated)
	subs, _, err := w.Webhooks.Subscriptions(t.Context(), a.ID, webhook.Page{Limit: 1})
	if err != nil || len(subs) != 1 {
		t.Fatalf("%d subscriptions, %v", len(subs), err)
	}
	for _, one := range s.One {
		if one.Method != http.MethodDelete {
			continue
		}
		if got := w.send(one.of(a.Tenant, s.ID(subs[0])), s.Auth(plaintext)); got.Status > 299 {
			t.Fatalf("%d %s", got.Status, got.Body)
		}
		onRecord(audit.SubscriptionDeleted)
		return
	}
	t.Error("no call ends a subscription")
}
