package console

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// replayView is how a replay is shown.
type replayView struct {
	ID           string
	Path         string
	Name         string // which kind it is
	State        string
	Endpoint     string // "": the webhook was deleted, or it is for all
	EndpointPath string // "": it is for all
	Types        []string
	Statuses     []string
	Since, Until time.Time // Until is zero: of all that was there
	Done         int64
	Skipped      int64
	Total        int64 // -1: not counted
	CreatedAt    time.Time
	EndedAt      time.Time // zero: it has not ended
}

// The states of a replay that matter here.
const (
	replayRunning   = "running"
	replayPaused    = "paused"
	replayFailed    = "failed"
	replayCompleted = "completed"
)

// Badge is the class of the state's badge: that of a delivery which stands alike.
func (p replayView) Badge() string {
	switch p.State {
	case replayRunning:
		return "pending"
	case replayCompleted:
		return "delivered"
	default:
		return p.State
	}
}

// Progress says how far it has come.
func (p replayView) Progress() string {
	text := grouped(p.Done + p.Skipped)
	if p.Total >= 0 {
		text += " of " + grouped(p.Total)
	}
	if p.Skipped > 0 {
		text += ", " + grouped(p.Skipped) + " skipped"
	}
	return text
}

// Gone is how many it has dealt with.
func (p replayView) Gone() int64 { return p.Done + p.Skipped }

// Status says how the deliveries stood that it is about.
func (p replayView) Status() string {
	if len(p.Statuses) == 0 {
		return "any that had ended"
	}
	return strings.Join(p.Statuses, ", ")
}

// CanPause reports whether it can be paused.
func (p replayView) CanPause() bool { return p.State == replayRunning }

// CanResume reports whether it can be resumed.
func (p replayView) CanResume() bool { return p.State == replayPaused || p.State == replayFailed }

// CanCancel reports whether it can be cancelled.
func (p replayView) CanCancel() bool { return p.CanPause() || p.CanResume() }

// Outlook says what comes next.
func (p replayView) Outlook() string {
	switch p.State {
	case replayRunning:
		return "Deliveries are made due one after the other, and sent as their endpoints take them."
	case replayPaused:
		return "It waits until you resume it. What was made due by then is sent."
	case replayFailed:
		return "It could not go on, and waits until you resume it."
	case replayCompleted:
		return "All were made due. What becomes of each is among the deliveries."
	default:
		return "It ends here. What was made due by then is sent."
	}
}

// endpoints are the URLs of webhooks, each asked for once.
type endpoints struct {
	webhooks *webhook.Service
	tenant   tenant.Tenant
	urls     map[id.ID]string
}

func (c *Console) endpointsOf(t tenant.Tenant) endpoints {
	return endpoints{c.webhooks, t, make(map[id.ID]string)}
}

// url returns where a webhook sends, or "" if it was deleted.
func (e endpoints) url(ctx context.Context, sub id.ID) (string, error) {
	if known, asked := e.urls[sub]; asked {
		return known, nil
	}
	found, err := e.webhooks.Subscription(ctx, e.tenant.ID, sub)
	switch {
	case err == nil:
		e.urls[sub] = found.URL
	case problem.NotFound.Has(err):
		e.urls[sub] = ""
	default:
		return "", err
	}
	return e.urls[sub], nil
}

// viewReplay returns a replay with the endpoint that it is for.
func viewReplay(ctx context.Context, e endpoints, p webhook.Replay) (replayView, error) {
	view := replayView{
		ID: id.Job.Format(p.ID), Path: replayPath(e.tenant, p.ID), Name: "Replay", State: p.State,
		Types: p.Filter.EventTypes, Statuses: p.Filter.Statuses, Since: p.Filter.Since, Until: p.Filter.Until,
		Done: p.Done, Skipped: p.Skipped, Total: p.Total, CreatedAt: p.CreatedAt, EndedAt: p.EndedAt,
	}
	if p.Kind == webhook.KindRecover {
		view.Name = "Recovery"
	}
	if p.Filter.SubscriptionID.IsZero() {
		return view, nil
	}
	var err error
	view.EndpointPath = webhookPath(e.tenant, p.Filter.SubscriptionID)
	view.Endpoint, err = e.url(ctx, p.Filter.SubscriptionID)
	return view, err
}

// replaysPage lists replays, the newest first.
type replaysPage struct {
	frame
	Replays    []replayView
	New        string // where one is made
	First      string // the address of the newest ones; "": this is it
	Next       string // "": this is the last page
	Live       string
	RefreshOn  string
	RefreshOff string
}

func (c *Console) showReplays(w http.ResponseWriter, r *http.Request, v *visit) error {
	q := r.URL.Query()
	found, next, err := c.webhooks.Replays(r.Context(), v.application.ID, webhook.Page{Limit: replaysShown, Cursor: q.Get(cursorParameter)})
	if err != nil {
		return err
	}
	page := replaysPage{
		frame: v.frame("Replays").tab("replays"), Replays: make([]replayView, len(found)), New: replaysPath(v.application) + "/new",
		Live: live(r), RefreshOn: withParameter(r, refreshParameter, "5"), RefreshOff: withParameter(r, "", ""),
	}
	page.Refresh = q.Has(refreshParameter)
	to := c.endpointsOf(v.application)
	for i, p := range found {
		if page.Replays[i], err = viewReplay(r.Context(), to, p); err != nil {
			return err
		}
	}
	if next != "" {
		page.Next = withParameter(r, cursorParameter, next)
	}
	if q.Has(cursorParameter) {
		page.First = replaysPath(v.application)
	}
	return c.renderLive(w, r, "replays", page)
}

// replayPage shows one replay.
type replayPage struct {
	frame
	Replay     replayView
	Notice     string // what was just done; "": nothing
	Live       string // "": nothing changes any more
	RefreshOn  string
	RefreshOff string
}

func (c *Console) showReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	named, err := id.Job.Parse(r.PathValue("replay"))
	if err != nil {
		return errNoPage
	}
	found, err := c.webhooks.Replay(r.Context(), v.application.ID, named)
	if err != nil {
		return err
	}
	view, err := viewReplay(r.Context(), c.endpointsOf(v.application), found)
	if err != nil {
		return err
	}
	page := replayPage{
		frame: v.frame(view.Name).tab("replays"), Replay: view,
		RefreshOn: withParameter(r, refreshParameter, "5"), RefreshOff: withParameter(r, "", ""),
	}
	page.Refresh = r.URL.Query().Has(refreshParameter) && view.CanCancel()
	if !inBackground(r) {
		if page.Notice, err = c.sessions.TakeNotice(r.Context(), v.session, found.ID); err != nil {
			return err
		}
	}
	if view.CanCancel() {
		page.Live = live(r)
	}
	return c.renderLive(w, r, "replay", page)
}

// steerReplay pauses, resumes or cancels a replay.
func (c *Console) steerReplay(w http.ResponseWriter, r *http.Request, v *visit) error {
	steer, ok := map[string]func(ctx context.Context, tenant, replay id.ID) (webhook.Replay, error){
		"pause": c.webhooks.PauseReplay, "resume": c.webhooks.ResumeReplay, "cancel": c.webhooks.CancelReplay,
	}[r.PathValue("steering")]
	named, err := id.Job.Parse(r.PathValue("replay"))
	if err != nil || !ok {
		return errNoPage
	}
	if _, err := steer(r.Context(), v.application.ID, named); err != nil {
		return err
	}
	seeOther(w, r, replayPath(v.application, named))
	return nil
}
