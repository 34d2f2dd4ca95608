package timer

import (
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// mostTime is how long a transaction goes on to take timers: on SQLite everybody
// else who writes waits for it. On a server nobody does, and each transaction costs as
// much as several timers; but the longer it is, the more it has to do again if it
// meets another one.
const (
	mostTime       = 20 * time.Millisecond
	mostTimeShared = 200 * time.Millisecond
)

// underWay is the key under which a transaction keeps the batch that it does.
type underWay struct{}

// batch is what is left of the timers that a transaction has taken.
type batch struct {
	tenant id.ID
	rest   []Timer
	first  *position // of the timers that were set meanwhile; nil: none was
}

// set notes that a timer was set while the batch is under way.
func (b *batch) set(t *Timer) {
	at := t.position()
	if t.TenantID == b.tenant && (b.first == nil || at.compare(*b.first) < 0) {
		b.first = &at
	}
}

// overtaken reports whether a timer was set that comes before the next one.
func (b *batch) overtaken() bool {
	return b.first != nil && len(b.rest) > 0 && b.first.compare(b.rest[0].position()) < 0
}

// cancel takes out what is not to be done any more, and reports whether there was
// any.
func (b *batch) cancel(tenant id.ID, kind string, ref id.ID) bool {
	if tenant != b.tenant {
		return false
	}
	before := len(b.rest)
	b.rest = slices.DeleteFunc(b.rest, func(t Timer) bool { return t.Kind == kind && t.Ref == ref })
	return len(b.rest) < before
}

// outcome is what the runner hears of a batch whose transaction is committed.
type outcome struct {
	settled   int      // timers from the front of the batch that are done or gone
	ran       []string // the kinds of those that were done
	elsewhere bool     // another process does the tenant's timers now
}

func (o *outcome) settle(settled int, ran []string) {
	o.settled += settled
	o.ran = append(o.ran, ran...)
}

// Each takes timers and hands each to handle, in order. due is what a [Runner] gave,
// all of one tenant. Those that are gone are left out, be it that what handle did for
// an earlier one has cancelled them. It ends early, with the rest as if it had not
// been taken, where handle has set a timer that comes before the next one; where
// somebody else has; after a moment, so that others can write; and at once, if
// another process does the tenant's timers. The runner then comes again.
func Each(tx *db.Tx, due []Timer, handle func(t Timer) error) error {
	if len(due) == 0 {
		return nil
	}
	tell := due[0].outcome
	if tell == nil {
		tell = new(outcome)
	}
	mine, err := tx.TryLock("timer " + due[0].TenantID.String())
	if err != nil {
		return err
	}
	if !mine {
		tx.After(func() { tell.elsewhere = true })
		return nil
	}
	taken, examined, err := takeAll(tx, due)
	if err != nil {
		return err
	}
	b := &batch{tenant: due[0].TenantID, rest: taken}
	tx.Keep(underWay{}, b)
	defer tx.Keep(underWay{}, nil)
	most := mostTime
	if tx.Shared() {
		most = mostTimeShared
	}
	var ran []string
	for began := time.Now(); len(b.rest) > 0 && !b.overtaken() && (len(ran) == 0 || time.Since(began) < most); {
		next := b.rest[0]
		b.rest = b.rest[1:]
		if err := handle(next); err != nil {
			return err
		}
		ran = append(ran, next.Kind)
	}
	for i := range b.rest {
		if err := insert(tx, &b.rest[i]); err != nil {
			return err
		}
	}
	settled := examined - len(b.rest)
	tx.After(func() { tell.settle(settled, ran) })
	return nil
}

// takeAll deletes the timers that are there and returns them, and how many from the
// front of due it has looked at. It ends before one that others come before by now.
func takeAll(tx *db.Tx, due []Timer) ([]Timer, int, error) {
	there, err := selectBetween(tx, due[0].TenantID, due[0].position(), due[len(due)-1].position())
	if err != nil {
		return nil, 0, err
	}
	taken := make([]Timer, 0, len(there))
	examined := 0
	for i := range due {
		order := 1
		if len(there) > 0 {
			order = there[0].compare(due[i].position())
		}
		if order < 0 {
			break
		}
		if order == 0 {
			taken, there = append(taken, due[i]), there[1:]
		}
		examined++
	}
	if len(taken) == 0 {
		return nil, examined, nil
	}
	return taken, examined, deleteBetween(tx, due[0].TenantID, taken[0].position(), taken[len(taken)-1].position())
}
