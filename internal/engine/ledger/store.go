package ledger

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// errChanged is for what can't happen to a serializable transaction.
var errChanged = errors.New("ledger: the wallet was changed by another transaction meanwhile")

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

const txnColumns = `id, ref, kind, cause, at, person_id, wallet, unit, available_before, available_after, version, owed, stamp`

func insertTxn(tx *db.Tx, tenant id.ID, t *Txn) error {
	err := tx.Later(`INSERT INTO ledger_txn (tenant_id, `+txnColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (tenant_id, ref) DO NOTHING`,
		[]any{
			tenant[:], t.ID[:], t.Ref, string(t.Kind), t.Cause[:], db.Micro(t.At), t.Wallet.Person[:], t.Wallet.Name, t.Wallet.Unit,
			t.Change.Before, t.Change.After, t.Change.Version, t.Owed, t.Change.Stamp,
		}, one)
	return wrapped("store a transaction", err)
}

// one demands that a statement has concerned one row.
func one(rows int64) error {
	if rows != 1 {
		return errChanged
	}
	return nil
}

func scanTxn(row scanner) (Txn, error) {
	var t Txn
	var at int64
	err := row.Scan(&t.ID, &t.Ref, &t.Kind, &t.Cause, &at, &t.Wallet.Person, &t.Wallet.Name, &t.Wallet.Unit,
		&t.Change.Before, &t.Change.After, &t.Change.Version, &t.Owed, &t.Change.Stamp)
	t.At = db.FromMicro(at)
	t.Change.Account, t.Change.Unit = Available(t.Wallet.Person, t.Wallet.Name), t.Wallet.Unit
	return t, err
}

// selectByRef returns the transaction with a reference without its parts, or nil.
func selectByRef(q db.Queryer, tenant id.ID, ref string) (*Txn, error) {
	t, err := scanTxn(q.QueryRow(`SELECT `+txnColumns+` FROM ledger_txn WHERE tenant_id = $1 AND ref = $2`, tenant[:], ref))
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return &t, wrapped("read a transaction", err)
}

// selectByID is selectByRef by the transaction's id.
func selectByID(q db.Queryer, tenant, of id.ID) (*Txn, error) {
	t, err := scanTxn(q.QueryRow(`SELECT `+txnColumns+` FROM ledger_txn WHERE tenant_id = $1 AND id = $2`, tenant[:], of[:]))
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return &t, wrapped("read a transaction", err)
}

// selectHistory returns transactions of a wallet without their parts, the newest
// first.
func selectHistory(q db.Queryer, tenant id.ID, w Wallet, p Page) ([]Txn, error) {
	rows, err := q.Query(`SELECT `+txnColumns+` FROM ledger_txn
		WHERE tenant_id = $1 AND person_id = $2 AND wallet = $3 AND version < $4 ORDER BY version DESC LIMIT $5`,
		tenant[:], w.Person[:], w.Name, p.Before, p.Limit)
	if err != nil {
		return nil, wrapped("list transactions", err)
	}
	defer rows.Close()
	var txns []Txn
	for rows.Next() {
		t, err := scanTxn(rows)
		if err != nil {
			return nil, wrapped("list transactions", err)
		}
		txns = append(txns, t)
	}
	return txns, wrapped("list transactions", rows.Err())
}

func insertPosting(tx *db.Tx, tenant, txn id.ID, ordinal int, p posting) error {
	err := tx.Later(`INSERT INTO ledger_posting (tenant_id, txn_id, ordinal, account, amount, lot_id) VALUES ($1, $2, $3, $4, $5, $6)`,
		[]any{tenant[:], txn[:], ordinal, string(p.account), p.amount, nullID(p.lot)}, nil)
	return wrapped("store a posting", err)
}

// nullID stores an id that may be missing: the zero ID as NULL.
func nullID(of id.ID) any {
	if of.IsZero() {
		return nil
	}
	return of[:]
}

func fromNullID(stored []byte) (id.ID, error) {
	var of id.ID
	if stored == nil {
		return of, nil
	}
	return of, of.Scan(stored)
}

// selectPostings returns the lines of a transaction in their order.
func selectPostings(q db.Queryer, tenant, txn id.ID) ([]posting, error) {
	rows, err := q.Query(`SELECT account, amount, lot_id FROM ledger_posting WHERE tenant_id = $1 AND txn_id = $2 ORDER BY ordinal`,
		tenant[:], txn[:])
	if err != nil {
		return nil, wrapped("read postings", err)
	}
	defer rows.Close()
	var postings []posting
	for rows.Next() {
		var p posting
		var of []byte
		if err := rows.Scan(&p.account, &p.amount, &of); err != nil {
			return nil, wrapped("read postings", err)
		}
		if p.lot, err = fromNullID(of); err != nil {
			return nil, wrapped("read postings", err)
		}
		postings = append(postings, p)
	}
	return postings, wrapped("read postings", rows.Err())
}

// selectParts returns what a transaction did to open lots.
func selectParts(q db.Queryer, tenant, txn id.ID, available Account) ([]Part, error) {
	rows, err := q.Query(`SELECT p.lot_id, p.amount, l.expires_at FROM ledger_posting p
		JOIN ledger_lot l ON l.tenant_id = p.tenant_id AND l.id = p.lot_id
		WHERE p.tenant_id = $1 AND p.txn_id = $2 AND p.account = $3 ORDER BY p.ordinal`, tenant[:], txn[:], string(available))
	if err != nil {
		return nil, wrapped("read postings", err)
	}
	defer rows.Close()
	var changed parts
	for rows.Next() {
		var p Part
		var expires int64
		if err := rows.Scan(&p.Lot, &p.Amount, &expires); err != nil {
			return nil, wrapped("read postings", err)
		}
		p.Expires = fromExpiry(expires)
		changed.add(p)
	}
	return changed.list, wrapped("read postings", rows.Err())
}

const lotColumns = `id, person_id, wallet, unit, source, amount, remaining, expired, seq, expires_at, revoked_by`

func storeLot(tx *db.Tx, tenant id.ID, l *Lot) error {
	foresight(tx).storedLot(tenant, l)
	if l.stored {
		err := tx.Later(`UPDATE ledger_lot SET remaining = $3, expired = $4, seq = $5, expires_at = $6, revoked_by = $7 WHERE tenant_id = $1 AND id = $2`,
			[]any{tenant[:], l.ID[:], l.Remaining, l.expired, l.seq, expiry(l.Expires), nullID(l.revokedBy)}, one)
		return wrapped("change a lot", err)
	}
	err := tx.Later(`INSERT INTO ledger_lot (tenant_id, `+lotColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (tenant_id, id) DO NOTHING`,
		[]any{
			tenant[:], l.ID[:], l.Wallet.Person[:], l.Wallet.Name, l.Wallet.Unit, string(l.source), l.Amount, l.Remaining, l.expired,
			l.seq, expiry(l.Expires), nullID(l.revokedBy),
		}, func(rows int64) error {
			if rows == 0 {
				return problem.Conflict.New("there is a lot for this already, booked under another reference")
			}
			return nil
		})
	return wrapped("store a lot", err)
}

func scanLot(row scanner) (*Lot, error) {
	l := &Lot{stored: true}
	var expires int64
	var revoked []byte
	err := row.Scan(&l.ID, &l.Wallet.Person, &l.Wallet.Name, &l.Wallet.Unit, &l.source, &l.Amount, &l.Remaining, &l.expired,
		&l.seq, &expires, &revoked)
	if err != nil {
		return nil, err
	}
	l.Expires = fromExpiry(expires)
	l.revokedBy, err = fromNullID(revoked)
	return l, err
}

// selectLot returns a lot, or nil.
func selectLot(q db.Queryer, tenant, of id.ID) (*Lot, error) {
	l, err := scanLot(q.QueryRow(`SELECT `+lotColumns+` FROM ledger_lot WHERE tenant_id = $1 AND id = $2`, tenant[:], of[:]))
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return l, wrapped("read a lot", err)
}

// selectOpenAfter returns the lots of a wallet that have something left and stand
// behind a place, in their order, with pending ones left out.
func selectOpenAfter(q db.Queryer, tenant id.ID, w Wallet, from place, limit int) ([]*Lot, error) {
	return selectLots(q, `SELECT `+lotColumns+` FROM ledger_lot
		WHERE tenant_id = $1 AND person_id = $2 AND wallet = $3 AND remaining > 0 AND (expires_at, seq) > ($4, $5) AND seq > 0
		ORDER BY expires_at, seq LIMIT $6`, tenant[:], w.Person[:], w.Name, from.expires, from.seq, limit)
}

// selectFilled returns the first lots of a wallet that have something left, pending
// ones among them, in the order in which they are spent.
func selectFilled(q db.Queryer, tenant id.ID, w Wallet, limit int) ([]*Lot, error) {
	return selectLots(q, `SELECT `+lotColumns+` FROM ledger_lot
		WHERE tenant_id = $1 AND person_id = $2 AND wallet = $3 AND remaining > 0 ORDER BY expires_at, seq, id LIMIT $4`,
		tenant[:], w.Person[:], w.Name, limit)
}

func selectLots(q db.Queryer, query string, args ...any) ([]*Lot, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, wrapped("list lots", err)
	}
	defer rows.Close()
	var lots []*Lot
	for rows.Next() {
		l, err := scanLot(rows)
		if err != nil {
			return nil, wrapped("list lots", err)
		}
		lots = append(lots, l)
	}
	return lots, wrapped("list lots", rows.Err())
}

