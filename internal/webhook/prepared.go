package webhook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// What the program itself has to tell it publishes in the transaction of what
// happened: neither commits without the other. What that takes of a tenant is
// looked up before, since nobody else writes meanwhile, and in the transaction it
// is found to be still so, or the transaction fails.

// Prepared is what it takes to publish in a transaction: a tenant's subscriptions,
// and how it speaks their dialects, as both were found before. It does not change:
// transactions that run again, or at the same time, may use the same one.
type Prepared struct {
	s       *Service
	tenant  id.ID
	matcher *matcher
	as      map[string]*wire.Identity // by dialect: those of its subscriptions that the tenant speaks
}

// Prepare looks up what publishing in a transaction takes. It is called before the
// transaction, never in it, and mostly reads nothing.
func (s *Service) Prepare(ctx context.Context, tenant id.ID) (*Prepared, error) {
	m, err := s.matcher(ctx, tenant)
	if err != nil {
		return nil, err
	}
	p := &Prepared{s: s, tenant: tenant, matcher: m, as: make(map[string]*wire.Identity, len(m.dialects))}
	for _, dialect := range m.dialects {
		as, err := s.identify(ctx, tenant, dialect)
		if problem.Invalid.Has(err) { // it speaks the dialect no longer
			continue
		}
		if err != nil {
			return nil, err
		}
		p.as[dialect] = as
	}
	return p, nil
}

// Identity returns how the tenant speaks a dialect, or nil where nothing that is
// published in the dialect would be stored.
func (p *Prepared) Identity(dialect string) *wire.Identity { return p.as[dialect] }

// Wants reports whether a subscription, disabled ones included, takes events of a
// type, which is named as in the dialect's catalogue. What filters say of an event
// shows when it is published.
func (p *Prepared) Wants(dialect, eventType string) bool {
	return p.as[dialect] != nil && p.matcher.wants(dialect, eventType)
}

// commandEffort is what the filters of all subscriptions together may cost in one
// transaction, where everybody else waits for them: a few milliseconds.
const commandEffort = 300_000

// Publish stores, in a transaction of [db.DB.Write], events with a delivery for each
// subscription that takes them; one that nobody takes is not stored. They are sent
// once tx is committed. What is wrong with an event is a mistake of whoever made it.
// Its data is not held against the catalogue's schema, which the tests of the
// dialects do.
//
// Where the tenant's subscriptions are not those that were prepared, the transaction
// fails with an error that [Stale] recognises: this call does, or on a database that
// others share the end of the transaction. That there is nobody who wants to hear of
// something may be out of date as well, and is found so by publishing nothing.
//
// Where the filters of the subscriptions take too long nobody knows who would miss
// the event, and the error is a problem.Conflict.
func (p *Prepared) Publish(tx *db.Tx, pubs []Publication) error {
	events, subs, matching := p.match(tx, pubs)
	if err := p.confirm(tx, len(events)); err != nil {
		return err
	}
	if errors.Is(matching, errMatchEffort) {
		if err := tx.Flush(); err != nil { // those filters may be gone
			return err
		}
		return problem.Conflict.New("the filters of the tenant's subscriptions take too long for what has happened: simplify them, or shorten what they search")
	}
	if matching != nil {
		return matching
	}
	for first := 0; first < len(events); first += MaxBatch { // which is as many as a fan-out can have
		end := min(first+MaxBatch, len(events))
		if err := p.store(tx, events[first:end], subs[first:end]); err != nil {
			return err
		}
	}
	return nil
}

// match returns the events that subscriptions take, and which ones each.
func (p *Prepared) match(tx *db.Tx, pubs []Publication) ([]encoded, [][]*Subscription, error) {
	var events []encoded
	var subs [][]*Subscription
	effort := condition.NewEffort(commandEffort)
	for _, pub := range pubs {
		pub.Dialect = cmp.Or(pub.Dialect, dialects.All[0].Name())
		if !p.Wants(pub.Dialect, pub.Type) {
			continue
		}
		e, err := p.encode(tx, pub)
		if err != nil {
			return nil, nil, fmt.Errorf("webhook: publish %s of %s: %w", pub.Type, pub.Dialect, err)
		}
		e.subject.effort = effort // which is why nobody needs to break it off
		wanting, err := p.matcher.wanting(context.Background(), pub.Dialect, &e.subject)
		if err != nil {
			return nil, nil, err
		}
		if len(wanting) > 0 {
			e.subject.decoded = nil
			events, subs = append(events, e), append(subs, wanting)
		}
	}
	return events, subs, nil
}

// store stores events for the subscriptions that take them.
func (p *Prepared) store(tx *db.Tx, events []encoded, subs [][]*Subscription) error {
	found := matched{version: p.matcher.version, subs: subs}
	for _, of := range subs {
		found.rows += len(of)
	}
	answers, err := p.s.insert(tx, p.tenant, storing{events: events, confirmed: true}, found)
	if err != nil {
		return err
	}
	tx.After(func() { p.s.metrics.accepted(answers) })
	return nil
}

// confirm has the transaction, which stores so many events, fail unless the
// subscriptions are still those that were prepared. Those it then has loaded anew:
// this node need not have heard of the change.
func (p *Prepared) confirm(tx *db.Tx, events int) error {
	check := func(rows int64) error {
		if err := notStale(rows); err != nil {
			p.s.index.stale(p.tenant, p.matcher)
			return err
		}
		return nil
	}
	if events == 0 {
		return confirmVersion(tx, p.tenant, p.matcher.version, check)
	}
	return keepVersion(tx, p.tenant, p.matcher.version, check)
}

// encode checks a publication of a dialect that the tenant speaks, and encodes it.
func (p *Prepared) encode(tx *db.Tx, pub Publication) (encoded, error) {
	dialect, _ := dialects.Get(pub.Dialect)
	eventType, err := dialect.Resolve(pub.Type)
	if err != nil {
		return encoded{}, fmt.Errorf("the type %w", err)
	}
	var checks problem.Checks
	checkFields(publishing{checks: &checks}, dialect, pub.Fields)
	if err := checks.Err(); err != nil {
		return encoded{}, errors.New(err.Error()) // no problem: whoever gave the command is not to blame
	}
	data, err := dialect.Compact(pub.Data)
	if err != nil {
		return encoded{}, fmt.Errorf("the data %w", err)
	}
	if data[0] != '{' {
		return encoded{}, errors.New("the data must be a JSON object")
	}
	if pub.OccurredAt.IsZero() {
		pub.OccurredAt = tx.Now()
	}
	e := wire.Event{
		ID: p.s.ids.New(tx.Now()), Type: eventType, OccurredAt: pub.OccurredAt.UTC().Truncate(time.Microsecond),
		Data: data, Fields: pub.Fields, Tenant: p.as[pub.Dialect].Tenant,
	}
	return encoded{dialect: dialect, subject: subject{eventType: eventType, fields: pub.Fields, data: data}, event: Event{
		ID: e.ID, Dialect: pub.Dialect, Type: e.Type, OccurredAt: e.OccurredAt, SubjectVersion: pub.SubjectVersion, Body: dialect.Encode(e),
	}}, nil
}

// Stale reports whether a transaction failed since the subscriptions have changed
// since they were prepared. Nothing of it is stored; prepared anew it can be run
// again.
func Stale(err error) bool { return errors.Is(err, errStale) }
