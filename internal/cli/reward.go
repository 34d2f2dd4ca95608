package cli

import (
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// rewardCommands are about what people are given.
type rewardCommands struct {
	List     rewardList     `cmd:"" help:"List rewards, the newest first."`
	Show     rewardShow     `cmd:"" aliases:"get" help:"Show a reward."`
	Give     rewardGive     `cmd:"" help:"Give a person a reward by hand."`
	Redeem   rewardRedeem   `cmd:"" help:"Redeem a part of a reward, or all of it."`
	Cancel   rewardCancel   `cmd:"" help:"Take a reward back."`
	Balances rewardBalances `cmd:"" help:"Show what a person can spend."`
	Spend    rewardSpend    `cmd:"" help:"Spend an amount of what a person has."`
}

type rewardList struct {
	Person  string             `placeholder:"PERSON" help:"Rewards of this person, named by id or external id."`
	Program string             `placeholder:"PROGRAM" help:"Rewards of this program, named by its key or id."`
	State   client.RewardState `enum:",pending,available,redeemed,expired,cancelled" default:"" placeholder:"STATE" help:"Rewards that are pending, available, redeemed, expired or cancelled."`
	listing
	tenantConnection
}

// Run lists rewards.
func (c *rewardList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	f := client.RewardFilter{Person: c.Person, Program: c.Program, State: c.State}
	return list[client.Reward]{
		get: func(p client.Page) (client.List[client.Reward], error) {
			return api.Rewards(e.ctx, f, p)
		},
		widths: []int{28, 19, 9, 20, 28}, header: []string{"ID", "GIVEN", "STATE", "WHAT", "PERSON", "RULE"},
		row: func(r client.Reward) []cell {
			return []cell{{r.ID, plain}, {when(r.GivenAt), dim}, {string(r.State), rewardColour(r)}, {rewardText(r), plain}, {r.PersonID, plain}, {r.Rule, plain}}
		},
	}.show(e, c.listing)
}

// rewardText shows what is given.
func rewardText(r client.Reward) string {
	if r.Kind == "percent" {
		return strconv.FormatFloat(float64(r.Amount)/100, 'f', -1, 64) + " %"
	}
	return strings.TrimSpace(amount(r.Amount, r.Unit) + " " + r.Kind)
}

func rewardColour(r client.Reward) colour {
	switch r.State {
	case client.RewardAvailable, client.RewardRedeemed:
		return green
	case client.RewardExpired, client.RewardCancelled:
		return red
	case client.RewardPending:
		return yellow
	}
	return plain
}

// rewardArgument names a reward.
type rewardArgument struct {
	ID string `arg:"" help:"The reward's id (rwd_…)."`
}

type rewardShow struct {
	rewardArgument
	output
	tenantConnection
}

// Run shows a reward.
func (c *rewardShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.Reward(e.ctx, c.ID)
	return c.showReward(e, r, err)
}

func (o output) showReward(e *env, r client.Reward, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(r)
	}
	s := newSheet(e.out)
	s.field("id", r.ID)
	s.painted("state", cell{string(r.State), rewardColour(r)})
	if r.Held {
		s.painted("held", cell{"somebody has still to decide", yellow})
	}
	s.field("what", rewardText(r))
	s.field("name", r.Name)
	if r.Redeemed > 0 && (r.Kind == "credit" || r.Kind == "points") {
		s.field("redeemed", amount(r.Redeemed, r.Unit))
		s.field("left", amount(r.Left, r.Unit))
	}
	s.field("person", r.PersonID)
	s.field("rule", r.Rule)
	s.field("referral", r.ReferralID)
	s.field("code", r.Code)
	s.field("details", string(r.Details))
	s.field("given", when(r.GivenAt))
	s.field("due", whenSet(r.DueAt))
	s.field("available", whenSet(r.AvailableAt))
	s.field("expires", whenSet(r.ExpiresAt))
	if !r.CancelledAt.IsZero() {
		s.field("cancelled", when(r.CancelledAt)+" ("+r.CancelReason+")")
	}
	return nil
}

