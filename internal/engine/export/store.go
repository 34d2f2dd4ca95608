package export

import (
	"encoding/json"
	"errors"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const columns = `id, tenant_id, job_id, type, format, name, requester, params, status, created_at, completed_at, expires_at, row_count, bytes, chunks`

func insertExport(tx *db.Tx, e *Export) error {
	params, err := json.Marshal(e.Params)
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO export (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL, NULL, 0, 0, 0)`,
		e.ID[:], e.TenantID[:], e.job[:], e.Type, e.Format, e.Name, e.Requester, string(params), string(e.Status), db.Micro(e.CreatedAt))
	return err
}

// updateExport stores what may change of an export.
func updateExport(tx *db.Tx, e *Export) error {
	_, err := tx.Exec(`UPDATE export SET status = $3, completed_at = $4, expires_at = $5, row_count = $6, bytes = $7, chunks = $8
		WHERE tenant_id = $1 AND id = $2`,
		e.TenantID[:], e.ID[:], string(e.Status), db.NullMicro{Time: e.CompletedAt}, db.NullMicro{Time: e.ExpiresAt}, e.Rows, e.Bytes, e.chunks)
	return err
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scanExport(row scanner) (Export, error) {
	var e Export
	var params string
	var created int64
	var completed, expires db.NullMicro
	err := row.Scan(&e.ID, &e.TenantID, &e.job, &e.Type, &e.Format, &e.Name, &e.Requester, &params, &e.Status,
		&created, &completed, &expires, &e.Rows, &e.Bytes, &e.chunks)
	if err != nil {
		return Export{}, err
	}
	e.CreatedAt, e.CompletedAt, e.ExpiresAt = db.FromMicro(created), completed.Time, expires.Time
	return e, json.Unmarshal([]byte(params), &e.Params)
}

const selectByID = `SELECT ` + columns + ` FROM export WHERE tenant_id = $1 AND id = $2`

func selectExport(q db.Queryer, tenant, export id.ID) (Export, error) {
	return scanExport(q.QueryRow(selectByID, tenant[:], export[:]))
}

const selectPage = `SELECT ` + columns + ` FROM export WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2 OFFSET $3`

func selectExports(q db.Queryer, tenant id.ID, page Page) ([]Export, error) {
	return queryExports(q, selectPage, tenant[:], page.Limit, page.Offset)
}

func queryExports(q db.Queryer, query string, args ...any) ([]Export, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Export
	for rows.Next() {
		e, err := scanExport(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func selectBefore(q db.Queryer, tenant, before id.ID, limit int) ([]Export, error) {
	return queryExports(q, `SELECT `+columns+` FROM export WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3`, tenant[:], before[:], limit)
}

func countExports(q db.Queryer, tenant id.ID) (int, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM export WHERE tenant_id = $1`, tenant[:]).Scan(&n)
	return n, err
}

func insertChunk(tx *db.Tx, e *Export, ordinal int64, content []byte) error {
	_, err := tx.Exec(`INSERT INTO export_chunk (tenant_id, export_id, ordinal, content) VALUES ($1, $2, $3, $4)`,
		e.TenantID[:], e.ID[:], ordinal, content)
	return err
}

func selectChunk(q db.Queryer, e Export, ordinal int64) ([]byte, error) {
	var content []byte
	err := q.QueryRow(`SELECT content FROM export_chunk WHERE tenant_id = $1 AND export_id = $2 AND ordinal = $3`,
		e.TenantID[:], e.ID[:], ordinal).Scan(&content)
	return content, err
}

// deleteSomeChunks deletes the first pieces of a file that are left, and returns how
// many they were.
func deleteSomeChunks(tx *db.Tx, tenant, export id.ID, limit int) (int64, error) {
	return tx.Exec(`DELETE FROM export_chunk WHERE tenant_id = $1 AND export_id = $2 AND ordinal <
		(SELECT min(ordinal) + $3 FROM export_chunk WHERE tenant_id = $1 AND export_id = $2)`, tenant[:], export[:], limit)
}

// selectPending returns the exports of a tenant that are being written.
func selectPending(q db.Queryer, tenant id.ID) ([]Export, error) {
	return queryExports(q, `SELECT `+columns+` FROM export WHERE tenant_id = $1 AND status = $2 ORDER BY id`, tenant[:], string(Pending))
}

// deleteSomeOfTenant deletes some of the pieces of a tenant's files, and where none is
// left some of its exports, and returns how many rows they were.
func deleteSomeOfTenant(tx *db.Tx, tenant id.ID) (int64, error) {
	var first id.ID
	err := tx.QueryRow(`SELECT export_id FROM export_chunk WHERE tenant_id = $1 ORDER BY export_id LIMIT 1`, tenant[:]).Scan(&first)
	if err == nil {
		return deleteSomeChunks(tx, tenant, first, deleteChunks)
	}
	if !errors.Is(err, db.ErrNoRows) {
		return 0, err
	}
	return tx.Exec(`DELETE FROM export WHERE tenant_id = $1 AND id IN (SELECT id FROM export WHERE tenant_id = $1 ORDER BY id LIMIT $2)`,
		tenant[:], deleteRecords)
}
