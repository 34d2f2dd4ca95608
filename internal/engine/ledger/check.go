package ledger

import (
	"fmt"
	"math"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Place is a wallet's place among those of a tenant. The zero Place stands before the
// first.
type Place struct {
	Person id.ID
	Wallet string
}

// Fault is something in the books that must not be.
type Fault struct {
	Wallet Wallet
	Detail string
}

// Check reads the books of up to limit wallets behind a place, every transaction of
// them, and returns what is wrong there and the place of the last; the zero Place
// where none is left. In books that are right the postings of each transaction add up
// to zero; each transaction begins with what the one before it left; lots, pending
// lots and debt have what was posted to them; and the balance is what the open lots
// have left, less the debt.
func Check(q db.Queryer, tenant id.ID, after Place, limit int) ([]Fault, Place, error) {
	if err := settled(q); err != nil {
		return nil, Place{}, err
	}
	balances, err := selectBalances(q, `SELECT `+balanceColumns+` FROM ledger_balance
		WHERE tenant_id = $1 AND (person_id, wallet) > ($2, $3) ORDER BY person_id, wallet LIMIT $4`, tenant[:], after.Person[:], after.Wallet, limit)
	if err != nil {
		return nil, Place{}, err
	}
	var faults []Fault
	for _, held := range balances {
		found, err := checkWallet(q, tenant, held)
		if err != nil {
			return nil, Place{}, err
		}
		faults = append(faults, found...)
	}
	if len(balances) < limit {
		return faults, Place{}, nil
	}
	last := balances[len(balances)-1].Wallet
	return faults, Place{last.Person, last.Name}, nil
}

// audit adds up what was posted to one wallet.
type audit struct {
	held   Balance
	faults []Fault

	available, pending, debt, owed int64
	lots                           map[id.ID]int64

	open      Txn // whose postings are being read
	sum, rise int64
}

func checkWallet(q db.Queryer, tenant id.ID, held Balance) ([]Fault, error) {
	a := &audit{held: held, lots: make(map[id.ID]int64)}
	if err := eachPosting(q, tenant, held.Wallet, a.read); err != nil {
		return nil, err
	}
	a.close()
	filled, err := selectFilled(q, tenant, held.Wallet, math.MaxInt32)
	if err != nil {
		return nil, err
	}
	a.finish(filled)
	return a.faults, nil
}

func (a *audit) fault(format string, args ...any) {
	a.faults = append(a.faults, Fault{a.held.Wallet, fmt.Sprintf(format, args...)})
}

// read takes a transaction with one of its postings; one without postings comes with
// none.
func (a *audit) read(t Txn, p posting) {
	if t.ID != a.open.ID {
		a.close()
		if t.Change.Version != a.open.Change.Version+1 || t.Change.Before != a.open.Change.After {
			a.fault("transaction %s does not follow on the one before it", TxnID.Format(t.ID))
		}
		a.open, a.sum, a.rise = t, 0, 0
		a.owed += t.Owed
	}
	a.sum += p.amount
	w := a.held.Wallet
	if p.account == Pending(w.Person, w.Name) {
		a.pending += p.amount
		a.lots[p.lot] += p.amount
	}
	if p.account != Available(w.Person, w.Name) {
		return
	}
	a.rise += p.amount
	a.available += p.amount
	if p.lot.IsZero() {
		a.debt -= p.amount
		return
	}
	a.lots[p.lot] += p.amount
}

// close judges the transaction that was read.
func (a *audit) close() {
	if a.sum != 0 {
		a.fault("the postings of transaction %s add up to %d", TxnID.Format(a.open.ID), a.sum)
	}
	if a.open.Change.Before+a.rise != a.open.Change.After {
		a.fault("transaction %s says that it changed the balance otherwise than its postings do", TxnID.Format(a.open.ID))
	}
}

// finish compares what was posted with what is held.
func (a *audit) finish(filled []*Lot) {
	posted := Balance{a.held.Wallet, a.available, a.pending, a.debt, a.owed, a.open.Change.Version, a.held.Stamp}
	if posted != a.held {
		a.fault("the wallet holds %+v, its postings %+v", a.held, posted)
	}
	left, pending := int64(0), int64(0)
	for _, l := range filled {
		if a.lots[l.ID] != l.Remaining {
			a.fault("a lot has %d left, its postings %d", l.Remaining, a.lots[l.ID])
		}
		delete(a.lots, l.ID)
		if l.Pending() {
			pending += l.Remaining
			continue
		}
		left += l.Remaining
	}
	for _, sum := range a.lots {
		if sum != 0 {
			a.fault("a lot has nothing left, its postings %d", sum)
		}
	}
	if a.held.Available != left-a.held.Debt || a.held.Pending != pending || a.held.Debt > 0 && left > 0 || a.held.Debt < 0 || a.held.Owed < 0 {
		a.fault("the wallet holds %+v, its lots %d and %d pending", a.held, left, pending)
	}
}
