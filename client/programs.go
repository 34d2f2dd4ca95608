package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// ProgramStatus is where a program stands.
type ProgramStatus string

// The states of a program. Something new begins only in one that is active and
// within its time; what was begun goes on.
const (
	ProgramDraft  ProgramStatus = "draft"
	ProgramActive ProgramStatus = "active"
	ProgramPaused ProgramStatus = "paused"
	ProgramEnded  ProgramStatus = "ended"
)

// Program is a program as it stands. Its rules are read by [Client.Rules].
type Program struct {
	ID           string          `json:"id"`
	Key          string          `json:"key"`  // does not change
	Kind         string          `json:"kind"` // "referral"
	Name         string          `json:"name"`
	Status       ProgramStatus   `json:"status"`
	StartsAt     time.Time       `json:"starts_at,omitzero"` // zero: at once
	EndsAt       time.Time       `json:"ends_at,omitzero"`   // zero: never
	TimeZone     string          `json:"time_zone"`
	Unit         string          `json:"unit,omitempty"` // of rewards whose rule names none
	Settings     json.RawMessage `json:"settings"`
	RulesVersion int64           `json:"rules_version"`
	Version      int64           `json:"version"`
	CreatedAt    time.Time       `json:"created_at"`
	UpdatedAt    time.Time       `json:"updated_at"`
}

// NewProgram is what a program is made of. Key is required.
type NewProgram struct {
	Key      string          `json:"key"`
	Kind     string          `json:"kind,omitempty"`      // "": referral
	Name     string          `json:"name,omitempty"`      // "": the key
	Status   ProgramStatus   `json:"status,omitempty"`    // "": active
	StartsAt time.Time       `json:"starts_at,omitzero"`  // zero: at once
	EndsAt   time.Time       `json:"ends_at,omitzero"`    // zero: never
	TimeZone string          `json:"time_zone,omitempty"` // "": UTC
	Unit     string          `json:"unit,omitempty"`
	Settings json.RawMessage `json:"settings,omitempty"` // nil: the defaults
	Rules    json.RawMessage `json:"rules,omitempty"`    // nil: none
}

// ProgramChange is what can change about a program. What is nil stays; settings are
// replaced as a whole.
type ProgramChange struct {
	Name     *string
	Status   *ProgramStatus
	StartsAt *time.Time // to the zero time: at once
	EndsAt   *time.Time // to the zero time: never
	TimeZone *string
	Unit     *string
	Settings json.RawMessage
}

// body is the change as it is sent.
func (ch ProgramChange) body() map[string]any {
	fields := map[string]any{}
	add := func(name string, given bool, value any) {
		if given {
			fields[name] = value
		}
	}
	add("name", ch.Name != nil, ch.Name)
	add("status", ch.Status != nil, ch.Status)
	add("starts_at", ch.StartsAt != nil, orNull(ch.StartsAt))
	add("ends_at", ch.EndsAt != nil, orNull(ch.EndsAt))
	add("time_zone", ch.TimeZone != nil, ch.TimeZone)
	add("unit", ch.Unit != nil, ch.Unit)
	add("settings", ch.Settings != nil, ch.Settings)
	return fields
}

// orNull is null for the zero time.
func orNull(t *time.Time) any {
	if t == nil || t.IsZero() {
		return nil
	}
	return t
}

// RuleSet is one version of a program's rules.
type RuleSet struct {
	Version   int64           `json:"version"`
	Rules     json.RawMessage `json:"rules"`
	CreatedAt time.Time       `json:"created_at"`
}

// Validation says whether rules are well made.
type Validation struct {
	Valid  bool    `json:"valid"`
	Errors []Field `json:"errors"` // by their paths below rules
}

// DryRun is what rules are tried on: an activity that was reported, by its id, or
// one that could be.
type DryRun struct {
	Rules      json.RawMessage `json:"rules,omitempty"` // nil: those that the program has
	ActivityID string          `json:"activity_id,omitempty"`
	Activity   *DryRunActivity `json:"activity,omitempty"`
}

// DryRunActivity is an activity that could be reported, or a fact to which rules
// listen.
type DryRunActivity struct {
	Person     string          `json:"person"` // who would do it: an id or external id
	Type       string          `json:"type"`   // or that of the fact, such as referral.converted
	Fields     json.RawMessage `json:"fields,omitempty"`
	OccurredAt time.Time       `json:"occurred_at,omitzero"` // zero: now
}

// TriedRule is what came of one rule in a dry run.
type TriedRule struct {
	Rule       string         `json:"rule"` // its key
	Role       string         `json:"role"` // as what the person was asked about
	Matched    bool           `json:"matched"`
	Reason     string         `json:"reason"` // "matches", or why it does not
	Detail     string         `json:"detail,omitempty"`
	If         *RuleCondition `json:"if,omitempty"` // nil: it has none, or was not asked
	ReferralID string         `json:"referral_id,omitempty"`
	PersonID   string         `json:"person_id,omitempty"`   // who would get what it gives; "": nobody
	GaveBefore bool           `json:"gave_before,omitempty"` // it gives once, and has: it would not give again
	Effect     *RuleEffect    `json:"effect,omitempty"`      // nil: it would do nothing
	Limit      *RuleLimit     `json:"limit,omitempty"`       // nil: what it gives has none
}

