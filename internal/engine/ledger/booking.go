package ledger

import (
	"math"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// booking is a transaction that is being put together. It is stored as a whole.
type booking struct {
	tx       *db.Tx
	tenant   id.ID
	txn      Txn
	held     Balance // of the wallet, with all that was posted so far
	postings []posting
	lots     []*Lot // that were changed or made
	byID     map[id.ID]*Lot
	overflow bool
}

// posting is a line of a transaction.
type posting struct {
	account Account
	amount  int64
	lot     id.ID // zero: none
}

// repeated returns the transaction that has the entry's reference, or nil if there is
// none yet.
func repeated(tx *db.Tx, e Entry, kind Kind) (*Txn, error) {
	if err := e.check(); err != nil || e.Fresh {
		return nil, err
	}
	if err := tx.Flush(); err != nil {
		return nil, err
	}
	first, err := selectByRef(tx, e.Tenant, e.Ref)
	if err != nil || first == nil {
		return nil, err
	}
	if first.Kind != kind {
		return nil, problem.Conflict.New("the reference was used for a transaction of another kind")
	}
	if first.Lots, err = selectParts(tx, e.Tenant, first.ID, first.Change.Account); err != nil {
		return nil, err
	}
	first.Replayed = true
	return first, nil
}

// repeatedOn is repeated for an operation that names its wallet.
func repeatedOn(tx *db.Tx, e Entry, kind Kind, w Wallet) (*Txn, error) {
	first, err := repeated(tx, e, kind)
	if first != nil && first.Wallet != w {
		return nil, problem.Conflict.New("the reference was used for another wallet")
	}
	return first, err
}

// begin reads the wallet as it is.
func begin(tx *db.Tx, e Entry, kind Kind, w Wallet) (*booking, error) {
	held, err := balanceNow(tx, e.Tenant, w.Person, w.Name)
	if err != nil {
		return nil, err
	}
	if held.Version == 0 {
		held.Wallet = w
	}
	if held.Wallet.Unit != w.Unit {
		return nil, problem.Conflict.New("the wallet holds another unit")
	}
	return &booking{tx: tx, tenant: e.Tenant, held: held, byID: make(map[id.ID]*Lot), txn: Txn{
		ID: id.New(tx.Now()), Ref: e.Ref, Kind: kind, Cause: e.Cause, At: e.At.Truncate(time.Microsecond).UTC(), Wallet: held.Wallet,
		Change: Change{
			Account: Available(w.Person, w.Name), Unit: w.Unit,
			Before: held.Available, Version: held.Version + 1, Stamp: max(held.Stamp+1, tx.Now().UnixMilli()),
		},
	}}, nil
}

// beginLot is begin for the wallet that a lot is in.
func beginLot(tx *db.Tx, e Entry, kind Kind, of id.ID) (*booking, *Lot, error) {
	l, err := lotNow(tx, e.Tenant, of)
	if err != nil {
		return nil, nil, err
	}
	if l == nil {
		return nil, nil, problem.NotFound.New("there is no such lot")
	}
	b, err := begin(tx, e, kind, l.Wallet)
	return b, l, err
}

// add changes a sum, and notes where it would not fit.
func (b *booking) add(sum *int64, amount int64) {
	if amount > 0 && *sum > math.MaxInt64-amount || amount < 0 && *sum < math.MinInt64-amount {
		b.overflow = true
		return
	}
	*sum += amount
}

// post adds a line. What lines for system accounts and wallets have to add up to is
// for the operations to see to.
func (b *booking) post(account Account, amount int64, of id.ID) {
	if amount != 0 {
		b.postings = append(b.postings, posting{account, amount, of})
	}
}

// fill posts to the available account by way of an open lot; below zero it takes
// from it.
func (b *booking) fill(l *Lot, amount int64) {
	if amount == 0 {
		return
	}
	b.add(&l.Remaining, amount)
	b.add(&b.held.Available, amount)
	b.post(b.txn.Change.Account, amount, l.ID)
	b.touch(l)
}

// promise posts to the pending account by way of a pending lot; below zero it takes
// from it.
func (b *booking) promise(l *Lot, amount int64) {
	b.add(&l.Remaining, amount)
	b.add(&b.held.Pending, amount)
	b.post(Pending(l.Wallet.Person, l.Wallet.Name), amount, l.ID)
	b.touch(l)
}

// lend posts debt; below zero it is paid.
func (b *booking) lend(amount int64) {
	b.add(&b.held.Debt, amount)
	b.add(&b.held.Available, -amount)
	b.post(b.txn.Change.Account, -amount, id.ID{})
}

// withhold has later credits keep back so much; below zero it was kept back.
func (b *booking) withhold(amount int64) {
	b.add(&b.held.Owed, amount)
	b.txn.Owed += amount
}

func (b *booking) touch(l *Lot) {
	if b.byID[l.ID] == nil {
		b.lots = append(b.lots, l)
		b.byID[l.ID] = l
	}
}

// credit fills an open lot with what its source gives, after debt is paid and what is
// owed is kept back.
func (b *booking) credit(l *Lot, amount int64) {
	paid := min(amount, b.held.Debt)
	kept := min(amount-paid, b.held.Owed)
	b.lend(-paid)
	b.withhold(-kept)
	b.fill(l, amount-paid-kept)
	b.post(l.source, kept-amount, id.ID{})
	b.touch(l)
}

// store stores the transaction. What it returns can't be changed by whoever called.
func (b *booking) store() (*Txn, error) {
	if b.overflow {
		return nil, problem.InvalidField("amount", "is more than the wallet can hold")
	}
	b.txn.Change.After = b.held.Available
	b.txn.Lots = b.parts()
	b.held.Version, b.held.Stamp = b.txn.Change.Version, b.txn.Change.Stamp
	for _, l := range b.lots {
		if err := storeLot(b.tx, b.tenant, l); err != nil {
			return nil, err
		}
	}
	if err := insertTxn(b.tx, b.tenant, &b.txn); err != nil {
		return nil, err
	}
	for i, p := range b.postings {
		if err := insertPosting(b.tx, b.tenant, b.txn.ID, i, p); err != nil {
			return nil, err
		}
	}
	if err := storeBalance(b.tx, b.tenant, b.held); err != nil {
		return nil, err
	}
	return &b.txn, nil
}

// parts collects what lots gained or lost, in one part for each lot.
type parts struct {
	list []Part
	at   map[id.ID]int
}

func (p *parts) add(of Part) {
	if i, ok := p.at[of.Lot]; ok {
		p.list[i].Amount += of.Amount
		return
	}
	if p.at == nil {
		p.at = make(map[id.ID]int)
	}
	p.at[of.Lot] = len(p.list)
	p.list = append(p.list, of)
}

// parts returns what the booking does to open lots.
func (b *booking) parts() []Part {
	var changed parts
	for _, p := range b.postings {
		if p.account == b.txn.Change.Account && !p.lot.IsZero() {
			changed.add(Part{p.lot, p.amount, b.byID[p.lot].Expires})
		}
	}
	return changed.list
}
