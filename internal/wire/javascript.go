package wire

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// JavaScript returns a JSON value as JavaScript's JSON.stringify(JSON.parse(text))
// would write it: as Compact, with numbers as JavaScript writes them, and in each
// object first the keys that are array indexes, in ascending order. A receiver
// that parses a body and writes it again to verify a signature then gets the same
// bytes, whatever the publisher sent.
//
// Besides what Compact refuses, it refuses what would not come out of there as it
// went in: two members of one name, of which JSON.parse keeps one; an integer,
// in digits alone, that JavaScript can't hold and would write as another; and a
// number that is too large for JavaScript. It also refuses more than a few numbers
// that are subnormal, below 2.3e-308, since they are slow to read. Numbers with a fraction or an exponent
// are rounded, as they are in every program that reads them as float64.
//
// The error says what is wrong and where, and does not repeat the value.
func JavaScript(src []byte) ([]byte, error) {
	if !utf8.Valid(src) {
		return nil, errors.New("is not valid UTF-8")
	}
	s := speller{compactor: compactor{src: src, dst: make([]byte, 0, len(src))}, members: make([]member, 0, 16)}
	s.space()
	if !s.value(0) {
		return nil, s.mistake()
	}
	if s.space(); len(s.src) > 0 {
		return nil, s.mistake()
	}
	if len(s.moved) > 0 {
		slices.SortFunc(s.moved, func(a, b object) int { return cmp.Compare(a.start, b.start) })
		return s.appendSpan(make([]byte, 0, len(s.dst)), 0, len(s.dst)), nil
	}
	return s.dst, nil
}

// speller takes a document apart as a compactor does, and looks besides at its
// numbers and at the members of its objects.
type speller struct {
	compactor
	members []member // of the objects that are open, the outermost first
	moved   []object // whose members JavaScript has in another order
	tiny    int      // how many numbers were close to zero
	loss    loss     // what JavaScript would lose; zero where the JSON itself is wrong
	place   []string // where, as steps from the innermost
}

// member is where a member of an object stands in dst. Between its name and its
// value there is a colon.
type member struct{ start, value, end int }

// object is where an object stands in dst, and its members as JavaScript has them.
type object struct {
	start, end int
	members    []member
}

// loss is a sentence with a gap for the place.
type loss struct{ before, after string }

// value takes a value that stands inside of depth others.
func (s *speller) value(depth int) bool {
	if len(s.src) == 0 {
		return false
	}
	switch s.src[0] {
	case '{':
		return depth < maxNesting && s.object(depth+1)
	case '[':
		return depth < maxNesting && s.array(depth+1)
	case '"':
		return s.text()
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return s.number()
	default:
		return s.compactor.value(depth)
	}
}

func (s *speller) array(depth int) bool {
	s.copy(1)
	s.space()
	if s.take(']') {
		return true
	}
	for i := 0; ; i++ {
		if !s.value(depth) {
			return s.inside("[" + strconv.Itoa(i) + "]")
		}
		s.space()
		if s.take(']') {
			return true
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
}

func (s *speller) object(depth int) bool {
	start, outer := len(s.dst), len(s.members)
	s.copy(1)
	s.space()
	if s.take('}') {
		return true
	}
	for {
		m := member{start: len(s.dst)}
		if !s.name() {
			return false
		}
		m.value = len(s.dst)
		if !s.value(depth) {
			return s.inside(s.step(m))
		}
		m.end = len(s.dst)
		s.members = append(s.members, m)
		s.space()
		if s.take('}') {
			break
		}
		if !s.take(',') {
			return false
		}
		s.space()
	}
	members := s.members[outer:]
	s.members = s.members[:outer]
	if twice, ok := s.repeated(members); ok {
		s.loss = loss{"has two values", ", of which JavaScript keeps one"}
		return s.inside(s.step(twice))
	}
	if slices.ContainsFunc(members, s.mayBeIndex) {
		s.order(start, members)
	}
	return true
}

// order notes an object, the latest in dst, if its members are to be moved.
func (s *speller) order(start int, members []member) {
	order := func(a, b member) int { return cmp.Compare(index(s.quoted(a)), index(s.quoted(b))) }
	if slices.IsSortedFunc(members, order) {
		return
	}
	moved := slices.Clone(members)
	slices.SortStableFunc(moved, order)
	s.moved = append(s.moved, object{start: start, end: len(s.dst), members: moved})
}

// quoted returns a member's name, with its quotes.
func (s *speller) quoted(m member) []byte { return s.dst[m.start : m.value-1] }

// repeated returns a member whose name another has too. Names have one spelling
// in dst. Few are compared each with each, many are sorted first.
func (s *speller) repeated(members []member) (member, bool) {
	const few = 16
	if len(members) <= few {
		for i, m := range members {
			name := s.quoted(m)
			for _, other := range members[:i] {
				if other.value-other.start == m.value-m.start && bytes.Equal(s.quoted(other), name) {
					return m, true
				}
			}
		}
		return member{}, false
	}
	sorted := slices.Clone(members)
	slices.SortFunc(sorted, func(a, b member) int { return bytes.Compare(s.quoted(a), s.quoted(b)) })
	for i, m := range sorted[1:] {
		if bytes.Equal(s.quoted(sorted[i]), s.quoted(m)) {
			return m, true
		}
	}
	return member{}, false
}

func (s *speller) mayBeIndex(m member) bool {
	return s.dst[m.start+1] >= '0' && s.dst[m.start+1] <= '9'
}

// notIndex is greater than every index that an array can have.
const notIndex = math.MaxUint32

// index returns the array index that a quoted name is, or notIndex. Engines have
// "7" for an index, but not "07", "-7" or "7.0".
func index(quoted []byte) uint64 {
	digits := quoted[1 : len(quoted)-1]
	if len(digits) == 0 || len(digits) > len("4294967294") || digits[0] == '0' && len(digits) > 1 {
		return notIndex
	}
	var n uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return notIndex
		}
		n = n*10 + uint64(c-'0')
	}
	return min(n, notIndex)
}

