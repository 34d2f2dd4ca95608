package counter

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// row is a counter after a change.
type row struct{ used, version, reached int64 }

// updateMore adds n where the limit allows it; nil: it does not.
func updateMore(tx *db.Tx, c *counter, n int64) (*row, error) {
	reached := 0
	if n == c.limit {
		reached = 1
	}
	var now row
	err := tx.QueryRow(`INSERT INTO counter (tenant_id, scope, period, window_start, used, version, reached) VALUES ($1, $2, $3, $4, $5, 1, $6)
		ON CONFLICT (tenant_id, scope, period, window_start) DO UPDATE SET used = counter.used + excluded.used, version = counter.version + 1,
			reached = CASE WHEN counter.reached = 0 AND counter.used = $7 - excluded.used THEN counter.version + 1 ELSE counter.reached END
		WHERE counter.used <= $7 - excluded.used RETURNING used, version, reached`,
		c.Tenant[:], c.Scope, c.Window.period, c.start, n, reached, c.limit).Scan(&now.used, &now.version, &now.reached)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil
	}
	return &now, wrapped("take", err)
}

// updateLess takes n off, where so much is used.
func updateLess(tx *db.Tx, c *counter, n int64) (bool, error) {
	rows, err := tx.Exec(`UPDATE counter SET used = used - $5, version = version + 1
		WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND window_start = $4 AND used >= $5`,
		c.Tenant[:], c.Scope, c.Window.period, c.start, n)
	return rows == 1, wrapped("give back", err)
}

// updateForgotten takes off what has left a rolling window, and notes that its limit
// is not reached where that is so now.
func updateForgotten(tx *db.Tx, c *counter, gone int64) error {
	_, err := tx.Exec(`UPDATE counter SET used = used - $5, version = version + 1, reached = CASE WHEN used - $5 < $6 THEN 0 ELSE reached END
		WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND window_start = $4`,
		c.Tenant[:], c.Scope, c.Window.period, c.start, gone, c.limit)
	return wrapped("forget what has left the window", err)
}

func selectUsed(q db.Queryer, c *counter) (int64, error) {
	used := int64(0)
	err := q.QueryRow(`SELECT used FROM counter WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND window_start = $4`,
		c.Tenant[:], c.Scope, c.Window.period, c.start).Scan(&used)
	if errors.Is(err, db.ErrNoRows) {
		return 0, nil
	}
	return used, wrapped("read a counter", err)
}

func insertTake(tx *db.Tx, c *counter, t take) error {
	_, err := tx.Exec(`INSERT INTO counter_take (tenant_id, scope, period, at, version, amount) VALUES ($1, $2, $3, $4, $5, $6)`,
		c.Tenant[:], c.Scope, c.Window.period, t.at, t.version, t.amount)
	return wrapped("store a take", err)
}

// storeTake stores what is left of a take.
func storeTake(tx *db.Tx, c *counter, t take) error {
	query, args := `UPDATE counter_take SET amount = $6 WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND at = $4 AND version = $5`,
		[]any{c.Tenant[:], c.Scope, c.Window.period, t.at, t.version, t.amount}
	if t.amount == 0 {
		query, args = `DELETE FROM counter_take WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND at = $4 AND version = $5`, args[:5]
	}
	_, err := tx.Exec(query, args...)
	return wrapped("give back", err)
}

// selectTakes returns what was taken at the time of the key, the last first.
func selectTakes(q db.Queryer, c *counter) ([]take, error) {
	rows, err := q.Query(`SELECT at, version, amount FROM counter_take
		WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND at = $4 ORDER BY version DESC`,
		c.Tenant[:], c.Scope, c.Window.period, db.Micro(c.At))
	if err != nil {
		return nil, wrapped("read takes", err)
	}
	defer rows.Close()
	var takes []take
	for rows.Next() {
		var t take
		if err := rows.Scan(&t.at, &t.version, &t.amount); err != nil {
			return nil, wrapped("read takes", err)
		}
		takes = append(takes, t)
	}
	return takes, wrapped("read takes", rows.Err())
}

// sumTakes begins the statements that add up takes, as a number that both databases
// return alike.
const sumTakes = `SELECT CAST(coalesce(sum(amount), 0) AS bigint) FROM counter_take WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND at `

func sumTakesUntil(q db.Queryer, c *counter, until int64) (int64, error) {
	sum := int64(0)
	err := q.QueryRow(sumTakes+`<= $4`, c.Tenant[:], c.Scope, c.Window.period, until).Scan(&sum)
	return sum, wrapped("add up takes", err)
}

func sumTakesAfter(q db.Queryer, c *counter, after int64) (int64, error) {
	sum := int64(0)
	err := q.QueryRow(sumTakes+`> $4`, c.Tenant[:], c.Scope, c.Window.period, after).Scan(&sum)
	return sum, wrapped("add up takes", err)
}

func deleteTakes(tx *db.Tx, c *counter, until int64) error {
	_, err := tx.Exec(`DELETE FROM counter_take WHERE tenant_id = $1 AND scope = $2 AND period = $3 AND at <= $4`,
		c.Tenant[:], c.Scope, c.Window.period, until)
	return wrapped("forget what has left the window", err)
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("counter: %s: %w", doing, err)
}
