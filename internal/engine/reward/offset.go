package reward

import (
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// What a reward that is taken back has cost others is noted in those, so that what is
// left of each is what its lot has.

// offset notes what a transaction on the reward's lot has kept back of it for debt, or
// has brought back.
func (r *Reward) offset(txn *ledger.Txn) {
	own := int64(0)
	for _, part := range txn.Lots {
		if part.Lot == r.ID {
			own = part.Amount
		}
	}
	switch {
	case txn.Kind == ledger.Awarded, txn.Kind == ledger.Activated:
		r.SetOff += r.Amount - own
	case txn.Kind == ledger.Reinstated && r.lot == revoked && r.State != IsExpired:
		r.SetOff = r.Amount - r.Redeemed - own
	}
}

// setOff notes in other rewards what a transaction has taken from their lots, or given
// back.
func (s *Service) setOff(c *fact.Command, of id.ID, txn *ledger.Txn) error {
	for _, part := range txn.Lots {
		if part.Lot == of || part.Amount == 0 {
			continue
		}
		r, err := selectReward(c.Tx(), c.Tenant(), part.Lot)
		if problem.NotFound.Has(err) { // what was adjusted by hand is no reward
			continue
		}
		if err != nil {
			return err
		}
		r.SetOff -= part.Amount
		switch {
		case r.State == IsExpired && part.Amount > 0:
			err = s.expireAgain(c, r, txn.ID)
		case r.State == IsRedeemed && r.Used() < r.Amount:
			err = s.reopen(c, r)
		default:
			err = update(c.Tx(), r, c.Now())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// expireAgain takes from an expired reward what came back to it.
func (s *Service) expireAgain(c *fact.Command, r *Reward, by id.ID) error {
	if err := update(c.Tx(), r, c.Now()); err != nil {
		return err
	}
	txn, err := ledger.Expire(c.Tx(), s.fresh(c, "expire:"+r.ID.String()+":"+by.String()), r.ID)
	return s.booked(c, r, txn, err)
}

// reopen has a reward be available again of which all was used, since something came
// back to it.
func (s *Service) reopen(c *fact.Command, r *Reward) error {
	r.State = IsAvailable
	if !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.Now()) {
		r.State = IsExpired
		return s.change(c, r, Expired)
	}
	return s.change(c, r, Reinstated)
}
