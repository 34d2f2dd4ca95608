package rule_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

// many is how many facts of the type "joined" there are.
type many struct {
	n     int64
	asked []rule.FactCount
	err   error
}

func (*many) Counted(factType string) bool { return factType == "joined" }

func (m *many) Count(of rule.FactCount) (int64, error) {
	m.asked = append(m.asked, of)
	return min(m.n, of.UpTo), m.err
}

func TestACountOfFactsIsComparedThoughItIsCountedNoFurtherThanThat(t *testing.T) {
	for text, holds := range map[string][]int64{
		`{"eq":[{"count":"joined"},3]}`:              {3},
		`{"ne":[{"count":"joined"},3]}`:              {0, 1, 2, 4, 1_000_000},
		`{"gte":[{"count":"joined"},3]}`:             {3, 4, 1_000_000},
		`{"gt":[{"count":"joined"},2.5]}`:            {3, 4, 1_000_000},
		`{"lte":[{"count":"joined"},2]}`:             {0, 1, 2},
		`{"between":[{"count":"joined"},2,3]}`:       {2, 3},
		`{"in":[{"count":"joined"},[1,4]]}`:          {1, 4},
		`{"gte":[{"count":"joined"},-1]}`:            {0, 1, 2, 3, 4, 1_000_000},
		`{"not":{"lt":[{"count":"joined"},1e3]}}`:    {1_000_000},
		`{"gte":[{"count":"something.else"},1]}`:     {},
		`{"lt":[{"count":"joined","in":"month"},1]}`: {0},
	} {
		set := mustParse(t, when(text))
		var held []int64
		for _, n := range []int64{0, 1, 2, 3, 4, 1_000_000} {
			facts := &many{n: n}
			if only(t, mustEvaluate(t, set, rule.Input{On: "x", Facts: facts})).Matched {
				held = append(held, n)
			}
			for _, of := range facts.asked {
				if of.UpTo > 1001 {
					t.Errorf("%s counts up to %d", text, of.UpTo)
				}
			}
		}
		if !slices.Equal(held, holds) && len(held)+len(holds) > 0 {
			t.Errorf("%s holds of %v, not of %v", text, held, holds)
		}
	}
}

func TestACountOfFactsIsAskedOnceForEachWindow(t *testing.T) {
	set := mustParse(t, when(`{"all":[{"gte":[{"count":"joined","in":"day"},1]},{"ne":[{"count":"joined","in":"day"},1]},{"gte":[{"count":"joined"},1]}]}`))
	facts, now := &many{n: 5}, time.Date(2026, time.May, 2, 12, 0, 0, 0, time.UTC)
	mustEvaluate(t, set, rule.Input{On: "x", Now: now, Facts: facts})
	if len(facts.asked) != 2 || !facts.asked[0].From.Equal(now.Truncate(24*time.Hour)) || !facts.asked[1].From.IsZero() {
		t.Errorf("%+v", facts.asked)
	}
}

func TestAnExplanationShowsHowManyFactsThereAre(t *testing.T) {
	set := mustParse(t, when(`{"eq":[{"count":"joined"},3]}`))
	result := only(t, mustEvaluate(t, set, rule.Input{On: "x", Facts: &many{n: 4711}, Thorough: true}))
	if string(result.If.Found) != "4711" {
		t.Errorf("it shows %s", result.If.Found)
	}
}

func TestARuleThatCountsFactsDoesNotMatchWhatIsNotCounted(t *testing.T) {
	for text, want := range map[string]rule.Reason{
		`{"ne":[{"count":"joined"},3]}`:  rule.NotCounted,
		`{"ne":[{"count":"visited"},3]}`: rule.Matches,
	} {
		result := only(t, mustEvaluate(t, mustParse(t, when(text)), rule.Input{On: "x", Facts: &many{}, Uncounted: "it was denied"}))
		if result.Reason != want || want == rule.NotCounted && result.Detail != "it was denied" {
			t.Errorf("%s: %s, %s", text, result.Reason, result.Detail)
		}
	}
}

func TestACountThatFailsFailsTheEvaluation(t *testing.T) {
	set := mustParse(t, when(`{"eq":[{"count":"joined"},3]}`))
	broken := errors.New("broken")
	if _, err := set.Evaluate(rule.Input{On: "x", Facts: &many{err: broken}}); !errors.Is(err, broken) {
		t.Error(err)
	}
}
