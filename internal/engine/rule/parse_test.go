package rule_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// marker stands in what is refused, and must be in no error.
const marker = "hunter2"

// mistaken are rule sets that are refused. What is wrong with each stands in
// testdata/mistakes.txt.
var mistaken = []string{
	``, `[`, `null`, `{}`, `"hunter2"`, "[\"\xff\"]",
	`[1,"hunter2"]`,
	`[{}]`,
	`[{"key":"a","key":"b","on":"x","convert":true}]`,
	`[{"key":"a","on":"x","convert":true,"hunter2":1}]`,
	`[{"key":"Hunter2","on":"hunter2 ","convert":true},{"key":7,"on":7,"convert":true}]`,
	`[{"key":"a","on":"x","convert":true},{"key":"a","on":"x","convert":true}]`,
	`[{"key":"a","on":[],"convert":true},{"key":"b","on":["x","x",1,"hunter2 "],"convert":true},{"key":"c","on":{},"convert":true}]`,
	`[{"key":"a","on":"x"}]`,
	`[{"key":"a","on":"x","convert":false}]`,
	`[{"key":"a","on":"x","convert":"hunter2","once":null,"actor":"hunter2","to":1,"pick":"min"}]`,
	`[{"key":"a","on":"x","convert":true,"actor":"partner"}]`,
	`[{"key":"a","on":"x","convert":true,"active":{}}]`,
	`[{"key":"a","on":"x","convert":true,"active":{"from":"hunter2","until":20261101}}]`,
	`[{"key":"a","on":"x","convert":true,"active":{"from":"2026-11-01T00:00:00Z","until":"2026-11-01T00:00:00Z"}}]`,
	`[{"key":"a","on":"x","convert":true,"unless":{}}]`,
	`[{"key":"a","on":"x","convert":true,"unless":{"event":" hunter2","within":"hunter2"}}]`,
	`[{"key":"a","on":"x","convert":true,"unless":"hunter2"}]`,
	`[{"key":"a","on":"x","give":{}}]`,
	`[{"key":"a","on":"x","give":{"kind":"hunter2","amount":"hunter2"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points"}},{"key":"b","on":"x","give":{"kind":"credit","amount":1}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":0}},{"key":"b","on":"x","give":{"kind":"points","amount":1.5}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":"5"}},{"key":"b","on":"x","give":{"kind":"points","amount":1e15}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":99999999999999999999}},{"key":"b","on":"x","give":{"kind":"score","amount":0}}]`,
	`[{"key":"a","on":"x","give":{"kind":"percent","amount":10001}},{"key":"b","on":"x","give":{"kind":"percent","amount":{"pct_bp":1,"of":"event.a"}}}]`,
	`[{"key":"a","on":"x","give":{"kind":"percent","amount":5,"unit":"cents"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"coupon","amount":5}},{"key":"b","on":"x","give":{"kind":"code_pool"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"score","amount":5,"pending":"1d","expires":"1d","def":"a"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"commission","amount":5,"pending":"1d"}},{"key":"b","on":"x","give":{"kind":"points","amount":5,"hold":"1d","for":"1y"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"credit","amount":5,"unit":"hunter2 x","name":"","source":"hunter2 ","pending":"0d","expires":14}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":{}}},{"key":"b","on":"x","give":{"kind":"points","amount":{"pct_bp":0,"of":"hunter2.x"}}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":{"pct_bp":1000001,"of":"event."}}},{"key":"b","on":"x","give":{"kind":"points","amount":[]}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":{"pct_bp":"500","of":7,"hunter2":1}}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":{"pct_bp":500,"of":"event.a","min":5,"max":4}}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":{"pct_bp":500,"of":"cause.a","min":"5","max":null}}}]`,
	`[{"key":"a","on":"x","pick":"max","convert":true},{"key":"b","on":"x","pick":"max","give":{"kind":"coupon","def":"C"}}]`,
	`[{"key":"a","on":"x","do":{}},{"key":"b","on":"x","do":"hunter2"},{"key":"c","on":"x","do":{"Hunter2":1,"move":[],"tag":null}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":1},"limit":{}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":1},"limit":{"per":"hunter2","count":1,"amount":1,"window":"hunter2","over":"hunter2","notify":"hunter2 "}}]`,
	`[{"key":"a","on":"x","give":{"kind":"points","amount":1},"limit":{"per":"person","count":0,"over":"clamp"}}]`,
	`[{"key":"a","on":"x","give":{"kind":"coupon","def":"C"},"limit":{"per":"tenant","amount":9,"window":30}}]`,
	`[{"key":"a","on":"x","convert":true,"limit":{"per":"program","count":1}}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{}},{"key":"b","on":"x","convert":true,"undo_on":[]}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{"event":7,"match":{"eq":["person.a","cause.a"]}}}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{"event":"y","match":{"eq":["hunter2","cause.a"]}}}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{"event":"y","match":{"eq":["event.a","cause..a"]}}}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{"event":"y","match":{"eq":[{"count":"x"},1]}}}]`,
	`[{"key":"a","on":"x","convert":true,"undo_on":{"event":"y","match":{"member_of":"x"}}}]`,
	`[` + when(`null`) + `]`, `[` + when(`{}`) + `]`, `[` + when(`[]`) + `]`,
	`[` + when(`{"hunter2":[]}`) + `]`,
	`[` + when(`{"all":[]}`) + `]`,
	`[` + when(`{"any":[{"exists":["event.a"]},{"not":{"hunter2":1}}]}`) + `]`,
	`[` + when(`{"eq":["event.a",1],"ne":["event.a",1]}`) + `]`,
	`[` + when(`{"eq":["cause.hunter2",1]}`) + `]`,
	`[` + when(`{"eq":["event.hunter2"]}`) + `]`,
	`[` + when(`{"gte":"hunter2"}`) + `]`,
	`[` + when(`{"gte":[{}, 1]}`) + `]`,
	`[` + when(`{"gte":[{"hunter2":"a"},1]}`) + `]`,
	`[` + when(`{"gte":[{"count":"a","sum":"a.b"},1]}`) + `]`,
	`[` + when(`{"gte":[{"count":"a","count":"b"},1]}`) + `]`,
	`[` + when(`{"gte":[{"in":"30d"},1]}`) + `]`,
	`[` + when(`{"gte":[{"count":7},1]}`) + `]`,
	`[` + when(`{"gte":[{"sum":"hunter2"},1]}`) + `]`,
	`[` + when(`{"gte":[{"sum":"hunter2 .a"},1]}`) + `]`,
	`[` + when(`{"gte":[{"count":"a","in":"hunter2"},1]}`) + `]`,
	`[` + when(`{"gte":[{"count":"a"}]}`) + `]`,
	`[` + when(`{"gte":[{"count":"a"},"hunter2"]}`) + `]`,
	`[` + when(`{"between":[{"count":"a"},1,"hunter2"]}`) + `]`,
	`[` + when(`{"in":[{"count":"a"},[1,"hunter2"]]}`) + `]`,
	`[` + when(`{"starts":[{"sum":"a.b"},"hunter2"]}`) + `]`,
	`[` + when(`{"eq":[{"age":"event.a"},"3d"]}`) + `]`,
	`[` + when(`{"lt":[{"age":"hunter2.a"},"3d"]}`) + `]`,
	`[` + when(`{"lt":[{"age":["event.a"]},"3d"]}`) + `]`,
	`[` + when(`{"lt":[{"age":"event.a"},"hunter2"]}`) + `]`,
	`[` + when(`{"lt":[{"age":"event.a"}]}`) + `]`,
	`[` + when(`{"between":[{"age":"event.a"},"3d"]}`) + `]`,
	`[` + when(`{"lt":[{"age":"event.a","in":"30d"},"3d"]}`) + `]`,
	`[` + when(`{"member_of":"Hunter2"}`) + `]`, `[` + when(`{"member_of":["hunter2"]}`) + `]`,
}

