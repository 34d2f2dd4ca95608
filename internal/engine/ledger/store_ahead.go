package ledger

import (
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// atOnce is how many lots one statement reads. Its text is always the same: where there
// are fewer, it names nobody's.
const atOnce = 40

const selectHeld = `SELECT l.id, l.person_id, l.wallet, l.unit, l.source, l.amount, l.remaining, l.expired, l.seq, l.expires_at, l.revoked_by,
	b.unit, b.available, b.pending, b.debt, b.owed, b.version, b.stamp
	FROM ledger_lot l JOIN ledger_balance b ON b.tenant_id = l.tenant_id AND b.person_id = l.person_id AND b.wallet = l.wallet
	WHERE l.tenant_id = $1 AND l.id = $`

// selectAllHeld asks for each lot by itself. A list of ids Postgres may look for among
// all of the tenant's, as long as it does not know how many these are.
var selectAllHeld = func() string {
	all := make([]string, atOnce)
	for i := range all {
		all[i] = selectHeld + strconv.Itoa(i+2)
	}
	return strings.Join(all, " UNION ALL ")
}()

// eachHeld reads up to atOnce lots that there are, each with what its wallet holds.
func eachHeld(q db.Queryer, tenant id.ID, lots []id.ID, read func(l *Lot, b Balance)) error {
	args := []any{tenant}
	for _, one := range lots {
		args = append(args, one)
	}
	for range atOnce - len(lots) {
		args = append(args, id.ID{})
	}
	rows, err := q.Query(selectAllHeld, args...)
	if err != nil {
		return wrapped("read lots", err)
	}
	defer rows.Close()
	for rows.Next() {
		l, b := &Lot{stored: true}, Balance{}
		var expires int64
		var revoked []byte
		err := rows.Scan(&l.ID, &l.Wallet.Person, &l.Wallet.Name, &l.Wallet.Unit, &l.source, &l.Amount, &l.Remaining, &l.expired, &l.seq, &expires,
			&revoked, &b.Wallet.Unit, &b.Available, &b.Pending, &b.Debt, &b.Owed, &b.Version, &b.Stamp)
		if err != nil {
			return wrapped("read lots", err)
		}
		l.Expires, b.Wallet.Person, b.Wallet.Name = fromExpiry(expires), l.Wallet.Person, l.Wallet.Name
		if l.revokedBy, err = fromNullID(revoked); err != nil {
			return wrapped("read lots", err)
		}
		read(l, b)
	}
	return wrapped("read lots", rows.Err())
}
