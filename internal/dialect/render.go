package dialect

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Renderer is how a product tells of what happens in programs. It may be used
// concurrently.
type Renderer interface {
	// Name is the dialect's, as its wire has it.
	Name() string

	// Render returns the events that tell of what a command has done, in the order
	// in which the product tells of them. It is called once, at the end of the
	// command and inside of its transaction, with all its facts in their order: what
	// it reads through the command is as the command leaves it. Of a type that nobody
	// wants it returns nothing, and reads nothing for it.
	Render(c *fact.Command, facts []*fact.Fact, to Audience) ([]Event, error)
}

// Audience is whom a Renderer tells.
type Audience struct {
	As    *wire.Identity              // in whose name: the tenant, with its settings of the dialect
	Wants func(eventType string) bool // whether anybody takes events of the type
}

// Event is an event of a dialect that was rendered.
type Event struct {
	Type           string            // as the dialect's catalogue has it
	Data           any               // is written as a JSON object
	Fields         map[string]string // of the dialect's envelope, by name
	SubjectVersion int64             // of what it is about; zero: that has none
	OccurredAt     time.Time
}

// EventOf returns the event that tells of one fact.
func EventOf(f *fact.Fact, eventType string, data any) Event {
	return Event{Type: eventType, Data: data, SubjectVersion: f.Version, OccurredAt: f.At}
}
