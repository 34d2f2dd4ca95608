package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// replayDraft is a replay that is being typed.
type replayDraft struct {
	Webhook  string // its id; "": all
	Types    string // of events, one a line; "": all
	Statuses []string
	Since    string
	Until    string
}

func readReplayDraft(form url.Values) replayDraft {
	return replayDraft{
		Webhook: form.Get("webhook"), Types: form.Get("types"), Statuses: form["status"],
		Since: form.Get("since"), Until: form.Get("until"),
	}
}

// Chosen reports whether deliveries that stand so are sent again.
func (d replayDraft) Chosen(status string) bool { return slices.Contains(d.Statuses, status) }

// EventTypes returns the types that were typed.
func (d replayDraft) EventTypes() []string { return strings.Fields(d.Types) }

// filter reads what was typed, and notes what is wrong with it.
func (d replayDraft) filter(wrong mistakes) webhook.ReplayFilter {
	f := webhook.ReplayFilter{
		EventTypes: d.EventTypes(), Statuses: d.Statuses,
		Since: wrong.requiredTime("since", d.Since), Until: wrong.time("until", d.Until),
	}
	if len(f.Statuses) == 0 {
		wrong["statuses"] = "Choose at least one."
	}
	if d.Webhook != "" {
		var err error
		if f.SubscriptionID, err = id.Subscription.Parse(d.Webhook); err != nil {
			wrong["webhook"] = noWebhook
		}
	}
	return f
}

const noWebhook = "This is not one of the application's webhooks."

// replayFormPage makes a replay: it is described, then counted, then begun.
type replayFormPage struct {
	frame
	Draft    replayDraft
	Recovers *webhookView  // the webhook that gets what it has missed; nil: any deliveries
	Webhooks []webhookView // that can be chosen
	Endpoint string        // of the chosen one; "": all
	Wrong    mistakes
	Count    *webhook.ReplayCount // nil: it is still being described
	Filter   webhook.ReplayFilter // what was counted
	Back     string
}

// replayable are the statuses that deliveries can have which are sent again.
var replayable = []string{webhook.Failed.String(), webhook.Held.String(), webhook.Delivered.String(), webhook.Cancelled.String()}

// Statuses returns the statuses that can be chosen.
func (replayFormPage) Statuses() []string { return replayable }

// CountWords says how much would be sent again.
func (p replayFormPage) CountWords() string {
	n := deliveriesCounted(p.Count.Deliveries)
	switch {
	case p.Count.More:
		return "More than " + n + " would be sent again: counting ended there."
	case p.Count.Deliveries == 0:
		return "There is nothing to send again."
	default:
		return capital(n) + " would be sent again."
	}
}

// SkippedWords says how much could not be; "" is nothing.
func (p replayFormPage) SkippedWords() string {
	if p.Count.Skipped == 0 {
		return ""
	}
	return capital(deliveriesCounted(p.Count.Skipped)) + " can't be, and would be skipped: the webhook is disabled or was deleted, or the event's body was removed."
}

// Worth reports whether there is anything to begin.
func (p replayFormPage) Worth() bool { return p.Count.Deliveries > 0 || p.Count.More }

func deliveriesCounted(n int64) string {
	if n == 1 {
		return "1 delivery"
	}
	return grouped(n) + " deliveries"
}

func (c *Console) showNewReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := c.newReplayForm(r, v, replayDraft{
		Webhook: r.URL.Query().Get("webhook"), Statuses: []string{webhook.Failed.String(), webhook.Held.String()},
	})
	if err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "replay-form", page)
}

func (c *Console) submitNewReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	page, err := c.newReplayForm(r, v, readReplayDraft(r.PostForm))
	if err != nil {
		return err
	}
	return c.submitReplay(w, r, v, page)
}

