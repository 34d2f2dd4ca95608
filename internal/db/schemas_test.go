package db_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestTheMigrationsMakeTheSameSchemaOnBothDatabases(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: it compares the two databases")
	}
	sqlite := mustDescribe(t, mustOpenURL(t, "sqlite:"+filepath.Join(t.TempDir(), "a.db"), db.Options{}), sqliteCatalogue)
	postgres := mustDescribe(t, mustOpenURL(t, testkit.BlankDatabaseURL(t), db.Options{}), postgresCatalogue)
	if len(sqlite) < 100 {
		t.Fatalf("only %d things are known of the schema:\n%s", len(sqlite), strings.Join(sqlite, "\n"))
	}
	if diff := cmp.Diff(sqlite, postgres); diff != "" {
		t.Errorf("the schemas differ (-SQLite +Postgres):\n%s", diff)
	}
}

func TestWhereTheSchemasDifferThatIsSeen(t *testing.T) {
	if !testkit.OnPostgres() {
		t.Skip("Postgres only: it compares the two databases")
	}
	const table = `CREATE TABLE a (b {{blob}} NOT NULL, c {{bigint}} DEFAULT 1, d TEXT NOT NULL, PRIMARY KEY (b, d)){{clustered}};`
	const index = `CREATE INDEX a_c ON a (c, d) WHERE c > 1;`
	onSQLite := func(text string) []string {
		options := db.Options{}.WithMigrations(fstest.MapFS{"migrations/0001_a.sql": step(text)})
		return mustDescribe(t, mustOpenURL(t, "sqlite:"+filepath.Join(t.TempDir(), "a.db"), options), sqliteCatalogue)
	}
	d, err := db.Open(t.Context(), testkit.BlankDatabaseURL(t), db.Options{}.WithMigrations(fstest.MapFS{"migrations/0001_a.sql": step(table + index)}))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	postgres := mustDescribe(t, d, postgresCatalogue)
	if diff := cmp.Diff(onSQLite(table+index), postgres); diff != "" {
		t.Fatalf("the same text makes different schemas (-SQLite +Postgres):\n%s", diff)
	}
	for name, text := range map[string]string{
		"another type":      strings.Replace(table, "c {{bigint}}", "c TEXT", 1) + index,
		"NULL is let in":    strings.Replace(table, "{{blob}} NOT NULL, c {{bigint}} DEFAULT 1, d TEXT NOT NULL", "{{blob}} NOT NULL, c {{bigint}} NOT NULL DEFAULT 1, d TEXT NOT NULL", 1) + index,
		"another default":   strings.Replace(table, "DEFAULT 1", "DEFAULT 2", 1) + index,
		"another order":     strings.Replace(table, "b {{blob}} NOT NULL, c {{bigint}} DEFAULT 1", "c {{bigint}} DEFAULT 1, b {{blob}} NOT NULL", 1) + index,
		"another key":       strings.Replace(table, "(b, d)", "(d, b)", 1) + index,
		"no index":          table,
		"another index":     table + strings.Replace(index, "(c, d)", "(d, c)", 1),
		"a unique index":    table + strings.Replace(index, "INDEX", "UNIQUE INDEX", 1),
		"a descending one":  table + strings.Replace(index, "(c, d)", "(c, d DESC)", 1),
		"another condition": table + strings.Replace(index, "c > 1", "c > 2", 1),
		"another table":     table + index + `CREATE TABLE e (f {{bigint}} NOT NULL);`,
	} {
		if cmp.Equal(onSQLite(text), postgres) {
			t.Errorf("%s is not seen", name)
		}
	}
}

// catalogue is how a database is asked about its tables.
type catalogue struct {
	// columns has a row for each column: its table, name and type, whether it may be
	// NULL, and its default, or the empty text. They are in order.
	columns string
	// indexes has a row for each column of an index: the index's table and name,
	// whether it is the primary key, whether it is unique, the column, whether that
	// is in descending order, and the index's condition, or the empty text. They are
	// in order. The name of one that was not named is empty.
	indexes string
	// constraints counts foreign keys.
	constraints string

	types map[string]string // by what the database calls them
}

