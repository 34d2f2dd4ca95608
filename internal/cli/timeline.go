package cli

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// timeline is a delivery from the event's publication to what comes next.
type timeline struct {
	delivery     client.FullDelivery
	event        client.Event
	subscription *client.Subscription // nil: it was deleted
}

func (t timeline) show(e *env, now time.Time) {
	s := newSheet(e.out)
	s.field("delivery", t.delivery.ID)
	s.field("event", t.event.ID+"  "+typeOf(t.event.Dialect, t.event.Type))
	endpoint := "deleted since"
	if t.subscription != nil {
		endpoint = t.subscription.URL
	}
	s.field("subscription", t.delivery.SubscriptionID+"  "+endpoint)
	s.field("published", when(t.event.CreatedAt))
	s.painted("status", statusCell(t.delivery.Status))
	fmt.Fprintln(e.out)

	table := newTable(e.out, 10, 11)
	if missing := t.delivery.AttemptCount - len(t.delivery.Attempts); missing > 0 {
		table.row(cell{"…", dim}, cell{plural(missing, "earlier attempt") + " not shown", dim})
	}
	var ended time.Time // of the attempt before
	for _, a := range t.delivery.Attempts {
		if !ended.IsZero() {
			table.row(cell{"", plain}, cell{"waited " + span(a.StartedAt.Sub(ended)), dim})
		}
		t.attempt(table, a)
		ended = a.StartedAt.Add(microseconds(a.Timing.Total))
	}
	table.row(cell{"", plain}, statusCell(t.delivery.Status), cell{t.next(now), plain})
}

// attempt shows when an attempt began, counted from the publication, what came
// of it, how long its parts took, and the first lines of the answer.
func (t timeline) attempt(table *table, a client.Attempt) {
	table.row(
		cell{"+" + span(a.StartedAt.Sub(t.event.CreatedAt)), dim},
		cell{"attempt " + strconv.Itoa(a.Number), plain},
		verdictCell(a.Verdict, answer(a.ResponseStatus, a.Reason)+", "+timing(a.Timing)),
	)
	if a.Error != "" {
		table.row(cell{}, cell{}, cell{a.Error, dim})
	}
	if a.Response != nil {
		for _, line := range bodyLines(a.Response.Body) {
			table.row(cell{}, cell{}, cell{line, dim})
		}
	}
}

// next says what happens to the delivery now, or what can be done about it.
func (t timeline) next(now time.Time) string {
	d := t.delivery.Delivery
	retry := "grapevine delivery retry " + d.ID
	switch d.Status {
	case client.Delivered:
		return span(d.UpdatedAt.Sub(t.event.CreatedAt)) + " after it was published"
	case client.Failed:
		return "the schedule is exhausted; begin it again with: " + retry
	case client.Cancelled:
		return "nothing more is sent: " + d.Reason
	case client.Held:
		if t.subscription != nil && t.subscription.Status == client.Disabled {
			return "its subscription is disabled; to send it: grapevine subscription enable " + d.SubscriptionID + " && " + retry
		}
		return "its subscription was disabled when it was published; to send it now: " + retry
	case client.Pending:
	}
	switch {
	case t.subscription != nil && t.subscription.Status == client.Disabled:
		return "waits until its subscription is enabled: grapevine subscription enable " + d.SubscriptionID
	case d.NextAttemptAt.After(now):
		return fmt.Sprintf("attempt %d in %s, at %s", d.AttemptCount+1, span(d.NextAttemptAt.Sub(now)), when(d.NextAttemptAt))
	}
	return fmt.Sprintf("attempt %d is due", d.AttemptCount+1)
}

func microseconds(n int64) time.Duration { return time.Duration(n) * time.Microsecond }

// timing shows how long an attempt took, and which of its parts were needed.
func timing(t client.Timing) string {
	var parts []string
	for _, p := range []struct {
		name string
		us   int64
	}{{"DNS", t.DNS}, {"connect", t.Connect}, {"TLS", t.TLS}, {"first byte", t.FirstByte}} {
		if p.us != 0 {
			parts = append(parts, p.name+" "+span(microseconds(p.us)))
		}
	}
	text := span(microseconds(t.Total))
	if len(parts) > 0 {
		text += " (" + strings.Join(parts, ", ") + ")"
	}
	return text
}

// What is shown of an answer's body.
const (
	maxBodyLines = 3
	maxBodyLine  = 200 // bytes
)

// bodyLines returns the first lines of a body.
func bodyLines(body string) []string {
	body = strings.TrimSpace(body)
	if body == "" {
		return nil
	}
	lines := strings.Split(body, "\n")
	more := len(lines) - maxBodyLines
	lines = lines[:min(len(lines), maxBodyLines)]
	for i, line := range lines {
		lines[i] = excerpt(strings.TrimRight(line, "\r"), maxBodyLine)
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("… and %s more; --json shows all", plural(more, "line")))
	}
	return lines
}
