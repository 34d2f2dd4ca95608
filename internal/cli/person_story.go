package cli

import (
	"fmt"

	"github.com/grapevine-hq/grapevine/client"
)

type personTrack struct {
	personArgument
	Type   string  `arg:"" help:"What the person did, such as purchase."`
	Fields string  `arg:"" optional:"" help:"Its fields: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Key    string  `placeholder:"KEY" help:"Yours, such as an order's number: what was reported under it is stored once, for ever."`
	At     *moment `placeholder:"TIME" help:"When it was: a time, or how long ago, such as 2h; now unless said otherwise."`
	output
	tenantConnection
}

// Run reports an activity.
func (c *personTrack) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n := client.NewActivity{Key: c.Key, Type: c.Type}
	if c.At != nil {
		n.OccurredAt = c.At.Time
	}
	if c.Fields != "" {
		if n.Fields, err = e.readJSON("the fields", c.Fields); err != nil {
			return err
		}
	}
	reported, err := api.ReportActivities(e.ctx, c.Person, []client.NewActivity{n})
	if err != nil {
		return err
	}
	for _, a := range reported {
		if c.JSON {
			return e.document(a)
		}
		showActivity(newSheet(e.out), a.Activity)
		if a.Replayed {
			e.note("It was reported under this key before; nothing has changed.")
			continue
		}
		e.note("What it led to: grapevine fact show %s", a.FactID)
	}
	return nil
}

func showActivity(s sheet, a client.Activity) {
	s.field("id", a.ID)
	s.field("type", a.Type)
	s.field("key", a.Key)
	s.field("person", a.PersonID)
	s.field("fields", string(a.Fields))
	s.field("occurred", when(a.OccurredAt))
	s.field("fact", a.FactID)
}

type personActivities struct {
	personArgument
	listing
	tenantConnection
}

// Run lists activities.
func (c *personActivities) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Activity]{
		get: func(p client.Page) (client.List[client.Activity], error) {
			return api.Activities(e.ctx, c.Person, p)
		},
		widths: []int{28, 19, 16, 16}, header: []string{"ID", "OCCURRED", "TYPE", "KEY", "FIELDS"},
		row: func(a client.Activity) []cell {
			return []cell{{a.ID, plain}, {when(a.OccurredAt), dim}, activityCell(a, ""), {a.Key, plain}, {excerpt(string(a.Fields), 200), plain}}
		},
	}.show(e, c.listing)
}

type personStory struct {
	personArgument
	listing
	tenantConnection
}

// Run tells a person's story.
func (c *personStory) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Chapter]{
		get: func(p client.Page) (client.List[client.Chapter], error) {
			return api.Story(e.ctx, c.Person, p)
		},
		widths: []int{19, 8, 28}, header: []string{"WHEN", "WHAT", "ID", ""},
		row: chapterRow,
	}.show(e, c.listing)
}

func chapterRow(c client.Chapter) []cell {
	at, kind := cell{when(c.At), dim}, cell{c.Kind, plain}
	switch {
	case c.Fact != nil:
		return []cell{at, kind, {c.Fact.ID, plain}, factCell(*c.Fact)}
	case c.Activity != nil:
		return []cell{at, kind, {c.Activity.ID, plain}, activityCell(*c.Activity, " "+excerpt(string(c.Activity.Fields), 200))}
	case c.Referral != nil:
		r := c.Referral
		return []cell{at, kind, {r.ID, plain}, {fmt.Sprintf("%s by %s, %s", r.ReferredID, r.ReferrerID, r.State), plain}}
	case c.Reward != nil:
		return []cell{at, kind, {c.Reward.ID, plain}, {rewardText(*c.Reward) + ", " + string(c.Reward.State), plain}}
	case c.Touch != nil:
		return []cell{at, kind, {c.Touch.ID, plain}, {fmt.Sprintf("%s by %s", c.Touch.Code, c.Touch.Method), plain}}
	case c.Message != nil:
		return []cell{at, kind, {c.Message.ID, plain}, {c.Message.Type + ": " + c.Message.Subject, plain}}
	}
	return []cell{at, kind}
}

// activityCell shows the type of an activity, what more there is to say of it, and
// whether it counts.
func activityCell(a client.Activity, more string) cell {
	if !a.UndoneAt.IsZero() {
		return cell{a.Type + more + " (undone)", yellow}
	}
	return cell{a.Type + more, plain}
}

// accountCommands are about accounts.
type accountCommands struct {
	Set  accountSet  `cmd:"" help:"Say where an account stands, which converts or ends what its people were referred by."`
	Show accountShow `cmd:"" aliases:"get" help:"Show an account with its people."`
}

type accountArgument struct {
	Account string `arg:"" help:"The account's key."`
}

type accountSet struct {
	accountArgument
	State      client.AccountState `arg:"" enum:"trial,free,paid,cancelled" help:"trial, free, paid or cancelled."`
	Currency   string              `placeholder:"CODE" help:"In which the account pays."`
	ReferredBy string              `placeholder:"CODE" help:"A code by which its people came."`
	output
	tenantConnection
}

// Run says where an account stands.
func (c *accountSet) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	a, err := api.SetAccount(e.ctx, c.Account, client.AccountReport{State: c.State, Currency: c.Currency, ReferredBy: c.ReferredBy})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(a)
	}
	showAccount(newSheet(e.out), a)
	return nil
}

func showAccount(s sheet, a client.Account) {
	s.field("account", a.Key)
	s.field("state", string(a.State))
	s.field("currency", a.Currency)
	s.field("details", string(a.Details))
	s.field("created", whenSet(a.CreatedAt))
	s.field("updated", whenSet(a.UpdatedAt))
}

type accountShow struct {
	accountArgument
	output
	tenantConnection
}

// Run shows an account.
func (c *accountShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	a, err := api.Account(e.ctx, c.Account)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(a)
	}
	s := newSheet(e.out)
	showAccount(s, a.Account)
	for _, p := range a.People {
		s.field("person", fmt.Sprintf("%s %s %s", p.ID, p.ExternalID, personName(p)))
	}
	return nil
}
