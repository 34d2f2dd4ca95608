package webhook

import (
	"cmp"
	"context"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
)

// claimDue reads deliveries that are due and that nobody holds, and makes them this
// node's. What a dead node held it takes over; then the epoch changes, so that what
// that node still records decides nothing.
func (s *Service) claimDue(ctx context.Context, query DueQuery) (Due, error) {
	now := s.node.Membership()
	query.Room = cmp.Or(query.Room, query.Limit)
	var due Due
	err := s.claims.Write(ctx, func(tx *db.Tx) error {
		due = Due{}
		if query.Sub.Policy.Ordered {
			return claimInOrder(tx, query, now, &due)
		}
		jobs, err := selectUnheld(tx, query, now)
		if err != nil {
			return err
		}
		due.More = len(jobs) == query.Limit
		jobs = slices.DeleteFunc(jobs, func(j Job) bool { _, known := query.Known[j.EventID]; return known })
		if len(jobs) > query.Room {
			jobs, due.More = jobs[:query.Room], true
		}
		if due.Jobs, err = selectMessages(tx, jobs); err != nil {
			return err
		}
		due.More = due.More || len(due.Jobs) < len(jobs)
		for i := range due.Jobs {
			if err := claim(tx, &due.Jobs[i], now.Self, nil); err != nil {
				return err
			}
		}
		if !due.More {
			due.Next, err = selectNextDue(tx, query)
		}
		return err
	})
	if err != nil {
		return Due{}, err
	}
	return due, nil
}

// isUnheld reports whether a delivery that was read is held by nobody or by a dead
// node; see unheld.
func isUnheld(j *Job, now node.Membership) bool {
	return j.Owner == 0 || j.Owner <= now.Latest && !slices.Contains(now.Members, j.Owner)
}

// claimInOrder claims what comes next of an ordered subscription. It ends before the
// first delivery that somebody holds: nothing may overtake it. That may be this node,
// where it is about to give back what it had no room for, or to be told of it.
func claimInOrder(tx *db.Tx, query DueQuery, now node.Membership, due *Due) error {
	if behind, err := hasSpool(tx, query.Sub.TenantID, query.Sub.ID); err != nil || behind {
		return err
	}
	jobs, err := selectInOrder(tx, query)
	if err != nil {
		return err
	}
	due.More = len(jobs) == query.Limit
	free := make([]Job, 0, len(jobs))
	end := len(jobs) // of those that were looked at: where the reading ends
	for i, j := range jobs {
		if _, known := query.Known[j.EventID]; known {
			continue
		}
		if !isUnheld(&j, now) {
			end, due.More, due.Held = i, true, true
			break
		}
		free = append(free, j)
	}
	ends := func(at *Job) {
		end = slices.IndexFunc(jobs, func(j Job) bool { return j.EventID == at.EventID })
		due.More = true
	}
	taken, err := selectMessages(tx, free)
	if err != nil {
		return err
	}
	if len(taken) < len(free) {
		ends(&free[len(taken)])
	}
	lost := make([]bool, len(taken)) // to somebody who was faster
	for i := range taken {
		if err := claim(tx, &taken[i], now.Self, func() { lost[i] = true }); err != nil {
			return err
		}
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	due.Jobs = taken
	if first := slices.Index(lost, true); first >= 0 {
		for i := first + 1; i < len(taken); i++ { // nothing overtakes it
			if err := release(tx, &taken[i]); err != nil {
				return err
			}
		}
		ends(&taken[first])
		due.Jobs, due.Held = taken[:first], true
	}
	if end > 0 {
		due.Last = jobs[end-1].EventID
	}
	return nil
}

// Release gives back deliveries that this node holds and will not send, so that
// others can claim them.
func (s *Service) Release(ctx context.Context, held []Job) error {
	return s.claims.Write(ctx, func(tx *db.Tx) error {
		for i := range held {
			if err := release(tx, &held[i]); err != nil {
				return err
			}
		}
		subs := make(map[id.ID]*Subscription)
		for i := range held {
			subs[held[i].Sub.ID] = held[i].Sub
		}
		tx.After(func() {
			for _, sub := range subs {
				s.hint(topicDue, sub)
			}
		})
		return nil
	})
}

// Held returns what a node holds of a subscription's deliveries, without what it sends.
// It reads everything that is pending for the subscription.
func (s *Service) Held(ctx context.Context, sub *Subscription, owner int64) ([]Job, error) {
	var held []Job
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		held, err = selectHeld(q, sub, owner)
		return err
	})
	return held, err
}
