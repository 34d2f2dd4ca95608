package partnerstack

import (
	"bytes"
	"net/url"
	"slices"
	"strconv"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// The limits of a page.
const (
	defaultLimit = 10
	maxLimit     = 250
)

// listing is which part of the list is asked for. A cursor is a place in the
// order and need not be there any more: who archives what a page shows can go on
// with its last key.
type listing struct {
	limit       int
	oldestFirst bool
	after       *id.ID // only what follows it; nil: no bound
	before      *id.ID // only what precedes it; nil: no bound
	created     span
	updated     span
}

// span is a time from and to, both included, in milliseconds; nil: no bound.
type span struct{ from, to *int64 }

func (s span) has(ms int64) bool {
	return (s.from == nil || *s.from <= ms) && (s.to == nil || ms <= *s.to)
}

// The orders of the list.
const (
	newestFirst = "-created_at"
	oldestFirst = "created_at"
)

// readListing reads the parameters of a list. One that is empty counts as absent,
// and one that is not known is ignored, include_archived among them: an archived
// webhook is gone.
func readListing(raw string) (listing, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return listing{}, problem.Malformed.New("the query is not well-formed")
	}
	var checks problem.Checks
	l := listing{limit: defaultLimit}
	if text := query.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxLimit {
			checks.Add("limit", "must be a whole number from 1 to %d", maxLimit)
		}
		l.limit = n
	}
	switch query.Get("order_by") {
	case "", newestFirst:
	case oldestFirst:
		l.oldestFirst = true
	default:
		checks.Add("order_by", "must be %s or %s", newestFirst, oldestFirst)
	}
	l.after = readCursor(&checks, query, "starting_after")
	l.before = readCursor(&checks, query, "ending_before")
	if l.after != nil && l.before != nil {
		checks.Add("ending_before", "can't be given together with starting_after")
	}
	l.created = span{readTime(&checks, query, "min_created"), readTime(&checks, query, "max_created")}
	l.updated = span{readTime(&checks, query, "min_updated"), readTime(&checks, query, "max_updated")}
	return l, checks.Err()
}

// readCursor returns the place that a parameter names.
func readCursor(checks *problem.Checks, query url.Values, name string) *id.ID {
	if query.Get(name) == "" {
		return nil
	}
	place, err := hook.Parse(query.Get(name))
	if err != nil {
		checks.Add(name, "must be the key of a webhook")
	}
	return &place
}

func readTime(checks *problem.Checks, query url.Values, name string) *int64 {
	if query.Get(name) == "" {
		return nil
	}
	ms, err := strconv.ParseInt(query.Get(name), 10, 64)
	if err != nil {
		checks.Add(name, "must be a time in milliseconds since 1970")
	}
	return &ms
}

// page returns the part that is asked for, in order, and whether more follow in
// the direction of reading. It changes the order of subs.
func (l listing) page(subs []*webhook.Subscription) ([]*webhook.Subscription, bool) {
	subs = slices.DeleteFunc(subs, func(sub *webhook.Subscription) bool { return !l.has(sub) })
	slices.SortFunc(subs, func(a, b *webhook.Subscription) int { return l.compare(a.ID, b.ID) })
	switch {
	case len(subs) <= l.limit:
		return subs, false
	case l.before == nil:
		return subs[:l.limit], true
	default: // backwards: what is nearest to the cursor
		return subs[len(subs)-l.limit:], true
	}
}

func (l listing) has(sub *webhook.Subscription) bool {
	return (l.after == nil || l.compare(sub.ID, *l.after) > 0) &&
		(l.before == nil || l.compare(sub.ID, *l.before) < 0) &&
		l.created.has(sub.CreatedAt.UnixMilli()) && l.updated.has(sub.UpdatedAt.UnixMilli())
}

// compare orders ids, which are in the order in which they were made.
func (l listing) compare(a, b id.ID) int {
	if l.oldestFirst {
		return bytes.Compare(a[:], b[:])
	}
	return bytes.Compare(b[:], a[:])
}
