package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/wiretest"
)

// spelt are JSON texts and what JavaScript makes of them.
var spelt = map[string]string{
	` { "b" : [ 1 , true, null , false ] , "a" : { } } `: `{"b":[1,true,null,false],"a":{}}`,
	`"\u003cp\u003e\/\u2028\u0041\u000a\uD83D"`:          "\"<p>/\u2028A\\n\\ud83d\"",

	`0`: `0`, `-0`: `0`, `-0.0`: `0`, `0e5`: `0`, `-1`: `-1`, `1.0`: `1`, `1.50`: `1.5`, `1E3`: `1000`, `-2.5e+7`: `-25000000`,
	`1e20`: `100000000000000000000`, `1e21`: `1e+21`, `-1.25e25`: `-1.25e+25`, `123456789012345678e5`: `1.2345678901234568e+22`,
	`0.000001`: `0.000001`, `1e-7`: `1e-7`, `0.00000012`: `1.2e-7`, `1e-10`: `1e-10`, `5e-324`: `5e-324`, `1e-400`: `0`, `-1e-400`: `0`,
	`1.7976931348623157e308`: `1.7976931348623157e+308`, `0.1000000000000000055511151231257827`: `0.1`,
	`333333333.33333329`: `333333333.3333333`, `9007199254740993.0`: `9007199254740992`,

	`999999999999999`: `999999999999999`, `9007199254740991`: `9007199254740991`, `-9007199254740991`: `-9007199254740991`,
	`9007199254740992`: `9007199254740992`, `9007199254740994`: `9007199254740994`, // even ones are exact
	`100000000000000000000`: `100000000000000000000`, `1000000000000000000000`: `1e+21`, `10000000000000000000000`: `1e+22`,
	`36028797018963970`: `36028797018963970`, `100000000000000000000000`: `1e+23`, // not exact, but written so

	`{"b":1,"10":2,"9":3,"a":4,"0":5}`:              `{"0":5,"9":3,"10":2,"b":1,"a":4}`,
	`{"1":1,"2":2,"a":3}`:                           `{"1":1,"2":2,"a":3}`,
	`{"a":1,"01":2,"-1":3,"1.0":4,"1e1":5," 1":6}`:  `{"a":1,"01":2,"-1":3,"1.0":4,"1e1":5," 1":6}`,
	`{"a":1,"4294967295":2,"4294967294":3}`:         `{"4294967294":3,"a":1,"4294967295":2}`,
	`{"a":1,"99999999999":2,"9999999999":3,"":4}`:   `{"a":1,"99999999999":2,"9999999999":3,"":4}`,
	`{"a":1,"\u0037":2}`:                            `{"7":2,"a":1}`,
	`{"a":{"b":1,"1":[{"c":2,"2":{"3":3}}]},"0":0}`: `{"0":0,"a":{"1":[{"2":{"3":3},"c":2}],"b":1}}`,
	`[{"a":1,"1":2},{"a":1,"1":2},{"a":1}]`:         `[{"1":2,"a":1},{"1":2,"a":1},{"a":1}]`,
	`{"5":{"6":1,"x":2},"4":{"x":1,"6":2}}`:         `{"4":{"6":2,"x":1},"5":{"6":1,"x":2}}`,

	`{"b":1,"__proto__":{"toString":1},"constructor":2}`: `{"b":1,"__proto__":{"toString":1},"constructor":2}`,
	`{"__proto__":null,"1":{"__proto__":[]}}`:            `{"1":{"__proto__":[]},"__proto__":null}`,
	`{"a":1,"A":2,"\u00e1":3,"a\u0301":4}`:               "{\"a\":1,\"A\":2,\"\u00e1\":3,\"a\u0301\":4}", // composed, and not
	`{"\ud83d":1,"\ude00":2,"😀":3}`:                      `{"\ud83d":1,"\ude00":2,"😀":3}`,
}

