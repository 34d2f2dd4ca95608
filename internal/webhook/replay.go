package webhook

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Limits of replays.
const (
	maxReplays     = 20 // of one tenant that have not ended
	maxReplayTypes = 100

	// How far a replay is counted before it begins.
	maxCounted   = 100_000
	maxCountTime = 2 * time.Second
)

// ReplayFilter chooses deliveries that have ended, as they stand when the replay
// is made. Since is required; the other zero fields choose nothing.
type ReplayFilter struct {
	SubscriptionID id.ID
	EventTypes     []string
	Statuses       []string  // of delivered, failed, held, cancelled; none: all four
	Since, Until   time.Time // of the events
}

// The kinds of replays.
const (
	KindReplay  = "replay"
	KindRecover = "recover" // what a subscription has missed: failed and held
)

// Replay is the sending again of many deliveries, as it stands.
type Replay struct {
	ID        id.ID
	Kind      string
	State     string // running, paused, cancelled, completed, failed
	Filter    ReplayFilter
	Done      int64 // made due again
	Skipped   int64 // could not be sent again; see ReplayCount
	Total     int64 // Done and Skipped when it is over; -1: not counted
	CreatedAt time.Time
	UpdatedAt time.Time
	EndedAt   time.Time // zero: it has not ended
}

// ReplayCount is how much a replay would send again.
type ReplayCount struct {
	Deliveries int64
	// Skipped are those that can't be sent: the subscription is disabled or was
	// deleted, or the event's body was expunged.
	Skipped int64
	More    bool // there are more than were counted
}

// replayJob is the kind under which replays are stored as jobs.
const replayJob = "replay"

// replaySpec is a replay as its job holds it.
type replaySpec struct {
	Kind         string   `json:"kind"`
	Subscription []byte   `json:"subscription,omitempty"`
	EventTypes   []string `json:"event_types,omitempty"`
	Statuses     []Status `json:"statuses"`
	Chosen       bool     `json:"chosen,omitempty"` // the statuses were named
	Since        int64    `json:"since"`
	Until        int64    `json:"until,omitempty"`
	Before       []byte   `json:"before"`    // an event's id: what was published from then on does not belong to it
	Unchanged    int64    `json:"unchanged"` // when it was made: a delivery that has changed since does not belong to it
}

// PreviewReplay counts what a replay would send again, if it were made now: up to
// a hundred thousand, or as far as two seconds lead.
func (s *Service) PreviewReplay(ctx context.Context, tenant id.ID, filter ReplayFilter) (ReplayCount, error) {
	now := time.Now()
	spec, err := newReplay(KindReplay, filter, s.ids.New(now), now)
	if err != nil {
		return ReplayCount{}, err
	}
	err = s.db.Read(ctx, func(q db.Queryer) error { return s.checkReplaySubscription(q, tenant, filter.SubscriptionID) })
	if err != nil {
		return ReplayCount{}, err
	}
	return s.countReplay(ctx, tenant, spec)
}

// StartReplay sends the deliveries again that the filter chooses.
func (s *Service) StartReplay(ctx context.Context, tenant id.ID, filter ReplayFilter) (Replay, error) {
	return s.startReplay(ctx, tenant, KindReplay, filter)
}

// Recover sends again what a subscription has missed of the events since a time
// and, unless that is zero, before another one: what failed and what was held. Of
// the endpoint's failures nothing is remembered: whoever recovers it takes it for
// well.
func (s *Service) Recover(ctx context.Context, tenant, sub id.ID, since, until time.Time) (Replay, error) {
	if _, err := s.Subscription(ctx, tenant, sub); err != nil { // before the times are judged
		return Replay{}, err
	}
	return s.startReplay(ctx, tenant, KindRecover, recovery(sub, since, until))
}

// recovery chooses what a subscription has missed.
func recovery(sub id.ID, since, until time.Time) ReplayFilter {
	return ReplayFilter{SubscriptionID: sub, Statuses: []string{Failed.String(), Held.String()}, Since: since, Until: until}
}

