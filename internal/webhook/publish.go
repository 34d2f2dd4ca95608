package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// Limits of publishing.
const (
	MaxBatch = 1000 // events in one batch

	// maxDirect is how many deliveries the transaction of a publish makes itself,
	// since nobody else can write meanwhile. More are left to a job.
	maxDirect = 10_000

	maxAhead = 24 * time.Hour // how far in the future an event's time may lie
)

// Publication is an event as its publisher gives it.
type Publication struct {
	Dialect    string // "": the default dialect
	Type       string
	Data       []byte            // a JSON object
	OccurredAt time.Time         // zero: now
	Fields     map[string]string // of the dialect's envelope, by name
	// SubjectVersion counts the changes of what the event is about, so that a
	// receiver can tell which of two events is the later; zero: it has none.
	SubjectVersion int64
}

// Publishing is a request to publish.
type Publishing struct {
	Publications   []Publication
	IdempotencyKey string // "": none
	Traceparent    string // passed on to the receivers; ignored unless well-formed
	// Batch says that the publications came as a list, so that a mistake is
	// named with its place in it.
	Batch bool
}

// Published is what became of a publication.
type Published struct {
	ID         id.ID
	Type       string
	OccurredAt time.Time
	Deliveries int // to how many subscriptions it goes
}

// encoded is a publication that was checked and encoded.
type encoded struct {
	event   Event
	dialect wire.Dialect
	subject subject // with its data, compact
	prefix  string  // of the names of its fields
}

// Publish stores events with a delivery for each matching subscription, all of
// them or none. When it returns they are on disk. It reports whether the answer
// is that of an earlier request with the same idempotency key.
func (s *Service) Publish(ctx context.Context, tenant id.ID, p Publishing) ([]Published, bool, error) {
	events, err := s.prepareEvents(ctx, tenant, p, time.Now())
	what := storing{events: events, traceparent: p.Traceparent}
	if !traceparentFormat.MatchString(what.traceparent) {
		what.traceparent = ""
	}
	if p.IdempotencyKey != "" && readable(events) {
		what.idempotencyKey, what.fingerprint = p.IdempotencyKey, fingerprint(p, events)
	}
	var answers []Published
	replayed := false
	if err == nil {
		answers, replayed, err = s.store(ctx, tenant, what)
	}
	if problem.Invalid.Has(err) {
		answers, err = s.acceptedBefore(ctx, tenant, what, err)
		replayed = true
	}
	if err != nil {
		return nil, false, err
	}
	if !replayed {
		s.metrics.accepted(answers)
	}
	return answers, replayed, nil
}

// readable reports whether it is known of all events what they mean, right or
// wrong.
func readable(events []encoded) bool {
	return len(events) > 0 && !slices.ContainsFunc(events, func(e encoded) bool { return e.subject.data == nil })
}

// acceptedBefore returns the answers that were given to the same request before, or
// the refusal that it meets now: schemas, filters and settings may have changed
// since it was accepted, and its caller may not have got the answer.
func (s *Service) acceptedBefore(ctx context.Context, tenant id.ID, what storing, refusal error) ([]Published, error) {
	if what.idempotencyKey == "" {
		return nil, refusal
	}
	var answers []Published
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		answers, err = firstAnswers(q, tenant, what.idempotencyKey, what.fingerprint)
		return err
	})
	if err == nil && answers == nil {
		return nil, refusal
	}
	return answers, err
}

// storing is what a request to publish stores.
type storing struct {
	events         []encoded
	traceparent    string
	idempotencyKey string
	fingerprint    []byte
	confirmed      bool // the transaction has found the subscriptions to be as they were matched
}

// errStale says that the subscriptions have changed since they were matched.
var errStale = errors.New("webhook: the subscriptions have changed")

// Tries of a publish whose subscriptions change meanwhile.
const (
	maxTries = 10

	// patience is how many tries match outside of the transaction in any case.
	patience = 3
)

// store matches and stores, again if the subscriptions change meanwhile. They are
// loaded and asked outside of the transaction, since nobody else writes during it.
// Only where they change all the time and none has a filter are they loaded inside:
// what filters cost is up to whoever writes them.
func (s *Service) store(ctx context.Context, tenant id.ID, what storing) ([]Published, bool, error) {
	for try := 1; try <= maxTries; try++ {
		m, err := s.matcher(ctx, tenant)
		if err != nil {
			return nil, false, err
		}
		if try == 2 { // from here on filters that have not changed are not asked again
			for i := range what.events {
				what.events[i].subject.verdicts = make(map[string]bool)
			}
		}
		found, err := matchEvents(ctx, m, what.events)
		if err != nil {
			return nil, false, err
		}
		match := func(*db.Tx) (matched, error) { return found, nil }
		if try >= patience && !m.filters {
			match = func(tx *db.Tx) (matched, error) { return s.matchInside(ctx, tx, tenant, what.events) }
		}
		answers, replayed, err := s.tryStore(ctx, tenant, what, match)
		if !errors.Is(err, errStale) {
			return answers, replayed, err
		}
		s.index.stale(tenant, m)
	}
	return nil, false, problem.Unavailable.New("the tenant's subscriptions change too often for their filters to be asked meanwhile")
}

