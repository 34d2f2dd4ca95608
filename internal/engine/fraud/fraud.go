// Package fraud judges referrals: it says which signals of fraud there are, with
// what was compared and how much each counts, and what is to be done.
//
// It is pure. Whoever starts a referral gathers the [Evidence], the tenant decides
// by [Settings] what each signal leads to, and [Evaluate] answers with a [Verdict].
// A signal is a reason to look, no proof: offices share addresses and families share
// names. So by default every signal is flagged, and none holds or blocks anything, but
// for one: who is on the tenant's own block list is blocked, since that was said.
package fraud

import (
	"net/netip"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/email"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// The bounds of what evidence may hold. Evaluate ignores what goes beyond.
const (
	MaxRecent  = 50 // referrals of the same referrer
	MaxRing    = 20 // steps from a referrer to the referrer before
	MaxIPs     = 4  // of one person
	MaxDevices = 20 // of one person
)

// Evidence is what is known of one referral when it is judged. What is unknown is
// empty, and then it says nothing: two people without an address don't share it.
type Evidence struct {
	Referrer Person
	Referred Person
	// At is when the referral began. Windows of time end there, so that a referral
	// judged again later is judged alike. Zero, or after now, stands for now.
	At time.Time
	// Touch is what led to the referral: the click on the link, or the visit on
	// which the code was entered.
	Touch Touch
	// Recent are other referrals of the same referrer, in all states, that began
	// at At or before: the newest MaxRecent, newest first. One query by (tenant,
	// program, referrer, time) with that limit finds them.
	Recent []Referral
	// Ring is how the referrers lead back to the referred: the referrer, who
	// referred them, who referred these, and so on, the referred at the end. It is
	// empty where they don't within MaxRing steps, each of which is one look-up of
	// who referred a person.
	Ring []id.ID
	// Listed are the entries of the tenant's block list that one of the two is on,
	// those of the referred first, the closest first.
	Listed []Entry
}

// Entry is an entry of the tenant's block list that one of the two is on.
type Entry struct {
	ID       id.ID
	Kind     string // such as "email"
	Referrer bool   // it is the referrer who is on it; else it is the referred
}

// Person is one side of a referral.
type Person struct {
	ID        id.ID
	FirstName string
	LastName  string
	Email     string // as given, or its normal form
	// IPs are the addresses that the person was first and last seen at.
	IPs []netip.Addr
	// Devices are the cookies and device ids that the person was seen with.
	Devices []string
}

// Touch is the visit that led to a referral.
type Touch struct {
	IP     netip.Addr
	Device string // the cookie or the device id
}

// Referral is another referral of the same referrer.
type Referral struct {
	ID       id.ID
	At       time.Time // when it began
	Referred Person    // the names are not needed
}

// Outcome is what is to be done with a referral.
type Outcome string

// The outcomes, the strictest last.
const (
	None    Outcome = "none"
	Flagged Outcome = "flag"  // goes on, and the signals are shown with it
	Held    Outcome = "hold"  // waits for somebody to approve it
	Blocked Outcome = "block" // is denied, until somebody approves it after all
)

// Verdict is what came of judging a referral.
type Verdict struct {
	At      time.Time `json:"at"` // when it was judged
	Outcome Outcome   `json:"outcome"`
	Signals []Signal  `json:"signals"` // in the order of Kinds
}

// Signal is one reason to suspect a referral.
type Signal struct {
	Kind   Kind   `json:"name"`
	Action Action `json:"action"` // that the settings asked for
	// Score says how much the signal counts on its own, from 1 to 100.
	Score   int      `json:"score"`
	Message string   `json:"message"` // a sentence for whoever decides
	Details Compared `json:"evidence"`
}

// Compared is what a signal was found by. It names people and referrals by their ids
// only: whoever may see their names, addresses and e-mail looks there.
type Compared struct {
	// People are those whom the referred has something in common with, or who form
	// the ring.
	People []id.ID `json:"people,omitempty"`
	// Referrals are the others of the same referrer that the signal is about as
	// much as this one. The caller marks them too.
	Referrals  []id.ID `json:"referrals,omitempty"`
	Domain     string  `json:"domain,omitempty"`     // of the e-mail addresses
	Similarity int     `json:"similarity,omitempty"` // of the names, in percent
	Threshold  int     `json:"threshold,omitempty"`  // that the similarity has reached
	Count      int     `json:"count,omitempty"`      // how many referrals there were, this one included
	Limit      int     `json:"limit,omitempty"`      // how many there may be
	Window     Seconds `json:"window,omitempty"`     // in which they are counted
	Entry      id.ID   `json:"entry,omitzero"`       // of the block list
	EntryKind  string  `json:"entry_kind,omitempty"` // such as "email"
	Side       string  `json:"side,omitempty"`       // who is on it: referred or referrer
}

// Evaluate judges a referral by the settings, which must be valid. It never fails:
// evidence that can't be read (an e-mail address that is none) counts as unknown.
func Evaluate(e Evidence, s Settings, now time.Time) Verdict {
	s = s.WithDefaults()
	c := prepare(e, now)
	v := Verdict{At: now, Outcome: None, Signals: []Signal{}}
	for _, check := range checks {
		action := check.action(s)
		if action == Off {
			continue
		}
		found := check.find(c, s)
		if found == nil {
			continue
		}
		v.Signals = append(v.Signals, Signal{check.kind, action, check.score, found.message, found.compared})
		v.Outcome = stricter(v.Outcome, action.outcome())
	}
	return v
}

// stricter returns the stricter of two outcomes.
func stricter(a, b Outcome) Outcome {
	for _, o := range []Outcome{Blocked, Held, Flagged} {
		if a == o || b == o {
			return o
		}
	}
	return None
}

// side is a person with the e-mail address in its parts. They are empty where the
// address is none.
type side struct {
	Person
	email, local, domain string
}

// prepared is evidence within its bounds.
type prepared struct {
	referrer, referred side
	at                 time.Time
	touch              Touch
	recent             []recent
	ring               []id.ID
	listed             []Entry
}

// recent is another referral of the same referrer.
type recent struct {
	id       id.ID
	at       time.Time
	referred side
}

func prepare(e Evidence, now time.Time) *prepared {
	p := &prepared{
		referrer: sideOf(e.Referrer), referred: sideOf(e.Referred),
		at: e.At, touch: e.Touch, ring: first(e.Ring, MaxRing+1), listed: e.Listed,
	}
	if p.at.IsZero() || p.at.After(now) {
		p.at = now
	}
	for _, r := range first(e.Recent, MaxRecent) {
		// What began later is judged by itself, and marks this one where it has to.
		if r.At.After(p.at) || r.Referred.ID == e.Referred.ID {
			continue
		}
		p.recent = append(p.recent, recent{r.ID, r.At, sideOf(r.Referred)})
	}
	return p
}

func sideOf(p Person) side {
	p.IPs, p.Devices = first(p.IPs, MaxIPs), first(p.Devices, MaxDevices)
	s := side{Person: p}
	if form, ok := email.Normalize(p.Email); ok {
		s.email = form
		s.local, s.domain = email.Split(form)
	}
	return s
}

// first returns the first n of a list, or all of a shorter one.
func first[T any](list []T, n int) []T { return list[:min(n, len(list))] }
