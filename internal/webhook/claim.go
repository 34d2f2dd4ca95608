package webhook

import (
	"cmp"
	"context"
	"slices"
	"time"

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
		due.More = len(jobs) == query.Room
		jobs = slices.DeleteFunc(jobs, func(j Job) bool { _, known := query.Known[j.EventID]; return known })
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

// isUnheld is that condition of a delivery that was read.
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
	taken := jobs[:0]
	for _, j := range jobs {
		if _, known := query.Known[j.EventID]; known {
			due.Last = j.EventID
			continue
		}
		if !isUnheld(&j, now) {
			due.More, due.Held = true, true
			break
		}
		taken = append(taken, j)
	}
	whole := len(taken)
	if taken, err = selectMessages(tx, taken); err != nil {
		return err
	}
	due.More = due.More || len(taken) < whole
	lost := len(taken) // the first that somebody else was faster with
	for i := range taken {
		if err := claim(tx, &taken[i], now.Self, func() { lost = min(lost, i) }); err != nil {
			return err
		}
	}
	if err := tx.Flush(); err != nil {
		return err
	}
	if lost < len(taken) {
		due.More, due.Held = true, true
	}
	due.Jobs = taken[:lost]
	if lost > 0 {
		due.Last = taken[lost-1].EventID
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

// Held returns what a node holds of a subscription's deliveries and has held
// unchanged since a time, without what it sends. It reads everything that is
// pending for the subscription.
func (s *Service) Held(ctx context.Context, sub *Subscription, owner int64, since time.Time) ([]Job, error) {
	var held []Job
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		held, err = selectHeld(q, sub, owner, since)
		return err
	})
	return held, err
}
