package blocklist

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `id, name, kind, reason, created_at, expires_at`

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Entry, error) {
	var e Entry
	var name string
	var created int64
	var expires db.NullMicro
	err := row.Scan(&e.ID, &name, &e.Kind, &e.Reason, &created, &expires)
	if errors.Is(err, db.ErrNoRows) {
		return Entry{}, problem.NotFound.New("there is no such entry of the block list")
	}
	if err != nil {
		return Entry{}, fmt.Errorf("blocklist: read an entry: %w", err)
	}
	e.Value = valueOf(e.Kind, name)
	e.CreatedAt, e.ExpiresAt = db.FromMicro(created), expires.Time
	return e, nil
}

func selectEntry(q db.Queryer, tenant, of id.ID) (Entry, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM blocklist WHERE tenant_id = $1 AND id = $2`, tenant, of))
}

func selectByName(q db.Queryer, tenant id.ID, name string) (Entry, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM blocklist WHERE tenant_id = $1 AND name = $2`, tenant, name))
}

// selectNamed returns the entries that there are of several names.
func selectNamed(q db.Queryer, tenant id.ID, names []string) (map[string]Entry, error) {
	found := make(map[string]Entry)
	for list, args := range db.In(names, tenant) {
		entries, err := collect(q, `SELECT `+columns+` FROM blocklist WHERE tenant_id = $1 AND name IN `+list, args...)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			found[e.name()] = e
		}
	}
	return found, nil
}

func selectBefore(q db.Queryer, tenant, before id.ID, limit int) ([]Entry, error) {
	return collect(q, `SELECT `+columns+` FROM blocklist WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant, before, limit)
}

// selectOfKind is selectBefore of one kind.
func selectOfKind(q db.Queryer, tenant id.ID, p Choice) ([]Entry, error) {
	return collect(q, `SELECT `+columns+` FROM blocklist WHERE tenant_id = $1 AND kind = $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		tenant, string(p.Kind), p.Before, p.Limit)
}

func collect(q db.Queryer, query string, args ...any) ([]Entry, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("blocklist: read entries: %w", err)
	}
	defer rows.Close()
	var list []Entry
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, wrapped("read entries", rows.Err())
}

func insertEntry(tx *db.Tx, tenant id.ID, e Entry) error {
	_, err := tx.Exec(`INSERT INTO blocklist (tenant_id, `+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tenant, e.ID, e.name(), string(e.Kind), e.Reason, db.Micro(e.CreatedAt), db.NullMicro{Time: e.ExpiresAt})
	return wrapped("store an entry", err)
}

func deleteEntry(tx *db.Tx, tenant, of id.ID) (int64, error) {
	n, err := tx.Exec(`DELETE FROM blocklist WHERE tenant_id = $1 AND id = $2`, tenant, of)
	return n, wrapped("delete an entry", err)
}

// selectShapes returns how many entries a tenant has of each shape that it has
// entries of.
func selectShapes(q db.Queryer, tenant id.ID) (map[shape]int64, error) {
	rows, err := q.Query(`SELECT family, bits, entries FROM blocklist_shape WHERE tenant_id = $1`, tenant)
	if err != nil {
		return nil, wrapped("read the shapes of entries", err)
	}
	defer rows.Close()
	var shapes map[shape]int64
	for rows.Next() {
		var s shape
		var entries int64
		if err := rows.Scan(&s.family, &s.bits, &entries); err != nil {
			return nil, wrapped("read the shapes of entries", err)
		}
		if entries == 0 {
			continue
		}
		if shapes == nil {
			shapes = make(map[shape]int64)
		}
		shapes[s] = entries
	}
	return shapes, wrapped("read the shapes of entries", rows.Err())
}

func countOneMore(tx *db.Tx, tenant id.ID, s shape) error {
	_, err := tx.Exec(`INSERT INTO blocklist_shape (tenant_id, family, bits, entries) VALUES ($1, $2, $3, 1)
		ON CONFLICT (tenant_id, family, bits) DO UPDATE SET entries = blocklist_shape.entries + 1`, tenant, s.family, s.bits)
	return wrapped("count an entry", err)
}

func countOneLess(tx *db.Tx, tenant id.ID, s shape) error {
	_, err := tx.Exec(`UPDATE blocklist_shape SET entries = entries - 1 WHERE tenant_id = $1 AND family = $2 AND bits = $3`, tenant, s.family, s.bits)
	return wrapped("count an entry", err)
}

// owned is an entry with whose it is.
type owned struct {
	Entry

	tenant id.ID
}

// selectExpired returns entries of any tenants that have expired, the earliest first.
func selectExpired(q db.Queryer, now time.Time, limit int) ([]owned, error) {
	rows, err := q.Query(`SELECT tenant_id, id, name, kind FROM blocklist WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2`, db.Micro(now), limit)
	if err != nil {
		return nil, wrapped("read what has expired", err)
	}
	defer rows.Close()
	var list []owned
	for rows.Next() {
		var o owned
		var name string
		if err := rows.Scan(&o.tenant, &o.ID, &name, &o.Kind); err != nil {
			return nil, wrapped("read what has expired", err)
		}
		o.Value = valueOf(o.Kind, name)
		list = append(list, o)
	}
	return list, wrapped("read what has expired", rows.Err())
}

const deleteSome = `DELETE FROM blocklist WHERE tenant_id = $1 AND id IN (SELECT id FROM blocklist WHERE tenant_id = $1 ORDER BY id LIMIT $2)`

// deleteSomeOfTenant deletes some of a tenant's entries, and where none is left how
// many they were of which shape, and returns how many rows it has deleted.
func deleteSomeOfTenant(tx *db.Tx, tenant id.ID) (int64, error) {
	n, err := tx.Exec(deleteSome, tenant, deletedAtOnce)
	if err != nil || n > 0 {
		return n, wrapped("delete entries", err)
	}
	n, err = tx.Exec(`DELETE FROM blocklist_shape WHERE tenant_id = $1`, tenant)
	return n, wrapped("delete the shapes of entries", err)
}

func wrapped(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("blocklist: %s: %w", what, err)
}