func TestJavaScriptSpellsNumbersAndOrdersKeys(t *testing.T) {
	for in, want := range spelt {
		got, err := wire.JavaScript([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestNodeSpellsTheSame(t *testing.T) {
	var texts [][]byte
	for in := range spelt {
		texts = append(texts, []byte(in))
	}
	for i, written := range wiretest.MustStringify(t, texts) {
		if want := spelt[string(texts[i])]; written != want {
			t.Errorf("%s: node wrote %s, want %s", texts[i], written, want)
		}
	}
}

func TestJavaScriptRefusesWhatWouldBeLostAndSaysWhere(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":%d`, i, i)
	}
	for in, want := range map[string]string{
		`{"a":1,"a":2}`:                            `has two values at a, of which JavaScript keeps one`,
		`{"x":[0,{"a":1,"b":2,"\u0061":3}]}`:       `has two values at x[1].a, of which JavaScript keeps one`,
		`{"x":{"7":1,"y":2,"7":3}}`:                `has two values at x["7"], of which JavaScript keeps one`,
		`{"\ud83d\ude00":1,"😀":2}`:                 `has two values at ["😀"], of which JavaScript keeps one`,
		`{` + strings.Join(many, ",") + `,"k7":0}`: `has two values at k7, of which JavaScript keeps one`,
		`{"__proto__":1,"__proto__":2}`:            `has two values at __proto__, of which JavaScript keeps one`,

		`9007199254740993`:                         `has an integer that JavaScript can't hold: send it as text`,
		`{"id":-9007199254740993}`:                 `has an integer at id that JavaScript can't hold: send it as text`,
		`{"items":[{"a b":12345678901234567890}]}`: `has an integer at items[0]["a b"] that JavaScript can't hold: send it as text`,
		`[18446744073709551616]`:                   `has an integer at [0] that JavaScript can't hold: send it as text`, // exact, and written ...552000
		`[36028797018963968]`:                      `has an integer at [0] that JavaScript can't hold: send it as text`, // as above
		`{"a\u202eb\"":[9007199254740993]}`:        `has an integer at ["a\u202eb\""][0] that JavaScript can't hold: send it as text`,

		`{"a":{"b":1e309}}`:                              `has a number at a.b that is too large for JavaScript: send it as text`,
		`[-1e99999999999999999999]`:                      `has a number at [0] that is too large for JavaScript: send it as text`,
		`1` + strings.Repeat("0", 400):                   `has a number that is too large for JavaScript: send it as text`,
		`{"a":1e400,"b":hunter2}`:                        `has a number at a that is too large for JavaScript: send it as text`,
		`[` + strings.Repeat(`5e-324,`, 32) + `-4e-320]`: `has a number at [32] that is, like others before it, too close to zero: send it as text`,
		`{"a":hunter2}`:                                  `is not valid JSON`,
		`{"a":{"b":[01]}}`:                               `is not valid JSON`,
		`[{"a":1}}`:                                      `is not valid JSON`,
		`{"a":1}{"a":1}`:                                 `is not valid JSON`,
		``:                                               `is not valid JSON`,
		strings.Repeat(`{"a":[`, 10_000):                 `is not valid JSON`,
		"{\"\xff\":1}":                                   `is not valid UTF-8`,
		strings.Repeat(`{"ä":`, 50) + `1e400` + strings.Repeat(`}`, 50): `has a number at ` + strings.Repeat(`["ä"]`, 33) + `["…` + ` that is too large for JavaScript: send it as text`,
	} {
		got, err := wire.JavaScript([]byte(in))
		if err == nil {
			t.Errorf("%.80s became %.80s", in, got)
			continue
		}
		if diff := cmp.Diff(want, err.Error()); diff != "" {
			t.Errorf("%.80s (-want +got):\n%s", in, diff)
		}
	}
}

func TestJavaScriptTakesAFewNumbersThatAreCloseToZero(t *testing.T) {
	few := `[` + strings.Repeat(`5e-324,`, 32) + `1e-400,0,2.2250738585072014e-308]`
	got, err := wire.JavaScript([]byte(few))
	if err != nil {
		t.Fatal(err)
	}
	want := `[` + strings.Repeat(`5e-324,`, 32) + `0,0,2.2250738585072014e-308]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestJavaScriptReadsAsDeepAsCompact(t *testing.T) {
	const open, closed = `{"a":1,"1":`, `}` // each level is moved
	for depth, want := range map[int]bool{10_000: true, 10_001: false} {
		src := []byte(strings.Repeat(open, depth-1) + `[` + `]` + strings.Repeat(closed, depth-1))
		got, err := wire.JavaScript(src)
		if (err == nil) != want {
			t.Errorf("%d levels: %v", depth, err)
		}
		if moved := strings.Repeat(`{"1":`, depth-1) + `[]` + strings.Repeat(`,"a":1}`, depth-1); want && string(got) != moved {
			t.Errorf("%d levels became %.80s", depth, got)
		}
	}
}

// number draws numbers in all spellings, also those that are refused.
func number() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Map(rapid.Int(), func(n int) string { return fmt.Sprint(n) }),
		rapid.Map(rapid.Float64(), func(f float64) string { return strconv.FormatFloat(f, 'e', -1, 64) }),
		rapid.Map(rapid.Float32(), func(f float32) string { return strconv.FormatFloat(float64(f), 'f', 20, 64) }),
		rapid.StringMatching(`-?(0|[1-9][0-9]{0,22})(\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?`),
		rapid.SampledFrom([]string{"0", "-0", "1.0", "1e21", "1e-7", "9007199254740992", "9007199254740993"}),
	)
}

// quoted draws strings in all spellings, also halves of surrogate pairs.
func quoted() *rapid.Generator[string] {
	escaped := rapid.StringMatching(`([a-z"]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\u[dD]83[dD]|\\u[dD][cC]0[0-9]|\\u00[0-3][0-9]){0,6}`)
	return rapid.OneOf(
		rapid.Map(rapid.String(), func(s string) string {
			b, _ := json.Marshal(s)
			return string(b)
		}),
		rapid.Map(escaped, func(s string) string { return `"` + strings.ReplaceAll(s, `"`, "") + `"` }).Filter(func(s string) bool { return json.Valid([]byte(s)) }),
		rapid.SampledFrom([]string{`"0"`, `"7"`, `"10"`, `"07"`, `"4294967294"`, `"4294967295"`, `"__proto__"`, `"constructor"`, `"toJSON"`, `"a"`, `"\u0061"`}),
	)
}

// document draws JSON of some depth, with white space, indexes and a few names
// that occur twice.
func document(depth int) *rapid.Generator[string] {
	leaf := rapid.OneOf(number(), quoted(), rapid.SampledFrom([]string{"true", "false", "null", "{}", "[ ]"}))
	if depth == 0 {
		return leaf
	}
	inner := document(depth - 1)
	return rapid.Custom(func(t *rapid.T) string {
		space := rapid.SampledFrom([]string{"", "", " ", "\n\t", "\r"})
		var parts []string
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			return leaf.Draw(t, "leaf")
		case 1:
			for range rapid.IntRange(0, 4).Draw(t, "elements") {
				parts = append(parts, space.Draw(t, "space")+inner.Draw(t, "element"))
			}
			return "[" + strings.Join(parts, ",") + space.Draw(t, "space") + "]"
		default:
			for range rapid.IntRange(0, 20).Draw(t, "members") {
				parts = append(parts, quoted().Draw(t, "name")+space.Draw(t, "space")+":"+inner.Draw(t, "value"))
			}
			return "{" + strings.Join(parts, ",") + space.Draw(t, "space") + "}"
		}
	})
}

func TestJavaScriptKeepsTheMeaningAndIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { wantSame(t, []byte(document(3).Draw(t, "document"))) })
}

// wantSame fails the test unless a text is accepted and keeps its meaning, or is
// refused with good reason.
func wantSame(t rapid.TB, src []byte) {
	got, err := wire.JavaScript(src)
	if want := acceptable(src); (err == nil) != want {
		t.Fatalf("%q is acceptable: %v, and JavaScript says %v", src, want, err)
	}
	if err != nil {
		return
	}
	var a, b any
	if json.Unmarshal(src, &a) != nil || json.Unmarshal(got, &b) != nil || !reflect.DeepEqual(a, b) {
		t.Fatalf("%q became %q", src, got)
	}
	if again, err := wire.JavaScript(got); err != nil || !bytes.Equal(again, got) {
		t.Fatalf("%q became %q: %v", got, again, err)
	}
	if compact, err := wire.Compact(got); err != nil || !bytes.Equal(compact, got) {
		t.Fatalf("%q is compactly %q: %v", got, compact, err)
	}
}

// acceptable reports, with encoding/json and math/big, whether a text is JSON of
// which JavaScript loses nothing.
func acceptable(src []byte) bool {
	if !utf8.Valid(src) || !json.Valid(src) {
		return false
	}
	// encoding/json takes all halves of surrogate pairs for one character; here
	// they only have to stay different.
	d := json.NewDecoder(bytes.NewReader(halves(src)))
	d.UseNumber()
	return acceptableNext(d)
}

// halves gives each half of a surrogate pair that stands alone, which Go can't
// hold, a spelling of its own: what Compact writes is \ud83d, and a text can hold
// that only behind a backslash that is escaped.
func halves(src []byte) []byte {
	compact, err := wire.Compact(src)
	if err != nil {
		return src
	}
	var out []byte
	for i := 0; i < len(compact); i++ {
		if compact[i] == '\\' && compact[i+1] == 'u' && compact[i+2] == 'd' {
			out = append(out, `\\half `...)
			i++
			continue
		}
		out = append(out, compact[i])
		if compact[i] == '\\' {
			i++
			out = append(out, compact[i])
		}
	}
	return out
}

func acceptableNext(d *json.Decoder) bool {
	token, err := d.Token()
	if err != nil {
		return err == io.EOF
	}
	switch v := token.(type) {
	case json.Number:
		return acceptableNumber(string(v))
	case json.Delim:
		seen := make(map[string]bool)
		for d.More() {
			if v == '{' {
				name, err := d.Token()
				text, ok := name.(string)
				if err != nil || !ok || seen[text] {
					return false
				}
				seen[text] = true
			}
			if !acceptableNext(d) {
				return false
			}
		}
		_, err = d.Token()
		return err == nil
	default:
		return true
	}
}

func acceptableNumber(text string) bool {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	written, ok := new(big.Int).SetString(text, 10)
	if !ok {
		return true // no integer
	}
	shown, ok := new(big.Rat).SetString(strconv.FormatFloat(f, 'e', -1, 64))
	return ok && shown.IsInt() && shown.Num().Cmp(written) == 0
}

func TestNodeWritesGeneratedDocumentsTheSame(t *testing.T) {
	const batch = 3000
	var taken, spelt [][]byte
	generator := document(3)
	for seed := range batch {
		src := []byte(generator.Example(seed))
		if got, err := wire.JavaScript(src); err == nil {
			taken, spelt = append(taken, src), append(spelt, got)
		}
	}
	if len(taken) < batch/4 {
		t.Fatalf("only %d of %d documents were taken", len(taken), batch)
	}
	for i, want := range wiretest.MustStringify(t, taken) {
		if diff := cmp.Diff(want, string(spelt[i])); diff != "" {
			t.Errorf("%q (-node +ours):\n%s", taken[i], diff)
		}
	}
}

// FuzzJavaScript compares with encoding/json what is accepted and what it means.
func FuzzJavaScript(f *testing.F) {
	for in := range spelt {
		f.Add([]byte(in))
	}
	for _, seed := range []string{`{"a":1,"a":2}`, `9007199254740993`, `1e400`, `{"\ud83d":1,"\ud83e":2}`, `{"\\ud83d":1,"\ud83d":2}`, `{"a":1,}`, `[1 2]`, `{"1":{"2":{"b":1,"0":2}},"0":1}`, `-`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) { wantSame(t, src) })
}

// BenchmarkSpelling compares what an event of about a KiB costs in either
// spelling, and what an index that has to move adds.
func BenchmarkSpelling(b *testing.B) {
	usual := `{"id":"evt_5c0a1d7e3a64","user":{"id":"u-81","email":"person@example.com","first_name":"Ada","last_name":"Byron","locale":null},` +
		`"created":1767323045,"amount":1999,"currency":"EUR","live":true,"items":[` +
		strings.Repeat(`{"sku":"A-1001","title":"A thing of some use","quantity":2,"price":1250,"gift":false},`, 7) +
		`{"sku":"B-7","title":"Another","quantity":1,"price":90,"gift":true}],"note":"` + strings.Repeat("A line of text. ", 11) + `"}`
	for _, bench := range []struct {
		name  string
		spell func(src []byte) ([]byte, error)
		src   string
	}{
		{"Compact", wire.Compact, usual},
		{"JavaScript", wire.JavaScript, usual},
		{"JavaScript with an index", wire.JavaScript, usual[:len(usual)-1] + `,"7":1}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			src := []byte(bench.src)
			b.SetBytes(int64(len(src)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bench.spell(src); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
