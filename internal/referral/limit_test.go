package referral_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// atOnce runs fn for 0 to n-1, so many at a time, and returns the errors.
func atOnce(n, atATime int, fn func(i int) error) []error {
	var next atomic.Int64
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for range atATime {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := fn(i); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return errs
}

func TestAThousandConversionsAgainstALimitOfAHundredGiveAHundredRewards(t *testing.T) {
	if testing.Short() || testkit.RaceDetector {
		t.Skip("it takes some seconds")
	}
	w := mustWorld(t)
	w.mustProgram(`[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
		"give":{"kind":"points","amount":1,"unit":"points"},"limit":{"per":"program","count":100}}]`, "")
	const friends = 1000
	first := w.mustRegister(referral.Registration{Identity: who("first")})
	people := make([]referral.Registered, friends)
	errs := atOnce(friends, 50, func(i int) error {
		var err error
		people[i], err = w.Register(context.Background(), w.tenant, referral.Registration{
			Identity: who(fmt.Sprint("friend", i)), ReferredBy: []string{first.Codes[0].Text},
		})
		return err
	})
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	w.told()
	errs = atOnce(friends, 100, func(i int) error {
		_, err := w.Track(context.Background(), w.tenant, referral.Report{
			Person: people[i].Person.ID, Activities: []activity.New{{Key: fmt.Sprint("purchase", i), Type: "purchase"}},
		})
		return err
	})
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	told := make(map[string]int)
	for _, what := range w.told() {
		told[what]++
	}
	if told[reward.LimitReached] != 1 || told[referral.Converted] != friends || told[reward.Available] != 100 || told[reward.Refused] != friends-100 {
		t.Errorf("told %v", told)
	}
	w.read(func(q db.Queryer) error {
		given, err := reward.OfPerson(q, w.tenant, first.Person.ID, reward.Page{Limit: friends})
		if len(given) != 100 || slices.ContainsFunc(given, func(r *reward.Reward) bool { return r.State != reward.IsAvailable }) {
			t.Errorf("%d rewards", len(given))
		}
		return err
	})
	w.wantBooksInOrder()
}
