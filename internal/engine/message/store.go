package message

import (
	"encoding/json"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// themeRow is what is stored of a tenant's theme besides its draft and versions.
type themeRow struct {
	schema     string
	version    string
	publishing string
	log        []LogEntry
}

// storedEntry is an entry of the log as it is stored.
type storedEntry struct {
	At      int64  `json:"at"` // microseconds
	Message string `json:"message"`
}

// selectTheme returns the zero row for a tenant that has none.
func selectTheme(q db.Queryer, tenant id.ID) (themeRow, error) {
	var row themeRow
	var log string
	err := q.QueryRow(`SELECT schema, version, publishing, log FROM theme WHERE tenant_id = $1`, tenant[:]).
		Scan(&row.schema, &row.version, &row.publishing, &log)
	if errors.Is(err, db.ErrNoRows) {
		return themeRow{}, nil
	}
	if err != nil {
		return themeRow{}, err
	}
	var entries []storedEntry
	if err := json.Unmarshal([]byte(log), &entries); err != nil {
		return themeRow{}, err
	}
	for _, e := range entries {
		row.log = append(row.log, LogEntry{db.FromMicro(e.At), e.Message})
	}
	return row, nil
}

// selectInUse returns the version that is in use; empty: none is. Every message asks
// for it, so it leaves the log alone, which may be long.
func selectInUse(q db.Queryer, tenant id.ID) (string, error) {
	version := ""
	err := q.QueryRow(`SELECT version FROM theme WHERE tenant_id = $1`, tenant[:]).Scan(&version)
	if errors.Is(err, db.ErrNoRows) {
		err = nil
	}
	return version, err
}

// upsertTheme stores all of the row but its schema, which publishing leaves alone.
func upsertTheme(tx *db.Tx, tenant id.ID, row themeRow) error {
	entries := []storedEntry{}
	for _, e := range row.log {
		entries = append(entries, storedEntry{db.Micro(e.At), e.Message})
	}
	log, err := encode(entries)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO theme (tenant_id, schema, version, publishing, log) VALUES ($1, '', $2, $3, $4)
		ON CONFLICT (tenant_id) DO UPDATE SET version = $2, publishing = $3, log = $4`,
		tenant[:], row.version, row.publishing, string(log))
	return err
}

func upsertSchema(tx *db.Tx, tenant id.ID, schema string) error {
	_, err := tx.Exec(`INSERT INTO theme (tenant_id, schema, version, publishing, log) VALUES ($1, $2, '', '', '[]')
		ON CONFLICT (tenant_id) DO UPDATE SET schema = $2`, tenant[:], schema)
	return err
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scanEdition(row scanner) (string, edition, error) {
	var locale, variables, templates string
	if err := row.Scan(&locale, &variables, &templates); err != nil {
		return "", edition{}, err
	}
	e := newEdition()
	var err error
	if e.Variables, err = decodeObject([]byte(variables)); err != nil {
		return "", edition{}, err
	}
	return locale, e, json.Unmarshal([]byte(templates), &e.Templates)
}

// selectEdition returns the draft for a locale, and whether there is one.
func selectEdition(q db.Queryer, tenant id.ID, locale string) (edition, bool, error) {
	_, e, err := scanEdition(q.QueryRow(
		`SELECT locale, variables, templates FROM theme_draft WHERE tenant_id = $1 AND locale = $2`, tenant[:], locale))
	if errors.Is(err, db.ErrNoRows) {
		return newEdition(), false, nil
	}
	return e, err == nil, err
}

// selectDraft returns the whole draft.
func selectDraft(q db.Queryer, tenant id.ID) (content, error) {
	row, err := selectTheme(q, tenant)
	if err != nil {
		return content{}, err
	}
	draft := content{Locale: map[string]edition{}}
	if row.schema != "" {
		draft.Schema = json.RawMessage(row.schema)
	}
	rows, err := q.Query(`SELECT locale, variables, templates FROM theme_draft WHERE tenant_id = $1 ORDER BY locale`, tenant[:])
	if err != nil {
		return content{}, err
	}
	defer rows.Close()
	for rows.Next() {
		locale, e, err := scanEdition(rows)
		if err != nil {
			return content{}, err
		}
		draft.Locale[locale] = e
	}
	return draft, rows.Err()
}

func upsertEdition(tx *db.Tx, tenant id.ID, locale string, e edition) error {
	variables, err := encode(e.Variables)
	if err != nil {
		return err
	}
	templates, err := encode(e.Templates)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO theme_draft (tenant_id, locale, variables, templates) VALUES ($1, $2, $3, $4)
		ON CONFLICT (tenant_id, locale) DO UPDATE SET variables = $3, templates = $4`,
		tenant[:], locale, string(variables), string(templates))
	return err
}