// RuleLimit is how the limit stands that what a rule gives counts against.
type RuleLimit struct {
	Per     string `json:"per"`
	Window  string `json:"window"` // as the rule writes it; "ever"
	Used    int64  `json:"used"`   // without what this has taken if it was given before
	Cap     int64  `json:"cap"`
	Amounts bool   `json:"amounts,omitempty"` // amounts are counted, not rewards
	Refuses bool   `json:"refuses"`           // it would not be allowed
}

// RuleEffect is what a rule would do.
type RuleEffect struct {
	Convert   bool      `json:"convert,omitempty"`
	Kind      string    `json:"kind,omitempty"` // of the reward; "": none
	Amount    int64     `json:"amount,omitempty"`
	Unit      string    `json:"unit,omitempty"`
	Name      string    `json:"name,omitempty"`
	DueAt     time.Time `json:"due_at,omitzero"` // zero: it is available at once
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Wait      *RuleWait `json:"wait,omitempty"` // nil: it waits for nothing
}

// RuleWait is a time in which something must not happen.
type RuleWait struct {
	Event string    `json:"event"`
	Until time.Time `json:"until"`
}

// RuleCondition is what came of a rule's condition.
type RuleCondition struct {
	Operator   string          `json:"operator"`
	Holds      bool            `json:"holds"`
	Left       string          `json:"left,omitempty"`   // a path, an aggregate or an age
	Wanted     json.RawMessage `json:"wanted,omitempty"` // what it is compared with
	Found      json.RawMessage `json:"found,omitempty"`
	Note       string          `json:"note,omitempty"`
	Conditions []RuleCondition `json:"conditions,omitempty"` // of all, any and not
}

// CreateProgram makes a program. Whoever is reported after it returned is in it.
func (c *Client) CreateProgram(ctx context.Context, n NewProgram) (Program, error) {
	return one[Program](ctx, c, call{method: http.MethodPost, path: "/v1/programs", body: n})
}

// Programs returns all programs, the oldest first.
func (c *Client) Programs(ctx context.Context) ([]Program, error) {
	l, err := list[Program](ctx, c, "/v1/programs", url.Values{}, Page{})
	return l.Data, err
}

// Program returns a program, named by its id or key.
func (c *Client) Program(ctx context.Context, program string) (Program, error) {
	return one[Program](ctx, c, call{method: http.MethodGet, path: path("/v1/programs/", program)})
}

// UpdateProgram changes a program.
func (c *Client) UpdateProgram(ctx context.Context, program string, change ProgramChange) (Program, error) {
	return one[Program](ctx, c, call{method: http.MethodPatch, path: path("/v1/programs/", program), body: change.body()})
}

// Rules returns a version of a program's rules; 0: the one that holds.
func (c *Client) Rules(ctx context.Context, program string, version int64) (RuleSet, error) {
	query := url.Values{}
	if version != 0 {
		query.Set("version", strconv.FormatInt(version, 10))
	}
	return one[RuleSet](ctx, c, call{method: http.MethodGet, path: path("/v1/programs/", program, "/rules"), query: query})
}

// rulesBody is a list of rules as it is sent.
type rulesBody struct {
	Rules json.RawMessage `json:"rules"`
}

// SetRules replaces a program's rules, and returns the version that holds now.
func (c *Client) SetRules(ctx context.Context, program string, rules json.RawMessage) (RuleSet, error) {
	return one[RuleSet](ctx, c, call{method: http.MethodPut, path: path("/v1/programs/", program, "/rules"), body: rulesBody{rules}})
}

// RuleVersions returns the latest 250 versions of a program's rules, the latest
// first.
func (c *Client) RuleVersions(ctx context.Context, program string) ([]RuleSet, error) {
	l, err := list[RuleSet](ctx, c, path("/v1/programs/", program, "/rules/versions"), url.Values{}, Page{})
	return l.Data, err
}

// ValidateRules says everything that is wrong with rules for a program.
func (c *Client) ValidateRules(ctx context.Context, program string, rules json.RawMessage) (Validation, error) {
	return one[Validation](ctx, c, call{method: http.MethodPost, path: path("/v1/programs/", program, "/rules/validate"), body: rulesBody{rules}})
}

// DryRunRules says what each rule that listens to an activity would do, and why, and
// has none of it done.
func (c *Client) DryRunRules(ctx context.Context, program string, d DryRun) ([]TriedRule, error) {
	answer, err := one[struct {
		Results []TriedRule `json:"results"`
	}](ctx, c, call{method: http.MethodPost, path: path("/v1/programs/", program, "/rules/dry-run"), body: d})
	return answer.Results, err
}

// one makes a call that is answered with one thing.
func one[T any](ctx context.Context, c *Client, call call) (T, error) {
	var t T
	_, err := c.do(ctx, call, &t)
	return t, err
}
