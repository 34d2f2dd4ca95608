package wire_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/wiretest"
)

func TestCompactWritesStringsAsJavaScriptDoes(t *testing.T) {
	for in, want := range map[string]string{
		` { "a" : [ 1 , 2.50 , null ] } `: `{"a":[1,2.50,null]}`,
		`"\u003cp\u003e\/"`:               `"<p>/"`,
		`"\u2028\u00e9"`:                  "\"\u2028é\"",
		`"\u0041\u000a\u0008\u001F"`:      `"A\n\b\u001f"`,
		`"\u0022\u005c"`:                  `"\"\\"`,
		`"\ud83d\ude00"`:                  `"😀"`,
		`"\uD83D x"`:                      `"\ud83d x"`,
		`"\ud83d\ud83d\ude00"`:            `"\ud83d😀"`,
		`{"z":1,"a":2}`:                   `{"z":1,"a":2}`,
	} {
		got, err := wire.Compact([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", in, diff)
		}
	}
}

func TestCompactRefusesWhatIsNotJSONAndDoesNotRepeatIt(t *testing.T) {
	for _, in := range []string{"", "{", "hunter2", `{"a":1}{"b":2}`, "\"\xff\"", "{'a':1}", "[1,]", `"\x"`, strings.Repeat("[", 100_000)} {
		got, err := wire.Compact([]byte(in))
		if err == nil {
			t.Errorf("%.20q gave %q", in, got)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error repeats the value: %v", err)
		}
	}
}

func TestCompactKeepsTheMeaningAndIsStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src, err := json.Marshal(map[string]any{rapid.String().Draw(t, "key"): []any{rapid.String().Draw(t, "value"), rapid.Float64().Draw(t, "number")}})
		if err != nil {
			t.Fatal(err)
		}
		once, err := wire.Compact(src)
		if err != nil {
			t.Fatal(err)
		}
		var a, b any
		if json.Unmarshal(src, &a) != nil || json.Unmarshal(once, &b) != nil || !cmp.Equal(a, b) {
			t.Fatalf("%s became %s", src, once)
		}
		twice, err := wire.Compact(once)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s: %v", once, twice, err)
		}
	})
}

// FuzzCompact compares with encoding/json what is accepted and what it means.
func FuzzCompact(f *testing.F) {
	for _, seed := range []string{
		` { "a" : [ 1 , -2.50e+7, null, true, false, {}, [ ] ] } `, `"\u003c\/\ud83d\ude00\ud83d\uD83D\""`, `-0.0E-1`, `01`, `1.`, `-`, `1e`,
		`{"a":1,}`, `{"a"}`, `{"a":}`, `{1:2}`, `[1 2]`, `[,]`, `tru`, `nul1`, `"a` + "\n" + `"`, `"\u00g0"`, `"\u12`, `"\`, `"1234567` + "\x1f" + `"`, "\"\xff\"", `{"a":1}x`, `]`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := wire.Compact(src)
		if want := utf8.Valid(src) && json.Valid(src); (err == nil) != want {
			t.Fatalf("%q is valid: %v, and Compact says %v", src, want, err)
		}
		if err != nil {
			return
		}
		var a, b any
		if errA, errB := json.Unmarshal(src, &a), json.Unmarshal(got, &b); (errA == nil) != (errB == nil) || !cmp.Equal(a, b) {
			t.Fatalf("%q became %q", src, got)
		}
		if again, err := wire.Compact(got); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%q became %q: %v", got, again, err)
		}
	})
}

func TestCompactReadsAsDeepAsEncodingJSON(t *testing.T) {
	for depth, want := range map[int]bool{10_000: true, 10_001: false} {
		src := []byte(strings.Repeat("[", depth) + strings.Repeat("]", depth))
		if _, err := wire.Compact(src); (err == nil) != want || json.Valid(src) != want {
			t.Errorf("%d levels: %v", depth, err)
		}
	}
}

func TestNodeWritesTheSameStrings(t *testing.T) {
	var compact [][]byte
	for r := rune(0); r < 0x3000; r += 512 {
		var b strings.Builder
		for c := r; c < r+512; c++ {
			b.WriteRune(c)
		}
		src, _ := json.Marshal(b.String()) // escapes <, >, &, U+2028 and U+2029
		got, err := wire.Compact(src)
		if err != nil {
			t.Fatal(err)
		}
		compact = append(compact, got)
	}
	for i, want := range wiretest.MustStringify(t, compact) {
		if diff := cmp.Diff(want, string(compact[i])); diff != "" {
			t.Errorf("from U+%04X (-node +ours):\n%s", i*512, diff)
		}
	}
}

func BenchmarkCompact(b *testing.B) {
	src := []byte(`{"text": "` + strings.Repeat("a line of text ", 64) + `"}`)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := wire.Compact(src); err != nil {
			b.Fatal(err)
		}
	}
}
