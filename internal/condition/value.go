package condition

import (
	"encoding/json"
	"strconv"
	"strings"
)

// Kind is what a value is.
type Kind string

// The kinds of values.
const (
	Missing Kind = "missing" // there is nothing
	Null    Kind = "null"
	Boolean Kind = "boolean"
	Number  Kind = "number"
	Text    Kind = "string"
	List    Kind = "list"
	Object  Kind = "object"
)

// article names the kind in a sentence.
func (k Kind) article() string {
	switch k {
	case Null:
		return "null"
	case Missing:
		return "nothing"
	case Object:
		return "an object"
	default:
		return "a " + string(k)
	}
}

// value is what stands at a path, or is wanted there.
type value struct {
	kind   Kind
	text   string // of Text, and of Number as it is written
	truth  bool
	number decimal
	exact  bool  // whether number holds what is written
	items  []any // of List
}

// valueOf returns the value of what encoding/json has read, if there is anything.
func valueOf(read any, ok bool) value {
	if !ok {
		return value{kind: Missing}
	}
	switch v := read.(type) {
	case nil:
		return value{kind: Null}
	case bool:
		return value{kind: Boolean, truth: v}
	case string:
		return value{kind: Text, text: v}
	case json.Number:
		d, exact := readDecimal(v.String())
		return value{kind: Number, text: v.String(), number: d, exact: exact}
	case []any:
		return value{kind: List, items: v}
	default:
		return value{kind: Object}
	}
}

func (v value) equal(w value) bool {
	if v.kind != w.kind {
		return false
	}
	switch v.kind {
	case Null:
		return true
	case Boolean:
		return v.truth == w.truth
	case Text:
		return v.text == w.text
	case Number:
		return v.exact && w.exact && v.number == w.number
	default:
		return false
	}
}

// order returns whether v comes before w (-1), after it (+1) or neither (0), and
// reports whether the two have an order.
func (v value) order(w value) (int, bool) {
	switch {
	case v.kind == Text && w.kind == Text:
		return strings.Compare(v.text, w.text), true
	case v.kind == Number && w.kind == Number && v.exact && w.exact:
		return v.number.compare(w.number), true
	default:
		return 0, false
	}
}

// json writes a value that is neither a list nor an object.
func (v value) json() json.RawMessage {
	var text []byte
	switch v.kind {
	case Null:
		text = []byte("null")
	case Boolean:
		text = strconv.AppendBool(nil, v.truth)
	case Number:
		text = []byte(v.text)
	case Text:
		text, _ = json.Marshal(v.text) // a string always can be
	case Missing, List, Object:
	}
	return text
}

// decimal is a number as JSON writes it, exactly: 0.digits times ten to the power
// of exponent. Two that are equal are the same.
type decimal struct {
	negative bool
	digits   string // without zeros at either end; empty: zero
	exponent int64
}

// maxExponent bounds what is written after the e.
const maxExponent = 999_999_999

// readDecimal reads a number of JSON and reports whether it is within range.
func readDecimal(text string) (decimal, bool) {
	var d decimal
	text, d.negative = strings.CutPrefix(text, "-")
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.ParseInt(text[i+1:], 10, 64)
		if err != nil || exponent > maxExponent || exponent < -maxExponent {
			return decimal{}, false
		}
		text, d.exponent = text[:i], exponent
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	d.exponent += int64(len(digits) - len(fraction)) // the zeros that are gone stood before the rest
	if d.digits = strings.TrimRight(digits, "0"); d.digits == "" {
		return decimal{}, true
	}
	return d, true
}

func (d decimal) sign() int {
	switch {
	case d.digits == "":
		return 0
	case d.negative:
		return -1
	default:
		return 1
	}
}

func (d decimal) compare(e decimal) int {
	sign := d.sign()
	switch {
	case sign < e.sign():
		return -1
	case sign > e.sign():
		return 1
	case d.exponent < e.exponent:
		return -sign
	case d.exponent > e.exponent:
		return sign
	default:
		return sign * strings.Compare(d.digits, e.digits)
	}
}
