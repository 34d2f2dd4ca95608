package rule_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestAShareIsRoundedOnceAndAHalfGoesAwayFromZero(t *testing.T) {
	for _, test := range []struct {
		number      string
		basisPoints int64
		want        int64
	}{
		{"1990", 500, 100}, // 99.5
		{"-1990", 500, -100},
		{"1989", 500, 99}, // 99.45
		{"10", 500, 1},    // 0.5
		{"9", 500, 0},
		{"0", 500, 0},
		{"-0", 500, 0},
		{"12.5", 10_000, 13},
		{"12.49999999999999999999999999", 10_000, 12},
		{"1e3", 1, 0}, // 0.1
		{"5e3", 1, 1},
		{"9007199254740993", 10_000, 9007199254740993}, // not as floating point
		{"9223372036854775807", 10_000, 9223372036854775807},
		{"-9223372036854775808", 10_000, -9223372036854775808},
		{"0.1e-39", 10_000, 0},
	} {
		got, err := rule.ShareOf(json.Number(test.number), test.basisPoints, nil, nil)
		if err != nil || got != test.want {
			t.Errorf("%d of %s: %d %v", test.basisPoints, test.number, got, err)
		}
	}
}

func TestAShareThatIsNoAmountIsRefused(t *testing.T) {
	for _, number := range []string{
		"9223372036854775808", "-9223372036854775809", "9223372036854775807.5", "1e30",
		"1e999999999", "1e-999999999", "1e99999999999999999999", strings.Repeat("9", 100_000), "0." + strings.Repeat("0", 100) + "1",
	} {
		if got, err := rule.ShareOf(json.Number(number), 10_000, nil, nil); err == nil {
			t.Errorf("%.20s: %d", number, got)
		}
	}
	if got, err := rule.ShareOf("1e30", 10_000, nil, new(int64(7))); err != nil || got != 7 {
		t.Errorf("with a bound: %d %v", got, err)
	}
}

func TestAShareIsTheNearestWholeNumber(t *testing.T) {
	half := big.NewRat(1, 2)
	rapid.Check(t, func(r *rapid.T) {
		whole := rapid.Int64Range(-1<<50, 1<<50).Draw(r, "whole")
		fraction := rapid.StringMatching(`(\.[0-9]{1,12})?(e-?[0-3])?`).Draw(r, "fraction")
		basisPoints := rapid.Int64Range(1, 20_000).Draw(r, "basis points")
		number := fmt.Sprintf("%d%s", whole, fraction)
		got, err := rule.ShareOf(json.Number(number), basisPoints, nil, nil)
		if err != nil {
			r.Fatal(err)
		}
		exact, ok := new(big.Rat).SetString(number)
		if !ok {
			r.Fatalf("%s is no number", number)
		}
		exact.Mul(exact, big.NewRat(basisPoints, 10_000))
		off := new(big.Rat).Sub(exact, new(big.Rat).SetInt64(got))
		if off.Abs(off).Cmp(half) > 0 {
			r.Fatalf("%d of %s is %s, not %d", basisPoints, number, exact, got)
		}
		if off.Cmp(half) == 0 && new(big.Rat).Abs(exact).Cmp(new(big.Rat).SetInt64(max(got, -got))) > 0 {
			r.Fatalf("the half in %s went to zero: %d", exact, got)
		}
		opposite := json.Number(strings.TrimPrefix("-"+number, "--"))
		if back, err := rule.ShareOf(opposite, basisPoints, nil, nil); err != nil || back != -got {
			r.Fatalf("of %s it is %d, of %s it is %d (%v)", number, got, opposite, back, err)
		}
	})
}

// part is a rule that gives a part of event.n.
func part(kind, amount string) string {
	return `{"key":"a","on":"x","give":{"kind":"` + kind + `","amount":` + amount + `}}`
}

func TestAPartIsBoundedAndNeverLessThanNothing(t *testing.T) {
	for name, test := range map[string]struct {
		kind, amount, n string
		want            int64
		reason          rule.Reason
	}{
		"a part":                     {"points", `{"pct_bp":1000,"of":"event.n"}`, `100`, 10, rule.Matches},
		"more than all":              {"points", `{"pct_bp":30000,"of":"event.n"}`, `100`, 300, rule.Matches},
		"at least":                   {"points", `{"pct_bp":1000,"of":"event.n","min":50}`, `100`, 50, rule.Matches},
		"at most":                    {"points", `{"pct_bp":1000,"of":"event.n","max":5}`, `100`, 5, rule.Matches},
		"at least something":         {"points", `{"pct_bp":1000,"of":"event.n","min":1}`, `0`, 1, rule.Matches},
		"nothing":                    {"points", `{"pct_bp":1000,"of":"event.n"}`, `4`, 0, rule.NoAmount},
		"less than nothing":          {"commission", `{"pct_bp":1000,"of":"event.n"}`, `-100`, 0, rule.NoAmount},
		"a score may be lost":        {"score", `{"pct_bp":1000,"of":"event.n"}`, `-100`, -10, rule.Matches},
		"text is no number":          {"points", `{"pct_bp":1000,"of":"event.n"}`, `"100"`, 0, rule.NoAmount},
		"there is nothing":           {"points", `{"pct_bp":1000,"of":"event.m"}`, `100`, 0, rule.NoAmount},
		"out of range":               {"points", `{"pct_bp":1000,"of":"event.n"}`, `1e30`, 0, rule.BadAmount},
		"the most":                   {"points", `{"pct_bp":10000,"of":"event.n"}`, `1000000000000000`, 1e15, rule.Matches},
		"more than the most":         {"points", `{"pct_bp":10000,"of":"event.n"}`, `1000000000000001`, 0, rule.BadAmount},
		"less than the least":        {"score", `{"pct_bp":10000,"of":"event.n"}`, `-1000000000000001`, 0, rule.BadAmount},
		"out of range, but bounded":  {"points", `{"pct_bp":1000,"of":"event.n","max":9}`, `1e30`, 9, rule.Matches},
		"too much to reckon with":    {"points", `{"pct_bp":1000,"of":"event.n","max":9}`, `1e999999999`, 0, rule.BadAmount},
		"of a path with a full stop": {"points", `{"pct_bp":1000,"of":"event.a\\.b"}`, `1`, 1, rule.Matches},
	} {
		in := rule.Input{On: "x", Documents: documents(t, `{"event":{"n":`+test.n+`,"a.b":10}}`)}
		got := only(t, mustEvaluate(t, mustParse(t, part(test.kind, test.amount)), in))
		if got.Reason != test.reason || got.Matched != (test.reason == rule.Matches) {
			t.Errorf("%s: %s %s", name, got.Reason, got.Detail)
			continue
		}
		if got.Matched && got.Effect.Amount != test.want {
			t.Errorf("%s: %d", name, got.Effect.Amount)
		}
		if bad := got.Reason == rule.BadAmount; bad != problem.Invalid.Has(got.Err) || bad && got.Detail == "" {
			t.Errorf("%s: %v", name, got.Err)
		}
	}
}

func TestAPercentageIsInBasisPoints(t *testing.T) {
	got := only(t, mustEvaluate(t, mustParse(t, part("percent", `1250`)), rule.Input{On: "x"}))
	wantEffect(t, got, rule.Effect{To: rule.Self, Kind: rule.Percent, Amount: 1250, Unit: "%"})
}
