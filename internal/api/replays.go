package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// ReplayJSON is how a replay is shown.
type ReplayJSON struct {
	ID             string     `json:"id" example:"job_019a9c1d2f3b5e8d7c6a4f10"`
	Kind           string     `json:"kind" example:"recover" doc:"replay, or recover: what a subscription has missed."`
	State          string     `json:"state" example:"running" doc:"running, paused, cancelled, completed, or failed: it could not go on, and waits to be resumed."`
	SubscriptionID string     `json:"subscription_id,omitempty" doc:"Absent: deliveries to all subscriptions."`
	EventTypes     []string   `json:"event_types,omitempty" doc:"Absent: of every type."`
	Status         []string   `json:"status,omitempty" doc:"How the deliveries stood; absent: all that had ended."`
	Since          time.Time  `json:"since"`
	Until          *time.Time `json:"until,omitempty" doc:"Absent: what was published before the replay was made."`
	Done           int64      `json:"done" doc:"Deliveries that were made due again."`
	Skipped        int64      `json:"skipped" doc:"Deliveries that can't be sent: the subscription is disabled or was deleted, or the event's body was expunged."`
	Total          *int64     `json:"total,omitempty" doc:"Of both, when it is over; absent: too many to be counted before."`
	CreatedAt      time.Time  `json:"created_at"`
	UpdatedAt      time.Time  `json:"updated_at"`
	EndedAt        *time.Time `json:"ended_at,omitempty" doc:"Absent: it is not completed and not cancelled."`
}

type newReplayJSON struct {
	SubscriptionID string     `json:"subscription_id,omitempty" minLength:"1" maxLength:"100" doc:"Deliveries to this subscription; absent: to all."`
	EventTypes     []string   `json:"event_types,omitempty" doc:"Events of these types, at most 100; absent: of every type."`
	Status         []string   `json:"status,omitempty" doc:"Deliveries that stand so: delivered, failed, held, cancelled; absent: all of these."`
	Since          time.Time  `json:"since" doc:"Of events published at this time or later."`
	Until          *time.Time `json:"until,omitempty" doc:"Of events published before this time; absent: of all that are there."`
}

type recoverJSON struct {
	Since time.Time  `json:"since" doc:"Of events published at this time or later."`
	Until *time.Time `json:"until,omitempty" doc:"Of events published before this time; absent: of all that are there."`
}

type replayCountJSON struct {
	Deliveries int64 `json:"deliveries" doc:"How many would be sent again."`
	Skipped    int64 `json:"skipped" doc:"How many can't be: the subscription is disabled or was deleted, or the event's body was expunged."`
	More       bool  `json:"more" doc:"Whether there are more than were counted: counting ends after 100,000, or two seconds."`
}

type replayPath struct {
	ID string `path:"id" doc:"The replay's id."`
}

const (
	exampleReplay  = `{"event_types":["invoice.paid"],"status":["failed","held"],"since":"2026-01-31T15:00:00Z","until":"2026-01-31T18:00:00Z"}`
	exampleRecover = `{"since":"2026-01-31T15:00:00Z"}`
	exampleEnable  = `{"recover_since":"2026-01-31T15:00:00Z"}`
)

