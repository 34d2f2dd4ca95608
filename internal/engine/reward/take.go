package reward

import (
	"errors"
	"strconv"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// The reasons for which the program itself cancels a reward. Others are the
// caller's words.
const (
	// ReasonUndone is that what caused the reward was undone. It is reinstated if
	// that comes about again.
	ReasonUndone = "undone"
	// ReasonEnded is that the referral ended before it was available. It is reinstated
	// when that is taken back.
	ReasonEnded = "referral_ended"
	// ReasonDenied is that its side of a referral was denied. It is reinstated when
	// the side is approved after all.
	ReasonDenied = "denied"
)

// Hold has a reward that is pending wait until Release, whatever else it waits for.
// One that is available stays so.
func (s *Service) Hold(c *fact.Command, r *Reward) error {
	if r.State != IsPending || r.Held {
		return nil
	}
	r.Held = true
	r.Version++
	return update(c.Tx(), r, c.Now())
}

// Release ends Hold.
func (s *Service) Release(c *fact.Command, r *Reward) error {
	if !r.Held {
		return nil
	}
	r.Held = false
	if r.State == IsPending {
		how, err := s.next(c, r)
		if err != nil {
			return err
		}
		if how == Available {
			return s.change(c, r, Available)
		}
	}
	r.Version++
	return update(c.Tx(), r, c.Now())
}

// Cancel takes a reward back. It returns problem.Conflict for one that is over: all
// redeemed, expired, or that can't be cancelled by hand. Repeating it changes
// nothing.
func (s *Service) Cancel(c *fact.Command, of id.ID, reason string) (*Reward, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return nil, err
	}
	switch {
	case r.State == IsCancelled:
		return r, nil
	case r.State == IsRedeemed, r.State == IsExpired, r.State == IsRefused:
		return nil, problem.Conflict.New("the reward is %s and can't be cancelled", r.State)
	case r.Fixed:
		return nil, problem.Conflict.New("the reward can't be cancelled")
	}
	return r, s.cancel(c, r, reason)
}

// Deny takes a reward back because its side of a referral was denied; End, because
// the referral has ended. What is over stays as it is.
func (s *Service) Deny(c *fact.Command, r *Reward) error { return s.takeBack(c, r, ReasonDenied) }

// End is Deny for a referral that has ended.
func (s *Service) End(c *fact.Command, r *Reward) error { return s.takeBack(c, r, ReasonEnded) }

func (s *Service) takeBack(c *fact.Command, r *Reward, reason string) error {
	if r.Fixed || r.State != IsPending && r.State != IsAvailable && r.State != IsRefused {
		return nil
	}
	return s.cancel(c, r, reason)
}

// cancel takes a reward back, whatever state it is in; what was spent of it stays
// spent, as debt.
func (s *Service) cancel(c *fact.Command, r *Reward, reason string) error {
	if r.State == IsCancelled {
		return nil
	}
	was := r.State
	r.State, r.CancelledAt, r.CancelReason = IsCancelled, c.Now(), reason
	r.timed = false
	for _, kind := range []string{dueTimer, expiresTimer} {
		if _, err := timer.Cancel(c.Tx(), c.Tenant(), kind, r.ID); err != nil {
			return err
		}
	}
	if err := r.leavePool(c); err != nil {
		return err
	}
	if was == IsRefused { // nobody had it
		return s.change(c, r, Cancelled)
	}
	if err := s.change(c, r, Cancelled); err != nil {
		return err
	}
	return s.giveBack(c, r)
}

// Reinstate brings a cancelled reward back, as far as a limit still allows.
func (s *Service) Reinstate(c *fact.Command, r *Reward) error {
	if r.State != IsCancelled {
		return nil
	}
	return s.reinstate(c, r)
}

func (s *Service) reinstate(c *fact.Command, r *Reward) error {
	if r.limit != nil {
		allowed, err := s.retake(c, r)
		if err != nil {
			return err
		}
		if !allowed {
			r.State, r.CancelledAt, r.CancelReason = IsRefused, noTime, ""
			return s.change(c, r, Refused)
		}
	}
	r.CancelledAt, r.CancelReason = noTime, ""
	wasAvailable := !r.AvailableAt.IsZero()
	switch {
	case wasAvailable && !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.Now()):
		r.State = IsExpired
	case wasAvailable && r.Redeemed == r.Amount && r.Spendable():
		r.State = IsRedeemed
	case wasAvailable:
		r.State = IsAvailable
	default:
		if _, err := s.next(c, r); err != nil {
			return err
		}
	}
	return s.change(c, r, Reinstated)
}

// Withdraw takes back what was given under an effect key, if anything was: it is not
// what follows any more.
func (s *Service) Withdraw(c *fact.Command, effect string) error {
	r, err := selectByEffect(c.Tx(), c.Tenant(), effectKey(effect))
	if problem.NotFound.Has(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.cancel(c, r, ReasonUndone)
}

// undo takes back a reward whose cause was undone.
func (s *Service) undo(c *fact.Command, of id.ID) error {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	return s.cancel(c, r, ReasonUndone)
}

// redo brings it back, once.
func (s *Service) redo(c *fact.Command, of id.ID) error {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil || r.State != IsCancelled || r.CancelReason != ReasonUndone {
		return err
	}
	return s.reinstate(c, r)
}

// Redemption is a part of a reward to redeem.
type Redemption struct {
	Ref    string // its natural key; "": it is not repeated
	Amount int64
	Unit   string
}

// ErrInsufficient is what errors match that refuse to redeem more than there is.
var ErrInsufficient = ledger.ErrInsufficient

// Redeem takes a part of one reward that is available, or all of it.
func (s *Service) Redeem(c *fact.Command, of id.ID, what Redemption) (*Reward, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return nil, err
	}
	if !r.Spendable() {
		return nil, problem.Conflict.New("a reward of this kind can't be redeemed in parts")
	}
	if what.Unit != r.Unit {
		return nil, problem.InvalidField("unit", "is not the reward's")
	}
	if repeated, err := what.repeats(c, r); err != nil || repeated {
		return r, err
	}
	if what.Amount <= 0 || what.Amount > r.Left() {
		return nil, errors.Join(ErrInsufficient, problem.Conflict.New("the reward has less left than that"))
	}
	txn, err := ledger.Redeem(c.Tx(), s.entry(c, what.ref(r)), r.ID, what.Amount)
	if err != nil || txn.Replayed {
		return r, err
	}
	return r, s.redeemed(c, r, what.Amount, txn)
}

