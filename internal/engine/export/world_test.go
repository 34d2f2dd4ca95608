package export_test

import (
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// world is the exports of a tenant, over a database of its own, with a source that
// has as many rows as the test wants.
type world struct {
	*export.Service
	t      testing.TB
	url    string
	db     *db.DB
	jobs   *job.Runner
	tenant id.ID

	rows   int
	row    func(n int) []string
	onPage func(from int) error // before a page is read

	created, completed []export.Export
	told               chan struct{} // one token for each that was completed
}

func mustWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, url: testkit.DatabaseURL(t), tenant: id.New(time.Now()), told: make(chan struct{}, 100),
		row: func(n int) []string { return []string{fmt.Sprint("u", n), fmt.Sprint("Name ", n)} },
	}
	w.mustOpen()
	t.Cleanup(w.mustClose)
	return w
}

// inWorld runs a test in virtual time, so that it can wait for jobs.
func inWorld(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	testkit.VirtualTime(t, func(t *testing.T) { fn(t, mustWorld(t)) })
}

// mustOpen starts a server, as it were; no job is begun yet.
func (w *world) mustOpen() {
	w.t.Helper()
	var err error
	if w.db, err = db.Open(w.t.Context(), w.url, db.Options{}); err != nil {
		w.t.Fatal(err)
	}
	w.jobs = job.NewRunner(job.Options{DB: w.db, Logger: slog.New(slog.NewTextHandler(w.t.Output(), nil))})
	w.Service, err = export.New(export.Options{
		DB: w.db, Jobs: w.jobs,
		Sources: []export.Source{
			{Type: "PERSON", Columns: []string{"id", "name"}, Prose: []string{"name"}, Check: checkParams, Page: w.page},
			{Type: "NOTHING", Columns: []string{"id", "name"}, Page: func(db.Queryer, export.Part) ([][]string, []byte, error) { return nil, nil, nil }},
			{Type: "CROOKED", Columns: []string{"id", "name"}, Page: func(db.Queryer, export.Part) ([][]string, []byte, error) {
				return [][]string{{"1"}}, nil, nil
			}},
		},
		Created: func(tx *db.Tx, e export.Export) error {
			tx.After(func() { w.created = append(w.created, e) })
			return nil
		},
		Completed: func(tx *db.Tx, e export.Export) error {
			tx.After(func() {
				w.completed = append(w.completed, e)
				w.told <- struct{}{}
			})
			return nil
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mustClose() {
	w.jobs.Stop()
	if err := w.db.Close(); err != nil {
		w.t.Error(err)
	}
}

func checkParams(p export.Params) error {
	if p.ProgramID != "" {
		return fmt.Errorf("people belong to no program")
	}
	return nil
}

// page returns the rows from the number that the page before ended at.
func (w *world) page(_ db.Queryer, p export.Part) ([][]string, []byte, error) {
	from := 0
	if p.After != nil {
		from = int(binary.BigEndian.Uint32(p.After))
	}
	if w.onPage != nil {
		if err := w.onPage(from); err != nil {
			return nil, nil, err
		}
	}
	var rows [][]string
	to := min(from+p.Limit, w.rows)
	for n := from; n < to; n++ {
		rows = append(rows, w.row(n))
	}
	if to == w.rows {
		return rows, nil, nil
	}
	return rows, binary.BigEndian.AppendUint32(nil, uint32(to)), nil
}

// create asks for an export of people, changed as the test wants it.
func (w *world) create(change func(*export.Request)) (export.Export, error) {
	r := export.Request{TenantID: w.tenant, Type: "PERSON", Name: "Test", Requester: "Hayward Erikson"}
	change(&r)
	var made export.Export
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		var err error
		made, err = w.Create(tx, r)
		return err
	})
	return made, err
}

func (w *world) mustCreate() export.Export {
	w.t.Helper()
	e, err := w.create(func(*export.Request) {})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// mustFinish has all that is due be done.
func (w *world) mustFinish() {
	w.t.Helper()
	w.jobs.Start()
	synctest.Wait()
}

func (w *world) mustGet(e export.Export) export.Export {
	w.t.Helper()
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		var err error
		e, err = export.Get(q, w.tenant, e.ID)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// download returns the file of an export, and the size of its largest piece.
func (w *world) download(e export.Export) (string, int, error) {
	_, chunks, err := w.Download(w.t.Context(), w.tenant, e.ID)
	if err != nil {
		return "", 0, err
	}
	var file strings.Builder
	largest := 0
	for chunk, err := range chunks {
		if err != nil {
			return file.String(), largest, err
		}
		file.Write(chunk)
		largest = max(largest, len(chunk))
	}
	return file.String(), largest, nil
}

// wantFile fails the test unless the export has a file with all rows, once and in
// order.
func (w *world) wantFile(e export.Export) {
	w.t.Helper()
	e = w.mustGet(e)
	file, _, err := w.download(e)
	if err != nil {
		w.t.Fatal(err)
	}
	if int64(len(file)) != e.Bytes || e.Rows != int64(w.rows) || e.Status != export.Completed {
		w.t.Errorf("the file has %d bytes, and the export is %+v", len(file), e)
	}
	lines, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil || len(lines) != w.rows+1 {
		w.t.Fatalf("%d lines, want %d and a header: %v", len(lines), w.rows, err)
	}
	for n, line := range lines[1:] {
		if want := w.row(n); line[0] != want[0] || line[1] != want[1] {
			w.t.Fatalf("row %d is %q, want %q", n, line, want)
		}
	}
}

// steer cancels an export or has it expire.
func (w *world) steer(do func(tx *db.Tx) error) error { return w.db.Write(w.t.Context(), do) }