// appendSpan writes what dst has from start to end, with the members of the
// objects that were moved in their new order.
func (s *speller) appendSpan(out []byte, start, end int) []byte {
	for {
		i, _ := slices.BinarySearchFunc(s.moved, start, func(o object, at int) int { return cmp.Compare(o.start, at) })
		if i == len(s.moved) || s.moved[i].start >= end {
			return append(out, s.dst[start:end]...)
		}
		o := s.moved[i]
		out = append(out, s.dst[start:o.start]...)
		separator := byte('{')
		for _, m := range o.members {
			out = s.appendSpan(append(out, separator), m.start, m.end)
			separator = ','
		}
		out, start = append(out, '}'), o.end
	}
}

// number takes a number and writes it as Number::toString of ECMA-262 does.
func (s *speller) number() bool {
	start := len(s.dst)
	if !s.compactor.number() {
		return false
	}
	text := s.dst[start:]
	isInteger := !slices.ContainsFunc(text, func(c byte) bool { return c == '.' || c|0x20 == 'e' })
	if isInteger && len(text) <= 15 && string(text) != "-0" { // the usual case
		return true
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		s.loss = loss{"has a number", " that is too large for JavaScript: send it as text"}
		return false
	}
	if f != 0 && math.Abs(f) < leastNormal {
		if s.tiny++; s.tiny > maxTiny {
			s.loss = loss{"has a number", " that is, like others before it, too close to zero: send it as text"}
			return false
		}
	}
	if isInteger && !survives(text, f) {
		s.loss = loss{"has an integer", " that JavaScript can't hold: send it as text"}
		return false
	}
	s.dst = appendNumber(s.dst[:start], f)
	return true
}

// Numbers closer to zero than leastNormal have fewer digits than others, and take a
// thousand times as long to read: a megabyte of them, seconds. Nobody means them, so
// few are let through.
const (
	leastNormal = 0x1p-1022
	maxTiny     = 32
)

// survives reports whether an integer is what JavaScript writes for its nearest
// float64 f: the fewest digits that identify f, and zeros. Up to 2^53 they all are.
// 2^64 is not, although a float64 holds it: it is written 18446744073709552000.
func survives(text []byte, f float64) bool {
	return string(text) == strconv.FormatFloat(f, 'f', -1, 64)
}

func appendNumber(dst []byte, f float64) []byte {
	abs := math.Abs(f)
	if abs == 0 {
		return append(dst, '0') // -0 too
	}
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-4] == 'e' && dst[n-2] == '0' { // Go writes e-07
		dst = append(dst[:n-2], dst[n-1])
	}
	return dst
}

// inside notes a step of the way to what is wrong, and returns false.
func (s *speller) inside(step string) bool {
	if s.loss != (loss{}) {
		s.place = append(s.place, step)
	}
	return false
}

var plainName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$]*$`)

// step is a member's name as JavaScript would access it.
func (s *speller) step(m member) string {
	if s.loss == (loss{}) {
		return ""
	}
	var name string
	_ = json.Unmarshal(s.quoted(m), &name) // it is a string
	if plainName.MatchString(name) {
		return "." + name
	}
	return "[" + strconv.Quote(name) + "]"
}

// maxPlace bounds what an error says of a place in bytes.
const maxPlace = 200

// mistake returns why the document was not taken.
func (s *speller) mistake() error {
	if s.loss == (loss{}) {
		return errors.New("is not valid JSON")
	}
	slices.Reverse(s.place)
	place := strings.TrimPrefix(strings.Join(s.place, ""), ".")
	if len(place) > maxPlace {
		place = strings.ToValidUTF8(place[:maxPlace], "") + "…"
	}
	if place != "" {
		place = " at " + place
	}
	return errors.New(s.loss.before + place + s.loss.after)
}
