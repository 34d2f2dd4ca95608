package ledger

import (
	"cmp"
	"math"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Lot is a credit and what is left of it.
type Lot struct {
	ID        id.ID
	Wallet    Wallet
	Amount    int64     // that was given
	Remaining int64     // that can be spent, or is pending
	Expires   time.Time // zero: never, or it is pending

	source    Account
	expired   int64
	seq       int64 // the version of the wallet with which it was opened; 0: pending
	revokedBy id.ID
	stored    bool
}

// Pending reports whether the lot was never activated.
func (l *Lot) Pending() bool { return l.seq == 0 }

// Revoked reports whether the lot was revoked and not reinstated.
func (l *Lot) Revoked() bool { return !l.revokedBy.IsZero() }

// newLot is a lot that is pending and empty.
func newLot(of id.ID, w Wallet, source Account, amount int64) *Lot {
	return &Lot{ID: of, Wallet: w, source: source, Amount: amount}
}

// open has the lot be spent after those that the wallet has had with the same expiry.
func (l *Lot) open(b *booking, expires time.Time) {
	l.seq = b.txn.Change.Version
	l.Expires = expires
}

// never is how a lot is stored that does not expire: it comes last.
const never = math.MaxInt64

func expiry(t time.Time) int64 {
	if t.IsZero() {
		return never
	}
	return db.Micro(t)
}

func fromExpiry(us int64) time.Time {
	if us == never {
		return time.Time{}
	}
	return db.FromMicro(us)
}

// place is where a lot stands in the order in which those of a wallet are spent.
type place struct{ expires, seq int64 }

// inOrder compares lots of one wallet by when they are spent.
func inOrder(a, b *Lot) int {
	return cmp.Or(cmp.Compare(expiry(a.Expires), expiry(b.Expires)), cmp.Compare(a.seq, b.seq))
}

func (l *Lot) place() place { return place{expiry(l.Expires), l.seq} }
