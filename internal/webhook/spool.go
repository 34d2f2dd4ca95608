package webhook

import (
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
)

// A publish of which very many deliveries are made stores its events, and for
// each matching subscription a spool row that says which of them it gets. A job
// makes the deliveries of it, a part in each step. What matched is decided when
// the events are published, not later.

const (
	fanOutJob = "fanout"

	// How much one step makes: so many deliveries, or those to so many
	// subscriptions, whichever is less.
	fanOutStep          = 1000
	fanOutSubscriptions = 100
)

// fanOutSpec is a fan-out as its job holds it.
type fanOutSpec struct {
	Events []byte `json:"events"` // the ids, in the order of the bits in the spool rows
}

// fanOutKind is how fan-outs are done.
func (s *Service) fanOutKind() job.Kind {
	return job.Kind{Name: fanOutJob, Step: s.expand, NeverParked: true} // its events were accepted
}

// bits is a set of small numbers.
type bits []byte

func (b bits) has(i int) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b bits) add(i int)      { b[i/8] |= 1 << (i % 8) }

// insertSpooled stores the events and leaves their deliveries, to the subscriptions
// that were found, to a job. It returns errStale, having stored nothing, unless
// those are the current ones. The answers count the deliveries to come.
func (s *Service) insertSpooled(tx *db.Tx, tenant id.ID, what storing, found matched) ([]Published, error) {
	answers := make([]Published, len(what.events))
	spool := make(map[id.ID]bits)
	var spec fanOutSpec
	if err := insertEvents(tx, tenant, what, found.version); err != nil {
		return nil, err
	}
	for i, e := range what.events {
		answers[i] = Published{ID: e.event.ID, Type: e.event.Type, OccurredAt: e.event.OccurredAt}
		spec.Events = append(spec.Events, e.event.ID[:]...)
		answers[i].Deliveries = len(found.subs[i])
		for _, sub := range found.subs[i] {
			if spool[sub.ID] == nil {
				spool[sub.ID] = make(bits, (len(what.events)+7)/8)
			}
			spool[sub.ID].add(i)
		}
	}
	added, err := s.jobs.Add(tx, job.New{TenantID: tenant, Kind: fanOutJob, Spec: spec, Total: int64(found.rows)})
	if err != nil {
		return nil, err
	}
	for _, sub := range slices.SortedFunc(maps.Keys(spool), compareIDs) {
		if err := insertSpool(tx, tenant, added.ID, spooled{sub, spool[sub]}); err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// mayBeSent reports whether a new delivery may be handed over once it is stored.
// One to a subscription in order has to wait for those of fan-outs before it that
// are not made yet: until then the queue reads nothing.
func mayBeSent(q db.Queryer, sub *Subscription) (bool, error) {
	if !sub.Enabled || !sub.Policy.Ordered {
		return sub.Enabled, nil
	}
	behind, err := hasSpool(q, sub.TenantID, sub.ID)
	return !behind, err
}

// spooled is a subscription and which of a fan-out's events it gets.
type spooled struct {
	sub    id.ID
	events bits
}

// expansion is one step of a fan-out.
type expansion struct {
	tenant id.ID
	events []id.ID
	states map[id.ID]bool // of the events that are still there: whether the body is
	sub    id.ID          // whose deliveries are made
	first  int            // of the events, which was not looked at yet
	made   int
	standing
}

// standing is whether a subscription takes deliveries.
type standing struct{ enabled, deleted bool }

// expand is one step of a fan-out. Spool rows go when their deliveries are made;
// the cursor says how far the first that is left has come.
func (s *Service) expand(tx *db.Tx, j *job.Job) error {
	var spec fanOutSpec
	if err := json.Unmarshal(j.Spec, &spec); err != nil {
		return err
	}
	x := expansion{tenant: j.TenantID}
	for ids := spec.Events; len(ids) > 0; ids = ids[len(id.ID{}):] {
		x.events = append(x.events, id.ID(ids[:len(id.ID{})]))
	}
	rows, err := selectSpool(tx, j.TenantID, j.ID, fanOutSubscriptions)
	if err != nil {
		return err
	}
	if x.states, err = selectBodies(tx, j.TenantID, x.events[0], x.events[len(x.events)-1]); err != nil {
		return err
	}
	if len(j.Cursor) > 0 {
		x.first = int(binary.BigEndian.Uint16(j.Cursor))
	}
	var touched []id.ID
	over := len(rows) < fanOutSubscriptions
	for _, row := range rows {
		if x.standing, err = selectStanding(tx, j.TenantID, row.sub); err != nil {
			return err
		}
		x.sub = row.sub
		whole, err := x.make(tx, row.events)
		if err != nil {
			return err
		}
		if x.enabled {
			touched = append(touched, row.sub)
		}
		if !whole {
			over = false
			break
		}
		if err := deleteSpool(tx, j.TenantID, j.ID, row.sub); err != nil {
			return err
		}
		x.first = 0
	}
	j.Done += int64(x.made)
	j.Cursor = binary.BigEndian.AppendUint16(nil, uint16(x.first)) //nolint:gosec // a batch has at most 1,000 events
	if over {
		j.Complete()
	}
	return s.refilled(tx, j.TenantID, touched)
}

// make makes the deliveries of a subscription's events from the first one on. It
// reports whether all of them are made.
func (x *expansion) make(tx *db.Tx, events bits) (bool, error) {
	for ; x.first < len(x.events); x.first++ {
		event := x.events[x.first]
		sendable, kept := x.states[event]
		if !events.has(x.first) || !kept {
			continue
		}
		if x.made == fanOutStep {
			return false, nil
		}
		if err := insertExpanded(tx, Delivery{EventID: event, SubscriptionID: x.sub}, x.tenant, x.stand(sendable)); err != nil {
			return false, err
		}
		x.made++
	}
	return true, nil
}

// beginning is how a delivery stands when it is made.
type beginning struct {
	status Status
	reason string
}

// stand says how a delivery begins, of what may have become of its event and its
// subscription since they matched.
func (x *expansion) stand(sendable bool) beginning {
	switch {
	case x.deleted:
		return beginning{Cancelled, ReasonSubscriptionDeleted}
	case !sendable:
		return beginning{Cancelled, ReasonBodyExpunged}
	case !x.enabled:
		return beginning{Held, ReasonDisabled}
	default:
		return beginning{Pending, ""}
	}
}
