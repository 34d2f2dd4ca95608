package program

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Edition is a version of a program's rules, with the time during which it held.
type Edition struct {
	Rules *rule.Set
	From  time.Time // included
	Until time.Time // excluded; zero: it still holds
}

// Held reports whether it held at a time.
func (e Edition) Held(at time.Time) bool {
	return e.Rules != nil && !at.Before(e.From) && (e.Until.IsZero() || at.Before(e.Until))
}

// EditionAt returns the rules that held at a time, as RulesAt does. Who asks about many
// times asks once for all of those at which it held.
func (s *Service) EditionAt(q db.Queryer, p *Program, at time.Time) (Edition, error) {
	if !at.Before(p.rulesSince) {
		return Edition{Rules: p.Rules, From: p.rulesSince}, nil
	}
	set, version, err := s.RulesAt(q, p, at)
	if err != nil {
		return Edition{}, err
	}
	var until int64
	err = q.QueryRow(`SELECT created_at FROM rule_set WHERE tenant_id = $1 AND program_id = $2 AND version > $3
		ORDER BY version LIMIT 1`, p.TenantID, p.ID, version).Scan(&until)
	if errors.Is(err, db.ErrNoRows) { // it was before there were any rules
		return Edition{Rules: set, From: at, Until: at.Add(time.Microsecond)}, nil
	}
	if err != nil {
		return Edition{}, fmt.Errorf("program: read rules: %w", err)
	}
	return Edition{Rules: set, From: at, Until: db.FromMicro(until)}, nil
}

// pairs are the types of activities that rules bring together with another one, by the
// type of that, in all versions up to one.
type pairs struct {
	version int64
	undone  map[string][]string // by undo_on
	waiting map[string][]string // by unless
	counted map[string][]Counting
}

// Counting is a count that a rule compares which listens to a type.
type Counting struct {
	rule.Counting

	On string
}

// knownPairs keeps them by program. What is in them stays true, since a version of
// rules never changes.
type knownPairs struct {
	mu sync.Mutex
	of map[id.ID]pairs
}

// UndoneBy returns the types of what an activity of a type takes back (undo_on) by any of
// the latest 250 versions of a program's rules.
func (s *Service) UndoneBy(q db.Queryer, p *Program, activity string) ([]string, error) {
	known, err := s.pairsOf(q, p)
	return known.undone[activity], err
}

// WaitingFor returns the types of what waits whether an activity of a type happens
// (unless), by any of the latest 250 versions of a program's rules.
func (s *Service) WaitingFor(q db.Queryer, p *Program, activity string) ([]string, error) {
	known, err := s.pairsOf(q, p)
	return known.waiting[activity], err
}

// CountedBy returns where what happens of a type is counted by any of the latest 250
// versions of a program's rules.
func (s *Service) CountedBy(q db.Queryer, p *Program, what string) ([]Counting, error) {
	known, err := s.pairsOf(q, p)
	return known.counted[what], err
}

func (s *Service) pairsOf(q db.Queryer, p *Program) (pairs, error) {
	s.pairs.mu.Lock()
	known := s.pairs.of[p.ID]
	s.pairs.mu.Unlock()
	if known.version >= p.RulesVersion {
		return known, nil
	}
	sets, err := s.RuleSets(q, p.TenantID, p.ID, int(min(maxVersions, p.RulesVersion-known.version)))
	if err != nil {
		return pairs{}, err
	}
	known = pairs{p.RulesVersion, maps.Clone(known.undone), maps.Clone(known.waiting), maps.Clone(known.counted)}
	if known.undone == nil {
		known.undone, known.waiting = make(map[string][]string), make(map[string][]string)
		known.counted = make(map[string][]Counting)
	}
	for _, set := range sets {
		if err := known.add(string(set.Rules)); err != nil {
			return pairs{}, fmt.Errorf("program: version %d of the rules of the program %s: %w", set.Version, p.ID, err)
		}
	}
	if tx, ok := q.(*db.Tx); ok { // its number may be used again where this one fails
		tx.After(func() { s.pairs.keep(p.ID, known) })
		return known, nil
	}
	s.pairs.keep(p.ID, known)
	return known, nil
}

func (k *knownPairs) keep(of id.ID, known pairs) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of == nil || len(k.of) >= maxParsed {
		k.of = make(map[id.ID]pairs)
	}
	k.of[of] = known
}

// add notes what the rules of one version bring together.
func (k pairs) add(text string) error {
	if !slices.ContainsFunc([]string{`"undo_on"`, `"unless"`, `"count"`}, func(word string) bool { return strings.Contains(text, word) }) {
		return nil
	}
	set, err := rule.Parse("rules", []byte(text), rule.Options{})
	if err != nil {
		return err
	}
	for _, r := range set.Rules() {
		if r.UndoOn != nil {
			note(k.undone, r.UndoOn.Event, r.On)
		}
		if r.Unless != nil {
			note(k.waiting, r.Unless.Event, r.On)
		}
		for _, c := range r.Counts() {
			for _, on := range r.On {
				k.noteCount(Counting{c, on})
			}
		}
	}
	return nil
}

func note(all map[string][]string, of string, types []string) {
	for _, t := range types {
		if !slices.Contains(all[of], t) {
			all[of] = append(slices.Clone(all[of]), t)
		}
	}
}

func (k pairs) noteCount(c Counting) {
	if !slices.Contains(k.counted[c.Type], c) {
		k.counted[c.Type] = append(slices.Clone(k.counted[c.Type]), c)
	}
}
