package console

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// deliveryView is how a delivery is shown in a list.
type deliveryView struct {
	ID          string
	Path        string
	EventType   string
	Status      string
	Attempts    int
	Answer      int    // of the last attempt; 0: there was none
	Reason      string // of the last attempt, or why it ended
	PublishedAt time.Time
	Next        string // when the next attempt is, in words; "": there is none

	Endpoint     string // "": the webhook was deleted
	EndpointPath string
}

func viewDelivery(t tenant.Tenant, d webhook.Delivery, now time.Time) deliveryView {
	view := deliveryView{
		ID: id.Delivery.Format(d.EventID, d.SubscriptionID), Path: deliveryPath(t, d.EventID, d.SubscriptionID),
		EventType: d.EventType, Status: d.Status.String(), Attempts: d.Attempts, Answer: d.ResponseStatus, Reason: d.Reason,
		PublishedAt: d.EventID.Time(),
	}
	if isPending(d.Status) {
		view.Next = nextAttempt(d, now)
	}
	return view
}

func isPending(s webhook.Status) bool { return s == webhook.Pending || s == webhook.Retrying }

// nextAttempt says when a pending delivery is tried next.
func nextAttempt(d webhook.Delivery, now time.Time) string {
	if d.NextAt.After(now) {
		return "in " + spell(d.NextAt.Sub(now))
	}
	return "due now"
}

// deliveriesPage lists deliveries, the newest first.
type deliveriesPage struct {
	frame
	Search     deliverySearch
	Wrong      mistakes
	Webhooks   []webhookView // that can be chosen
	Deliveries []deliveryView
	First      string // the address of the newest ones; "": this is it
	Next       string // "": this is the last page
	Partial    bool   // the search has not come through a whole page yet
	Live       string // the address of the list alone; "": it does not keep itself up to date
	RefreshOn  string
	RefreshOff string
}

func (c *Console) showDeliveries(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	page := deliveriesPage{
		frame: v.frame("Deliveries").tab("deliveries"), Search: readSearch(q), Wrong: make(mistakes),
		RefreshOn: withParameter(r, refreshParameter, "5"), RefreshOff: withParameter(r, "", ""),
	}
	filter := page.Search.filter(page.Wrong)
	if !page.Search.Further() && len(page.Wrong) == 0 {
		page.Live, page.Refresh = live(r), q.Has(refreshParameter)
	}
	var err error
	if !q.Has(partParameter) {
		if page.Webhooks, err = c.choosable(r.Context(), v.application, filter.SubscriptionID); err != nil {
			return err
		}
	}
	if len(page.Wrong) > 0 {
		return c.render(w, problem.Invalid.Status, "deliveries", page)
	}
	found, next, err := c.webhooks.Deliveries(r.Context(), v.application.ID, filter, webhook.Page{
		Limit: deliveriesShown, Cursor: q.Get(cursorParameter),
	})
	if problem.QueryTooSlow.Has(err) && page.Live == "" {
		page.Wrong["form"] = sentence(detailOf(err)) + " Choose a webhook or a status besides, or a shorter time."
		return c.render(w, problem.QueryTooSlow.Status, "deliveries", page)
	}
	if err != nil {
		return err
	}
	if page.Deliveries, err = c.viewDeliveries(r.Context(), v.application, found); err != nil {
		return err
	}
	if next != "" {
		page.Next = withParameter(r, cursorParameter, next)
	}
	page.Partial = next != "" && len(found) < deliveriesShown
	if q.Has(cursorParameter) {
		page.First = page.Search.path(v.application)
	}
	return c.renderLive(w, r, "deliveries", page)
}

// viewDeliveries returns the deliveries with the endpoints that they go to.
func (c *Console) viewDeliveries(ctx context.Context, t tenant.Tenant, found []webhook.Delivery) ([]deliveryView, error) {
	now := time.Now()
	to := c.endpointsOf(t)
	views := make([]deliveryView, len(found))
	for i, d := range found {
		endpoint, err := to.url(ctx, d.SubscriptionID)
		if err != nil {
			return nil, err
		}
		views[i] = viewDelivery(t, d, now)
		views[i].Endpoint, views[i].EndpointPath = endpoint, webhookPath(t, d.SubscriptionID)
	}
	return views, nil
}

// maxChoosable is how many webhooks the list can be restricted to by choice.
// Others are chosen on their own pages.
const maxChoosable = 100

// choosable returns the webhooks that the list can be restricted to, with the
// chosen one.
func (c *Console) choosable(ctx context.Context, t tenant.Tenant, chosen id.ID) ([]webhookView, error) {
	subs, _, err := c.webhooks.Subscriptions(ctx, t.ID, webhook.Page{Limit: maxChoosable})
	if err != nil {
		return nil, err
	}
	views := make([]webhookView, 0, len(subs)+1)
	there := chosen.IsZero()
	for _, sub := range subs {
		there = there || sub.ID == chosen
		views = append(views, viewWebhook(t, sub))
	}
	if there {
		return views, nil
	}
	view := webhookView{ID: id.Subscription.Format(chosen), URL: "a deleted webhook"}
	sub, err := c.webhooks.Subscription(ctx, t.ID, chosen)
	switch {
	case err == nil:
		view = viewWebhook(t, sub)
	case !problem.NotFound.Has(err):
		return nil, err
	}
	return append(views, view), nil
}
