package attribution

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Mode is which of several touches gets the credit.
type Mode string

// The modes.
const (
	First  Mode = "first"  // the oldest one that the window has
	Last   Mode = "last"   // the newest one
	Sticky Mode = "sticky" // the oldest one; and whoever has the credit keeps it for ever
)

// Policy is how a program decides. The zero Policy is Sticky without a window: who
// was first gets the credit.
type Policy struct {
	Mode   Mode          `json:"mode,omitempty"`   // empty: Sticky
	Window time.Duration `json:"window,omitempty"` // how long a touch counts, in nanoseconds; 0: for ever
}

// Check returns what is wrong with a policy, under the path of the field that has
// the policy.
func (p Policy) Check(path string) error {
	var checks problem.Checks
	switch p.Mode {
	case "", First, Last, Sticky:
	default:
		checks.Add(path+".mode", "must be first, last or sticky")
	}
	if p.Window < 0 {
		checks.Add(path+".window", "must not be negative: leave it out, or set it to 0, for touches that count for ever")
	}
	return checks.Err()
}

// Case is what a decision rests on besides the touches and the policy.
type Case struct {
	Held *Attribution // who has the credit already; nil: nobody
	Own  id.ID        // the person's own membership; zero: there is none
	Now  time.Time
}

// Decision is which touch gets the credit, and why.
type Decision struct {
	Credited bool
	Touch    Touch  // which; zero if none
	Method   Method // how it is known that it is the person's
	Reason   string // a sentence
	Passed   []Passed
}

// Passed is a touch that got no credit, and why.
type Passed struct {
	TouchID id.ID
	Reason  string // a sentence
}

// Decide says which of a person's touches in a program gets the credit. Their order
// does not matter.
//
// A touch counts if it is not of the person's own membership, lies within the
// window, which ends now, and lies not after now. What was said counts more than
// what was found, whatever the time: a code that was typed goes before clicks and
// cookies. What somebody decided by hand goes before both; it has no window, and the
// newest decision holds in every mode. Of touches of the same moment the one with
// the smaller ID is the older.
//
// In the mode Sticky, who has the credit keeps it, unless somebody decided
// otherwise by hand.
func Decide(touches []Touch, p Policy, c Case) Decision {
	sorted := slices.SortedFunc(slices.Values(touches), older)
	var d Decision
	if newest, ok := newestManual(sorted, c.Now); ok {
		return d.byHand(sorted, newest, c)
	}
	if sticky := p.Mode == "" || p.Mode == Sticky; sticky && c.Held != nil {
		return d.byHolder(sorted, c)
	}
	counted := d.count(sorted, p, c)
	if len(counted) == 0 {
		d.Reason = "no touch counts"
		if len(touches) == 0 {
			d.Reason = "there is no touch"
		}
		return d
	}
	strongest := slices.MaxFunc(counted, func(a, b Touch) int { return cmp.Compare(strength(a), strength(b)) })
	equal := slices.DeleteFunc(slices.Clone(counted), func(t Touch) bool { return strength(t) < strength(strongest) })
	chosen, which := equal[0], "oldest"
	if p.Mode == Last {
		chosen, which = equal[len(equal)-1], "newest"
	}
	for _, t := range counted {
		switch {
		case t.ID == chosen.ID:
		case strength(t) < strength(chosen):
			d.pass(t, "a code that was typed goes before it")
		default:
			d.pass(t, "it is not the "+which+" one")
		}
	}
	d.credit(chosen, reasonFor(chosen, which, len(equal)))
	return d
}

func older(a, b Touch) int {
	return cmp.Or(a.At.Compare(b.At), slices.Compare(a.ID[:], b.ID[:]))
}

// strength is how much a touch counts before its time does.
func strength(t Touch) int {
	if t.Method == ByCode {
		return 1
	}
	return 0
}

func reasonFor(t Touch, which string, of int) string {
	what := map[Method]string{ByCode: "code that was typed", ByCookie: "touch by a cookie", ByLink: "touch by a link"}[t.matched()]
	if of == 1 {
		return "it is the only " + what + " that counts"
	}
	return fmt.Sprintf("it is the %s of %d touches that count", which, of)
}

// newestManual returns the newest decision by hand of touches that are in order.
func newestManual(sorted []Touch, now time.Time) (Touch, bool) {
	for _, t := range slices.Backward(sorted) {
		if t.Method == Manual && !t.At.After(now) {
			return t, true
		}
	}
	return Touch{}, false
}

// byHand is the decision where somebody has decided.
func (d Decision) byHand(sorted []Touch, newest Touch, c Case) Decision {
	for _, t := range sorted {
		switch {
		case t.ID == newest.ID && t.MembershipID.IsZero():
			d.pass(t, "it gives the credit to nobody")
		case t.ID == newest.ID:
		case t.At.After(c.Now):
			d.pass(t, later)
		default:
			d.pass(t, "somebody decided otherwise by hand")
		}
	}
	if newest.MembershipID.IsZero() {
		d.Reason = "somebody decided by hand that nobody gets the credit"
		return d
	}
	d.credit(newest, "somebody decided so by hand")
	return d
}

// byHolder is the decision where somebody has the credit and keeps it.
func (d Decision) byHolder(sorted []Touch, c Case) Decision {
	const keeps = "who has the credit keeps it"
	d.Credited, d.Method, d.Reason = true, c.Held.Method, keeps
	d.Touch = Touch{
		TenantID: c.Held.TenantID, ID: c.Held.TouchID, ProgramID: c.Held.ProgramID, MembershipID: c.Held.MembershipID,
		Method: c.Held.Method, At: c.Held.At, PersonID: c.Held.PersonID,
	}
	for _, t := range sorted {
		if t.ID == c.Held.TouchID {
			d.Touch = t
			continue
		}
		d.pass(t, keeps)
	}
	return d
}

const later = "it came later"

// count returns the touches that count, in their order, and notes why the others
// don't.
func (d *Decision) count(sorted []Touch, p Policy, c Case) []Touch {
	var counted []Touch
	for _, t := range sorted {
		switch {
		case t.At.After(c.Now):
			d.pass(t, later)
		case t.MembershipID.IsZero():
			d.pass(t, "it is of nobody's code")
		case t.MembershipID == c.Own:
			d.pass(t, "it is of the person's own code")
		case p.Window > 0 && c.Now.Sub(t.At) > p.Window:
			d.pass(t, "it is older than the "+inWords(p.Window)+" for which touches count")
		default:
			counted = append(counted, t)
		}
	}
	return counted
}

// inWords returns a window as people say it.
func inWords(window time.Duration) string {
	const day = 24 * time.Hour
	whole := window.Round(day)
	changed := (window - whole).Abs() // as clocks do
	if window > day && changed == 0 || window > 7*day && changed <= 2*time.Hour {
		return fmt.Sprintf("%d days", whole/day)
	}
	return window.String()
}

func (d *Decision) credit(t Touch, reason string) {
	d.Credited, d.Touch, d.Method, d.Reason = true, t, t.matched(), reason
}

func (d *Decision) pass(t Touch, reason string) {
	d.Passed = append(d.Passed, Passed{t.ID, reason})
}
