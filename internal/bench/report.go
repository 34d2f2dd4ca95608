package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"
)

// Report is what a run has found.
type Report struct {
	Started time.Time `json:"started_at"`
	Events  int       `json:"events"` // that were asked for; the bars are meant for 100,000
	Machine Machine   `json:"machine"`
	Results []*Result `json:"scenarios"`
}

// Result is what a scenario has found.
type Result struct {
	Name      string     `json:"name"`
	Figures   []Figure   `json:"figures"`
	Integrity *Integrity `json:"integrity,omitempty"` // nil: the scenario publishes nothing
	Bars      []Bar      `json:"bars"`

	unverified bool // the receiver does not verify the signatures
}

// Figure is one number that was measured.
type Figure struct {
	Name  string `json:"name"`
	Value Number `json:"value"`
	Unit  string `json:"unit"`
}

// Number is what came of a measurement. It is not a number, or infinite, where
// there was nothing to measure or to divide by.
type Number float64

// MarshalJSON writes null where there was nothing to measure.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.isFinite() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func (n Number) isFinite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// Bar is what a figure is held to.
type Bar struct {
	Name  string  `json:"name"`
	Value Number  `json:"value"`
	Rule  string  `json:"rule"` // how Value has to stand to Limit: "<", "<=" or ">="
	Limit float64 `json:"limit"`
	Unit  string  `json:"unit"`
	Pass  bool    `json:"pass"`
	Note  string  `json:"note,omitempty"`
}

// result returns what a scenario has found, and nil if it was not run.
func (r *Report) result(name string) *Result {
	for _, result := range r.Results {
		if result.Name == name {
			return result
		}
	}
	return nil
}

// Failed returns how many bars were missed.
func (r *Report) Failed() int {
	failed := 0
	for _, result := range r.Results {
		for _, bar := range result.Bars {
			if !bar.Pass {
				failed++
			}
		}
	}
	return failed
}

func (r *Result) figure(name string, value float64, unit string) {
	r.Figures = append(r.Figures, Figure{name, Number(value), unit})
}

// Names of figures that something depends on.
const (
	delivered      = "delivered" // webhooks that arrived a second
	othersBusy     = "busy_with_other_things"
	othersBusyBare = "bare_busy_with_other_things" // in the worse of the two bare loops
)

// value returns a figure, and what is not a number if there is none of that name.
func (r *Result) value(name string) float64 {
	i := slices.IndexFunc(r.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return math.NaN()
	}
	return float64(r.Figures[i].Value)
}

// rate is how many webhooks arrived a second.
func (r *Result) rate() float64 { return r.value(delivered) }

// below, atMost and atLeast hold a value to a limit, which a value that is not
// finite always misses.
func (r *Result) below(name string, value, limit float64, unit string) {
	r.bar(Bar{Name: name, Value: Number(value), Rule: "<", Limit: limit, Unit: unit, Pass: value < limit})
}

func (r *Result) atMost(name string, value, limit float64) {
	r.bar(Bar{Name: name, Value: Number(value), Rule: "<=", Limit: limit, Pass: value <= limit})
}

func (r *Result) atLeast(name string, value, limit float64, unit string) {
	r.bar(Bar{Name: name, Value: Number(value), Rule: ">=", Limit: limit, Unit: unit, Pass: value >= limit})
}

func (r *Result) bar(b Bar) {
	b.Pass = b.Pass && b.Value.isFinite()
	r.Bars = append(r.Bars, b)
}

// intact holds the scenario to what arrived.
func (r *Result) intact(i Integrity) {
	r.hold(i, "events lost, altered, doubled or foreign", i.Lost+i.Altered+i.Duplicated+i.Foreign)
}

// intactAfterKills is intact where duplicates are allowed.
func (r *Result) intactAfterKills(i Integrity) {
	r.hold(i, "events lost, altered or foreign", i.Lost+i.Altered+i.Foreign)
}

// hold is missed, too, where there was nothing to compare or to verify.
func (r *Result) hold(i Integrity, name string, wrong int) {
	r.Integrity = &i
	r.bar(Bar{Name: name, Value: Number(wrong), Rule: "<=", Pass: wrong == 0 && i.Accepted > 0, Note: i.String()})
	if r.unverified {
		return
	}
	r.bar(Bar{
		Name: "signatures that are not valid", Value: Number(i.Invalid), Rule: "<=",
		Pass: i.Invalid == 0 && i.Verified > 0, Note: fmt.Sprintf("%d verified", i.Verified),
	})
}
