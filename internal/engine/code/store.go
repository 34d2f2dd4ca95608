package code

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const columns = `tenant_id, folded, text, short, kind, program_id, membership_id, person_id, is_primary, active, created_at`

// insertRow stores a code, and reports whether neither it nor its short code was
// taken, nor it by somebody who was forgotten.
func insertRow(tx *db.Tx, c Code) (bool, error) {
	n, err := tx.Exec(`INSERT INTO code (`+columns+`) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
		WHERE NOT EXISTS (SELECT 1 FROM code WHERE tenant_id = $1 AND folded = $12) ON CONFLICT DO NOTHING`,
		c.TenantID, c.Folded, c.Text, c.Short, string(c.Kind), c.ProgramID, c.MembershipID, c.PersonID,
		c.Primary, c.Active, db.Micro(c.CreatedAt), c.Anonymous())
	return n == 1, wrapped("store a code", err)
}

// update stores what may change of a code.
func update(tx *db.Tx, c Code) error {
	_, err := tx.Exec(`UPDATE code SET text = $3, is_primary = $4, active = $5 WHERE tenant_id = $1 AND folded = $2`,
		c.TenantID, c.Folded, c.Text, c.Primary, c.Active)
	return wrapped("change a code", err)
}

// demote leaves a membership without a primary code.
func demote(tx *db.Tx, tenant, membership id.ID) error {
	_, err := tx.Exec(`UPDATE code SET is_primary = FALSE WHERE tenant_id = $1 AND membership_id = $2 AND is_primary`,
		tenant, membership)
	return wrapped("demote a primary code", err)
}

func count(q db.Queryer, tenant, membership id.ID) (int, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM code WHERE tenant_id = $1 AND membership_id = $2`, tenant, membership).Scan(&n)
	return n, wrapped("count codes", err)
}

// selectFolded returns a code, or an error that matches db.ErrNoRows.
func selectFolded(q db.Queryer, tenant id.ID, folded string) (Code, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM code WHERE tenant_id = $1 AND folded = $2`, tenant, folded))
}

// selectShort returns the code of whichever tenant, or an error that matches
// db.ErrNoRows.
func selectShort(q db.Queryer, short string) (Code, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM code WHERE short = $1`, short))
}

// selectPrimary returns the primary code of a membership, or an error that matches
// db.ErrNoRows.
func selectPrimary(q db.Queryer, tenant, membership id.ID) (Code, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM code WHERE tenant_id = $1 AND membership_id = $2 AND is_primary`,
		tenant, membership))
}

func selectMembership(q db.Queryer, tenant, membership id.ID) ([]Code, error) {
	return list(q, `SELECT `+columns+` FROM code WHERE tenant_id = $1 AND membership_id = $2
		ORDER BY is_primary DESC, created_at DESC, short LIMIT $3`, tenant, membership, maxListed)
}

func selectPerson(q db.Queryer, tenant, person id.ID) ([]Code, error) {
	return list(q, `SELECT `+columns+` FROM code WHERE tenant_id = $1 AND person_id = $2
		ORDER BY is_primary DESC, created_at DESC, short LIMIT $3`, tenant, person, maxListed)
}

func list(q db.Queryer, query string, args ...any) ([]Code, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, wrapped("ask for codes", err)
	}
	defer rows.Close()
	var codes []Code
	for rows.Next() {
		c, err := scan(rows)
		if err != nil {
			return nil, err
		}
		codes = append(codes, c)
	}
	return codes, wrapped("read codes", rows.Err())
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Code, error) {
	var c Code
	var created int64
	err := row.Scan(&c.TenantID, &c.Folded, &c.Text, &c.Short, &c.Kind, &c.ProgramID, &c.MembershipID, &c.PersonID,
		&c.Primary, &c.Active, &created)
	if err != nil {
		return Code{}, wrapped("read a code", err)
	}
	c.CreatedAt = db.FromMicro(created)
	return c, nil
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("code: %s: %w", doing, err)
}
