package standard

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// The kinds that stand before ids of which no package has one.
const (
	exportID  id.Kind = "exp"
	messageID id.Kind = "msg"
	txnID     id.Kind = "txn"
)

// The data of the events: objects with one member.
type (
	personData struct {
		Person personJSON `json:"person"`
	}
	accountData struct {
		Account accountJSON `json:"account"`
	}
	codeData struct {
		Code codeJSON `json:"code"`
	}
	referralData struct {
		Referral referralJSON `json:"referral"`
	}
	rewardData struct {
		Reward rewardJSON `json:"reward"`
	}
	limitData struct {
		Limit limitJSON `json:"limit"`
	}
	walletData struct {
		Wallet walletJSON `json:"wallet"`
	}
	messageData struct {
		Message messageJSON `json:"message"`
	}
	themeData struct {
		Theme themeJSON `json:"theme"`
	}
	exportData struct {
		Export exportJSON `json:"export"`
	}
	activityData struct {
		Activity activityJSON `json:"activity"`
	}
)

// orNull is a text, or null for one that is empty.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// timeOrNull is a time, or null for the zero time.
func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

// idOrNull is an id of a kind, or null for the zero id.
func idOrNull(kind id.Kind, of id.ID) *string {
	if of.IsZero() {
		return nil
	}
	return new(kind.Format(of))
}

// object is a JSON object, empty where there is none.
func object(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("{}")
	}
	return raw
}

type personJSON struct {
	ID         string          `json:"id"`
	ExternalID *string         `json:"external_id"`
	AccountID  *string         `json:"account_id"`
	Email      *string         `json:"email"`
	FirstName  *string         `json:"first_name"`
	LastName   *string         `json:"last_name"`
	Locale     *string         `json:"locale"`
	Country    *string         `json:"country"`
	ImageURL   *string         `json:"image_url"`
	Fields     json.RawMessage `json:"fields"`
	CreatedAt  time.Time       `json:"created_at"`
	Blocked    bool            `json:"blocked"`
	Version    int64           `json:"version"`
}

// personOf shows a person. Who was first known by another product's name has no
// external id, and neither has anybody who was deleted.
func personOf(p *person.Person) personJSON {
	shown := personJSON{
		ID: person.Kind.Format(p.ID), AccountID: orNull(p.Account), Email: orNull(p.Email), FirstName: orNull(p.FirstName),
		LastName: orNull(p.LastName), Locale: orNull(p.Locale), Country: orNull(p.Country), ImageURL: orNull(p.ImageURL),
		Fields: object(p.Fields), CreatedAt: p.CreatedAt.UTC(), Blocked: p.IsBlocked(), Version: p.Version,
	}
	if p.Scheme == person.Native {
		shown.ExternalID = orNull(p.Key)
	}
	if p.IsDeleted() {
		shown.ExternalID, shown.AccountID = nil, nil
	}
	return shown
}

type accountJSON struct {
	Key       string          `json:"key"`
	State     string          `json:"state"`
	Currency  *string         `json:"currency"`
	Details   json.RawMessage `json:"details"`
	CreatedAt time.Time       `json:"created_at"`
	UpdatedAt time.Time       `json:"updated_at"`
	Version   int64           `json:"version"`
}

// accountOf shows an account. Its key is the account_id of its people.
func accountOf(a *person.Account) accountJSON {
	return accountJSON{a.Key, string(a.State), orNull(a.Currency), object(a.Details), a.CreatedAt.UTC(), a.UpdatedAt.UTC(), a.Version}
}

type codeJSON struct {
	Code       string    `json:"code"`
	ProgramID  string    `json:"program_id"`
	ProgramKey string    `json:"program_key"`
	PersonID   string    `json:"person_id"`
	CreatedAt  time.Time `json:"created_at"`
}

func codeOf(c *referral.Code) codeJSON {
	return codeJSON{c.Text, program.ProgramID.Format(c.ProgramID), c.ProgramKey, person.Kind.Format(c.PersonID), c.CreatedAt.UTC()}
}

type referralJSON struct {
	ID          string         `json:"id"`
	ProgramID   string         `json:"program_id"`
	ProgramKey  string         `json:"program_key"`
	State       string         `json:"state"`
	ReferrerID  string         `json:"referrer_id"`
	ReferredID  string         `json:"referred_id"`
	Code        *string        `json:"code"`
	Method      string         `json:"method"`
	StartedAt   time.Time      `json:"started_at"`
	ConvertedAt *time.Time     `json:"converted_at"`
	EndedAt     *time.Time     `json:"ended_at"`
	EndReason   *string        `json:"end_reason"`
	Moderation  moderationJSON `json:"moderation"`
	Signals     []signalJSON   `json:"signals"`
	Version     int64          `json:"version"`
}

type moderationJSON struct {
	Referrer string `json:"referrer"`
	Referred string `json:"referred"`
}

type signalJSON struct {
	Name    string `json:"name"`
	Action  string `json:"action"`
	Score   int    `json:"score"`
	Message string `json:"message"`
}

