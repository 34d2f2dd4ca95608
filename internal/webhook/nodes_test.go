package webhook_test

import (
	"testing"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// mustServers returns a world and another server of its database, with a tenant
// that wants its types registered, and the other's feed.
func mustServers(t *testing.T, nodes *testkit.Nodes) (*checkingWorld, *webhook.Service, *testkit.Feed) {
	t.Helper()
	w := mustChecking(t, "registered")
	box, err := secret.Open(t.Context(), w.db, w.key)
	if err != nil {
		t.Fatal(err)
	}
	server := func(feed *testkit.Feed) *webhook.Service {
		return webhook.New(webhook.Options{DB: w.db, Box: box, CheckURL: checkURL, Attempter: w.tries, Identify: w.identify, Node: feed})
	}
	feed := nodes.Node()
	w.Service = server(nodes.Node())
	return w, server(feed), feed
}

func TestATypeThatAnotherServerRegisteredIsNotRefused(t *testing.T) {
	for name, happens := range map[string]func(nodes *testkit.Nodes, there *testkit.Feed){
		"heard of":      func(*testkit.Nodes, *testkit.Feed) {},
		"not heard yet": func(nodes *testkit.Nodes, _ *testkit.Feed) { nodes.Hold() },
		"heard nothing": func(_ *testkit.Nodes, there *testkit.Feed) { there.Deafen() },
	} {
		t.Run(name, func(t *testing.T) {
			nodes := new(testkit.Nodes)
			w, there, feed := mustServers(t, nodes)
			paid := one("invoice.paid", `{"amount":"1"}`)
			publish := func() error {
				_, _, err := there.Publish(t.Context(), w.tenant, paid)
				return err
			}
			wantProblem(t, publish(), problem.Invalid, "type")
			happens(nodes, feed)
			w.mustRegister(webhook.NewEventType{Name: "invoice.paid", Schema: []byte(invoiceSchema)})
			wantProblem(t, publish(), problem.Invalid, "data.amount")
			w.mustRegister(webhook.NewEventType{Name: "invoice.paid"})
			if err := publish(); err != nil {
				t.Errorf("after the schema has gone: %v", err)
			}
		})
	}
}

func TestWhatAnotherServerDemandsOfATypeIsAskedOnceItIsHeardOf(t *testing.T) {
	for name, happens := range map[string]struct {
		before, after func(nodes *testkit.Nodes, there *testkit.Feed)
	}{
		"heard of":           {},
		"heard nothing":      {before: func(_ *testkit.Nodes, there *testkit.Feed) { there.Deafen() }},
		"may have missed it": {before: func(nodes *testkit.Nodes, _ *testkit.Feed) { nodes.Hold() }, after: func(_ *testkit.Nodes, there *testkit.Feed) { there.Miss("event_type") }},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := new(testkit.Nodes)
			w, there, feed := mustServers(t, nodes)
			w.mustRegister(webhook.NewEventType{Name: "invoice.paid"})
			publish := func() error {
				_, _, err := there.Publish(t.Context(), w.tenant, one("invoice.paid", `{"amount":"1"}`))
				return err
			}
			if err := publish(); err != nil {
				t.Fatal(err)
			}
			if happens.before != nil {
				happens.before(nodes, feed)
			}
			w.mustRegister(webhook.NewEventType{Name: "invoice.paid", Schema: []byte(invoiceSchema)})
			if happens.after != nil {
				happens.after(nodes, feed)
			}
			wantProblem(t, publish(), problem.Invalid, "data.amount")
			if err := w.ArchiveEventType(t.Context(), w.tenant, "invoice.paid"); err != nil {
				t.Fatal(err)
			}
			if happens.after != nil {
				happens.after(nodes, feed)
			}
			wantProblem(t, publish(), problem.Invalid, "type")
		})
	}
}
