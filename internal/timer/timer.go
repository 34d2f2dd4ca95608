// Package timer does things later: an expiry, the end of a hold, the close of a
// period. Whoever wants something to happen sets a timer, in the transaction that
// calls for it; from the commit on it is as certain as what it was stored with.
//
// A timer is a row. The transaction that does what it is for begins by taking the
// row ([Take], [Each]), so a timer is done exactly once, by however many processes of
// a database, and whatever is killed in between: where there is no row, somebody else
// did it, or it was cancelled.
//
// What a timer does takes effect at the time that it was due, not at the time at
// which a server comes to do it. So the [Runner] takes the time as an argument
// ([Runner.RunDue]), and a year can be run in a test; from Start to Stop it takes
// that of the clock. Nothing polls: it sleeps until the next timer is due.
//
// A tenant's timers are done in the order of the times at which they are due, those
// due at one time in the order in which they were set. What is set for a time that
// others have passed already is done next. Tenants do not wait for each other.
//
// A timer that fails is tried again, after one second, two, four, up to an hour; the
// others pass it meanwhile. After twenty failures in a row it is parked, and waits
// until it is resumed ([Resume]).
//
// Where processes share a database one of them at a time does a tenant's timers, so
// their order holds there too. Each goes by its own clock: a timer is early by as
// much as the fastest clock is. The process that sets one is on time; should it end
// before, another comes to it within a minute.
package timer

import (
	"bytes"
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Timer is something that happens later.
type Timer struct {
	ID       id.ID
	TenantID id.ID
	DueAt    time.Time // to the microsecond
	Kind     string    // what happens then, such as "reward.expire"
	Ref      id.ID     // to what; with the kind it is what Cancel goes by
	Data     []byte    // what its handler has to know besides; may be nil

	// What came of trying.
	TryAt    time.Time // DueAt, or later after a failure
	Failures int       // in a row
	Error    string    // the last of them
	ParkedAt time.Time // zero: it waits

	outcome *outcome // of the batch that it was read for; nil: nobody asks
}

// position is where a timer stands among its tenant's.
type position struct {
	tryAt time.Time
	id    id.ID
}

func (t *Timer) position() position { return position{t.TryAt, t.ID} }

func (p position) compare(other position) int {
	if c := p.tryAt.Compare(other.tryAt); c != 0 {
		return c
	}
	return bytes.Compare(p.id[:], other.id[:])
}

// set is the topic on which it is told that a timer was set, or may be tried again.
type set struct{}

// expected says that a timer of the tenant may be tried at a time.
type expected struct {
	tenant id.ID
	tryAt  time.Time
}

// Set has something happen at the time given, or at once if that has passed. ID, and
// what comes of trying, are not the caller's to give. There may be several timers of
// one kind for one ref.
func Set(tx *db.Tx, t Timer) (id.ID, error) {
	if t.TenantID.IsZero() || t.Kind == "" || t.DueAt.IsZero() {
		return id.ID{}, errors.New("timer: one that is set needs a tenant, a kind and the time at which it is due")
	}
	due := db.FromMicro(db.Micro(t.DueAt))
	fresh := Timer{ID: id.New(tx.Now()), TenantID: t.TenantID, DueAt: due, Kind: t.Kind, Ref: t.Ref, Data: t.Data, TryAt: due}
	if b, ok := tx.Kept(underWay{}).(*batch); ok {
		b.set(&fresh)
	}
	tx.Tell(set{}, expected{fresh.TenantID, due})
	return fresh.ID, insert(tx, &fresh)
}

// Cancel deletes the tenant's timers of a kind for a ref, parked ones too. It reports
// whether there was one that had not been done.
func Cancel(tx *db.Tx, tenant id.ID, kind string, ref id.ID) (bool, error) {
	ahead := false
	if b, ok := tx.Kept(underWay{}).(*batch); ok {
		ahead = b.cancel(tenant, kind, ref)
	}
	n, err := deleteOf(tx, tenant, kind, ref)
	return ahead || n > 0, err
}

// Take deletes one timer and reports whether it was there: whoever is told so does
// what it is for, in the same transaction. Several are taken with Each.
func Take(tx *db.Tx, t Timer) (bool, error) {
	n, err := deleteOne(tx, &t)
	if err != nil {
		return false, err
	}
	if t.outcome != nil {
		var ran []string
		if n > 0 {
			ran = append(ran, t.Kind)
		}
		tx.After(func() { t.outcome.settle(1, ran) })
	}
	return n > 0, nil
}

// Resume has a parked timer done after all, at once, as if it had not failed. It is
// problem.NotFound where the tenant has no such timer that is parked.
func Resume(tx *db.Tx, tenant, of id.ID) error {
	t, err := oneParked(tx, tenant, of)
	if errors.Is(err, db.ErrNoRows) {
		return problem.NotFound.New("there is no such timer that is parked")
	}
	if err != nil {
		return err
	}
	tx.Tell(set{}, expected{tenant, t.DueAt})
	return unpark(tx, &t)
}
