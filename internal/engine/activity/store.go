package activity

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `tenant_id, id, key, type, person_id, fields, occurred_at, received_at, fact_id, undone_at`

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (*Activity, error) {
	var a Activity
	var key *string
	var fields string
	var occurred, received int64
	var undone db.NullMicro
	err := row.Scan(&a.TenantID, &a.ID, &key, &a.Type, &a.PersonID, &fields, &occurred, &received, &a.FactID, &undone)
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such activity")
	}
	if err != nil {
		return nil, fmt.Errorf("activity: read an activity: %w", err)
	}
	if key != nil {
		a.Key = *key
	}
	if fields != "" {
		a.Fields = json.RawMessage(fields)
	}
	a.OccurredAt, a.ReceivedAt, a.UndoneAt = db.FromMicro(occurred), db.FromMicro(received), undone.Time
	return &a, nil
}

func insert(tx *db.Tx, a *Activity) error {
	var key any
	if a.Key != "" {
		key = a.Key
	}
	_, err := tx.Exec(`INSERT INTO activity (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		a.TenantID, a.ID, key, a.Type, a.PersonID, string(a.Fields), db.Micro(a.OccurredAt), db.Micro(a.ReceivedAt), a.FactID, nil)
	if err != nil {
		return fmt.Errorf("activity: store an activity: %w", err)
	}
	return nil
}

func selectActivity(q db.Queryer, tenant, of id.ID) (*Activity, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND id = $2`, tenant, of))
}

func selectByKey(q db.Queryer, tenant id.ID, key string) (*Activity, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND key IN ($2, $3) AND key IS NOT NULL`,
		tenant, key, anonymousKey(tenant, key)))
}

func setUndone(tx *db.Tx, tenant, of id.ID, at time.Time) error {
	if _, err := tx.Exec(`UPDATE activity SET undone_at = $3 WHERE tenant_id = $1 AND id = $2`, tenant, of, db.NullMicro{Time: at}); err != nil {
		return fmt.Errorf("activity: undo an activity: %w", err)
	}
	return nil
}

// Page is a part of a person's activities, in the order in which they came in.
type Page struct {
	After id.ID // the last one of the page before; zero: the first page
	Limit int
}

// Since returns a person's activities that were not undone, from after one on.
func Since(q db.Queryer, tenant, person id.ID, p Page) ([]*Activity, error) {
	return collect(q, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND id > $3 AND undone_at IS NULL
		ORDER BY id LIMIT $4`, tenant, person, p.After, p.Limit)
}

// Latest returns a person's activities, undone ones too, the latest first.
func Latest(q db.Queryer, tenant, person, before id.ID, limit int) ([]*Activity, error) {
	if before.IsZero() {
		before = id.Last()
	}
	return collect(q, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND id < $3
		ORDER BY id DESC LIMIT $4`, tenant, person, before, limit)
}

// Last returns the latest of a person's activities, be it undone; zero: there is none.
func Last(q db.Queryer, tenant, person id.ID) (id.ID, error) {
	var last id.ID
	err := q.QueryRow(`SELECT id FROM activity WHERE tenant_id = $1 AND person_id = $2 ORDER BY id DESC LIMIT 1`, tenant, person).Scan(&last)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return id.ID{}, fmt.Errorf("activity: read the latest activity: %w", err)
	}
	return last, nil
}

func collect(q db.Queryer, query string, args ...any) ([]*Activity, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("activity: read activities: %w", err)
	}
	defer rows.Close()
	var all []*Activity
	for rows.Next() {
		a, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("activity: read activities: %w", err)
	}
	return all, nil
}
