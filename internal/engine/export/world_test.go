package export_test

import (
	"context"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// world is the exports of a tenant, over a database of its own, with a source that
// has as many rows as the test wants.
type world struct {
	*export.Service
	t      testing.TB
	url    string
	db     *db.DB
	log    *fact.Log
	jobs   *job.Runner
	timers *timer.Runner
	tenant id.ID

	rows   int
	row    func(n int) []string
	onPage func(from int) error // before a page is read

	created, completed []export.Export
	causes             []id.ID       // of the facts that they were completed
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
	logger := slog.New(slog.NewTextHandler(w.t.Output(), nil))
	w.jobs = job.NewRunner(job.Options{DB: w.db, Logger: logger})
	w.log = fact.New(fact.Options{DB: w.db, Sink: w})
	w.timers = timer.New(timer.Options{DB: w.db, Execute: w.log.Execute, Logger: logger})
	w.Service, err = export.New(export.Options{
		DB: w.db, Log: w.log, Jobs: w.jobs,
		Sources: []export.Source{
			{Type: "PERSON", Columns: []string{"id", "name"}, Prose: []string{"name"}, Check: checkParams, Page: w.page},
			{Type: "NOTHING", Columns: []string{"id", "name"}, Page: func(db.Queryer, export.Part) ([][]string, []byte, error) { return nil, nil, nil }},
			{Type: "CROOKED", Columns: []string{"id", "name"}, Page: func(db.Queryer, export.Part) ([][]string, []byte, error) {
				return [][]string{{"1"}}, nil, nil
			}},
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// Prepare, Stale and Tell have the world be told of facts.

func (w *world) Prepare(context.Context, id.ID) (fact.Teller, error) { return w, nil }
func (w *world) Stale(error) bool                                    { return false }

func (w *world) Tell(c *fact.Command, facts []*fact.Fact) error {
	told := slices.Clone(facts)
	c.Tx().After(func() {
		for _, f := range told {
			e := *f.Data.(*export.Export)
			if f.Type == export.Ordered {
				w.created = append(w.created, e)
				continue
			}
			w.completed = append(w.completed, e)
			w.causes = append(w.causes, f.Cause)
			w.told <- struct{}{}
		}
	})
	return nil
}

func (w *world) mustClose() {
	w.jobs.Stop()
	w.timers.Stop()
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
	r := export.Request{Type: "PERSON", Name: "Test", Requester: "Hayward Erikson"}
	change(&r)
	return w.Order(w.t.Context(), w.tenant, r)
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
	w.start()
	synctest.Wait()
}

// start begins to do what is due.
func (w *world) start() {
	w.jobs.Start()
	w.timers.Start()
}

func (w *world) mustGet(e export.Export) export.Export {
	w.t.Helper()
	e, err := w.Get(w.t.Context(), w.tenant, e.ID)
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
