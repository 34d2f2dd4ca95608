package api

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

type healthJSON struct {
	State        string     `json:"state" example:"failing" doc:"How the endpoint fares: ok or failing."`
	Reason       string     `json:"reason,omitempty" example:"failed_in_row" doc:"Why it is failing: failed_in_row, or delivery_failed."`
	ErrorClass   string     `json:"error_class,omitempty" example:"timeout" doc:"How the last attempt failed; absent after a success."`
	Failures     int        `json:"failures" doc:"Failed attempts since the last success."`
	Since        *time.Time `json:"since,omitempty" doc:"When the first of them began."`
	FailingSince *time.Time `json:"failing_since,omitempty"`
	PausedUntil  *time.Time `json:"paused_until,omitempty" doc:"When the next attempt may be made; absent: now."`
}

func showHealth(sub *webhook.Subscription) healthJSON {
	h := sub.Health
	shown := healthJSON{
		State: h.State.String(), Reason: string(h.Reason), ErrorClass: string(h.ErrorClass), Failures: h.Failures,
		Since: optionalTime(h.Since), FailingSince: optionalTime(h.FailingSince),
	}
	if sub.Enabled && h.Pause.Until.After(time.Now()) {
		shown.PausedUntil = optionalTime(h.Pause.Until)
	}
	return shown
}