// matchInside matches in a transaction. It returns errStale if there are filters.
func (s *Service) matchInside(ctx context.Context, tx *db.Tx, tenant id.ID, events []encoded) (matched, error) {
	current, err := s.loadMatcher(tx, tenant)
	switch {
	case err != nil:
		return matched{}, err
	case current.filters:
		return matched{}, errStale
	}
	return matchEvents(ctx, current, events)
}

func (s *Service) tryStore(ctx context.Context, tenant id.ID, what storing, match func(tx *db.Tx) (matched, error)) ([]Published, bool, error) {
	var answers []Published
	var replayed bool
	lane := s.publishes[s.published.Add(1)%uint64(len(s.publishes))]
	err := lane.Write(ctx, func(tx *db.Tx) error {
		var err error
		if what.idempotencyKey != "" {
			if err := lockIdempotencyKey(tx, tenant, what.idempotencyKey); err != nil {
				return err
			}
			answers, err = firstAnswers(tx, tenant, what.idempotencyKey, what.fingerprint)
			if replayed = answers != nil; replayed || err != nil {
				return err
			}
		}
		current, err := holdVersion(tx, tenant)
		if err != nil {
			return err
		}
		found, err := match(tx)
		if err != nil {
			return err
		}
		if tx.Shared() && found.version != current {
			return errStale
		}
		if answers, err = s.insert(tx, tenant, what, found); err != nil || what.idempotencyKey == "" {
			return err
		}
		return insertIdempotencyKey(tx, tenant, what.idempotencyKey, what.fingerprint, answers)
	})
	if err != nil {
		return nil, false, err
	}
	return answers, replayed, nil
}

// traceparentFormat is W3C Trace Context, version 00.
var traceparentFormat = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// insert stores the events with a delivery to each subscription that was found. It
// returns errStale, having stored nothing, unless those are the current ones.
func (s *Service) insert(tx *db.Tx, tenant id.ID, what storing, found matched) ([]Published, error) {
	if found.tooMany() {
		return s.insertSpooled(tx, tenant, what, found)
	}
	answers := make([]Published, len(what.events))
	if err := insertEvents(tx, tenant, what, found.version); err != nil {
		return nil, err
	}
	handing := s.handOver(tx)
	for i, e := range what.events {
		answers[i] = Published{ID: e.event.ID, Type: e.event.Type, OccurredAt: e.event.OccurredAt}
		answers[i].Deliveries = len(found.subs[i])
		for _, sub := range found.subs[i] {
			err := handing.add(Job{
				TenantID: tenant, EventID: e.event.ID, Sub: sub, Type: e.event.Type, Version: e.event.SubjectVersion,
				Traceparent: what.traceparent, Body: e.event.Body, Status: Pending, DueAt: tx.Now(),
			})
			if err != nil {
				return nil, err
			}
		}
	}
	return answers, handing.end()
}

// prepareEvents checks the publications and encodes them, with ids in their
// order. What it returns together with a refusal is not encoded.
func (s *Service) prepareEvents(ctx context.Context, tenant id.ID, p Publishing, now time.Time) ([]encoded, error) {
	var checks problem.Checks
	events := make([]encoded, len(p.Publications))
	ids := make([]id.ID, len(events))
	for i := range ids {
		ids[i] = s.ids.New(now)
	}
	checkIdempotencyKey(&checks, p.IdempotencyKey)
	if n := len(p.Publications); n < 1 || n > MaxBatch {
		return nil, problem.InvalidField("events", "must be 1 to %d events", MaxBatch)
	}
	for i, pub := range p.Publications {
		of := publishing{checks: &checks, id: ids[i], now: now}
		if p.Batch {
			of.prefix = fmt.Sprintf("events[%d].", i)
		}
		if len(pub.Data) > s.maxBytes {
			return nil, dataTooLarge(of.prefix+"data", s.maxBytes)
		}
		e, err := s.prepareEvent(ctx, tenant, pub, of)
		if err != nil {
			return nil, err
		}
		events[i] = e
	}
	return events, checks.Err()
}

func dataTooLarge(field string, most int) error {
	e := problem.TooLarge.New("%s: must have at most %d bytes", field, most)
	e.Fields = []problem.Field{{Name: field, Message: fmt.Sprintf("must have at most %d bytes", most)}}
	return e
}

// publishing is where a publication stands in its request, and what it gets.
type publishing struct {
	checks *problem.Checks
	prefix string // of the names of its fields
	id     id.ID
	now    time.Time
}

