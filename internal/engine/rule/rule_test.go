package rule_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

// The rules of four programs.
const (
	referral = `{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
	 "if":{"all":[{"gte":["event.amount",5000]},{"eq":["event.currency","USD"]}]},
	 "give":{"kind":"credit","amount":2000,"unit":"cents","pending":"14d","expires":"92d"},
	 "limit":{"per":"person","count":4,"window":"ever","over":"stop","notify":"rewardLimitReached"},
	 "undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}`
	waitlist = `{"key":"ref","on":"signup.verified","actor":"referred","to":"referrer","give":{"kind":"score","amount":30}}`
	five     = `{"key":"five","on":"order_success",
	 "if":{"all":[{"gte":[{"count":"order_success","in":"30d"},5]},{"gte":[{"sum":"order_success.total","in":"30d"},20000]}]},
	 "give":{"kind":"points","amount":100},"limit":{"per":"person","count":1,"window":"month"}}`
	cash  = `{"key":"cash","on":"order_success","give":{"kind":"points","amount":{"pct_bp":500,"of":"event.total"}}}`
	nudge = `{"key":"nudge","on":"cart_add","unless":{"event":"order_success","within":"30m"},"give":{"kind":"coupon","def":"TWENTY"}}`
	sale  = `{"key":"sale","on":"transaction","to":"partner","pick":"max","if":{"in":["partner.group",["resellers"]]},
	 "give":{"kind":"commission","amount":{"pct_bp":2500,"of":"transaction.amount"},"hold":"30d","for":"12mo"}}`
	after = `{"key":"after","on":"transaction","to":"partner","pick":"max",
	 "give":{"kind":"commission","amount":{"pct_bp":1000,"of":"transaction.amount"},"hold":"30d"}}`
	vip = `{"key":"vip","on":"reward.approved","if":{"gte":[{"sum":"reward.amount"},10000]},"do":{"move_group":"vip"}}`
)

var now = time.Date(2026, time.March, 10, 12, 0, 0, 0, time.UTC)

func mustParse(t testing.TB, rules ...string) *rule.Set {
	t.Helper()
	set, err := rule.Parse("rules", []byte("["+strings.Join(rules, ",")+"]"), rule.Options{})
	if err != nil {
		t.Fatalf("%s: %v", rules, err)
	}
	return set
}

// documents are roots as a program hands them in.
func documents(t testing.TB, text string) map[string]any {
	t.Helper()
	roots := tolerantDocuments(text)
	if roots == nil {
		t.Fatalf("%s is no object", text)
	}
	return roots
}

// tolerantDocuments are nil where the text is none.
func tolerantDocuments(text string) map[string]any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var roots map[string]any
	if dec.Decode(&roots) != nil {
		return nil
	}
	return roots
}

