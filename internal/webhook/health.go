package webhook

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Health is how an endpoint has fared since it last took an event. The zero value
// is a healthy endpoint; only of others anything is stored. It is a value: the
// sender has the current one of each endpoint and stores it with the outcomes
// that changed it.
type Health struct {
	State        HealthState  `json:"state,omitempty"`
	Reason       HealthReason `json:"reason,omitempty"`       // why it is failing
	ErrorClass   wire.Reason  `json:"error_class,omitempty"`  // how the last attempt ended
	Failures     int          `json:"failures,omitempty"`     // attempts since the last success, or since the endpoint is known
	Since        time.Time    `json:"since,omitzero"`         // when the first of them began
	FailingSince time.Time    `json:"failing_since,omitzero"` // zero unless it is failing
	Warnings     int          `json:"warnings,omitempty"`     // how many of the ages in warnAfter it has reached
	Pause        Pause        `json:"pause,omitzero"`
}

// HealthState is what an endpoint's attempts say of it.
type HealthState string

// The states of an endpoint.
const (
	Healthy HealthState = ""
	Failing HealthState = "failing"
)

// String returns the state as it is shown.
func (s HealthState) String() string {
	if s == Healthy {
		return "ok"
	}
	return string(s)
}

// HealthReason is a stable word for why an endpoint is failing.
type HealthReason string

// The reasons.
const (
	FailedInRow    HealthReason = "failed_in_row"   // ten attempts in a row
	DeliveryFailed HealthReason = "delivery_failed" // a delivery used up its attempts
)

// Pause is whether the attempts to an endpoint wait. Once its time is over they
// are made one at a time, until one of them ends it. The zero value is no pause.
type Pause struct {
	Until time.Time   `json:"until,omitzero"` // zero: there is none
	Why   PauseReason `json:"why,omitempty"`
	Count int         `json:"count,omitempty"` // pauses in a row that the endpoint did not ask for
	Event id.ID       `json:"event,omitzero"`  // that met the pause; a probe prefers another
	// Busy are the different events that found the endpoint busy, in a row. They
	// are kept while there is no pause.
	Busy [busyEvents - 1]id.ID `json:"busy,omitzero"`
}

// PauseReason is why there is a pause.
type PauseReason string

// The reasons.
const (
	PausedThrottled PauseReason = "throttled" // the endpoint asked for it
	PausedBusy      PauseReason = "busy"
	PausedFailing   PauseReason = "failing"
	PausedGone      PauseReason = "gone" // until it is on record that the endpoint wants nothing more
)

// The rules of an endpoint's health.
const (
	mostFailures = 10 // in a row; then it is failing
	firstPause   = 5 * time.Second
	mostPause    = 15 * time.Minute
	// busyEvents is how many different events in a row have to find the endpoint
	// busy before it is given a pause: one could be the event's fault.
	busyEvents = 3

	// An endpoint that has been failing for so long and so often is given up.
	givenUpAfter    = 5 * 24 * time.Hour
	givenUpFailures = 20
)

// warnAfter is for how long an endpoint has taken nothing when its tenant is
// warned.
var warnAfter = []time.Duration{24 * time.Hour, 3 * 24 * time.Hour, 4 * 24 * time.Hour}

// Heard is what an attempt says of its endpoint.
type Heard struct {
	Event     id.ID
	Judgement wire.Judgement
	Started   time.Time
	Now       time.Time
	Exhausted bool // there is no further attempt of its delivery
	Governed  bool // see Subscription.Governed
}

// Governed reports whether the endpoint's health and its answers decide when
// attempts are made. Where the dialect's page fixes their times, that is so only
// where the subscription asks for it; elsewhere health is counted and shown.
func (s *Subscription) Governed() bool {
	return s.Policy.NativeRules || !s.Dialect.Schedule().Fixed
}

// Probing reports whether attempts are made one at a time, once the pause is
// over.
func (p Pause) Probing() bool { return !p.Until.IsZero() }

