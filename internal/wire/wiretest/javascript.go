package wiretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// reserialise returns a JSON text as JavaScript's JSON.stringify(JSON.parse(text))
// would, for texts whose numbers are spelt as JavaScript spells them and whose
// keys are different and no numbers. It has its own hand at strings, since it
// judges package wire's, and half a surrogate pair survives in it as it does in
// JavaScript.
func reserialise(text []byte) ([]byte, error) {
	if !json.Valid(text) {
		return nil, errors.New("it is not JSON")
	}
	var out []byte
	for i := 0; i < len(text); {
		if bytes.IndexByte([]byte(" \t\r\n"), text[i]) >= 0 {
			i++
			continue
		}
		if text[i] != '"' {
			out = append(out, text[i])
			i++
			continue
		}
		end := i + 1
		for text[end] != '"' {
			if text[end] == '\\' {
				end++
			}
			end++
		}
		units, err := parseString(text[i+1 : end])
		if err != nil {
			return nil, err
		}
		out, i = quote(out, units), end+1
	}
	return out, nil
}

// parseString returns the characters of a string: code points, and the halves of
// surrogate pairs that stand alone.
func parseString(text []byte) ([]rune, error) {
	var units []rune
	for len(text) > 0 {
		if text[0] != '\\' {
			r, size := utf8.DecodeRune(text)
			if r == utf8.RuneError && size == 1 {
				return nil, errors.New("it is not UTF-8")
			}
			units, text = append(units, r), text[size:]
			continue
		}
		if text[1] != 'u' {
			i := bytes.IndexByte([]byte(`"\/bfnrt`), text[1])
			units, text = append(units, rune("\"\\/\b\f\n\r\t"[i])), text[2:]
			continue
		}
		var r rune
		if _, err := fmt.Sscanf(string(text[2:6]), "%04x", &r); err != nil {
			return nil, err
		}
		text = text[6:]
		if n := len(units); n > 0 && isHigh(units[n-1]) && r >= 0xdc00 && r <= 0xdfff {
			units[n-1] = 0x10000 + (units[n-1]-0xd800)<<10 + (r - 0xdc00)
			continue
		}
		units = append(units, r)
	}
	return units, nil
}

func isHigh(r rune) bool { return r >= 0xd800 && r <= 0xdbff }

// quote writes a string as ECMA-262 says in QuoteJSONString.
func quote(out []byte, units []rune) []byte {
	out = append(out, '"')
	for _, r := range units {
		short := map[rune]string{'\b': `\b`, '\t': `\t`, '\n': `\n`, '\f': `\f`, '\r': `\r`, '"': `\"`, '\\': `\\`}[r]
		switch {
		case short != "":
			out = append(out, short...)
		case r < ' ' || r >= 0xd800 && r <= 0xdfff:
			out = fmt.Appendf(out, `\u%04x`, r)
		default:
			out = utf8.AppendRune(out, r)
		}
	}
	return append(out, '"')
}
