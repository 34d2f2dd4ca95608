package webhook

import (
	"errors"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const eventTypeColumns = `v.name, v.version, v.description, v.schema, v.sample, v.created_at, t.archived_at
	FROM event_type t JOIN event_type_version v ON v.tenant_id = t.tenant_id AND v.name = t.name`

func scanEventType(row scanner) (EventType, error) {
	var t EventType
	var schema, sample string
	var created int64
	var archived db.NullMicro
	err := row.Scan(&t.Name, &t.Version, &t.Description, &schema, &sample, &created, &archived)
	if schema != "" {
		t.Schema = []byte(schema)
	}
	if sample != "" {
		t.Sample = []byte(sample)
	}
	t.CreatedAt, t.ArchivedAt = db.FromMicro(created), archived.Time
	return t, err
}

// selectEventType returns the newest version of a type, archived or not.
func selectEventType(q db.Queryer, tenant id.ID, name string) (EventType, error) {
	t, err := scanEventType(q.QueryRow(`SELECT `+eventTypeColumns+` AND v.version = t.version
		WHERE t.tenant_id = $1 AND t.name = $2`, tenant[:], name))
	if errors.Is(err, db.ErrNoRows) {
		return EventType{}, noEventType()
	}
	return t, err
}

func listEventTypeVersions(q db.Queryer, tenant id.ID, name string) ([]EventType, error) {
	rows, err := q.Query(`SELECT `+eventTypeColumns+` WHERE t.tenant_id = $1 AND t.name = $2 ORDER BY v.version DESC`, tenant[:], name)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var versions []EventType
	for rows.Next() {
		t, err := scanEventType(rows)
		if err != nil {
			return nil, err
		}
		versions = append(versions, t)
	}
	return versions, rows.Err()
}

func listEventTypeNames(q db.Queryer, tenant id.ID) ([]string, error) {
	rows, err := q.Query(`SELECT name FROM event_type WHERE tenant_id = $1 AND archived_at IS NULL`, tenant[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Sort(names) // as bytes: databases have orders of their own
	return names, rows.Err()
}

// selectEdition returns the edition of what the tenant has registered.
func selectEdition(q db.Queryer, tenant id.ID) (edition, error) {
	var e edition
	err := q.QueryRow(`SELECT CAST(coalesce(sum(version), 0) AS BIGINT), count(archived_at) FROM event_type WHERE tenant_id = $1`,
		tenant[:]).Scan(&e.versions, &e.archived)
	return e, err
}

// loadTypeSet returns the schemas that hold.
func loadTypeSet(q db.Queryer, tenant id.ID) (*typeSet, error) {
	now, err := selectEdition(q, tenant)
	if err != nil {
		return nil, err
	}
	rows, err := q.Query(`SELECT v.name, v.schema FROM event_type t
		JOIN event_type_version v ON v.tenant_id = t.tenant_id AND v.name = t.name AND v.version = t.version
		WHERE t.tenant_id = $1 AND t.archived_at IS NULL`, tenant[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	set := &typeSet{edition: now, byName: make(map[string]*registeredType)}
	for rows.Next() {
		var name, schema string
		if err := rows.Scan(&name, &schema); err != nil {
			return nil, err
		}
		set.byName[name] = &registeredType{source: []byte(schema)}
	}
	return set, rows.Err()
}

// countOtherTypes counts the tenant's registered types besides the named one, and
// the bytes of their schemas.
func countOtherTypes(q db.Queryer, tenant id.ID, name string) (int, int, error) {
	var types, bytes int
	err := q.QueryRow(`SELECT count(*), CAST(coalesce(sum(schema_bytes), 0) AS BIGINT) FROM event_type
		WHERE tenant_id = $1 AND archived_at IS NULL AND name <> $2`, tenant[:], name).Scan(&types, &bytes)
	return types, bytes, err
}

// insertEventType stores a version and makes it the newest.
func insertEventType(tx *db.Tx, tenant id.ID, t EventType) error {
	_, err := tx.Exec(`INSERT INTO event_type_version (tenant_id, name, version, description, schema, sample, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		tenant[:], t.Name, t.Version, t.Description, string(t.Schema), string(t.Sample), db.Micro(t.CreatedAt))
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO event_type (tenant_id, name, version, schema_bytes, archived_at) VALUES ($1, $2, $3, $4, NULL)
		ON CONFLICT (tenant_id, name) DO UPDATE SET version = excluded.version, schema_bytes = excluded.schema_bytes, archived_at = NULL`,
		tenant[:], t.Name, t.Version, len(t.Schema))
	return err
}

// archiveEventType reports whether there was a registered type of that name.
func archiveEventType(tx *db.Tx, tenant id.ID, name string) (bool, error) {
	n, err := tx.Exec(`UPDATE event_type SET archived_at = $3 WHERE tenant_id = $1 AND name = $2 AND archived_at IS NULL`,
		tenant[:], name, db.Micro(tx.Now()))
	return n == 1, err
}