func referralOf(r *referral.Referral) referralJSON {
	shown := referralJSON{
		ID: referral.ReferralID.Format(r.ID), ProgramID: program.ProgramID.Format(r.ProgramID), ProgramKey: r.ProgramKey, State: string(r.State),
		ReferrerID: person.Kind.Format(r.ReferrerID), ReferredID: person.Kind.Format(r.ReferredID), Code: orNull(r.Code), Method: string(r.Method),
		StartedAt: r.StartedAt.UTC(), ConvertedAt: timeOrNull(r.ConvertedAt), EndedAt: timeOrNull(r.EndedAt), EndReason: orNull(r.EndReason),
		Moderation: moderationJSON{string(r.Referrer), string(r.Referred)}, Signals: make([]signalJSON, len(r.Signals)), Version: r.Version,
	}
	for i, s := range r.Signals {
		shown.Signals[i] = signalJSON{string(s.Kind), string(s.Action), s.Score, s.Message}
	}
	return shown
}

type rewardJSON struct {
	ID          string     `json:"id"`
	ProgramID   *string    `json:"program_id"`
	Rule        *string    `json:"rule"`
	PersonID    string     `json:"person_id"`
	ReferralID  *string    `json:"referral_id"`
	Audience    *string    `json:"audience"`
	Kind        string     `json:"kind"`
	Amount      int64      `json:"amount"`
	Unit        string     `json:"unit"`
	Name        *string    `json:"name"`
	State       string     `json:"state"`
	GivenAt     time.Time  `json:"given_at"`
	AvailableAt *time.Time `json:"available_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
	Redeemed    int64      `json:"redeemed"`
	Version     int64      `json:"version"`
}

// rewardOf shows a reward. While it waits for a time available_at is that time.
func rewardOf(r *reward.Reward) rewardJSON {
	available := r.AvailableAt
	if r.State == reward.IsPending {
		available = r.DueAt
	}
	shown := rewardJSON{
		ID: reward.RewardID.Format(r.ID), ProgramID: idOrNull(program.ProgramID, r.ProgramID), Rule: orNull(r.Rule),
		PersonID: person.Kind.Format(r.PersonID), ReferralID: idOrNull(referral.ReferralID, r.ReferralID), Kind: string(r.Kind),
		Amount: r.Amount, Unit: r.Unit, Name: orNull(r.Name), State: string(r.State), GivenAt: r.GivenAt.UTC(),
		AvailableAt: timeOrNull(available), ExpiresAt: timeOrNull(r.ExpiresAt), Redeemed: r.Redeemed, Version: r.Version,
	}
	if r.Audience == rule.Referrer || r.Audience == rule.Referred {
		shown.Audience = new(string(r.Audience))
	}
	return shown
}

type limitJSON struct {
	PersonID   string `json:"person_id"`
	ProgramKey string `json:"program_key"`
	Rule       string `json:"rule"`
	Count      *int64 `json:"count"`
	Amount     *int64 `json:"amount"`
	Window     string `json:"window"`
}

func limitOf(l *reward.Limit, programKey string) limitJSON {
	shown := limitJSON{PersonID: person.Kind.Format(l.PersonID), ProgramKey: programKey, Rule: l.Rule, Window: l.Window}
	if l.Count != 0 {
		shown.Count = &l.Count
	}
	if l.Amount != 0 {
		shown.Amount = &l.Amount
	}
	return shown
}

type walletJSON struct {
	PersonID      string `json:"person_id"`
	Unit          string `json:"unit"`
	Change        int64  `json:"change"`
	Balance       int64  `json:"balance"`
	TransactionID string `json:"transaction_id"`
	Reason        string `json:"reason"`
	Version       int64  `json:"version"`
}

func walletOf(w *reward.WalletChange) walletJSON {
	return walletJSON{person.Kind.Format(w.PersonID), w.Unit, w.Change, w.Balance, txnID.Format(w.TransactionID), w.Reason, w.Version}
}

type messageJSON struct {
	ID       string `json:"id"`
	PersonID string `json:"person_id"`
	Type     string `json:"type"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
}

func messageOf(m *referral.Message) messageJSON {
	return messageJSON{messageID.Format(m.ID), person.Kind.Format(m.PersonID), m.Type, m.Subject, m.Told()}
}

type themeJSON struct {
	Version string `json:"version"`
}

type exportJSON struct {
	ID          string     `json:"id"`
	Type        string     `json:"type"`
	Name        string     `json:"name"`
	Status      string     `json:"status"`
	CreatedAt   time.Time  `json:"created_at"`
	CompletedAt *time.Time `json:"completed_at"`
	ExpiresAt   *time.Time `json:"expires_at"`
}

func exportOf(e *export.Export) exportJSON {
	return exportJSON{
		exportID.Format(e.ID), strings.ToLower(e.Type), e.Name, strings.ToLower(string(e.Status)), e.CreatedAt.UTC(),
		timeOrNull(e.CompletedAt), timeOrNull(e.ExpiresAt),
	}
}

type activityJSON struct {
	ID         string          `json:"id"`
	Key        *string         `json:"key"`
	Type       string          `json:"type"`
	PersonID   string          `json:"person_id"`
	Fields     json.RawMessage `json:"fields"`
	OccurredAt time.Time       `json:"occurred_at"`
}

func activityOf(a *activity.Activity) activityJSON {
	return activityJSON{
		activity.ActivityID.Format(a.ID), orNull(a.Key), a.Type, person.Kind.Format(a.PersonID), object(a.Fields), a.OccurredAt.UTC(),
	}
}
