package console_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

func TestEventTypesAreShownWithTheirVersions(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	b := w.MustSignIn(a.Key)
	b.get(applicationPath(a)+"/event-types").want(t, http.StatusOK, "None is registered.")
	w.MustEventType(a, webhook.NewEventType{Name: "invoice.paid", Description: "An invoice was paid."})
	w.MustEventType(a, webhook.NewEventType{
		Name: "invoice.paid", Description: "An invoice was paid in full.",
		Schema: []byte(`{"type":"object","required":["amount"]}`), Sample: []byte(`{"amount":4200}`),
	})
	list := b.get(applicationPath(a) + "/event-types")
	list.want(t, http.StatusOK, "invoice.paid", "An invoice was paid in full.", "2")
	page := b.get(applicationPath(a) + "/event-types/invoice.paid")
	page.want(t, http.StatusOK, "Version 2 Holds", "An invoice was paid in full.", `"required": [ "amount" ]`, `"amount": 4200`, "Version 1", "Any data fits.")
	if err := w.webhooks.ArchiveEventType(t.Context(), a.ID, "invoice.paid"); err != nil {
		t.Fatal(err)
	}
	archived := b.get(applicationPath(a) + "/event-types/invoice.paid")
	archived.want(t, http.StatusOK, "Archived since")
	archived.wantNot(t, "Holds")
	b.get(applicationPath(a)+"/event-types").want(t, http.StatusOK, "None is registered.")
	b.get(applicationPath(a)+"/event-types/invoice.voided").want(t, http.StatusNotFound)
}

func TestATypeWithManyVersionsShowsTheNewest(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	for i := range 13 {
		w.MustEventType(a, webhook.NewEventType{Name: "invoice.paid", Description: fmt.Sprintf("Description number %d.", i+1)})
	}
	page := w.MustSignIn(a.Key).get(applicationPath(a) + "/event-types/invoice.paid")
	page.want(t, http.StatusOK, "Version 13 Holds", "Version 4", "3 earlier versions not shown.")
	page.wantNot(t, "Description number 3.")
}

func TestEventTypesAreListedPageByPage(t *testing.T) {
	w := MustWorld(t, "")
	a := w.MustAccount("acme")
	for i := range 120 {
		w.MustEventType(a, webhook.NewEventType{Name: fmt.Sprintf("event.number-%03d", i)})
	}
	b := w.MustSignIn(a.Key)
	found := follow(b, applicationPath(a)+"/event-types", `class="event"><a href="`, "More event types")
	if len(found) != 120 {
		t.Errorf("the pages show %d types, want 120", len(found))
	}
	for path := range found {
		if !strings.HasPrefix(path, applicationPath(a)+"/event-types/event.number-") {
			t.Errorf("a type leads to %s", path)
		}
	}
}
