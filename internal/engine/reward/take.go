package reward

import (
	"errors"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// The reasons for which the program itself cancels a reward. Others are the
// caller's words.
const (
	ReasonUndone = "undone"         // what caused it was undone
	ReasonDenied = "denied"         // its side of a referral was denied
	ReasonEnded  = "referral_ended" // the referral ended before it was available
)

// against is what speaks against a reward: it is cancelled as long as anything does.
type against int64

const (
	undone against = 1 << iota
	denied
	ended
	byHand
)

// reason is why a reward is cancelled against which something speaks; words are the
// caller's.
func (a against) reason(words string) string {
	switch {
	case a&byHand != 0:
		return words
	case a&undone != 0:
		return ReasonUndone
	case a&denied != 0:
		return ReasonDenied
	default:
		return ReasonEnded
	}
}

// Terms are what a reward depends on besides what caused it.
type Terms struct {
	// Held has a reward that was never available wait, whatever else it waits for. One
	// that was stays so.
	Held bool
	// Denied takes it back, unless it is over: all redeemed, or expired.
	Denied bool
	// Ended takes it back if it was never available.
	Ended bool
}

// Conform brings a reward to where the terms want it. What can't be cancelled by hand
// is not cancelled by them either.
func (s *Service) Conform(c *fact.Command, r *Reward, to Terms) error {
	// What a limit refuses is as if it had never been available, even if for a time it was.
	refused := r.State == IsRefused && r.Redeemed == 0
	fresh := r.AvailableAt.IsZero() || refused
	now := r.against &^ (denied | ended)
	if to.Denied && !r.Fixed && (r.against&denied != 0 || r.State != IsRedeemed && r.State != IsExpired) {
		now |= denied
	}
	if to.Ended && !r.Fixed && fresh {
		now |= ended
	}
	held := to.Held && fresh
	if refused && (held || now&ended != 0) {
		r.forgetAvailability()
	}
	if held == r.Held {
		return s.stand(c, r, now)
	}
	r.Held = held
	if now != r.against {
		return s.stand(c, r, now)
	}
	if held || r.State != IsPending {
		return update(c.Tx(), r, c.Now())
	}
	how, err := s.next(c, r)
	if err != nil {
		return err
	}
	if how == Available {
		return s.change(c, r, Available)
	}
	return update(c.Tx(), r, c.Now())
}

// forgetAvailability has a reward that nobody has be available as if for the first time,
// if it ever is.
func (r *Reward) forgetAvailability() {
	r.AvailableAt = noTime
	if r.expires != "" {
		r.ExpiresAt = noTime
	}
}

// stand has a reward be cancelled, or not any more, by what speaks against it now.
func (s *Service) stand(c *fact.Command, r *Reward, now against) error {
	was := r.against
	r.against = now
	switch {
	case now == was:
		return nil
	case was == 0:
		return s.cancel(c, r)
	case now == 0:
		return s.reinstate(c, r)
	}
	reason := now.reason(r.CancelReason)
	if reason == r.CancelReason {
		return update(c.Tx(), r, c.Now())
	}
	r.CancelReason = reason
	return s.change(c, r, Cancelled)
}

// object has something more speak against a reward.
func (s *Service) object(c *fact.Command, r *Reward, why against) error {
	return s.stand(c, r, r.against|why)
}

// drop has something speak against a reward no more.
func (s *Service) drop(c *fact.Command, r *Reward, why against) error {
	return s.stand(c, r, r.against&^why)
}

// Cancel takes a reward back for good. It returns problem.Conflict for one that is
// over: all redeemed, expired, or that can't be cancelled by hand. Repeating it changes
// nothing.
func (s *Service) Cancel(c *fact.Command, of id.ID, reason string) (*Reward, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return nil, err
	}
	switch {
	case r.against&byHand != 0:
		return r, nil
	case r.State == IsRedeemed, r.State == IsExpired, r.State == IsRefused:
		return nil, problem.Conflict.New("the reward is %s and can't be cancelled", r.State)
	case r.Fixed:
		return nil, problem.Conflict.New("the reward can't be cancelled")
	}
	r.CancelReason = reason
	return r, s.object(c, r, byHand)
}

