package condition_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/condition"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// marker stands in what is refused, and must be in no error.
const marker = "hunter2"

var words = condition.Vocabulary{
	{Name: "type"},
	{Name: "data", Document: true},
	{Name: "place", Check: func(text string) error {
		if text != "here" && text != "there" {
			return errors.New("must be a place")
		}
		return nil
	}},
}

const document = `{
	"text": "Grüße", "empty": "", "n": 5000, "big": 9007199254740993, "price": 1.10, "small": -1e-400, "huge": 1e9999999999,
	"yes": true, "null": null, "list": [1, "two", {"three": 3}], "order.id": 7, "5": "five", "at": "2026-02-03T04:05:06Z",
	"object": {"a": {"b": "c"}}
}`

// of is an event with the document as its data.
func of(t testing.TB, text string) condition.SourceFunc {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var data any
	if err := dec.Decode(&data); err != nil {
		t.Fatal(err)
	}
	return func(root string) (any, bool) {
		switch root {
		case "type":
			return "invoice.paid", true
		case "data":
			return data, true
		case "place":
			return "here", true
		default:
			return nil, false
		}
	}
}

func mustParse(t testing.TB, text string) *condition.Condition {
	t.Helper()
	c, err := condition.Parse("filter", []byte(text), words)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return c
}

// holding are conditions, and whether they hold for the document.
var holding = map[string]bool{
	`{"eq":["type","invoice.paid"]}`:                       true,
	`{"starts":["type","invoice."]}`:                       true,
	`{"eq":["place","there"]}`:                             false,
	`{"in":["place",["there","here"]]}`:                    true,
	`{"eq":["data.text","Grüße"]}`:                         true,
	`{"eq":["data.empty",""]}`:                             true,
	`{"eq":["data.n",5000]}`:                               true,
	`{"eq":["data.n",5e3]}`:                                true,
	`{"eq":["data.n","5000"]}`:                             false, // nothing is converted
	`{"ne":["data.n","5000"]}`:                             true,
	`{"gte":["data.n",5000]}`:                              true,
	`{"gt":["data.n",5000]}`:                               false,
	`{"lt":["data.n",5000.0000000000000000001]}`:           true,
	`{"lte":["data.n",-5000]}`:                             false,
	`{"gt":["data.n","0"]}`:                                false,
	`{"eq":["data.big",9007199254740992]}`:                 false, // as floating point they would be the same
	`{"gt":["data.big",9007199254740992]}`:                 true,
	`{"eq":["data.price",1.1]}`:                            true,
	`{"between":["data.price",1.1,1.1]}`:                   true,
	`{"between":["data.price",1.11,2]}`:                    false,
	`{"lt":["data.small",0]}`:                              true,
	`{"eq":["data.small",0]}`:                              false,
	`{"gt":["data.huge",0]}`:                               false, // out of range
	`{"ne":["data.huge",0]}`:                               true,
	`{"eq":["data.yes",true]}`:                             true,
	`{"eq":["data.yes",false]}`:                            false,
	`{"eq":["data.null",null]}`:                            true,
	`{"exists":["data.null"]}`:                             true,
	`{"eq":["data.object","x"]}`:                           false,
	`{"ne":["data.object","x"]}`:                           true,
	`{"exists":["data.object.a.b"]}`:                       true,
	`{"exists":["data.object.a.b.c"]}`:                     false,
	`{"eq":["data.list.0",1]}`:                             true,
	`{"eq":["data.list.2.three",3]}`:                       true,
	`{"exists":["data.list.3"]}`:                           false,
	`{"exists":["data.list.00"]}`:                          false,
	`{"exists":["data.list.-1"]}`:                          false,
	`{"contains":["data.list","two"]}`:                     true,
	`{"contains":["data.list",1.0]}`:                       true,
	`{"contains":["data.list",3]}`:                         false,
	`{"contains":["data.text","üß"]}`:                      true,
	`{"contains":["data.text",1]}`:                         false,
	`{"contains":["data.n",5]}`:                            false,
	`{"ends":["data.text","e"]}`:                           true,
	`{"ends":["data.n","0"]}`:                              false,
	`{"eq":["data.order\\.id",7]}`:                         true,
	`{"eq":["data.5","five"]}`:                             true,
	`{"lt":["data.at","2026-02-04"]}`:                      true,
	`{"in":["data.n",[1,"5000",5000]]}`:                    true,
	`{"in":["data.n",[1]]}`:                                false,
	`{"eq":["data.gone",1]}`:                               false,
	`{"ne":["data.gone",1]}`:                               true,
	`{"lte":["data.gone",1]}`:                              false,
	`{"in":["data.gone",[null]]}`:                          false,
	`{"exists":["data.gone"]}`:                             false,
	`{"not":{"lte":["data.gone",1]}}`:                      true,
	`{"not":{"ne":["data.gone",1]}}`:                       false,
	`{"all":[{"eq":["data.n",5000]},{"exists":["type"]}]}`: true,
	`{"all":[{"eq":["data.n",5000]},{"eq":["data.n",1]}]}`: false,
	`{"any":[{"eq":["data.n",1]},{"eq":["data.n",5000]}]}`: true,
	`{"any":[{"eq":["data.n",1]}]}`:                        false,
}

