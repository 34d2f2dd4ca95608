package rule_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// when is a rule that converts under a condition.
func when(condition string) string {
	return `{"key":"a","on":"x","convert":true,"if":` + condition + `}`
}

const everything = `{
	"event":{"amount":5000,"currency":"USD","list":["a"]},
	"person":{"created_at":"2026-03-08T12:00:00Z","leap":"2024-02-29T00:00:00Z","born":"yesterday","n":1},
	"referral":{"state":"started"},"program":{"key":"p"},"partner":{"group":"resellers"},
	"transaction":{"amount":12.5},"reward":{"unit":"cents"}}`

var before = past{
	`{"count":"order"}`:                  json.Number("3"),
	`{"sum":"order.total","in":"month"}`: json.Number("99.5"),
	`{"first":"order.plan"}`:             "free",
	`{"last":"order.plan"}`:              "team-large",
	`{"min":"a\\.b.c"}`:                  json.Number("-1"),
	`{"distinct":"order.sku"}`:           json.Number("2"),
}

// holding are conditions, and whether they hold for everything and what was before.
var holding = map[string]bool{
	`{"gte":["event.amount",5000]}`:                                                      true,
	`{"eq":["referral.state","started"]}`:                                                true,
	`{"eq":["program.key","q"]}`:                                                         false,
	`{"gt":["transaction.amount",12.49]}`:                                                true,
	`{"eq":["reward.unit","cents"]}`:                                                     true,
	`{"contains":["event.list","a"]}`:                                                    true,
	`{"eq":["event.currency","person.currency"]}`:                                        false, // a path stands at the left alone
	`{"all":[{"exists":["event.amount"]},{"not":{"exists":["event.gone"]}}]}`:            true,
	`{"any":[{"exists":["event.gone"]},{"starts":["event.currency","US"]}]}`:             true,
	`{"any":[{"exists":["event.gone"]},{"ends":["event.currency","US"]}]}`:               false,
	`{"eq":[{"count":"order"},3]}`:                                                       true,
	`{"between":[{"count":"order"},3,4]}`:                                                true,
	`{"in":[{"count":"order"},[1,3.0]]}`:                                                 true,
	`{"lt":[{"count":"order"},3]}`:                                                       false,
	`{"gt":[{"sum":"order.total","in":"month"},99.49]}`:                                  true,
	`{"gt":[{"sum":"order.total","in":"week"},0]}`:                                       false,
	`{"eq":[{"first":"order.plan"},"free"]}`:                                             true,
	`{"starts":[{"last":"order.plan"},"team"]}`:                                          true,
	`{"exists":[{"last":"order.gone"}]}`:                                                 false,
	`{"lt":[{"min":"a\\.b.c"},0]}`:                                                       true,
	`{"lt":[{"max":"a\\.b.c"},0]}`:                                                       false,
	`{"eq":[{"distinct":"order.sku"},2]}`:                                                true,
	`{"lt":[{"age":"person.created_at"},"3d"]}`:                                          true,
	`{"lt":[{"age":"person.created_at"},"2d"]}`:                                          false,
	`{"lte":[{"age":"person.created_at"},"2d"]}`:                                         true,
	`{"gte":[{"age":"person.created_at"},"48h"]}`:                                        true,
	`{"gt":[{"age":"person.created_at"},"48h"]}`:                                         false,
	`{"between":[{"age":"person.created_at"},"1d","1mo"]}`:                               true,
	`{"between":[{"age":"person.created_at"},"3d","1mo"]}`:                               false,
	`{"gte":[{"age":"person.leap"},"2y"]}`:                                               true,
	`{"gte":[{"age":"person.born"},"1s"]}`:                                               false,
	`{"lt":[{"age":"person.n"},"1y"]}`:                                                   false,
	`{"lt":[{"age":"person.gone"},"1y"]}`:                                                false,
	`{"member_of":"regulars"}`:                                                           true,
	`{"not":{"member_of":"strangers"}}`:                                                  true,
	`{"all":[{"member_of":"regulars"},{"any":[{"member_of":"b"},{"member_of":"c"}]}]}`:   false,
	`{"not":{"all":[{"member_of":"regulars"},{"not":{"eq":["partner.group","none"]}}]}}`: false,
}

func TestAConditionHoldsAsItIsWritten(t *testing.T) {
	for text, want := range holding {
		for _, thorough := range []bool{false, true} {
			in := rule.Input{On: "x", Documents: documents(t, everything), History: before, Segments: regulars{}, Thorough: thorough}
			got := only(t, mustEvaluate(t, mustParse(t, when(text)), in))
			if got.Matched != want || got.If == nil || got.If.Holds != want {
				t.Errorf("%s, thorough %t: %t %+v", text, thorough, got.Matched, got.If)
			}
		}
	}
}

