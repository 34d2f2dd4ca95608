package reward

import (
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// What is no lot in the ledger, such as a percentage, a code or what the tenant hands
// over itself, has no parts: it is redeemed once, as a whole. Under which reference is
// kept, also of one that is taken back after that, so that it comes back as redeemed.

// redeemWhole redeems a reward that has no parts. It returns problem.Conflict for one
// that is not available, and where an amount is given.
func (s *Service) redeemWhole(c *fact.Command, r *Reward, what Redemption) error {
	switch {
	case what.Amount != 0:
		return problem.Conflict.New("a reward of this kind is redeemed as a whole: leave out the amount")
	case what.Unit != "" && what.Unit != r.Unit:
		return problem.InvalidField("unit", "is not the reward's")
	}
	if repeated, err := what.repeats(c, r); err != nil || repeated {
		return err
	}
	switch {
	case r.State != IsAvailable:
		return problem.Conflict.New("the reward is %s and can't be redeemed", r.State)
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.Now()): // and its timer is still to run
		return problem.Conflict.New("the reward is expired and can't be redeemed")
	}
	if err := insertRedemption(c.Tx(), r, what.ref(r)); err != nil {
		return err
	}
	return s.redeemed(c, r, r.Amount, nil)
}

// isUsedUp reports whether of a reward that was available all is redeemed.
func (r *Reward) isUsedUp(c *fact.Command) (bool, error) {
	if r.Spendable() {
		return r.Redeemed > 0 && r.Used() >= r.Amount, nil
	}
	return wasRedeemed(c.Tx(), r)
}