// newReplayForm returns the form for a replay of any deliveries.
func (c *Console) newReplayForm(r *http.Request, v *visit, d replayDraft) (replayFormPage, error) {
	page := replayFormPage{
		frame: v.frame("Send deliveries again").tab("replays"), Draft: d, Wrong: make(mistakes), Back: replaysPath(v.application),
	}
	chosen, err := id.Subscription.Parse(d.Webhook)
	if err != nil { // which is said when it is submitted
		chosen = id.ID{}
	}
	if page.Webhooks, err = c.choosable(r.Context(), v.application, chosen); err != nil {
		return replayFormPage{}, err
	}
	at := slices.IndexFunc(page.Webhooks, func(w webhookView) bool { return w.ID == d.Webhook })
	if at >= 0 {
		page.Endpoint = page.Webhooks[at].URL
	}
	return page, nil
}

// showRecover asks from when on a webhook is to get what it has missed. Of one
// that is disabled that is a part of enabling it.
func (c *Console) showRecover(w http.ResponseWriter, r *http.Request, v *visit) error {
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	if !sub.Enabled {
		seeOther(w, r, webhookPath(v.application, sub.ID)+"/enable")
		return nil
	}
	return c.render(w, http.StatusOK, "replay-form", c.recoverForm(v, sub, replayDraft{Since: typedTime(troubleBegan(sub))}))
}

func (c *Console) submitRecover(w http.ResponseWriter, r *http.Request, v *visit) error {
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	return c.submitReplay(w, r, v, c.recoverForm(v, sub, readReplayDraft(r.PostForm)))
}

// recoverForm returns the form for what a webhook has missed.
func (c *Console) recoverForm(v *visit, sub *webhook.Subscription, d replayDraft) replayFormPage {
	view := viewWebhook(v.application, sub)
	d.Webhook, d.Types, d.Statuses = view.ID, "", []string{webhook.Failed.String(), webhook.Held.String()}
	return replayFormPage{
		frame: v.frame("Recover what was missed").tab("webhooks"), Draft: d, Recovers: &view, Endpoint: view.URL,
		Wrong: make(mistakes), Back: view.Path,
	}
}

// submitReplay does what the button that was pressed says: it counts, begins, or
// goes back to the form.
func (c *Console) submitReplay(w http.ResponseWriter, r *http.Request, v *visit, page replayFormPage) error {
	do := r.PostForm.Get("do")
	if do == "change" {
		return c.render(w, http.StatusOK, "replay-form", page)
	}
	filter := page.Draft.filter(page.Wrong)
	if len(page.Wrong) > 0 {
		return c.refuseReplay(w, r, page, nil)
	}
	if do == "start" {
		begun, err := c.beginReplay(r.Context(), v, page, filter)
		if err != nil {
			return c.refuseReplay(w, r, page, err)
		}
		c.leave(r.Context(), v, begun.ID, "It has begun.")
		seeOther(w, r, replayPath(v.application, begun.ID))
		return nil
	}
	n, err := c.webhooks.PreviewReplay(r.Context(), v.application.ID, filter)
	if err != nil {
		return c.refuseReplay(w, r, page, err)
	}
	page.Count, page.Filter = &n, filter
	return c.render(w, http.StatusOK, "replay-form", page)
}

func (c *Console) beginReplay(ctx context.Context, v *visit, page replayFormPage, filter webhook.ReplayFilter) (webhook.Replay, error) {
	if page.Recovers != nil {
		return c.webhooks.Recover(ctx, v.application.ID, filter.SubscriptionID, filter.Since, filter.Until)
	}
	return c.webhooks.StartReplay(ctx, v.application.ID, filter)
}

// refuseReplay shows the form again with what is wrong. A webhook that is not
// there is a mistake in the field that names it.
func (c *Console) refuseReplay(w http.ResponseWriter, r *http.Request, page replayFormPage, err error) error {
	if problem.NotFound.Has(err) && page.Recovers == nil {
		page.Wrong["webhook"] = noWebhook
		err = nil
	}
	if endsForm(err) {
		return err
	}
	status := page.Wrong.note(c, r, err)
	page.Title = "Mistakes: " + page.Title
	return c.render(w, status, "replay-form", page)
}
