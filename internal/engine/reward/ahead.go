package reward

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// aheadKey is the key under which a transaction keeps the rewards that were read
// ahead, by their ids.
type aheadKey struct{}

// ahead reads what timers that are done in one transaction need, in a few statements.
// A reward that was read so is used once, and not if it was changed meanwhile.
func (s *Service) ahead(c *fact.Command, due []timer.Timer) error {
	var of []id.ID
	for _, t := range due {
		if t.Kind == dueTimer || t.Kind == expiresTimer {
			of = append(of, t.Ref)
		}
	}
	if len(of) < 2 {
		return nil
	}
	rewards, err := selectRewards(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	read := make(map[id.ID]*Reward, len(rewards))
	var lots []id.ID
	for _, r := range rewards {
		read[r.ID] = r
		if r.lot == promised || r.lot == open {
			lots = append(lots, r.ID)
		}
	}
	c.Tx().Keep(aheadKey{}, read)
	return ledger.Ahead(c.Tx(), c.Tenant(), lots)
}

// foreseen returns a reward that was read ahead, or nil.
func foreseen(q db.Queryer, tenant, of id.ID) *Reward {
	read := readAhead(q)
	r := read[of]
	if r == nil || r.TenantID != tenant {
		return nil
	}
	delete(read, of) // who gets it may change it
	return r
}

// forget has a reward be read anew: it is stored otherwise now than it was read.
func forget(tx *db.Tx, of id.ID) { delete(readAhead(tx), of) }

func readAhead(q db.Queryer) map[id.ID]*Reward {
	tx, ok := q.(*db.Tx)
	if !ok {
		return nil
	}
	read, _ := tx.Kept(aheadKey{}).(map[id.ID]*Reward)
	return read
}
