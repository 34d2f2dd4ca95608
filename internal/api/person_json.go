package api

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// PersonJSON is how a person is shown.
type PersonJSON struct {
	ID          string          `json:"id" example:"per_019a9c1d2f3b5e8d7c6a4f10"`
	ExternalID  string          `json:"external_id,omitempty" example:"customer-7" doc:"Yours; absent: the person came by a dialect's API."`
	Scheme      string          `json:"scheme" example:"native" doc:"Whose name for the person the key is: native, or a dialect."`
	Key         string          `json:"key" example:"customer-7" doc:"By which the person was first known there."`
	Version     int64           `json:"version" doc:"Counts the changes."`
	Account     string          `json:"account,omitempty" example:"acme" doc:"The key of the account; absent: none."`
	Email       string          `json:"email,omitempty"`
	FirstName   string          `json:"first_name,omitempty"`
	LastName    string          `json:"last_name,omitempty"`
	Locale      string          `json:"locale,omitempty"`
	Country     string          `json:"country,omitempty" example:"DE"`
	ImageURL    string          `json:"image_url,omitempty"`
	Fields      json.RawMessage `json:"fields,omitempty" doc:"Whatever else was reported: an object."`
	Unreferable bool            `json:"unreferable,omitempty" doc:"Whether the person takes part in no program."`
	BlockedAt   *time.Time      `json:"blocked_at,omitempty" doc:"Absent: the person is not blocked."`
	DeletedAt   *time.Time      `json:"deleted_at,omitempty" doc:"Absent: the person was not forgotten."`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
}

// ProfileJSON is a person with what programs know of them.
type ProfileJSON struct {
	PersonJSON
	Codes     []CodeJSON     `json:"codes" doc:"Of each program the one that is shown, that of the oldest program first."`
	Referrals []ReferralJSON `json:"referrals" doc:"By which the person came, the oldest first."`
}

// CodeJSON is a code with the program that it is for.
type CodeJSON struct {
	Code       string    `json:"code" example:"ANNAADAMS"`
	ProgramID  string    `json:"program_id"`
	ProgramKey string    `json:"program_key" example:"give-and-get"`
	PersonID   string    `json:"person_id" doc:"Whose it is."`
	CreatedAt  time.Time `json:"created_at"`
	Disabled   bool      `json:"disabled,omitempty" doc:"Whether nobody is credited for it any more."`
}

// ActivityJSON is something that a person did.
type ActivityJSON struct {
	ID         string          `json:"id" example:"act_019a9c1d2f3b5e8d7c6a4f10"`
	Key        string          `json:"key,omitempty" example:"order-4711" doc:"The reporter's; absent: none."`
	Type       string          `json:"type" example:"purchase"`
	PersonID   string          `json:"person_id"`
	Fields     json.RawMessage `json:"fields,omitempty"`
	OccurredAt time.Time       `json:"occurred_at"`
	ReceivedAt time.Time       `json:"received_at"`
	FactID     string          `json:"fact_id,omitempty" doc:"That it was reported: what it led to hangs on that, and is taken back with it."`
	UndoneAt   *time.Time      `json:"undone_at,omitempty" doc:"Absent: it counts."`
}

// AccountJSON is where an account stands.
type AccountJSON struct {
	Key        string          `json:"key" example:"acme"`
	State      string          `json:"state" doc:"trial, free, paid or cancelled; empty: nothing was said of it."`
	Currency   string          `json:"currency,omitempty"`
	Details    json.RawMessage `json:"details,omitempty"`
	ReferredBy string          `json:"referred_by,omitempty" doc:"The code by which its people came."`
	Version    int64           `json:"version"`
	CreatedAt  time.Time       `json:"created_at,omitzero"`
	UpdatedAt  time.Time       `json:"updated_at,omitzero"`
}

// shownID is an id as it is shown, and empty for the zero id.
func shownID(kind id.Kind, of id.ID) string {
	if of.IsZero() {
		return ""
	}
	return kind.Format(of)
}

func shownPerson(of id.ID) string { return shownID(person.Kind, of) }

func shownPeople(all []id.ID) []string {
	shown := make([]string, len(all))
	for i, of := range all {
		shown[i] = shownPerson(of)
	}
	return shown
}

func showPerson(p *person.Person) PersonJSON {
	shown := PersonJSON{
		ID: shownPerson(p.ID), Scheme: p.Scheme, Key: p.Key, Version: p.Version, Account: p.Account, Email: p.Email,
		FirstName: p.FirstName, LastName: p.LastName, Locale: p.Locale, Country: p.Country, ImageURL: p.ImageURL, Fields: p.Fields,
		Unreferable: p.Unreferable, BlockedAt: optionalTime(p.BlockedAt), DeletedAt: optionalTime(p.DeletedAt),
		CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt,
	}
	if p.Scheme == person.Native {
		shown.ExternalID = p.Key
	}
	return shown
}

func showProfile(p referral.Profile) ProfileJSON {
	if p.Person == nil {
		return ProfileJSON{}
	}
	return ProfileJSON{showPerson(p.Person), pageOf(p.Codes, "", showCode).Data, pageOf(p.Referrals, "", showReferral).Data}
}

func showCode(c referral.Code) CodeJSON {
	return CodeJSON{
		Code: c.Text, ProgramID: program.ProgramID.Format(c.ProgramID), ProgramKey: c.ProgramKey, PersonID: shownPerson(c.PersonID),
		CreatedAt: c.CreatedAt, Disabled: c.Disabled,
	}
}

func showActivity(a *activity.Activity) ActivityJSON {
	return ActivityJSON{
		ID: shownID(activity.ActivityID, a.ID), Key: a.Key, Type: a.Type, PersonID: shownPerson(a.PersonID), Fields: a.Fields,
		OccurredAt: a.OccurredAt, ReceivedAt: a.ReceivedAt, FactID: shownID(fact.FactID, a.FactID), UndoneAt: optionalTime(a.UndoneAt),
	}
}

func showAccount(a *person.Account) AccountJSON {
	return AccountJSON{
		Key: a.Key, State: string(a.State), Currency: a.Currency, Details: a.Details, ReferredBy: a.ReferredBy, Version: a.Version, CreatedAt: a.CreatedAt, UpdatedAt: a.UpdatedAt,
	}
}

// under says of a refusal's fields that they stand below another one, all but those
// that are named.
func under(err error, path string, others ...string) error {
	return renamed(err, func(name string) string {
		for _, other := range others {
			if name == other || strings.HasPrefix(name, other+"[") || strings.HasPrefix(name, other+".") {
				return name
			}
		}
		return path + "." + name
	})
}

// renamed names a refusal's fields as the caller has written them.
func renamed(err error, name func(string) string) error {
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok || len(refusal.Fields) == 0 {
		return err
	}
	var checks problem.Checks
	for _, f := range refusal.Fields {
		checks.Add(name(f.Name), "%s", f.Message)
	}
	return checks.Err()
}

// before reads the cursor of a list that is in the order of its ids, the latest
// first.
func (p Paging) before(kind id.Kind) (referral.Page, error) {
	read, err := pageByID(p, kind)
	return referral.Page{Before: read.After, Limit: read.Limit}, err
}
