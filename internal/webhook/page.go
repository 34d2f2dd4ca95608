package webhook

import (
	"encoding/base64"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Page is which part of a list is asked for.
type Page struct {
	Limit  int    // at least 1
	Cursor string // where the part before ended; "": from the beginning
}

// after reads a cursor that holds the ids of the last row of the part before;
// zero ids where there was none.
func (p Page) after(ids int) ([]id.ID, error) {
	after := make([]id.ID, ids)
	if p.Cursor == "" {
		return after, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.Cursor)
	if err != nil || len(raw) != ids*len(id.ID{}) {
		return nil, problem.InvalidField("cursor", "is not a cursor that this list returned")
	}
	for i := range after {
		after[i] = id.ID(raw[i*len(id.ID{}):][:len(id.ID{})])
	}
	return after, nil
}

// cut takes the row too many that was read to learn whether there are more, and
// returns the cursor to them, or "".
func cut[T any](rows []T, p Page, key func(T) []id.ID) ([]T, string) {
	if len(rows) <= p.Limit {
		return rows, ""
	}
	rows = rows[:p.Limit]
	return rows, cursorTo(key(rows[p.Limit-1]))
}

// cursorTo returns the cursor to what comes after a row.
func cursorTo(key []id.ID) string {
	var raw []byte
	for _, part := range key {
		raw = append(raw, part[:]...)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}
