package console

import (
	"errors"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// enablePage asks whether a webhook is to be enabled, and what is to be sent
// then.
type enablePage struct {
	frame
	Webhook webhookView
	Recover bool
	Since   string
	Wrong   mistakes
}

func (c *Console) viewOfEnable(v *visit, sub *webhook.Subscription) enablePage {
	return enablePage{
		frame: v.frame("Enable this webhook?").tab("webhooks"), Webhook: viewWebhook(v.application, sub),
		Since: typedTime(troubleBegan(sub)), Wrong: make(mistakes),
	}
}

// troubleBegan is from when on a webhook may have missed something: since its
// endpoint failed first, or else since it was changed last, which is when it was
// disabled.
func troubleBegan(sub *webhook.Subscription) time.Time {
	began := sub.UpdatedAt
	if since := sub.Health.Since; !since.IsZero() && since.Before(began) {
		began = since
	}
	return began.Truncate(time.Minute)
}

func (c *Console) showEnable(w http.ResponseWriter, r *http.Request, v *visit) error {
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	return c.render(w, http.StatusOK, "enable", c.viewOfEnable(v, sub))
}

// submitEnable enables a webhook. A handshake that is due is asked for first.
func (c *Console) submitEnable(w http.ResponseWriter, r *http.Request, v *visit) error {
	sub, err := c.subscription(r, v)
	if err != nil {
		return err
	}
	page := c.viewOfEnable(v, sub)
	var since time.Time
	if page.Recover = r.PostForm.Has("recover"); page.Recover {
		page.Since = r.PostForm.Get("since")
		since = page.Wrong.requiredTime("since", page.Since)
	}
	if len(page.Wrong) > 0 {
		return c.refuseEnable(w, r, page, nil)
	}
	if err := c.webhooks.ConfirmSubscription(r.Context(), v.application.ID, sub.ID, c.confirm(v)); err != nil {
		return c.refuseEnable(w, r, page, err)
	}
	enabled, err := c.webhooks.EnableAndRecover(r.Context(), v.application.ID, sub.ID, since)
	if err != nil {
		return c.refuseEnable(w, r, page, err)
	}
	about, to := sub.ID, webhookPath(v.application, sub.ID)
	if enabled.Replay != nil {
		about, to = enabled.Replay.ID, replayPath(v.application, enabled.Replay.ID)
	}
	c.leave(r.Context(), v, about, "The webhook is enabled. "+missedWords(enabled.Missed))
	seeOther(w, r, to)
	return nil
}

// missedWords says what a webhook has not got.
func missedWords(m webhook.Missed) string {
	if m.Failed+m.Held == 0 {
		return "It has missed nothing."
	}
	text := "It has missed " + counted(m.Failed+m.Held, "event") + " since " + when(m.Since) + ": "
	switch {
	case m.Held == 0:
		return text + "they failed."
	case m.Failed == 0:
		return text + "they are held."
	default:
		return text + grouped(m.Failed) + " failed, " + grouped(m.Held) + " held."
	}
}

// refuseEnable shows the form again with what is wrong.
func (c *Console) refuseEnable(w http.ResponseWriter, r *http.Request, page enablePage, err error) error {
	if endsForm(err) {
		return err
	}
	status := page.Wrong.note(c, r, err)
	page.Title = "Mistakes: " + page.Title
	return c.render(w, status, "enable", page)
}

// endsForm reports whether there is no form to show again: the session, the
// application or the thing that the form was about has ended.
func endsForm(err error) bool { return errors.Is(err, errSignedOut) || problem.NotFound.Has(err) }

// fieldsOfForms are the fields of the services by their names in the forms for
// replays, with how their mistakes begin.
var fieldsOfForms = map[string]struct{ field, label string }{
	"since":         {"since", "This"},
	"recover_since": {"since", "This"},
	"until":         {"until", "This"},
	"event_types":   {"types", "They"},
	"status":        {"statuses", "They"},
}

// note adds what the service found wrong, and returns the status that the form is
// shown with.
func (m mistakes) note(c *Console, r *http.Request, err error) int {
	if err == nil {
		return problem.Invalid.Status
	}
	refusal := c.refusal(r, err)
	for _, f := range refusal.Fields {
		if at, ok := fieldsOfForms[f.Name]; ok && m[at.field] == "" {
			m[at.field] = sentence(at.label + " " + f.Message)
		}
	}
	if len(m) == 0 {
		m["form"] = sentence(refusal.Detail)
	}
	return refusal.Code.Status
}

// time reads a time that was typed, and notes what is wrong with it.
func (m mistakes) time(field, text string) time.Time {
	t, err := readTime(text)
	if err != nil {
		m[field] = sentence("This " + err.Error())
	}
	return t
}

// requiredTime is time, and notes where nothing was typed.
func (m mistakes) requiredTime(field, text string) time.Time {
	if text == "" {
		m[field] = "Say from when on."
	}
	return m.time(field, text)
}
