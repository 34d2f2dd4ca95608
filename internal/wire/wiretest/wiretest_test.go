package wiretest

import (
	"encoding/json"
	"testing"
)

func TestAValueIsCheckedAgainstEveryWordOfItsSchema(t *testing.T) {
	for _, test := range []struct {
		schema, value string
		mistakes      int
	}{
		{`{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}`, `{"a":1}`, 0},
		{`{"type":"object","required":["a","b"]}`, `{"a":1}`, 1},
		{`{"type":"object","additionalProperties":false}`, `{"a":1}`, 1},
		{`{"additionalProperties":{"type":"string"}}`, `{"a":1,"b":"x"}`, 1},
		{`{"properties":{"a":{"properties":{"b":{"type":"string"}}}}}`, `{"a":{"b":1}}`, 1},
		{`{"type":"array","items":{"type":"integer"}}`, `[1,2.5,"x"]`, 2},
		{`{"type":["string","null"]}`, `null`, 0},
		{`{"type":"boolean"}`, `"true"`, 1},
		{`{"enum":["a","b"]}`, `"c"`, 1},
		{`{"const":{"a":[1]}}`, `{"a":[1]}`, 0},
		{`{"const":1}`, `2`, 1},
		{`{"minimum":1}`, `2`, 1}, // a word that is not known
		{`false`, `1`, 1},
		{`[]`, `1`, 1},
	} {
		var schema, value any
		if err := json.Unmarshal([]byte(test.schema), &schema); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.value), &value); err != nil {
			t.Fatal(err)
		}
		if got := validate("value", schema, value); len(got) != test.mistakes {
			t.Errorf("%s of %s: %q, want %d mistakes", test.value, test.schema, got, test.mistakes)
		}
	}
}

func TestStringsAreWrittenAgainAsJavaScriptDoes(t *testing.T) {
	for in, want := range map[string]string{
		` { "a" : [ 1 , "\u0041\/" ] } `:   `{"a":[1,"A/"]}`,
		`"\u003c\u2028\u001F\u000a\u005c"`: "\"<\u2028\\u001f\\n\\\\\"",
		`"\ud83d\ude00 \uD83D \ude00"`:     `"😀 \ud83d \ude00"`,
	} {
		if got, err := reserialise([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s became %s, want %s (%v)", in, got, want, err)
		}
	}
	if _, err := reserialise([]byte("{")); err == nil {
		t.Error("what is not JSON was written again")
	}
}