type rewardGive struct {
	personArgument
	Kind    string   `arg:"" enum:"points,credit,percent,code_pool,webhook" help:"points, credit, percent, code_pool or webhook."`
	Amount  int64    `arg:"" optional:"" help:"How much: in minor units, such as cents; of percent in hundredths; not needed for code_pool."`
	Unit    string   `placeholder:"UNIT" help:"Such as cents or points; required for points and credit."`
	Pool    string   `placeholder:"KEY" help:"The pool that the code is from; required for code_pool."`
	Name    string   `placeholder:"TEXT" help:"What the person calls it."`
	Key     string   `placeholder:"KEY" help:"Yours: the same key gives the reward that was given first."`
	Due     deadline `placeholder:"TIME" help:"It is not available before: a time, or how long it is until then."`
	Expires deadline `placeholder:"TIME" help:"When it ends, given in the same way; never unless said otherwise."`
	Details string   `placeholder:"JSON" help:"Whatever else is to be kept: a JSON object, a file that has one (@FILE), or - for the standard input."`
	output
	tenantConnection
}

// Run gives a reward.
func (c *rewardGive) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewReward{Key: c.Key, Kind: c.Kind, Amount: c.Amount, Unit: c.Unit, Def: c.Pool, Name: c.Name, DueAt: c.Due.Time, ExpiresAt: c.Expires.Time}
	if c.Details != "" {
		if n.Details, err = e.readJSON("the details", c.Details); err != nil {
			return err
		}
	}
	r, err := api.GiveReward(e.ctx, c.Person, n)
	return c.showReward(e, r, err)
}

type rewardRedeem struct {
	rewardArgument
	Amount int64  `placeholder:"N" help:"How much of credit or points, in minor units; all that is left unless said otherwise; required with --key."`
	Key    string `placeholder:"KEY" help:"Yours: what was redeemed under it is redeemed once."`
	output
	tenantConnection
}

// Run redeems a reward.
func (c *rewardRedeem) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.RedeemReward(e.ctx, c.ID, client.Redemption{Key: c.Key, Amount: c.Amount})
	return c.showReward(e, r, err)
}

type rewardCancel struct {
	rewardArgument
	output
	tenantConnection
}

// Run takes a reward back.
func (c *rewardCancel) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.CancelReward(e.ctx, c.ID)
	return c.showReward(e, r, err)
}

type rewardBalances struct {
	personArgument
	output
	tenantConnection
}

// Run shows balances.
func (c *rewardBalances) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Balance]{
		get: func(client.Page) (client.List[client.Balance], error) {
			balances, err := api.Balances(e.ctx, c.Person)
			return client.List[client.Balance]{Data: balances}, err
		},
		widths: []int{16, 12, 12, 12}, header: []string{"UNIT", "AVAILABLE", "PENDING", "DEBT", "OWED"},
		row: func(b client.Balance) []cell {
			row := []cell{{b.Unit, plain}}
			for _, n := range []int64{b.Available, b.Pending, b.Debt, b.Owed} {
				row = append(row, cell{strconv.FormatInt(n, 10), plain})
			}
			return row
		},
	}.show(e, listing{output: c.output, All: true})
}

type rewardSpend struct {
	personArgument
	Amount int64  `arg:"" help:"How much, in minor units."`
	Unit   string `arg:"" help:"Of what, such as cents."`
	Key    string `placeholder:"KEY" help:"Yours, such as an order's number: what was spent under it is spent once."`
	output
	tenantConnection
}

// Run spends what a person has.
func (c *rewardSpend) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	spent, err := api.Spend(e.ctx, c.Person, client.Spending{Key: c.Key, Amount: c.Amount, Unit: c.Unit})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(spent)
	}
	newSheet(e.out).field("left", amount(spent.Left, spent.Unit))
	return nil
}
