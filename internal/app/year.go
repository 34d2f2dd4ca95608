package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Year is a tenant's members with a year of timers before them, for measurements: each
// member has a reward every other month, which becomes available a day after and
// expires ten days later. The members' times are spread over a month.
type Year struct {
	app     *App
	tenant  id.ID
	members int
	ends    time.Time
}

const (
	rewardsOfYear = 6
	timersOfYear  = 2 * rewardsOfYear // of each member
	day           = 24 * time.Hour

	membersAtOnce = 50    // made in one command
	soonEnough    = 1_000 // members, after which a server would have looked at the tables
)

// BeginYear makes the members, of whom there are none yet.
func (a *App) BeginYear(ctx context.Context, tenant id.ID, members int) (*Year, error) {
	expires, err := rule.ParseDuration("10d")
	if err != nil {
		return nil, err
	}
	begins := time.Now()
	y := &Year{a, tenant, members, begins.Add(366 * day)}
	for first := 0; first < members; first += membersAtOnce {
		if err := y.join(ctx, begins, first, expires); err != nil {
			return nil, err
		}
		if first == soonEnough {
			if err := y.analyze(ctx); err != nil {
				return nil, err
			}
		}
	}
	return y, y.analyze(ctx)
}

// join makes the next members.
func (y *Year) join(ctx context.Context, begins time.Time, first int, expires rule.Duration) error {
	return y.app.programs.log.Do(ctx, fact.Order{Tenant: y.tenant, Actor: fact.ByJob}, func(c *fact.Command) error {
		for i := first; i < min(first+membersAtOnce, y.members); i++ {
			saved, err := person.Save(c, person.Identity{Scheme: person.Native, Key: fmt.Sprint("member-", i)}, person.Patch{})
			if err != nil {
				return err
			}
			joined := begins.Add(30 * day / time.Duration(y.members) * time.Duration(i)) // the product first would overflow
			for n := range rewardsOfYear {
				_, _, err := y.app.programs.rewards.Give(c, reward.Award{
					Effect: fmt.Sprint("year/", saved.Person.ID, "/", n), PersonID: saved.Person.ID, Kind: rule.Points, Amount: 10, Unit: "points",
					DueAt: joined.Add(time.Duration(1+60*n) * day), Expires: expires,
				})
				if err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// analyze has a server learn how many rows there are, as it would in a minute or two by
// itself: until then it takes tables for small, and looks for rows accordingly.
func (y *Year) analyze(ctx context.Context) error {
	if !y.app.db.Shared() {
		return nil
	}
	return y.app.db.Write(ctx, func(tx *db.Tx) error {
		_, err := tx.Exec(`ANALYZE`)
		return err
	})
}

// Timers is how many timers the year has.
func (y *Year) Timers() int { return y.members * timersOfYear }

// Run does all timers of the year, and returns how many it has done.
func (y *Year) Run(ctx context.Context) (int, error) {
	return y.app.programs.timers.RunDue(ctx, y.ends)
}

// Wrong counts what is not as it must be after the year: rewards that have not expired
// when they should have, and wallets whose books are not in order.
func (y *Year) Wrong(ctx context.Context) (int, error) {
	rewards, expired, err := y.countExpired(ctx)
	if err != nil {
		return 0, err
	}
	if rewards != y.members*rewardsOfYear {
		return 0, fmt.Errorf("app: there are %d rewards", rewards)
	}
	faults, err := y.countFaults(ctx)
	return rewards - expired + faults, err
}

// checkedAtOnce is how many rewards or wallets are looked at in one read.
const checkedAtOnce = 500

// countExpired counts the rewards, and those that were available for ten days.
func (y *Year) countExpired(ctx context.Context) (int, int, error) {
	all, expired := 0, 0
	for after := (id.ID{}); ; {
		var page []*reward.Reward
		err := y.app.db.Read(ctx, func(q db.Queryer) error {
			var err error
			page, err = reward.After(q, y.tenant, after, checkedAtOnce)
			return err
		})
		if err != nil || len(page) == 0 {
			return all, expired, err
		}
		for _, r := range page {
			if r.State == reward.IsExpired && r.AvailableAt.Equal(r.DueAt) && r.ExpiresAt.Sub(r.AvailableAt) == 10*day {
				expired++
			}
		}
		all, after = all+len(page), page[len(page)-1].ID
	}
}

// countFaults counts the faults in the books, and the wallets that hold something or
// have another number of transactions than there were timers and rewards.
func (y *Year) countFaults(ctx context.Context) (int, error) {
	faults, wallets := 0, 0
	for after := (ledger.Place{}); ; {
		err := y.app.db.Read(ctx, func(q db.Queryer) error {
			found, last, err := ledger.Check(q, y.tenant, after, checkedAtOnce)
			faults, after = faults+len(found), last
			return err
		})
		if err != nil {
			return 0, err
		}
		if after == (ledger.Place{}) {
			break
		}
	}
	for after := (ledger.Wallet{}); ; {
		var page []ledger.Dated
		err := y.app.db.Read(ctx, func(q db.Queryer) error {
			var err error
			page, err = ledger.After(q, y.tenant, after, checkedAtOnce)
			return err
		})
		if err != nil {
			return 0, err
		}
		if len(page) == 0 {
			break
		}
		for _, held := range page {
			if held.Available != 0 || held.Pending != 0 || held.Version != rewardsOfYear+timersOfYear {
				faults++
			}
		}
		wallets, after = wallets+len(page), page[len(page)-1].Wallet
	}
	if wallets != y.members {
		return 0, errors.New("app: not every member has a wallet")
	}
	return faults, nil
}