func deleteEdition(tx *db.Tx, tenant id.ID, locale string) (int64, error) {
	return tx.Exec(`DELETE FROM theme_draft WHERE tenant_id = $1 AND locale = $2`, tenant[:], locale)
}

func insertVersion(tx *db.Tx, tenant id.ID, version string, whole content) error {
	document, err := encode(whole)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO theme_version (tenant_id, version, content, created_at) VALUES ($1, $2, $3, $4)`,
		tenant[:], version, string(document), db.Micro(tx.Now()))
	return err
}

// selectVersion returns a version and how large it is.
func selectVersion(q db.Queryer, tenant id.ID, version string) (content, int, error) {
	var document string
	err := q.QueryRow(`SELECT content FROM theme_version WHERE tenant_id = $1 AND version = $2`, tenant[:], version).Scan(&document)
	if err != nil {
		return content{}, 0, err
	}
	var whole struct {
		Schema  json.RawMessage `json:"schema"`
		Locales map[string]struct {
			Variables json.RawMessage   `json:"variables"`
			Templates map[Type]Template `json:"templates"`
		} `json:"locales"`
	}
	if err := json.Unmarshal([]byte(document), &whole); err != nil {
		return content{}, 0, err
	}
	made := content{Schema: whole.Schema, Locale: map[string]edition{}}
	for locale, stored := range whole.Locales {
		variables, err := decodeObject(stored.Variables)
		if err != nil {
			return content{}, 0, err
		}
		made.Locale[locale] = edition{variables, stored.Templates}
	}
	return made, len(document), nil
}

func deleteVersion(tx *db.Tx, tenant id.ID, version string) error {
	_, err := tx.Exec(`DELETE FROM theme_version WHERE tenant_id = $1 AND version = $2`, tenant[:], version)
	return err
}

// deleteOldVersions deletes the tenant's versions but for the latest and the one in
// use.
func deleteOldVersions(tx *db.Tx, tenant id.ID, keep int, inUse string) error {
	_, err := tx.Exec(`DELETE FROM theme_version WHERE tenant_id = $1 AND version <> $3 AND version NOT IN
		(SELECT version FROM theme_version WHERE tenant_id = $1 ORDER BY created_at DESC, version LIMIT $2)`, tenant[:], keep, inUse)
	return err
}

const messageColumns = `id, tenant_id, person_id, type, subject, message, created_at, cause, about`

// insertMessage reports whether the person was not written the same before.
func insertMessage(tx *db.Tx, m *Message) (bool, error) {
	n, err := tx.Exec(`INSERT INTO message (`+messageColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`,
		m.ID[:], m.TenantID[:], m.PersonID[:], string(m.Type), m.Subject, m.Message, db.Micro(m.CreatedAt), m.Cause[:], m.About.OrNull())
	return n == 1, err
}

func scanMessage(row scanner) (Message, error) {
	var m Message
	var created int64
	var about []byte
	err := row.Scan(&m.ID, &m.TenantID, &m.PersonID, &m.Type, &m.Subject, &m.Message, &created, &m.Cause, &about)
	m.CreatedAt = db.FromMicro(created)
	copy(m.About[:], about)
	return m, err
}

func selectMessages(q db.Queryer, tenant, person id.ID, page Page) ([]Message, error) {
	rows, err := q.Query(`SELECT `+messageColumns+` FROM message WHERE tenant_id = $1 AND person_id = $2 AND id < $3
		ORDER BY id DESC LIMIT $4`, tenant[:], person[:], page.Before[:], page.Limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var messages []Message
	for rows.Next() {
		m, err := scanMessage(rows)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, rows.Err()
}

// selectAbout returns what names the messages about something.
func selectAbout(q db.Queryer, tenant, about id.ID) ([]Message, error) {
	rows, err := q.Query(`SELECT person_id, id FROM message WHERE tenant_id = $1 AND about = $2 AND about IS NOT NULL`, tenant[:], about[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var messages []Message
	for rows.Next() {
		m := Message{TenantID: tenant}
		if err := rows.Scan(&m.PersonID, &m.ID); err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, rows.Err()
}

// deleteMessages deletes what a person was written from one message on.
func deleteMessages(tx *db.Tx, tenant, person, from id.ID) error {
	_, err := tx.Exec(`DELETE FROM message WHERE tenant_id = $1 AND person_id = $2 AND id >= $3`, tenant[:], person[:], from[:])
	return err
}

func blankMessage(tx *db.Tx, m Message) error {
	_, err := tx.Exec(`UPDATE message SET subject = '', message = '' WHERE tenant_id = $1 AND person_id = $2 AND id = $3`,
		m.TenantID[:], m.PersonID[:], m.ID[:])
	return err
}