const balanceColumns = `person_id, wallet, unit, available, pending, debt, owed, version, stamp`

func scanBalance(row scanner) (Balance, error) {
	var b Balance
	err := row.Scan(&b.Wallet.Person, &b.Wallet.Name, &b.Wallet.Unit, &b.Available, &b.Pending, &b.Debt, &b.Owed, &b.Version, &b.Stamp)
	return b, err
}

// selectBalance returns what a wallet holds; the zero Balance if there is none.
func selectBalance(q db.Queryer, tenant, person id.ID, wallet string) (Balance, error) {
	b, err := scanBalance(q.QueryRow(`SELECT `+balanceColumns+` FROM ledger_balance WHERE tenant_id = $1 AND person_id = $2 AND wallet = $3`,
		tenant[:], person[:], wallet))
	if errors.Is(err, db.ErrNoRows) {
		return Balance{}, nil
	}
	return b, wrapped("read a balance", err)
}

func selectBalances(q db.Queryer, query string, args ...any) ([]Balance, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, wrapped("list balances", err)
	}
	defer rows.Close()
	var balances []Balance
	for rows.Next() {
		b, err := scanBalance(rows)
		if err != nil {
			return nil, wrapped("list balances", err)
		}
		balances = append(balances, b)
	}
	return balances, wrapped("list balances", rows.Err())
}

