package export

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

const (
	writeJob     = "export.write"
	deleteJob    = "export.delete"
	deleteAllJob = "export.delete_all"

	pageRows      = 500
	chunkBytes    = 256 << 10
	deleteChunks  = 16  // in one step
	deleteRecords = 200 // in one step
)

// progress is how far a file has been written: the cursor of its job.
type progress struct {
	chunks, bytes int64
	after         []byte // of the source
}

func (p progress) pack() []byte {
	packed := binary.AppendVarint(binary.AppendVarint(nil, p.chunks), p.bytes)
	return append(packed, p.after...)
}

func unpack(cursor []byte) (progress, error) {
	chunks, n := binary.Varint(cursor)
	if n <= 0 {
		return progress{}, errors.New("export: the cursor is not readable")
	}
	written, m := binary.Varint(cursor[n:])
	if m <= 0 {
		return progress{}, errors.New("export: the cursor is not readable")
	}
	return progress{chunks, written, cursor[n+m:]}, nil
}

// writeStep writes one page of a file, after the header if it is the first one.
func (s *Service) writeStep(tx *db.Tx, j *job.Job) error {
	var of spec
	if err := json.Unmarshal(j.Spec, &of); err != nil {
		return err
	}
	e, err := selectExport(tx, j.TenantID, of.Export)
	if errors.Is(err, db.ErrNoRows) { // its tenant was deleted
		j.Complete()
		return nil
	}
	if err != nil {
		return err
	}
	source, known := s.sources[e.Type]
	if !known {
		return fmt.Errorf("export: this program does not know the type %q", e.Type)
	}
	file := newFile(source)
	at := progress{}
	if len(j.Cursor) == 0 {
		err = file.writeHeader()
	} else {
		at, err = unpack(j.Cursor)
	}
	if err != nil {
		return err
	}
	rows, next, err := source.Page(tx, Part{TenantID: e.TenantID, Params: e.Params, After: at.after, Limit: pageRows})
	if err != nil {
		return err
	}
	for _, row := range rows {
		if err := file.write(row); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(file.written.Bytes(), chunkBytes) {
		if err := insertChunk(tx, &e, at.chunks, chunk); err != nil {
			return err
		}
		at.chunks++
		at.bytes += int64(len(chunk))
	}
	at.after = next
	j.Cursor = at.pack()
	j.Done += int64(len(rows))
	if len(next) > 0 {
		return nil
	}
	j.Total = j.Done
	j.Complete()
	e.Status, e.Rows, e.Bytes, e.chunks = Completed, j.Done, at.bytes, at.chunks
	e.CompletedAt, e.ExpiresAt = tx.Now(), tx.Now().Add(kept)
	if err := updateExport(tx, &e); err != nil {
		return err
	}
	_, err = timer.Set(tx, timer.Timer{TenantID: e.TenantID, Kind: writtenTimer, DueAt: tx.Now(), Ref: e.ID})
	return err
}

// writeEnded aborts an export whose job was cancelled.
func (s *Service) writeEnded(tx *db.Tx, j *job.Job) error {
	if j.State != job.Cancelled {
		return nil
	}
	var of spec
	if err := json.Unmarshal(j.Spec, &of); err != nil {
		return err
	}
	e, err := selectExport(tx, j.TenantID, of.Export)
	if err != nil {
		return err
	}
	e.Status = Aborted
	return s.discard(tx, &e)
}

// deleteStep deletes some of the pieces of a file.
func deleteStep(tx *db.Tx, j *job.Job) error {
	var of spec
	if err := json.Unmarshal(j.Spec, &of); err != nil {
		return err
	}
	n, err := deleteSomeChunks(tx, j.TenantID, of.Export, deleteChunks)
	if err != nil {
		return err
	}
	j.Done += n
	if n == 0 {
		j.Total = j.Done
		j.Complete()
	}
	return nil
}

// deleteAllStep deletes some of the pieces of a tenant's files, and once none is left
// some of the records.
func deleteAllStep(tx *db.Tx, j *job.Job) error {
	n, err := deleteSomeOfTenant(tx, j.TenantID)
	if err != nil {
		return err
	}
	j.Done += n
	if n == 0 {
		j.Total = j.Done
		j.Complete()
	}
	return nil
}

// file is a part of a file that is being written.
type file struct {
	source  Source
	prose   []bool // by column
	written bytes.Buffer
	line    bytes.Buffer
	csv     *csv.Writer
}

func newFile(source Source) *file {
	f := &file{source: source, prose: make([]bool, len(source.Columns))}
	for i, column := range source.Columns {
		f.prose[i] = slices.Contains(source.Prose, column)
	}
	f.csv = csv.NewWriter(&f.line)
	return f
}

func (f *file) writeHeader() error { return f.writeLine(f.source.Columns) }

func (f *file) write(row []string) error {
	if len(row) != len(f.source.Columns) {
		return fmt.Errorf("export: a row of %q has %d cells for %d columns", f.source.Type, len(row), len(f.source.Columns))
	}
	cells := slices.Clone(row)
	for i, cell := range cells {
		if f.prose[i] && looksLikeFormula(cell) {
			cells[i] = "'" + cell
		}
	}
	return f.writeLine(cells)
}

// writeLine ends a line with CRLF itself: csv.Writer would change the line breaks in
// the cells too.
func (f *file) writeLine(cells []string) error {
	f.line.Reset()
	if err := f.csv.Write(cells); err != nil {
		return err
	}
	f.csv.Flush()
	if err := f.csv.Error(); err != nil {
		return err
	}
	f.written.Write(bytes.TrimSuffix(f.line.Bytes(), []byte("\n")))
	f.written.WriteString("\r\n")
	return nil
}

// looksLikeFormula reports whether a spreadsheet might run a cell.
func looksLikeFormula(cell string) bool {
	return cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) && !isNumber(cell)
}

// isNumber reports whether a cell is a plain number with a sign.
func isNumber(cell string) bool {
	digits := strings.TrimLeft(cell, "+-")
	if len(cell)-len(digits) != 1 || digits == "" || strings.Count(digits, ".") > 1 {
		return false
	}
	return strings.Trim(digits, "0123456789.") == "" && strings.ContainsAny(digits, "0123456789")
}
