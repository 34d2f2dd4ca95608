package timer_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// action is what the timers of a kind do: they cancel a kind, or set one.
type action struct {
	cancels bool
	kind    int
	after   time.Duration // its own time; may be negative
}

// planned is a timer of the model, which stands in the order of their times.
type planned struct {
	kind int
	due  time.Time
	set  int
}

// predict does timers one at a time, and returns their kinds.
func predict(waiting []planned, actions [][]action, until time.Time) []string {
	var done []string
	sets := len(waiting)
	for {
		slices.SortFunc(waiting, func(a, b planned) int { return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.set, b.set)) })
		if len(waiting) == 0 || waiting[0].due.After(until) {
			return done
		}
		next := waiting[0]
		waiting = waiting[1:]
		done = append(done, kindName(next.kind))
		for _, a := range actions[next.kind] {
			if a.cancels {
				waiting = slices.DeleteFunc(waiting, func(p planned) bool { return p.kind == a.kind })
				continue
			}
			waiting = append(waiting, planned{a.kind, next.due.Add(a.after), sets})
			sets++
		}
	}
}

func kindName(kind int) string { return fmt.Sprintf("%02d", kind) }

func TestTimersAreDoneAsIfEachHadATransactionOfItsOwn(t *testing.T) {
	w := mustWorld(t)
	rapid.Check(t, func(r *rapid.T) {
		w.tenant = id.New(time.Now())
		const kinds = 12
		actions := make([][]action, kinds)
		for kind := range kinds - 1 {
			actions[kind] = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) action {
				return action{
					cancels: rapid.Bool().Draw(r, "cancels"),
					kind:    rapid.IntRange(kind+1, kinds-1).Draw(r, "kind"), // so that it comes to an end
					after:   time.Duration(rapid.IntRange(-1, 4).Draw(r, "after")) * time.Hour,
				}
			}), 0, 2).Draw(r, "actions")
		}
		var waiting []planned
		var timers []timer.Timer
		for i, kind := range rapid.SliceOfN(rapid.IntRange(0, kinds-1), 0, 12).Draw(r, "timers") {
			after := time.Duration(rapid.IntRange(0, 6).Draw(r, "due")) * time.Hour
			waiting = append(waiting, planned{kind, w.start.Add(after), i})
			timers = append(timers, w.at(kindName(kind), after))
		}
		w.when(func(tx *db.Tx, t timer.Timer) error {
			kind, err := strconv.Atoi(t.Kind)
			if err != nil {
				return err
			}
			for _, a := range actions[kind] {
				if a.cancels {
					if _, err := timer.Cancel(tx, t.TenantID, kindName(a.kind), id.ID{}); err != nil {
						return err
					}
					continue
				}
				if _, err := timer.Set(tx, timer.Timer{TenantID: t.TenantID, Kind: kindName(a.kind), DueAt: t.DueAt.Add(a.after)}); err != nil {
					return err
				}
			}
			return nil
		})
		w.mustSet(timers...)
		want := predict(waiting, actions, w.start.Add(8*time.Hour))
		if n := w.mustRunDue(8 * time.Hour); n != len(want) {
			r.Errorf("%d were done, want %d", n, len(want))
		}
		if diff := gocmp.Diff(want, w.done(w.tenant)); diff != "" {
			r.Errorf("done (-want +got):\n%s", diff)
		}
	})
}