// storeBalance stores a balance if it follows on the one that is stored.
func storeBalance(tx *db.Tx, tenant id.ID, b Balance) error {
	foresight(tx).storedBalance(tenant, b)
	err := tx.Later(`INSERT INTO ledger_balance (tenant_id, `+balanceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (tenant_id, person_id, wallet) DO UPDATE SET available = excluded.available, pending = excluded.pending,
			debt = excluded.debt, owed = excluded.owed, version = excluded.version, stamp = excluded.stamp
		WHERE ledger_balance.version = excluded.version - 1`,
		[]any{
			tenant[:], b.Wallet.Person[:], b.Wallet.Name, b.Wallet.Unit, b.Available, b.Pending, b.Debt, b.Owed, b.Version, b.Stamp,
		}, one)
	return wrapped("store a balance", err)
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ledger: %s: %w", doing, err)
}

// eachPosting reads the transactions of a wallet in their order, once for each of
// their postings; those without postings once.
func eachPosting(q db.Queryer, tenant id.ID, w Wallet, read func(t Txn, p posting)) error {
	rows, err := q.Query(`SELECT t.id, t.available_before, t.available_after, t.version, t.owed, coalesce(p.account, ''), coalesce(p.amount, 0), p.lot_id
		FROM ledger_txn t LEFT JOIN ledger_posting p ON p.tenant_id = t.tenant_id AND p.txn_id = t.id
		WHERE t.tenant_id = $1 AND t.person_id = $2 AND t.wallet = $3 ORDER BY t.version, p.ordinal`, tenant[:], w.Person[:], w.Name)
	if err != nil {
		return wrapped("read the books", err)
	}
	defer rows.Close()
	for rows.Next() {
		var t Txn
		var p posting
		var of []byte
		err := rows.Scan(&t.ID, &t.Change.Before, &t.Change.After, &t.Change.Version, &t.Owed, &p.account, &p.amount, &of)
		if err != nil {
			return wrapped("read the books", err)
		}
		if p.lot, err = fromNullID(of); err != nil {
			return wrapped("read the books", err)
		}
		read(t, p)
	}
	return wrapped("read the books", rows.Err())
}
