package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/client"
)

// referralCommands are about who came by whom.
type referralCommands struct {
	List     referralList     `cmd:"" help:"List referrals, the newest first."`
	Show     referralShow     `cmd:"" aliases:"get" help:"Show a referral with both people, what makes one look twice, and what it led to."`
	Moderate referralModerate `cmd:"" help:"Decide about referrals: approve, deny, or think about them again."`
	Convert  referralConvert  `cmd:"" help:"Convert a referral by hand."`
	End      referralEnd      `cmd:"" help:"End a referral: nothing more follows from it."`
}

type referralList struct {
	Program    string                 `placeholder:"PROGRAM" help:"Those of this program, named by its key or id."`
	Referrer   string                 `placeholder:"PERSON" help:"Those whom this person has referred, named by id or external id."`
	Referred   string                 `placeholder:"PERSON" help:"By which this person came."`
	State      client.ReferralState   `enum:",started,converted,ended" default:"" placeholder:"STATE" help:"Referrals that are started, converted or ended."`
	Moderation client.ModerationState `enum:",pending,approved,denied" default:"" placeholder:"STATE" help:"Referrals of which either side is pending, approved or denied."`
	listing
	tenantConnection
}

// Run lists referrals.
func (c *referralList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	f := client.ReferralFilter{Program: c.Program, Referrer: c.Referrer, Referred: c.Referred, State: c.State, Moderation: c.Moderation}
	return list[client.Referral]{
		get: func(p client.Page) (client.List[client.Referral], error) {
			return api.Referrals(e.ctx, f, p)
		},
		widths: []int{28, 19, 9, 20, 28, 28}, header: []string{"ID", "STARTED", "STATE", "MODERATION", "REFERRER", "REFERRED", "SIGNALS"},
		row: func(r client.Referral) []cell {
			return []cell{{r.ID, plain}, {when(r.StartedAt), dim}, referralState(r), moderationCell(r.Moderation), {r.ReferrerID, plain}, {r.ReferredID, plain}, {signalNames(r), yellow}}
		},
	}.show(e, c.listing)
}

func referralState(r client.Referral) cell {
	switch r.State {
	case client.ReferralConverted:
		return cell{string(r.State), green}
	case client.ReferralEnded:
		return cell{string(r.State), red}
	case client.ReferralStarted:
		return cell{string(r.State), yellow}
	}
	return cell{string(r.State), plain}
}

// moderationCell shows what was decided: once, where it is the same for both sides.
func moderationCell(m client.Moderation) cell {
	text, colour := string(m.Referrer), plain
	if m.Referrer != m.Referred {
		text = fmt.Sprintf("%s / %s", m.Referrer, m.Referred)
	}
	switch {
	case m.Referrer == client.ModerationDenied || m.Referred == client.ModerationDenied:
		colour = red
	case m.Referrer == client.ModerationPending || m.Referred == client.ModerationPending:
		colour = yellow
	}
	return cell{text, colour}
}

func signalNames(r client.Referral) string {
	names := make([]string, len(r.Signals))
	for i, signal := range r.Signals {
		names[i] = signal.Name
	}
	return strings.Join(names, ", ")
}

// referralArgument names a referral.
type referralArgument struct {
	ID string `arg:"" help:"The referral's id (ref_…)."`
}

type referralShow struct {
	referralArgument
	output
	tenantConnection
}

// Run shows a referral.
func (c *referralShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.Referral(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(r)
	}
	s := newSheet(e.out)
	showReferral(s, r.Referral)
	s.field("who referred", strings.TrimSpace(r.Referrer.ExternalID+" "+personName(r.Referrer)))
	s.field("who came", strings.TrimSpace(r.Referred.ExternalID+" "+personName(r.Referred)))
	for _, reward := range r.Rewards {
		s.painted("reward", cell{fmt.Sprintf("%s %s to the %s, %s", reward.ID, rewardText(reward), reward.Audience, reward.State), rewardColour(reward)})
	}
	return nil
}

func (o output) showReferral(e *env, r client.Referral, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(r)
	}
	showReferral(newSheet(e.out), r)
	return nil
}

func showReferral(s sheet, r client.Referral) {
	s.field("id", r.ID)
	s.field("program", r.ProgramKey)
	s.painted("state", referralState(r))
	s.painted("moderation", moderationCell(r.Moderation))
	for _, signal := range r.Signals {
		s.painted("signal", cell{fmt.Sprintf("%s: %s (%s)", signal.Name, signal.Message, signal.Action), yellow})
	}
	s.field("referrer", r.ReferrerID)
	s.field("referred", r.ReferredID)
	s.field("code", r.Code)
	s.field("method", r.Method)
	s.field("started", when(r.StartedAt))
	s.field("converted", whenSet(r.ConvertedAt))
	if !r.EndedAt.IsZero() {
		s.field("ended", when(r.EndedAt)+" ("+r.EndReason+")")
	}
}

type referralModerate struct {
	To   client.ModerationState `arg:"" enum:"pending,approved,denied" help:"approved, denied or pending."`
	ID   []string               `arg:"" help:"The ids of the referrals (ref_…), 1,000 at most: all are decided about, or none."`
	Side string                 `enum:"referrer,referred,both" default:"both" help:"Whose rewards it is about: referrer, referred or both."`
	output
	tenantConnection
}

// Run decides about referrals.
func (c *referralModerate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	actions := make([]client.ModerationAction, len(c.ID))
	for i, id := range c.ID {
		actions[i] = client.ModerationAction{ReferralID: id, Side: c.Side, To: c.To}
	}
	moderated, err := api.ModerateReferrals(e.ctx, actions)
	if err != nil {
		return err
	}
	table := newTable(e.out, 28, 9)
	for _, r := range moderated {
		if !c.JSON {
			table.row(cell{r.ID, plain}, referralState(r), moderationCell(r.Moderation))
		} else if err := e.line(r); err != nil {
			return err
		}
	}
	return nil
}

type referralConvert struct {
	referralArgument
	output
	tenantConnection
}

// Run converts a referral.
func (c *referralConvert) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).ConvertReferral)
}

type referralEnd struct {
	referralArgument
	output
	tenantConnection
}

// Run ends a referral.
func (c *referralEnd) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).EndReferral)
}

// steer does something with a referral and shows how it then stands.
func (c referralArgument) steer(e *env, connection tenantConnection, how output, do func(*client.Client, context.Context, string) (client.Referral, error)) error {
	api, err := connection.dial(e)
	if err != nil {
		return err
	}
	r, err := do(api, e.ctx, c.ID)
	return how.showReferral(e, r, err)
}
