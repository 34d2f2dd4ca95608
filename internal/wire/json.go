package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"unicode/utf16"
	"unicode/utf8"
)

// Compact returns a JSON value as JavaScript's JSON.stringify would write its
// strings: without white space, with the fewest escapes, in valid UTF-8. A
// receiver that parses a body and writes it again to verify a signature then
// gets the same bytes. The order of keys and the spelling of numbers stay.
//
// The error says what is wrong and does not repeat the value.
func Compact(src []byte) ([]byte, error) {
	if !utf8.Valid(src) {
		return nil, errors.New("is not valid UTF-8")
	}
	if !json.Valid(src) {
		return nil, errors.New("is not valid JSON")
	}
	dst := make([]byte, 0, len(src))
	for i := 0; i < len(src); {
		switch c := src[i]; c {
		case ' ', '\t', '\n', '\r':
			i++
		case '"':
			n := 0
			dst, n = appendString(dst, src[i:])
			i += n
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst, nil
}

// appendString writes the JSON string at the start of src again and returns how
// long it was in src.
func appendString(dst, src []byte) ([]byte, int) {
	end := 1
	for src[end] != '"' && src[end] != '\\' {
		end++
	}
	if src[end] == '"' { // nothing escaped: the usual case
		return append(dst, src[:end+1]...), end + 1
	}
	dst = append(dst, '"')
	i := 1
	for src[i] != '"' {
		if src[i] != '\\' {
			dst = append(dst, src[i])
			i++
			continue
		}
		if src[i+1] != 'u' {
			if src[i+1] == '/' { // the one short escape that is never needed
				dst = append(dst, '/')
			} else {
				dst = append(dst, src[i], src[i+1])
			}
			i += 2
			continue
		}
		r := unhex(src[i+2:])
		i += 6
		if utf16.IsSurrogate(r) && src[i] == '\\' && src[i+1] == 'u' {
			if pair := utf16.DecodeRune(r, unhex(src[i+2:])); pair != utf8.RuneError {
				dst = utf8.AppendRune(dst, pair)
				i += 6
				continue
			}
		}
		dst = appendRune(dst, r)
	}
	return append(dst, '"'), i + 1
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

// unhex reads the four hexadecimal digits of an escape that is known to be valid.
func unhex(src []byte) rune {
	var r rune
	for _, c := range src[:4] {
		switch {
		case c <= '9':
			r = r<<4 | rune(c-'0')
		default:
			r = r<<4 | rune(c|0x20-'a'+10)
		}
	}
	return r
}

// AppendQuoted writes s as a JSON string in the spelling of Compact.
func AppendQuoted(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for _, r := range s {
		dst = appendRune(dst, r)
	}
	return append(dst, '"')
}