func (s *Service) startReplay(ctx context.Context, tenant id.ID, kind string, filter ReplayFilter) (Replay, error) {
	now := time.Now()
	spec, err := newReplay(kind, filter, s.ids.New(now), now)
	if err != nil {
		return Replay{}, err
	}
	err = s.db.Read(ctx, func(q db.Queryer) error { return s.checkReplaySubscription(q, tenant, filter.SubscriptionID) })
	if err != nil {
		return Replay{}, err
	}
	total, err := s.replayTotal(ctx, tenant, spec)
	if err != nil {
		return Replay{}, err
	}
	var made Replay
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if err := s.checkReplaySubscription(tx, tenant, filter.SubscriptionID); err != nil {
			return err
		}
		if kind == KindRecover {
			if err := s.renewEndpoint(tx, tenant, filter.SubscriptionID); err != nil {
				return err
			}
		}
		made, err = s.addReplay(ctx, tx, spec, job.New{TenantID: tenant, Total: total})
		return err
	})
	return made, err
}

// replayTotal counts all of a replay, if that does not take long.
func (s *Service) replayTotal(ctx context.Context, tenant id.ID, spec replaySpec) (int64, error) {
	n, err := s.countReplay(ctx, tenant, spec)
	if problem.QueryTooSlow.Has(err) {
		return job.Uncounted, nil // others search; it need not be known
	}
	if err != nil || n.More {
		return job.Uncounted, err
	}
	return n.Deliveries + n.Skipped, nil
}

// addReplay stores a replay, which begins once tx is committed.
func (s *Service) addReplay(ctx context.Context, tx *db.Tx, spec replaySpec, of job.New) (Replay, error) {
	n, err := job.Open(tx, of.TenantID, replayJob)
	if err != nil {
		return Replay{}, err
	}
	if n >= maxReplays {
		return Replay{}, problem.Conflict.New("%d replays are under way or paused already: wait until one has ended, or cancel one", n)
	}
	of.Kind, of.Spec = replayJob, spec
	j, err := s.jobs.Add(tx, of)
	if err != nil {
		return Replay{}, err
	}
	if err := auditReplay(ctx, tx, &j, audit.ReplayCreated); err != nil {
		return Replay{}, err
	}
	return showReplay(j)
}

// checkReplaySubscription refuses a replay of which everything would be skipped.
func (s *Service) checkReplaySubscription(q db.Queryer, tenant, sub id.ID) error {
	if sub.IsZero() {
		return nil
	}
	found, err := s.selectSubscription(q, tenant, sub)
	if err != nil {
		return err
	}
	if !found.Enabled {
		return problem.SubscriptionDisabled.New("the subscription is disabled: enable it, then send again what it has missed")
	}
	return nil
}

// newReplay checks a filter and returns the replay of it that is made at now, of
// events before another one.
func newReplay(kind string, filter ReplayFilter, before id.ID, now time.Time) (replaySpec, error) {
	var checks problem.Checks
	switch {
	case filter.Since.IsZero():
		checks.Add("since", "is required: the time from which on events are sent again")
	case filter.Since.After(now):
		checks.Add("since", "must not be in the future")
	}
	if !filter.Until.IsZero() && !filter.Until.After(filter.Since) {
		checks.Add("until", "must be later than since")
	}
	if len(filter.EventTypes) > maxReplayTypes {
		checks.Add("event_types", "must be at most %d", maxReplayTypes)
	}
	if slices.Contains(filter.EventTypes, "") {
		checks.Add("event_types", "must not be empty names")
	}
	statuses := make([]Status, 0, len(ended))
	for _, word := range filter.Statuses {
		i := slices.IndexFunc(ended, func(status Status) bool { return status.String() == word })
		switch {
		case i < 0:
			checks.Add("status", "must be of delivered, failed, held and cancelled")
		case !slices.Contains(statuses, ended[i]):
			statuses = append(statuses, ended[i])
		}
	}
	if len(filter.Statuses) == 0 {
		statuses = ended
	}
	slices.Sort(statuses)
	spec := replaySpec{
		Kind: kind, EventTypes: filter.EventTypes, Statuses: statuses, Chosen: len(filter.Statuses) > 0,
		Since: db.Micro(filter.Since), Before: before[:], Unchanged: db.Micro(now),
	}
	if !filter.SubscriptionID.IsZero() {
		spec.Subscription = filter.SubscriptionID[:]
	}
	if !filter.Until.IsZero() {
		spec.Until = db.Micro(filter.Until)
		if until := id.First(filter.Until); string(until[:]) < string(before[:]) {
			spec.Before = until[:]
		}
	}
	return spec, checks.Err()
}

