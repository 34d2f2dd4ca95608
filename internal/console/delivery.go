package console

import (
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// deliveryPage shows one delivery from its publication to what comes next.
type deliveryPage struct {
	frame
	Delivery   deliveryView
	EventID    string
	Dialect    string
	OccurredAt time.Time
	Body       []byte // as it was sent
	Cut        bool   // there is more of it
	Expunged   bool
	Webhook    *webhookView // nil: it was deleted
	Headers    []string     // the names of the webhook's own, as it is now
	Earlier    int          // attempts that are no longer on record
	Attempts   []attemptView
	Outlook    string // what comes next, in words
	Retry      string // the address that retries; "": it can't be

	Live       string // the address of what changes; "": nothing does
	RefreshOn  string
	RefreshOff string
}

// attemptView is one attempt on the timeline.
type attemptView struct {
	Number    int
	StartedAt time.Time
	After     string // the publication, in words
	Waited    string // since the attempt before; "": it is the first
	OK        bool
	Answer    int // 0: there was none
	Reason    string
	Error     string
	Took      string
	Bar       []segment
	Headers   []wire.Header
	Body      []byte
}

// segment is a part of an attempt's time, as a part of its bar.
type segment struct {
	Name  string
	Class string
	Took  string
	X, W  int // of barWidth
}

// barWidth is how wide a bar is drawn, in units of its own.
const barWidth = 1000

// shownBody is how much of an event's body is shown.
const shownBody = 64 << 10

func (c *Console) showDelivery(w http.ResponseWriter, r *http.Request, v *visit) error {
	event, sub, err := id.Delivery.ParsePair(r.PathValue("delivery"))
	if err != nil {
		return errNoPage
	}
	d, attempts, err := c.webhooks.Delivery(r.Context(), v.application.ID, event, sub)
	if err != nil {
		return err
	}
	published, _, err := c.webhooks.Event(r.Context(), v.application.ID, event)
	if err != nil {
		return err
	}
	to, err := c.webhooks.Subscription(r.Context(), v.application.ID, sub)
	switch {
	case problem.NotFound.Has(err):
		to = nil
	case err != nil:
		return err
	}
	now := time.Now()
	page := deliveryPage{
		frame: v.frame("Delivery").tab("deliveries"), Delivery: viewDelivery(v.application, d, now),
		EventID: id.Event.Format(event), Dialect: published.Dialect, OccurredAt: published.OccurredAt,
		Body: published.Body[:min(len(published.Body), shownBody)], Cut: len(published.Body) > shownBody, Expunged: published.Body == nil,
		Earlier: d.Attempts - len(attempts), Attempts: timeline(event.Time(), attempts),
		RefreshOn: withParameter(r, refreshParameter, "5"), RefreshOff: withParameter(r, "", ""),
	}
	page.Refresh = r.URL.Query().Has(refreshParameter) && isPending(d.Status)
	if to != nil {
		page.Webhook = new(viewWebhook(v.application, to))
		for _, h := range to.Headers {
			page.Headers = append(page.Headers, h.Name)
		}
		if to.Enabled && !page.Expunged && v.can(tenant.Manage) {
			page.Retry = page.Delivery.Path + "/retry"
		}
	}
	page.Outlook = outlook(d, to, now)
	if isPending(d.Status) {
		page.Live = live(r)
	}
	return c.renderLive(w, r, "delivery", page)
}

// timeline returns the attempts as they are shown, counted from the publication.
func timeline(published time.Time, attempts []webhook.Attempt) []attemptView {
	views := make([]attemptView, len(attempts))
	var ended time.Time
	for i, a := range attempts {
		views[i] = attemptView{
			Number: a.Number, StartedAt: a.StartedAt, After: spell(a.StartedAt.Sub(published)),
			OK: a.Verdict == wire.Delivered, Answer: a.ResponseStatus, Reason: string(a.Reason), Error: a.Error,
			Took: spell(a.Timing.Total), Bar: bar(a.Timing), Headers: a.Headers, Body: a.Body,
		}
		if !ended.IsZero() {
			views[i].Waited = spell(a.StartedAt.Sub(ended))
		}
		ended = a.StartedAt.Add(a.Timing.Total)
	}
	return views
}

// bar draws how long the parts of an attempt took, one after the other. What the
// endpoint took to answer is what the first byte took less what came before it.
func bar(t webhook.Timing) []segment {
	if t.Total <= 0 {
		return nil
	}
	before := t.DNS + t.Connect + t.TLS
	first := max(t.FirstByte-before, 0)
	rest := max(t.Total-before-first, 0)
	last := segment{Name: "rest of the answer", Class: "rest"}
	if t.FirstByte == 0 {
		last = segment{Name: "waiting", Class: "first"}
	}
	parts := []struct {
		segment
		took time.Duration
	}{
		{segment{Name: "DNS", Class: "dns"}, t.DNS},
		{segment{Name: "connect", Class: "connect"}, t.Connect},
		{segment{Name: "TLS", Class: "tls"}, t.TLS},
		{segment{Name: "first byte", Class: "first"}, first},
		{last, rest},
	}
	whole := max(before+first+rest, t.Total)
	var segments []segment
	var at time.Duration
	for _, p := range parts {
		if p.took <= 0 {
			continue
		}
		s := p.segment
		s.Took = spell(p.took)
		s.X = int(at * barWidth / whole)
		at += p.took
		s.W = max(int(at*barWidth/whole)-s.X, 1)
		segments = append(segments, s)
	}
	return segments
}

// outlook says what comes next for a delivery, and what can be done about it.
func outlook(d webhook.Delivery, to *webhook.Subscription, now time.Time) string {
	switch d.Status {
	case webhook.Delivered:
		return "It arrived " + spell(d.UpdatedAt.Sub(d.EventID.Time())) + " after it was published. Nothing more is sent."
	case webhook.Failed:
		return "The schedule is exhausted. Nothing more is sent unless you retry."
	case webhook.Cancelled:
		return "Nothing more is sent: " + reasonWords(d.Reason) + "."
	case webhook.Held:
		if to != nil && !to.Enabled {
			return "Its webhook is disabled. Enable it, then retry."
		}
		return "Its webhook was disabled when it was published. Retry to send it now."
	case webhook.Pending, webhook.Retrying:
	}
	if to != nil && !to.Enabled {
		return "Its webhook is disabled. It is sent once you enable it."
	}
	return "The next attempt is " + nextAttempt(d, now) + "."
}

// retry makes a delivery due now and shows it.
func (c *Console) retry(w http.ResponseWriter, r *http.Request, v *visit) error {
	event, sub, err := id.Delivery.ParsePair(r.PathValue("delivery"))
	if err != nil {
		return errNoPage
	}
	if _, err := c.webhooks.Retry(r.Context(), v.application.ID, event, sub); err != nil {
		return err
	}
	seeOther(w, r, deliveryPath(v.application, event, sub))
	return nil
}