func (s *server) replayRoutes() {
	register(s, route{
		id: "create-replay", method: http.MethodPost, path: "/v1/replays", tag: tagReplays, access: canManage, status: http.StatusAccepted,
		summary:     "Send deliveries again",
		description: "All that the fields choose, as they stand now, each once. Replays survive a restart, and new events are not delayed by them.",
		example:     exampleReplay, errors: []*problem.Code{problem.Conflict, problem.SubscriptionDisabled},
	}, s.createReplay)
	register(s, route{
		id: "preview-replay", method: http.MethodPost, path: "/v1/replays/preview", tag: tagReplays, access: canRead,
		summary: "Count what a replay would send", description: "Sends nothing.",
		example: exampleReplay, errors: []*problem.Code{problem.SubscriptionDisabled},
	}, s.previewReplay)
	register(s, route{
		id: "list-replays", method: http.MethodGet, path: "/v1/replays", tag: tagReplays, access: canRead,
		summary: "List replays", description: "The newest first. Those that have ended are kept for 30 days.",
	}, s.listReplays)
	register(s, route{
		id: "get-replay", method: http.MethodGet, path: "/v1/replays/{id}", tag: tagReplays, access: canRead,
		summary: "Get a replay", description: "With its progress.",
	}, s.getReplay)
	register(s, route{
		id: "pause-replay", method: http.MethodPost, path: "/v1/replays/{id}/pause", tag: tagReplays, access: canManage,
		summary: "Pause a replay", description: "What it has made due is sent.", errors: []*problem.Code{problem.Conflict},
	}, s.pauseReplay)
	register(s, route{
		id: "resume-replay", method: http.MethodPost, path: "/v1/replays/{id}/resume", tag: tagReplays, access: canManage,
		summary: "Resume a replay", description: "One that was paused, or that failed.", errors: []*problem.Code{problem.Conflict},
	}, s.resumeReplay)
	register(s, route{
		id: "cancel-replay", method: http.MethodPost, path: "/v1/replays/{id}/cancel", tag: tagReplays, access: canManage,
		summary: "Cancel a replay", description: "What it has made due is sent.", errors: []*problem.Code{problem.Conflict},
	}, s.cancelReplay)
	register(s, route{
		id: "recover-subscription", method: http.MethodPost, path: "/v1/subscriptions/{id}/recover", tag: tagSubscriptions, access: canManage, status: http.StatusAccepted,
		summary: "Recover a subscription", description: "Sends again what it has missed: deliveries that failed, and those that are held. The answer is a replay.",
		example: exampleRecover, errors: []*problem.Code{problem.Conflict, problem.SubscriptionDisabled},
	}, s.recoverSubscription)
}

func (b newReplayJSON) filter() (webhook.ReplayFilter, error) {
	f := webhook.ReplayFilter{EventTypes: b.EventTypes, Statuses: b.Status, Since: b.Since, Until: timeOf(b.Until)}
	if b.SubscriptionID == "" {
		return f, nil
	}
	var err error
	if f.SubscriptionID, err = id.Subscription.Parse(b.SubscriptionID); err != nil {
		return f, errNoSubscription
	}
	return f, nil
}

// errNoSubscription is said of an id in a body that is not that of one of the
// tenant's subscriptions.
var errNoSubscription = problem.InvalidField("subscription_id", "is not the id of a subscription")

// timeOf is the zero time for one that is absent.
func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// inBody says of a subscription that was not found that a field has named it.
func inBody(err error) error {
	if problem.NotFound.Has(err) {
		return errNoSubscription
	}
	return err
}

func (s *server) createReplay(ctx context.Context, r request[none, newReplayJSON]) (ReplayJSON, error) {
	filter, err := r.body.filter()
	if err != nil {
		return ReplayJSON{}, err
	}
	made, err := s.opts.Webhooks.StartReplay(ctx, r.tenant.ID, filter)
	return showReplay(made), inBody(err)
}

func (s *server) previewReplay(ctx context.Context, r request[none, newReplayJSON]) (replayCountJSON, error) {
	filter, err := r.body.filter()
	if err != nil {
		return replayCountJSON{}, err
	}
	n, err := s.opts.Webhooks.PreviewReplay(ctx, r.tenant.ID, filter)
	return replayCountJSON{n.Deliveries, n.Skipped, n.More}, inBody(err)
}

func (s *server) listReplays(ctx context.Context, r request[Paging, none]) (page[ReplayJSON], error) {
	replays, next, err := s.opts.Webhooks.Replays(ctx, r.tenant.ID, webhook.Page{Limit: r.params.Limit, Cursor: r.params.Cursor})
	return pageOf(replays, next, showReplay), inQuery(err)
}

func (s *server) getReplay(ctx context.Context, r request[replayPath, none]) (ReplayJSON, error) {
	return s.withReplay(ctx, r, s.opts.Webhooks.Replay)
}