func TestAConditionHoldsAsItIsWritten(t *testing.T) {
	source := of(t, document)
	for text, want := range holding {
		if got := mustParse(t, text).Holds(source); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
}

func TestNumbersCompareToTheLastDigit(t *testing.T) {
	// In order; those in one line are the same.
	ascending := [][]string{
		{"-1e999999999"},
		{"-100", "-1e2", "-100.0"},
		{"-0.1", "-1e-1"},
		{"-1e-999999999"},
		{"0", "-0", "0.000", "0e7"},
		{"1e-999999999"},
		{"0.15", "15e-2"},
		{"0.1500000000000000000000000001"},
		{"1", "10e-1", "1.0"},
		{"9007199254740992"},
		{"9007199254740992.5"},
		{"9007199254740993", "9.007199254740993e15"},
		{"1e999999999"},
	}
	for i, left := range ascending {
		for j, right := range ascending {
			for _, l := range left {
				for _, r := range right {
					source := of(t, `{"n":`+l+`}`)
					for operator, want := range map[string]bool{"lt": i < j, "lte": i <= j, "eq": i == j, "ne": i != j, "gte": i >= j, "gt": i > j} {
						if got := mustParse(t, fmt.Sprintf(`{"%s":["data.n",%s]}`, operator, r)).Holds(source); got != want {
							t.Errorf("%s %s %s: %t", l, operator, r, got)
						}
					}
				}
			}
		}
	}
}

func TestAMistakeIsNamedByItsPathAndNotRepeated(t *testing.T) {
	deep := strings.Repeat(`{"not":`, 10) + `{"exists":["type"]}` + strings.Repeat(`}`, 10)
	wide := `{"any":[` + strings.Repeat(`{"exists":["type"]},`, 100) + `{"exists":["type"]}]}`
	for text, field := range map[string]string{
		`[`:                                     "filter",
		`null`:                                  "filter",
		`[]`:                                    "filter",
		`{}`:                                    "filter",
		`{"eq":["data.a",1],"ne":["data.a",1]}`: "filter",
		`{"hunter2":1}`:                         "filter",
		`{"all":[]}`:                            "filter.all",
		`{"all":{"hunter2":1}}`:                 "filter.all",
		`{"all":[{"exists":["type"]},"hunter2"]}`:                "filter.all[1]",
		`{"not":[{"exists":["type"]}]}`:                          "filter.not",
		`{"any":[{"not":{"eq":["hunter2",1]}}]}`:                 "filter.any[0].not.eq[0]",
		`{"eq":"hunter2"}`:                                       "filter.eq",
		`{"eq":["data.a"]}`:                                      "filter.eq",
		`{"eq":["data.a","hunter2","hunter2"]}`:                  "filter.eq",
		`{"exists":"data.hunter2"}`:                              "filter.exists",
		`{"eq":[1,"hunter2"]}`:                                   "filter.eq[0]",
		`{"eq":["data.","hunter2"]}`:                             "filter.eq[0]",
		`{"eq":["data.hunter2\\",1]}`:                            "filter.eq[0]",
		`{"eq":["type.hunter2","a"]}`:                            "filter.eq[0]",
		`{"eq":["data.a",["hunter2"]]}`:                          "filter.eq[1]",
		`{"eq":["data.a",{"hunter2":1}]}`:                        "filter.eq[1]",
		`{"eq":["data.a",1e12345678901]}`:                        "filter.eq[1]",
		`{"eq":["type",1]}`:                                      "filter.eq[1]",
		`{"eq":["place","hunter2"]}`:                             "filter.eq[1]",
		`{"in":["place",["here","hunter2"]]}`:                    "filter.in[1][1]",
		`{"in":["data.a","hunter2"]}`:                            "filter.in[1]",
		`{"in":["data.a",[]]}`:                                   "filter.in[1]",
		`{"gt":["data.a",true]}`:                                 "filter.gt[1]",
		`{"between":["data.a",1]}`:                               "filter.between",
		`{"between":["data.a",1,null]}`:                          "filter.between[2]",
		`{"starts":["data.a",1]}`:                                "filter.starts[1]",
		`{"eq":["data.a","` + strings.Repeat("x", 1025) + `"]}`:  "filter.eq[1]",
		`{"eq":["data.` + strings.Repeat("x", 1025) + `",1]}`:    "filter.eq[0]",
		`{"in":["data.a",[` + strings.Repeat("1,", 100) + `1]]}`: "filter.in[1]",
		`{"eq":["data.a","` + strings.Repeat("x", 8192) + `"]}`:  "filter",
		"{\"eq\":[\"data.a\",\"hunter2\xff\"]}":                  "filter",
		deep:                                                     "filter" + strings.Repeat(".not", 10),
		wide:                                                     "filter.any[99]",
	} {
		_, err := condition.Parse("filter", []byte(text), words)
		wrong, ok := errors.AsType[*problem.Error](err)
		if !ok || len(wrong.Fields) != 1 || wrong.Fields[0].Name != field {
			t.Errorf("%.80s: %v, want a mistake in %s", text, err, field)
			continue
		}
		if strings.Contains(err.Error(), marker) {
			t.Errorf("%s: it repeats what was given: %v", text, err)
		}
	}
}

func TestAConditionIsKeptAsItWasGivenWithoutWhiteSpace(t *testing.T) {
	c := mustParse(t, ` { "eq" : [ "data.price" , 1.10 ] } `)
	if got, want := c.String(), `{"eq":["data.price",1.10]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestThePathsOfAConditionAreKnownWithoutADocument(t *testing.T) {
	c := mustParse(t, `{"all":[{"eq":["data.b",1]},{"not":{"any":[{"exists":["data.a.0"]},{"eq":["data.b",2]}]}},{"eq":["type","x"]}]}`)
	if diff := cmp.Diff([]string{"data.a.0", "data.b", "type"}, c.Paths()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOnlyAnEqualityOfTextIsOne(t *testing.T) {
	for text, want := range map[string]bool{
		`{"eq":["place","here"]}`: true, `{"eq":["data.n",1]}`: false, `{"ne":["place","here"]}`: false, `{"not":{"eq":["place","here"]}}`: false,
	} {
		e, ok := mustParse(t, text).Equality()
		if ok != want || ok && e != (condition.Equality{Path: "place", Text: "here"}) {
			t.Errorf("%s: %+v, %t", text, e, ok)
		}
	}
}

func TestAnExplanationHasEveryConditionWithWhatWasFound(t *testing.T) {
	c := mustParse(t, `{"any":[{"eq":["data.n","5000"]},{"not":{"in":["data.list",[1,null]]}},{"gt":["data.gone",1]},{"exists":["data.null"]}]}`)
	want := condition.Outcome{Operator: "any", Holds: true, Parts: []condition.Outcome{
		{
			Operator: "eq", Path: "data.n", Wanted: json.RawMessage(`"5000"`), Kind: condition.Number, Found: json.RawMessage(`5000`),
			Note: "a number is never compared with a string",
		},
		{Operator: "not", Holds: true, Parts: []condition.Outcome{{
			Operator: "in", Path: "data.list", Wanted: json.RawMessage(`[1,null]`), Kind: condition.List,
			Note: "a list is never compared with a number",
		}}},
		{Operator: "gt", Path: "data.gone", Wanted: json.RawMessage(`1`), Kind: condition.Missing, Note: "there is nothing at this path"},
		{Operator: "exists", Holds: true, Path: "data.null", Kind: condition.Null, Found: json.RawMessage(`null`)},
	}}
	if diff := cmp.Diff(want, c.Explain(of(t, document))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAnExplanationDoesNotRepeatWhatIsLong(t *testing.T) {
	o := mustParse(t, `{"exists":["data.a"]}`).Explain(of(t, `{"a":"`+strings.Repeat("x", 2000)+`"}`))
	if o.Found != nil || o.Kind != condition.Text {
		t.Errorf("%+v", o)
	}
}

// FuzzParse demands of whatever is accepted that it reads itself again, and that an
// explanation says what holds.
func FuzzParse(f *testing.F) {
	for text := range holding {
		f.Add(text, document)
	}
	f.Add(strings.Repeat(`{"not":`, 20), `[]`)
	f.Fuzz(func(t *testing.T, text, document string) {
		c, err := condition.Parse("filter", []byte(text), words)
		if err != nil {
			if !problem.Invalid.Has(err) {
				t.Fatalf("not a problem: %v", err)
			}
			return
		}
		again := mustParse(t, c.String())
		if again.String() != c.String() || !slices.Equal(again.Paths(), c.Paths()) {
			t.Fatalf("%s became %s", c, again)
		}
		if !json.Valid([]byte(document)) {
			return
		}
		source := of(t, document)
		o := c.Explain(source)
		if o.Holds != c.Holds(source) || again.Holds(source) != o.Holds {
			t.Fatalf("%s for %s: %+v", c, document, o)
		}
		// What is as deep or as large as may be has no room for a further condition.
		inverted, err := condition.Parse("filter", []byte(`{"not":`+c.String()+`}`), words)
		if err == nil && inverted.Holds(source) == o.Holds {
			t.Fatalf("%s holds as well as what it is not", c)
		}
	})
}

func TestTwoValuesCompareAsAPathAndAValueDo(t *testing.T) {
	for _, test := range []struct {
		operator    string
		left, right any
		want        bool
	}{
		{"eq", "A1", "A1", true},
		{"eq", json.Number("7"), json.Number("7.0"), true},
		{"eq", json.Number("7"), "7", false},
		{"ne", json.Number("7"), "7", true},
		{"eq", []any{"a"}, []any{"a"}, false}, // lists equal nothing
		{"gt", json.Number("9007199254740993"), json.Number("9007199254740992"), true},
		{"lte", "2026-01-01", "2026-01-02", true},
		{"contains", []any{"a", "b"}, "b", true},
		{"starts", "abc", "ab", true},
		{"between", json.Number("1"), json.Number("1"), false},
		{"exists", "a", "a", false},
		{"all", "a", "a", false},
		{"like", "a", "a", false},
	} {
		if got, _ := condition.Compare(test.operator, test.left, test.right); got != test.want {
			t.Errorf("%v %s %v: %t", test.left, test.operator, test.right, got)
		}
	}
}

func TestOfEveryComparisonThereIsACondition(t *testing.T) {
	operands := map[string]string{"in": `,["a"]`, "between": `,1,2`, "exists": ``}
	for _, name := range condition.Comparisons() {
		rest, ok := operands[name]
		if !ok {
			rest = `,"a"`
		}
		mustParse(t, fmt.Sprintf(`{"%s":["data.a"%s]}`, name, rest))
	}
}
