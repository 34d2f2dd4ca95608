package ledger

import (
	"errors"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Policy says what becomes of the part of a lot that was spent already when the lot
// is revoked. Spent is whatever has left the lot, other than by expiry: also what
// paid for a debt, or was kept back.
type Policy string

// The policies.
const (
	// Keep lets the person keep what was bought with it.
	Keep Policy = "keep"
	// ToZero takes the spent part from what else is available, and forgives the rest.
	// The balance does not fall below zero.
	ToZero Policy = "to_zero"
	// Negative takes the spent part from what else is available; the rest is debt. The
	// balance falls below zero by it, and later credits pay it first.
	Negative Policy = "negative"
	// OffsetNext touches nothing that is available. As much as was spent is kept back
	// from later credits, which go to their lots less that.
	OffsetNext Policy = "offset_next"
)

// Policies lists the policies there are.
func Policies() []Policy { return []Policy{Keep, ToZero, Negative, OffsetNext} }

func (p Policy) check() error {
	if slices.Contains(Policies(), p) {
		return nil
	}
	return problem.InvalidField("policy", "must be one of %s, %s, %s, %s", Keep, ToZero, Negative, OffsetNext)
}

// Revoke takes a lot back: what is pending or not spent goes back to where it came
// from, and with the spent part it is as the policy says. A lot that was revoked
// can't be revoked again unless it was reinstated.
func Revoke(tx *db.Tx, e Entry, of id.ID, policy Policy) (*Txn, error) {
	if err := policy.check(); err != nil {
		return nil, err
	}
	if first, err := repeated(tx, e, Revoked); first != nil || err != nil {
		return first, err
	}
	b, l, err := beginLot(tx, e, Revoked, of)
	if err != nil {
		return nil, err
	}
	if l.Revoked() {
		return nil, errRevoked()
	}
	l.revokedBy = b.txn.ID
	b.touch(l)
	left := l.Remaining
	if l.Pending() {
		b.promise(l, -left)
		b.post(l.source, left, id.ID{})
		return b.store()
	}
	b.fill(l, -left)
	// A lot can have come by more than was given, where what paid for its revocation
	// came back to it.
	spent := max(l.Amount-left-l.expired, 0)
	taken, err := b.takeSpent(spent, policy)
	if err != nil {
		return nil, err
	}
	b.post(l.source, left+taken, id.ID{})
	return b.store()
}

// takeSpent takes so much of what was spent as the policy says, and returns how much
// left the wallet.
func (b *booking) takeSpent(spent int64, policy Policy) (int64, error) {
	switch policy {
	case OffsetNext:
		b.withhold(spent)
		return 0, nil
	case ToZero:
		return b.burn(spent, everything)
	case Negative:
		burnt, err := b.burn(spent, everything)
		if err != nil {
			return 0, err
		}
		b.lend(spent - burnt)
		return spent, nil
	case Keep:
	}
	return 0, nil
}

// Reinstate undoes the revocation of a lot: each lot gets back exactly what was taken
// from it, with the expiry that it has, and debt and what is to be kept back go down
// again. What of these was paid or kept back since comes back to the lot itself.
// Debt that has another reason is paid first. Where the time of a lot was over
// meanwhile, it has to be expired anew: Txn.Lots has the lots with their times.
func Reinstate(tx *db.Tx, e Entry, of id.ID) (*Txn, error) {
	if first, err := repeated(tx, e, Reinstated); first != nil || err != nil {
		return first, err
	}
	b, l, err := beginLot(tx, e, Reinstated, of)
	if err != nil {
		return nil, err
	}
	if !l.Revoked() {
		return nil, problem.Conflict.New("the lot was not revoked")
	}
	took, err := takenBy(tx, b.tenant, l.revokedBy)
	if err != nil {
		return nil, err
	}
	l.revokedBy = id.ID{}
	b.touch(l)
	back := int64(0) // what comes back to the wallet
	if l.Pending() {
		for _, p := range took.postings {
			b.promise(l, -p.amount)
			back -= p.amount
		}
		b.post(l.source, -back, id.ID{})
		return b.store()
	}
	for _, p := range took.postings {
		back -= p.amount
		if p.lot.IsZero() {
			paid := min(-p.amount, b.held.Debt)
			b.lend(-paid)
			b.fill(l, -p.amount-paid)
			continue
		}
		from, err := b.lot(p.lot, l)
		if err != nil {
			return nil, err
		}
		b.fill(from, -p.amount)
	}
	kept := max(took.owed-b.held.Owed, 0) // kept back since
	b.withhold(kept - took.owed)
	b.fill(l, kept)
	b.payDebt()
	b.post(l.source, -back-kept, id.ID{})
	return b.store()
}

// taken is what a revocation took from a wallet.
type taken struct {
	postings []posting // those of the wallet, all below zero
	owed     int64
}

func takenBy(q db.Queryer, tenant, revocation id.ID) (taken, error) {
	if err := settled(q); err != nil {
		return taken{}, err
	}
	t, err := selectByID(q, tenant, revocation)
	if err != nil {
		return taken{}, err
	}
	if t == nil {
		return taken{}, errors.New("ledger: the transaction that revoked a lot is missing")
	}
	postings, err := selectPostings(q, tenant, revocation)
	ofWallet := func(p posting) bool {
		return p.account == t.Change.Account || p.account == Pending(t.Wallet.Person, t.Wallet.Name)
	}
	return taken{slices.DeleteFunc(postings, func(p posting) bool { return !ofWallet(p) }), t.Owed}, err
}

// lot returns a lot of the wallet; l is one that is known.
func (b *booking) lot(of id.ID, l *Lot) (*Lot, error) {
	if of == l.ID {
		return l, nil
	}
	read, err := lotNow(b.tx, b.tenant, of)
	if err != nil {
		return nil, err
	}
	if read == nil {
		return nil, problem.NotFound.New("there is no such lot")
	}
	return b.known(read), nil
}

// payDebt pays debt from the lots of the booking, in the order in which they are
// spent. No other lot has anything left while there is debt.
func (b *booking) payDebt() {
	for _, l := range slices.SortedFunc(slices.Values(b.lots), inOrder) {
		paid := min(l.Remaining, b.held.Debt)
		b.fill(l, -paid)
		b.lend(-paid)
	}
}
