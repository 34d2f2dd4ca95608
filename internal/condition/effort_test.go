package condition_test

import (
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/condition"
)

func TestAnEffortCostsWhatIsLookedAt(t *testing.T) {
	const plenty = 1_000_000
	numbers := `{"a":[` + strings.Repeat("1,", 50_000) + `2]}`
	text := `{"a":"` + strings.Repeat("x", 500_000) + `"}`
	for _, test := range []struct {
		condition, document string
		within              int
		exhausted           bool
	}{
		{`{"eq":["data.a",1]}`, `{"a":1}`, 100, false},
		{`{"eq":["data.a","x"]}`, text, 200, false},           // no more than its length is compared
		{`{"contains":["data.a",1]}`, numbers, 100, false},    // the first item
		{`{"contains":["data.a",2]}`, numbers, plenty, false}, // all of them
		{`{"contains":["data.a",2]}`, numbers, 50_000, true},
		{`{"contains":["data.a","y"]}`, text, plenty, false},
		{`{"contains":["data.a","y"]}`, text, 20_000, true},
		{`{"any":[{"exists":["data.a"]},{"contains":["data.a",2]}]}`, numbers, 100, false}, // the second is not asked
		{`{"any":[` + strings.Repeat(`{"eq":["data.a",7]},`, 90) + `{"eq":["data.a",8]}]}`, `{"a":1}`, 300, true},
		{`{"gt":["data.a",1]}`, `{"a":` + strings.Repeat("9", 100_000) + `}`, 1000, true},
	} {
		c, source := mustParse(t, test.condition), of(t, test.document)
		effort := condition.NewEffort(test.within)
		holds := c.HoldsWithin(source, effort)
		if effort.Exhausted() != test.exhausted {
			t.Errorf("%.60s with %.20s within %d: exhausted %t", test.condition, test.document, test.within, effort.Exhausted())
		}
		effort = condition.NewEffort(test.within)
		outcome := c.ExplainWithin(source, effort)
		if test.exhausted && !effort.Exhausted() {
			t.Errorf("%.60s with %.20s is explained within %d", test.condition, test.document, test.within)
		}
		if !effort.Exhausted() && outcome.Holds != holds {
			t.Errorf("%.60s with %.20s: %t when explained within an effort", test.condition, test.document, outcome.Holds)
		}
		if !test.exhausted && holds != c.Holds(source) {
			t.Errorf("%.60s with %.20s: %t within an effort", test.condition, test.document, holds)
		}
	}
}

func TestAnExhaustedEffortStaysSo(t *testing.T) {
	effort := condition.NewEffort(1)
	source := of(t, `{"a":1}`)
	for range 2 {
		mustParse(t, `{"eq":["data.a",1]}`).HoldsWithin(source, effort)
		if !effort.Exhausted() {
			t.Error("it is not exhausted")
		}
	}
}
