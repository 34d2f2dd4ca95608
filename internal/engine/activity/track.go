package activity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	maxFields = 64 << 10       // bytes
	maxAhead  = 24 * time.Hour // how far in the future an activity may lie
)

// reserved begin the types of facts, to which rules listen as to activities: nobody
// may claim that they happened.
var reserved = []string{
	"account", "activity", "code", "export", "fact", "message", "person", "referral", "reward", "theme", "timer", "wallet",
}

var typeFormat = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}$`)

// Reportable reports whether there can be activities of a type.
func Reportable(activityType string) bool {
	_, isReserved := reservedFamily(activityType)
	return !isReserved && typeFormat.MatchString(activityType)
}

func reservedFamily(activityType string) (string, bool) {
	family, _, ok := strings.Cut(activityType, ".")
	return family, ok && slices.Contains(reserved, family)
}

// Result is what became of a report.
type Result struct {
	Activity *Activity
	Replayed bool // it was stored before, and nothing has changed
}

// Track stores an activity of a person, which follows what happened to that one so far,
// and appends the fact of it. A key that the tenant has used for the same before gives
// the first result; for something else it is problem.IdempotencyConflict.
func Track(c *fact.Command, person id.ID, after Place, n New) (Result, error) {
	a, err := n.check(c.Tx().Now())
	if err != nil {
		return Result{}, err
	}
	a.TenantID, a.PersonID = c.Tenant(), person
	if a.Key != "" {
		before, err := selectByKey(c.Tx(), c.Tenant(), a.Key)
		if err == nil {
			return repeated(before, a, n.OccurredAt)
		}
		if !problem.NotFound.Has(err) {
			return Result{}, err
		}
	}
	a.ID, a.ReceivedAt = id.After(c.Tx().Now(), after.After), c.Tx().Now()
	if a.ReceivedAt.Before(after.At) {
		a.ReceivedAt = after.At
	}
	f, err := c.Append(fact.Fact{Type: Tracked, Subject: fact.Ref{Kind: Subject, ID: a.ID}, Version: 1, Data: a})
	if err != nil {
		return Result{}, err
	}
	a.FactID = f.ID
	return Result{Activity: a}, insert(c.Tx(), a)
}

// repeated answers a report whose key was used before.
func repeated(before, now *Activity, at time.Time) (Result, error) {
	same := before.PersonID == now.PersonID && before.Type == now.Type && bytes.Equal(before.Fields, now.Fields)
	if same && !at.IsZero() {
		same = before.OccurredAt.Equal(now.OccurredAt)
	}
	if !same {
		return Result{}, problem.IdempotencyConflict.New("the key was used for another activity")
	}
	return Result{Activity: before, Replayed: true}, nil
}

// Draft returns the activity that a report of a person would store now, without an
// id, and stores nothing.
func Draft(tenant, person id.ID, n New, now time.Time) (*Activity, error) {
	a, err := n.check(now)
	if err != nil {
		return nil, err
	}
	a.TenantID, a.PersonID, a.ReceivedAt = tenant, person, now
	return a, nil
}

func (n New) check(now time.Time) (*Activity, error) {
	var checks problem.Checks
	a := &Activity{Key: n.Key, Type: n.Type, OccurredAt: n.OccurredAt.UTC().Truncate(time.Microsecond)}
	if n.OccurredAt.IsZero() {
		a.OccurredAt = now
	}
	if !typeFormat.MatchString(n.Type) {
		checks.Add("type", "must be 1 to 128 letters, digits, '_', '-' or full stops, and begin with a letter or a digit")
	}
	if family, isReserved := reservedFamily(n.Type); isReserved {
		checks.Add("type", "is one of what happens here: nobody reports types that begin with %q", family+".")
	}
	if utf8.RuneCountInString(n.Key) > 255 || strings.ContainsFunc(n.Key, unicode.IsControl) || !utf8.ValidString(n.Key) {
		checks.Add("key", "must have at most 255 characters, all of which can be seen")
	}
	if a.OccurredAt.After(now.Add(maxAhead)) || a.OccurredAt.Year() < 1970 {
		checks.Add("occurred_at", "must not be before 1970 or more than a day in the future; check the clock")
	}
	if len(n.Fields) > 0 && string(n.Fields) != "null" {
		var err error
		a.Fields, err = compact(n.Fields)
		checks.AddError("fields", err)
	}
	return a, checks.Err()
}

func compact(raw json.RawMessage) (json.RawMessage, error) {
	var out bytes.Buffer
	switch {
	case len(raw) > maxFields:
		return nil, fmt.Errorf("has more than %d bytes", maxFields)
	case json.Compact(&out, raw) != nil || out.Len() == 0 || out.Bytes()[0] != '{':
		return nil, errors.New("must be a JSON object")
	case bytes.Contains(raw, []byte(`\u0000`)) || !utf8.Valid(raw):
		return nil, errors.New("has text that is not UTF-8, or has the character NUL")
	}
	return out.Bytes(), nil
}

// Reversal is how the fact that an activity was tracked is undone: it counts no
// more in anything that asks for activities.
func Reversal() fact.Reversal {
	return fact.Reversal{
		Undo: func(c *fact.Command, f *fact.Fact) error { return setUndone(c.Tx(), c.Tenant(), f.Subject.ID, c.Now()) },
		Redo: func(c *fact.Command, f *fact.Fact) error {
			return setUndone(c.Tx(), c.Tenant(), f.Subject.ID, time.Time{})
		},
	}
}

// Undone returns the activity the fact of which ([Tracked]) was undone, or brought about
// again.
func Undone(c *fact.Command, u fact.UndoneData) (*Activity, error) {
	root, err := fact.Get(c.Tx(), c.Tenant(), u.Root)
	if err != nil {
		return nil, err
	}
	return Get(c.Tx(), c.Tenant(), root.Subject.ID)
}

// Get returns one of the tenant's activities, or problem.NotFound.
func Get(q db.Queryer, tenant, of id.ID) (*Activity, error) { return selectActivity(q, tenant, of) }

// ByKey returns the tenant's activity with the key, or problem.NotFound.
func ByKey(q db.Queryer, tenant id.ID, key string) (*Activity, error) {
	return selectByKey(q, tenant, key)
}

// ReadFields reads a JSON object that was stored, as conditions need it; nil: it has
// no members.
func ReadFields(raw json.RawMessage) map[string]any {
	doc := make(map[string]any)
	if len(raw) == 0 {
		return doc
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	_ = dec.Decode(&doc)
	return doc
}
