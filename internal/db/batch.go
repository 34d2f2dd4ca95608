package db

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

// What is left for later goes to a server in one exchange, however many statements
// it is: each exchange costs as much as several of them. Rows for the same table are
// inserted by one statement, which costs the server less than half.

func newSharing(first ...statement) *sharing {
	return &sharing{first: first, known: make(map[any]any), locks: make(map[int64]bool)}
}

// runAll sends statements to the server together, after what has to be run first,
// and then looks at what they did.
func (s *scope) runAll(statements []statement) error {
	if s.err == nil && s.close() {
		_ = s.fail(errOpenRows)
	}
	if s.err != nil {
		return s.err
	}
	begins := false
	if s.shared != nil {
		begins = len(s.shared.first) > 0 && s.shared.first[0].query == beginLane
		statements = append(slices.Clip(s.shared.first), statements...)
		s.shared.first = nil
	}
	if len(statements) == 0 {
		return nil
	}
	statements = merge(statements)
	used := s.conn.open != nil
	rows, err := s.conn.exchange(s.ctx, statements)
	if err != nil && used && begins && !commits(statements) && s.conn.isStale(s.ctx, err) {
		rows, err = s.conn.exchange(s.ctx, statements)
	}
	if err != nil {
		return s.fail(err)
	}
	for i, st := range statements {
		if st.check == nil {
			continue
		}
		if err := st.check(rows[i]); err != nil {
			return s.fail(err)
		}
	}
	return nil
}

// commit is the statement that ends a transaction.
const commit = "COMMIT"

// commits reports whether the last of the statements ends the transaction.
func commits(statements []statement) bool { return statements[len(statements)-1].query == commit }

// exchange sends statements to the server and returns how many rows each concerned.
func (c *conn) exchange(ctx context.Context, statements []statement) ([]int64, error) {
	if err := c.connect(ctx); err != nil {
		return nil, err
	}
	batch := new(pgx.Batch)
	for _, st := range statements {
		batch.Queue(st.query, st.args...)
	}
	rows := make([]int64, len(statements))
	err := c.open.Raw(func(raw any) error {
		results := raw.(*stdlib.Conn).Conn().SendBatch(ctx, batch) //nolint:forcetypeassert // it is this driver's
		for i, st := range statements {
			var err error
			if rows[i], err = st.read(results); err != nil {
				_ = results.Close() // it reports the same
				return err
			}
		}
		return results.Close()
	})
	return rows, err
}

// read reads what came of the statement.
func (st *statement) read(results pgx.BatchResults) (int64, error) {
	if st.dest == nil {
		tag, err := results.Exec()
		return tag.RowsAffected(), err
	}
	err := results.QueryRow().Scan(st.dest...)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNoRows
	}
	return 1, err
}

// How many rows one statement inserts: up to fewRows any number, and beyond that a
// power of two.
const (
	fewRows  = 8
	mostRows = 64
)

// merge makes one statement of several that insert a row each into the same table,
// where nobody asks what each did. It stands where the first of them stood.
func merge(statements []statement) []statement {
	var order []string
	byQuery := make(map[string][][]any)
	merged := make([]statement, 0, len(statements))
	place := make(map[string]int)
	for _, st := range statements {
		if st.check != nil || st.dest != nil || !insertsRow(st.query) {
			merged = append(merged, st)
			continue
		}
		if byQuery[st.query] == nil {
			order = append(order, st.query)
			place[st.query] = len(merged)
			merged = append(merged, statement{})
		}
		byQuery[st.query] = append(byQuery[st.query], st.args)
	}
	if len(order) == 0 {
		return statements
	}
	whole := make([]statement, 0, len(merged))
	from := 0
	for _, query := range order {
		whole = append(whole, merged[from:place[query]]...)
		whole = append(whole, inserts(query, byQuery[query])...)
		from = place[query] + 1
	}
	return append(whole, merged[from:]...)
}

// insertsRow reports whether a statement inserts one row and does nothing else.
func insertsRow(query string) bool {
	return strings.HasPrefix(query, "INSERT INTO ") && strings.HasSuffix(query, ")") && strings.Contains(query, values)
}

const values = "VALUES ("

// inserts returns statements that insert all the rows, of few sizes, since each has a
// text of its own.
func inserts(query string, rows [][]any) []statement {
	var statements []statement
	for len(rows) > 0 {
		n := mostRows
		if len(rows) <= fewRows {
			n = len(rows)
		}
		for n > len(rows) {
			n /= 2
		}
		st := statement{query: insertOf(query, n, len(rows[0]))}
		for _, row := range rows[:n] {
			st.args = append(st.args, row...)
		}
		statements, rows = append(statements, st), rows[n:]
	}
	return statements
}

// insertKey names a statement that inserts so many rows.
type insertKey struct {
	query string
	rows  int
}

var (
	insertTexts sync.Map // of an insertKey: its text
	placeholder = regexp.MustCompile(`\$\d+`)
)

// insertOf returns the text that inserts so many rows with so many arguments each.
func insertOf(query string, rows, args int) string {
	if rows == 1 {
		return query
	}
	key := insertKey{query, rows}
	if text, ok := insertTexts.Load(key); ok {
		return text.(string) //nolint:forcetypeassert // they all are
	}
	at := strings.Index(query, values) + len(values) - 1
	row := query[at:]
	var text strings.Builder
	text.WriteString(query)
	for i := 1; i < rows; i++ {
		text.WriteString(", ")
		text.WriteString(placeholder.ReplaceAllStringFunc(row, func(place string) string {
			n, _ := strconv.Atoi(place[1:]) // it is digits
			return "$" + strconv.Itoa(n+i*args)
		}))
	}
	insertTexts.Store(key, text.String())
	return text.String()
}
