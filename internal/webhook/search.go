package webhook

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// DataFilter chooses events in whose data a value stands at a path.
type DataFilter struct {
	path  condition.Path
	value string
}

// ReadDataFilter reads a path, a colon and a value: order.id:42. The path is as in
// package condition, so that a backslash before a colon makes it part of the path.
// The value is compared with a string's text, or with a number, true, false or null
// as the body has it. The error does not repeat what was given.
func ReadDataFilter(text string) (*DataFilter, error) {
	colon := -1
	for i := 0; i < len(text) && colon < 0; i++ {
		switch text[i] {
		case '\\':
			i++
		case ':':
			colon = i
		}
	}
	if colon < 0 {
		return nil, errors.New("must be a path in the data, a colon and a value, such as order.id:42")
	}
	path, err := condition.ReadPath(text[:colon])
	if err != nil {
		return nil, err
	}
	return &DataFilter{path, text[colon+1:]}, nil
}

// chooses reports whether a body of the dialect has the value.
func (f *DataFilter) chooses(dialect string, body []byte) bool {
	d, known := dialects.Get(dialect)
	if !known || isPlainASCII(f.value) && !bytes.Contains(body, []byte(f.value)) {
		return false // what needs no escape stands in the body as it is
	}
	data, _, err := d.Decode(body)
	if err != nil {
		return false
	}
	text, ok := condition.TextOf(f.path.In(decodeJSON(data)))
	return ok && text == f.value
}

// isPlainASCII reports whether JSON writes a text as it is.
func isPlainASCII(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' })
}

const (
	// searchStep is how many deliveries are looked at in one snapshot at most.
	searchStep = 500
	// maxSnapshot bounds how long one is kept.
	maxSnapshot = 500 * time.Millisecond
)

// dataSearch goes through deliveries and looks into the bodies of their events.
type dataSearch struct {
	tenant id.ID
	filter DeliveryFilter
	page   Page
	after  []id.ID // of the delivery that was looked at last
	found  []Delivery
	ended  bool // there is nothing more to look at
}

// deliveriesByData lists deliveries by what their events' data has. Where it runs
// out of time it returns what it has found, which may be nothing, with a cursor
// that goes on from there.
func (s *Service) deliveriesByData(ctx context.Context, tenant id.ID, filter DeliveryFilter, page Page) ([]Delivery, string, error) {
	after, err := page.after(2)
	if err != nil {
		return nil, "", err
	}
	began := time.Now()
	search := dataSearch{tenant: tenant, filter: filter, page: page, after: after}
	for !search.ended && len(search.found) < page.Limit {
		if err := s.search(ctx, search.step); err != nil {
			if problem.QueryTooSlow.Has(err) && !slices.Equal(search.after, after) {
				break
			}
			return nil, "", err
		}
		if time.Since(began) > maxSearchTime/2 {
			break
		}
	}
	if search.ended {
		return search.found, "", nil
	}
	return search.found, cursorTo(search.after), nil
}

// step looks at the deliveries that come next.
func (x *dataSearch) step(q db.Queryer) error {
	if own, err := ownsSubscription(q, x.tenant, x.filter.SubscriptionID); err != nil || !own {
		x.ended = !own
		return err
	}
	began := time.Now()
	deliveries, err := listDeliveries(q, x.tenant, x.filter, x.after[0], x.after[1], searchStep)
	if err != nil {
		return err
	}
	var event id.ID // the one that chosen is about
	chosen := false
	for _, d := range deliveries {
		if d.EventID != event {
			e, err := selectEvent(q, x.tenant, d.EventID)
			if err != nil {
				return err
			}
			event, chosen = d.EventID, e.Body != nil && x.filter.Data.chooses(e.Dialect, e.Body)
		}
		if chosen {
			x.found = append(x.found, d)
		}
		x.after = []id.ID{d.EventID, d.SubscriptionID}
		if len(x.found) == x.page.Limit || time.Since(began) > maxSnapshot {
			return nil
		}
	}
	x.ended = len(deliveries) < searchStep
	return nil
}
