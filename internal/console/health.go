package console

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// healthView is how an endpoint fares, in words.
type healthView struct {
	State string   // "failing", "paused"; "": it is well, or its webhook is disabled
	Brief []string // for a list
	Full  []string // sentences for the webhook's own page
}

// viewHealth says how the endpoint of a webhook fares. Of a disabled one it says
// what led there.
func viewHealth(sub *webhook.Subscription, now time.Time) healthView {
	h := sub.Health
	var view healthView
	if h.State == webhook.Failing {
		view.State = "failing"
		view.Brief = append(view.Brief, "since "+when(h.FailingSince)+": "+reasonWords(h.Reason))
		view.Full = append(view.Full, "Failing since "+when(h.FailingSince)+": "+reasonWords(h.Reason)+".")
	}
	if h.Failures > 0 {
		view.Full = append(view.Full, capital(counted(int64(h.Failures), "failed attempt"))+" since "+when(h.Since)+
			", and no success; the last one: "+reasonWords(h.ErrorClass)+".")
	}
	if !sub.Enabled {
		view.State = ""
		return view
	}
	if h.Pause.Until.After(now) {
		if view.State == "" {
			view.State = "paused"
		}
		view.Brief = append(view.Brief, "paused until "+when(h.Pause.Until))
		view.Full = append(view.Full, "Paused until "+when(h.Pause.Until)+": "+pauseWords(h.Pause.Why)+".")
	}
	if h.Pause.Probing() {
		view.Full = append(view.Full, "One attempt at a time is made until one succeeds.")
	}
	if len(view.Full) == 0 {
		view.Full = []string{"Well: no attempt has failed since the last success."}
	}
	return view
}

// pauseWords says why attempts wait.
func pauseWords(why webhook.PauseReason) string {
	switch why {
	case webhook.PausedThrottled:
		return "the endpoint asked for it"
	case webhook.PausedBusy:
		return "the endpoint is not available"
	case webhook.PausedFailing:
		return "the endpoint is failing, and is tried now and then"
	case webhook.PausedGone:
		return "the endpoint is gone"
	}
	return visible(string(why))
}
