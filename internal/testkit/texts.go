package testkit

import (
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Texts returns all that stands in each table of a database, as one text each: for tests
// of what must stand nowhere.
func Texts(q db.Queryer) (map[string]string, error) {
	tables, err := tables(q)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(tables))
	for _, table := range tables {
		if texts[table], err = textOf(q, table); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

func tables(q db.Queryer) ([]string, error) {
	list := `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`
	if OnPostgres() {
		list = `SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()`
	}
	rows, err := q.Query(list)
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
	return names, rows.Err()
}

func textOf(q db.Queryer, table string) (string, error) {
	rows, err := q.Query(`SELECT * FROM "` + table + `"`)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var all strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return "", err
		}
		for i, value := range values {
			v := *value.(*any) //nolint:forcetypeassert // it was made so
			if bytes, ok := v.([]byte); ok {
				v = string(bytes)
			}
			fmt.Fprintf(&all, "%s=%v ", columns[i], v)
		}
		all.WriteByte('\n')
	}
	return all.String(), rows.Err()
}
