package export_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAnExportIsWrittenAndKeptForThirtyFiveDays(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 3
		e := w.mustCreate()
		if e.Status != export.Pending || len(w.created) != 1 || w.created[0].ID != e.ID || !e.ExpiresAt.IsZero() {
			t.Errorf("created %+v, told of %+v", e, w.created)
		}
		if _, _, err := w.download(e); !problem.Conflict.Has(err) {
			t.Errorf("downloaded too early: %v", err)
		}
		w.mustFinish()
		done := w.mustGet(e)
		if done.Status != export.Completed || done.ExpiresAt.Sub(done.CompletedAt) != 35*24*time.Hour || done.Requester != "Hayward Erikson" {
			t.Errorf("completed %+v", done)
		}
		if len(w.completed) != 1 || w.completed[0].Status != export.Completed || !w.completed[0].ExpiresAt.Equal(done.ExpiresAt) {
			t.Errorf("told of %+v", w.completed)
		}
		w.wantCausedByTheOrder(e)
		file, _, err := w.download(e)
		if want := "id,name\r\nu0,Name 0\r\nu1,Name 1\r\nu2,Name 2\r\n"; file != want || err != nil || done.Bytes != int64(len(want)) {
			t.Errorf("the file is %q, %v", file, err)
		}
	})
}

func TestAnExportOfNothingHasAHeader(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e, err := w.create(func(r *export.Request) { r.Type = "NOTHING" })
		if err != nil {
			t.Fatal(err)
		}
		w.mustFinish()
		if file, _, err := w.download(e); file != "id,name\r\n" || err != nil {
			t.Errorf("the file is %q, %v", file, err)
		}
	})
}

func TestAnExportOfTwentyThousandRowsGoesOnAfterARestart(t *testing.T) {
	w := mustWorld(t)
	w.rows = 20_000
	reached := make(chan struct{})
	w.onPage = func(from int) error {
		if from == 5_000 {
			close(reached)
			w.onPage = nil
		}
		return nil
	}
	e := w.mustCreate()
	w.start()
	<-reached
	w.mustClose()
	w.mustOpen()
	first := -1
	w.onPage = func(from int) error {
		if first < 0 {
			first = from
		}
		return nil
	}
	if got := w.mustGet(e); got.Status != export.Pending {
		t.Fatalf("it was completed before the restart: %+v", got)
	}
	w.start()
	<-w.told
	if first < 5_000 {
		t.Errorf("it went on at row %d", first)
	}
	w.wantFile(e)
}

func TestAPageThatFailsIsWrittenOnceInTheEnd(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 1_700
		failures := 0
		w.onPage = func(from int) error {
			if from == 1_000 && failures < 3 {
				failures++
				return errors.New("not now")
			}
			return nil
		}
		e := w.mustCreate()
		w.mustFinish()
		time.Sleep(time.Minute)
		synctest.Wait()
		if failures != 3 {
			t.Errorf("it failed %d times", failures)
		}
		w.wantFile(e)
	})
}

func TestPiecesHaveAtMostAQuarterOfAMegabyte(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 600
		w.row = func(n int) []string { return []string{strings.Repeat("é", n), strings.Repeat("\"", 3_000)} }
		e := w.mustCreate()
		w.mustFinish()
		w.wantFile(e)
		if file, largest, _ := w.download(e); largest > 256<<10 || len(file) < 1<<20 {
			t.Errorf("the largest piece of %d bytes has %d", len(file), largest)
		}
	})
}

func TestCellsAreWrittenAsTheyAreButForFormulasInProse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		cells := []struct{ given, prose string }{
			{"=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"},
			{"-2+3", "'-2+3"},
			{"@SUM(1)", "'@SUM(1)"},
			{"+1 x", "'+1 x"},
			{"\tx", "'\tx"},
			{"\rx", "'\rx"},
			{"--5", "'--5"},
			{"-", "'-"},
			{"-5", "-5"},
			{"+4930.5", "+4930.5"},
			{"a=b", "a=b"},
			{"", ""},
			{"O'Brien, \"x\"", "O'Brien, \"x\""},
			{"a\nb", "a\nb"},
			{"a\r\nb", "a\r\nb"},
			{" x ", " x "},
			{"'=1", "'=1"},
			{"\\.", "\\."},
		}
		w.rows = len(cells)
		w.row = func(n int) []string { return []string{cells[n].given, cells[n].given} }
		e := w.mustCreate()
		w.mustFinish()
		file, _, err := w.download(e)
		if err != nil {
			t.Fatal(err)
		}
		rest := strings.TrimPrefix(file, "id,name\r\n")
		for _, cell := range cells {
			first, ok1 := cutCell(&rest, ",")
			second, ok2 := cutCell(&rest, "\r\n")
			if first != cell.given || second != cell.prose || !ok1 || !ok2 {
				t.Fatalf("%q is written as %q, and in prose as %q", cell.given, first, second)
			}
		}
		if rest != "" {
			t.Errorf("left is %q", rest)
		}
	})
}

