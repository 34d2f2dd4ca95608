package db_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

const goldenSchema = "testdata/schema.golden"

func TestTheSchemaIsTheGoldenOne(t *testing.T) {
	d := mustOpen(t, filepath.Join(t.TempDir(), "a.db"), db.Options{})
	var schema strings.Builder
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY tbl_name, type DESC, name`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			schema.WriteString(text + ";\n")
		}
		return rows.Err()
	}); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(goldenSchema, []byte(schema.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(goldenSchema)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), schema.String()); diff != "" {
		t.Errorf("the schema has changed (rewrite it with go test ./internal/db -update; -golden +now):\n%s", diff)
	}
}

// step is a migration's file.
func step(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }

func oneStep() fstest.MapFS {
	return fstest.MapFS{"migrations/0001_first.sql": step(`CREATE TABLE word (text TEXT NOT NULL){{strict}};`)}
}

func twoSteps() fstest.MapFS {
	files := oneStep()
	files["migrations/0002_second.sql"] = step(`
		ALTER TABLE word ADD COLUMN length {{bigint}};
		UPDATE word SET length = length(text);
		-- nothing more`)
	return files
}

// applied returns the names of the migrations that ran, with their times.
func applied(t testing.TB, d *db.DB) map[string]int64 {
	t.Helper()
	at := map[string]int64{}
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT name, applied_at FROM migration`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var name string
			var us int64
			if err := rows.Scan(&name, &us); err != nil {
				return err
			}
			at[name] = us
		}
		return rows.Err()
	}); err != nil {
		t.Fatal(err)
	}
	return at
}

func TestEachMigrationRunsOnceAndKeepsTheRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	open := func(files fstest.MapFS) *db.DB {
		return mustOpen(t, path, db.Options{}.WithMigrations(files))
	}
	d := open(oneStep())
	mustWrite(t, d, func(tx *db.Tx) error {
		_, err := tx.Exec(`INSERT INTO word (text) VALUES ('grape')`)
		return err
	})
	first := applied(t, d)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		d = open(twoSteps())
		if at := applied(t, d); len(at) != 2 || at["0001_first.sql"] != first["0001_first.sql"] {
			t.Errorf("applied are %v, before it was %v", at, first)
		}
		if err := d.Read(t.Context(), func(q db.Queryer) error {
			var text string
			var length int
			err := q.QueryRow(`SELECT text, length FROM word`).Scan(&text, &length)
			if text != "grape" || length != 5 {
				t.Errorf("the row is (%s, %d)", text, length)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestASchemaOfANewerProgramIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	if err := mustOpen(t, path, db.Options{}.WithMigrations(twoSteps())).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := db.Open(t.Context(), "sqlite:"+path, db.Options{}.WithMigrations(oneStep()))
	if err == nil || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("error %v, want one that names the version and asks for a newer program", err)
	}
	mustOpen(t, path, db.Options{}.WithMigrations(twoSteps())) // the hold on the file was given up
}

func TestMigrationsThatAreWrongAreRefusedBeforeAnyRuns(t *testing.T) {
	for name, test := range map[string]struct{ file, text, want string }{
		"a gap":                   {"0003_third.sql", `CREATE TABLE b (c TEXT);`, "0003_third.sql"},
		"a number twice":          {"0001_zero.sql", `CREATE TABLE b (c TEXT);`, "0001_zero.sql"},
		"no number":               {"second.sql", `CREATE TABLE b (c TEXT);`, "second.sql"},
		"too few digits":          {"2_second.sql", `CREATE TABLE b (c TEXT);`, "2_second.sql"},
		"a number with more":      {"00021_second.sql", `CREATE TABLE b (c TEXT);`, "00021_second.sql"},
		"a token without meaning": {"0002_second.sql", `CREATE TABLE b (c {{money}});`, "{{money}}"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.db")
			files := oneStep()
			files["migrations/"+test.file] = step(test.text)
			_, err := db.Open(t.Context(), "sqlite:"+path, db.Options{}.WithMigrations(files))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want one that names %s", err, test.want)
			}
			var tables int
			if err := mustConnect(t, path).QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil {
				t.Fatal(err)
			}
			if tables != 0 {
				t.Errorf("%d tables were made", tables)
			}
		})
	}
}

