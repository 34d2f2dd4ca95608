// Package standard tells of what happens in programs natively: each fact that
// concerns somebody outside is an event of the same name, which has what it is about
// as the one member of its data.
//
// What is not told: that a limit refused a reward, which nobody was promised; and that
// something was undone, of which the facts that follow are told.
package standard

import (
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// Renderer tells natively.
type Renderer struct{ referrals *referral.Service }

var _ dialect.Renderer = (*Renderer)(nil)

// NewRenderer returns a Renderer that reads through the service.
func NewRenderer(referrals *referral.Service) *Renderer { return &Renderer{referrals} }

// Name returns "standard".
func (*Renderer) Name() string { return "standard" }

// told are the facts that events are made of, which are called as the facts.
var told = map[string]bool{
	person.Created: true, person.Updated: true, person.Blocked: true, person.Unblocked: true, person.Deleted: true,
	person.AccountChanged: true, referral.CodeIssued: true,
	referral.Started: true, referral.Moderated: true, referral.Converted: true, referral.Retracted: true, referral.Ended: true, referral.Resumed: true,
	reward.Pending: true, reward.Available: true, reward.Redeemed: true, reward.Expired: true, reward.Cancelled: true, reward.Reinstated: true,
	reward.LimitReached: true, reward.Credited: true, reward.Debited: true,
	referral.MessageSent: true, message.Published: true, export.Ordered: true, export.Written: true,
	activity.Tracked: true,
}

// Render returns an event for each fact that somebody wants to hear of, in their
// order.
func (r *Renderer) Render(c *fact.Command, facts []*fact.Fact, to dialect.Audience) ([]dialect.Event, error) {
	var events []dialect.Event
	reading := r.referrals.Reading(c)
	for _, f := range facts {
		if !told[f.Type] || !to.Wants(f.Type) {
			continue
		}
		data, err := render(reading, f)
		if err != nil {
			return nil, err
		}
		if data != nil {
			events = append(events, dialect.EventOf(f, f.Type, data))
		}
	}
	return events, nil
}

// render returns the data of the event; nil: there is none.
func render(reading *referral.Reading, f *fact.Fact) (any, error) {
	switch about := f.Data.(type) {
	case *person.Person:
		return personData{personOf(about)}, nil
	case *person.Account:
		return accountData{accountOf(about)}, nil
	case *referral.Code:
		return codeData{codeOf(about)}, nil
	case *referral.Referral:
		return referralData{referralOf(about)}, nil
	case *reward.Reward:
		return rewardData{rewardOf(about)}, nil
	case *reward.Limit:
		key, err := reading.ProgramKey(about.ProgramID)
		return limitData{limitOf(about, key)}, err
	case *reward.WalletChange:
		return walletData{walletOf(about)}, nil
	case *referral.Message:
		return messageData{messageOf(about)}, nil
	case *message.PublishedTheme:
		return themeData{themeJSON{about.Version}}, nil
	case *export.Export:
		return exportData{exportOf(about)}, nil
	case *activity.Activity:
		return activityData{activityOf(about)}, nil
	}
	return nil, nil //nolint:nilnil // nothing is told of it
}
