package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

func TestABarIsPassedUpToItsLimitAndNotBeyond(t *testing.T) {
	for _, c := range []struct {
		name string
		hold func(r *Result)
		want bool
	}{
		{"below", func(r *Result) { r.below("", 9.9, 10, "ms") }, true},
		{"at the limit, which is to be below", func(r *Result) { r.below("", 10, 10, "ms") }, false},
		{"at most", func(r *Result) { r.atMost("", 2, 2) }, true},
		{"more than at most", func(r *Result) { r.atMost("", 2.01, 2) }, false},
		{"at least", func(r *Result) { r.atLeast("", 0.35, 0.35, "") }, true},
		{"less than at least", func(r *Result) { r.atLeast("", 0.34, 0.35, "") }, false},
		{"not a number", func(r *Result) { r.atMost("", math.NaN(), 1) }, false},
		{"a share of nothing", func(r *Result) { r.atLeast("", math.Inf(1), 1, "") }, false},
		{"arrived as accepted", func(r *Result) { r.intact(Integrity{Accepted: 2, Arrived: 2, Verified: 2}) }, true},
		{"lost", func(r *Result) { r.intact(Integrity{Accepted: 2, Arrived: 1, Lost: 1, Verified: 1}) }, false},
		{"altered", func(r *Result) { r.intact(Integrity{Accepted: 1, Altered: 1, Verified: 1}) }, false},
		{"foreign", func(r *Result) { r.intact(Integrity{Accepted: 1, Foreign: 1, Verified: 1}) }, false},
		{"a wrong signature", func(r *Result) { r.intact(Integrity{Accepted: 1, Verified: 1, Invalid: 1}) }, false},
		{"no signature verified", func(r *Result) { r.intact(Integrity{Accepted: 2, Arrived: 2}) }, false},
		{"duplicated", func(r *Result) { r.intact(Integrity{Accepted: 1, Duplicated: 1, Verified: 1}) }, false},
		{"duplicated after kills", func(r *Result) { r.intactAfterKills(Integrity{Accepted: 1, Duplicated: 1, Verified: 1}) }, true},
		{"lost after kills", func(r *Result) { r.intactAfterKills(Integrity{Accepted: 1, Lost: 1, Verified: 1}) }, false},
		{"nothing accepted", func(r *Result) { r.intact(Integrity{Verified: 1}) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &Result{Name: "scenario"}
			c.hold(r)
			report := &Report{Results: []*Result{r}}
			if passed := report.Failed() == 0; passed != c.want {
				t.Errorf("passed is %v", passed)
			}
			var text strings.Builder
			report.writeBars(&text)
			if shown := !strings.Contains(text.String(), "FAIL  scenario"); shown != c.want {
				t.Errorf("it is shown as %q", text.String())
			}
		})
	}
}

func TestAReportIsWrittenAlsoWhereThereWasNothingToMeasure(t *testing.T) {
	r := &Result{Name: "scenario"}
	r.figure("share", math.NaN(), "")
	r.figure("rate", 1.5, "/s")
	r.atLeast("rate", math.Inf(1), 0.8, "")
	got, err := json.Marshal(r)
	want := `{"name":"scenario","figures":[{"name":"share","value":null,"unit":""},{"name":"rate","value":1.5,"unit":"/s"}],` +
		`"bars":[{"name":"rate","value":null,"rule":"\u003e=","limit":0.8,"unit":"","pass":false}]}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestNumbersAreShownWithThreeDigitsThatCount(t *testing.T) {
	for value, want := range map[float64]string{0: "0", 3: "3", 0.1234: "0.123", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 123456.7: "123457", -1.5: "-1.50"} {
		if got := number(value); got != want {
			t.Errorf("%v is shown as %s, want %s", value, got, want)
		}
	}
	if got := number(math.NaN()); got != "-" {
		t.Errorf("no number is shown as %s", got)
	}
}