// repeats reports whether the same was redeemed before, however much is left by now.
// It returns problem.IdempotencyConflict where the reference was used for something
// else.
func (r Redemption) repeats(c *fact.Command, of *Reward) (bool, error) {
	if r.Ref == "" {
		return false, nil
	}
	before, err := ledger.ReadByRef(c.Tx(), c.Tenant(), r.ref(of))
	if problem.NotFound.Has(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if len(before.Lots) != 1 || before.Lots[0].Lot != of.ID || before.Change.Before-before.Change.After != r.Amount {
		return false, errOtherRedemption
	}
	return true, nil
}

var errOtherRedemption = problem.IdempotencyConflict.New("the key was used to redeem something else")

// ref is a reference of the ledger; where the caller gave none it is the place of
// the redemption among those of the reward.
func (r Redemption) ref(of *Reward) string {
	if r.Ref != "" {
		return "redeem:" + r.Ref
	}
	return "redeem:" + of.ID.String() + ":" + strconv.FormatInt(of.Version, 10)
}

func (s *Service) redeemed(c *fact.Command, r *Reward, amount int64, txn *ledger.Txn) error {
	r.Redeemed += amount
	if r.Redeemed == r.Amount {
		r.State = IsRedeemed
		if _, err := timer.Cancel(c.Tx(), c.Tenant(), expiresTimer, r.ID); err != nil {
			return err
		}
	}
	if err := s.change(c, r, Redeemed); err != nil {
		return err
	}
	if txn == nil {
		return nil
	}
	return s.tellWallet(c, r.PersonID, r.ID, txn)
}

// Spend takes an amount of what people have in a unit, from those named first, and
// there from what expires first. It takes all of it or, with ErrInsufficient, nothing.
// It returns what is left.
func (s *Service) Spend(c *fact.Command, people []id.ID, what Redemption) (int64, error) {
	if what.Amount <= 0 {
		return 0, problem.InvalidField("amount", "must be more than 0")
	}
	var total int64
	balances := make([]int64, len(people))
	for i, of := range people {
		b, err := ledger.ReadBalance(c.Tx(), c.Tenant(), ledger.Wallet{Person: of, Unit: what.Unit})
		if err != nil {
			return 0, err
		}
		balances[i] = max(b.Available, 0)
		total += balances[i]
	}
	if spent, err := s.spentBefore(c, people, what); err != nil || spent {
		return total, err
	}
	if total < what.Amount {
		return total, errors.Join(ErrInsufficient, problem.Conflict.New("less than that is available"))
	}
	left := what.Amount
	for i, of := range people {
		part := min(left, balances[i])
		if part == 0 {
			continue
		}
		if err := s.spendOf(c, of, what, part); err != nil {
			return 0, err
		}
		left -= part
	}
	return total - what.Amount, nil
}

// spentBefore reports whether the same was spent before, whatever is left by now. It
// returns problem.IdempotencyConflict where the reference was used for another
// amount.
func (s *Service) spentBefore(c *fact.Command, people []id.ID, what Redemption) (bool, error) {
	if what.Ref == "" {
		return false, nil
	}
	var spent int64
	for _, of := range people {
		before, err := ledger.ReadByRef(c.Tx(), c.Tenant(), what.spendRef(of))
		if problem.NotFound.Has(err) {
			continue
		}
		if err != nil {
			return false, err
		}
		if before.Wallet.Unit != what.Unit {
			return false, errOtherRedemption
		}
		spent += before.Change.Before - before.Change.After
	}
	if spent != 0 && spent != what.Amount {
		return false, errOtherRedemption
	}
	return spent != 0, nil
}

// spendRef is the reference of what is spent of a person's.
func (r Redemption) spendRef(of id.ID) string { return "spend:" + of.String() + ":" + r.Ref }

func (s *Service) spendOf(c *fact.Command, of id.ID, what Redemption, amount int64) error {
	ref := what.spendRef(of)
	if what.Ref == "" {
		ref = "spend:" + id.New(c.Tx().Now()).String()
	}
	txn, err := ledger.Spend(c.Tx(), s.entry(c, ref), ledger.Wallet{Person: of, Unit: what.Unit}, amount)
	if err != nil || txn.Replayed {
		return err
	}
	for _, part := range txn.Lots {
		r, err := selectReward(c.Tx(), c.Tenant(), part.Lot)
		if problem.NotFound.Has(err) { // what was adjusted by hand is no reward
			continue
		}
		if err != nil {
			return err
		}
		if err := s.redeemed(c, r, -part.Amount, nil); err != nil {
			return err
		}
	}
	return s.tellWallet(c, of, id.ID{}, txn)
}
