package rule

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// fields are the members of one JSON object. What is asked of them and is not
// there, or not as it should be, is noted under its path; reading goes on, so that
// all mistakes are told at once.
type fields struct {
	place  string
	raw    map[string]json.RawMessage
	checks *problem.Checks
}

// member is one member of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// members takes apart what is valid JSON and reports whether it is an object.
func members(raw []byte) ([]member, bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	if opening, err := dec.Token(); err != nil || opening != json.Delim('{') {
		return nil, false
	}
	var list []member
	for dec.More() {
		token, err := dec.Token()
		name, isName := token.(string)
		var value json.RawMessage
		if err != nil || !isName || dec.Decode(&value) != nil {
			return nil, false
		}
		list = append(list, member{name, value})
	}
	return list, true
}

// onlyMember returns the one member that an object has.
func onlyMember(raw []byte) (member, bool) {
	list, ok := members(raw)
	if !ok || len(list) != 1 {
		return member{}, false
	}
	return list[0], true
}

// readObject reads an object that has no other fields than these. No names: it may
// have any.
func readObject(raw []byte, place string, checks *problem.Checks, names ...string) (fields, bool) {
	f := fields{place, map[string]json.RawMessage{}, checks}
	list, ok := members(raw)
	if !ok {
		checks.Add(place, "must be an object")
		return f, false
	}
	unknown, twice := false, false
	for _, m := range list {
		unknown = unknown || len(names) > 0 && !slices.Contains(names, m.name)
		twice = twice || f.has(m.name)
		f.raw[m.name] = m.value
	}
	if unknown {
		checks.Add(place, "has a field that is not one of %s", strings.Join(names, ", "))
	}
	if twice {
		checks.Add(place, "has a field twice")
	}
	return f, true
}

func (f fields) has(name string) bool { return f.raw[name] != nil }

func (f fields) at(name string) string { return f.place + "." + name }

func (f fields) refuse(name, format string, args ...any) {
	f.checks.Add(f.at(name), format, args...)
}

func (f fields) require(name string) {
	if !f.has(name) {
		f.refuse(name, "is required")
	}
}

// isObject and isList look no further than the first character.
func (f fields) isObject(name string) bool { return bytes.HasPrefix(f.raw[name], []byte("{")) }
func (f fields) isList(name string) bool   { return bytes.HasPrefix(f.raw[name], []byte("[")) }

// object reads a field that is an object with no other fields than these.
func (f fields) object(name string, names ...string) (fields, bool) {
	if !f.has(name) {
		return fields{}, false
	}
	return readObject(f.raw[name], f.at(name), f.checks, names...)
}

// value reads JSON that is valid, with numbers as they are written.
func value(raw []byte) any {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return nil // nested deeper than encoding/json goes, and so no value of ours
	}
	return v
}

// pattern is how the text of a field has to look, and how that is said after "must
// be".
type pattern struct {
	characters *regexp.Regexp // counting is not for it: {1,64} compiles to 64 copies
	most       int            // characters
	sentence   string
}

var (
	keyPattern  = pattern{regexp.MustCompile(`^[a-z0-9_-]+$`), 64, "1 to 64 characters of a-z, 0-9, - and _"}
	wordPattern = pattern{regexp.MustCompile(`^[A-Za-z0-9_.-]+$`), 64, "1 to 64 characters of A-Z, a-z, 0-9, '.', - and _"}
	unitPattern = pattern{regexp.MustCompile(`^[^\s\pC]+$`), 32, "1 to 32 characters without white space"}
	typePattern = pattern{regexp.MustCompile(`^[A-Za-z0-9_.:-]+$`), 128, "1 to 128 characters of A-Z, a-z, 0-9, '.', ':', - and _"}
	anyText     = pattern{regexp.MustCompile(`(?s)^.+$`), 200, "1 to 200 characters"}
)

func (p pattern) matches(text string) bool {
	return utf8.RuneCountInString(text) <= p.most && p.characters.MatchString(text)
}

func (f fields) text(name string, p pattern) (string, bool) {
	if !f.has(name) {
		return "", false
	}
	text, ok := value(f.raw[name]).(string)
	if !ok {
		f.refuse(name, "must be a string")
		return "", false
	}
	if !p.matches(text) {
		f.refuse(name, "must be %s", p.sentence)
		return "", false
	}
	return text, true
}

func (f fields) oneOf(name string, words ...string) (string, bool) {
	if !f.has(name) {
		return "", false
	}
	text, _ := value(f.raw[name]).(string)
	if !slices.Contains(words, text) {
		f.refuse(name, "must be %s", strings.Join(words, " or "))
		return "", false
	}
	return text, true
}

func (f fields) flag(name string) bool {
	if !f.has(name) {
		return false
	}
	truth, ok := value(f.raw[name]).(bool)
	if !ok {
		f.refuse(name, "must be true or false")
	}
	return truth
}

func (f fields) whole(name string, low, high int64) (int64, bool) {
	if !f.has(name) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(f.raw[name]), 10, 64)
	if err != nil || n < low || n > high {
		f.refuse(name, "must be a whole number from %d to %d", low, high)
		return 0, false
	}
	return n, true
}

func (f fields) duration(name string) Duration {
	if !f.has(name) {
		return Duration{}
	}
	text, _ := value(f.raw[name]).(string)
	d, err := ParseDuration(text)
	if err != nil {
		f.refuse(name, "%s", err)
	}
	return d
}

func (f fields) window(name string) Window {
	if !f.has(name) {
		return Window{}
	}
	text, _ := value(f.raw[name]).(string)
	w, err := ParseWindow(text)
	if err != nil {
		f.refuse(name, "%s", err)
	}
	return w
}

func (f fields) instant(name string) time.Time {
	if !f.has(name) {
		return time.Time{}
	}
	text, _ := value(f.raw[name]).(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		f.refuse(name, "must be a time such as 2026-11-01T00:00:00Z")
	}
	return at.UTC()
}
