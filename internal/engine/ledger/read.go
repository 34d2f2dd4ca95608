package ledger

import (
	"math"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Balance is what a wallet holds.
type Balance struct {
	Wallet    Wallet
	Available int64 // below zero: debt
	Pending   int64
	Debt      int64 // what later credits pay first; it is in Available
	Owed      int64 // what is kept back from later credits; it is not in Available
	Version   int64 // how many transactions there were; 0: the wallet does not exist yet
	Stamp     int64 // see Change
}

// settled has the database see what the operations of a transaction have stored.
func settled(q db.Queryer) error {
	if tx, ok := q.(*db.Tx); ok {
		return tx.Flush()
	}
	return nil
}

// ReadBalance returns what a wallet holds; an empty one where there was no transaction yet.
func ReadBalance(q db.Queryer, tenant id.ID, w Wallet) (Balance, error) {
	w, err := w.named()
	if err != nil {
		return Balance{}, err
	}
	if err := settled(q); err != nil {
		return Balance{}, err
	}
	b, err := selectBalance(q, tenant, w.Person, w.Name)
	if err == nil && b.Version == 0 {
		b.Wallet = w
	}
	return b, err
}

// Balances returns what a person's wallets hold, in the order of their names.
func Balances(q db.Queryer, tenant, person id.ID) ([]Balance, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	return selectBalances(q, `SELECT `+balanceColumns+` FROM ledger_balance WHERE tenant_id = $1 AND person_id = $2 ORDER BY wallet`,
		tenant[:], person[:])
}

// ReadLot returns a lot, by the id of what it was given for.
func ReadLot(q db.Queryer, tenant, of id.ID) (*Lot, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	l, err := selectLot(q, tenant, of)
	if err == nil && l == nil {
		return nil, problem.NotFound.New("there is no such lot")
	}
	return l, err
}

// Lots returns the lots of a wallet that have something left, pending ones among
// them, in the order in which they are spent; at most limit of them.
func Lots(q db.Queryer, tenant id.ID, w Wallet, limit int) ([]*Lot, error) {
	w, err := w.named()
	if err != nil {
		return nil, err
	}
	if err := settled(q); err != nil {
		return nil, err
	}
	return selectFilled(q, tenant, w, limit)
}

// ReadTxn returns a transaction.
func ReadTxn(q db.Queryer, tenant, of id.ID) (*Txn, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	t, err := selectByID(q, tenant, of)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, problem.NotFound.New("there is no such transaction")
	}
	t.Lots, err = selectParts(q, tenant, t.ID, t.Change.Account)
	return t, err
}

// ReadByRef returns the transaction with a reference, or problem.NotFound.
func ReadByRef(q db.Queryer, tenant id.ID, ref string) (*Txn, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	t, err := selectByRef(q, tenant, ref)
	if err != nil {
		return nil, err
	}
	if t == nil {
		return nil, problem.NotFound.New("there is no such transaction")
	}
	t.Lots, err = selectParts(q, tenant, t.ID, t.Change.Account)
	return t, err
}

// Page asks for a part of a history.
type Page struct {
	Limit  int   // at least 1
	Before int64 // only transactions with a lower version, which are older; 0: from the newest
}

// History returns transactions of a wallet, the newest first, without their parts.
// The version of the last one is the Before of the next page.
func History(q db.Queryer, tenant id.ID, w Wallet, p Page) ([]Txn, error) {
	w, err := w.named()
	if err != nil {
		return nil, err
	}
	if p.Limit < 1 {
		return nil, problem.InvalidField("limit", "must be at least 1")
	}
	if p.Before == 0 {
		p.Before = math.MaxInt64
	}
	if err := settled(q); err != nil {
		return nil, err
	}
	return selectHistory(q, tenant, w, p)
}
