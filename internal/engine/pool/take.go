package pool

import (
	"bytes"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Claim is a reward that is to get a code.
type Claim struct {
	TenantID id.ID
	Pool     string // its key
	RewardID id.ID
}

// Take gives the next code of a pool to a reward. Where there is none, or where an
// earlier reward waits for one, it returns "", and the reward waits as well.
func Take(tx *db.Tx, c Claim) (string, error) {
	first, err := selectWaiting(tx, c.TenantID, c.Pool, 1)
	if err != nil {
		return "", err
	}
	if len(first) > 0 && bytes.Compare(first[0][:], c.RewardID[:]) < 0 {
		return "", insertWaiting(tx, c)
	}
	p, err := selectPool(tx, c.TenantID, c.Pool)
	if problem.NotFound.Has(err) || err == nil && p.Left() == 0 {
		return "", insertWaiting(tx, c)
	}
	if err != nil {
		return "", err
	}
	ordinal, code, err := selectNext(tx, c, p.reached)
	if err != nil {
		return "", err
	}
	if err := giveCode(tx, c, ordinal); err != nil {
		return "", err
	}
	if err := movePool(tx, c, step{p.reached, ordinal}); err != nil {
		return "", err
	}
	return code, Leave(tx, c)
}

// Leave has a reward wait for a code no longer, if it does.
func Leave(tx *db.Tx, c Claim) error { return deleteWaiting(tx, c) }

// Waiting returns rewards that wait for a code of a pool, the earliest first, and the
// pool.
func Waiting(q db.Queryer, tenant id.ID, key string, limit int) (Pool, []id.ID, error) {
	p, err := selectPool(q, tenant, key)
	if err != nil {
		return Pool{}, nil, err
	}
	waiting, err := selectWaiting(q, tenant, key, limit)
	return p, waiting, err
}