func TestAnExplanationNamesWhatFailedAndWhatWasWanted(t *testing.T) {
	text := `{"all":[{"gte":["event.amount",9000]},{"gte":[{"count":"order"},5]},
	  {"lt":[{"age":"person.created_at"},"1d"]},{"not":{"member_of":"regulars"}},{"eq":["event.list","a"]},{"gt":[{"max":"order.n"},1]}]}`
	in := rule.Input{On: "x", Documents: documents(t, everything), History: before, Segments: regulars{}}
	set := mustParse(t, when(text))
	amount := rule.Explanation{Operator: "gte", Left: "event.amount", Wanted: json.RawMessage(`9000`), Found: json.RawMessage(`5000`)}
	want := &rule.Explanation{Operator: "all", Parts: []rule.Explanation{amount}}
	if diff := cmp.Diff(want, only(t, mustEvaluate(t, set, in)).If); diff != "" {
		t.Errorf("brief: %s", diff)
	}

	in.Thorough = true
	want.Parts = []rule.Explanation{
		amount,
		{Operator: "gte", Left: `{"count":"order"}`, Wanted: json.RawMessage(`5`), Found: json.RawMessage(`3`)},
		{
			Operator: "lt", Left: `{"age":"person.created_at"}`,
			Wanted: json.RawMessage(`"1d"`), Found: json.RawMessage(`"2026-03-08T12:00:00Z"`),
		},
		{Operator: "not", Parts: []rule.Explanation{{Operator: "member_of", Holds: true, Left: "regulars"}}},
		{Operator: "eq", Left: "event.list", Wanted: json.RawMessage(`"a"`), Note: "a list is never compared with a string"},
		{Operator: "gt", Left: `{"max":"order.n"}`, Wanted: json.RawMessage(`1`), Note: "there is nothing to make this of"},
	}
	if diff := cmp.Diff(want, only(t, mustEvaluate(t, set, in)).If); diff != "" {
		t.Errorf("thorough: %s", diff)
	}
}

// asked notes what a history is asked.
type asked struct {
	questions []string
	err       error
}

func (a *asked) Aggregate(of rule.Aggregate, from, until time.Time) (any, bool, error) {
	a.questions = append(a.questions, fmt.Sprintf("%s %s to %s", of, from.Format(time.RFC3339), until.Format(time.RFC3339)))
	return json.Number("0"), true, a.err
}

func (a *asked) Member(string) (bool, error) { return false, a.err }

func TestAHistoryIsAskedOnceForEachWindow(t *testing.T) {
	zone := mustZone(t, "America/New_York")
	history := &asked{}
	many := when(`{"any":[
	  {"gt":[{"count":"a"},1]},{"gt":[{"count":"a"},2]},{"gt":[{"count":"a","in":"ever"},3]},{"gt":[{"count":"a","in":"day"},1]},
	  {"gt":[{"count":"a","in":"week"},1]},{"gt":[{"count":"a","in":"month"},1]},{"gt":[{"count":"a","in":"year"},1]},
	  {"gt":[{"count":"a","in":"7d"},1]},{"gt":[{"count":"a","in":"168h"},1]}]}`)
	set := mustParse(t, many, strings.Replace(many, `"key":"a"`, `"key":"b"`, 1))
	mustEvaluate(t, set, rule.Input{On: "x", Now: now, Zone: zone, History: history}) // a Tuesday, two days after clocks went forward
	want := []string{
		`{"count":"a"} 0001-01-01T00:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"day"} 2026-03-10T04:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"week"} 2026-03-09T04:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"month"} 2026-03-01T05:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"year"} 2026-01-01T05:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"7d"} 2026-03-03T13:00:00Z to 2026-03-10T12:00:00Z`,
		`{"count":"a","in":"168h"} 2026-03-03T12:00:00Z to 2026-03-10T12:00:00Z`,
	}
	if diff := cmp.Diff(want, history.questions); diff != "" {
		t.Error(diff)
	}
}

func TestAHistoryThatFailsFailsTheEvaluation(t *testing.T) {
	broken := &asked{err: errors.New("no database")}
	for _, text := range []string{`{"not":{"gt":[{"count":"a"},1]}}`, `{"any":[{"member_of":"b"},{"exists":["event"]}]}`} {
		_, err := mustParse(t, when(text)).Evaluate(rule.Input{On: "x", Now: now, History: broken, Segments: broken})
		if !errors.Is(err, broken.err) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestConditionsThatWouldTakeTooLongAreRefused(t *testing.T) {
	searching := `{"any":[` + strings.TrimSuffix(strings.Repeat(`{"contains":["event.list","y"]},`, 99), ",") + `]}`
	list := make([]any, 200_000)
	for i := range list {
		list[i] = "x"
	}
	_, err := mustParse(t, when(searching)).Evaluate(rule.Input{
		On: "x", Now: now, Documents: map[string]any{"event": map[string]any{"list": list}},
	})
	if !problem.TooLarge.Has(err) {
		t.Errorf("%v", err)
	}
}
