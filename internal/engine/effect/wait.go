package effect

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// waitTimer asks a rule again when the time is over in which something must not
// happen. What waits since before the engine was all programs' has the former kind.
const (
	waitTimer       = "effect.unless"
	formerWaitTimer = "referral.unless"
)

// waiting is what such a timer is to do.
type waiting struct {
	Activity id.ID        `json:"activity,omitzero"`
	Program  id.ID        `json:"program"`
	Rule     string       `json:"rule"`
	Fact     *waitingFact `json:"fact,omitempty"` // nil: it is because of an activity
}

// waitingFact is a fact because of which a rule waits: a [Happening] but for its
// document, which is made anew, since a fact may be forgotten meanwhile.
type waitingFact struct {
	ID       id.ID     `json:"id"`
	On       string    `json:"on"`
	Person   id.ID     `json:"person"`
	Key      id.ID     `json:"key"`
	At       time.Time `json:"at"`
	Received time.Time `json:"received"`
}

// waitFor has the rule asked again when the time is over in which something must not
// happen.
func (e *Engine) waitFor(c *fact.Command, of Part, h Happening, result rule.Result) error {
	w := waiting{Program: of.Program.ID, Rule: result.Rule.Key}
	if h.Activity != nil {
		w.Activity = h.Activity.ID
	} else {
		w.Fact = &waitingFact{h.FactID, h.On, h.Person, h.Key, h.At, h.Received}
	}
	data, err := json.Marshal(w)
	if err != nil {
		return err
	}
	ref, begun := of.waitRef(result.Rule, h), of.Begins(result.Rule, h)
	for _, kind := range []string{waitTimer, formerWaitTimer} { // it may be asked about again
		waits, err := timer.Cancel(c.Tx(), c.Tenant(), kind, ref)
		if err != nil {
			return err
		}
		begun = begun || waits
	}
	if !begun {
		return nil
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: waitTimer, DueAt: result.Effect.Wait.Until, Ref: ref, Data: data})
	return err
}

// waitRef names what a rule waits for because of something that happened.
func (of Part) waitRef(r *rule.Rule, h Happening) id.ID {
	key := of.Program.ID.String() + "/" + r.Key + "/" + h.Key.String()
	if h.Activity == nil { // a referral begins and converts under one key, and an account's people have one
		key += "/" + h.On + "/" + h.Person.String()
	}
	sum := sha256.Sum256([]byte(key))
	return id.ID(sum[:len(id.ID{})])
}

func (e *Engine) waited(c *fact.Command, t timer.Timer) error {
	var w waiting
	if err := json.Unmarshal(t.Data, &w); err != nil {
		return err
	}
	p, err := e.programs.Get(c.Tx(), c.Tenant(), w.Program)
	if err != nil {
		return err
	}
	if e.hosts[p.Kind] == nil {
		return fmt.Errorf("effect: nobody runs the rules of programs of the kind %q", p.Kind)
	}
	h, holds, err := e.recall(c, p, w)
	if err != nil || !holds || p.Status == program.Draft {
		return err
	}
	doer, err := person.Now(c, h.Person)
	if err != nil || doer.IsDeleted() { // nobody knows any more what it was about
		return err
	}
	h.again, h.waited = true, true
	return e.askIn(c, p, h)
}

// recall returns what a rule waits because of. It reports whether that still holds.
func (e *Engine) recall(c *fact.Command, p *program.Program, w waiting) (Happening, bool, error) {
	if w.Fact == nil {
		a, err := activity.Get(c.Tx(), c.Tenant(), w.Activity)
		if err != nil {
			return Happening{}, false, err
		}
		return OfActivity(a), a.UndoneAt.IsZero(), nil
	}
	f, err := fact.Get(c.Tx(), c.Tenant(), w.Fact.ID)
	if err != nil {
		return Happening{}, false, err
	}
	document, err := e.hosts[p.Kind].Document(f)
	return Happening{
		On: w.Fact.On, Person: w.Fact.Person, Key: w.Fact.Key, FactID: f.ID, At: w.Fact.At, Received: w.Fact.Received, Document: document,
		only: w.Rule, // a fact is asked about once: no other rule is
	}, f.UndoneBy.IsZero(), err
}
