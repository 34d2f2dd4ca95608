package archtest

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// hole stands in a text for the parts of an expression that only the running
// program knows.
const hole = "\x00"

// An sqlToken is a word or a quoted identifier (its name), a comment (whole),
// or one character of anything else. String constants are left out.
type sqlToken struct {
	text   string
	quoted bool
}

var (
	tokenPattern = regexp.MustCompile(`--[^\n]*|/\*(?s:.*?)\*/|'(?:[^']|'')*'|"[^"]+"|[\pL_][\pL\pN_]*|[^\s]`)
	// lowerSQL recognises statements that are not written in capitals.
	lowerSQL = regexp.MustCompile(`(?is)^\s*(select\s.*\sfrom\s|insert\s+(or\s+\w+\s+)?into\s|update\s+\S+\s+set\s|delete\s+from\s|` +
		`with\s+(recursive\s+)?\w+\s*(\([^)]*\)\s*)?as\s*\(|(create|alter|drop)\s+table\s)`)
)

func tokenize(text string) []sqlToken {
	var tokens []sqlToken
	for _, s := range tokenPattern.FindAllString(text, -1) {
		switch {
		case s[0] == '\'' && len(s) > 1:
		case s[0] == '"' && len(s) > 1:
			tokens = append(tokens, sqlToken{text: s[1 : len(s)-1], quoted: true})
		default:
			tokens = append(tokens, sqlToken{text: s})
		}
	}
	return tokens
}

func (t sqlToken) isName() bool {
	first, _ := utf8.DecodeRuneInString(t.text)
	return t.quoted || first == '_' || unicode.IsLetter(first)
}

func (t sqlToken) isComment() bool {
	return !t.quoted && (strings.HasPrefix(t.text, "--") || strings.HasPrefix(t.text, "/*"))
}

// sqlUse says which tables a text uses.
type sqlUse struct {
	named      []string // whatever stands where SQL wants a table, in order: views, functions, common table expressions too
	created    []string // by CREATE TABLE
	referenced []string // by foreign keys
	dynamic    bool     // a name is left to the running program
}

// readSQL reads a string of a program. Words count as keywords in capitals, and
// in any case if the text begins like a statement; prose names no tables.
func readSQL(text string) sqlUse {
	return readTokens(tokenize(text), lowerSQL.MatchString(text))
}

// readTokens reads one statement or a part of one; anyCase says whether words
// in lower case can be keywords.
func readTokens(tokens []sqlToken, anyCase bool) sqlUse {
	tokens = slices.DeleteFunc(slices.Clone(tokens), sqlToken.isComment)
	r := sqlReader{tokens: tokens, anyCase: anyCase, from: map[int]bool{}}
	for i := range tokens {
		r.read(i)
	}
	return r.use
}

// An sqlReader walks over the tokens of one text and notes the tables.
type sqlReader struct {
	tokens  []sqlToken
	anyCase bool
	depth   int          // of parentheses
	from    map[int]bool // the depths at which a comma separates tables
	use     sqlUse
}

// word returns the i-th token as a keyword in capitals, or "".
func (r *sqlReader) word(i int) string {
	if i < 0 || i >= len(r.tokens) || r.tokens[i].quoted {
		return ""
	}
	upper := strings.ToUpper(r.tokens[i].text)
	if !r.anyCase && r.tokens[i].text != upper {
		return ""
	}
	return upper
}

func (r *sqlReader) read(i int) {
	switch r.word(i) {
	case "(":
		r.depth++
	case ")":
		r.from[r.depth] = false
		r.depth--
	case ";", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "RETURNING", "SET", "SELECT", "UNION", "VALUES":
		r.from[r.depth] = false
	case ",":
		if r.from[r.depth] {
			r.table(i+1, false)
		}
	case "FROM", "JOIN", "USING":
		if r.word(i-1) == "DISTINCT" && (r.word(i-2) == "IS" || r.word(i-2) == "NOT") {
			return
		}
		r.from[r.depth] = true
		r.table(i+1, true)
	case "INTO":
		r.table(i+1, true)
	case "UPDATE":
		// FOR UPDATE, FOR NO KEY UPDATE, DO UPDATE SET, ON UPDATE CASCADE
		if !slices.Contains([]string{"FOR", "KEY", "DO", "ON"}, r.word(i-1)) {
			r.table(i+1, true)
		}
	case "TABLE":
		if name := r.table(i+1, false); name != "" && slices.Contains([]string{"CREATE", "TEMP", "TEMPORARY", "UNLOGGED"}, r.word(i-1)) {
			r.use.created = append(r.use.created, name)
		}
	case "REFERENCES":
		if name := r.table(i+1, false); name != "" {
			r.use.referenced = append(r.use.referenced, name)
		}
	case "TRUNCATE":
		r.table(i+1, false)
	}
}

