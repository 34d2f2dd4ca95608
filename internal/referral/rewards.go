package referral

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// GiveReward gives a reward by hand. a.Effect is its natural key: the same key gives
// the reward that was given first; "": each call gives another one.
func (s *Service) GiveReward(ctx context.Context, tenant id.ID, a reward.Award) (*reward.Reward, error) {
	if a.Effect == "" {
		a.Effect = id.New(time.Now()).String()
	}
	a.Effect = "by-hand/" + a.Effect
	var given *reward.Reward
	err := s.do(ctx, tenant, "person/"+a.PersonID.String(), func(c *fact.Command) error {
		p, err := person.Get(c.Tx(), tenant, a.PersonID)
		if err != nil {
			return err
		}
		if p.IsDeleted() {
			return problem.NotFound.New("there is no such person")
		}
		award := a
		award.Held = award.Held || p.IsBlocked()
		isNew := false
		if given, isNew, err = s.rewards.Give(c, award); err != nil {
			return err
		}
		if isNew {
			return audit.Write(ctx, c.Tx(), audit.Change{TenantID: tenant, Action: audit.RewardGiven, ObjectID: reward.RewardID.Format(given.ID)})
		}
		if given.PersonID != a.PersonID || given.Kind != a.Kind || given.Unit != a.Unit || given.Amount != a.Amount || given.Name != a.Name || given.Def != a.Def {
			return problem.IdempotencyConflict.New("the key was used for another reward")
		}
		return nil
	})
	return given, err
}

// CancelReward takes a reward back by hand; see reward.Service.Cancel.
func (s *Service) CancelReward(ctx context.Context, tenant, of id.ID) (*reward.Reward, error) {
	var r *reward.Reward
	err := s.do(ctx, tenant, "reward/"+of.String(), func(c *fact.Command) error {
		var err error
		return onRecord(ctx, c, audit.Change{Action: audit.RewardCancelled, ObjectID: reward.RewardID.Format(of)}, func() error {
			r, err = s.rewards.Cancel(c, of, "cancelled")
			return err
		})
	})
	return r, err
}

// RedeemReward redeems a part of one reward; see reward.Service.Redeem.
func (s *Service) RedeemReward(ctx context.Context, tenant, of id.ID, what reward.Redemption) (*reward.Reward, error) {
	var r *reward.Reward
	err := s.do(ctx, tenant, "reward/"+of.String(), func(c *fact.Command) error {
		var err error
		r, err = s.rewards.Redeem(c, of, what)
		return err
	})
	return r, err
}

// Spend redeems an amount of what people have, from those named first; see
// reward.Service.Spend. It returns what is left to all of them.
func (s *Service) Spend(ctx context.Context, tenant id.ID, people []id.ID, what reward.Redemption) (int64, error) {
	if len(people) == 0 {
		return 0, problem.NotFound.New("there is nobody who could spend it")
	}
	left := int64(0)
	err := s.do(ctx, tenant, "person/"+people[0].String(), func(c *fact.Command) error {
		var err error
		left, err = s.rewards.Spend(c, people, what)
		return err
	})
	return left, err
}
