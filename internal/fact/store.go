package fact

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	inserted = `tenant_id, id, type, subject_kind, subject_id, version, cause, actor, data, at, recorded_at`
	columns  = inserted + `, undone_by`
)

func insert(tx *db.Tx, f *Fact) error {
	data, err := f.Raw()
	if err != nil {
		return fmt.Errorf("fact: write the data of a %s: %w", f.Type, err)
	}
	return tx.Gather(`INSERT INTO fact (`+inserted+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, []any{
		f.TenantID, f.ID, f.Type, f.Subject.Kind, f.Subject.ID, f.Version, f.Cause.OrNull(), string(f.Actor), string(data),
		db.Micro(f.At), db.Micro(f.RecordedAt),
	})
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (*Fact, error) {
	var f Fact
	var cause, undoneBy []byte
	var data string
	var at, recorded int64
	err := row.Scan(&f.TenantID, &f.ID, &f.Type, &f.Subject.Kind, &f.Subject.ID, &f.Version, &cause, &f.Actor, &data, &at, &recorded, &undoneBy)
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such fact")
	}
	if err != nil {
		return nil, fmt.Errorf("fact: read a fact: %w", err)
	}
	copy(f.Cause[:], cause)
	copy(f.UndoneBy[:], undoneBy)
	f.Data, f.At, f.RecordedAt = json.RawMessage(data), db.FromMicro(at), db.FromMicro(recorded)
	return &f, nil
}

func selectFact(q db.Queryer, tenant, of id.ID) (*Fact, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM fact WHERE tenant_id = $1 AND id = $2`, tenant, of))
}

// collect reads rows.
func collect(q db.Queryer, query string, args ...any) ([]*Fact, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("fact: read facts: %w", err)
	}
	defer rows.Close()
	var facts []*Fact
	for rows.Next() {
		f, err := scan(rows)
		if err != nil {
			return nil, err
		}
		facts = append(facts, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("fact: read facts: %w", err)
	}
	return facts, nil
}

func selectCausedBy(q db.Queryer, tenant, cause id.ID) ([]*Fact, error) {
	return collect(q, `SELECT `+columns+` FROM fact WHERE tenant_id = $1 AND cause = $2 ORDER BY id`, tenant, cause)
}

func selectOf(q db.Queryer, tenant, subject id.ID, p Page) ([]*Fact, error) {
	return collect(q, `SELECT `+columns+` FROM fact WHERE tenant_id = $1 AND subject_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		tenant, subject, p.before(), p.Limit)
}

func selectFacts(q db.Queryer, tenant id.ID, p Page) ([]*Fact, error) {
	return collect(q, `SELECT `+columns+` FROM fact WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant, p.before(), p.Limit)
}

// before is a bound that every id of the page is below.
func (p Page) before() id.ID {
	if !p.Before.IsZero() {
		return p.Before
	}
	return id.Last()
}

// undoneBy returns what an undoing took back, in order.
func undoneBy(q db.Queryer, tenant, by id.ID) ([]*Fact, error) {
	return collect(q, `SELECT `+columns+` FROM fact WHERE tenant_id = $1 AND undone_by = $2 ORDER BY id`, tenant, by)
}

// markUndone reports whether nobody had taken the fact back before.
func markUndone(tx *db.Tx, f *Fact, by id.ID) (bool, error) {
	n, err := tx.Exec(`UPDATE fact SET undone_by = $3 WHERE tenant_id = $1 AND id = $2 AND undone_by IS NULL`, f.TenantID, f.ID, by)
	if err != nil {
		return false, fmt.Errorf("fact: undo a fact: %w", err)
	}
	return n == 1, nil
}

func clearUndone(tx *db.Tx, f *Fact) error {
	if _, err := tx.Exec(`UPDATE fact SET undone_by = NULL WHERE tenant_id = $1 AND id = $2`, f.TenantID, f.ID); err != nil {
		return fmt.Errorf("fact: redo a fact: %w", err)
	}
	return nil
}

func setData(tx *db.Tx, f *Fact, data []byte) error {
	if _, err := tx.Exec(`UPDATE fact SET data = $3 WHERE tenant_id = $1 AND id = $2`, f.TenantID, f.ID, string(data)); err != nil {
		return fmt.Errorf("fact: change what a fact says: %w", err)
	}
	return nil
}

const redactSubject = `UPDATE fact SET data = '{}' WHERE tenant_id = $1 AND subject_id = $2`

func redact(tx *db.Tx, tenant, subject id.ID) error {
	if _, err := tx.Exec(redactSubject, tenant, subject); err != nil {
		return fmt.Errorf("fact: forget what facts say: %w", err)
	}
	return nil
}