func (s *server) pauseReplay(ctx context.Context, r request[replayPath, none]) (ReplayJSON, error) {
	return s.withReplay(ctx, r, s.opts.Webhooks.PauseReplay)
}

func (s *server) resumeReplay(ctx context.Context, r request[replayPath, none]) (ReplayJSON, error) {
	return s.withReplay(ctx, r, s.opts.Webhooks.ResumeReplay)
}

func (s *server) cancelReplay(ctx context.Context, r request[replayPath, none]) (ReplayJSON, error) {
	return s.withReplay(ctx, r, s.opts.Webhooks.CancelReplay)
}

// withReplay does something with the replay that a path names and shows how it
// then stands.
func (s *server) withReplay(ctx context.Context, r request[replayPath, none],
	do func(ctx context.Context, tenant, replay id.ID) (webhook.Replay, error),
) (ReplayJSON, error) {
	named, err := id.Job.Parse(r.params.ID)
	if err != nil {
		return ReplayJSON{}, problem.NotFound.New("there is no such replay")
	}
	replay, err := do(ctx, r.tenant.ID, named)
	return showReplay(replay), err
}

func (s *server) recoverSubscription(ctx context.Context, r request[subscriptionPath, recoverJSON]) (ReplayJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return ReplayJSON{}, err
	}
	made, err := s.opts.Webhooks.Recover(ctx, r.tenant.ID, sub, r.body.Since, timeOf(r.body.Until))
	return showReplay(made), err
}

func showReplay(r webhook.Replay) ReplayJSON {
	shown := ReplayJSON{
		ID: id.Job.Format(r.ID), Kind: r.Kind, State: r.State, EventTypes: r.Filter.EventTypes, Status: r.Filter.Statuses,
		Since: r.Filter.Since, Until: optionalTime(r.Filter.Until), Done: r.Done, Skipped: r.Skipped,
		CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt, EndedAt: optionalTime(r.EndedAt),
	}
	if !r.Filter.SubscriptionID.IsZero() {
		shown.SubscriptionID = id.Subscription.Format(r.Filter.SubscriptionID)
	}
	if r.Total >= 0 {
		shown.Total = &r.Total
	}
	return shown
}

type enableJSON struct {
	RecoverSince *time.Time `json:"recover_since,omitempty" doc:"What it has missed of the events published at this time or later is sent again; absent: nothing is."`
}

type enabledSubscriptionJSON struct {
	SubscriptionJSON
	Missed missedJSON  `json:"missed" doc:"What it has not got, and can be sent again."`
	Replay *ReplayJSON `json:"replay,omitempty" doc:"What recovers it; absent: nothing does."`
}

type missedJSON struct {
	Failed int64      `json:"failed" doc:"Deliveries that failed, among the tenant's latest 100,000 that did."`
	Held   int64      `json:"held" doc:"Deliveries that are held, at most 100,000."`
	Since  *time.Time `json:"since,omitempty" doc:"When the oldest of their events was published; absent: nothing was missed."`
}

func (s *server) enableSubscription(ctx context.Context, r request[subscriptionPath, enableJSON]) (enabledSubscriptionJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return enabledSubscriptionJSON{}, err
	}
	if r.body.RecoverSince != nil && r.body.RecoverSince.IsZero() {
		return enabledSubscriptionJSON{}, problem.InvalidField("recover_since", "must not be before 1970")
	}
	if err := s.opts.Webhooks.ConfirmSubscription(ctx, r.tenant.ID, sub, r.confirm); err != nil {
		return enabledSubscriptionJSON{}, err
	}
	e, err := s.opts.Webhooks.EnableAndRecover(ctx, r.tenant.ID, sub, timeOf(r.body.RecoverSince))
	if err != nil {
		return enabledSubscriptionJSON{}, err
	}
	shown := enabledSubscriptionJSON{Missed: missedJSON{e.Missed.Failed, e.Missed.Held, optionalTime(e.Missed.Since)}}
	if e.Replay != nil {
		shown.Replay = new(showReplay(*e.Replay))
	}
	shown.SubscriptionJSON, err = showSubscription(e.Subscription)
	return shown, err
}