// ended are the states of deliveries that can be sent again, in their order.
var ended = []Status{Delivered, Failed, Cancelled, Held}

// filter is what the replay was made from.
func (spec *replaySpec) filter() ReplayFilter {
	f := ReplayFilter{EventTypes: spec.EventTypes, Since: db.FromMicro(spec.Since)}
	if len(spec.Subscription) > 0 {
		f.SubscriptionID = id.ID(spec.Subscription)
	}
	if spec.Until != 0 {
		f.Until = db.FromMicro(spec.Until)
	}
	for _, status := range spec.Statuses {
		if spec.Chosen {
			f.Statuses = append(f.Statuses, status.String())
		}
	}
	return f
}

func showReplay(j job.Job) (Replay, error) {
	var spec replaySpec
	if err := json.Unmarshal(j.Spec, &spec); err != nil {
		return Replay{}, err
	}
	return Replay{
		ID: j.ID, Kind: spec.Kind, State: string(j.State), Filter: spec.filter(), Done: j.Done, Skipped: j.Skipped, Total: j.Total,
		CreatedAt: j.CreatedAt, UpdatedAt: j.UpdatedAt, EndedAt: j.EndedAt,
	}, nil
}

// Replays lists the tenant's replays of the last 30 days, the newest first.
func (s *Service) Replays(ctx context.Context, tenant id.ID, page Page) ([]Replay, string, error) {
	before, err := page.after(1)
	if err != nil {
		return nil, "", err
	}
	var replays []Replay
	err = s.db.Read(ctx, func(q db.Queryer) error {
		jobs, err := job.List(q, tenant, replayJob, before[0], page.Limit+1)
		if err != nil {
			return err
		}
		replays = make([]Replay, len(jobs))
		for i, j := range jobs {
			if replays[i], err = showReplay(j); err != nil {
				return err
			}
		}
		return nil
	})
	replays, next := cut(replays, page, func(r Replay) []id.ID { return []id.ID{r.ID} })
	return replays, next, err
}

// Replay returns one of the tenant's replays.
func (s *Service) Replay(ctx context.Context, tenant, replay id.ID) (Replay, error) {
	var found Replay
	err := s.db.Read(ctx, func(q db.Queryer) error {
		j, err := selectReplay(q, tenant, replay)
		if err == nil {
			found, err = showReplay(j)
		}
		return err
	})
	return found, err
}

func selectReplay(q db.Queryer, tenant, replay id.ID) (job.Job, error) {
	j, err := job.Get(q, tenant, replayJob, replay)
	if problem.NotFound.Has(err) {
		return job.Job{}, problem.NotFound.New("there is no such replay")
	}
	return j, err
}

// PauseReplay stops a replay after the step that is under way. What was made due
// is sent.
func (s *Service) PauseReplay(ctx context.Context, tenant, replay id.ID) (Replay, error) {
	return s.steerReplay(ctx, tenant, replay, steering{s.jobs.Pause, audit.ReplayPaused})
}

// ResumeReplay lets a replay go on that was paused, or that failed.
func (s *Service) ResumeReplay(ctx context.Context, tenant, replay id.ID) (Replay, error) {
	return s.steerReplay(ctx, tenant, replay, steering{s.jobs.Resume, audit.ReplayResumed})
}

// CancelReplay ends a replay. What was made due by then is sent.
func (s *Service) CancelReplay(ctx context.Context, tenant, replay id.ID) (Replay, error) {
	return s.steerReplay(ctx, tenant, replay, steering{s.jobs.Cancel, audit.ReplayCancelled})
}

// steering is what is done to a replay.
type steering struct {
	do     func(tx *db.Tx, j *job.Job) error
	action audit.Action
}

func (s *Service) steerReplay(ctx context.Context, tenant, replay id.ID, how steering) (Replay, error) {
	var steered Replay
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		j, err := selectReplay(tx, tenant, replay)
		if err != nil {
			return err
		}
		was := j.State
		if err := how.do(tx, &j); problem.Conflict.Has(err) {
			return problem.Conflict.New("the replay is %s", j.State)
		} else if err != nil {
			return err
		}
		if j.State != was {
			if err := auditReplay(ctx, tx, &j, how.action); err != nil {
				return err
			}
		}
		steered, err = showReplay(j)
		return err
	})
	return steered, err
}
