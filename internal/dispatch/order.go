package dispatch

import (
	"bytes"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// An ordered queue has one lane, which is the beginning of what the table has
// pending for the subscription, in the order of the events, whether it is due or
// not: the first one holds up the others. What is before unread.from is in memory
// or has ended, so that nothing is sent while something before it is not read.

// unread is where what is not in memory begins. It says something only while
// the queue has more in the table.
type unread struct {
	from id.ID // the first event that may not be read
	late id.ID // of those that came to be so since the reading under way began
}

func before(a, b id.ID) bool { return bytes.Compare(a[:], b[:]) < 0 }

// following is the smallest id after another.
func following(event id.ID) id.ID {
	for i := len(event) - 1; i >= 0; i-- {
		if event[i]++; event[i] != 0 {
			break
		}
	}
	return event
}

// missing notes that an event's delivery may be in the table and is not in
// memory; the zero id stands for all.
func (q *queue) missing(event id.ID) {
	if !q.more[webhook.Pending] || before(event, q.unread.from) {
		q.unread.from = event
	}
	if !q.missed[webhook.Pending] || before(event, q.unread.late) {
		q.unread.late = event
	}
	q.more[webhook.Pending], q.missed[webhook.Pending] = true, true
}

// isNext reports whether a job that waits first in its lane is the next one in
// order: nothing before it is unread, under way, or without its outcome on disk.
func (q *queue) isNext(front *webhook.Job) bool {
	return len(q.booked) == q.lanes[webhook.Pending].len() && !q.mayPrecede(front.EventID)
}

// mayPrecede reports whether the table may have something before an event.
func (q *queue) mayPrecede(event id.ID) bool {
	return q.more[webhook.Pending] && !before(event, q.unread.from)
}

// uncertain reports whether it has to be read what comes first.
func (q *queue) uncertain() bool {
	lane := &q.lanes[webhook.Pending]
	return q.sub.Policy.Ordered && lane.len() > 0 && q.mayPrecede(lane.front().EventID)
}

// acceptInOrder takes a new job unless it belongs to what is not read.
func (d *Dispatcher) acceptInOrder(q *queue, job webhook.Job) {
	if q.mayPrecede(job.EventID) {
		q.missing(job.EventID)
		d.giveBack(job)
		return
	}
	d.pushInOrder(q, job)
}

// pushInOrder books a job and puts it into its place, unless it is booked already.
// Where there is no room, what comes last has to be read again.
func (d *Dispatcher) pushInOrder(q *queue, job webhook.Job) {
	if _, booked := q.booked[job.EventID]; booked {
		return
	}
	lane := &q.lanes[webhook.Pending]
	room := d.room(q, webhook.Pending)
	if last := lane.last(); room == 0 && last != nil && before(last.EventID, job.EventID) {
		q.missing(job.EventID)
		d.giveBack(job)
		return
	}
	d.book(q, &job)
	lane.insert(job)
	if room == 0 {
		tail := lane.takeLast()
		d.forget(q, tail)
		d.giveBack(tail)
		q.missing(tail.EventID)
	}
}

// tookInOrder books what was read, and notes how far.
func (d *Dispatcher) tookInOrder(q *queue, due webhook.Due) {
	q.more[webhook.Pending], q.unread.from = q.missed[webhook.Pending], q.unread.late
	if due.More {
		if from := following(due.Last); !q.more[webhook.Pending] || before(from, q.unread.from) {
			q.unread.from = from
		}
		q.more[webhook.Pending] = true
	}
	for _, job := range due.Jobs {
		if _, passed := q.unbooked[job.EventID]; passed {
			d.giveBack(job)
			continue
		}
		d.pushInOrder(q, job)
	}
	// What was let go of during the reading may be what ended it, and nobody tells of
	// that again.
	if q.blocked = due.Held && !q.missed[webhook.Pending]; q.blocked {
		d.readLater(q)
	}
}

// last returns the job that waits last, or nil.
func (l *lane) last() *webhook.Job {
	if l.len() == 0 {
		return nil
	}
	return &l.items[len(l.items)-1]
}

// insert puts a job into its place in the order of the events.
func (l *lane) insert(job webhook.Job) {
	at, _ := slices.BinarySearchFunc(l.items[l.head:], job.EventID, func(j webhook.Job, event id.ID) int {
		return bytes.Compare(j.EventID[:], event[:])
	})
	l.items = slices.Insert(l.items, l.head+at, job)
}

func (l *lane) takeLast() webhook.Job {
	job := *l.last()
	l.items = slices.Delete(l.items, len(l.items)-1, len(l.items))
	return job
}