// cutCell reads a cell of a CSV file, of which not a byte is changed, and what ends
// it.
func cutCell(rest *string, end string) (string, bool) {
	if !strings.HasPrefix(*rest, `"`) {
		cell, after, ok := strings.Cut(*rest, end)
		*rest = after
		return cell, ok
	}
	quoted := (*rest)[1:]
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '"' {
			continue
		}
		if strings.HasPrefix(quoted[i:], `""`) {
			i++
			continue
		}
		after, ok := strings.CutPrefix(quoted[i+1:], end)
		*rest = after
		return strings.ReplaceAll(quoted[:i], `""`, `"`), ok
	}
	return "", false
}

func TestAnExportThatIsCancelledLeavesNoFile(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 20_000
		w.onPage = func(from int) error {
			if from == 10_000 {
				return errors.New("not now")
			}
			return nil
		}
		e := w.mustCreate()
		w.mustFinish()
		for range 2 {
			if got, err := w.Cancel(t.Context(), w.tenant, e.ID); err != nil || got.Status != export.Aborted {
				t.Fatalf("cancelled %+v, %v", got, err)
			}
		}
		w.onPage = nil
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.mustGet(e); got.Status != export.Aborted || len(w.completed) != 0 {
			t.Errorf("it is %+v, told of %v", got, w.completed)
		}
		if _, _, err := w.download(e); !problem.Conflict.Has(err) {
			t.Errorf("downloaded: %v", err)
		}
		w.wantNoPieces()
	})
}

