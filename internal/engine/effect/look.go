package effect

import (
	"encoding/json"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// The kinds of timers that go on with what is too much for one command.
const (
	takeBackTimer   = "effect.take_back"
	askWaitingTimer = "effect.ask_waiting"
)

// look is a look through what somebody did before an activity. One command looks at
// some of it; a timer of the kind goes on with the rest.
type look struct {
	than  *activity.Activity
	kind  string
	begin progress
}

// progress is how far a look has come: through all types before the one that it
// names, and of that to a place.
type progress struct {
	Type  string            `json:"type"`
	Place activity.Position `json:"place"`
}

// maxLooked is how many activities one command looks at, about a tenth of a second's
// work: nobody else can write meanwhile.
const maxLooked = 10_000

// looked is under what a command keeps how many it has looked at.
type looked struct{}

// each hands over what is of the types and was not undone. It reports whether that was
// all of it.
func (l look) each(c *fact.Command, types []string, fn func(a *activity.Activity) error) (bool, error) {
	slices.Sort(types)
	for _, t := range slices.Compact(types) {
		if t < l.begin.Type {
			continue
		}
		at := progress{Type: t}
		if t == l.begin.Type {
			at = l.begin
		}
		for {
			n, _ := c.Tx().Kept(looked{}).(int)
			if n >= maxLooked {
				return false, l.goOn(c, at)
			}
			part, err := activity.Before(c.Tx(), activity.Earlier{Than: l.than, Type: t, Before: at.Place, Limit: pageSize})
			if err != nil {
				return false, err
			}
			for _, a := range part {
				if err := fn(a); err != nil {
					return false, err
				}
			}
			c.Tx().Keep(looked{}, n+len(part))
			if len(part) < pageSize {
				break
			}
			at.Place = part[len(part)-1].Position()
		}
	}
	return true, nil
}

// rest is what a timer is to go on with.
type rest struct {
	Activity id.ID    `json:"activity"`
	From     progress `json:"from"`
}

// goOn has another command look at the rest.
func (l look) goOn(c *fact.Command, from progress) error {
	data, err := json.Marshal(rest{l.than.ID, from})
	if err != nil {
		return err
	}
	if _, err := timer.Cancel(c.Tx(), c.Tenant(), l.kind, l.than.ID); err != nil { // an earlier look
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: l.kind, DueAt: c.Now(), Ref: l.than.ID, Data: data})
	return err
}

// onRest returns a handler that goes on with a look.
func onRest(fn func(c *fact.Command, l look) error) fact.Handler {
	return func(c *fact.Command, t timer.Timer) error {
		var r rest
		if err := json.Unmarshal(t.Data, &r); err != nil {
			return err
		}
		a, err := activity.Get(c.Tx(), c.Tenant(), r.Activity)
		if err != nil {
			return err
		}
		doer, err := person.Now(c, a.PersonID)
		if err != nil || doer.IsDeleted() { // nobody knows any more what else was done
			return err
		}
		return fn(c, look{than: a, kind: t.Kind, begin: r.From})
	}
}
