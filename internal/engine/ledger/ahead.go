package ledger

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Who books on many lots in one transaction reads them at once before, with what their
// wallets hold: then nothing is read for each. From then on the transaction knows them
// as it has stored them last.

// aheadKey is the key under which a transaction keeps what was read ahead.
type aheadKey struct{}

// ahead is what was read ahead, as the transaction has stored it last.
type ahead struct {
	lots     map[lotKey]Lot
	balances map[balanceKey]Balance
}

type lotKey struct{ tenant, lot id.ID }

type balanceKey struct {
	tenant, person id.ID
	wallet         string
}

// Ahead reads lots, and what their wallets hold, that operations of this transaction
// are going to need. What there is not is left out.
func Ahead(tx *db.Tx, tenant id.ID, lots []id.ID) error {
	if err := settled(tx); err != nil {
		return err
	}
	a := foresight(tx)
	if a == nil {
		a = &ahead{lots: make(map[lotKey]Lot), balances: make(map[balanceKey]Balance)}
		tx.Keep(aheadKey{}, a)
	}
	for len(lots) > 0 {
		n := min(len(lots), atOnce)
		err := eachHeld(tx, tenant, lots[:n], func(l *Lot, b Balance) {
			a.lots[lotKey{tenant, l.ID}] = *l
			a.balances[balanceKey{tenant, b.Wallet.Person, b.Wallet.Name}] = b
		})
		if err != nil {
			return err
		}
		lots = lots[n:]
	}
	return nil
}

// foresight returns what the transaction has read ahead; nil: nothing.
func foresight(tx *db.Tx) *ahead {
	a, _ := tx.Kept(aheadKey{}).(*ahead)
	return a
}

func (a *ahead) storedLot(tenant id.ID, l *Lot) {
	if a == nil {
		return
	}
	key := lotKey{tenant, l.ID}
	if _, ok := a.lots[key]; ok {
		a.lots[key] = *l
	}
}

func (a *ahead) storedBalance(tenant id.ID, b Balance) {
	if a == nil {
		return
	}
	key := balanceKey{tenant, b.Wallet.Person, b.Wallet.Name}
	if _, ok := a.balances[key]; ok {
		a.balances[key] = b
	}
}

// lotNow returns a lot as the transaction has it, or nil. The caller may change it.
func lotNow(tx *db.Tx, tenant, of id.ID) (*Lot, error) {
	if a := foresight(tx); a != nil {
		if l, ok := a.lots[lotKey{tenant, of}]; ok {
			return &l, nil
		}
	}
	if err := settled(tx); err != nil {
		return nil, err
	}
	return selectLot(tx, tenant, of)
}

// balanceNow returns what a wallet holds; the zero Balance if there is none.
func balanceNow(tx *db.Tx, tenant, person id.ID, wallet string) (Balance, error) {
	if a := foresight(tx); a != nil {
		if b, ok := a.balances[balanceKey{tenant, person, wallet}]; ok {
			return b, nil
		}
	}
	if err := settled(tx); err != nil {
		return Balance{}, err
	}
	return selectBalance(tx, tenant, person, wallet)
}
