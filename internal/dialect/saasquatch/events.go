package saasquatch

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// eventsBody are events of a user.
type eventsBody struct {
	UserID         *string     `json:"userId"`
	AccountID      *string     `json:"accountId"`
	IdempotencyKey *string     `json:"idempotencyKey"`
	Events         []eventBody `json:"events"`
}

type eventBody struct {
	ID            *string         `json:"id"` // a client's name for it, once for ever
	Key           string          `json:"key"`
	Fields        json.RawMessage `json:"fields"`
	DateTriggered *float64        `json:"dateTriggered"`
}

// maxEvents is how many events one request may have.
const maxEvents = 100

var idempotencyFormat = regexp.MustCompile(`^[A-Za-z0-9.\-_]{8,64}$`)

// eventsJSON is what became of them.
type eventsJSON struct {
	UserID    string      `json:"userId"`
	AccountID string      `json:"accountId"`
	Events    []eventJSON `json:"events"`
}

type eventJSON struct {
	ID            string          `json:"id"`
	Key           string          `json:"key"`
	Fields        json.RawMessage `json:"fields"`
	DateTriggered int64           `json:"dateTriggered"`
	DateReceived  int64           `json:"dateReceived"`
	DateProcessed int64           `json:"dateProcessed"`
}

// track stores events of the user of the path, all or none. An idempotency key is
// good for one request, for ever.
func (a *api) track(ctx context.Context, c *dialect.Call) (dialect.Answer, error) {
	var body eventsBody
	if err := c.Decode(&body); err != nil {
		return dialect.Answer{}, err
	}
	if err := body.check(c.Path["account"], c.Path["user"]); err != nil {
		return dialect.Answer{}, err
	}
	p, err := a.findUser(ctx, c)
	if err != nil {
		return dialect.Answer{}, err
	}
	report, track := referral.Report{Person: p.ID, Activities: body.activities(p.ID)}, a.Referrals.Track
	if body.IdempotencyKey != nil {
		track = a.Referrals.TrackOnce
	}
	done, err := track(ctx, p.TenantID, report)
	if err != nil {
		return dialect.Answer{}, told(eventError(err), http.StatusNotFound)
	}
	shown := eventsJSON{UserID: c.Path["user"], AccountID: c.Path["account"], Events: make([]eventJSON, len(done))}
	for i, d := range done {
		shown.Events[i] = eventOf(d.Activity)
	}
	return dialect.Answer{Status: http.StatusOK, Body: shown}, nil
}

// eventFields are what the vendor calls the fields of an activity that are called
// otherwise here.
var eventFields = map[string]string{"type": "key", "occurred_at": "dateTriggered"}

// eventError names the fields of activities as those of events.
func eventError(err error) error {
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || len(e.Fields) == 0 {
		return err
	}
	var checks problem.Checks
	for _, f := range e.Fields {
		place, name, within := strings.Cut(f.Name, ".")
		place = strings.Replace(place, "activities", "events", 1)
		if within {
			place += "." + cmp.Or(eventFields[name], name)
		}
		checks.Add(place, "%s", f.Message)
	}
	return checks.Err()
}

func eventOf(a *activity.Activity) eventJSON {
	e := eventJSON{
		ID: a.ID.String(), Key: a.Type, Fields: a.Fields, DateTriggered: a.OccurredAt.UnixMilli(), DateReceived: a.ReceivedAt.UnixMilli(),
		DateProcessed: a.ReceivedAt.UnixMilli(), // it is processed as it is received
	}
	if len(e.Fields) == 0 {
		e.Fields = json.RawMessage("{}")
	}
	return e
}

func (b *eventsBody) check(account, user string) error {
	var checks problem.Checks
	if b.UserID != nil && *b.UserID != user {
		checks.Add("userId", "must be the user's of the path")
	}
	if b.AccountID != nil && *b.AccountID != account {
		checks.Add("accountId", "must be the account's of the path")
	}
	if b.IdempotencyKey != nil && !idempotencyFormat.MatchString(*b.IdempotencyKey) {
		checks.Add("idempotencyKey", "must be 8 to 64 letters, digits, '.', '-' or '_'")
	}
	if n := len(b.Events); n < 1 || n > maxEvents {
		checks.Add("events", "must be 1 to %d", maxEvents)
		return checks.Err()
	}
	for i, e := range b.Events {
		at := func(field string) string { return fmt.Sprintf("events[%d].%s", i, field) }
		if e.Key == "" {
			checks.Add(at("key"), "is required")
		}
		if len(e.Fields) > 0 && e.Fields[0] != '{' && string(e.Fields) != "null" {
			checks.Add(at("fields"), "must hold an object")
		}
		if e.ID != nil && !idempotencyFormat.MatchString(*e.ID) {
			checks.Add(at("id"), "must be 8 to 64 letters, digits, '.', '-' or '_'")
		}
		if e.DateTriggered != nil && (*e.DateTriggered < 0 || *e.DateTriggered > maxMilli) {
			checks.Add(at("dateTriggered"), "must be milliseconds since 1970")
		}
	}
	return checks.Err()
}

// maxMilli is the end of the year 9999, in milliseconds.
const maxMilli = 253402300799999

// activities are the events as the engine knows them. Each has a name of its own for
// ever: whose it is, and the request's key and its place in it, or the client's name
// for it. So nobody can use up another one's keys.
func (b *eventsBody) activities(of id.ID) []activity.New {
	all := make([]activity.New, len(b.Events))
	for i, e := range b.Events {
		n := activity.New{Type: e.Key, Fields: e.Fields}
		switch {
		case b.IdempotencyKey != nil:
			n.Key = strings.Join([]string{name, of.String(), *b.IdempotencyKey, strconv.Itoa(i)}, "/")
		case e.ID != nil:
			n.Key = strings.Join([]string{name, of.String(), "event", *e.ID}, "/")
		}
		if e.DateTriggered != nil {
			n.OccurredAt = time.UnixMilli(int64(math.Round(*e.DateTriggered)))
		}
		all[i] = n
	}
	return all
}
