package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Timers is what the API asks about things that happen later. All are required.
type Timers struct {
	// Waiting returns a tenant's timers in the order in which they are done. after is
	// the last one of the page before, of which ID and TryAt count.
	Waiting func(ctx context.Context, tenant id.ID, after Timer, limit int) ([]Timer, error)
	// Parked returns those that have failed too often, in the order of their ids.
	Parked func(ctx context.Context, tenant, after id.ID, limit int) ([]Timer, error)
	// Resume has a parked one done after all, or returns problem.NotFound.
	Resume func(ctx context.Context, tenant, timer id.ID) error
}

// Timer is something that happens later.
type Timer struct {
	ID       id.ID
	Kind     string
	DueAt    time.Time
	TryAt    time.Time // DueAt, or later after a failure
	Failures int       // in a row
	Error    string    // the last of them
	ParkedAt time.Time // zero: it waits
}

// TimerID stands before the ids of timers.
const TimerID id.Kind = "tmr"

type timerJSON struct {
	ID       string     `json:"id" example:"tmr_019a9c1d2f3b5e8d7c6a4f10"`
	Kind     string     `json:"kind" doc:"What happens then." example:"reward.expire"`
	DueAt    time.Time  `json:"due_at"`
	TryAt    time.Time  `json:"try_at" doc:"When it is tried next, or was to be: due_at, or later after a failure."`
	Failures int        `json:"failures,omitempty" doc:"In a row."`
	Error    string     `json:"error,omitempty" doc:"Of the last failure. Only the operator sees it."`
	ParkedAt *time.Time `json:"parked_at,omitempty" doc:"Since when it waits to be resumed; absent: it is tried by itself."`
}

type timerPath struct {
	ID string `path:"id" doc:"The timer's id."`
}

type timerList struct {
	Paging
	Parked bool `query:"parked" doc:"True: those that have failed too often, and wait to be resumed. Absent: those that will be tried by themselves."`
}

func (s *server) timerRoutes() {
	register(s, route{
		id: "list-timers", method: http.MethodGet, path: "/v1/timers", tag: tagPrograms, access: canManage,
		summary: "List timers", description: "What will happen in the programs at a later time, in the order in which it will; or, with parked, what did not happen since it failed too often, the oldest first.",
	}, s.listTimers)
	register(s, route{
		id: "resume-timer", method: http.MethodPost, path: "/v1/timers/{id}/resume", tag: tagPrograms, access: canManage,
		summary: "Resume a timer that is parked", description: "It is tried at once, as if it had not failed. What it does takes effect at the time at which it was due.",
	}, s.resumeTimer)
}

func (s *server) listTimers(ctx context.Context, r request[timerList, none]) (page[timerJSON], error) {
	after, err := r.params.after()
	if err != nil {
		return page[timerJSON]{}, err
	}
	limit := r.params.Limit
	var timers []Timer
	if r.params.Parked {
		timers, err = s.opts.Timers.Parked(ctx, r.tenant.ID, after.ID, limit+1)
	} else {
		timers, err = s.opts.Timers.Waiting(ctx, r.tenant.ID, after, limit+1)
	}
	if err != nil {
		return page[timerJSON]{}, err
	}
	next := ""
	if len(timers) > limit {
		timers = timers[:limit]
		last := timers[limit-1]
		next = strconv.FormatInt(last.TryAt.UnixMicro(), 10) + "." + TimerID.Format(last.ID)
	}
	return pageOf(timers, next, func(t Timer) timerJSON {
		shown := timerJSON{TimerID.Format(t.ID), t.Kind, t.DueAt, t.TryAt, t.Failures, t.Error, optionalTime(t.ParkedAt)}
		if !r.principal.Admin {
			shown.Error = "" // what failed inside of the server
		}
		return shown
	}), nil
}

// after reads the cursor, which is the time and the id of a timer.
func (l timerList) after() (Timer, error) {
	if l.Cursor == "" {
		return Timer{}, nil
	}
	at, text, _ := strings.Cut(l.Cursor, ".")
	micro, err := strconv.ParseInt(at, 10, 64)
	of, malformed := TimerID.Parse(text)
	if err != nil || malformed != nil {
		return Timer{}, problem.InvalidField("query.cursor", "is not a cursor that this list returned")
	}
	return Timer{ID: of, TryAt: time.UnixMicro(micro)}, nil
}

func (s *server) resumeTimer(ctx context.Context, r request[timerPath, none]) (none, error) {
	of, err := TimerID.Parse(r.params.ID)
	if err != nil {
		return none{}, problem.NotFound.New("there is no such timer that is parked")
	}
	return none{}, s.opts.Timers.Resume(ctx, r.tenant.ID, of)
}
