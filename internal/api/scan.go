package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// scanner takes a document apart that is known to be valid JSON without white
// space, without copying: publishing is the one call that has to be fast.
type scanner struct {
	src []byte
	pos int
}

// text skips a string and returns it with its quotes.
func (s *scanner) text() []byte {
	start := s.pos
	for s.pos++; ; s.pos++ {
		s.pos += bytes.IndexByte(s.src[s.pos:], '"')
		if escapes(s.src[start:s.pos])%2 == 0 {
			break
		}
	}
	s.pos++
	return s.src[start:s.pos]
}

// escapes counts the backslashes at the end.
func escapes(text []byte) int { return len(text) - len(bytes.TrimRight(text, `\`)) }

// value skips a value of any kind and returns it.
func (s *scanner) value() []byte {
	switch s.src[s.pos] {
	case '"':
		return s.text()
	case '{', '[':
		return s.composite()
	}
	start := s.pos
	for ; s.pos < len(s.src); s.pos++ {
		switch s.src[s.pos] {
		case ',', '}', ']':
			return s.src[start:s.pos]
		}
	}
	return s.src[start:]
}

func (s *scanner) composite() []byte {
	start := s.pos
	for depth := 0; ; {
		switch s.src[s.pos] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.pos++
		if depth == 0 {
			return s.src[start:s.pos]
		}
	}
}

// maxDepth is how deep an event's data may be nested: as deep as common parsers
// of receivers go, and far less than what our own could not write again.
const maxDepth = 500

// deeperThan reports whether lists and objects are nested deeper in a value.
func deeperThan(value []byte, most int) bool {
	if bytes.Count(value, []byte{'['})+bytes.Count(value, []byte{'{'}) <= most {
		return false
	}
	depth := 0
	for s := (scanner{src: value}); s.pos < len(value); s.pos++ {
		switch value[s.pos] {
		case '"':
			s.text()
			s.pos--
		case '{', '[':
			if depth++; depth > most {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// fields calls fn with each name, unquoted, and each value of an object.
func fields(object []byte, fn func(name string, value []byte)) {
	s := scanner{src: object, pos: 1}
	for s.src[s.pos] != '}' {
		if s.src[s.pos] == ',' {
			s.pos++
		}
		name := unquote(s.text())
		s.pos++ // the colon
		fn(name, s.value())
	}
}

// items calls fn with each item of a list.
func items(list []byte, fn func(i int, item []byte)) {
	s := scanner{src: list, pos: 1}
	for i := 0; s.src[s.pos] != ']'; i++ {
		if s.src[s.pos] == ',' {
			s.pos++
		}
		fn(i, s.value())
	}
}

// unquote reads a valid JSON string.
func unquote(quoted []byte) string {
	inner := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return string(inner)
	}
	var text string
	_ = json.Unmarshal(quoted, &text) // it is valid
	return text
}

// publication reads one event of a publisher, which stands at path.
func publication(raw []byte, path string, errs *fieldErrors) webhook.Publication {
	var p webhook.Publication
	if raw[0] != '{' {
		errs.add(path, "must be an object")
		return p
	}
	var seen [5]bool
	once := func(i int, name string) {
		if seen[i] {
			errs.add(join(path, name), "is there twice")
		}
		seen[i] = true
	}
	fields(raw, func(name string, value []byte) {
		switch name {
		case "type":
			once(0, name)
			p.Type = textField(value, path, name, errs)
		case "data":
			once(1, name)
			if p.Data = value; deeperThan(value, maxDepth) {
				errs.add(join(path, name), "is nested more than %d levels deep", maxDepth)
			}
		case "timestamp":
			once(2, name)
			p.OccurredAt = timeField(value, path, name, errs)
		case "dialect":
			once(3, name)
			p.Dialect = textField(value, path, name, errs)
			if string(value) == `""` {
				errs.add(join(path, name), "must not be empty")
			}
		case "subject_version":
			once(4, name)
			p.SubjectVersion = versionField(value, path, name, errs)
		default:
			if !slices.Contains(envelopeFields, name) {
				errs.unknown(path, name)
				return
			}
			if _, twice := p.Fields[name]; twice {
				errs.add(join(path, name), "is there twice")
			}
			if p.Fields == nil {
				p.Fields = make(map[string]string)
			}
			p.Fields[name] = textField(value, path, name, errs)
		}
	})
	return p
}

// envelopeFields are what some dialect's envelope has besides. Which of them an
// event may have, and must, is for its dialect to say.
var envelopeFields = func() []string {
	var names []string
	for _, dialect := range dialects.All {
		for _, field := range dialect.Fields() {
			names = append(names, field.Name)
		}
	}
	return names
}()

func versionField(value []byte, path, name string, errs *fieldErrors) int64 {
	version, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil || version < 1 {
		errs.add(join(path, name), "must be a whole number from 1")
		return 0
	}
	return version
}

func textField(value []byte, path, name string, errs *fieldErrors) string {
	if value[0] != '"' {
		errs.add(join(path, name), "must be a string")
		return ""
	}
	return unquote(value)
}

func timeField(value []byte, path, name string, errs *fieldErrors) time.Time {
	var t time.Time
	if value[0] != '"' || t.UnmarshalJSON(value) != nil {
		errs.add(join(path, name), timeMessage)
		return t
	}
	if t.IsZero() { // which stands for the present further on
		errs.add(join(path, name), "must not be before 1970")
	}
	return t
}

// publications reads the list of a batch.
func publications(body []byte, errs *fieldErrors) []webhook.Publication {
	if body[0] != '{' {
		errs.add("", "must be an object")
		return nil
	}
	var list []byte
	fields(body, func(name string, value []byte) {
		switch {
		case name != "events":
			errs.unknown("", name)
		case list != nil:
			errs.add(name, "is there twice")
		default:
			list = value
		}
	})
	switch {
	case list == nil:
		errs.add("events", "is required")
		return nil
	case list[0] != '[':
		errs.add("events", "must be a list")
		return nil
	}
	var read []webhook.Publication
	n := 0
	items(list, func(i int, item []byte) {
		if n++; n <= webhook.MaxBatch {
			read = append(read, publication(item, "events["+strconv.Itoa(i)+"]", errs))
		}
	})
	if n == 0 || n > webhook.MaxBatch {
		errs.add("events", "must have 1 to %d events", webhook.MaxBatch)
	}
	return read
}
