package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// outcome is what came of a test, in words.
type outcome struct {
	OK       bool
	Headline string
	Detail   string // what went wrong on the way; "": nothing did
	Answered bool
	Body     []byte // the beginning of the answer
	Cut      bool   // there was more of it
}

// shownOfTest is how much of the answer to a test is shown.
const shownOfTest = 1 << 10

func outcomeOf(a webhook.Attempt, d wire.Dialect) *outcome {
	o := &outcome{
		OK: a.Verdict == wire.Delivered, Answered: a.ResponseStatus != 0, Detail: a.Error,
		Body: a.Body[:min(len(a.Body), shownOfTest)], Cut: len(a.Body) > shownOfTest,
	}
	switch {
	case o.OK && a.ResponseStatus == http.StatusOK:
		o.Headline = fmt.Sprintf("The endpoint answered %d after %s. A delivery would succeed.", a.ResponseStatus, spell(a.Timing.Total))
	case o.OK:
		o.Headline = fmt.Sprintf("The endpoint answered %d after %s. A delivery would succeed: %s takes %s.",
			a.ResponseStatus, spell(a.Timing.Total), d.Name(), successOf(d))
	case o.Answered && a.Reason == wire.ReasonUnexpected:
		o.Headline = fmt.Sprintf("The endpoint answered %d after %s. A delivery would fail, and be tried again: %s takes %s.",
			a.ResponseStatus, spell(a.Timing.Total), d.Name(), successOf(d))
	case o.Answered && a.Verdict == wire.Gone:
		o.Headline = fmt.Sprintf("The endpoint answered %d after %s. A delivery would disable the webhook: the answer says that nothing more is wanted.",
			a.ResponseStatus, spell(a.Timing.Total))
	case o.Answered:
		o.Headline = fmt.Sprintf("The endpoint answered %d after %s. A delivery would fail, and be tried again: %s.",
			a.ResponseStatus, spell(a.Timing.Total), reasonWords(a.Reason))
	case a.Verdict == wire.Refused:
		o.Headline = "Nothing was sent: " + reasonWords(a.Reason) + "."
	default:
		o.Headline = fmt.Sprintf("There was no answer after %s: %s.", spell(a.Timing.Total), reasonWords(a.Reason))
	}
	return o
}

// webhookPage shows one webhook with its latest deliveries.
type webhookPage struct {
	frame
	Webhook    webhookView
	Manner     manner
	Headers    []string // names
	User       string   // of basic authentication; "": none
	Bearer     bool
	CreatedAt  time.Time
	Made       bool           // just now
	Secrets    []secretView   // empty: they are not shown now
	PublicKeys []string       // those of the secrets that have one
	Deliveries []deliveryView // the latest
	AllPath    string         // of all its deliveries
	Outcome    *outcome       // nil: nothing was tested
	Notice     string         // what was just done to it; "": nothing
	ReplayPath string         // where its deliveries are sent again
}

type secretView struct {
	Value     string
	ExpiresAt time.Time // zero: it is the current one
}

// viewOfWebhook returns the page of the webhook that the path names.
func (c *Console) viewOfWebhook(r *http.Request, v *visit) (webhookPage, *webhook.Subscription, error) {
	sub, err := c.subscription(r, v)
	if err != nil {
		return webhookPage{}, nil, err
	}
	latest, _, err := c.webhooks.Deliveries(r.Context(), v.application.ID,
		webhook.DeliveryFilter{SubscriptionID: sub.ID}, webhook.Page{Limit: deliveriesOfHookShown})
	if err != nil && !problem.QueryTooSlow.Has(err) {
		return webhookPage{}, nil, err
	}
	page := webhookPage{
		frame: v.frame("Webhook").tab("webhooks"), Webhook: viewWebhook(v.application, sub), CreatedAt: sub.CreatedAt,
		Bearer:     sub.Auth.Type == webhook.BearerAuth,
		AllPath:    deliverySearch{Webhook: id.Subscription.Format(sub.ID)}.path(v.application),
		ReplayPath: replaysPath(v.application) + "/new?" + url.Values{"webhook": {id.Subscription.Format(sub.ID)}}.Encode(),
	}
	if sub.Auth.Type == webhook.BasicAuth {
		page.User = sub.Auth.Username
	}
	for _, h := range sub.Headers {
		page.Headers = append(page.Headers, h.Name)
	}
	if page.Manner, err = c.mannerOf(r.Context(), v, sub.Dialect); err != nil {
		return webhookPage{}, nil, err
	}
	page.Manner.Retries = scheduleWords(sub.Schedule())
	page.Manner.Timeout = spellWhole(sub.Timeout())
	now := time.Now()
	for _, d := range latest {
		page.Deliveries = append(page.Deliveries, viewDelivery(v.application, d, now))
	}
	return page, sub, nil
}

