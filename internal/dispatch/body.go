package dispatch

import (
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// bookedBytes is what a booked job is counted for besides its body: 144 bytes
// itself, the places that its lane has to spare, and its entry in the books.
// Measured for lanes of 8 to 1,000 jobs it is 180 to 320 bytes.
const bookedBytes = 256

// body is what the deliveries of one event send, held once for all of them.
type body struct {
	bytes   []byte
	holders int // jobs that wait or are under way
}

// eventKey names an event: ids are unique within a tenant.
type eventKey struct{ tenant, event id.ID }

// hold has a job share the body of its event with the other jobs that hold it.
// Where nobody does and memory is short, the job goes without: its body is read
// again just before the attempt.
func (d *Dispatcher) hold(job *webhook.Job) {
	if job.Body == nil {
		return
	}
	key := eventKey{job.TenantID, job.EventID}
	b, held := d.bodies[key]
	switch {
	case !held && d.bytes >= d.mostBytes:
		job.Body = nil
		return
	case !held:
		b = &body{bytes: job.Body}
		d.bodies[key] = b
		d.bytes += len(b.bytes)
	}
	b.holders++
	job.Body = b.bytes // one that was read from the table is a copy
}

// letGo takes its body from a job that waits no more, or whose attempt has ended.
// A job without one holds none.
func (d *Dispatcher) letGo(job *webhook.Job) {
	if job.Body == nil {
		return
	}
	key := eventKey{job.TenantID, job.EventID}
	b := d.bodies[key]
	if b.holders--; b.holders == 0 {
		delete(d.bodies, key)
		d.bytes -= len(b.bytes)
	}
	job.Body = nil
}
