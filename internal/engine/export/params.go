package export

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

const maxParams = 16 << 10 // bytes of JSON

// Params say which rows an export has. Times are whole milliseconds; a zero one
// chooses nothing. What says Since includes that time, what says Before does not.
type Params struct {
	CreatedSince           time.Time
	CreatedBefore          time.Time
	UpdatedSince           time.Time
	UpdatedBefore          time.Time
	CreatedOrUpdatedSince  time.Time
	CreatedOrUpdatedBefore time.Time

	ProgramID string
	At        time.Time       // the state of which time is wanted
	Filter    json.RawMessage // for the source to read; nil: none
	Fields    map[string]bool // groups of columns that are wanted, by name
}

// Selects reports whether the times of a row are wanted. One that was never updated
// has the zero time there.
func (p Params) Selects(created, updated time.Time) bool {
	latest := created
	if updated.After(created) {
		latest = updated
	}
	return within(created, p.CreatedSince, p.CreatedBefore) &&
		within(updated, p.UpdatedSince, p.UpdatedBefore) &&
		(within(created, p.CreatedOrUpdatedSince, p.CreatedOrUpdatedBefore) ||
			within(latest, p.CreatedOrUpdatedSince, p.CreatedOrUpdatedBefore))
}

// within reports whether at lies between two times, each of which may be zero.
func within(at, since, before time.Time) bool {
	return (since.IsZero() || !at.Before(since)) && (before.IsZero() || at.Before(before) && !at.IsZero())
}

// writtenParams is how params are written: the six times are always there.
type writtenParams struct {
	CreatedSince           *int64          `json:"createdSince"`
	CreatedBefore          *int64          `json:"createdBefore"`
	UpdatedSince           *int64          `json:"updatedSince"`
	UpdatedBefore          *int64          `json:"updatedBefore"`
	CreatedOrUpdatedSince  *int64          `json:"createdOrUpdatedSince"`
	CreatedOrUpdatedBefore *int64          `json:"createdOrUpdatedBefore"`
	ProgramID              string          `json:"programId,omitempty"`
	At                     *int64          `json:"at,omitempty"`
	Filter                 json.RawMessage `json:"filter,omitempty"`
	Fields                 map[string]bool `json:"fields,omitempty"`
}

// MarshalJSON writes the params as the page of the export events has them: times as
// milliseconds since 1970, or null.
func (p Params) MarshalJSON() ([]byte, error) {
	milli := func(at time.Time) *int64 {
		if at.IsZero() {
			return nil
		}
		return new(at.UnixMilli())
	}
	return json.Marshal(writtenParams{
		milli(p.CreatedSince), milli(p.CreatedBefore), milli(p.UpdatedSince), milli(p.UpdatedBefore),
		milli(p.CreatedOrUpdatedSince), milli(p.CreatedOrUpdatedBefore), p.ProgramID, milli(p.At), p.Filter, p.Fields,
	})
}

// UnmarshalJSON reads what ParseParams reads.
func (p *Params) UnmarshalJSON(document []byte) error {
	parsed, err := ParseParams(document)
	*p = parsed
	return err
}

// ParseParams reads params from a JSON object; empty or null: all rows are wanted.
// Times are milliseconds since 1970, as a number or a text, or ISO 8601: a date, or
// a date and a time, in UTC where they don't say otherwise.
func ParseParams(document json.RawMessage) (Params, error) {
	if len(document) > maxParams {
		return Params{}, problem.InvalidField("params", "may have at most %d bytes", maxParams)
	}
	fields := map[string]json.RawMessage{}
	if len(bytes.TrimSpace(document)) > 0 {
		if err := json.Unmarshal(document, &fields); err != nil {
			return Params{}, problem.InvalidField("params", "must be a JSON object")
		}
	}
	var p Params
	var checks problem.Checks
	times := map[string]*time.Time{
		"createdSince": &p.CreatedSince, "createdBefore": &p.CreatedBefore,
		"updatedSince": &p.UpdatedSince, "updatedBefore": &p.UpdatedBefore,
		"createdOrUpdatedSince": &p.CreatedOrUpdatedSince, "createdOrUpdatedBefore": &p.CreatedOrUpdatedBefore,
		"at": &p.At,
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := bytes.TrimSpace(fields[name])
		if string(value) == "null" {
			continue
		}
		at, isTime := times[name]
		switch {
		case isTime:
			var ok bool
			if *at, ok = parseTime(value); !ok {
				checks.Add("params."+name, "must be a time: milliseconds since 1970, or a text such as 2016-06-29T18:08:58Z")
			}
		case name == "programId":
			if json.Unmarshal(value, &p.ProgramID) != nil {
				checks.Add("params.programId", "must be a text")
			}
		case name == "fields":
			if json.Unmarshal(value, &p.Fields) != nil {
				checks.Add("params.fields", "must be an object of true and false")
			}
		case name == "filter":
			p.Filter = slices.Clone(value)
		default:
			checks.Add("params", "has a field that there is not: the fields are createdSince, createdBefore, updatedSince, updatedBefore, "+
				"createdOrUpdatedSince, createdOrUpdatedBefore, programId, filter, at and fields")
		}
	}
	return p, checks.Err()
}

var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999", "2006-01-02T15:04Z07:00", "2006-01-02T15:04",
	"2006-01-02 15:04:05.999999999", time.DateOnly,
}

// parseTime reads a JSON number or text, and whether it is a time from 1970 to 9999.
func parseTime(value []byte) (time.Time, bool) {
	text := string(value)
	if strings.HasPrefix(text, `"`) {
		if json.Unmarshal(value, &text) != nil {
			return time.Time{}, false
		}
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return inRange(time.UnixMilli(ms))
	}
	if ms, err := strconv.ParseFloat(text, 64); err == nil && ms == float64(int64(ms)) && ms >= 0 && ms < 1e15 {
		return inRange(time.UnixMilli(int64(ms)))
	}
	for _, layout := range timeLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return inRange(at)
		}
	}
	return time.Time{}, false
}

func inRange(at time.Time) (time.Time, bool) {
	at = at.UTC().Truncate(time.Millisecond)
	return at, at.Year() >= 1970 && at.Year() <= 9999
}