func TestAMigrationThatFailsLeavesTheSchemaAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	files := oneStep()
	files["migrations/0002_second.sql"] = step(`CREATE TABLE other (id {{bigint}}); CREATE TABLE word (id {{bigint}});`)
	_, err := db.Open(t.Context(), "sqlite:"+path, db.Options{}.WithMigrations(files))
	if err == nil || !strings.Contains(err.Error(), "0002_second.sql") {
		t.Fatalf("error %v, want one that names the migration", err)
	}
	d := mustOpen(t, path, db.Options{}.WithMigrations(oneStep()))
	if at := applied(t, d); len(at) != 1 {
		t.Errorf("applied are %v, want the first alone", at)
	}
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT name FROM sqlite_schema WHERE name = 'other'`).Scan(new(string))
	}); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("what the failed migration did first is there: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path, db.Options{}.WithMigrations(twoSteps()))
}

func TestADatabaseThatWasMadeWithFewerMigrationsKeepsItsRows(t *testing.T) {
	names, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(names) < 3 {
		t.Fatalf("%d migrations, %v", len(names), err)
	}
	path := filepath.Join(t.TempDir(), "a.db")
	d := mustOpen(t, path, db.Options{}.WithMigrations(firstOf(t, 2)))
	mustWrite(t, d, func(tx *db.Tx) error {
		if _, err := tx.Exec(`INSERT INTO delivery (tenant_id, event_id, subscription_id, status, attempts, step, epoch, next_at, updated_at, response_status, reason)
			VALUES (x'01', x'02', x'03', 2, 1, 1, 0, NULL, 5, 204, 'ok')`); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO attempt (tenant_id, event_id, subscription_id, number, started_at, timing, response_status, verdict, reason, error, headers, body)
			VALUES (x'01', x'02', x'03', 1, 4, '', 204, 'delivered', 'ok', '', '', NULL)`)
		return err
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpen(t, path, db.Options{})
	if at := applied(t, d); len(at) != len(names) {
		t.Errorf("applied are %v of %d migrations", at, len(names))
	}
	if err := d.Read(t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT d.attempts FROM delivery d JOIN attempt a ON a.tenant_id = d.tenant_id AND a.event_id = d.event_id AND a.subscription_id = d.subscription_id
			WHERE d.reason = 'ok' AND d.first_started_at IS NULL AND a.number = 1 AND a.verdict = 'delivered'`).Scan(new(int))
	}); err != nil {
		t.Errorf("the rows are not as they were: %v", err)
	}
}

// firstOf returns so many of the program's migrations.
func firstOf(t *testing.T, n int) fstest.MapFS {
	t.Helper()
	names, err := filepath.Glob("migrations/*.sql")
	if err != nil || len(names) <= n {
		t.Fatalf("%d migrations, %v", len(names), err)
	}
	files := fstest.MapFS{}
	for _, name := range names[:n] {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = step(string(text))
	}
	return files
}

func TestMessagesAndTouchesKeepWhatTheySayInTheTablesThatFollow(t *testing.T) {
	url := testkit.BlankDatabaseURL(t)
	d := mustOpenURL(t, url, db.Options{}.WithMigrations(firstOf(t, 37)))
	tenant, other, person := []byte{1}, []byte{2}, []byte{3}
	mustWrite(t, d, func(tx *db.Tx) error {
		for _, of := range [][]byte{tenant, other} {
			for _, c := range []struct{ folded, short string }{{"ANNA", "anna"}, {"~5eed", "gone"}} {
				if _, err := tx.Exec(`INSERT INTO code (tenant_id, folded, text, short, kind, program_id, membership_id, person_id, is_primary, active, created_at)
					VALUES ($1, $2, '', $3, 'referral', $4, $4, $4, TRUE, TRUE, 1)`, of, c.folded, c.short+string('0'+of[0]), person); err != nil {
					return err
				}
			}
		}
		for i, folded := range []string{"ANNA", "~5eed", ""} {
			if _, err := tx.Exec(`INSERT INTO touch (tenant_id, id, code, program_id, membership_id, method, engagement, share, cookie_id, ip, user_agent, url, at)
				VALUES ($1, $2, $3, $4, $4, 'link', '', '', '', '', '', '', 1)`, other, []byte{byte(i)}, folded, person); err != nil {
				return err
			}
		}
		for i, about := range []any{nil, person} {
			if _, err := tx.Exec(`INSERT INTO message (tenant_id, id, person_id, type, subject, message, created_at, cause, about)
				VALUES ($1, $2, $3, 'paid', 'Hello', 'You are great.', 5, $4, $5)`, tenant, []byte{byte(i)}, person, other, about); err != nil {
				return err
			}
		}
		return nil
	})
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	d = mustOpenURL(t, url, db.Options{})
	for query, want := range map[string]int{
		`SELECT count(*) FROM touch WHERE short = 'anna2'`: 1,
		`SELECT count(*) FROM touch WHERE short = 'gone2'`: 1,
		`SELECT count(*) FROM touch WHERE short = ''`:      1,
		`SELECT count(*) FROM message WHERE type = 'paid' AND subject = 'Hello' AND message = 'You are great.' AND created_at = 5
			AND tenant_id < person_id AND person_id > cause AND cause > tenant_id`: 2,
		`SELECT count(*) FROM message WHERE about = person_id AND id > $1`: 1,
		`SELECT count(*) FROM message WHERE about IS NULL AND id = $1`:     1,
	} {
		var args []any
		if strings.Contains(query, "$1") {
			args = append(args, []byte{0})
		}
		got := 0
		if err := d.Read(t.Context(), func(q db.Queryer) error { return q.QueryRow(query, args...).Scan(&got) }); err != nil || got != want {
			t.Errorf("%s: %d, want %d, %v", query, got, want, err)
		}
	}
}
