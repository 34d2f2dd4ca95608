package webhook

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// How many deliveries one step of a replay, or of counting one, looks at. Those to
// all subscriptions are fewer, since each that is touched has to be read.
const (
	replayStep = 500
	wideStep   = 250
	countStep  = 2000
)

// replayKind is how replays are done.
func (s *Service) replayKind() job.Kind {
	return job.Kind{Name: replayJob, Step: s.replay, Ended: s.announceReplay}
}

// A place is where the reading of a replay's deliveries stands: behind a delivery
// of a pass. The zero place is the beginning of the first.
type place struct {
	pass       int
	event, sub id.ID
}

func (p place) pack() []byte {
	return slices.Concat([]byte{byte(p.pass)}, p.event[:], p.sub[:]) //nolint:gosec // there are at most four passes
}

func unpackPlace(cursor []byte) place {
	if len(cursor) == 0 {
		return place{}
	}
	return place{int(cursor[0]), id.ID(cursor[1:13]), id.ID(cursor[13:25])}
}

// A stretch is a part of the deliveries that a replay looks at, in the order of
// an index.
type stretch struct {
	tenant   id.ID
	sub      id.ID  // zero: all
	status   Status // the one that the index holds; Pending: the index holds all
	from     place
	to       place // the last delivery of it
	statuses []Status
	changed  int64 // deliveries that have changed after this time don't belong to it
}

// found is a delivery that belongs to a replay.
type found struct {
	event, sub id.ID
	eventType  string
	sendable   bool
}

// passes are the states that are read one after the other. Failures, cancelled
// and held deliveries have an index by state. Where delivered ones are wanted
// too, all are read in one pass, and so are those of one subscription, which may
// take them in order.
func (spec *replaySpec) passes() []Status {
	if slices.Contains(spec.Statuses, Delivered) || len(spec.Subscription) > 0 {
		return []Status{Pending}
	}
	return spec.Statuses
}

// read looks at the next deliveries behind a place, at most so many, and returns
// those that belong to the replay, the place to go on from, and whether anything
// is left.
func (spec *replaySpec) read(q db.Queryer, tenant id.ID, at place, most int) ([]found, place, bool, error) {
	passes := spec.passes()
	part := stretch{
		tenant: tenant, status: passes[at.pass], from: at, to: behind(id.ID(spec.Before)), statuses: spec.Statuses, changed: spec.Unchanged,
	}
	if at.event.IsZero() {
		part.from = behind(id.First(db.FromMicro(spec.Since)))
	}
	if len(spec.Subscription) > 0 {
		part.sub = id.ID(spec.Subscription)
	}
	more, err := selectEnd(q, &part, most)
	if err != nil {
		return nil, at, false, err
	}
	deliveries, err := selectReplayed(q, part, most)
	if len(spec.EventTypes) > 0 {
		deliveries = slices.DeleteFunc(deliveries, func(d found) bool { return !spec.wants(d.eventType) })
	}
	next := place{at.pass, part.to.event, part.to.sub}
	if !more {
		next = place{pass: at.pass + 1}
	}
	return deliveries, next, next.pass < len(passes), err
}

// wants reports whether the replay takes an event type.
func (spec *replaySpec) wants(eventType string) bool {
	return slices.ContainsFunc(spec.EventTypes, func(pattern string) bool { return matches(pattern, eventType) })
}

// behind is the place of the last delivery that there could be before an event's.
func behind(event id.ID) place {
	p := place{event: event, sub: id.Last()}
	for i := len(p.event) - 1; i >= 0; i-- {
		if p.event[i]--; p.event[i] != 0xff {
			break
		}
	}
	return p
}

// countReplay counts what a replay would do, as far as it may take.
func (s *Service) countReplay(ctx context.Context, tenant id.ID, spec replaySpec) (ReplayCount, error) {
	var n ReplayCount
	var at place
	for end := time.Now().Add(maxCountTime); ; {
		var deliveries []found
		var more bool
		err := s.search(ctx, func(q db.Queryer) error {
			var err error
			deliveries, at, more, err = spec.read(q, tenant, at, countStep)
			return err
		})
		if err != nil {
			return ReplayCount{}, err
		}
		for _, d := range deliveries {
			if n.Deliveries+n.Skipped == maxCounted {
				n.More = true
				return n, nil
			}
			if d.sendable {
				n.Deliveries++
			} else {
				n.Skipped++
			}
		}
		if !more {
			return n, nil
		}
		if time.Now().After(end) {
			n.More = true
			return n, nil
		}
	}
}

// replay is one step of a replay. What it makes due stands in the lane of the
// retries, so that new events take turns with it however much it is.
func (s *Service) replay(tx *db.Tx, j *job.Job) error {
	var spec replaySpec
	if err := json.Unmarshal(j.Spec, &spec); err != nil {
		return err
	}
	most := replayStep
	if len(spec.Subscription) == 0 {
		most = wideStep
	}
	deliveries, at, more, err := spec.read(tx, j.TenantID, unpackPlace(j.Cursor), most)
	if err != nil {
		return err
	}
	var touched []id.ID
	for _, d := range deliveries {
		if !d.sendable {
			j.Skipped++
			continue
		}
		if err := replayDelivery(tx, j.TenantID, d.event, d.sub); err != nil {
			return err
		}
		j.Done++
		touched = append(touched, d.sub)
	}
	j.Cursor = at.pack()
	if !more {
		j.Total = j.Done + j.Skipped
		j.Complete()
	}
	return s.refilled(tx, j.TenantID, touched)
}

// refilled tells, once tx is committed, that there is more to send to
// subscriptions, here and on the other nodes.
func (s *Service) refilled(tx *db.Tx, tenant id.ID, subs []id.ID) error {
	if s.sender == nil {
		return nil
	}
	slices.SortFunc(subs, compareIDs)
	for _, sub := range slices.Compact(subs) {
		to, err := s.selectSubscription(tx, tenant, sub)
		if err != nil {
			return err
		}
		tx.After(func() {
			s.sender.Refilled(to)
			s.hint(topicDue, to)
		})
	}
	return nil
}

// announceReplay tells whoever subscribed to it that a replay has ended.
func (s *Service) announceReplay(tx *db.Tx, j *job.Job) error {
	r, err := showReplay(*j)
	if err != nil {
		return err
	}
	type announced struct {
		ID      string `json:"id"`
		Kind    string `json:"kind"`
		State   string `json:"state"`
		Total   *int64 `json:"total,omitempty"`
		Done    int64  `json:"done"`
		Skipped int64  `json:"skipped"`
	}
	about := announced{ID: id.Job.Format(r.ID), Kind: r.Kind, State: r.State, Done: r.Done, Skipped: r.Skipped}
	if r.Total != job.Uncounted {
		about.Total = &r.Total
	}
	return s.announce(tx, j.TenantID, r.Filter.SubscriptionID, standard.ReplayCompleted, map[string]any{"replay": about})
}
