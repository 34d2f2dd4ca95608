package dispatch

import (
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// How an endpoint is treated that says that it can't keep up.
const (
	firstPause = 5 * time.Second
	mostPause  = 15 * time.Minute
	// busyEvents is how many different events in a row have to find the endpoint
	// busy before it is given a pause: one could be the event's fault.
	busyEvents = 3
)

// pause is whether a whole subscription waits. When its time is over one
// attempt probes the endpoint, and only its success lets the others follow.
type pause struct {
	until   time.Time // zero: it does not wait
	probing bool      // until the endpoint has given an answer of its own again
	count   int       // pauses in a row
	last    id.ID     // the event that met the pause; the probe prefers another
	busy    []id.ID   // different events that found the endpoint busy, in a row
}

// over reports whether attempts may be made at now.
func (p *pause) over(now time.Time) bool { return !now.Before(p.until) }

// judged takes in how an attempt ended.
func (p *pause) judged(event id.ID, j wire.Judgement, started, now time.Time) {
	switch {
	case j.Verdict == wire.Throttled:
		p.begin(event, j.Wait, now)
	case j.Verdict == wire.Gone: // nothing more, until it is on record and the subscription disabled
		p.begin(event, 0, now)
	case j.Verdict == wire.Busy:
		p.foundBusy(event, now)
	case j.Verdict == wire.Refused, p.probing && started.Before(p.until):
		// Nothing was heard from the endpoint, or before it asked to wait.
	case p.probing && !answered(j):
		p.begin(event, 0, now)
	default:
		*p = pause{}
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

func (p *pause) foundBusy(event id.ID, now time.Time) {
	if p.probing {
		p.begin(event, 0, now)
		return
	}
	if slices.Contains(p.busy, event) {
		return
	}
	if p.busy = append(p.busy, event); len(p.busy) == busyEvents {
		p.begin(event, 0, now)
	}
}

// begin waits as long as the endpoint asked, else longer with each pause in a
// row. A pause that is under way is never made shorter, and what was under way
// when it began does not make it longer.
func (p *pause) begin(event id.ID, asked time.Duration, now time.Time) {
	if asked == 0 {
		if now.Before(p.until) {
			return
		}
		asked = min(firstPause<<min(p.count, 16), mostPause)
		p.count++
	}
	if until := now.Add(asked); until.After(p.until) {
		p.until = until
	}
	p.probing, p.last, p.busy = true, event, nil
}
