package pool

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// errChanged is for what can't happen to a serializable transaction.
var errChanged = errors.New("pool: it was changed by another transaction meanwhile")

const columns = `id, key, added, given, numbered, reached, created_at`

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Pool, error) {
	var p Pool
	var created int64
	err := row.Scan(&p.ID, &p.Key, &p.Added, &p.Given, &p.numbered, &p.reached, &created)
	if errors.Is(err, db.ErrNoRows) {
		return Pool{}, problem.NotFound.New("there is no such pool of codes")
	}
	if err != nil {
		return Pool{}, fmt.Errorf("pool: read a pool: %w", err)
	}
	p.CreatedAt = db.FromMicro(created)
	return p, nil
}

func selectPool(q db.Queryer, tenant id.ID, key string) (Pool, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM pool WHERE tenant_id = $1 AND key = $2`, tenant, key))
}

func selectPools(q db.Queryer, tenant id.ID) ([]Pool, error) {
	rows, err := q.Query(`SELECT `+columns+` FROM pool WHERE tenant_id = $1 ORDER BY key`, tenant)
	if err != nil {
		return nil, fmt.Errorf("pool: read pools: %w", err)
	}
	defer rows.Close()
	var pools []Pool
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, err
		}
		pools = append(pools, p)
	}
	return pools, wrapped("read pools", rows.Err())
}

func countPools(q db.Queryer, tenant id.ID) (int, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM pool WHERE tenant_id = $1`, tenant).Scan(&n)
	return n, wrapped("count pools", err)
}

// upsertPool stores a pool that codes were added to.
func upsertPool(tx *db.Tx, tenant id.ID, p Pool) error {
	_, err := tx.Exec(`INSERT INTO pool (tenant_id, `+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (tenant_id, key) DO UPDATE SET added = $4, numbered = $6`,
		tenant, p.ID, p.Key, p.Added, p.Given, p.numbered, p.reached, db.Micro(p.CreatedAt))
	return wrapped("store a pool", err)
}

// step is how far a pool has come, before and after a code was given.
type step struct{ from, to int64 }

func movePool(tx *db.Tx, c Claim, s step) error {
	n, err := tx.Exec(`UPDATE pool SET reached = $4, given = given + 1 WHERE tenant_id = $1 AND key = $2 AND reached = $3`,
		c.TenantID, c.Pool, s.from, s.to)
	return one("move a pool on", n, err)
}

// newCode is a code to be stored.
type newCode struct {
	tenant  id.ID
	pool    string
	ordinal int64
	code    string
}

// insertCode stores a code unless the pool has it, and says later whether it is new.
func insertCode(tx *db.Tx, n newCode, told func(isNew bool)) error {
	err := tx.Later(`INSERT INTO pool_code (tenant_id, pool, ordinal, code) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, pool, code) DO NOTHING`, []any{n.tenant, n.pool, n.ordinal, n.code}, func(rows int64) error {
		told(rows == 1)
		return nil
	})
	return wrapped("store a code", err)
}

// selectNext returns the first code after the last one that was given.
func selectNext(q db.Queryer, c Claim, reached int64) (int64, string, error) {
	var ordinal int64
	var code string
	err := q.QueryRow(`SELECT ordinal, code FROM pool_code WHERE tenant_id = $1 AND pool = $2 AND ordinal > $3 ORDER BY ordinal LIMIT 1`,
		c.TenantID, c.Pool, reached).Scan(&ordinal, &code)
	return ordinal, code, wrapped("read the next code", err)
}

func giveCode(tx *db.Tx, c Claim, ordinal int64) error {
	n, err := tx.Exec(`UPDATE pool_code SET reward_id = $4, given_at = $5 WHERE tenant_id = $1 AND pool = $2 AND ordinal = $3 AND reward_id IS NULL`,
		c.TenantID, c.Pool, ordinal, c.RewardID, db.Micro(tx.Now()))
	return one("give a code", n, err)
}

// selectWaiting returns rewards that wait for a code, the earliest first.
func selectWaiting(q db.Queryer, tenant id.ID, pool string, limit int) ([]id.ID, error) {
	rows, err := q.Query(`SELECT reward_id FROM pool_waiting WHERE tenant_id = $1 AND pool = $2 ORDER BY reward_id LIMIT $3`, tenant, pool, limit)
	if err != nil {
		return nil, wrapped("read who waits", err)
	}
	defer rows.Close()
	var waiting []id.ID
	for rows.Next() {
		var of id.ID
		if err := rows.Scan(&of); err != nil {
			return nil, wrapped("read who waits", err)
		}
		waiting = append(waiting, of)
	}
	return waiting, wrapped("read who waits", rows.Err())
}

func insertWaiting(tx *db.Tx, c Claim) error {
	_, err := tx.Exec(`INSERT INTO pool_waiting (tenant_id, pool, reward_id) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, pool, reward_id) DO NOTHING`,
		c.TenantID, c.Pool, c.RewardID)
	return wrapped("have a reward wait", err)
}

func deleteWaiting(tx *db.Tx, c Claim) error {
	_, err := tx.Exec(`DELETE FROM pool_waiting WHERE tenant_id = $1 AND pool = $2 AND reward_id = $3`, c.TenantID, c.Pool, c.RewardID)
	return wrapped("have a reward wait no longer", err)
}

// one demands that a statement has concerned one row.
func one(what string, rows int64, err error) error {
	if err == nil && rows != 1 {
		err = errChanged
	}
	return wrapped(what, err)
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pool: %s: %w", what, err)
}
