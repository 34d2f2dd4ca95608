package saasquatch

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// signalJSON is a sign that a referral may be fraud.
type signalJSON struct {
	Message string `json:"message"`
	Score   int    `json:"score"`
}

// signalsOf shows signals by their names; null: there are none.
func signalsOf(signals []fraud.Signal) map[string]signalJSON {
	if len(signals) == 0 {
		return nil
	}
	shown := make(map[string]signalJSON, len(signals))
	for _, s := range signals {
		shown[string(s.Kind)] = signalJSON{s.Message, s.Score}
	}
	return shown
}

// referralJSON is what the page and the API show of a referral: people and rewards
// are ids there, and objects here.
type referralJSON[User, Reward any] struct {
	ID                       string `json:"id"`
	ReferredUser             User   `json:"referredUser"`
	ReferrerUser             User   `json:"referrerUser"`
	ReferredReward           Reward `json:"referredReward"`
	ReferrerReward           Reward `json:"referrerReward"`
	ModerationStatus         string `json:"moderationStatus"`
	DateReferralStarted      int64  `json:"dateReferralStarted"`
	DateReferralPaid         *int64 `json:"dateReferralPaid"`
	DateReferralEnded        *int64 `json:"dateReferralEnded"`
	DateModerated            int64  `json:"dateModerated"`
	ReferredModerationStatus string `json:"referredModerationStatus"`
	ReferrerModerationStatus string `json:"referrerModerationStatus"`
}

// sides are the people of a referral, or their rewards.
type sides[T any] struct{ referrer, referred T }

// referralOf shows a referral with what stands for its people and rewards.
func referralOf[User, Reward any](r *referral.Referral, people sides[User], rewards sides[Reward]) referralJSON[User, Reward] {
	shown := referralJSON[User, Reward]{
		ID: r.ID.String(), ReferredUser: people.referred, ReferrerUser: people.referrer, ReferredReward: rewards.referred,
		ReferrerReward: rewards.referrer, ModerationStatus: "ACTIONED", DateReferralStarted: r.StartedAt.UnixMilli(),
		DateReferralPaid: milliOrNull(r.ConvertedAt), DateReferralEnded: milliOrNull(r.EndedAt), DateModerated: moderatedAt(r).UnixMilli(),
		ReferredModerationStatus: moderations[r.Referred], ReferrerModerationStatus: moderations[r.Referrer],
	}
	if r.Referrer == referral.Undecided || r.Referred == referral.Undecided {
		shown.ModerationStatus = "PENDING"
	}
	return shown
}

// moderations are the product's words for what was decided about a side.
var moderations = map[referral.Moderation]string{
	referral.Undecided: "PENDING", referral.Approved: "APPROVED", referral.Denied: "DENIED",
}

// moderatedAt is when a referral was moderated last, which it is when it starts.
func moderatedAt(r *referral.Referral) time.Time {
	if r.ModeratedAt.IsZero() {
		return r.StartedAt
	}
	return r.ModeratedAt
}
