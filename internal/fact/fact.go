// Package fact is the log of what happens in programs, and how anything happens
// there at all: by a command.
//
// A command ([Log.Do]) is one transaction of state, effects, facts and events.
// What it changes it notes as a [Fact]; programs, which are [Reactor]s, get each
// fact in its order and turn it into effects, which are facts again, with the one
// that led to them as their cause. In the end the [Sink] is told of all of them in
// the same transaction, and has the dialects render them as events. So there is no
// event without a change, and no change whose event is missing.
//
// Each fact has one cause at most, which is older than it: so the facts are trees,
// and what an activity led to is everything below it. [Command.Undo] takes that
// back, each fact once, and is a fact itself, which can be undone in turn.
//
// Something that happens later is a timer (package timer); its handler runs as a
// command too, at the time when it was due, whenever that comes to pass.
package fact

import (
	"context"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// FactID stands before the ids of facts.
const FactID id.Kind = "fct"

// Ref is what a fact is about.
type Ref struct {
	Kind string // "person", "referral", "reward" …
	ID   id.ID
}

// Fact is something that changed. It is never changed itself, except that it may
// be undone, and that its data may be removed with the person it is about.
type Fact struct {
	ID       id.ID
	TenantID id.ID
	Type     string // "referral.converted"
	Subject  Ref
	Version  int64 // of the subject, after the change; zero: it has none
	// Cause is the fact that led to this one; zero: somebody outside did.
	Cause id.ID
	Actor Actor
	// Data is the subject as it was then: a struct of the package that owns it, or
	// json.RawMessage where the fact was read from the table.
	Data       any
	At         time.Time // when it took effect
	RecordedAt time.Time // when it was written down
	UndoneBy   id.ID     // the fact that took it back; zero: it holds

	untold bool // see Quiet
}

// Quiet has nobody be told of a fact of the command that is under way: a later one of
// the same command has made it as if it had not been. It stays in the log.
func (f *Fact) Quiet() { f.untold = true }

// IsQuiet reports whether nobody is to be told of the fact.
func (f *Fact) IsQuiet() bool { return f.untold }

// Actor is who brought a fact about.
type Actor string

// The actors. Whoever calls an API is a key, or the person that a token names.
const (
	ByKey    Actor = "key"
	ByPerson Actor = "person"
	ByRule   Actor = "rule"
	ByTimer  Actor = "timer"
	ByJob    Actor = "job"
)

type actorKey struct{}

// WithActor returns a context in which commands are the actor's, unless they say
// otherwise.
func WithActor(ctx context.Context, a Actor) context.Context {
	return context.WithValue(ctx, actorKey{}, a)
}

func actorOf(ctx context.Context) Actor {
	if a, ok := ctx.Value(actorKey{}).(Actor); ok {
		return a
	}
	return ByKey
}

// Undone is the type of the fact that takes others back.
const Undone = "fact.undone"

// UndoneData is the data of such a fact.
type UndoneData struct {
	Type string `json:"type"` // of the fact that it is about, which is no undoing itself
	Root id.ID  `json:"root"` // that fact
	// Restored says that it was brought about again: what was undone is an undoing.
	Restored bool   `json:"restored,omitempty"`
	Reason   string `json:"reason,omitempty"`
	Depth    int    `json:"depth,omitempty"` // as in Undoing
}

// Raw returns the data as JSON.
func (f *Fact) Raw() (json.RawMessage, error) {
	if raw, ok := f.Data.(json.RawMessage); ok {
		return raw, nil
	}
	return json.Marshal(f.Data)
}
