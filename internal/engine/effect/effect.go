// Package effect runs the rules of programs on what happens, and takes back what
// they did when it turns out not to have happened.
//
// A kind of program is a [Host]: it says which part somebody has in a program, and
// what it means to convert there. All the rest is the same for all kinds, and is
// here: which programs are asked, the rules of the moment in which something came in
// ([program.Service.RulesAt]), what rules see, rules that give once, rules that wait
// whether something happens meanwhile, limits, and what takes effects back.
//
// An effect has a key, made of the program, the rule, whom it is for and what it
// follows from. Whatever is asked twice gives once. The rules' version is not part of
// it, so that rules that were edited give nothing a second time.
//
// What follows from what somebody did is a function of all that they did, in the
// order in which it came in. So when an activity is undone, or brought about again,
// the rules are asked again of everything that came after it, and what they say now
// holds: what they gave and would not give any more is withdrawn, what they would
// give now is given. What is left is what there would be had the activity never been,
// and undoing that brings back what there was. It does not go further than that:
//
//   - Rules about facts, such as referral.converted or account.paid, are asked when the
//     fact comes about, not again, but for those that count facts (see [Counter]): these
//     are asked again when others come to stand before theirs, or do so no more. What
//     rules about activities give does not depend on counts of facts. One that waits (unless) is asked when the wait is
//     over, if the fact was not undone; what is undone after that gives it nothing.
//   - Conditions on a person see the person as known now.
//   - What does not begin any more (see [Part.Begins]) is not given, whenever that was
//     done for which it would be; what no rule says any more is taken back.
//   - What is given in another's place waits while somebody has to decide about it, or
//     its person is blocked, though it would have been available before.
//   - An activity that a rule waits for (unless), and that is reported when the wait is
//     over, comes too late.
//   - For limits see package reward.
package effect

