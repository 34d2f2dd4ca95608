package ledger

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Grant is what an award gives.
type Grant struct {
	Wallet  Wallet
	Amount  int64     // more than 0
	Lot     id.ID     // what it is given for, such as a reward: the lot is called so
	Program id.ID     // whose award it is
	Expires time.Time // of the lot; zero: never. Not looked at by Promise
}

func (g Grant) check() (Grant, error) {
	w, err := g.Wallet.named()
	if err != nil {
		return g, err
	}
	g.Wallet = w
	if g.Lot.IsZero() {
		return g, problem.InvalidField("lot", "must be given")
	}
	return g, checkAmount(g.Amount)
}

// Award credits a wallet from the source of a program and opens a lot. Debt is paid
// from it first, then what is owed is kept back; the lot has the rest.
func Award(tx *db.Tx, e Entry, g Grant) (*Txn, error) {
	b, l, first, err := grant(tx, e, Awarded, g)
	if b == nil {
		return first, err
	}
	l.open(b, g.Expires)
	b.credit(l, g.Amount)
	return b.store()
}

// Promise books an award that is pending: it can't be spent until it is activated.
func Promise(tx *db.Tx, e Entry, g Grant) (*Txn, error) {
	b, l, first, err := grant(tx, e, Promised, g)
	if b == nil {
		return first, err
	}
	b.promise(l, g.Amount)
	b.post(l.source, -g.Amount, id.ID{})
	return b.store()
}

// grant begins an award with a lot that is empty, or returns the transaction that
// has the reference.
func grant(tx *db.Tx, e Entry, kind Kind, g Grant) (*booking, *Lot, *Txn, error) {
	g, err := g.check()
	if err != nil {
		return nil, nil, nil, err
	}
	if first, err := repeatedOn(tx, e, kind, g.Wallet); first != nil || err != nil {
		return nil, nil, first, err
	}
	b, err := begin(tx, e, kind, g.Wallet)
	if err != nil {
		return nil, nil, nil, err
	}
	return b, newLot(g.Lot, g.Wallet, Source(g.Program), g.Amount), nil, nil
}

// Activate makes a pending lot available until it expires; zero: for ever. Debt is
// paid from it first, then what is owed is kept back.
func Activate(tx *db.Tx, e Entry, of id.ID, expires time.Time) (*Txn, error) {
	if first, err := repeated(tx, e, Activated); first != nil || err != nil {
		return first, err
	}
	b, l, err := beginLot(tx, e, Activated, of)
	if err != nil {
		return nil, err
	}
	if !l.Pending() {
		return nil, problem.Conflict.New("the lot is not pending")
	}
	if l.Revoked() {
		return nil, errRevoked()
	}
	amount := l.Remaining
	b.promise(l, -amount)
	b.post(l.source, amount, id.ID{}) // and from there to where it goes now
	l.open(b, expires)
	b.credit(l, amount)
	b.net(l.source)
	return b.store()
}

// net makes one line of those of a system account, or none where they cancel.
func (b *booking) net(account Account) {
	sum := int64(0)
	kept := b.postings[:0]
	for _, p := range b.postings {
		if p.account == account {
			sum += p.amount
			continue
		}
		kept = append(kept, p)
	}
	b.postings = kept
	b.post(account, sum, id.ID{})
}

// Adjust credits or, below zero, debits a wallet by hand. What it credits is a lot
// that is called as the transaction and never expires; it pays debt and what is owed
// as an award does. What it debits is taken as by Spend.
func Adjust(tx *db.Tx, e Entry, w Wallet, amount int64) (*Txn, error) {
	w, err := w.named()
	if err != nil {
		return nil, err
	}
	if amount == 0 {
		return nil, problem.InvalidField("amount", "must not be 0")
	}
	if amount < 0 {
		return debit(tx, e, Adjusted, w, amount)
	}
	if first, err := repeatedOn(tx, e, Adjusted, w); first != nil || err != nil {
		return first, err
	}
	b, err := begin(tx, e, Adjusted, w)
	if err != nil {
		return nil, err
	}
	l := newLot(b.txn.ID, w, Adjustment, amount)
	l.open(b, time.Time{})
	b.credit(l, amount)
	return b.store()
}

func errRevoked() error { return problem.Conflict.New("the lot was revoked") }
