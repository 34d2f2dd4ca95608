package reward

import (
	"github.com/grapevine-hq/grapevine/internal/engine/pool"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// lacksCode reports whether the reward is a code that it does not have yet.
func (r *Reward) lacksCode() bool { return r.Kind == rule.CodePool && r.Code == "" }

func (r *Reward) claim() pool.Claim {
	return pool.Claim{TenantID: r.TenantID, Pool: r.Def, RewardID: r.ID}
}

// takeCode gives the reward the code that it lacks, and reports whether it lacks
// none any more; else it waits for one.
func (r *Reward) takeCode(c *fact.Command) (bool, error) {
	if !r.lacksCode() {
		return true, nil
	}
	var err error
	r.Code, err = pool.Take(c.Tx(), r.claim())
	return r.Code != "", err
}

// leavePool has the reward wait for a code no longer. A code that it has it keeps:
// it is not for anybody else.
func (r *Reward) leavePool(c *fact.Command) error {
	if !r.lacksCode() {
		return nil
	}
	return pool.Leave(c.Tx(), r.claim())
}

// maxFilled is how many rewards get codes in one transaction.
const maxFilled = 100

// fill gives the codes of a pool to rewards that wait for them, the earliest first.
func (s *Service) fill(c *fact.Command, t timer.Timer) error {
	of, waiting, err := pool.Waiting(c.Tx(), c.Tenant(), string(t.Data), maxFilled)
	if err != nil {
		return err
	}
	for _, reward := range waiting {
		if coded, err := s.fillOne(c, reward); err != nil || !coded {
			return err
		}
	}
	if len(waiting) < maxFilled {
		return nil
	}
	return pool.SetFilled(c.Tx(), c.Tenant(), of, c.Now())
}

// fillOne gives a reward the code that it waits for, and reports false if there is
// none. One that waits for something else too takes its code when that is over.
func (s *Service) fillOne(c *fact.Command, of id.ID) (bool, error) {
	r, err := selectReward(c.Tx(), c.Tenant(), of)
	if err != nil {
		return false, err
	}
	if r.State != IsPending || r.Held || r.DueAt.After(c.Now()) {
		return true, r.leavePool(c)
	}
	if err := c.Because(r.cause, func() error { return s.advance(c, r) }); err != nil {
		return false, err
	}
	return r.State == IsAvailable, nil
}
