package rule

import (
	"slices"
	"strings"
	"time"
)

// Needs is what a rule depends on, and all that it does: as long as none of it
// changes, the rule says the same. Each is named once.
type Needs struct {
	Events     []string // types that it listens to, waits for, is undone by, or makes aggregates of
	Paths      []string
	Aggregates []Aggregate
	Segments   []string
	Instants   []Instant
	Counts     []Counting // those of the aggregates that are counts
}

// Instant is when a rule may change its mind though nothing happened: At a fixed
// time, or so long After the time at a path. Windows of aggregates are not among
// them.
type Instant struct {
	At    time.Time
	Path  string
	After Duration
}

// Needs returns what the rule depends on.
func (r *Rule) Needs() Needs {
	n := Needs{Events: slices.Clone(r.On)}
	if r.condition != nil {
		r.condition.need(&n)
	}
	if r.Give != nil && r.Give.Amount.Of != "" {
		n.Paths = append(n.Paths, r.Give.Amount.Of)
	}
	if r.Unless != nil {
		n.Events = append(n.Events, r.Unless.Event)
	}
	if r.UndoOn != nil {
		n.Events = append(n.Events, r.UndoOn.Event)
		r.UndoOn.match.need(&n)
	}
	for _, at := range []time.Time{r.Active.From, r.Active.Until} {
		if !at.IsZero() {
			n.Instants = append(n.Instants, Instant{At: at})
		}
	}
	n.Events, n.Paths, n.Segments = sorted(n.Events), sorted(n.Paths), sorted(n.Segments)
	n.Aggregates, n.Counts = once(n.Aggregates), once(n.Counts)
	slices.SortFunc(n.Aggregates, func(a, b Aggregate) int { return strings.Compare(a.String(), b.String()) })
	n.Instants = once(n.Instants)
	return n
}

func sorted(names []string) []string {
	slices.Sort(names)
	return slices.Compact(names)
}

// once returns a list without repetitions, in its order.
func once[T comparable](list []T) []T {
	var kept []T
	for _, item := range list {
		if !slices.Contains(kept, item) {
			kept = append(kept, item)
		}
	}
	return kept
}
