package ledger

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// explained is a snapshot that keeps the plans of what is asked of it.
type explained struct {
	db.Queryer
	steps []string
}

func (e *explained) Query(query string, args ...any) (*sql.Rows, error) {
	if err := e.explain(query, args); err != nil {
		return nil, err
	}
	return e.Queryer.Query(query, args...)
}

func (e *explained) QueryRow(query string, args ...any) *sql.Row {
	_ = e.explain(query, args) // the row reports it too
	return e.Queryer.QueryRow(query, args...)
}

func (e *explained) explain(query string, args []any) error {
	rows, err := e.Queryer.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var node, parent, unused int
		var step string
		if err := rows.Scan(&node, &parent, &unused, &step); err != nil {
			return err
		}
		e.steps = append(e.steps, step)
	}
	return rows.Err()
}

// The planner has no statistics here, as in production: ANALYZE is never run.
func TestEveryQueryReadsAnIndexInItsOrder(t *testing.T) {
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "plan.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	some := id.New(time.Now())
	w := Wallet{some, "cents", "cents"}
	for name, c := range map[string]struct {
		query func(q db.Queryer) error
		index string
	}{
		"a reference":   {func(q db.Queryer) error { _, err := selectByRef(q, some, "x"); return err }, "ledger_txn_ref (tenant_id=? AND ref=?)"},
		"a transaction": {func(q db.Queryer) error { _, err := selectByID(q, some, some); return err }, "PRIMARY KEY (tenant_id=? AND id=?)"},
		"a history": {
			func(q db.Queryer) error { _, err := History(q, some, w, Page{Limit: 9}); return err },
			"ledger_txn_wallet (tenant_id=? AND person_id=? AND wallet=? AND version<?)",
		},
		"wallets that follow one": {
			func(q db.Queryer) error { _, err := After(q, some, w, 9); return err }, "PRIMARY KEY (tenant_id=? AND (person_id,wallet)>(?,?))",
		},
		"postings": {func(q db.Queryer) error { _, err := selectPostings(q, some, some); return err }, "PRIMARY KEY (tenant_id=? AND txn_id=?)"},
		"parts":    {func(q db.Queryer) error { _, err := selectParts(q, some, some, Use); return err }, "PRIMARY KEY (tenant_id=? AND txn_id=?)"},
		"a lot":    {func(q db.Queryer) error { _, err := selectLot(q, some, some); return err }, "PRIMARY KEY (tenant_id=? AND id=?)"},
		"lots and what their wallets hold": {
			func(q db.Queryer) error { return eachHeld(q, some, []id.ID{some}, func(*Lot, Balance) {}) },
			"SEARCH b USING PRIMARY KEY (tenant_id=? AND person_id=? AND wallet=?)",
		},
		"lots to spend": {
			func(q db.Queryer) error { _, err := selectOpenAfter(q, some, w, place{1, 1}, 9); return err },
			"ledger_lot_open (tenant_id=? AND person_id=? AND wallet=? AND (expires_at,seq)>(?,?))",
		},
		"lots":      {func(q db.Queryer) error { _, err := Lots(q, some, w, 9); return err }, "ledger_lot_open (tenant_id=? AND person_id=? AND wallet=?)"},
		"a balance": {func(q db.Queryer) error { _, err := ReadBalance(q, some, w); return err }, "PRIMARY KEY (tenant_id=? AND person_id=? AND wallet=?)"},
		"balances":  {func(q db.Queryer) error { _, err := Balances(q, some, some); return err }, "PRIMARY KEY (tenant_id=? AND person_id=?)"},
		"balances of many": {
			func(q db.Queryer) error { _, err := BalancesOf(q, some, []id.ID{some, id.New(time.Now())}); return err }, "PRIMARY KEY (tenant_id=? AND person_id=?)",
		},
		"wallets to check": {
			func(q db.Queryer) error { _, _, err := Check(q, some, Place{some, "a"}, 9); return err },
			"PRIMARY KEY (tenant_id=? AND (person_id,wallet)>(?,?))",
		},
		"what was spent of lots": {
			func(q db.Queryer) error { _, err := Spendings(q, some, w, 10); return err },
			"ledger_txn_wallet (tenant_id=? AND person_id=? AND wallet=?)",
		},
		"what was spent of lots, by its lines": {
			func(q db.Queryer) error { _, err := Spendings(q, some, w, 10); return err }, "PRIMARY KEY (tenant_id=? AND txn_id=?)",
		},
		"books to check": {
			func(q db.Queryer) error { return eachPosting(q, some, w, func(Txn, posting) {}) },
			"ledger_txn_wallet (tenant_id=? AND person_id=? AND wallet=?)",
		},
	} {
		e := &explained{}
		err := d.Read(t.Context(), func(q db.Queryer) error {
			e.Queryer = q
			return c.query(e)
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plan := strings.Join(e.steps, "\n")
		if !strings.Contains(plan, c.index) || strings.Contains(plan, "SCAN ") || strings.Contains(plan, "TEMP B-TREE FOR ORDER") {
			t.Errorf("%s is found by\n%s\nwant %s", name, plan, c.index)
		}
	}
}
