package reward

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// maxUses bounds how many redemptions are read at once, and maxWallets of how many
// wallets: a list may show the rewards of a thousand people.
const (
	maxUses    = 5000
	maxWallets = 100
)

// Uses returns by which redemptions rewards were redeemed, by the rewards' ids, the
// earliest first: the latest thousands of them.
func Uses(q db.Queryer, tenant id.ID, of []*Reward) (map[id.ID][]ledger.Spending, error) {
	all, read, left := make(map[id.ID][]ledger.Spending), make(map[ledger.Wallet]bool), maxUses
	for _, r := range of {
		if r.Redeemed == 0 || !r.Spendable() || read[r.wallet()] || left == 0 || len(read) == maxWallets {
			continue
		}
		read[r.wallet()] = true
		found, err := ledger.Spendings(q, tenant, r.wallet(), left)
		if err != nil {
			return nil, err
		}
		left -= len(found)
		for _, u := range slices.Backward(found) {
			all[u.Lot] = append(all[u.Lot], u)
		}
	}
	return all, nil
}
