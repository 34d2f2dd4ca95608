package bench

import (
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
}

// Figure is one number that was measured.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

// Bar is what a figure is held to.
type Bar struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
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
	r.Figures = append(r.Figures, Figure{name, value, unit})
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
	return r.Figures[i].Value
}

// rate is how many webhooks arrived a second.
func (r *Result) rate() float64 { return r.value(delivered) }

// below, atMost and atLeast hold a value to a limit, which a value that is not a
// number always misses.
func (r *Result) below(name string, value, limit float64, unit string) {
	r.Bars = append(r.Bars, Bar{Name: name, Value: value, Rule: "<", Limit: limit, Unit: unit, Pass: value < limit})
}

func (r *Result) atMost(name string, value, limit float64) {
	r.Bars = append(r.Bars, Bar{Name: name, Value: value, Rule: "<=", Limit: limit, Pass: value <= limit})
}

func (r *Result) atLeast(name string, value, limit float64, unit string) {
	r.Bars = append(r.Bars, Bar{Name: name, Value: value, Rule: ">=", Limit: limit, Unit: unit, Pass: value >= limit})
}

// intact holds the scenario to what arrived.
func (r *Result) intact(i Integrity) {
	r.hold(i, "events lost, altered, doubled or foreign", i.Lost+i.Altered+i.Duplicated+i.Foreign)
}

// intactAfterKills is intact where duplicates are allowed.
func (r *Result) intactAfterKills(i Integrity) {
	r.hold(i, "events lost, altered or foreign", i.Lost+i.Altered+i.Foreign)
}

func (r *Result) hold(i Integrity, name string, wrong int) {
	r.Integrity = &i
	r.atMost(name, float64(wrong), 0)
	r.Bars[len(r.Bars)-1].Note = i.String()
	r.atMost("signatures that are not valid", float64(i.Invalid), 0)
	bar := &r.Bars[len(r.Bars)-1]
	bar.Note = fmt.Sprintf("%d verified", i.Verified)
	bar.Pass = bar.Pass && i.Verified > 0
}
