package activity

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// History answers what rules ask of somebody's activities. What was undone does not
// count.
type History struct {
	Queryer db.Queryer
	Tenant  id.ID
	Person  id.ID
	// Until is the last activity that counts, in the order in which they came in; zero:
	// all do.
	Until id.ID
	// Beside is an activity that counts although it is not stored: one that is tried
	// out; nil: there is none.
	Beside *Activity
}

var _ rule.History = History{}

// maxCounted is how many activities one aggregate is made of.
const maxCounted = 10_000

// Aggregate returns the value of an aggregate over the activities that occurred
// from one time to another, both included.
func (h History) Aggregate(a rule.Aggregate, from, until time.Time) (any, bool, error) {
	if a.Function == rule.Count {
		n, err := h.count(a.Type, from, until)
		return json.Number(fmt.Sprint(n)), true, err
	}
	path, err := condition.ReadPath(a.Path)
	if err != nil {
		return nil, false, err
	}
	all, err := h.between(a.Type, from, until)
	if err != nil {
		return nil, false, err
	}
	var values []any
	for _, of := range all {
		if v, ok := path.In(of.Document()); ok {
			values = append(values, v)
		}
	}
	return aggregate(a.Function, values)
}

// aggregate makes one value of many, which are in the order in which they occurred.
func aggregate(f rule.Function, values []any) (any, bool, error) {
	switch f {
	case rule.First, rule.Last:
		if len(values) == 0 {
			return nil, false, nil
		}
		if f == rule.First {
			return values[0], true, nil
		}
		return values[len(values)-1], true, nil
	case rule.Distinct:
		return distinct(values)
	default:
		return reckon(f, readNumbers(values))
	}
}

func distinct(values []any) (any, bool, error) {
	seen := make(map[string]bool)
	for _, v := range values {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, false, err
		}
		seen[string(text)] = true
	}
	return json.Number(fmt.Sprint(len(seen))), true, nil
}

// reckon makes a sum, a minimum or a maximum.
func reckon(f rule.Function, numbers []*big.Rat) (any, bool, error) {
	sum := new(big.Rat)
	for _, n := range numbers {
		sum.Add(sum, n)
	}
	switch {
	case f == rule.Sum:
		return decimal(sum), true, nil
	case len(numbers) == 0:
		return nil, false, nil
	}
	best := numbers[0]
	for _, n := range numbers[1:] {
		if f == rule.Min && n.Cmp(best) < 0 || f == rule.Max && n.Cmp(best) > 0 {
			best = n
		}
	}
	return decimal(best), true, nil
}

// readNumbers returns those of the values that are numbers of a size that can be
// reckoned with.
func readNumbers(values []any) []*big.Rat {
	var numbers []*big.Rat
	for _, v := range values {
		n, ok := v.(json.Number)
		if !ok || len(n) > 40 {
			continue
		}
		if e := strings.IndexAny(n.String(), "eE"); e >= 0 && len(n)-e > 4 {
			continue // an exponent of more than two digits
		}
		if r, ok := new(big.Rat).SetString(n.String()); ok {
			numbers = append(numbers, r)
		}
	}
	return numbers
}

// decimal writes a sum of decimal numbers, which always has an end.
func decimal(r *big.Rat) json.Number {
	if r.IsInt() {
		return json.Number(r.Num().String())
	}
	return json.Number(strings.TrimRight(r.FloatString(140), "0"))
}

// Happened reports whether the person did something of a type after one time and up
// to another.
func (h History) Happened(activityType string, after, until time.Time) (bool, error) {
	n, err := h.count(activityType, after.Add(time.Microsecond), until)
	return n > 0, err
}

func (h History) bounds(from, until time.Time) (int64, int64, id.ID) {
	first := int64(0)
	if !from.IsZero() {
		first = db.Micro(from)
	}
	last := h.Until
	if last.IsZero() {
		last = id.Last()
	}
	return first, db.Micro(until), last
}

func (h History) count(activityType string, from, until time.Time) (int64, error) {
	first, last, latest := h.bounds(from, until)
	var n int64
	err := h.Queryer.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM activity WHERE tenant_id = $1 AND person_id = $2 AND type = $3
		AND occurred_at >= $4 AND occurred_at <= $5 AND id <= $6 AND undone_at IS NULL LIMIT $7) counted`,
		h.Tenant, h.Person, activityType, first, last, latest, maxCounted+1).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("activity: count activities: %w", err)
	}
	if h.besides(activityType, from, until) {
		n++
	}
	return n, h.checkCount(n)
}

// besides reports whether the activity that is not stored is one of the type and
// time.
func (h History) besides(activityType string, from, until time.Time) bool {
	a := h.Beside
	return a != nil && a.Type == activityType && !a.OccurredAt.Before(from) && !a.OccurredAt.After(until)
}

func (h History) between(activityType string, from, until time.Time) ([]*Activity, error) {
	first, last, latest := h.bounds(from, until)
	all, err := collect(h.Queryer, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND type = $3
		AND occurred_at >= $4 AND occurred_at <= $5 AND id <= $6 AND undone_at IS NULL ORDER BY occurred_at, id LIMIT $7`,
		h.Tenant, h.Person, activityType, first, last, latest, maxCounted+1)
	if err != nil {
		return nil, err
	}
	if h.besides(activityType, from, until) {
		after := slices.IndexFunc(all, func(a *Activity) bool { return a.OccurredAt.After(h.Beside.OccurredAt) })
		if after < 0 {
			after = len(all)
		}
		all = slices.Insert(all, after, h.Beside)
	}
	return all, h.checkCount(int64(len(all)))
}

// checkCount refuses to make a value of some of the activities.
func (h History) checkCount(n int64) error {
	if n > maxCounted {
		return problem.TooLarge.New("a rule asks for more than %d activities of one person: give its aggregate a shorter time", maxCounted)
	}
	return nil
}

// Position is where a person's activity stands among those of its type, by when they
// occurred. The zero place is behind all of them.
type Position struct {
	OccurredAt time.Time
	ID         id.ID
}

// Position returns where the activity stands.
func (a *Activity) Position() Position { return Position{a.OccurredAt, a.ID} }

// Earlier is a part of what a person did before an activity came in.
type Earlier struct {
	Than   *Activity // by the same person
	Type   string
	Before Position // the last one of the part before; zero: the first part
	Limit  int
}

// Before returns a part of it that was not undone, the latest first.
func Before(q db.Queryer, e Earlier) ([]*Activity, error) {
	before := e.Before
	if before.ID.IsZero() {
		before = Position{e.Than.ReceivedAt.Add(2 * maxAhead), id.Last()}
	}
	return collect(q, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND type = $3
		AND (occurred_at, id) < ($4, $5) AND id < $6 AND undone_at IS NULL ORDER BY occurred_at DESC, id DESC LIMIT $7`,
		e.Than.TenantID, e.Than.PersonID, e.Type, db.Micro(before.OccurredAt), before.ID, e.Than.ID, e.Limit)
}
