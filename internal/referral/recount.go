package referral

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// What rules say that count is a function of all that is counted, in its order: each
// referral is judged with those before it. Mostly what comes about is the last. Where it
// is not, where it is taken back, and where it is decided what counts, there are others
// before those that stand after it, and the rules are asked of these again, as far as
// that can matter: a rule that compares with five says the same of all from the seventh
// on, whichever one is missing. So it is asked of few, however many there are.

// recountPage is how many are read at a time.
const recountPage = 20

// recount is what is to be asked since one referral more, or one less, is counted.
type recount struct {
	sender  sender
	counted string // as what it is counted: Started or Converted
	at      place  // where it stands, or stood
	on      string // the facts about which the rules are asked
	since   int    // how many facts there were when the count had changed
}

// recountAfter has the rules that count be asked again of what stands after a referral
// that is counted now, or is so no more, as a fact says.
func (s *Service) recountAfter(c *fact.Command, f *fact.Fact, r *Referral, counted string, at place) error {
	p, err := s.program(c, r.ProgramID)
	if err != nil {
		return err
	}
	compared, err := s.programs.CountedBy(c.Tx(), p, counted)
	if err != nil {
		return err
	}
	for _, on := range (counter{}).Counted() {
		if !slices.ContainsFunc(compared, func(of program.Counting) bool { return of.On == on }) {
			continue
		}
		of := recount{r.sender(), counted, at, on, slices.Index(c.Facts(), f) + 1}
		if err := s.recount(c, p, of); err != nil {
			return err
		}
	}
	return nil
}

// recountModerated has them be asked again of a referral about which something was
// decided, and of what stands after it.
func (s *Service) recountModerated(c *fact.Command, f *fact.Fact, r *Referral) error {
	p, err := s.program(c, r.ProgramID)
	if err != nil {
		return err
	}
	if counts, err := s.countsAny(c, p); err != nil || !counts {
		return err
	}
	if r, err = selectReferral(c.Tx(), c.Tenant(), r.ID); err != nil { // it may have changed since
		return err
	}
	since := slices.Index(c.Facts(), f) + 1
	for _, on := range (counter{}).Counted() {
		if on == Converted && !r.isConverted() {
			continue
		}
		if err := s.askCounting(c, p, r, recount{on: on, since: since}); err != nil {
			return err
		}
		if err := s.recountAfter(c, f, r, on, r.standsAt(on)); err != nil {
			return err
		}
	}
	return nil
}

// recountReward has them be asked again of what led to a reward that an undoing may have
// brought back: others may count since.
func (s *Service) recountReward(c *fact.Command, f *fact.Fact, r *reward.Reward) error {
	isUndoing := slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { return f.Type == fact.Undone })
	if !isUndoing || r.ReferralID.IsZero() || r.ProgramID.IsZero() {
		return nil
	}
	p, err := s.program(c, r.ProgramID)
	if err != nil {
		return err
	}
	if counts, err := s.countsAny(c, p); err != nil || !counts {
		return err
	}
	of, err := selectReferral(c.Tx(), c.Tenant(), r.ReferralID)
	if err != nil {
		return err
	}
	since := slices.Index(c.Facts(), f) + 1
	for _, on := range (counter{}).Counted() {
		if err := s.askCounting(c, p, of, recount{on: on, since: since}); err != nil {
			return err
		}
	}
	return nil
}

// countsAny reports whether a program has, or has had, rules that count.
func (s *Service) countsAny(c *fact.Command, p *program.Program) (bool, error) {
	for _, counted := range (counter{}).Counted() {
		compared, err := s.programs.CountedBy(c.Tx(), p, counted)
		if err != nil || len(compared) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// program returns one of the tenant's programs, which does not change while a command is
// under way.
func (s *Service) program(c *fact.Command, of id.ID) (*program.Program, error) {
	all, err := s.all(c)
	if i := slices.IndexFunc(all, func(p *program.Program) bool { return p.ID == of }); err == nil && i >= 0 {
		return all[i], nil
	}
	return nil, errors.Join(err, fmt.Errorf("referral: there is no program %s", of))
}

// recount asks what is to be asked, in its order.
func (s *Service) recount(c *fact.Command, p *program.Program, of recount) error {
	compared, err := s.programs.CountedBy(c.Tx(), p, of.counted)
	if err != nil {
		return err
	}
	compared = slices.DeleteFunc(slices.Clone(compared), func(by program.Counting) bool { return by.On != of.on })
	for after := of.at; ; {
		if err := c.Tx().Flush(); err != nil {
			return err
		}
		page, err := of.page(c.Tx(), after)
		if err != nil {
			return err
		}
		for _, r := range page {
			matters, err := of.matters(c.Tx(), p, compared, r)
			if err != nil || !matters {
				return err
			}
			if err := s.askCounting(c, p, r, of); err != nil {
				return err
			}
			after = r.standsAt(of.on)
		}
		if len(page) < recountPage {
			return nil
		}
	}
}

func (of recount) page(q db.Queryer, after place) ([]*Referral, error) {
	if of.on == Started {
		return startedAfter(q, of.sender, after, recountPage)
	}
	return convertedAfter(q, of.sender, after, recountPage)
}

// matters reports whether a rule may say something else of a referral, or of one after
// it, now that one more or one less stands before it. That one has to be within the time
// in which the rule counts, and what is counted besides must not be as much as the rule
// tells apart: of a time that is all from its beginning on, and at least what stands
// between the two.
func (of recount) matters(q db.Queryer, p *program.Program, compared []program.Counting, r *Referral) (bool, error) {
	at := r.standsAt(of.on)
	for _, by := range compared {
		counted := stretch{before: at, upTo: by.UpTo + 1}
		if start := by.In.Start(at.Key.Time(), p.Zone); !start.IsZero() {
			if first := id.First(start); bytes.Compare(first[:], of.at.Key[:]) > 0 {
				continue
			}
			counted.from = of.at.Key.Time().Add(time.Millisecond)
		}
		n, err := countBefore(q, of.counted, of.sender, counted)
		if err != nil || n <= by.UpTo {
			return true, err
		}
	}
	return false, nil
}

// asked is when a command has asked the rules about facts, by what it was, in facts that
// there were by then.
type asked map[askedFact]int

type askedFact struct {
	on string
	of id.ID
}

// askedKey is under what a command keeps it.
type askedKey struct{}

func askedBy(c *fact.Command) asked {
	known, ok := c.Tx().Kept(askedKey{}).(asked)
	if !ok {
		known = make(asked)
		c.Tx().Keep(askedKey{}, known)
	}
	return known
}

// askCounting asks the rules that count about a referral once more, unless the command
// has asked them since the count has changed.
func (s *Service) askCounting(c *fact.Command, p *program.Program, r *Referral, of recount) error {
	known, key := askedBy(c), askedFact{of.on, r.ID}
	if at, ok := known[key]; ok && at >= of.since {
		return nil
	}
	f, err := s.latest(c, r.ID, of.on)
	if err != nil || f == nil {
		return err
	}
	known[key] = len(c.Facts())
	return s.effects.AskCounting(c, p, happening(f, r.ReferredID))
}

// happening is a fact about a referral as rules listen to it: what happens to a referral
// is the referred person's.
func happening(f *fact.Fact, about id.ID) effect.Happening {
	return effect.Happening{On: f.Type, Person: about, Key: f.Subject.ID, FactID: f.ID, At: f.At, Received: f.At, Document: map[string]any{}}
}
