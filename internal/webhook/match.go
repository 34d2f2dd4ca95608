package webhook

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

const (
	// AllTypes stands for every event type that the tenant publishes, and for those
	// that tell of its programs, if it is the only one of a subscription; not for
	// those that tell of the webhooks themselves.
	AllTypes = "*"

	// family ends a pattern: "invoice.*" stands for every type that begins with
	// "invoice.".
	family = ".*"
)

// matcher finds the subscriptions of one tenant that want an event, as they were
// at one version. It does not change.
type matcher struct {
	version  int64
	dialects []string                     // that a subscription is for
	filters  bool                         // whether a subscription has one
	byType   map[matchKey][]*Subscription // AllTypes under that name
	byFamily map[matchKey][]*Subscription // by how the types begin, with the full stop
}

type matchKey struct{ dialect, eventType string }

func newMatcher(version int64, subs []*Subscription) *matcher {
	m := &matcher{version: version, byType: make(map[matchKey][]*Subscription), byFamily: make(map[matchKey][]*Subscription)}
	for _, sub := range subs {
		m.filters = m.filters || sub.Filter != nil
		if !slices.Contains(m.dialects, sub.Dialect.Name()) {
			m.dialects = append(m.dialects, sub.Dialect.Name())
		}
		for _, pattern := range sub.EventTypes {
			if covered(pattern, sub.EventTypes) { // so that no event finds the subscription twice
				continue
			}
			if prefix, ok := familyOf(pattern); ok {
				key := matchKey{sub.Dialect.Name(), prefix}
				m.byFamily[key] = append(m.byFamily[key], sub)
				continue
			}
			key := matchKey{sub.Dialect.Name(), pattern}
			m.byType[key] = append(m.byType[key], sub)
		}
	}
	return m
}

// familyOf returns how the types begin that a pattern stands for, and reports
// whether it is one that stands for a family.
func familyOf(pattern string) (string, bool) {
	if !strings.HasSuffix(pattern, family) {
		return "", false
	}
	return strings.TrimSuffix(pattern, "*"), true
}

// covered reports whether another of the patterns stands for all that this one
// does.
func covered(pattern string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(other string) bool {
		prefix, ok := familyOf(other)
		return ok && other != pattern && strings.HasPrefix(pattern, prefix)
	})
}

// matches reports whether a pattern stands for an event type.
func matches(pattern, eventType string) bool {
	if pattern == AllTypes {
		return !standard.IsOperational(eventType)
	}
	if prefix, ok := familyOf(pattern); ok {
		return strings.HasPrefix(eventType, prefix)
	}
	return pattern == eventType
}

// match returns the subscriptions, disabled ones included, that want events of
// the type, whatever their filters say; each is there once. Nobody changes what it
// returns.
func (m *matcher) match(dialect, eventType string) []*Subscription {
	found := m.byType[matchKey{dialect, eventType}]
	if !standard.IsOperational(eventType) {
		found = joined(found, m.byType[matchKey{dialect, AllTypes}])
	}
	if len(m.byFamily) == 0 {
		return found
	}
	for i := range len(eventType) {
		if eventType[i] == '.' {
			found = joined(found, m.byFamily[matchKey{dialect, eventType[:i+1]}])
		}
	}
	return found
}

// wants reports whether match would return a subscription.
func (m *matcher) wants(dialect, eventType string) bool {
	if len(m.byType[matchKey{dialect, eventType}]) > 0 {
		return true
	}
	if !standard.IsOperational(eventType) && len(m.byType[matchKey{dialect, AllTypes}]) > 0 {
		return true
	}
	if len(m.byFamily) == 0 {
		return false
	}
	for i := range len(eventType) {
		if eventType[i] == '.' && len(m.byFamily[matchKey{dialect, eventType[:i+1]}]) > 0 {
			return true
		}
	}
	return false
}

// joined returns what both lists have, and one of them where the other is empty.
func joined(a, b []*Subscription) []*Subscription {
	switch {
	case len(a) == 0:
		return b
	case len(b) == 0:
		return a
	default:
		return slices.Concat(a, b)
	}
}

// matchEffort is what the filters of all subscriptions together may cost for one
// event: less than a tenth of a second.
const matchEffort = 3_000_000

// errMatchEffort says that the filters would take longer than that.
var errMatchEffort = errors.New("webhook: the filters take too long")

// wanting returns the subscriptions that get the event, or errMatchEffort where their
// filters would take more than the event's effort.
func (m *matcher) wanting(ctx context.Context, dialect string, of *subject) ([]*Subscription, error) {
	subs := m.match(dialect, of.eventType)
	if !m.filters || !slices.ContainsFunc(subs, func(sub *Subscription) bool { return sub.Filter != nil }) {
		return subs, nil
	}
	var wanting []*Subscription
	for _, sub := range subs {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		passes := of.passes(sub.Filter)
		switch {
		case of.effort.Exhausted():
			return nil, errMatchEffort
		case passes:
			wanting = append(wanting, sub)
		}
	}
	return wanting, nil
}

// matched is to which subscriptions events go, by a matcher of a version.
type matched struct {
	version int64
	subs    [][]*Subscription // of each event
	rows    int               // deliveries in all
}

// matchEvents matches events. The error is a refusal where filters would take too
// long for one, since then nobody knows who would miss it.
func matchEvents(ctx context.Context, m *matcher, events []encoded) (matched, error) {
	found := matched{version: m.version, subs: make([][]*Subscription, len(events))}
	for i := range events {
		if m.filters {
			events[i].subject.effort = condition.NewEffort(matchEffort)
		}
		subs, err := m.wanting(ctx, events[i].event.Dialect, &events[i].subject)
		events[i].subject.decoded = nil // a batch would take a lot of memory
		if errors.Is(err, errMatchEffort) {
			return matched{}, problem.InvalidField(events[i].prefix+"data",
				"takes too long to compare with the filters of the subscriptions: shorten its lists and strings, or simplify the filters")
		}
		if err != nil {
			return matched{}, err
		}
		found.subs[i] = subs
		found.rows += len(subs)
	}
	return found, nil
}

// tooMany reports whether the deliveries are more than one transaction should
// make. Those of a single event never are.
func (f matched) tooMany() bool { return len(f.subs) > 1 && f.rows > maxDirect }

var (
	errPattern  = errors.New(`has a "*" that is neither alone, for all types, nor at the end after a full stop, as in invoice.*`)
	errNoFamily = errors.New("stands for no event type of this dialect")
)

// resolvePattern returns a pattern in its one spelling, or an error that a person
// understands.
func resolvePattern(dialect wire.Dialect, pattern string) (string, error) {
	prefix, ok := familyOf(pattern)
	if !ok || strings.Contains(prefix, "*") {
		return "", errPattern
	}
	known := func(t wire.EventType) bool { return strings.HasPrefix(t.Name, prefix) }
	if slices.ContainsFunc(dialect.Catalogue(nil), known) {
		return pattern, nil
	}
	if _, err := dialect.Resolve(prefix + "x"); err != nil {
		return "", errNoFamily
	}
	return pattern, nil
}
