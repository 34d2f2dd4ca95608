package referral

import (
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// counter counts the referrals that somebody has brought, in one program: those that
// have begun, and those that were converted, as far as the referrer's side is approved.
// That one has ended since changes nothing, as it takes nothing back.
type counter struct{}

var _ effect.Counter = counter{}

// Counted are the facts that rules can count.
func (counter) Counted() []string { return []string{Started, Converted} }

// Count returns how many of the referrer's referrals stand before the one in which
// something happened, with that one. It reads no more than it is to tell apart.
func (counter) Count(q db.Queryer, n effect.Count) (int64, error) {
	of, ok := n.Of.Subject.(subject)
	if !ok {
		return 0, nil
	}
	before := of.r.standsAt(n.For.On)
	count, err := countBefore(q, n.Type, of.r.sender(), stretch{n.From, before, n.UpTo})
	if n.Type == n.For.On { // it stands at its place, not before it
		count++
	}
	return count, err
}

// stretch is what is counted: from a time up to a place, and no further than so many.
type stretch struct {
	from   time.Time // zero: all time
	before place
	upTo   int64
}

func countBefore(q db.Queryer, what string, of sender, in stretch) (int64, error) {
	var from id.ID
	if !in.from.IsZero() {
		from = id.First(in.from)
	}
	switch what {
	case Started:
		return countStarted(q, of, from, in.before, in.upTo)
	case Converted:
		return countConverted(q, of, from, in.before, in.upTo)
	default:
		return 0, fmt.Errorf("referral: nobody counts %s", what)
	}
}

// standsAt is where a referral stands among those that have begun, or were converted. One
// that is not converted yet would be the last.
func (r *Referral) standsAt(what string) place {
	switch {
	case what == Started:
		return place{r.ID, r.ID}
	case r.convertedBy.IsZero():
		return place{id.Last(), r.ID}
	default:
		return place{r.convertedBy, r.ID}
	}
}

// counts has a part say where what happened stands among what is counted, and why it
// is not counted itself.
func (r *Referral) counts(of *effect.Part, h effect.Happening) {
	if h.On != Started && h.On != Converted {
		return
	}
	of.Place = r.standsAt(h.On).Key
	switch {
	case h.On == Converted && !r.isConverted() && !h.FactID.IsZero(): // it was undone meanwhile
		of.Uncounted = "the referral is not converted any more"
	case r.Referrer != Approved:
		of.Uncounted = "the referrer's side of the referral is " + string(r.Referrer) + ", and only approved ones are counted"
	}
}
