package referral_test

import (
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// What it takes to register somebody who is new and came by somebody's code, when many
// come at once.
func BenchmarkRegisterSomebodyWithACode(b *testing.B) {
	w := mustWorld(b)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("first")})
	var mu sync.Mutex
	codes := []string{first.Codes[0].Text} // each refers three people
	var next atomic.Int64
	b.SetParallelism(64)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := int(next.Add(1))
			mu.Lock()
			by := codes[min(i/3, len(codes)-1)]
			mu.Unlock()
			done, err := w.Register(b.Context(), w.tenant, referral.Registration{
				Identity: who(fmt.Sprint("person", i)), ReferredBy: []string{by},
				Patch: person.Patch{FirstName: new(fmt.Sprint("First", i)), LastName: new("Last"), Email: new(fmt.Sprintf("p%d@example%d.com", i, i))},
				IP:    netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}),
			})
			if err != nil {
				b.Fatal(err)
			}
			mu.Lock()
			codes = append(codes, done.Codes[0].Text)
			mu.Unlock()
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "people/s")
}

// yearOfTimers gives members a reward every other month, each of which waits for a day
// and expires ten days after, and returns how many timers there are in the year. The
// members' times are spread over a month.
func (w *world) yearOfTimers(members int) int {
	w.t.Helper()
	expires, err := rule.ParseDuration("10d")
	if err != nil {
		w.t.Fatal(err)
	}
	start := time.Now()
	for first := 0; first < members; first += 50 {
		err := w.log.Do(w.t.Context(), fact.Order{Tenant: w.tenant}, func(c *fact.Command) error {
			for i := first; i < min(first+50, members); i++ {
				saved, err := person.Save(c, who(fmt.Sprint("member", i)), person.Patch{})
				if err != nil {
					return err
				}
				joined := start.Add(30 * 24 * time.Hour * time.Duration(i) / time.Duration(members))
				for month := 0; month < 12; month += 2 {
					_, _, err := w.rewards.Give(c, reward.Award{
						Effect: fmt.Sprint(i, "/", month), PersonID: saved.Person.ID, Kind: rule.Points, Amount: 10, Unit: "points",
						DueAt: joined.Add(time.Duration(1+30*month) * 24 * time.Hour), Expires: expires,
					})
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return members * 12 // each becomes available, and expires
}

func BenchmarkAYearOfTimersForTenThousandMembers(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		w := mustWorld(b)
		want := w.yearOfTimers(10_000)
		b.StartTimer()
		n, err := w.timers.RunDue(b.Context(), time.Now().Add(366*24*time.Hour))
		if err != nil || n != want {
			b.Fatalf("%d timers, not %d: %v", n, want, err)
		}
	}
}

func TestAYearOfTimersLeavesNothingToSpendOfWhatHasExpired(t *testing.T) {
	members := 50
	if testing.Short() || testkit.RaceDetector {
		members = 5
	}
	w := mustWorld(t)
	want := w.yearOfTimers(members)
	n, err := w.timers.RunDue(t.Context(), time.Now().Add(366*24*time.Hour))
	if err != nil || n != want {
		t.Fatalf("%d timers, not %d: %v", n, want, err)
	}
	w.read(func(q db.Queryer) error {
		given, err := reward.List(q, w.tenant, reward.Page{Limit: 10_000})
		for _, r := range given {
			if r.State != reward.IsExpired || r.ExpiresAt.Sub(r.AvailableAt) != 10*24*time.Hour || !r.AvailableAt.Equal(r.DueAt) {
				t.Errorf("%+v", r)
			}
		}
		return err
	})
	w.wantBooksInOrder()
}