// prepareEvent checks a publication and encodes it. What is wrong with it goes to
// the checks; the error is of everything else.
func (s *Service) prepareEvent(ctx context.Context, tenant id.ID, pub Publication, of publishing) (encoded, error) {
	dialect, known := dialects.All[0], true
	if pub.Dialect != "" {
		dialect, known = dialects.Get(pub.Dialect)
	}
	if !known {
		of.checks.Add(of.prefix+"dialect", "must be one of %s", dialects.Names())
		return encoded{}, nil
	}
	as, err := s.identify(ctx, tenant, dialect.Name())
	if refusal, ok := errors.AsType[*problem.Error](err); ok && refusal.Code == problem.Invalid {
		of.checks.Add(of.prefix+"dialect", "is not a dialect that the tenant speaks")
		return encoded{}, nil
	}
	if err != nil {
		return encoded{}, err
	}
	eventType, err := dialect.Resolve(pub.Type)
	of.checks.AddError(of.prefix+"type", err)
	if pub.OccurredAt.IsZero() {
		pub.OccurredAt = of.now.Truncate(time.Millisecond) // as exact as the id
	}
	pub.OccurredAt = pub.OccurredAt.UTC().Truncate(time.Microsecond)
	if pub.OccurredAt.After(of.now.Add(maxAhead)) || pub.OccurredAt.Year() < 1970 {
		of.checks.Add(of.prefix+"timestamp", "must not be before 1970 or more than a day in the future; check the clock")
	}
	if pub.SubjectVersion < 0 {
		of.checks.Add(of.prefix+"subject_version", "must not be negative")
	}
	checkFields(of, dialect, pub.Fields)
	data, fits, err := s.checkData(ctx, of, dialect, wire.Event{Type: eventType, Data: pub.Data, Tenant: as.Tenant})
	if data == nil || err != nil {
		return encoded{}, err
	}
	about := subject{eventType: eventType, fields: pub.Fields, data: data}
	if !fits {
		return encoded{dialect: dialect, subject: about}, nil
	}
	e := wire.Event{ID: of.id, Type: eventType, OccurredAt: pub.OccurredAt, Data: data, Fields: pub.Fields, Tenant: as.Tenant}
	if dialect == dialects.All[0] {
		if err := s.checkRegistered(ctx, tenant, e, of); err != nil {
			return encoded{}, err
		}
	}
	return encoded{dialect: dialect, subject: about, prefix: of.prefix, event: Event{
		ID: e.ID, Dialect: dialect.Name(), Type: e.Type, OccurredAt: e.OccurredAt, SubjectVersion: pub.SubjectVersion,
		Body: dialect.Encode(e),
	}}, nil
}

// checkFields checks what belongs to the envelope.
func checkFields(of publishing, dialect wire.Dialect, given map[string]string) {
	known := dialect.Fields()
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.ContainsFunc(known, func(f wire.Field) bool { return f.Name == name }) {
			of.checks.Add(of.prefix+name, "does not belong to events of this dialect")
		}
	}
	for _, field := range known {
		value, ok := given[field.Name]
		switch {
		case ok:
			of.checks.AddError(of.prefix+field.Name, field.Check(value))
		case field.Required:
			of.checks.Add(of.prefix+field.Name, "is required")
		}
	}
}

// checkData returns an event's data as bodies have it, or nil if it can't be read,
// and reports whether it fits the catalogue.
func (s *Service) checkData(ctx context.Context, of publishing, dialect wire.Dialect, e wire.Event) ([]byte, bool, error) {
	if len(e.Data) == 0 {
		of.checks.Add(of.prefix+"data", "is required")
		return nil, false, nil
	}
	data, err := dialect.Compact(e.Data)
	if err != nil {
		of.checks.AddError(of.prefix+"data", err)
		return nil, false, nil
	}
	if data[0] != '{' {
		of.checks.Add(of.prefix+"data", "must be a JSON object")
		return nil, false, nil
	}
	e.Data = data
	mistakes, err := s.schemas.check(ctx, dialect, e)
	for _, m := range mistakes {
		of.checks.Add(of.prefix+"data"+m.path, "%s", m.message)
	}
	return data, len(mistakes) == 0, err
}

func checkIdempotencyKey(checks *problem.Checks, key string) {
	if len(key) > 255 || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		checks.Add("Idempotency-Key", "must be at most 255 printable ASCII characters without spaces")
	}
}

// firstAnswers returns the answers that were given to the key before, or nil if
// it is new.
func firstAnswers(q db.Queryer, tenant id.ID, key string, print []byte) ([]Published, error) {
	stored, answers, err := selectIdempotencyKey(q, tenant, key)
	if err != nil || stored == nil {
		return nil, err
	}
	if !bytes.Equal(stored, print) {
		return nil, problem.IdempotencyConflict.New("the idempotency key was used for a request with another body")
	}
	return answers, nil
}

// fingerprint tells requests apart by what they mean, not by white space.
func fingerprint(p Publishing, events []encoded) []byte {
	h := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	if p.Batch {
		part([]byte("batch"))
	}
	for i, pub := range p.Publications {
		part([]byte(events[i].dialect.Name()))
		part([]byte(pub.Type))
		part(events[i].subject.data)
		for _, name := range slices.Sorted(maps.Keys(pub.Fields)) {
			part([]byte(name))
			part([]byte(pub.Fields[name]))
		}
		if pub.SubjectVersion != 0 {
			part(strconv.AppendInt([]byte("subject_version "), pub.SubjectVersion, 10))
		}
		part([]byte(pub.OccurredAt.UTC().Format(time.RFC3339Nano)))
	}
	return h.Sum(nil)
}
