// Package rule is the language in which programs say what follows from what. A
// rule set is a JSON list of rules:
//
//	[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
//	  "if":{"gte":["event.amount",5000]},
//	  "give":{"kind":"credit","amount":2000,"unit":"cents","pending":"14d","expires":"92d"},
//	  "limit":{"per":"person","count":4},
//	  "undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}]
//
// A rule has these fields, of which key, on, and one of give, do and convert are
// required:
//
//	key      its name, which no other rule of the set has: a-z, 0-9, - and _
//	on       the activity or fact that it listens to, or a list of them
//	actor    who did that: self (the default: whoever it was), referred, referrer
//	to       whose the effect is: self (the default), referrer, referred, partner
//	once     true: at most once for each subject
//	convert  true: a referral converts
//	active   {from, until}: the time during which the rule is in force; until excluded
//	if       a condition, see below
//	unless   {event, within}: waits so long, and does nothing if that happens meanwhile
//	give     {kind, amount, unit, …}: a reward, see [Give]
//	do       an object of actions with a value each, such as {"move_group":"vip"}
//	pick     "max": of all such rules that match, only the one that gives most does
//	limit    {per, count or amount, window, over, notify}, see [Limit]
//	undo_on  {event, match}: what takes the effect back, see [Rule.MatchUndo]
//
// Conditions are those of package condition on the roots event, person, referral,
// program, partner, transaction and reward, and four forms more:
//
//	{"gte":[{"count":"order_success","in":"30d"},5]}     an aggregate at the left, see [Aggregate]
//	{"lt":[{"age":"person.created_at"},"3d"]}            the time since then, against a duration
//	{"member_of":"regulars"}                             the person is in that segment
//	{"eq":["event.order_id","cause.order_id"]}           two paths, in undo_on.match only
//
// Lengths of time are [Duration]: they follow the calendar of the program.
//
// The package is pure: it reads no clock and no database. What it needs of the past
// it asks through [History], and what a rule depends on can be told without either
// ([Rule.Needs]).
package rule

import (
	"bytes"
	"encoding/json"
	"time"
)

// The bounds of a rule set. Those of each condition are package condition's.
const (
	MaxBytes      = 128 << 10
	MaxRules      = 100
	MaxAggregates = 100 // in all conditions of a set
	MaxTypes      = 20  // that one rule listens to
	MaxActions    = 20  // of one rule
	MaxAmount     = 1_000_000_000_000_000
)

// Role is somebody's part in what happened.
type Role string

// The roles. As an actor, Self is anybody.
const (
	Self     Role = "self"
	Referrer Role = "referrer"
	Referred Role = "referred"
	Partner  Role = "partner"
)

// Set is a checked rule set. It does not change and may be used by several
// goroutines.
type Set struct {
	text  []byte
	rules []*Rule
	on    map[string][]*Rule
}

// JSON returns the set without white space, otherwise as it was given.
func (s *Set) JSON() []byte { return s.text }

// Is reports whether the set would be this one, but for white space.
func (s *Set) Is(raw []byte) bool {
	var text bytes.Buffer
	return json.Compact(&text, raw) == nil && bytes.Equal(text.Bytes(), s.text)
}

// Rules returns the rules in their order.
func (s *Set) Rules() []*Rule { return s.rules }

// On returns the rules that listen to a type, in their order.
func (s *Set) On(event string) []*Rule { return s.on[event] }

// Rule returns the rule of that key.
func (s *Set) Rule(key string) (*Rule, bool) {
	for _, r := range s.rules {
		if r.Key == key {
			return r, true
		}
	}
	return nil, false
}

// Rule is one rule. Whoever reads it leaves it as it is.
type Rule struct {
	Key     string
	On      []string
	Actor   Role
	To      Role
	Once    bool
	Convert bool
	Active  Active
	Unless  *Unless
	Give    *Give
	Do      map[string]json.RawMessage // values are strings, numbers, true or false
	PickMax bool
	Limit   *Limit
	UndoOn  *Undo

	condition clause // nil: always
	counts    []Counting
}

// Active is when a rule is in force. A zero time is without bound.
type Active struct {
	From  time.Time // included
	Until time.Time // excluded
}

func (a Active) at(now time.Time) bool {
	return !now.Before(a.From) && (a.Until.IsZero() || now.Before(a.Until))
}

// Unless makes a rule one about something that does not happen.
type Unless struct {
	Event  string
	Within Duration
}

// Limit bounds what a rule gives: a number of times, or an amount in all.
type Limit struct {
	Per    Scope
	Count  int64 // 0: Amount is the bound
	Amount int64 // 0: Count is
	Window Window
	Over   Over
	Notify string // what the message is called that tells of it; may be empty
}

// Scope is what a limit counts for.
type Scope string

// The scopes. PerPerson is who gets the effect.
const (
	PerPerson  Scope = "person"
	PerProgram Scope = "program"
	PerTenant  Scope = "tenant"
)

// Over is what becomes of an effect that would exceed a limit.
type Over string

// Stop, the default, gives nothing. Clamp gives what is left of an amount.
const (
	Stop  Over = "stop"
	Clamp Over = "clamp"
)

// Undo is what takes effects back.
type Undo struct {
	Event string
	match clause
}
