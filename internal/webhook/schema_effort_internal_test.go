package webhook

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// numbered writes n texts, each with its number, with commas between.
func numbered(n int, format string) string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(texts, ",")
}

func noTurn(context.Context) (func(), error) { return func() {}, nil }

func mustCompile(t *testing.T, schema string) *boundedSchema {
	t.Helper()
	compiled, err := compileBounded([]byte(schema))
	if err != nil {
		t.Fatalf("%.80s: %v", schema, err)
	}
	return compiled
}

func mustCheck(t *testing.T, schema, data string) []mistake {
	t.Helper()
	mistakes, err := mustCompile(t, schema).check(t.Context(), noTurn, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return mistakes
}

const tooLong = "takes too long to check against the schema of its type: simplify the schema"

func TestWhatAKeywordCostsIsBounded(t *testing.T) {
	objects := `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"a":1},`, 5_000), ",") + `]}`
	for name, test := range map[string]struct{ schema, data string }{
		"patterns of a long string": {
			`{"properties":{"a":{"pattern":"(x+x+)+y","allOf":[{"pattern":"^(([a-z])+.)+[A-Z]([a-z])+$"},{"pattern":"(x?x?){200}y"}]}}}`,
			`{"a":"` + strings.Repeat("x", 200_000) + `"}`,
		},
		"patterns of many names": {
			`{"patternProperties":{` + numbered(800, `"^a%d$":true`) + `}}`,
			`{` + numbered(5_000, `"m%d":1`) + `}`,
		},
		"members that others ask for": {
			`{"properties":{"items":{"items":{"dependentRequired":{"a":[` + numbered(3_000, `"m%d"`) + `]}}}}}`, objects,
		},
		"numbers in an enum that don't match": {
			`{"properties":{"items":{"items":{"properties":{"a":{"enum":[` + numbered(5_000, "5%d") + `]}}}}}}`, objects,
		},
		"long numbers that may be integers": {
			`{"properties":{"a":{"items":{"anyOf":[` + strings.TrimSuffix(strings.Repeat(`{"type":"integer"},`, 1_000), ",") + `]}}}}`,
			`{"a":[` + numbered(600, "0."+strings.Repeat("7", 380)+"%d") + `]}`,
		},
		"items that look the same at first": {
			`{"properties":{"a":{"uniqueItems":true}}}`,
			`{"a":[` + numbered(20_000, "[%d]") + `]}`,
		},
	} {
		mistakes := mustCheck(t, test.schema, test.data)
		if len(mistakes) != 1 || mistakes[0].message != tooLong {
			t.Errorf("%s: %+.200v", name, mistakes)
		}
	}
}

func TestNumbersThatWouldBeWrittenOutAreMistakes(t *testing.T) {
	const bounds = `{"properties":{"a":{"items":{"minimum":1,"maximum":9,"multipleOf":3}}}}`
	for _, number := range []string{"1e999999", "1e9999999", "1e-999999", "1E+401", "-1e401", "1e99999999999999999999", strings.Repeat("1", 401), "0." + strings.Repeat("1", 401)} {
		mistakes := mustCheck(t, bounds, `{"a":[3,`+number+`]}`)
		if len(mistakes) != 1 || mistakes[0] != (mistake{".a[1]", numberMessage}) {
			t.Errorf("%.30s: %v", number, mistakes)
		}
		if _, err := compileBounded([]byte(`{"multipleOf":` + number + `}`)); err == nil {
			t.Errorf("a schema with %.30s compiles", number)
		}
	}
	if mistakes := mustCheck(t, bounds, `{"a":[`+numbered(20, "1e99999%d")+`]}`); len(mistakes) != maxMistakes {
		t.Errorf("of twenty: %v", mistakes)
	}
	if mistakes := mustCheck(t, `{"properties":{"a":{"minimum":1}}}`, `{"a":1e400}`); mistakes != nil {
		t.Errorf("1e400: %v", mistakes)
	}
}

func TestTheCataloguesBoundNumbersToo(t *testing.T) {
	dialect, _ := dialects.Get("saasquatch")
	var s schemas
	for _, number := range []string{"1e999999", "1e9999999"} {
		mistakes, err := s.check(t.Context(), dialect, wire.Event{Type: "referral.ended", Data: []byte(`{"time":` + number + `}`)})
		if len(mistakes) != 1 || mistakes[0] != (mistake{".time", numberMessage}) || err != nil {
			t.Errorf("%s: %v %v", number, mistakes, err)
		}
	}
}

func TestWhatIsAskedFirstIsSaidAsBefore(t *testing.T) {
	const schema = `{"type":"object","properties":{"n":{"type":"integer","minimum":2},"e":{"type":"string","enum":["a"],"allOf":[{"minLength":1}]},"c":{"const":7}}}`
	for data, want := range map[string]mistake{
		`{"n":1.5}`: {".n", "must be integer"},
		`{"e":"b"}`: {".e", `must be one of "a"`},
		`{"e":5}`:   {".e", "must be string"},
		`{"c":8}`:   {".c", "must be 7"},
	} {
		if mistakes := mustCheck(t, schema, data); len(mistakes) == 0 || mistakes[len(mistakes)-1] != want {
			t.Errorf("%s: %v, want %v", data, mistakes, want)
		}
	}
	if mistakes := mustCheck(t, schema, `{"n":2,"e":"a","c":7.0}`); mistakes != nil {
		t.Errorf("what fits: %v", mistakes)
	}
}

func TestWhatTheLibraryCanNotDealWithIsAMistake(t *testing.T) {
	if mistakes := validate(nil, "x"); len(mistakes) != 1 {
		t.Errorf("%v", mistakes)
	}
}
