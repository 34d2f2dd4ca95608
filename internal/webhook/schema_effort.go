package webhook

import (
	"encoding/json"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
)

// visitWeight is what the visits of a subschema cost. The unit is a fifth of a
// microsecond.
type visitWeight struct {
	flat         int  // of any value
	numbers      int  // that lists and objects are compared with, or a number
	bounds       int  // how often a number is compared or divided
	pattern      int  // instructions of the one that a string has to match
	names        int  // patterns of members' names
	namePatterns int  // their instructions
	dependents   int  // members that others ask for
	unique       bool // compares the items whole
}

// numberPair is what it costs to compare two numbers, for each unit of reading one.
const numberPair = 2

// Divisors of the weight, by what was measured.
const (
	bytesPerUnit        = 16 // of text
	instructionsPerUnit = 10 // of a regular expression, for each byte
	digitsPerUnit       = 8  // of a number
	pairsPerUnit        = 64 // of lists and objects that are compared with each other
)

// weigh returns the weight of a subschema that has so many directly below it.
func weigh(s map[string]any, below int) visitWeight {
	w := visitWeight{
		flat:    visitEffort + below + sizeOf(s["enum"]) + sizeOf(s["const"]) + sizeOf(s["required"]),
		numbers: numbersIn(s["enum"]) + numbersIn(s["const"]),
	}
	for _, keyword := range []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"} {
		if limit, given := s[keyword].(json.Number); given {
			w.bounds++
			w.flat += numberCost(limit) - 1
		}
	}
	if mayBeInteger(s["type"]) {
		w.bounds++
	}
	if text, given := s["pattern"].(string); given {
		w.pattern = instructions(text)
	}
	named, _ := s["patternProperties"].(map[string]any)
	for text := range named {
		w.names++
		w.namePatterns += instructions(text)
	}
	w.dependents = sizeOf(s["dependentRequired"])
	dependencies, _ := s["dependencies"].(map[string]any)
	for _, d := range dependencies {
		if list, ok := d.([]any); ok {
			w.dependents += 1 + sizeOf(list)
		}
	}
	_, w.unique = s["uniqueItems"]
	return w
}

// of returns what a visit with a value costs, in a document whose longest number
// costs that much.
func (w visitWeight) of(v any, longest int) int {
	cost := w.flat + breadth(v)
	switch v := v.(type) {
	case string:
		cost += len(v) * w.pattern / instructionsPerUnit
	case json.Number:
		cost += w.numbers*numberPair*(longest+1) + w.bounds*numberCost(v)
	case map[string]any:
		cost += w.numbers*numberPair*(longest+1) + w.dependents
		if w.names > 0 {
			cost += len(v)*w.names + nameBytes(v)*w.namePatterns/instructionsPerUnit
		}
	case []any:
		cost += w.numbers * numberPair * (longest + 1)
		if w.unique {
			cost += uniqueCost(v)
		}
	}
	return cost
}

// uniqueCost is what it costs to find two that are the same among items. Lists and
// objects can be made so that the library takes many for the same at first.
func uniqueCost(items []any) int {
	composite := 0
	for _, item := range items {
		switch item.(type) {
		case map[string]any, []any:
			composite++
		}
	}
	return uniqueEffort*sizeOf(items) + composite*composite/pairsPerUnit
}

func nameBytes(members map[string]any) int {
	size := 0
	for name := range members {
		size += len(name)
	}
	return size
}

// breadth is what a visit costs by the value that it looks at.
func breadth(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	case string:
		return len(v) / bytesPerUnit
	case json.Number:
		return numberCost(v)
	default:
		return 0
	}
}

// sizeOf is how much there is of a value, with all that is inside.
func sizeOf(v any) int {
	size := breadth(v)
	switch v := v.(type) {
	case map[string]any:
		for _, member := range v {
			size += sizeOf(member)
		}
	case []any:
		for _, item := range v {
			size += sizeOf(item)
		}
	}
	return size
}

// numbersIn counts the numbers of a value.
func numbersIn(v any) int {
	count := 0
	switch v := v.(type) {
	case json.Number:
		count = 1
	case map[string]any:
		for _, member := range v {
			count += numbersIn(member)
		}
	case []any:
		for _, item := range v {
			count += numbersIn(item)
		}
	}
	return count
}

// instructions is patternSize of a text; 0: it is no regular expression, and the
// schema is refused.
func instructions(text string) int {
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0
	}
	return patternSize(parsed)
}

// Bounds of the numbers that are checked. The library writes them out: 1e1000000 has
// a million digits.
const (
	maxDigits   = 400
	maxExponent = 400 // its absolute value
)

const numberMessage = "must not have more than 400 digits, or an exponent beyond 400"

// numberCost is what it costs to read a number within the bounds.
func numberCost(n json.Number) int {
	mantissa, exponent := digitsOf(n)
	return 1 + (mantissa+exponent)/digitsPerUnit
}

// digitsOf returns how many digits a number has, and the absolute value of its
// exponent, which is more than maxExponent where that can't be told.
func digitsOf(n json.Number) (int, int) {
	text, after, given := strings.Cut(strings.ToLower(n.String()), "e")
	digits := len(text) - strings.Count(text, "-") - strings.Count(text, ".")
	if !given {
		return digits, 0
	}
	exponent, err := strconv.Atoi(after)
	if err != nil {
		return digits, maxExponent + 1
	}
	return digits, max(exponent, -exponent)
}

// numberWalk goes through the numbers of a document.
type numberWalk struct {
	longest  int       // what the one costs that costs most
	mistakes []mistake // numbers beyond the bounds
}

// checkNumbers returns what is wrong with the numbers of a document, in the order of
// their paths, and what the one costs that costs most.
func checkNumbers(document any) ([]mistake, int) {
	var w numberWalk
	w.value(document, make([]string, 0, 8))
	slices.SortFunc(w.mistakes, func(a, b mistake) int { return strings.Compare(a.path, b.path) })
	return w.mistakes, w.longest
}

func (w *numberWalk) value(v any, place []string) {
	if len(w.mistakes) >= maxMistakes {
		return
	}
	switch v := v.(type) {
	case json.Number:
		if digits, exponent := digitsOf(v); digits > maxDigits || exponent > maxExponent {
			w.mistakes = append(w.mistakes, mistake{pathOf(place), numberMessage})
			return
		}
		w.longest = max(w.longest, numberCost(v))
	case map[string]any:
		for name, member := range v {
			w.value(member, append(place, name))
		}
	case []any:
		for i, item := range v {
			w.value(item, append(place, strconv.Itoa(i)))
		}
	}
}