// reveal puts the secrets that sign now on the page.
func (c *Console) reveal(ctx context.Context, v *visit, page *webhookPage, sub *webhook.Subscription) error {
	secrets, keys, err := c.webhooks.RevealSecrets(ctx, v.application.ID, sub.ID, time.Now())
	if err != nil {
		return err
	}
	for _, s := range secrets {
		page.Secrets = append(page.Secrets, secretView(s))
	}
	page.PublicKeys = keys
	return nil
}

func (c *Console) showWebhook(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, sub, err := c.viewOfWebhook(r, v)
	if err != nil {
		return err
	}
	if page.Notice, err = c.sessions.TakeNotice(r.Context(), v.session, sub.ID); err != nil {
		return err
	}
	if page.Made, err = c.sessions.TakeUnseen(r.Context(), v.session, sub.ID); err != nil {
		return err
	}
	if page.Made {
		if err := c.reveal(r.Context(), v, &page, sub); err != nil {
			return err
		}
	}
	return c.render(w, http.StatusOK, "webhook", page)
}

// showSecret answers a POST, so that a secret is not fetched by following an
// address.
func (c *Console) showSecret(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, sub, err := c.viewOfWebhook(r, v)
	if err != nil {
		return err
	}
	if err := c.reveal(r.Context(), v, &page, sub); err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "webhook", page)
}

func (c *Console) testWebhook(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, sub, err := c.viewOfWebhook(r, v)
	if err != nil {
		return err
	}
	attempt, err := c.webhooks.TestSubscription(r.Context(), v.application.ID, sub.ID)
	if err != nil {
		return err
	}
	page.Outcome = outcomeOf(attempt, sub.Dialect)
	return c.render(w, http.StatusOK, "webhook", page)
}

// change is something that is done to a webhook once it is confirmed.
type change struct {
	Title, Question, Button string
	Danger                  bool

	apply func(ctx context.Context, c *Console, tenant, sub id.ID) error
}

// changes are the changes by their names in addresses.
var changes = map[string]change{
	"disable": {
		Title: "Disable this webhook?", Button: "Disable webhook",
		Question: "What is pending waits until you enable it again. What is published from now on is held, and can be recovered once it is enabled.",
		apply: func(ctx context.Context, c *Console, tenant, sub id.ID) error {
			_, err := c.webhooks.DisableSubscription(ctx, tenant, sub)
			return err
		},
	},
	"delete": {
		Title: "Delete this webhook?", Button: "Delete webhook", Danger: true,
		Question: "Its pending deliveries are cancelled, and it can't be brought back. The records of what was delivered stay.",
		apply: func(ctx context.Context, c *Console, tenant, sub id.ID) error {
			return c.webhooks.DeleteSubscription(ctx, tenant, sub)
		},
	},
}

type changePage struct {
	frame
	Change  change
	Webhook webhookView
}

func (c *Console) showChange(w http.ResponseWriter, r *http.Request, v *visit) error {
	asked, ok := changes[r.PathValue("change")]
	if !ok {
		return errNoPage
	}
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "change", changePage{v.frame(asked.Title).tab("webhooks"), asked, viewWebhook(v.application, sub)})
}

func (c *Console) submitChange(w http.ResponseWriter, r *http.Request, v *visit) error {
	name := r.PathValue("change")
	asked, ok := changes[name]
	if !ok {
		return errNoPage
	}
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	if err := asked.apply(r.Context(), c, v.application.ID, sub.ID); err != nil {
		return err
	}
	if name == "delete" {
		seeOther(w, r, applicationPath(v.application))
		return nil
	}
	seeOther(w, r, webhookPath(v.application, sub.ID))
	return nil
}
