package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const columns = `id, tenant_id, at, action, object_id, fields, actor, via, key_id, key_hint, key_name, address, request_id`

func insert(tx *db.Tx, e Entry, fields string) error {
	var key any
	if !e.Actor.KeyID.IsZero() {
		key = e.Actor.KeyID
	}
	address := ""
	if e.Actor.Address.IsValid() {
		address = e.Actor.Address.String()
	}
	_, err := tx.Exec(`INSERT INTO audit_entry (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		e.ID, e.TenantID, db.Micro(e.At), string(e.Action), e.ObjectID, fields, string(e.Actor.Kind), e.Actor.Via,
		key, e.Actor.KeyHint, e.Actor.KeyName, address, e.Actor.RequestID)
	if err != nil {
		return fmt.Errorf("audit: store an entry: %w", err)
	}
	return nil
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (Entry, error) {
	var e Entry
	var at int64
	var key []byte
	var fields, address string
	err := row.Scan(&e.ID, &e.TenantID, &at, &e.Action, &e.ObjectID, &fields, &e.Actor.Kind, &e.Actor.Via,
		&key, &e.Actor.KeyHint, &e.Actor.KeyName, &address, &e.Actor.RequestID)
	if err != nil {
		return Entry{}, fmt.Errorf("audit: read an entry: %w", err)
	}
	if err := json.Unmarshal([]byte(fields), &e.Fields); err != nil {
		return Entry{}, fmt.Errorf("audit: read what changed by the entry %s: %w", e.ID, err)
	}
	if key != nil {
		if err := e.Actor.KeyID.Scan(key); err != nil {
			return Entry{}, fmt.Errorf("audit: read who made the entry %s: %w", e.ID, err)
		}
	}
	if address != "" {
		if e.Actor.Address, err = netip.ParseAddr(address); err != nil {
			return Entry{}, fmt.Errorf("audit: read the address of the entry %s: %w", e.ID, err)
		}
	}
	e.At = db.FromMicro(at)
	return e, nil
}

// conditions collects the parts of a WHERE clause and their arguments.
type conditions struct {
	text []string
	args []any
}

// place adds an argument and returns where it stands.
func (c *conditions) place(arg any) string {
	c.args = append(c.args, arg)
	return "$" + strconv.Itoa(len(c.args))
}

// add compares a column with an argument.
func (c *conditions) add(column, operator string, arg any) {
	c.text = append(c.text, column+" "+operator+" "+c.place(arg))
}

// filter adds what a filter chooses. The conditions that come first choose the
// index, which has the order of the list. The others are compared as
// expressions: without statistics the planner might take the index of one of
// those, which may hold far more.
func (c *conditions) filter(f Filter) {
	const ofTenant = "coalesce(tenant_id, tenant_id)"
	const ofAction = "coalesce(action, action)"
	tenant, action := "tenant_id", "action"
	switch {
	case f.ObjectID != "":
		c.add("object_id", "=", f.ObjectID)
		tenant, action = ofTenant, ofAction
		if !f.KeyID.IsZero() {
			c.add("coalesce(key_id, key_id)", "=", f.KeyID)
		}
	case !f.KeyID.IsZero():
		c.add("key_id", "=", f.KeyID)
		tenant, action = ofTenant, ofAction
	}
	if !f.TenantID.IsZero() {
		c.add(tenant, "=", f.TenantID)
	}
	if f.Action != "" {
		c.add(action, "=", string(f.Action))
	}
	if !f.Since.IsZero() {
		c.add("id", ">=", id.First(f.Since))
	}
	if !f.Until.IsZero() {
		c.add("id", "<", id.First(f.Until))
	}
}

// list returns up to limit entries before the given one, the newest first; the
// zero ID stands for the end.
func list(q db.Queryer, f Filter, before id.ID, limit int) ([]Entry, error) {
	var where conditions
	where.filter(f)
	if !before.IsZero() {
		where.add("id", "<", before)
	}
	if len(where.text) == 0 {
		where.text = []string{"1 = 1"}
	}
	rows, err := q.Query(`SELECT `+columns+` FROM audit_entry WHERE `+strings.Join(where.text, " AND ")+
		` ORDER BY id DESC LIMIT `+where.place(limit), where.args...)
	if err != nil {
		return nil, fmt.Errorf("audit: ask for entries: %w", err)
	}
	defer rows.Close()
	var entries []Entry
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("audit: read entries: %w", err)
	}
	return entries, nil
}

// oldest returns the id of the oldest entry, zero if there is none.
func oldest(q db.Queryer) (id.ID, error) {
	var first id.ID
	err := q.QueryRow(`SELECT id FROM audit_entry ORDER BY id LIMIT 1`).Scan(&first)
	if errors.Is(err, db.ErrNoRows) {
		return id.ID{}, nil
	}
	if err != nil {
		return id.ID{}, fmt.Errorf("audit: look for the oldest entry: %w", err)
	}
	return first, nil
}

// removeBefore removes at most limit of the entries before the given id.
func removeBefore(tx *db.Tx, before id.ID, limit int) error {
	_, err := tx.Exec(`DELETE FROM audit_entry WHERE id IN (SELECT id FROM audit_entry WHERE id < $1 ORDER BY id LIMIT $2)`, before, limit)
	if err != nil {
		return fmt.Errorf("audit: remove old entries: %w", err)
	}
	return nil
}