func TestEveryMistakeIsNamedByItsPathAndNotRepeated(t *testing.T) {
	var got strings.Builder
	for _, text := range mistaken {
		_, err := rule.Parse("rules", []byte(text), rule.Options{})
		refusal, ok := errors.AsType[*problem.Error](err)
		if !ok || refusal.Code != problem.Invalid {
			t.Errorf("%s: %v", text, err)
			continue
		}
		fmt.Fprintf(&got, "%s\n", strings.ToValidUTF8(text, "?"))
		for _, field := range refusal.Fields {
			if strings.Contains(strings.ToLower(field.Name+field.Message), marker) {
				t.Errorf("%s: %s: %s", text, field.Name, field.Message)
			}
			fmt.Fprintf(&got, "\t%s: %s\n", field.Name, field.Message)
		}
	}
	golden := filepath.Join("testdata", "mistakes.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAProgramSaysWhatItsRulesMayDo(t *testing.T) {
	options := rule.Options{Kinds: []rule.Kind{rule.Score}, Actions: []string{"approve"}}
	for text, field := range map[string]string{
		`[{"key":"a","on":"x","give":{"kind":"score","amount":1},"do":{"approve":true}}]`: "",
		`[{"key":"a","on":"x","give":{"kind":"points","amount":1}}]`:                      "rules[0].give.kind",
		`[{"key":"a","on":"x","do":{"move_group":"vip"}}]`:                                "rules[0].do",
	} {
		_, err := rule.Parse("rules", []byte(text), options)
		refusal, _ := errors.AsType[*problem.Error](err)
		switch {
		case field == "" && err == nil:
		case refusal == nil || len(refusal.Fields) != 1 || refusal.Fields[0].Name != field:
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestWhatIsTooMuchIsRefused(t *testing.T) {
	list := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	rules := func(n int, condition string) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf(`{"key":"k%d","on":"x","convert":true%s}`, i, condition))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	deep := func(n int) string {
		return strings.Repeat(`{"not":`, n) + `{"exists":["event.a"]}` + strings.Repeat(`}`, n)
	}
	wide := func(n int) string { return `{"any":[` + list(`{"exists":["event.a"]}`, n) + `]}` }
	aggregates := func(n int) string { return `,"if":{"any":[` + list(`{"gt":[{"count":"a"},1]}`, n) + `]}` }
	keyed := func(n int) string { return `[{"key":"` + strings.Repeat("k", n) + `","on":"x","convert":true}]` }
	on := func(n int) string { return `[{"key":"a","on":"` + strings.Repeat("x", n) + `","convert":true}]` }
	in := func(n int) string {
		return `[{"key":"a","on":"x","give":{"kind":"points","amount":1,"unit":"` + strings.Repeat("é", n) + `"}}]`
	}
	for name, test := range map[string]struct{ fits, tooMuch string }{
		"rules":      {rules(100, ""), rules(101, "")},
		"depth":      {"[" + when(deep(9)) + "]", "[" + when(deep(10)) + "]"},
		"conditions": {"[" + when(wide(99)) + "]", "[" + when(wide(100)) + "]"},
		"aggregates": {rules(20, aggregates(5)), rules(21, aggregates(5))},
		"bytes": {
			rules(1, "")[:1] + strings.Repeat(" ", rule.MaxBytes-2) + "]",
			rules(1, "")[:1] + strings.Repeat(" ", rule.MaxBytes-1) + "]",
		},
		"types": {
			`[{"key":"a","convert":true,"on":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q","r","s","t"]}]`,
			`[{"key":"a","convert":true,"on":["a","b","c","d","e","f","g","h","i","j","k","l","m","n","o","p","q","r","s","t","u"]}]`,
		},
		"name": {
			`[{"key":"a","on":"x","give":{"kind":"points","amount":1,"name":"` + strings.Repeat("é", 200) + `"}}]`,
			`[{"key":"a","on":"x","give":{"kind":"points","amount":1,"name":"` + strings.Repeat("é", 201) + `"}}]`,
		},
		"key":           {keyed(64), keyed(65)},
		"type":          {on(128), on(129)},
		"unit":          {in(32), in(33)},
		"nesting":       {`[]`, strings.Repeat("[", 60_000) + strings.Repeat("]", 60_000)},
		"nested value":  {`[]`, `[` + when(`{"eq":["event.a",`+strings.Repeat("[", 3000)+strings.Repeat("]", 3000)+`]}`) + `]`},
		"nested deep":   {`[]`, `[` + when(deep(800)) + `]`},
		"nested field":  {`[]`, `[{"key":"a","on":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"convert":true}]`},
		"nested object": {`[]`, `[{"key":"a","on":"x","do":{"a":` + strings.Repeat(`{"a":`, 9_990) + `1` + strings.Repeat(`}`, 9_990) + `}}]`},
	} {
		if _, err := rule.Parse("rules", []byte(test.fits), rule.Options{}); err != nil {
			t.Errorf("%s: what fits is refused: %v", name, err)
		}
		if _, err := rule.Parse("rules", []byte(test.tooMuch), rule.Options{}); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestARefusalStaysShort(t *testing.T) {
	for name, text := range map[string]string{
		"unknown fields":  `[{` + strings.TrimSuffix(strings.Repeat(`"z":1,`, 20_000), ",") + `}]`,
		"unknown actions": `[{"key":"a","on":"x","do":{` + manyFields(8000) + `}}]`,
		"conditions":      `[` + when(`{"all":[`+strings.TrimSuffix(strings.Repeat(`{},`, 2_000), ",")+`]}`) + `]`,
		"many rules":      `[` + strings.TrimSuffix(strings.Repeat(`{"a":1},`, 100), ",") + `]`,
	} {
		_, err := rule.Parse("rules", []byte(text), rule.Options{})
		refusal, ok := errors.AsType[*problem.Error](err)
		if !ok || len(refusal.Fields) > 500 {
			t.Errorf("%s: %.100v", name, err)
		}
	}
}

// manyFields are members of an object, whose values are none of an action.
func manyFields(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"A%d":[]`, i)
	}
	return strings.Join(fields, ",")
}

// FuzzParse holds that nothing panics, that what is taken can be taken again as it
// is written, and that it can be evaluated and asked what it needs.
func FuzzParse(f *testing.F) {
	for _, text := range []string{referral, waitlist, five, cash, nudge, sale, vip} {
		f.Add("["+text+"]", `{"event":{"amount":5000,"total":1e9}}`)
	}
	for _, text := range mistaken {
		f.Add(text, `{}`)
	}
	for text := range holding {
		f.Add("["+when(text)+"]", everything)
	}
	f.Fuzz(func(t *testing.T, text, roots string) {
		set, err := rule.Parse("rules", []byte(text), rule.Options{})
		if err != nil {
			if !problem.Invalid.Has(err) {
				t.Fatal(err)
			}
			return
		}
		again, err := rule.Parse("rules", set.JSON(), rule.Options{})
		if err != nil || string(again.JSON()) != string(set.JSON()) {
			t.Fatalf("%s becomes %s: %v", text, set.JSON(), err)
		}
		var in rule.Input
		if strings.HasPrefix(roots, `{"`) && len(roots) < 1000 {
			in = rule.Input{Documents: tolerantDocuments(roots)}
		}
		for _, r := range set.Rules() {
			in.Now, in.On, in.Actor, in.History = now, r.On[0], r.Actor, before
			if _, err := set.Evaluate(in); err != nil {
				t.Fatal(err)
			}
			r.MatchUndo("refund", in.Documents["event"], in.Documents["event"])
			for _, a := range r.Needs().Aggregates {
				if a.String() == "" {
					t.Fatal("an aggregate is not written")
				}
			}
		}
	})
}
