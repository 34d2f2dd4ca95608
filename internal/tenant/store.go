package tenant

import (
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const tenantColumns = `id, alias, live, created_at, updated_at`

// scanner is a row or the current one of several.
type scanner interface{ Scan(dest ...any) error }

func scanTenant(row scanner) (Tenant, error) {
	var t Tenant
	var created, updated int64
	if err := row.Scan(&t.ID, &t.Alias, &t.Live, &created, &updated); err != nil {
		return Tenant{}, fmt.Errorf("tenant: read a tenant: %w", err)
	}
	t.CreatedAt, t.UpdatedAt = db.FromMicro(created), db.FromMicro(updated)
	return t, nil
}

// tenantByID returns a living tenant, or an error that matches db.ErrNoRows.
func tenantByID(q db.Queryer, tenant id.ID) (Tenant, error) {
	return scanTenant(q.QueryRow(`SELECT `+tenantColumns+` FROM tenant WHERE id = $1 AND deleted_at IS NULL`, tenant))
}

// tenantByAlias returns a living tenant, or an error that matches db.ErrNoRows.
func tenantByAlias(q db.Queryer, alias string) (Tenant, error) {
	return scanTenant(q.QueryRow(`SELECT `+tenantColumns+` FROM tenant WHERE alias = $1 AND deleted_at IS NULL`, alias))
}

// tenantsAfter returns up to limit living tenants, by id.
func tenantsAfter(q db.Queryer, after id.ID, limit int) ([]Tenant, error) {
	return collect(q, scanTenant, `SELECT `+tenantColumns+` FROM tenant
		WHERE id > $1 AND deleted_at IS NULL ORDER BY id LIMIT $2`, after, limit)
}

func insertTenant(tx *db.Tx, t Tenant) error {
	_, err := tx.Exec(`INSERT INTO tenant (id, alias, live, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)`,
		t.ID, t.Alias, t.Live, db.Micro(t.CreatedAt), db.Micro(t.UpdatedAt))
	return wrapped("store a tenant", err)
}

func updateAlias(tx *db.Tx, t Tenant) error {
	_, err := tx.Exec(`UPDATE tenant SET alias = $2, updated_at = $3 WHERE id = $1 AND deleted_at IS NULL`,
		t.ID, t.Alias, db.Micro(t.UpdatedAt))
	return wrapped("rename a tenant", err)
}

// buryTenant marks a living tenant as deleted and its keys as revoked.
func buryTenant(tx *db.Tx, tenant id.ID) error {
	now := db.Micro(tx.Now())
	if _, err := tx.Exec(`UPDATE tenant SET deleted_at = $2, updated_at = $2 WHERE id = $1 AND deleted_at IS NULL`, tenant, now); err != nil {
		return wrapped("delete a tenant", err)
	}
	_, err := tx.Exec(`UPDATE api_key SET revoked_at = $2 WHERE tenant_id = $1 AND revoked_at IS NULL`, tenant, now)
	return wrapped("revoke a tenant's keys", err)
}

const keyColumns = `id, tenant_id, name, scopes, hint, hash, created_at, expires_at, revoked_at`

// storedKey is a row of api_key.
type storedKey struct {
	Key
	hash hash
}

func scanKey(row scanner) (storedKey, error) {
	var k storedKey
	var scopes string
	var sum []byte
	var created int64
	var expires, revoked db.NullMicro
	err := row.Scan(&k.ID, &k.TenantID, &k.Name, &scopes, &k.Hint, &sum, &created, &expires, &revoked)
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

// keyByHash returns any tenant's key, or an error that matches db.ErrNoRows.
func keyByHash(q db.Queryer, h hash) (storedKey, error) {
	return scanKey(q.QueryRow(`SELECT `+keyColumns+` FROM api_key WHERE hash = $1`, h[:]))
}

// keysAfter returns up to limit keys of the tenant, by id.
func keysAfter(q db.Queryer, tenant, after id.ID, limit int) ([]storedKey, error) {
	return collect(q, scanKey, `SELECT `+keyColumns+` FROM api_key
		WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3`, tenant, after, limit)
}

func insertKey(tx *db.Tx, k storedKey) error {
	_, err := tx.Exec(`INSERT INTO api_key (id, tenant_id, name, scopes, hint, hash, created_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.TenantID, k.Name, k.Scopes.String(), k.Hint, k.hash[:], db.Micro(k.CreatedAt), db.NullMicro{Time: k.ExpiresAt})
	return wrapped("store a key", err)
}

func revokeKey(tx *db.Tx, key id.ID) error {
	_, err := tx.Exec(`UPDATE api_key SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL`, key, db.Micro(tx.Now()))
	return wrapped("revoke a key", err)
}

func expireKey(tx *db.Tx, key id.ID, at time.Time) error {
	_, err := tx.Exec(`UPDATE api_key SET expires_at = $2 WHERE id = $1`, key, db.Micro(at))
	return wrapped("let a key expire", err)
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
