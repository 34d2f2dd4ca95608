// Package program keeps the programs of tenants, their rules in all versions, and
// who is in them.
//
// A program is of a kind, which says what its settings are. Its rules are a set
// that is replaced as a whole; each set has a version, and what was given by an
// earlier one is not touched by a later one. [Service.Running] reads a tenant's
// programs in the transaction that makes use of them, so that a change holds from
// its commit on, on every node; what has to be parsed is parsed once.
package program

import (
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// ProgramID stands before the ids of programs.
const ProgramID id.Kind = "prg"

// Status is where a program stands.
type Status string

// The states of a program.
const (
	Draft  Status = "draft"
	Active Status = "active" // within its time, it runs
	Paused Status = "paused" // nothing new begins; what was begun goes on
	Ended  Status = "ended"
)

// Statuses lists them.
var Statuses = []Status{Draft, Active, Paused, Ended}

// Program is a program as it stands.
type Program struct {
	ID       id.ID
	TenantID id.ID
	Key      string // chosen by the tenant; does not change
	Kind     string // "referral"; does not change
	Name     string
	Status   Status
	StartsAt time.Time // zero: at once
	EndsAt   time.Time // zero: never
	Zone     *time.Location
	Unit     string          // of rewards whose rule names none
	Settings json.RawMessage // as the kind's Check returned them
	Rules    *rule.Set
	// RulesVersion counts the sets of rules, from 1.
	RulesVersion int64
	Version      int64
	CreatedAt    time.Time
	UpdatedAt    time.Time

	rulesSince time.Time // when this version of them came to hold
}

// Runs reports whether something new may begin in the program.
func (p *Program) Runs(now time.Time) bool {
	return p.Status == Active && !now.Before(p.StartsAt) && (p.EndsAt.IsZero() || now.Before(p.EndsAt))
}

// Membership is a person in a program.
type Membership struct {
	ID        id.ID
	TenantID  id.ID
	ProgramID id.ID
	PersonID  id.ID
	JoinedAt  time.Time
}

// Kind is a kind of program.
type Kind struct {
	Name string
	// Check returns settings as they are stored, or a problem that names what is
	// wrong with them by paths below "settings". Empty settings are the defaults.
	Check func(settings json.RawMessage) (json.RawMessage, error)
	// Rules says what the rules of such a program may do. The unit of their world is
	// the program's.
	Rules rule.Options
}

// New is a program to create.
type New struct {
	Key      string
	Kind     string
	Name     string
	Status   Status // "": Active
	StartsAt time.Time
	EndsAt   time.Time
	Zone     string // IANA; "": UTC
	Unit     string
	Settings json.RawMessage
	Rules    json.RawMessage // nil: none
}

// Patch is what changes about a program; nil: it stays as it is.
type Patch struct {
	Name     *string
	Status   *Status
	StartsAt *time.Time // the zero time: at once
	EndsAt   *time.Time // the zero time: never
	Zone     *string
	Unit     *string
	Settings *json.RawMessage
}

// RuleSet is one version of a program's rules.
type RuleSet struct {
	Version   int64
	Rules     json.RawMessage
	CreatedAt time.Time
}
