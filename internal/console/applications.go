package console

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// How much a page of a list shows.
const (
	applicationsShown     = 20
	webhooksOfEachShown   = 10
	webhooksShown         = 50
	deliveriesShown       = 50
	deliveriesOfHookShown = 10
	replaysShown          = 20
	eventTypesShown       = 50
	entriesShown          = 50
)

// cursorParameter says in an address where the page before has ended.
const cursorParameter = "after"

type applicationsPage struct {
	frame
	Applications []applicationView
	Next         string // "": this is the last page
}

// applicationView is an application with its webhooks.
type applicationView struct {
	applicationFrame
	Webhooks []webhookView
	More     bool // there are more webhooks than are shown
}

// webhookView is how a webhook is shown in a list.
type webhookView struct {
	ID      string
	Path    string
	URL     string
	Dialect string
	Events  []string
	All     bool
	Only    restriction
	Enabled bool
	Reason  string // why it is disabled
	Health  healthView
}

func viewWebhook(t tenant.Tenant, sub *webhook.Subscription) webhookView {
	return webhookView{
		ID: id.Subscription.Format(sub.ID), Path: webhookPath(t, sub.ID), URL: sub.URL, Dialect: sub.Dialect.Name(),
		Events: sub.EventTypes, All: len(sub.EventTypes) == 1 && sub.EventTypes[0] == webhook.AllTypes,
		Only: restrictedTo(sub.Filter), Enabled: sub.Enabled, Reason: sub.Reason,
		Health: viewHealth(sub, time.Now()),
	}
}

// eventsNamed is how many event types a list names; the rest it counts.
const eventsNamed = 3

// FirstEvents returns the event types that a list names.
func (w webhookView) FirstEvents() []string { return w.Events[:min(len(w.Events), eventsNamed)] }

// FurtherEvents counts those that it does not.
func (w webhookView) FurtherEvents() int { return max(len(w.Events)-eventsNamed, 0) }

// showApplications lists the tenants that the visitor may see, each with the
// first of its webhooks.
func (c *Console) showApplications(w http.ResponseWriter, r *http.Request, v *visit) error {
	tenants := []tenant.Tenant{v.principal.Tenant}
	page := applicationsPage{frame: v.frame("Applications")}
	if v.principal.Admin {
		after, err := parseTenant(r.URL.Query().Get(cursorParameter))
		if err != nil {
			return err
		}
		var next id.ID
		if tenants, next, err = c.tenants.List(r.Context(), tenant.Page{Limit: applicationsShown, After: after}); err != nil {
			return err
		}
		if !next.IsZero() {
			page.Next = applicationsPath + "?" + url.Values{cursorParameter: {id.Tenant.Format(next)}}.Encode()
		}
	}
	for _, t := range tenants {
		view, _, err := c.viewApplication(r.Context(), t, webhook.Page{Limit: webhooksOfEachShown})
		if err != nil {
			return err
		}
		page.Applications = append(page.Applications, view)
	}
	return c.render(w, http.StatusOK, "applications", page)
}

// parseTenant reads where a page of tenants begins.
func parseTenant(text string) (id.ID, error) {
	if text == "" {
		return id.ID{}, nil
	}
	after, err := id.Tenant.Parse(text)
	if err != nil {
		return id.ID{}, errNoPage
	}
	return after, nil
}

// viewApplication returns an application with a page of its webhooks, and where
// the next page begins.
func (c *Console) viewApplication(ctx context.Context, t tenant.Tenant, page webhook.Page) (applicationView, string, error) {
	subs, next, err := c.webhooks.Subscriptions(ctx, t.ID, page)
	if err != nil {
		return applicationView{}, "", err
	}
	view := applicationView{
		applicationFrame: applicationFrame{Alias: t.Alias, Live: t.Live, Path: applicationPath(t)},
		Webhooks:         make([]webhookView, len(subs)), More: next != "",
	}
	for i, sub := range subs {
		view.Webhooks[i] = viewWebhook(t, sub)
	}
	return view, next, nil
}

type applicationPage struct {
	frame
	View applicationView
	Next string // "": this is the last page
}

// showApplication lists all webhooks of one application.
func (c *Console) showApplication(w http.ResponseWriter, r *http.Request, v *visit) error {
	view, next, err := c.viewApplication(r.Context(), v.application, webhook.Page{
		Limit: webhooksShown, Cursor: r.URL.Query().Get(cursorParameter),
	})
	if err != nil {
		return err
	}
	page := applicationPage{frame: v.frame(v.application.Alias).tab("webhooks"), View: view}
	if next != "" {
		page.Next = withParameter(r, cursorParameter, next)
	}
	return c.render(w, http.StatusOK, "application", page)
}
