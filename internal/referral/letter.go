package referral

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// letter is a message to be rendered.
type letter struct {
	what     message.Type
	about    id.ID // one is written about it
	of       Running
	referral *Referral // nil: it is about none
	given    firstRewards
	reward   *reward.Reward // that it tells of; nil: of none
	limit    int64
}

// firstRewards are what each side of a referral was given first.
type firstRewards map[Side]*reward.Reward

// rewardsNow returns what the sides of a referral were given first, as the command has
// left it so far.
func rewardsNow(c *fact.Command, of *Referral) (firstRewards, error) {
	given := slices.ContainsFunc(c.Facts(), func(f *fact.Fact) bool { _, ok := f.Data.(*reward.Reward); return ok })
	if !given && startedNow(c, of.ID) {
		return nil, nil //nolint:nilnil // nothing
	}
	if err := c.Tx().Flush(); err != nil {
		return nil, err
	}
	rewards, err := reward.OfReferral(c.Tx(), c.Tenant(), of.ID)
	if err != nil {
		return nil, err
	}
	d := Detail{Rewards: slices.DeleteFunc(rewards, func(r *reward.Reward) bool { return r.State == reward.IsRefused })}
	return firstRewards{ReferrerSide: d.RewardOf(ReferrerSide), ReferredSide: d.RewardOf(ReferredSide)}, nil
}

// valuesOf is what templates can say in a message to somebody: of all that
// [message.Sample] has of its type, as far as it is there, what they need.
func (s *Service) valuesOf(c *fact.Command, recipient *person.Person, l letter, needs message.Needs) (message.Values, error) {
	values := message.Values{"program": map[string]any{"id": l.of.Key, "name": l.of.Name}}
	people := map[string]id.ID{"user": recipient.ID}
	if l.what == message.RewardLimitReached {
		values["referralRewardLimit"], people["referrerUser"] = l.limit, recipient.ID
	}
	if l.referral != nil {
		values["referral"] = referralValues(l.referral)
		people["referrerUser"], people["referredUser"] = l.referral.ReferrerID, l.referral.ReferredID
	}
	codes := make(map[id.ID]Code)
	for name, of := range people {
		_, known := codes[of]
		if !known && (needs.Value(name, "referralCode") || name == "user" && needs.Value("shareLinks")) {
			var err error
			if codes[of], err = s.codeIn(c, l.of, of); err != nil {
				return nil, err
			}
		}
	}
	for name, of := range people {
		if !needs.Value(name) {
			continue
		}
		p, err := person.Now(c, of)
		if err != nil {
			return nil, err
		}
		values[name] = s.personValues(p, codes[of])
	}
	values["shareLinks"] = s.linkValues(codes[recipient.ID].Short)
	l.addRewards(values, needs)
	return values, nil
}

// addRewards adds what is said of rewards: of those that were given, or else of what
// the program promises.
func (l letter) addRewards(values message.Values, needs message.Needs) {
	for name, side := range map[string]Side{"referrerReward": ReferrerSide, "referredReward": ReferredSide} {
		if needs.Value(name) {
			values[name] = rewardValues(cmp.Or(l.given[side], promised(l.of, side)))
		}
	}
	values["reward"] = rewardValues(l.reward)
}

// codeIn returns the code that somebody has in a program; zero: none.
func (s *Service) codeIn(c *fact.Command, of Running, p id.ID) (Code, error) {
	codes, err := s.codesNow(c, p)
	if i := slices.IndexFunc(codes, func(c Code) bool { return c.ProgramID == of.ID }); i >= 0 {
		return codes[i], err
	}
	return Code{}, err
}

// personValues are what a message says of somebody, with the code that they have in the
// program; zero: none is needed.
func (s *Service) personValues(p *person.Person, shown Code) map[string]any {
	account, user := p.Account, p.Key
	if s.naming.User != nil {
		account, user = s.naming.User(p)
	}
	values := map[string]any{
		"id": user, "accountId": account, "firstName": p.FirstName, "lastName": p.LastName, "email": p.Email, "imageUrl": p.ImageURL,
		"locale": p.Locale,
	}
	if len(p.Fields) > 0 {
		values["customFields"] = p.Fields
	}
	if shown.Text != "" {
		values["referralCode"] = shown.Text
	}
	return values
}

// linkValues are the links of a code by which a message can have it shared; nil: there
// is none.
func (s *Service) linkValues(short string) map[string]any {
	if short == "" || s.naming.Link == nil {
		return nil
	}
	values := make(map[string]any)
	for name, share := range map[string]code.Share{
		"shareLink": code.Direct, "emailShareLink": code.Email, "facebookShareLink": code.Facebook, "twitterShareLink": code.Twitter,
		"linkedinShareLink": code.LinkedIn,
	} {
		values[name] = s.naming.Link(short, code.Link{Engagement: code.InEmail, Share: share})
	}
	return values
}

func referralValues(r *Referral) map[string]any {
	status := Approved
	switch {
	case r.Referrer == Denied || r.Referred == Denied:
		status = Denied
	case r.Referrer == Undecided || r.Referred == Undecided:
		status = Undecided
	}
	return map[string]any{
		"id": r.ID.String(), "dateReferralStarted": r.StartedAt.UnixMilli(), "dateReferralPaid": milliOrNil(r.ConvertedAt),
		"dateReferralEnded": milliOrNil(r.EndedAt), "moderationStatus": strings.ToUpper(string(status)),
	}
}

// rewardValues are what a message says of a reward; nil: there is none.
func rewardValues(r *reward.Reward) map[string]any {
	if r == nil {
		return nil
	}
	return map[string]any{
		"name": RewardName(r), "value": r.Amount, "unit": r.Unit, "dateGiven": milliOrNil(r.GivenAt), "dateExpires": milliOrNil(r.ExpiresAt),
	}
}

func milliOrNil(at time.Time) any {
	if at.IsZero() {
		return nil
	}
	return at.UnixMilli()
}

// promised is what the first rule of a program gives a side that gives it something
// fixed; nil: none does. It was given to nobody.
func promised(of Running, side Side) *reward.Reward {
	for _, r := range of.Rules.Rules() {
		to := r.To
		if to == rule.Self {
			to = r.Actor
		}
		wants := rule.Referred
		if side == ReferrerSide {
			wants = rule.Referrer
		}
		if to == wants && r.Give != nil && r.Give.Amount.BasisPoints == 0 {
			return &reward.Reward{Kind: r.Give.Kind, Amount: r.Give.Amount.Fixed, Unit: cmp.Or(r.Give.Unit, of.Unit), Name: r.Give.Name}
		}
	}
	return nil
}
