package node

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// look reads who lives and what has changed, and reports whether this node is
// missing: it was buried, which the next renewal finds out too.
func (b *heartbeat) look(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, b.lease/4)
	defer cancel()
	var members []member
	var latest int64
	var changed []revision
	now := b.clock.now()
	since := b.feed.since(now)
	began := time.Now()
	err := b.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if members, err = selectMembers(q); err != nil {
			return err
		}
		if latest, err = selectLatest(q); err != nil {
			return err
		}
		changed, err = selectRevisions(q, since)
		return err
	})
	if err != nil {
		return false, err
	}
	b.feed.read(changed, now, began)
	m := Membership{Self: b.life.Load().number, Latest: latest}
	b.others = b.others[:0]
	for _, member := range members {
		m.Members = append(m.Members, member.number)
		if member.number != m.Self {
			b.others = append(b.others, member)
		}
	}
	if !slices.Contains(m.Members, m.Self) {
		b.due = time.Now()
		return true, nil
	}
	b.publish(m)
	return false, nil
}

// publish makes known who lives. Those who came have heard no hints before, which
// were not sent if there was nobody to hear them.
func (b *heartbeat) publish(m Membership) {
	b.mu.Lock()
	before := b.membership
	b.membership = m
	b.mu.Unlock()
	if m.equal(before) {
		return
	}
	b.observers.changed()
	for _, number := range m.Members {
		if number != m.Self && !slices.Contains(before.Members, number) {
			b.Hint(lookTopic, "")
			return
		}
	}
}

// bury ends the lives whose leases have run out and shortens leases that end later
// than they can. It reports whether it has ended any.
func (b *heartbeat) bury(ctx context.Context) bool {
	if time.Now().Before(b.patient) {
		return false
	}
	if b.left(b.life.Load()) < b.lease/2 { // this node could not renew either, and must not bury others for that
		b.waitForBeat()
		return false
	}
	now := b.clock.now()
	var expired, long []member
	for _, m := range b.others {
		switch {
		case !now.Before(m.expires):
			expired = append(expired, m)
		case m.expires.Sub(now) > m.lease+b.lease/tolerance:
			long = append(long, m)
		}
	}
	if len(expired)+len(long) == 0 {
		return false
	}
	// One who was stopped may hold its row for a while. That must not keep this node
	// from its own renewal.
	short, cancel := context.WithTimeout(ctx, b.lease/beatsPerLease)
	defer cancel()
	var buried []member
	_, err := b.write(short, func(tx *db.Tx, now time.Time) error {
		buried = nil
		if b.clock.leapt(reading{server: now, ended: time.Now()}, b.lease/tolerance) {
			return nil
		}
		for _, m := range long {
			if err := shorten(tx, m, now); err != nil {
				return err
			}
		}
		for _, m := range expired {
			ended, err := bury(tx, m.number, now)
			if err != nil {
				return err
			}
			if ended {
				buried = append(buried, m)
			}
		}
		return nil
	})
	if err != nil {
		b.patient = time.Now().Add(b.lease / firstRetry)
		return false
	}
	for _, m := range buried {
		b.log.WarnContext(ctx, "node_buried", slog.Int64("node", m.number), slog.String("name", m.name), slog.Int64("by", b.life.Load().number))
	}
	return len(buried) > 0
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