// wantNoPieces fails the test if the database has pieces of files.
func (w *world) wantNoPieces() {
	w.t.Helper()
	left := 0
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT count(*) FROM export_chunk`).Scan(&left)
	})
	if err != nil || left != 0 {
		w.t.Errorf("%d pieces are left, %v", left, err)
	}
}

func TestAfterThirtyFiveDaysAnExportHasNoFileButARecord(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.rows = 20_000
		e := w.mustCreate()
		w.mustFinish()
		_, chunks, err := w.Download(t.Context(), w.tenant, e.ID)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(35*24*time.Hour - time.Hour)
		w.wantFile(e)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for _, err := range chunks {
			if !problem.NotFound.Has(err) {
				t.Errorf("the download goes on: %v", err)
			}
		}
		if _, _, err := w.download(e); !problem.NotFound.Has(err) {
			t.Errorf("downloaded: %v", err)
		}
		if got := w.mustGet(e); got.Status != export.Expired || got.Rows != 20_000 {
			t.Errorf("it is %+v", got)
		}
		if _, err := w.Cancel(t.Context(), w.tenant, e.ID); !problem.Conflict.Has(err) {
			t.Errorf("cancelled: %v", err)
		}
		w.wantNoPieces()
	})
}

func TestWhoOrdersCancelsOrDownloadsAnExportIsOnRecord(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e := w.mustCreate()
		if _, err := w.Cancel(t.Context(), w.tenant, w.mustCreate().ID); err != nil {
			t.Fatal(err)
		}
		w.mustFinish()
		if _, _, err := w.download(e); err != nil {
			t.Fatal(err)
		}
		entries, err := audit.New(w.db, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found, _, err := entries.Entries(t.Context(), audit.Filter{}, audit.Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var actions []audit.Action
		for _, entry := range found {
			actions = append(actions, entry.Action)
		}
		slices.Sort(actions)
		want := []audit.Action{audit.ExportCancelled, audit.ExportCreated, audit.ExportCreated, audit.ExportDownloaded}
		if diff := cmp.Diff(want, actions); diff != "" {
			t.Errorf("the entries (-want +got):\n%s", diff)
		}
	})
}

// wantCausedByTheOrder fails the test unless the fact that an export was completed
// has the one that it was ordered for its cause.
func (w *world) wantCausedByTheOrder(e export.Export) {
	w.t.Helper()
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		facts, err := fact.Of(q, w.tenant, e.ID, fact.Page{Limit: 10})
		if err == nil && (len(facts) != 2 || facts[1].Type != export.Ordered || len(w.causes) != 1 || facts[1].ID != w.causes[0]) {
			w.t.Errorf("%d facts, and the causes are %v", len(facts), w.causes)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestExportsAreListedByPageTheNewestFirst(t *testing.T) {
	w := mustWorld(t)
	var all []id.ID
	for range 5 {
		all = append([]id.ID{w.mustCreate().ID}, all...)
	}
	list := func(page export.Page) ([]id.ID, int, error) {
		var ids []id.ID
		found, total, err := w.List(t.Context(), w.tenant, page)
		for _, e := range found {
			ids = append(ids, e.ID)
		}
		return ids, total, err
	}
	for _, c := range []struct {
		page export.Page
		want []id.ID
	}{{export.Page{Limit: 3}, all[:3]}, {export.Page{Limit: 3, Offset: 3}, all[3:]}, {export.Page{Limit: 3, Offset: 9}, nil}, {export.Page{}, nil}} {
		got, total, err := list(c.page)
		if diff := cmp.Diff(c.want, got); diff != "" || total != 5 || err != nil {
			t.Errorf("%+v: %d in all, %v\n%s", c.page, total, err, diff)
		}
	}
	if _, _, err := list(export.Page{Limit: -1}); !problem.Invalid.Has(err) {
		t.Errorf("a negative limit: %v", err)
	}
	for _, c := range []struct {
		before id.ID
		want   []id.ID
	}{{id.ID{}, all[:3]}, {all[2], all[3:]}, {all[4], nil}} {
		found, err := w.Latest(t.Context(), w.tenant, c.before, 3)
		var got []id.ID
		for _, e := range found {
			got = append(got, e.ID)
		}
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("before %s: %v\n%s", c.before, err, diff)
		}
	}
	w.tenant = id.New(time.Now())
	if got, err := w.Latest(t.Context(), w.tenant, id.ID{}, 9); len(got) != 0 || err != nil {
		t.Errorf("another tenant sees %v, %v", got, err)
	}
	if got, total, err := list(export.Page{Limit: 9}); len(got) != 0 || total != 0 || err != nil {
		t.Errorf("another tenant sees %v, %d, %v", got, total, err)
	}
	if _, _, err := w.download(export.Export{ID: all[0]}); !problem.NotFound.Has(err) {
		t.Errorf("another tenant downloads: %v", err)
	}
}

func TestAnExportThatCantBeWrittenIsRefused(t *testing.T) {
	w := mustWorld(t)
	for name, change := range map[string]func(*export.Request){
		"an unknown type":     func(r *export.Request) { r.Type = "COW" },
		"another format":      func(r *export.Request) { r.Format = "XLSX" },
		"a long name":         func(r *export.Request) { r.Name = strings.Repeat("x", 256) },
		"a long requester":    func(r *export.Request) { r.Requester = strings.Repeat("x", 256) },
		"a name with a NUL":   func(r *export.Request) { r.Name = "a\x00" },
		"what a source can't": func(r *export.Request) { r.Params.ProgramID = "p" },
	} {
		if _, err := w.create(change); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for range 20 {
		w.mustCreate()
	}
	if _, err := w.create(func(*export.Request) {}); !problem.Conflict.Has(err) {
		t.Errorf("one too many at once: %v", err)
	}
	w.tenant = id.New(time.Now())
	w.mustCreate()
}

func TestARowWithoutAllCellsFailsItsExport(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		e, err := w.create(func(r *export.Request) { r.Type = "CROOKED" })
		if err != nil {
			t.Fatal(err)
		}
		w.mustFinish()
		if got := w.mustGet(e); got.Status != export.Pending {
			t.Errorf("it is %+v", got)
		}
	})
}

func TestParamsAreKeptAsThePageHasThem(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		params, err := export.ParseParams(json.RawMessage(`{"createdSince":1467223738947,"updatedBefore":"2016-06-29T20:08:58.947+02:00",` +
			`"filter":{"email_eq":"a@b.c"},"at":null,"fields":{"includeUserFields":true}}`))
		if err != nil {
			t.Fatal(err)
		}
		e, err := w.create(func(r *export.Request) { r.Params = params })
		if err != nil {
			t.Fatal(err)
		}
		written, err := json.Marshal(w.mustGet(e).Params)
		want := `{"createdSince":1467223738947,"createdBefore":null,"updatedSince":null,"updatedBefore":1467223738947,` +
			`"createdOrUpdatedSince":null,"createdOrUpdatedBefore":null,"filter":{"email_eq":"a@b.c"},"fields":{"includeUserFields":true}}`
		if string(written) != want || err != nil {
			t.Errorf("written %s, %v; want %s", written, err, want)
		}
	})
}

func TestTimesAreMillisecondsOrISOTexts(t *testing.T) {
	want := time.UnixMilli(1467223738000).UTC()
	for text, at := range map[string]time.Time{
		`1467223738000`: want, `"1467223738000"`: want, `1.467223738e12`: want, `"2016-06-29T18:08:58Z"`: want, `"2016-06-29T18:08:58.0004Z"`: want,
		`"2016-06-29T20:08:58+0200"`: want, `"2016-06-29T18:08:58"`: want, `"2016-06-29 18:08:58"`: want, `0`: time.UnixMilli(0).UTC(),
		`"2016-06-29"`: time.Date(2016, 6, 29, 0, 0, 0, 0, time.UTC), `null`: {},
	} {
		p, err := export.ParseParams(json.RawMessage(`{"createdOrUpdatedSince":` + text + `}`))
		if err != nil || !p.CreatedOrUpdatedSince.Equal(at) {
			t.Errorf("%s is %s, %v; want %s", text, p.CreatedOrUpdatedSince, err, at)
		}
	}
	for _, document := range []string{
		`{"createdSince":"yesterday"}`, `{"createdSince":""}`, `{"createdSince":-1}`, `{"createdSince":1.5}`, `{"createdSince":1e300}`,
		`{"createdSince":[]}`, `{"createdSince":true}`, `{"createdSince":"0001-01-01"}`, `{"createdSince":9223372036854775807}`, `{"since":1}`,
		`[]`, `x`, `{"fields":{"a":1}}`, `{"programId":1}`, `{"programId":"` + strings.Repeat("x", 20<<10) + `"}`,
	} {
		if _, err := export.ParseParams(json.RawMessage(document)); !problem.Invalid.Has(err) {
			t.Errorf("%.60s: %v", document, err)
		}
	}
}

func TestRowsAreSelectedByTheirTimes(t *testing.T) {
	at := func(n int64) time.Time { return time.UnixMilli(n) }
	var never time.Time
	for name, c := range map[string]struct {
		params           export.Params
		created, updated time.Time
		want             bool
	}{
		"everything is":                           {export.Params{}, at(5), never, true},
		"created at the beginning":                {export.Params{CreatedSince: at(5)}, at(5), never, true},
		"created before the beginning":            {export.Params{CreatedSince: at(5)}, at(4), at(9), false},
		"created at the end":                      {export.Params{CreatedBefore: at(5)}, at(5), never, false},
		"created before the end":                  {export.Params{CreatedBefore: at(5)}, at(4), never, true},
		"updated since":                           {export.Params{UpdatedSince: at(5)}, at(1), at(5), true},
		"never updated, since":                    {export.Params{UpdatedSince: at(5)}, at(9), never, false},
		"never updated, before":                   {export.Params{UpdatedBefore: at(5)}, at(1), never, false},
		"created early, updated late":             {export.Params{CreatedOrUpdatedSince: at(5)}, at(1), at(6), true},
		"created early, never updated":            {export.Params{CreatedOrUpdatedSince: at(5)}, at(1), never, false},
		"created late":                            {export.Params{CreatedOrUpdatedSince: at(5)}, at(6), never, true},
		"created within, updated after":           {export.Params{CreatedOrUpdatedSince: at(5), CreatedOrUpdatedBefore: at(7)}, at(6), at(9), true},
		"created before and updated after":        {export.Params{CreatedOrUpdatedSince: at(5), CreatedOrUpdatedBefore: at(7)}, at(4), at(9), false},
		"created before, updated within a window": {export.Params{CreatedOrUpdatedSince: at(5), CreatedOrUpdatedBefore: at(7)}, at(4), at(6), true},
	} {
		if got := c.params.Selects(c.created, c.updated); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAServiceWithoutSensibleSourcesIsNotMade(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	page := func(db.Queryer, export.Part) ([][]string, []byte, error) { return nil, nil, nil }
	w := mustWorld(t)
	for name, sources := range map[string][]export.Source{
		"without columns":         {{Type: "A", Page: page}},
		"without pages":           {{Type: "A", Columns: []string{"a"}}},
		"with prose in no column": {{Type: "A", Columns: []string{"a"}, Prose: []string{"b"}, Page: page}},
		"twice":                   {{Type: "A", Columns: []string{"a"}, Page: page}, {Type: "A", Columns: []string{"a"}, Page: page}},
	} {
		if _, err := export.New(export.Options{DB: d, Jobs: w.jobs, Sources: sources}); err == nil {
			t.Errorf("one is made %s", name)
		}
	}
}
