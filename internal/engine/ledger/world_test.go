package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var start = time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)

// book is a tenant's ledger with one wallet in it.
type book struct {
	t       testing.TB
	d       *db.DB
	tenant  id.ID
	program id.ID
	wallet  ledger.Wallet
	now     time.Time
	refs    int
}

func newBook(t testing.TB, d *db.DB) *book {
	return &book{
		t: t, d: d, tenant: id.New(start), program: id.New(start), now: start,
		wallet: ledger.Wallet{Person: id.New(start), Name: "cents", Unit: "cents"},
	}
}

func openBook(t testing.TB) *book { return newBook(t, testkit.OpenDB(t, db.Options{})) }

// operation is one that only wants to know where and by what name.
type operation func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error)

func (b *book) entry() ledger.Entry {
	b.refs++
	return ledger.Entry{Tenant: b.tenant, Ref: fmt.Sprint("ref ", b.refs), Cause: id.New(start), At: b.now}
}

func (b *book) book(e ledger.Entry, op operation) (*ledger.Txn, error) {
	var booked *ledger.Txn
	err := b.d.Write(b.t.Context(), func(tx *db.Tx) error {
		var err error
		booked, err = op(tx, e)
		return err
	})
	return booked, err
}

func (b *book) must(op operation) *ledger.Txn {
	b.t.Helper()
	booked, err := b.book(b.entry(), op)
	if err != nil {
		b.t.Fatal(err)
	}
	return booked
}

func (b *book) grant(lot id.ID, amount int64, expires time.Time) ledger.Grant {
	return ledger.Grant{Wallet: b.wallet, Amount: amount, Lot: lot, Program: b.program, Expires: expires}
}

// award gives an amount that never expires and returns its lot.
func (b *book) award(amount int64) id.ID {
	b.t.Helper()
	return b.awardUntil(amount, time.Time{})
}

func (b *book) awardUntil(amount int64, expires time.Time) id.ID {
	b.t.Helper()
	lot := id.New(start)
	b.must(award(b.grant(lot, amount, expires)))
	return lot
}

func award(g ledger.Grant) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Award(tx, e, g) }
}

func promise(g ledger.Grant) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Promise(tx, e, g) }
}

func activate(lot id.ID, expires time.Time) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Activate(tx, e, lot, expires) }
}

func spend(w ledger.Wallet, amount int64) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Spend(tx, e, w, amount) }
}

func adjust(w ledger.Wallet, amount int64) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Adjust(tx, e, w, amount) }
}

func redeem(lot id.ID, amount int64) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Redeem(tx, e, lot, amount) }
}

func expire(lot id.ID) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Expire(tx, e, lot) }
}

func revoke(lot id.ID, policy ledger.Policy) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Revoke(tx, e, lot, policy) }
}

func reinstate(lot id.ID) operation {
	return func(tx *db.Tx, e ledger.Entry) (*ledger.Txn, error) { return ledger.Reinstate(tx, e, lot) }
}

// fataler is a test, or a run of rapid.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func (b *book) read(t fataler, fn func(q db.Queryer) error) {
	t.Helper()
	if err := b.d.Read(b.t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (b *book) balance(t fataler) ledger.Balance {
	t.Helper()
	var held ledger.Balance
	b.read(t, func(q db.Queryer) error {
		var err error
		held, err = ledger.ReadBalance(q, b.tenant, b.wallet)
		return err
	})
	return held
}

// left is what a lot has left.
type left struct {
	Lot     id.ID
	Amount  int64
	Expires time.Time
	Pending bool
}

// lots returns what the wallet's lots have left, in the order in which they are spent.
func (b *book) lots(t fataler) []left {
	t.Helper()
	var all []left
	b.read(t, func(q db.Queryer) error {
		lots, err := ledger.Lots(q, b.tenant, b.wallet, 1000)
		for _, l := range lots {
			all = append(all, left{l.ID, l.Remaining, l.Expires, l.Pending()})
		}
		return err
	})
	return all
}

// faults returns what is wrong in the tenant's books.
func (b *book) faults(t fataler) []ledger.Fault {
	t.Helper()
	var all []ledger.Fault
	after := ledger.Place{}
	for {
		b.read(t, func(q db.Queryer) error {
			faults, last, err := ledger.Check(q, b.tenant, after, 2)
			all, after = append(all, faults...), last
			return err
		})
		if after == (ledger.Place{}) {
			return all
		}
	}
}

// isRight demands a balance, and books without fault.
func (b *book) isRight(available, pending, debt, owed int64) {
	b.t.Helper()
	held := b.balance(b.t)
	if held.Available != available || held.Pending != pending || held.Debt != debt || held.Owed != owed {
		b.t.Errorf("the wallet holds %+v; want %d available, %d pending, %d debt, %d owed", held, available, pending, debt, owed)
	}
	if faults := b.faults(b.t); len(faults) > 0 {
		b.t.Errorf("faults: %v", faults)
	}
}