// After returns the health of an endpoint after an attempt.
func (h Health) After(a Heard) Health {
	if a.Judgement.Verdict == wire.Delivered {
		if a.Governed && a.Started.Before(h.Pause.Until) && h.Pause.Why != PausedFailing {
			return Health{Pause: h.Pause} // it began before the endpoint asked to wait
		}
		return Health{}
	}
	h.Failures++
	h.ErrorClass = a.Judgement.Reason
	if h.Since.IsZero() {
		h.Since = exactly(a.Started)
	}
	begins := h.State != Failing && (a.Exhausted || h.Failures >= mostFailures)
	if begins {
		h.State, h.Reason, h.FailingSince = Failing, FailedInRow, exactly(a.Now)
		if h.Failures < mostFailures {
			h.Reason = DeliveryFailed
		}
	}
	for h.State == Failing && h.Warnings < len(warnAfter) && a.Now.Sub(h.Since) >= warnAfter[h.Warnings] {
		h.Warnings++
	}
	switch {
	case !a.Governed:
		h.Pause = Pause{}
	case begins && !h.Pause.Probing() && a.Judgement.Verdict != wire.Throttled && a.Judgement.Verdict != wire.Gone:
		// The first probe is made at once: it may have been the event's fault.
		h.Pause = Pause{Until: exactly(a.Now), Why: PausedFailing, Event: a.Event}
	default:
		h.Pause = h.Pause.after(a, h.State)
	}
	return h
}