func mustEvaluate(t testing.TB, set *rule.Set, in rule.Input) []rule.Result {
	t.Helper()
	if in.Now.IsZero() {
		in.Now = now
	}
	results, err := set.Evaluate(in)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// only returns the one result.
func only(t testing.TB, results []rule.Result) rule.Result {
	t.Helper()
	if len(results) != 1 {
		t.Fatalf("there are %d results: %+v", len(results), results)
	}
	return results[0]
}

// past is a history that has one value for each aggregate, as it is written.
type past map[string]any

func (p past) Aggregate(a rule.Aggregate, _, _ time.Time) (any, bool, error) {
	value, ok := p[a.String()]
	return value, ok, nil
}

// regulars is the only segment, and the person is in it.
type regulars struct{}

func (regulars) Member(segment string) (bool, error) { return segment == "regulars", nil }

var withoutLimit = cmpopts.IgnoreFields(rule.Effect{}, "Limit")

func wantEffect(t testing.TB, got rule.Result, want rule.Effect) {
	t.Helper()
	if !got.Matched {
		t.Fatalf("rule %s does not match: %s %s", got.Rule.Key, got.Reason, got.Detail)
	}
	if diff := cmp.Diff(want, *got.Effect, withoutLimit, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rule %s (-want +got):\n%s", got.Rule.Key, diff)
	}
}

func TestAnAdvocateIsPaidWhenTheFriendBuysEnough(t *testing.T) {
	set := mustParse(t, referral)
	in := rule.Input{On: "purchase", Actor: rule.Referred, Documents: documents(t, `{"event":{"amount":5000,"currency":"USD"}}`)}
	got := only(t, mustEvaluate(t, set, in))
	due := now.AddDate(0, 0, 14)
	wantEffect(t, got, rule.Effect{
		To: rule.Referrer, Once: true, Convert: true,
		Kind: rule.Credit, Amount: 2000, Unit: "cents", DueAt: due, ExpiresAt: due.AddDate(0, 0, 92),
	})
	want := &rule.Limit{Per: rule.PerPerson, Count: 4, Over: rule.Stop, Notify: "rewardLimitReached"}
	if diff := cmp.Diff(want, got.Effect.Limit, cmp.AllowUnexported(rule.Duration{})); diff != "" {
		t.Error(diff)
	}

	in.Documents = documents(t, `{"event":{"amount":4999,"currency":"USD"}}`)
	got = only(t, mustEvaluate(t, set, in))
	if got.Matched || got.Reason != rule.IfFalse || got.Effect != nil {
		t.Errorf("4999 is not enough, but %s", got.Reason)
	}
	in.Actor = rule.Self
	if got = only(t, mustEvaluate(t, set, in)); got.Reason != rule.WrongActor {
		t.Errorf("somebody who was not referred: %s", got.Reason)
	}
	in.On = "refund"
	if results := mustEvaluate(t, set, in); len(results) > 0 {
		t.Errorf("no rule listens to refunds, but %v", results)
	}
}

func TestARefundOfTheSameOrderUndoes(t *testing.T) {
	advocate := mustParse(t, referral).Rules()[0]
	for name, test := range map[string]struct {
		on, event, cause string
		want             bool
	}{
		"the same order":   {"refund", `{"order_id":"A1"}`, `{"order_id":"A1"}`, true},
		"another order":    {"refund", `{"order_id":"A2"}`, `{"order_id":"A1"}`, false},
		"another event":    {"purchase", `{"order_id":"A1"}`, `{"order_id":"A1"}`, false},
		"another type":     {"refund", `{"order_id":1}`, `{"order_id":"1"}`, false},
		"no order":         {"refund", `{}`, `{"order_id":"A1"}`, false},
		"no order at all":  {"refund", `{}`, `{}`, false},
		"no cause's order": {"refund", `{"order_id":"A1"}`, `{}`, false},
		"nulls":            {"refund", `null`, `null`, false},
	} {
		var event, cause any
		if err := errors.Join(json.Unmarshal([]byte(test.event), &event), json.Unmarshal([]byte(test.cause), &cause)); err != nil {
			t.Fatal(err)
		}
		if got := advocate.MatchUndo(test.on, event, cause); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if mustParse(t, waitlist).Rules()[0].MatchUndo("refund", map[string]any{}, map[string]any{}) {
		t.Error("a rule that says nothing of it is undone")
	}
}

func TestAnUndoComparesWithValuesToo(t *testing.T) {
	r := mustParse(t, `{"key":"a","on":"b","convert":true,"undo_on":{"event":"c","match":{"all":[
	  {"eq":["event.state","void"]},{"in":["cause.kind",["event.x","y"]]},{"not":{"ne":["event.id","cause.id"]}}]}}}`).Rules()[0]
	event := map[string]any{"state": "void", "id": "7"}
	if !r.MatchUndo("c", event, map[string]any{"kind": "event.x", "id": "7"}) { // a list holds values only
		t.Error("it does not match")
	}
	if r.MatchUndo("c", event, map[string]any{"kind": "y", "id": "8"}) {
		t.Error("another id matches")
	}
}

func TestAFriendsVerificationScores(t *testing.T) {
	got := only(t, mustEvaluate(t, mustParse(t, waitlist), rule.Input{On: "signup.verified", Actor: rule.Referred}))
	wantEffect(t, got, rule.Effect{To: rule.Referrer, Kind: rule.Score, Amount: 30})
}

func TestOrdersInAWindowEarn(t *testing.T) {
	set := mustParse(t, five)
	count, sum := `{"count":"order_success","in":"30d"}`, `{"sum":"order_success.total","in":"30d"}`
	for name, test := range map[string]struct {
		history rule.History
		want    bool
	}{
		"enough of both":  {past{count: json.Number("5"), sum: json.Number("20000")}, true},
		"too few orders":  {past{count: json.Number("4"), sum: json.Number("90000")}, false},
		"too little":      {past{count: json.Number("9"), sum: json.Number("19999.99")}, false},
		"no history":      {nil, false},
		"nothing to sum":  {past{count: json.Number("5")}, false},
		"no usable value": {past{count: "5", sum: []any{}}, false},
	} {
		got := only(t, mustEvaluate(t, set, rule.Input{On: "order_success", History: test.history}))
		if got.Matched != test.want {
			t.Errorf("%s: %t", name, got.Matched)
		}
	}
}

func TestCashbackIsAPartOfTheOrder(t *testing.T) {
	in := rule.Input{On: "order_success", Documents: documents(t, `{"event":{"total":1990}}`)}
	got := only(t, mustEvaluate(t, mustParse(t, cash), in))
	wantEffect(t, got, rule.Effect{To: rule.Self, Kind: rule.Points, Amount: 100}) // 99.5
}

func TestANudgeWaitsForWhatDoesNotHappen(t *testing.T) {
	set := mustParse(t, nudge, strings.Replace(strings.Replace(nudge, `"nudge"`, `"later"`, 1), `"TWENTY"`, `"TWENTY","pending":"1d","expires":"1mo"`, 1))
	results := mustEvaluate(t, set, rule.Input{On: "cart_add"})
	over := now.Add(30 * time.Minute)
	wait := &rule.Wait{Event: "order_success", Until: over}
	wantEffect(t, results[0], rule.Effect{To: rule.Self, Wait: wait, Kind: rule.Coupon, Def: "TWENTY"})
	due := over.AddDate(0, 0, 1)
	wantEffect(t, results[1], rule.Effect{
		To: rule.Self, Wait: wait, Kind: rule.Coupon, Def: "TWENTY", DueAt: due, ExpiresAt: due.AddDate(0, 1, 0),
	})
}

func TestOfSeveralCommissionsTheHighestWins(t *testing.T) {
	set := mustParse(t, after, sale)
	in := rule.Input{
		On: "transaction", Since: now.AddDate(0, -11, 0),
		Documents: documents(t, `{"partner":{"group":"resellers"},"transaction":{"amount":9999}}`),
	}
	results := mustEvaluate(t, set, in)
	if results[0].Matched || results[0].Reason != rule.AnotherGives || !strings.Contains(results[0].Detail, "sale") {
		t.Errorf("the lower commission: %+v", results[0])
	}
	wantEffect(t, results[1], rule.Effect{To: rule.Partner, Kind: rule.Commission, Amount: 2500, DueAt: now.AddDate(0, 0, 30)})

	in.Since = now.AddDate(-1, 0, 0)
	results = mustEvaluate(t, set, in)
	wantEffect(t, results[0], rule.Effect{To: rule.Partner, Kind: rule.Commission, Amount: 1000, DueAt: now.AddDate(0, 0, 30)})
	if results[1].Reason != rule.TermOver {
		t.Errorf("after twelve months: %s", results[1].Reason)
	}
}

func TestOfRulesThatGiveAsMuchTheFirstWins(t *testing.T) {
	give := `,"on":"x","pick":"max","give":{"kind":"points","amount":5}}`
	results := mustEvaluate(t, mustParse(t,
		`{"key":"a"`+give, `{"key":"b"`+give, `{"key":"c"`+strings.Replace(give, `"amount"`, `"unit":"stars","amount"`, 1),
		`{"key":"d"`+strings.Replace(give, `"pick":"max",`, ``, 1)), rule.Input{On: "x"})
	want := map[string]bool{"a": true, "b": false, "c": true, "d": true} // other units and other rules don't compete
	for _, got := range results {
		if got.Matched != want[got.Rule.Key] {
			t.Errorf("%s: %t", got.Rule.Key, got.Matched)
		}
	}
}

func TestEnoughRewardsMoveThePartner(t *testing.T) {
	in := rule.Input{On: "reward.approved", History: past{`{"sum":"reward.amount"}`: json.Number("10000")}}
	got := only(t, mustEvaluate(t, mustParse(t, vip), in))
	wantEffect(t, got, rule.Effect{To: rule.Self, Do: map[string]json.RawMessage{"move_group": json.RawMessage(`"vip"`)}})
}

func TestARuleIsInForceWithinItsTimeOnly(t *testing.T) {
	set := mustParse(t, `{"key":"a","on":"x","convert":true,"active":{"from":"2026-03-10T13:00:00+01:00","until":"2026-03-11T00:00:00Z"}}`)
	for at, want := range map[string]bool{
		"2026-03-10T11:59:59.999999Z": false,
		"2026-03-10T12:00:00Z":        true,
		"2026-03-10T23:59:59Z":        true,
		"2026-03-11T00:00:00Z":        false,
	} {
		when, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := only(t, mustEvaluate(t, set, rule.Input{On: "x", Now: when})); got.Matched != want {
			t.Errorf("%s: %s", at, got.Reason)
		}
	}
}

func TestTheSetIsKeptAsItWasGiven(t *testing.T) {
	set := mustParse(t, ` { "key" : "a",`+"\n"+`"on":["x","y"], "convert":true, "if":{"eq":["event.t"," <é> "]}} `)
	if got, want := string(set.JSON()), `[{"key":"a","on":["x","y"],"convert":true,"if":{"eq":["event.t"," <é> "]}}]`; got != want {
		t.Errorf("%s", got)
	}
	if _, ok := set.Rule("a"); !ok || len(set.On("y")) != 1 || len(set.On("z")) != 0 {
		t.Error("its rules are not found")
	}
	if _, ok := set.Rule("b"); ok {
		t.Error("there is a rule that there is not")
	}
	if empty := mustParse(t); string(empty.JSON()) != "[]" {
		t.Errorf("an empty set is %s", empty.JSON())
	}
}

func TestWhatARuleNeedsIsKnownWithoutRunningIt(t *testing.T) {
	parsed := mustParse(t, `{"key":"a","on":["x","b.c"],"active":{"until":"2026-05-01T00:00:00Z"},
	  "if":{"any":[{"gte":[{"sum":"b\\.c.total","in":"month"},1]},{"not":{"lt":[{"count":"b.c","in":"30d"},1]}},
	    {"lt":[{"age":"person.created_at"},"3d"]},{"member_of":"regulars"},{"eq":["event.a",1]},{"eq":["event.a",2]}]},
	  "unless":{"event":"z","within":"1h"},"give":{"kind":"points","amount":{"pct_bp":1,"of":"event.total"}},
	  "undo_on":{"event":"undo","match":{"eq":["event.id","cause.id"]}}}`)
	month, err := rule.ParseWindow("month")
	if err != nil {
		t.Fatal(err)
	}
	thirty, err := rule.ParseWindow("30d")
	if err != nil {
		t.Fatal(err)
	}
	three, err := rule.ParseDuration("3d")
	if err != nil {
		t.Fatal(err)
	}
	want := rule.Needs{
		Events: []string{"b.c", "undo", "x", "z"},
		Paths:  []string{"cause.id", "event.a", "event.id", "event.total", "person.created_at"},
		Aggregates: []rule.Aggregate{
			{Function: rule.Count, Type: "b.c", In: thirty},
			{Function: rule.Sum, Type: "b.c", Path: "total", In: month},
		},
		Segments: []string{"regulars"},
		Instants: []rule.Instant{
			{Path: "person.created_at", After: three},
			{At: time.Date(2026, time.May, 1, 0, 0, 0, 0, time.UTC)},
		},
		Counts: []rule.Counting{{Type: "b.c", In: thirty, UpTo: 2}},
	}
	if diff := cmp.Diff(want, parsed.Rules()[0].Needs(), cmp.AllowUnexported(rule.Duration{})); diff != "" {
		t.Error(diff)
	}
}
