package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Compact returns a JSON value as JavaScript's JSON.stringify would write its
// strings: without white space, with the fewest escapes, in valid UTF-8. A
// receiver that parses a body and writes it again to verify a signature then
// gets the same bytes. The order of keys and the spelling of numbers stay. What
// encoding/json would not read is refused, which includes what is nested more
// than 10,000 levels deep.
//
// The error says what is wrong and does not repeat the value.
func Compact(src []byte) ([]byte, error) {
	if !utf8.Valid(src) {
		return nil, errors.New("is not valid UTF-8")
	}
	c := compactor{src: src, dst: make([]byte, 0, len(src))}
	c.space()
	if !c.value(0) {
		return nil, errors.New("is not valid JSON")
	}
	if c.space(); len(c.src) > 0 {
		return nil, errors.New("is not valid JSON")
	}
	return c.dst, nil
}

// maxNesting is how deep encoding/json reads.
const maxNesting = 10_000

// compactor checks and writes a document in one pass: each event goes through
// here, and its data is most of it. Each method takes one part from the front of
// src, where no white space is, and reports whether it is well formed.
type compactor struct{ src, dst []byte }

// copy moves n bytes over as they are.
func (c *compactor) copy(n int) {
	c.dst = append(c.dst, c.src[:n]...)
	c.src = c.src[n:]
}

func (c *compactor) space() {
	for len(c.src) > 0 && (c.src[0] == ' ' || c.src[0] == '\n' || c.src[0] == '\t' || c.src[0] == '\r') {
		c.src = c.src[1:]
	}
}

func (c *compactor) take(b byte) bool {
	if len(c.src) == 0 || c.src[0] != b {
		return false
	}
	c.copy(1)
	return true
}

// value takes a value that stands inside of depth others.
func (c *compactor) value(depth int) bool {
	if len(c.src) == 0 {
		return false
	}
	switch c.src[0] {
	case '{', '[':
		return depth < maxNesting && c.composite(depth+1)
	case '"':
		return c.text()
	case 't':
		return c.word("true")
	case 'f':
		return c.word("false")
	case 'n':
		return c.word("null")
	default:
		return c.number()
	}
}

// composite takes an object or an array.
func (c *compactor) composite(depth int) bool {
	isObject, end := c.src[0] == '{', c.src[0]+2 // as ASCII has it, for both
	c.copy(1)
	c.space()
	if c.take(end) {
		return true
	}
	for {
		if isObject && !c.name() || !c.value(depth) {
			return false
		}
		c.space()
		if c.take(end) {
			return true
		}
		if !c.take(',') {
			return false
		}
		c.space()
	}
}

// name takes the name of a member, and what stands between it and the value.
func (c *compactor) name() bool {
	if len(c.src) == 0 || c.src[0] != '"' || !c.text() {
		return false
	}
	c.space()
	if !c.take(':') {
		return false
	}
	c.space()
	return true
}

func (c *compactor) word(word string) bool {
	if len(c.src) < len(word) || string(c.src[:len(word)]) != word {
		return false
	}
	c.copy(len(word))
	return true
}

func (c *compactor) number() bool {
	i := 0
	digits := func() bool {
		from := i
		for i < len(c.src) && c.src[i] >= '0' && c.src[i] <= '9' {
			i++
		}
		return i > from
	}
	at := func(set string) bool { return i < len(c.src) && strings.IndexByte(set, c.src[i]) >= 0 }
	if at("-") {
		i++
	}
	if at("0") {
		i++
	} else if !digits() {
		return false
	}
	if at(".") {
		i++
		if !digits() {
			return false
		}
	}
	if at("eE") {
		i++
		if at("+-") {
			i++
		}
		if !digits() {
			return false
		}
	}
	c.copy(i)
	return true
}

// text takes a string.
func (c *compactor) text() bool {
	c.copy(1)
	for {
		n := plain(c.src)
		if n == len(c.src) {
			return false
		}
		c.copy(n)
		switch c.src[0] {
		case '"':
			c.copy(1)
			return true
		case '\\':
			if !c.escape() {
				return false
			}
		default: // a control character
			return false
		}
	}
}

// plain returns how many bytes there are before the first that is a quote, a
// backslash or a control character.
func plain(text []byte) int {
	const ones = 0x0101010101010101
	i := 0
	for ; i+8 <= len(text); i += 8 {
		// Eight bytes at once: a byte's highest bit is set in below(x, n) if the
		// byte is less than n. It may be set in those after it as well.
		x := binary.LittleEndian.Uint64(text[i:])
		below := func(x, n uint64) uint64 { return (x - ones*n) & ^x & (ones * 0x80) }
		if below(x, ' ')|below(x^ones*'"', 1)|below(x^ones*'\\', 1) != 0 {
			break
		}
	}
	for i < len(text) && text[i] != '"' && text[i] != '\\' && text[i] >= ' ' {
		i++
	}
	return i
}

// escape takes a backslash and what belongs to it, and writes it as short as can
// be.
func (c *compactor) escape() bool {
	if len(c.src) < 2 {
		return false
	}
	switch c.src[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		c.copy(2)
		return true
	case '/': // the one short escape that is never needed
		c.src = c.src[1:]
		c.copy(1)
		return true
	}
	r, ok := unhex(c.src)
	if !ok {
		return false
	}
	c.src = c.src[6:]
	if second, ok := unhex(c.src); ok && utf16.IsSurrogate(r) {
		if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
			r, c.src = pair, c.src[6:]
		}
	}
	c.dst = appendRune(c.dst, r)
	return true
}

// unhex reads an escape by number, such as \u00e9, and reports whether src begins
// with one.
func unhex(src []byte) (rune, bool) {
	if len(src) < 6 || src[0] != '\\' || src[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range src[2:6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r = r<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return r, true
}

// appendRune writes a character that was escaped by its number.
func appendRune(dst []byte, r rune) []byte {
	const short = "\b\t\n\f\r\"\\"
	if i := bytes.IndexRune([]byte(short), r); i >= 0 && r < utf8.RuneSelf {
		return append(dst, '\\', `btnfr"\`[i])
	}
	if r < ' ' || utf16.IsSurrogate(r) { // half of a pair can only be written by its number
		const digits = "0123456789abcdef"
		return append(dst, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
	}
	return utf8.AppendRune(dst, r)
}

// AppendQuoted writes s as a JSON string in the spelling of Compact.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		if r >= ' ' && r < utf8.RuneSelf && r != '"' && r != '\\' {
			dst = append(dst, byte(r))
			continue
		}
		dst = appendRune(dst, r)
	}
	return append(dst, '"')
}