// exactly is a time as it is stored.
func exactly(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// after returns the pause after an attempt that failed.
func (p Pause) after(a Heard, state HealthState) Pause {
	switch earlier := p.Probing() && a.Started.Before(p.Until); {
	case a.Judgement.Verdict == wire.Throttled:
		return p.begin(a, PausedThrottled)
	case a.Judgement.Verdict == wire.Gone:
		return p.begin(a, PausedGone)
	case state == Failing && earlier: // it was under way when the pause began
		return p
	case state == Failing: // only a success ends it
		return p.begin(a, PausedFailing)
	case a.Judgement.Verdict == wire.Busy:
		return p.foundBusy(a)
	case a.Judgement.Verdict == wire.Refused, earlier:
		return p // nothing was heard from the endpoint, or before it asked to wait
	case p.Probing() && !answered(a.Judgement):
		return p.begin(a, p.Why)
	default:
		return Pause{}
	}
}

// answered reports whether the endpoint itself said something.
func answered(j wire.Judgement) bool {
	switch j.Reason {
	case wire.ReasonOK, wire.ReasonRedirect, wire.ReasonClientError, wire.ReasonServerError:
		return true
	default:
		return false
	}
}

func (p Pause) foundBusy(a Heard) Pause {
	if p.Probing() {
		return p.begin(a, PausedBusy)
	}
	if slices.Contains(p.Busy[:], a.Event) {
		return p
	}
	for i := range p.Busy {
		if p.Busy[i].IsZero() {
			p.Busy[i] = a.Event
			return p
		}
	}
	return p.begin(a, PausedBusy)
}

// begin waits as long as the endpoint asked, else longer with each pause in a
// row. A pause that is under way is never made shorter, and what was under way
// when it began does not make it longer.
func (p Pause) begin(a Heard, why PauseReason) Pause {
	wait := a.Judgement.Wait
	if wait == 0 {
		if a.Now.Before(p.Until) {
			return p
		}
		wait = min(firstPause<<min(p.Count, 16), mostPause)
		p.Count++
	}
	if until := a.Now.Add(wait); until.After(p.Until) {
		p.Until = until.UTC()
	}
	p.Why, p.Event, p.Busy = why, a.Event, [busyEvents - 1]id.ID{}
	return p
}

// GivenUp reports whether the endpoint has failed for so long and so often that
// nothing more is sent to it.
func (h Health) GivenUp(now time.Time) bool {
	return h.State == Failing && h.Failures >= givenUpFailures && now.Sub(h.Since) >= givenUpAfter
}

// with returns the health of an endpoint that two nodes send to, of what one of them
// has seen last and what is stored, which may be the other's: the failures of the
// one that has seen more, and the worse of what follows from them.
func (h Health) with(stored Health) Health {
	if h == (Health{}) {
		return h // it has taken an event
	}
	h.Failures = max(h.Failures, stored.Failures)
	h.Warnings = max(h.Warnings, stored.Warnings)
	if !stored.Since.IsZero() && (h.Since.IsZero() || stored.Since.Before(h.Since)) {
		h.Since = stored.Since
	}
	if stored.State == Failing && (h.State != Failing || stored.FailingSince.Before(h.FailingSince)) {
		h.State, h.Reason, h.FailingSince = stored.State, stored.Reason, stored.FailingSince
	}
	if stored.Pause.Until.After(h.Pause.Until) {
		h.Pause = stored.Pause
	}
	return h
}

// Snapshot is the health of an endpoint as it was after an attempt.
type Snapshot struct {
	Health
	// Generation is that of the subscription which the health is of. It counts
	// how often the endpoint got a new chance.
	Generation int
	// Version orders the snapshots of one endpoint. It is the sender's own, and
	// not stored.
	Version uint64
}

// recordHealth stores an endpoint's health after an outcome, and tells of what has
// become of it. What is of an endpoint that was replaced or enabled since is not
// stored.
func (s *Service) recordHealth(ctx context.Context, tx *db.Tx, o *Outcome) error {
	now := o.Health.Health
	was, current, err := selectHealth(tx, &o.Job, o.Health.Generation)
	if err != nil || !current {
		return err
	}
	if tx.Shared() {
		now = now.with(was)
		tx.After(func() { s.hint(topicHealth, o.Job.Sub) })
	}
	if now == (Health{}) {
		return deleteHealth(tx, o.Job.Sub.ID)
	}
	if err := upsertHealth(tx, o.Job.Sub.ID, now); err != nil {
		return err
	}
	// What an endpoint fails to take may be such news itself. Nothing is told of
	// that, or endpoints that fail in turns would have each other told for ever.
	telling := !isNews(&o.Job)
	begun := telling && now.State == Failing && !now.FailingSince.Equal(was.FailingSince)
	warned := telling && now.Warnings > was.Warnings
	givenUp := now.GivenUp(tx.Now())
	if !begun && !warned && !givenUp {
		return nil
	}
	sub, err := s.selectSubscription(tx, o.Job.TenantID, o.Job.Sub.ID)
	if err != nil {
		return err
	}
	if begun || warned && !sub.Policy.NoHealthWarnings {
		if err := s.announceHealth(tx, sub, standard.SubscriptionFailing); err != nil {
			return err
		}
	}
	if !givenUp || !sub.Enabled || !sub.Governed() || sub.Policy.NoAutoDisable {
		return nil
	}
	disabled := sub.with()
	disabled.Enabled, disabled.Reason, disabled.UpdatedAt = false, ReasonFailing, tx.Now()
	if err := s.updateSubscription(tx, disabled); err != nil {
		return err
	}
	return cmp.Or(auditSubscription(ctx, tx, sub, disabled), s.announceHealth(tx, disabled, standard.SubscriptionDisabled), s.changed(tx, disabled))
}

// renew gives the endpoint of a subscription that is being changed a new chance:
// nothing is held against it any more, and what is under way to it does not
// count.
func (s *Service) renew(tx *db.Tx, changed *Subscription) error {
	changed.Generation++
	changed.Health = Health{}
	if err := bumpGeneration(tx, changed.TenantID, changed.ID); err != nil {
		return err
	}
	return deleteHealth(tx, changed.ID)
}

// renewEndpoint gives the endpoint of a subscription a new chance, if anything is
// held against it.
func (s *Service) renewEndpoint(tx *db.Tx, tenant, sub id.ID) error {
	old, err := s.selectSubscription(tx, tenant, sub)
	if err != nil || old.Health == (Health{}) {
		return err
	}
	renewed := old.with()
	return cmp.Or(s.renew(tx, renewed), s.updateSubscription(tx, renewed), s.changed(tx, renewed))
}

// carryHealth gives a changed subscription the health of the old one's endpoint,
// unless it has another endpoint.
func (s *Service) carryHealth(tx *db.Tx, old, changed *Subscription) error {
	changed.Generation, changed.Health = old.Generation, old.Health
	if changed.URL == old.URL {
		return nil
	}
	return s.renew(tx, changed)
}

// announceToggled tells that a subscription was enabled or disabled, if it was.
func (s *Service) announceToggled(tx *db.Tx, old, changed *Subscription) error {
	switch {
	case changed.Enabled && !old.Enabled:
		return s.announceHealth(tx, changed, standard.SubscriptionEnabled)
	case !changed.Enabled && old.Enabled:
		return s.announceHealth(tx, changed, standard.SubscriptionDisabled)
	default:
		return nil
	}
}

// announceHealth tells of a subscription and the health of its endpoint.
func (s *Service) announceHealth(tx *db.Tx, sub *Subscription, eventType string) error {
	type health struct {
		State      string       `json:"state"`
		Reason     HealthReason `json:"reason,omitempty"`
		ErrorClass wire.Reason  `json:"error_class,omitempty"`
		Failures   int          `json:"failures"`
		Since      time.Time    `json:"since,omitzero"`
	}
	h := sub.Health
	told := map[string]any{
		"subscription": announced(sub),
		"health":       health{h.State.String(), h.Reason, h.ErrorClass, h.Failures, h.Since},
	}
	if days := int(tx.Now().Sub(h.Since).Hours() / 24); h.State == Failing && days > 0 {
		told["days"] = days // without a success
	}
	return s.announce(tx, sub.TenantID, sub.ID, eventType, told)
}