import (
	"bytes"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Host is a kind of program.
type Host interface {
	// Kind is the kind's name, which programs have.
	Kind() string

	// Parts returns which parts somebody had in a program when something happened, as
	// far as it is the program's to say; the engine sets the rest. A rule is asked in
	// the part whose role is its actor's, and one about whoever acts in the first part
	// only. None: the rules do not concern the person.
	//
	// It is asked about the same again, when something before it was undone, and has to
	// answer as of then: what came about later is not seen by an activity (see
	// [Happening.Precedes]). A fact is asked about when it comes about, and once more
	// for each rule that waits because of it (see [Happening.Again]).
	Parts(q db.Queryer, p *program.Program, h Happening) ([]Part, error)

	// Document returns what rules see of a fact (Happening.Document), once more; of one
	// that was forgotten there is nothing to see.
	Document(f *fact.Fact) (map[string]any, error)

	// Giver returns who gives what rules give of a kind; nil: it is given as a reward.
	Giver(of rule.Kind) Giver

	// Counter returns who counts facts for the rules; nil: they count none.
	Counter() Counter
}

// Part is the part that somebody has in a program.
type Part struct {
	Role rule.Role // Self: no other one
	// Subject is what the part is in besides the program, such as a referral; nil:
	// nothing.
	Subject Subject
	Since   time.Time           // when it began to earn commissions; zero: it earns for ever
	Others  map[rule.Role]id.ID // who has which role besides
	// Documents are what rules see besides the event, the person and the program.
	Documents map[string]any
	Clawback  ledger.Policy // of the rewards that are given in it; "": Negative
	// Place is where what happened stands among what is counted, and in the limit of a
	// rule that counts; zero: by its key.
	Place id.ID
	// Uncounted is why it is not counted, in a sentence; "": it is, or nothing is.
	Uncounted string

	// The engine sets these.
	Program      *program.Program
	RulesVersion int64
	Person       *person.Person

	host Host
}

// Subject is something that people are in together and that rules may convert, such
// as a referral.
type Subject interface {
	// Ref is what rewards keep that are given in it (reward.Reward.ReferralID). A rule
	// that gives once does so once for each.
	Ref() id.ID

	// ConvertedBy is the key of what has converted it; zero: nothing has.
	ConvertedBy() id.ID

	// Convert notes that it is converted, by what has that key. Of one that is
	// converted already it changes nothing. What it appends has to follow from what
	// converts it, and to have a reversal, so that it is undone with that.
	Convert(c *fact.Command, by id.ID) error

	// Unconvert takes that back, with what it led to.
	Unconvert(c *fact.Command, reason string) error

	// Terms says what a reward depends on that is given in it to somebody: all of it,
	// and not only what the subject adds to [TermsOf]. A reward that is to be given has
	// no more than its audience and its time.
	Terms(given *reward.Reward, to *person.Person) reward.Terms
}

// TermsOf says what a reward depends on outside of any subject: that its person is
// not blocked, and is there.
func TermsOf(to *person.Person) reward.Terms {
	return reward.Terms{Held: to.IsBlocked(), Ended: to.IsDeleted()}
}

// Giver gives what rules say.
type Giver interface {
	// Give gives it, unless it was given under the same effect key and not taken back
	// since. What it appends has to have a reversal: the activity that it follows from
	// may be undone.
	Give(c *fact.Command, g Gift) error

	// Withdraw takes back what was given under the effect key, if anything was: it is
	// not what follows any more. The gift's Effect is nil.
	Withdraw(c *fact.Command, g Gift) error

	// GaveEarlier reports whether the same rule has given to the same person, in the
	// same subject if there is one, because of something that happened before, and that
	// was not taken back: then one that gives once does not give. The gift's Effect may
	// be nil.
	GaveEarlier(q db.Queryer, g Gift) (bool, error)
}

// Gift is what a rule gives somebody because of something.
type Gift struct {
	Of     Part
	For    Happening
	Rule   *rule.Rule
	Effect *rule.Effect // what the rule says; nil: it says nothing
	To     id.ID
}

// Key is the effect key: there is one effect for a key, ever.
func (g Gift) Key() string { return g.Of.EffectKey(g.Rule.Key, g.To, g.For) }

// EffectKey names what a rule does for somebody because of something.
func (of Part) EffectKey(rule string, to id.ID, h Happening) string {
	return of.Program.ID.String() + "/" + rule + "/" + to.String() + "/" + h.On + "/" + h.Key.String()
}

// Beneficiary is who gets what a rule gives to a role. It reports whether there is
// anybody.
func (of Part) Beneficiary(to rule.Role) (id.ID, bool) {
	if to == rule.Self || to == of.Role {
		return of.Person.ID, true
	}
	other, ok := of.Others[to]
	return other, ok
}

// Happening is what rules listen to: an activity, or a fact about somebody.
type Happening struct {
	On     string // its type
	Person id.ID  // who did it, or whom it is about
	// Key is the same each time that it is looked at, and its place among all that
	// happened: the activity's id, or that of what a fact is about.
	Key      id.ID
	At       time.Time // zero: now
	Received time.Time // by the rules of which it is judged; zero: now
	Document map[string]any
	Activity *activity.Activity // nil: it is a fact
	FactID   id.ID              // which one; of an activity, zero

	again  bool   // it was asked about before
	only   string // the rule that is asked; "": all are
	waited bool   // a rule has waited because of it, and the wait is over
	// counting says that there are others before it than when it was asked about: the
	// rules are asked for which that matters.
	counting bool
}

// OfActivity is an activity, as rules listen to it.
func OfActivity(a *activity.Activity) Happening {
	at := a.OccurredAt
	if a.ReceivedAt.Before(at) { // a clock is ahead
		at = a.ReceivedAt
	}
	return Happening{On: a.Type, Person: a.PersonID, Key: a.ID, At: at, Received: a.ReceivedAt, Document: a.Document(), Activity: a}
}

// Precedes reports whether it happened before what has the key.
func (h Happening) Precedes(key id.ID) bool { return bytes.Compare(h.Key[:], key[:]) < 0 }

// Follows reports whether it happened after what has the key.
func (h Happening) Follows(key id.ID) bool { return bytes.Compare(h.Key[:], key[:]) > 0 }

// Again reports whether it was asked about before.
func (h Happening) Again() bool { return h.again }

// Begins reports whether what a rule says of something begins in this part, or goes on:
// in a program that runs, for somebody who takes part in programs. Otherwise what was
// begun in a subject goes on, and what somebody does for themselves leads to nothing.
func (of Part) Begins(r *rule.Rule, h Happening) bool {
	if of.Program.Runs(h.Received) && !of.Person.Unreferable {
		return true
	}
	return of.Subject != nil && (h.Activity == nil || r.Actor != rule.Self || r.To != rule.Self || r.Convert)
}

// because runs fn with it as the cause of what fn appends.
func (h Happening) because(c *fact.Command, fn func() error) error {
	switch {
	case h.Activity != nil:
		return c.Because(h.Activity.FactID, fn)
	case h.again:
		return c.Because(h.FactID, fn)
	}
	return fn()
}
