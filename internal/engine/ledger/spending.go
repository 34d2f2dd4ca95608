package ledger

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Spending is a part of a lot that was spent.
type Spending struct {
	Txn    id.ID
	Lot    id.ID
	At     time.Time
	Amount int64
}

// Spendings returns what was spent of the lots of a wallet, the latest first and limit at
// most. What came back afterwards, because the lot was revoked, is among it.
func Spendings(q db.Queryer, tenant id.ID, w Wallet, limit int) ([]Spending, error) {
	w, err := w.named()
	if err != nil {
		return nil, err
	}
	if err := settled(q); err != nil {
		return nil, err
	}
	return selectSpendings(q, tenant, w, limit)
}