// cancel takes a reward back, whatever state it is in; what was spent of it stays
// spent, as debt.
func (s *Service) cancel(c *fact.Command, r *Reward) error {
	was := r.State
	r.State, r.CancelledAt, r.CancelReason = IsCancelled, c.Now(), r.against.reason(r.CancelReason)
	if err := s.stopTimers(c, r); err != nil {
		return err
	}
	if err := r.leavePool(c); err != nil {
		return err
	}
	if err := s.change(c, r, Cancelled); err != nil || was == IsRefused { // nobody had it
		return err
	}
	return s.giveBack(c, r)
}

func (s *Service) stopTimers(c *fact.Command, r *Reward) error {
	r.timed = false
	for _, kind := range []string{dueTimer, expiresTimer} {
		if _, err := timer.Cancel(c.Tx(), c.Tenant(), kind, r.ID); err != nil {
			return err
		}
	}
	return nil
}

// reinstate brings a cancelled reward back, as far as a limit still allows.
func (s *Service) reinstate(c *fact.Command, r *Reward) error {
	r.CancelledAt, r.CancelReason = noTime, ""
	if r.limit != nil {
		allowed, err := s.admit(c, r)
		if err != nil {
			return err
		}
		if !allowed {
			r.State = IsRefused
			return s.change(c, r, Refused)
		}
	}
	if err := s.comeBack(c, r); err != nil {
		return err
	}
	if err := s.change(c, r, Reinstated); err != nil {
		return err
	}
	return s.admitted(c, r)
}

// comeBack has a reward that was taken back be where it was, and where it would have
// come to since.
func (s *Service) comeBack(c *fact.Command, r *Reward) error {
	if r.AvailableAt.IsZero() {
		_, err := s.next(c, r)
		return err
	}
	used, err := r.isUsedUp(c)
	switch {
	case used:
		r.State = IsRedeemed
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(c.Now()):
		r.State = IsExpired
	default:
		r.State = IsAvailable
	}
	return err
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
	return s.object(c, r, undone)
}

// mayTakeBack refuses to undo a fact about a reward that is not the one that it was
// given.
func mayTakeBack(c *fact.Command, f *fact.Fact) error {
	r, err := selectReward(c.Tx(), c.Tenant(), f.Subject.ID)
	switch {
	case err != nil:
		return err
	case r.against&undone != 0:
		return problem.Conflict.New("the reward was taken back already, with what it was given for")
	case r.cause != f.ID:
		return problem.Conflict.New("the fact is not that the reward was given: undo %s, which is", fact.FactID.Format(r.cause))
	}
	return nil
}

// onGiven does something with a reward whose giving is undone or redone. That it was
// given before, by something else, does not matter any more.
func (s *Service) onGiven(c *fact.Command, f *fact.Fact, fn func(r *Reward) error) error {
	r, err := selectReward(c.Tx(), c.Tenant(), f.Subject.ID)
	if err != nil || r.cause != f.ID {
		return err
	}
	return fn(r)
}

// Redemption is a part of a reward to redeem, or a reward that has no parts.
type Redemption struct {
	Ref    string // its natural key; "": it is not repeated
	Amount int64  // 0: of a reward that has no parts
	Unit   string // "": the same
}

// ErrInsufficient is what errors match that refuse to redeem more than there is.
var ErrInsufficient = ledger.ErrInsufficient

// Redeem takes a part of one reward that is available, or all of it. What is no lot in
// the ledger is redeemed as a whole. Repeating it with the same reference changes nothing.
func (s *Service) Redeem(c *fact.Command, of id.ID, what Redemption) (*Reward, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return nil, err
	}
	if !r.Spendable() {
		return r, s.redeemWhole(c, r, what)
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
	whole, err := selectRedeemed(c.Tx(), c.Tenant(), r.ref(of))
	switch {
	case err != nil:
		return false, err
	case whole == of.ID:
		return true, nil
	case !whole.IsZero():
		return false, errOtherRedemption
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
	return of.ref("redemption")
}

func (s *Service) redeemed(c *fact.Command, r *Reward, amount int64, txn *ledger.Txn) error {
	r.Redeemed += amount
	if r.Used() >= r.Amount {
		r.State, r.timed = IsRedeemed, false
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
// It returns what is left. Repeating it with the same reference changes nothing.
func (s *Service) Spend(c *fact.Command, people []id.ID, what Redemption) (int64, error) {
	if what.Amount <= 0 {
		return 0, problem.InvalidField("amount", "must be more than 0")
	}
	total := int64(0)
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