var sqliteCatalogue = catalogue{
	columns: `SELECT t.name, c.name, c.type, c."notnull" = 0 AND c.pk = 0, coalesce(c.dflt_value, '')
		FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' ORDER BY t.name, c.cid`,
	indexes: `SELECT table_name, name, is_key, is_unique, column_name, descending, condition FROM (
		SELECT t.name AS table_name, '' AS name, 1 AS is_key, 1 AS is_unique, c.name AS column_name, 0 AS descending, '' AS condition, c.pk AS place
			FROM sqlite_schema t JOIN pragma_table_xinfo(t.name) c WHERE t.type = 'table' AND c.pk > 0
		UNION ALL
		SELECT t.name, CASE i.origin WHEN 'c' THEN i.name ELSE '' END, 0, i."unique", c.name, c."desc",
				CASE i.partial WHEN 1 THEN substr(s.sql, instr(s.sql, ' WHERE ') + 7) ELSE '' END, c.seqno
			FROM sqlite_schema t JOIN pragma_index_list(t.name) i JOIN pragma_index_xinfo(i.name) c LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = i.name
			WHERE t.type = 'table' AND i.origin <> 'pk' AND c.key = 1
		) every ORDER BY table_name, is_key DESC, name, place`,
	constraints: `SELECT count(*) FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) WHERE t.type = 'table'`,
	types:       map[string]string{"BLOB": "bytes", "INTEGER": "number", "TEXT": "text"},
}

var postgresCatalogue = catalogue{
	columns: `SELECT table_name::text, column_name::text, data_type::text, is_nullable::text = 'YES', coalesce(column_default::text, '')
		FROM information_schema.columns WHERE table_schema = current_schema() ORDER BY table_name::text COLLATE "C", ordinal_position`,
	indexes: `SELECT table_name, name, is_key, is_unique, column_name, descending, condition FROM (
		SELECT r.relname::text AS table_name, CASE WHEN i.indisprimary OR k.oid IS NOT NULL THEN '' ELSE n.relname::text END AS name,
			i.indisprimary AS is_key, i.indisunique AS is_unique, a.attname::text AS column_name, i.indoption[place - 1] & 1 = 1 AS descending,
			coalesce(pg_get_expr(i.indpred, i.indrelid), '') AS condition, place
		FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid JOIN pg_class n ON n.oid = i.indexrelid
			LEFT JOIN pg_constraint k ON k.conindid = i.indexrelid AND k.contype = 'u'
			CROSS JOIN generate_series(1, i.indnkeyatts) place
			JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place - 1]
		WHERE r.relnamespace = current_schema()::regnamespace
		) every ORDER BY table_name COLLATE "C", is_key DESC, name COLLATE "C", place`,
	constraints: `SELECT count(*) FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype IN ('f', 'c', 'x')`,
	// SQLite has no type of its own for what is true or false.
	types: map[string]string{"bytea": "bytes", "bigint": "number", "boolean": "number", "text": "text"},
}

// mustDescribe returns what there is in a database, in the same words for each kind.
func mustDescribe(t *testing.T, d *db.DB, in catalogue) []string {
	t.Helper()
	var lines []string
	err := d.Read(t.Context(), func(q db.Queryer) error {
		var foreign int
		if err := q.QueryRow(in.constraints).Scan(&foreign); err != nil {
			return err
		}
		if foreign != 0 {
			t.Errorf("%d constraints between tables or within them", foreign)
		}
		columns, err := describeColumns(q, in)
		if err != nil {
			return err
		}
		indexes, err := describeIndexes(q, in)
		lines = append(columns, indexes...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func describeColumns(q db.Queryer, in catalogue) ([]string, error) {
	rows, err := q.Query(in.columns)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var table, name, kind, standard string
		var nullable bool
		if err := rows.Scan(&table, &name, &kind, &nullable, &standard); err != nil {
			return nil, err
		}
		known, ok := in.types[kind]
		if !ok {
			return nil, fmt.Errorf("%s.%s has the type %s, for which there is no token", table, name, kind)
		}
		lines = append(lines, fmt.Sprintf("%s.%s %s, null: %t, default: %s", table, name, known, nullable, plainly(standard)))
	}
	return lines, rows.Err()
}

func describeIndexes(q db.Queryer, in catalogue) ([]string, error) {
	rows, err := q.Query(in.indexes)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var lines []string
	for rows.Next() {
		var table, name, column, condition string
		var key, unique, descending bool
		if err := rows.Scan(&table, &name, &key, &unique, &column, &descending, &condition); err != nil {
			return nil, err
		}
		lines = append(lines, fmt.Sprintf("index %q on %s, key: %t, unique: %t, where: %s; %s, descending: %t",
			name, table, key, unique, plainly(condition), column, descending))
	}
	return lines, rows.Err()
}

var cast = regexp.MustCompile(`::[a-z]+`)

// large is a number that doesn't fit into 32 bits, as Postgres writes one.
var large = regexp.MustCompile(`'(\d+)'::bigint`)

// plainly returns an expression without what the databases write differently. There
// are only constants, and conditions that are joined by AND.
func plainly(expression string) string {
	expression = strings.ToLower(cast.ReplaceAllString(large.ReplaceAllString(expression, "$1"), ""))
	return strings.Join(strings.Fields(strings.NewReplacer("(", " ", ")", " ").Replace(expression)), " ")
}
