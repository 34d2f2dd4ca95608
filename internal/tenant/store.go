package tenant

import (
	"fmt"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const tenantColumns = `id, alias, live, dialects, retention_days, body_retention_days, created_at, updated_at`

// scanner is a row or the current one of several.
type scanner interface{ Scan(dest ...any) error }

func scanTenant(row scanner) (Tenant, error) {
	var t Tenant
	var dialects string
	var created, updated int64
	if err := row.Scan(&t.ID, &t.Alias, &t.Live, &dialects, &t.Retention.Days, &t.Retention.BodyDays, &created, &updated); err != nil {
		return Tenant{}, fmt.Errorf("tenant: read a tenant: %w", err)
	}
	t.Dialects = strings.Fields(dialects)
	t.CreatedAt, t.UpdatedAt = db.FromMicro(created), db.FromMicro(updated)
	return t, nil
}

// tenantByID returns a living tenant, or an error that matches db.ErrNoRows.
func tenantByID(q db.Queryer, tenant id.ID) (Tenant, error) {
	return scanTenant(q.QueryRow(`SELECT `+tenantColumns+` FROM tenant WHERE id = $1 AND deleted_at IS NULL`, tenant))
}

// tenantByAlias returns a living tenant, or an error that matches db.ErrNoRows.
// What can't be an alias, and may be no text that a database stores, is not looked
// for.
func tenantByAlias(q db.Queryer, alias string) (Tenant, error) {
	var c problem.Checks
	if checkAlias(&c, alias); c.Err() != nil {
		return Tenant{}, db.ErrNoRows
	}
	return scanTenant(q.QueryRow(`SELECT `+tenantColumns+` FROM tenant WHERE alias = $1 AND deleted_at IS NULL`, alias))
}

// tenantsAfter returns up to limit living tenants, by id.
func tenantsAfter(q db.Queryer, after id.ID, limit int) ([]Tenant, error) {
	return collect(q, scanTenant, `SELECT `+tenantColumns+` FROM tenant
		WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2`, after, limit)
}

func insertTenant(tx *db.Tx, t Tenant) error {
	_, err := tx.Exec(`INSERT INTO tenant (id, alias, live, dialects, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6)`,
		t.ID, t.Alias, t.Live, strings.Join(t.Dialects, " "), db.Micro(t.CreatedAt), db.Micro(t.UpdatedAt))
	return wrapped("store a tenant", err)
}

func updateTenant(tx *db.Tx, t Tenant) error {
	_, err := tx.Exec(`UPDATE tenant SET alias = $2, dialects = $3, retention_days = $4, body_retention_days = $5, updated_at = $6
		WHERE id = $1 AND deleted_at IS NULL`,
		t.ID, t.Alias, strings.Join(t.Dialects, " "), t.Retention.Days, t.Retention.BodyDays, db.Micro(t.UpdatedAt))
	return wrapped("change a tenant", err)
}

// buryTenant marks a living tenant as deleted and its keys as revoked, and drops
// its settings.
func buryTenant(tx *db.Tx, tenant id.ID) error {
	now := db.Micro(tx.Now())
	if _, err := tx.Exec(`UPDATE tenant SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL`, tenant, now); err != nil {
		return wrapped("delete a tenant", err)
	}
	if _, err := tx.Exec(`DELETE FROM dialect_setting WHERE tenant_id = $1`, tenant); err != nil {
		return wrapped("drop a tenant's settings", err)
	}
	_, err := tx.Exec(`UPDATE api_key SET revoked_at = $2, sealed = NULL WHERE tenant_id = $1 AND revoked_at IS NULL`, tenant, now)
	return wrapped("revoke a tenant's keys", err)
}

const keyColumns = `id, tenant_id, dialect, name, scopes, hint, hash, sealed, created_at, expires_at, revoked_at`

// storedKey is a row of api_key.
type storedKey struct {
	Key
	hash   hash
	sealed []byte // nil unless its dialect signs with it
}

func scanKey(row scanner) (storedKey, error) {
	var k storedKey
	var scopes string
	var sum []byte
	var created int64
	var expires, revoked db.NullMicro
	err := row.Scan(&k.ID, &k.TenantID, &k.Dialect, &k.Name, &scopes, &k.Hint, &sum, &k.sealed, &created, &expires, &revoked)
	if err != nil {
		return storedKey{}, fmt.Errorf("tenant: read a key: %w", err)
	}
	if k.hash, err = hashFrom(sum); err != nil {
		return storedKey{}, err
	}
	k.Scopes, k.CreatedAt = parseScopes(scopes), db.FromMicro(created)
	k.ExpiresAt, k.RevokedAt = expires.Time, revoked.Time
	return k, nil
}

// keyByID returns the tenant's key, or an error that matches db.ErrNoRows.
func keyByID(q db.Queryer, tenant, key id.ID) (Key, error) {
	k, err := scanKey(q.QueryRow(`SELECT `+keyColumns+` FROM api_key WHERE id = $1 AND tenant_id = $2`, key, tenant))
	return k.Key, err
}

// keyByHash returns any tenant's key of the dialect that is not revoked, or an
// error that matches db.ErrNoRows.
func keyByHash(q db.Queryer, dialect string, h hash) (storedKey, error) {
	return scanKey(q.QueryRow(`SELECT `+keyColumns+` FROM api_key
		WHERE hash = $1 AND dialect = $2 AND revoked_at IS NULL`, h[:], dialect))
}

// hashTaken reports whether any tenant's key that is not revoked has the hash.
func hashTaken(q db.Queryer, h hash) (bool, error) {
	var n int
	err := q.QueryRow(`SELECT count(*) FROM api_key WHERE hash = $1 AND revoked_at IS NULL`, h[:]).Scan(&n)
	return n > 0, wrapped("look for a key", err)
}

// signingKeyAt returns the newest of the keys that are kept and that are neither
// revoked nor expired at now, or an error that matches db.ErrNoRows.
func signingKeyAt(q db.Queryer, of speaking, now time.Time) (storedKey, error) {
	return scanKey(q.QueryRow(`SELECT `+keyColumns+` FROM api_key
		WHERE tenant_id = $1 AND dialect = $2 AND sealed IS NOT NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
		ORDER BY created_at DESC LIMIT 1`, of.tenant, of.dialect, db.Micro(now)))
}

// validKeys returns the keys that are kept and that are neither revoked nor expired
// at now, the newest first.
func validKeys(q db.Queryer, of speaking, now time.Time) ([]storedKey, error) {
	return collect(q, scanKey, `SELECT `+keyColumns+` FROM api_key
		WHERE tenant_id = $1 AND dialect = $2 AND sealed IS NOT NULL AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $3)
		ORDER BY created_at DESC LIMIT $4`, of.tenant, of.dialect, db.Micro(now), maxValid)
}

// newestSigning returns when the newest of these keys was made that is not
// revoked; the zero time if there is none.
func newestSigning(q db.Queryer, of speaking) (time.Time, error) {
	var at db.NullMicro
	err := q.QueryRow(`SELECT max(created_at) FROM api_key
		WHERE tenant_id = $1 AND dialect = $2 AND sealed IS NOT NULL AND revoked_at IS NULL`, of.tenant, of.dialect).Scan(&at)
	return at.Time, wrapped("read when a key was made", err)
}

// keysAfter returns up to limit keys of the tenant, by id.
func keysAfter(q db.Queryer, tenant, after id.ID, limit int) ([]storedKey, error) {
	return collect(q, scanKey, `SELECT `+keyColumns+` FROM api_key
		WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

func insertKey(tx *db.Tx, k storedKey) error {
	_, err := tx.Exec(`INSERT INTO api_key (id, tenant_id, dialect, name, scopes, hint, hash, sealed, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
		k.ID, k.TenantID, k.Dialect, k.Name, k.Scopes.String(), k.Hint, k.hash[:], k.sealed, db.Micro(k.CreatedAt), db.NullMicro{Time: k.ExpiresAt})
	return wrapped("store a key", err)
}

func revokeKey(tx *db.Tx, key id.ID) error {
	_, err := tx.Exec(`UPDATE api_key SET revoked_at = $2, sealed = NULL WHERE id = $1 AND revoked_at IS NULL`, key, db.Micro(tx.Now()))
	return wrapped("revoke a key", err)
}

func expireKey(tx *db.Tx, key id.ID, at time.Time) error {
	_, err := tx.Exec(`UPDATE api_key SET expires_at = $2 WHERE id = $1`, key, db.Micro(at))
	return wrapped("let a key expire", err)
}

// settingsOf returns what the tenant chose of the dialect's settings.
func settingsOf(q db.Queryer, of speaking) (wire.Settings, error) {
	type choice struct{ name, value string }
	scan := func(row scanner) (choice, error) {
		var c choice
		return c, wrapped("read a setting", row.Scan(&c.name, &c.value))
	}
	choices, err := collect(q, scan, `SELECT name, value FROM dialect_setting WHERE tenant_id = $1 AND dialect = $2`, of.tenant, of.dialect)
	if err != nil {
		return nil, err
	}
	chosen := make(wire.Settings, len(choices))
	for _, c := range choices {
		chosen[c.name] = c.value
	}
	return chosen, nil
}

func replaceSettings(tx *db.Tx, of speaking, chosen wire.Settings) error {
	if _, err := tx.Exec(`DELETE FROM dialect_setting WHERE tenant_id = $1 AND dialect = $2`, of.tenant, of.dialect); err != nil {
		return wrapped("drop settings", err)
	}
	for name, value := range chosen {
		_, err := tx.Exec(`INSERT INTO dialect_setting (tenant_id, dialect, name, value) VALUES ($1, $2, $3, $4)`, of.tenant, of.dialect, name, value)
		if err != nil {
			return wrapped("store a setting", err)
		}
	}
	return nil
}

// adminHash returns the hash of the admin key that was made here, or an error
// that matches db.ErrNoRows.
func adminHash(q db.Queryer) (hash, error) {
	var sum []byte
	if err := q.QueryRow(`SELECT hash FROM admin_key ORDER BY created_at DESC LIMIT 1`).Scan(&sum); err != nil {
		return hash{}, fmt.Errorf("tenant: read the admin key: %w", err)
	}
	return hashFrom(sum)
}

func insertAdminKey(tx *db.Tx, h hash) error {
	_, err := tx.Exec(`INSERT INTO admin_key (hash, created_at) VALUES ($1, $2)`, h[:], db.Micro(tx.Now()))
	return wrapped("store the admin key", err)
}

func hashFrom(stored []byte) (hash, error) {
	var h hash
	if len(stored) != len(h) {
		return hash{}, fmt.Errorf("tenant: a stored hash has %d bytes, want %d", len(stored), len(h))
	}
	copy(h[:], stored)
	return h, nil
}

// collect returns all rows of the query.
func collect[T any](q db.Queryer, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, wrapped("ask for rows", err)
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, wrapped("read rows", rows.Err())
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("tenant: %s: %w", doing, err)
}
