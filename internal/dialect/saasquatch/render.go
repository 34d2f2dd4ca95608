package saasquatch

import (
	"cmp"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// Renderer tells of what happens in programs by SaaSquatch's events, in the shapes of
// the payload version that the tenant has chosen.
//
// A reward that is given by a webhook is of a type that only the newer shapes have;
// the older ones are not told of it.
type Renderer struct {
	referrals *referral.Service
	baseURL   string
}

var _ dialect.Renderer = (*Renderer)(nil)

// NewRenderer returns a Renderer that reads through the service. Share links are
// below the base URL.
func NewRenderer(referrals *referral.Service, baseURL string) *Renderer {
	return &Renderer{referrals, strings.TrimSuffix(baseURL, "/")}
}

// Name returns "saasquatch".
func (*Renderer) Name() string { return name }

// Render returns the events of a command. What one thing led to, a user who came or an
// activity, is told in the product's order: users, codes, referrals, e-mails, rewards
// and balances.
func (r *Renderer) Render(c *fact.Command, facts []*fact.Fact, to dialect.Audience) ([]dialect.Event, error) {
	t := &telling{
		Reading: r.referrals.Reading(c), baseURL: r.baseURL, to: to, version: payloadsOf(to.As.Tenant.Settings),
		roots: make(map[id.ID]int), given: make(map[id.ID]bool),
	}
	for i, f := range facts {
		t.root = i
		if of, ok := t.roots[f.Cause]; ok {
			t.root = of
		}
		t.roots[f.ID] = t.root
		if err := t.tell(f); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(t.events, func(a, b ranked) int { return cmp.Or(cmp.Compare(a.root, b.root), cmp.Compare(a.rank, b.rank)) })
	events := make([]dialect.Event, len(t.events))
	for i, e := range t.events {
		events[i] = e.Event
	}
	return events, nil
}

// rank is the place of an event among those that one thing led to.
type rank int

const (
	aUser rank = iota
	aCode
	aReferral
	anEmail
	aReward
	aBalance
	somethingElse
)

// ranked is an event with its place.
type ranked struct {
	dialect.Event

	root int // the place of the fact that everything else of its kind follows from
	rank rank
}

// telling is the rendering of one command.
type telling struct {
	*referral.Reading

	baseURL string
	to      dialect.Audience
	version payloads
	events  []ranked
	root    int
	roots   map[id.ID]int  // of the command's facts, by their ids
	given   map[id.ID]bool // the rewards that were told of
}

// add notes an event that tells of a fact, if anybody wants it. The data are made only
// then.
func (t *telling) add(f *fact.Fact, at rank, eventType string, data func() (any, error)) error {
	if !t.to.Wants(eventType) {
		return nil
	}
	made, err := data()
	if err != nil {
		return err
	}
	t.events = append(t.events, ranked{dialect.EventOf(f, eventType, made), t.root, at})
	return nil
}

// tell notes the events of a fact.
func (t *telling) tell(f *fact.Fact) error {
	switch about := f.Data.(type) {
	case *person.Person:
		if f.Type == person.Created {
			return t.add(f, aUser, "user.created", func() (any, error) { return t.user(about.ID) })
		}
	case *referral.Code:
		return t.add(f, aCode, "coupon.created", func() (any, error) { return t.coupon(about) })
	case *referral.Referral:
		return t.tellReferral(f, about)
	case *referral.Message:
		if eventType, ok := emails[message.Type(about.Type)]; ok {
			return t.add(f, anEmail, eventType, func() (any, error) { return t.email(about) })
		}
	case *reward.Reward:
		return t.tellReward(f, about)
	case *reward.WalletChange:
		return t.tellBalance(f, about)
	case *message.PublishedTheme:
		return t.add(f, somethingElse, "theme.publish.finished", func() (any, error) { return themeJSON{about.Version}, nil })
	case *export.Export:
		return t.add(f, somethingElse, f.Type, func() (any, error) { return t.export(about), nil })
	}
	return nil
}

// referralTypes are the event types of facts about referrals. What is not among them
// the product does not know.
var referralTypes = map[string]string{
	referral.Started: "referral.started", referral.Converted: "referral.converted", referral.Ended: "referral.ended",
}

func (t *telling) tellReferral(f *fact.Fact, r *referral.Referral) error {
	eventType := referralTypes[f.Type]
	if f.Type == referral.Moderated && r.First {
		eventType = "referral.automoderation.complete"
	}
	if eventType == "" {
		return nil
	}
	return t.add(f, aReferral, eventType, func() (any, error) { return t.referral(f, r) })
}

// tellReward tells of a reward when it is available for the first time.
func (t *telling) tellReward(f *fact.Fact, r *reward.Reward) error {
	if !r.FirstAvailable(f) || t.given[r.ID] || t.version == v2016 && r.Kind == rule.Webhook {
		return nil
	}
	t.given[r.ID] = true
	return t.add(f, aReward, "reward.created", func() (any, error) { return t.reward(r) })
}

// tellBalance tells how much a user can redeem, unless nobody is there any more.
func (t *telling) tellBalance(f *fact.Fact, w *reward.WalletChange) error {
	if !t.to.Wants("user.reward.balance.changed") {
		return nil
	}
	owner, err := t.Person(w.PersonID)
	if err != nil || owner.IsDeleted() {
		return err
	}
	return t.add(f, aBalance, "user.reward.balance.changed", func() (any, error) { return balanceOf(w, refOf(owner)), nil })
}

func (t *telling) user(of id.ID) (any, error) {
	p, err := t.Profile(of)
	if err != nil {
		return nil, err
	}
	if t.version == v2016 {
		return userOf(p, t.baseURL), nil
	}
	return newerUserOf(p, t.baseURL), nil
}

func (t *telling) coupon(c *referral.Code) (any, error) {
	if t.version == v2020 {
		return newerCouponOf(c), nil
	}
	basisPoints, err := t.FriendPercent(c.ProgramID)
	return couponOf(c, basisPoints), err
}

func (t *telling) referral(f *fact.Fact, r *referral.Referral) (any, error) {
	referrers, referreds, err := t.FirstRewards(r)
	if err != nil {
		return nil, err
	}
	shown := toldReferralJSON{referralJSON: referralOf(r,
		sides[string]{r.ReferrerID.String(), r.ReferredID.String()}, sides[*string]{rewardID(referrers), rewardID(referreds)})}
	if f.Type != referral.Ended {
		shown.FraudSignals = new(signalsOf(r.Signals))
	}
	if t.version == v2020 {
		shown.newerReferralJSON, err = t.newerReferral(f, r)
	}
	return shown, err
}

func rewardID(r *reward.Reward) *string {
	if r == nil {
		return nil
	}
	return new(r.ID.String())
}

func (t *telling) newerReferral(f *fact.Fact, r *referral.Referral) (*newerReferralJSON, error) {
	referrer, err := t.Person(r.ReferrerID)
	if err != nil {
		return nil, err
	}
	referred, err := t.Person(r.ReferredID)
	if err != nil {
		return nil, err
	}
	shown := newerReferralOf(r, sides[userRef]{refOf(referrer), refOf(referred)}, f.At)
	path, err := t.LinkPath(r)
	if path != "" {
		shown.ShareLinkUsed = t.baseURL + path
	}
	return shown, err
}

func (t *telling) reward(r *reward.Reward) (any, error) {
	owner, err := t.Person(r.PersonID)
	if err != nil {
		return nil, err
	}
	key, err := t.ProgramKey(r.ProgramID)
	return rewardOf(r, refOf(owner), key, t.version), err
}

func (t *telling) email(m *referral.Message) (any, error) {
	to, err := t.Person(m.PersonID)
	if err != nil {
		return nil, err
	}
	return emailOf(m, refOf(to)), nil
}

func (t *telling) export(e *export.Export) any {
	if t.version == v2016 {
		return exportTold(e)
	}
	return newerExportOf(e)
}
