package ledger

import (
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
