package ledger

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Dated is what a wallet holds, with the times of its first and its last
// transaction.
type Dated struct {
	Balance

	CreatedAt, UpdatedAt time.Time
}

// After returns what the tenant's wallets hold that follow one in the order of their
// people and names; the zero Wallet: the first ones.
func After(q db.Queryer, tenant id.ID, after Wallet, limit int) ([]Dated, error) {
	rows, err := q.Query(`SELECT b.person_id, b.wallet, b.unit, b.available, b.pending, b.debt, b.owed, b.version, first.at, last.at
		FROM ledger_balance b
		JOIN ledger_txn first ON first.tenant_id = b.tenant_id AND first.person_id = b.person_id AND first.wallet = b.wallet AND first.version = 1
		JOIN ledger_txn last ON last.tenant_id = b.tenant_id AND last.person_id = b.person_id AND last.wallet = b.wallet AND last.version = b.version
		WHERE b.tenant_id = $1 AND (b.person_id, b.wallet) > ($2, $3) ORDER BY b.person_id, b.wallet LIMIT $4`,
		tenant, after.Person, after.Name, limit)
	if err != nil {
		return nil, wrapped("list balances", err)
	}
	defer rows.Close()
	var all []Dated
	for rows.Next() {
		var d Dated
		var first, last int64
		if err := rows.Scan(&d.Wallet.Person, &d.Wallet.Name, &d.Wallet.Unit, &d.Available, &d.Pending, &d.Debt, &d.Owed, &d.Version,
			&first, &last); err != nil {
			return nil, wrapped("list balances", err)
		}
		d.CreatedAt, d.UpdatedAt = db.FromMicro(first), db.FromMicro(last)
		all = append(all, d)
	}
	return all, wrapped("list balances", rows.Err())
}

// selectSpendings returns the postings by which lots of a wallet were spent. The join
// has SQLite begin with the wallet's transactions: it would read all postings.
func selectSpendings(q db.Queryer, tenant id.ID, w Wallet, limit int) ([]Spending, error) {
	rows, err := q.Query(`SELECT t.id, t.at, p.lot_id, p.amount FROM ledger_txn t
		CROSS JOIN ledger_posting p
		WHERE t.tenant_id = $1 AND t.person_id = $2 AND t.wallet = $3 AND t.kind IN ($4, $5)
			AND p.tenant_id = t.tenant_id AND p.txn_id = t.id AND p.account = $6 AND p.lot_id IS NOT NULL
		ORDER BY t.version DESC, p.ordinal DESC LIMIT $7`,
		tenant[:], w.Person[:], w.Name, string(Spent), string(Redeemed), string(Available(w.Person, w.Name)), limit)
	if err != nil {
		return nil, wrapped("list what was spent", err)
	}
	defer rows.Close()
	var all []Spending
	for rows.Next() {
		var u Spending
		var at int64
		if err := rows.Scan(&u.Txn, &at, &u.Lot, &u.Amount); err != nil {
			return nil, wrapped("list what was spent", err)
		}
		u.At, u.Amount = db.FromMicro(at), -u.Amount
		all = append(all, u)
	}
	return all, wrapped("list what was spent", rows.Err())
}

// BalancesOf returns what the wallets of people hold, in the order of the people and
// then of the wallets' names.
func BalancesOf(q db.Queryer, tenant id.ID, people []id.ID) ([]Balance, error) {
	if err := settled(q); err != nil {
		return nil, err
	}
	var all []Balance
	for list, args := range db.In(people, tenant) {
		found, err := selectBalances(q, `SELECT `+balanceColumns+` FROM ledger_balance WHERE tenant_id = $1 AND person_id IN `+list, args...)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	places := make(map[id.ID]int, len(people))
	for i, of := range people {
		places[of] = i
	}
	slices.SortFunc(all, func(a, b Balance) int {
		return cmp.Or(cmp.Compare(places[a.Wallet.Person], places[b.Wallet.Person]), strings.Compare(a.Wallet.Name, b.Wallet.Name))
	})
	return all, nil
}
