package effect

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// undone asks the rules again after an activity was undone, or brought about again.
func (e *Engine) undone(c *fact.Command, u fact.UndoneData) error {
	if u.Type != activity.Tracked {
		return nil
	}
	a, err := activity.Undone(c, u)
	if err != nil {
		return err
	}
	doer, err := person.Now(c, a.PersonID)
	if err != nil || doer.IsDeleted() { // nobody knows any more what else was done
		return err
	}
	return e.askAround(c, look{than: a, kind: askWaitingTimer})
}

// askAround asks the rules again of what somebody did around an activity: before it, as
// far as that waited for it, and then since.
func (e *Engine) askAround(c *fact.Command, l look) error {
	all, err := e.askWaiting(c, l)
	if err != nil || !all {
		return err
	}
	return e.AskSince(c, l.than.PersonID, before(l.than.ID))
}

// before returns the id that no other one stands between and the one given.
func before(of id.ID) id.ID {
	for i := len(of) - 1; i >= 0; i-- {
		of[i]--
		if of[i] != 0xff {
			break
		}
	}
	return of
}

// AskSince asks the rules once more of what somebody did after what has the key: what
// they say now holds.
func (e *Engine) AskSince(c *fact.Command, who, after id.ID) error {
	err := eachSince(c, who, after, func(a *activity.Activity) error { return e.takeBackBy(c, look{than: a, kind: takeBackTimer}) })
	if err != nil {
		return err
	}
	return eachSince(c, who, after, func(a *activity.Activity) error { return e.askAgain(c, a) })
}

func (e *Engine) askAgain(c *fact.Command, a *activity.Activity) error {
	h := OfActivity(a)
	h.again = true
	return e.Ask(c, h)
}

// pageSize is how many activities are read at a time.
const pageSize = 200

// eachSince hands over what somebody did after a moment and was not undone.
func eachSince(c *fact.Command, who, after id.ID, fn func(a *activity.Activity) error) error {
	for {
		page, err := activity.Since(c.Tx(), c.Tenant(), who, activity.Page{After: after, Limit: pageSize})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, a := range page {
			if err := fn(a); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// askWaiting asks the rules again of what somebody did before an activity, which had
// kept something from following from that, or keeps it now. It reports whether that
// was all.
func (e *Engine) askWaiting(c *fact.Command, l look) (bool, error) {
	programs, err := e.hosted(c)
	if err != nil {
		return false, err
	}
	var types []string
	for _, p := range programs {
		waiting, err := e.programs.WaitingFor(c.Tx(), p, l.than.Type)
		if err != nil {
			return false, err
		}
		types = append(types, waiting...)
	}
	then := e.editions(c)
	return l.each(c, types, func(a *activity.Activity) error {
		for _, p := range programs {
			set, err := then.at(p, a.ReceivedAt)
			if err != nil {
				return err
			}
			if waitedFor(set, p, a, l.than) {
				return e.askAgain(c, a)
			}
		}
		return nil
	})
}

// waitedFor reports whether a rule waited, because of an activity, whether another one
// happens.
func waitedFor(set *rule.Set, p *program.Program, a, other *activity.Activity) bool {
	h := OfActivity(a)
	return other.OccurredAt.After(h.At) && slices.ContainsFunc(set.On(a.Type), func(r *rule.Rule) bool {
		return r.Unless != nil && r.Unless.Event == other.Type && !other.OccurredAt.After(r.Unless.Within.After(h.At, p.Zone))
	})
}

// editions are the rules by which what came in at different times is judged.
type editions struct {
	programs *program.Service
	c        *fact.Command
	latest   map[id.ID]program.Edition // by program: the one that was asked for last
}

func (e *Engine) editions(c *fact.Command) editions {
	return editions{e.programs, c, make(map[id.ID]program.Edition)}
}

// at returns a program's rules of a time.
func (of editions) at(p *program.Program, at time.Time) (*rule.Set, error) {
	if known := of.latest[p.ID]; known.Held(at) {
		return known.Rules, nil
	}
	found, err := of.programs.EditionAt(of.c.Tx(), p, at)
	of.latest[p.ID] = found
	return found.Rules, err
}

// takeBackBy undoes what a person did that something else they did takes back, as a
// refund does: by the rules by which what they did was judged, since it was on these
// terms that it led to anything.
func (e *Engine) takeBackBy(c *fact.Command, l look) error {
	by := l.than
	if !by.UndoneAt.IsZero() { // since the look began
		return nil
	}
	programs, err := e.hosted(c)
	if err != nil {
		return err
	}
	var types []string
	for _, p := range programs {
		undone, err := e.programs.UndoneBy(c.Tx(), p, by.Type)
		if err != nil {
			return err
		}
		types = append(types, undone...)
	}
	event, then := by.Document(), e.editions(c)
	_, err = l.each(c, types, func(cause *activity.Activity) error {
		document := cause.Document()
		for _, p := range programs {
			set, err := then.at(p, cause.ReceivedAt)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(set.On(cause.Type), func(r *rule.Rule) bool { return r.MatchUndo(by.Type, event, document) }) {
				return takeBack(c, cause, by)
			}
		}
		return nil
	})
	return err
}

// takeBack undoes one activity because of another, unless that did so before: then
// somebody has undone its doing so.
func takeBack(c *fact.Command, cause, by *activity.Activity) error {
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	led, err := fact.CausedBy(c.Tx(), c.Tenant(), by.FactID)
	if err != nil {
		return err
	}
	for _, f := range led {
		if f.Type != fact.Undone {
			continue
		}
		var before fact.UndoneData
		raw, err := f.Raw()
		if err != nil {
			return err
		}
		if err := json.Unmarshal(raw, &before); err != nil {
			return err
		}
		if before.Root == cause.FactID {
			return nil
		}
	}
	return c.Because(by.FactID, func() error {
		_, err := c.Undo(fact.Undoing{Fact: cause.FactID, Reason: by.Type})
		if errors.Is(err, fact.ErrUndone) {
			return nil
		}
		return err
	})
}