// table notes the name that begins at token i, if one does, and returns it. A
// name that is a hole counts as dynamic where the keyword demands one.
func (r *sqlReader) table(i int, demanded bool) string {
	for slices.Contains([]string{"ONLY", "LATERAL", "IF", "NOT", "EXISTS", "OR", "IGNORE", "REPLACE", "ABORT", "FAIL", "ROLLBACK"}, r.word(i)) {
		i++
	}
	if i >= len(r.tokens) || r.tokens[i].text == hole || r.tokens[i].text == "%" {
		r.use.dynamic = r.use.dynamic || demanded && len(r.tokens) > 1
		return ""
	}
	if !r.tokens[i].isName() {
		return ""
	}
	for i+2 < len(r.tokens) && r.tokens[i+1].text == "." && r.tokens[i+2].isName() {
		i += 2
	}
	name := r.tokens[i].text
	if !r.tokens[i].quoted {
		name = strings.ToLower(name)
	}
	r.use.named = append(r.use.named, name)
	return name
}

func TestTheTablesOfAnSQLTextAreFound(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		dynamic    bool
	}{
		{"a select", `SELECT id FROM event WHERE id = $1`, []string{"event"}, false},
		{"a fragment", ` FROM event e WHERE `, []string{"event"}, false},
		{"joins", `SELECT 1 FROM event e JOIN delivery AS d ON d.event = e.id LEFT JOIN attempt USING (a, b)`, []string{"event", "delivery", "attempt"}, false},
		{"a join by comma", `SELECT f(a, b) FROM event e, delivery d WHERE a IN (x, y)`, []string{"event", "delivery"}, false},
		{"a comma behind a subquery", `SELECT 1 FROM (SELECT a, b FROM event) e, delivery`, []string{"event", "delivery"}, false},
		{"an insert with an upsert", `INSERT INTO event (id, body) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET body = excluded.body`, []string{"event"}, false},
		{"an insert that ignores", `INSERT OR IGNORE INTO event (id) SELECT id FROM spool`, []string{"event", "spool"}, false},
		{"an update from", `UPDATE delivery SET state = 1, due = $2 FROM event WHERE state = 2`, []string{"delivery", "event"}, false},
		{"an update that ignores", `UPDATE OR IGNORE delivery SET state = 1`, []string{"delivery"}, false},
		{"a delete using", `DELETE FROM delivery USING event WHERE a = b`, []string{"delivery", "event"}, false},
		{"locks", `SELECT id FROM delivery FOR UPDATE SKIP LOCKED`, []string{"delivery"}, false},
		{"weak locks", `SELECT id FROM delivery FOR NO KEY UPDATE`, []string{"delivery"}, false},
		{"a comparison", `SELECT a IS NOT DISTINCT FROM b, c FROM event`, []string{"event"}, false},
		{"a common table expression", `WITH due AS (SELECT id FROM delivery) SELECT id FROM due`, []string{"delivery", "due"}, false},
		{"lower case", "\n\tselect id from event where id = $1", []string{"event"}, false},
		{"lower case with", "with due(a) as (select a from delivery) select a from due", []string{"delivery", "due"}, false},
		{"quoted and qualified", `SELECT 1 FROM main."event" JOIN public.delivery`, []string{"event", "delivery"}, false},
		{"strings and comments", "SELECT 'FROM tenant' -- FROM key\n/* FROM secret\n */ FROM event", []string{"event"}, false},
		{"a table made", `CREATE TABLE IF NOT EXISTS event (id {{blob}} REFERENCES tenant (id) ON UPDATE CASCADE)`, []string{"event", "tenant"}, false},
		{"a table to fill in", `SELECT id FROM %s WHERE id = $1`, nil, true},
		{"a table to append", `DELETE FROM ` + hole, nil, true},
		{"a table that another write appends", `DELETE FROM `, nil, true},
		{"columns to fill in", `SELECT ` + hole + ` FROM event`, []string{"event"}, false},
		{"a single keyword", `UPDATE`, nil, false},
		{"prose", `update event: could not read it from tenant`, nil, false},
		{"prose that begins like a statement", `with the key from tenant`, nil, false},
		{"a sentence", `can't select the event`, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := readSQL(tt.text)
			if diff := cmp.Diff(tt.want, got.named); diff != "" {
				t.Errorf("tables of %q (-want +got):\n%s", tt.text, diff)
			}
			if got.dynamic != tt.dynamic {
				t.Errorf("dynamic = %v, want %v", got.dynamic, tt.dynamic)
			}
		})
	}
}
