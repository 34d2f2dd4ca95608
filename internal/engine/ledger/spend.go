package ledger

import (
	"math"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Spend takes an amount from a wallet, from as many lots as it needs. It fails with
// ErrInsufficient where less is available.
func Spend(tx *db.Tx, e Entry, w Wallet, amount int64) (*Txn, error) {
	w, err := w.named()
	if err != nil {
		return nil, err
	}
	if err := checkAmount(amount); err != nil {
		return nil, err
	}
	return debit(tx, e, Spent, w, -amount)
}

// debit takes what amount is below zero from the lots that have not expired.
func debit(tx *db.Tx, e Entry, kind Kind, w Wallet, amount int64) (*Txn, error) {
	if first, err := repeatedOn(tx, e, kind, w); first != nil || err != nil {
		return first, err
	}
	b, err := begin(tx, e, kind, w)
	if err != nil {
		return nil, err
	}
	if b.held.Available < 0 || amount < -b.held.Available {
		return nil, insufficient("the wallet holds less than that")
	}
	burnt, err := b.burn(-amount, e.At)
	if err != nil {
		return nil, err
	}
	if burnt < -amount {
		return nil, insufficient("the wallet holds less than that which has not expired")
	}
	to := Use
	if kind == Adjusted {
		to = Adjustment
	}
	b.post(to, burnt, id.ID{})
	return b.store()
}

// Redeem takes an amount from one lot, such as that of a reward. It fails with
// ErrInsufficient where the lot has less left, or has expired.
func Redeem(tx *db.Tx, e Entry, of id.ID, amount int64) (*Txn, error) {
	if err := checkAmount(amount); err != nil {
		return nil, err
	}
	if first, err := repeated(tx, e, Redeemed); first != nil || err != nil {
		return first, err
	}
	b, l, err := beginLot(tx, e, Redeemed, of)
	if err != nil {
		return nil, err
	}
	switch {
	case l.Pending():
		return nil, problem.Conflict.New("the lot is pending")
	case !l.Expires.IsZero() && !l.Expires.After(e.At):
		return nil, insufficient("the lot has expired")
	case l.Remaining < amount:
		return nil, insufficient("the lot has less than that left")
	}
	b.fill(l, -amount)
	b.post(Use, amount, id.ID{})
	return b.store()
}

// Expire takes what an open lot has left, because its time is over. The transaction
// is booked even where nothing is left; what is pending stays.
func Expire(tx *db.Tx, e Entry, of id.ID) (*Txn, error) {
	if first, err := repeated(tx, e, Expired); first != nil || err != nil {
		return first, err
	}
	b, l, err := beginLot(tx, e, Expired, of)
	if err != nil {
		return nil, err
	}
	if left := l.Remaining; !l.Pending() && left > 0 {
		l.expired += left
		b.fill(l, -left)
		b.post(Expiry, left, id.ID{})
	}
	return b.store()
}

// everything is the time after which every lot expires.
var everything time.Time

// burnPage is how many lots are read at once.
const burnPage = 100

// burn takes up to so much from the wallet's open lots that expire after at, in
// their order, and returns how much it took.
func (b *booking) burn(most int64, at time.Time) (int64, error) {
	if err := settled(b.tx); err != nil {
		return 0, err
	}
	from := place{expires: math.MinInt64}
	if at != everything {
		from = place{expires: db.Micro(at), seq: math.MaxInt64}
	}
	taken := int64(0)
	for taken < most {
		lots, err := selectOpenAfter(b.tx, b.tenant, b.held.Wallet, from, burnPage)
		if err != nil {
			return 0, err
		}
		for _, l := range lots {
			from = l.place()
			l = b.known(l)
			part := min(l.Remaining, most-taken)
			taken += part
			b.fill(l, -part)
			if taken == most {
				break
			}
		}
		if len(lots) < burnPage {
			break
		}
	}
	return taken, nil
}

// known returns the lot as the booking has it, if it has changed it already.
func (b *booking) known(read *Lot) *Lot {
	if l := b.byID[read.ID]; l != nil {
		return l
	}
	return read
}
