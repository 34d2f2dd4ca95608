// Package activity keeps what people did, as it is reported: a signup, a purchase,
// a refund. The rules of programs act on it.
//
// An activity with a key is stored once, for ever: whoever reports it again, since
// the first answer got lost, is given the first one and changes nothing.
package activity

import (
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// ActivityID stands before the ids of activities.
const ActivityID id.Kind = "act"

// Subject is the kind of what facts about activities are about.
const Subject = "activity"

// Tracked is the fact that an activity was reported. Its data is an *Activity. Who
// undoes it takes back what the activity led to, as if it had never been.
const Tracked = "activity.tracked"

// Activity is something that a person did.
type Activity struct {
	ID         id.ID           `json:"id"`
	TenantID   id.ID           `json:"-"`
	Key        string          `json:"key,omitempty"` // the reporter's; "": none
	Type       string          `json:"type"`
	PersonID   id.ID           `json:"person_id"`
	Fields     json.RawMessage `json:"fields,omitempty"` // a JSON object
	OccurredAt time.Time       `json:"occurred_at"`
	ReceivedAt time.Time       `json:"received_at"`
	FactID     id.ID           `json:"-"` // that it was tracked
	UndoneAt   time.Time       `json:"undone_at,omitzero"`
}

// Document returns what conditions see of the activity: its fields, and beside them
// its type, its key and when it occurred, unless fields are called so.
func (a *Activity) Document() map[string]any {
	doc := ReadFields(a.Fields)
	set := func(name string, value any) {
		if _, ok := doc[name]; !ok {
			doc[name] = value
		}
	}
	set("type", a.Type)
	set("key", a.Key)
	set("occurred_at", a.OccurredAt.UTC().Format(time.RFC3339Nano))
	return doc
}

// Place is what an activity follows: it is taken to have come in after that, whichever
// node's clock is behind. The zero Place is that of somebody who did nothing before.
type Place struct {
	After id.ID     // the latest of what it is compared with
	At    time.Time // when that was, where it is compared by its time
}

// New is an activity as it is reported.
type New struct {
	Key        string // "": the report is not idempotent
	Type       string
	Fields     json.RawMessage // nil: none
	OccurredAt time.Time       // zero: now
}
