package rule

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Options say what the rules of a program may do. The zero value allows everything,
// and is what rules are read with that were stored: those that were taken before
// something was refused go on as they were.
type Options struct {
	Kinds   []Kind   // that the program can give; nil: all
	Actions []string // that it can do; nil: any
	World   *World   // nil: not known, and nothing is refused for it
}

// Parse reads and checks a rule set that stands in a field of that name. The error
// is a problem that names all mistakes by their paths, such as
// rules[2].give.amount.pct_bp, and repeats nothing of what was given. Of each
// condition it names the first.
func Parse(field string, raw []byte, options Options) (*Set, error) {
	if len(raw) > MaxBytes {
		return nil, problem.InvalidField(field, "has more than %d bytes", MaxBytes)
	}
	if !utf8.Valid(raw) || !json.Valid(raw) {
		return nil, problem.InvalidField(field, "is not valid JSON in UTF-8")
	}
	var list []json.RawMessage
	if bytes.TrimSpace(raw)[0] != '[' || json.Unmarshal(raw, &list) != nil {
		return nil, problem.InvalidField(field, "must be a list of rules")
	}
	if len(list) > MaxRules {
		return nil, problem.InvalidField(field, "has more than %d rules", MaxRules)
	}
	p := &parser{options: options}
	set := &Set{on: map[string][]*Rule{}}
	for i, item := range list {
		set.add(p.rule(item, fmt.Sprintf("%s[%d]", field, i)))
	}
	if p.aggregates > MaxAggregates {
		p.checks.Add(field, "has more than %d aggregates in its conditions", MaxAggregates)
	}
	if err := p.checks.Err(); err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := json.Compact(&text, raw); err != nil {
		return nil, fmt.Errorf("rule: write a valid rule set: %w", err)
	}
	set.text = text.Bytes()
	return set, nil
}

func (s *Set) add(r *Rule) {
	s.rules = append(s.rules, r)
	for _, event := range r.On {
		s.on[event] = append(s.on[event], r)
	}
}

// parser notes all mistakes. What it has read means nothing once there is one.
type parser struct {
	options    Options
	checks     problem.Checks
	keys       []string
	aggregates int
}

var ruleFields = []string{
	"key", "on", "actor", "to", "once", "convert", "active", "if", "unless", "give", "do", "pick", "limit", "undo_on",
}

func (p *parser) rule(raw json.RawMessage, place string) *Rule {
	f, ok := readObject(raw, place, &p.checks, ruleFields...)
	if !ok {
		return &Rule{}
	}
	r := &Rule{Key: p.key(f), On: f.types("on"), Once: f.flag("once"), Convert: f.flag("convert")}
	f.require("on")
	r.Actor = f.role("actor", p.options.roles(Self, Referred, Referrer)...)
	r.To = f.role("to", p.options.roles(Self, Referrer, Referred, Partner)...)
	r.Active = p.active(f)
	r.Unless = p.unless(f)
	if f.has("if") {
		r.condition = p.condition(f.raw["if"], f.at("if"), rootsOf(p.options.roots()...))
		r.counts = countsOf(r.condition)
	}
	give, ok := f.object("give", giveFields...)
	if ok {
		r.Give = p.give(give)
	}
	r.Do = p.do(f)
	if !f.has("give") && !f.has("do") && !r.Convert {
		p.checks.Add(place, "does nothing: it must have give, do or convert")
	}
	if _, ok := f.oneOf("pick", "max"); ok {
		r.PickMax = true
		if !give.has("amount") {
			f.refuse("pick", "compares amounts, and the rule gives none")
		}
	}
	r.Limit = p.limit(f, give)
	r.UndoOn = p.undo(f)
	p.checkWorld(f, r)
	return r
}

func (p *parser) key(f fields) string {
	f.require("key")
	key, ok := f.text("key", keyPattern)
	if ok && slices.Contains(p.keys, key) {
		f.refuse("key", "is the key of a rule before this one, too")
	}
	p.keys = append(p.keys, key)
	return key
}

// types reads one type or a list of them.
func (f fields) types(name string) []string {
	if !f.has(name) {
		return nil
	}
	if !f.isList(name) {
		text, _ := f.text(name, typePattern)
		return []string{text}
	}
	list, _ := value(f.raw[name]).([]any)
	if len(list) == 0 || len(list) > MaxTypes {
		f.refuse(name, "must be a type or a list of 1 to %d types", MaxTypes)
		return nil
	}
	var types []string
	for i, item := range list {
		text, ok := item.(string)
		place := fmt.Sprintf("%s[%d]", name, i)
		switch {
		case !ok:
			f.refuse(place, "must be a string")
		case !typePattern.matches(text):
			f.refuse(place, "must be %s", typePattern.sentence)
		case slices.Contains(types, text):
			f.refuse(place, "is in the list before, too")
		}
		types = append(types, text)
	}
	return types
}

// role reads a role; the first is the default.
func (f fields) role(name string, roles ...Role) Role {
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = string(r)
	}
	if text, ok := f.oneOf(name, words...); ok {
		return Role(text)
	}
	return roles[0]
}

func (p *parser) active(f fields) Active {
	window, ok := f.object("active", "from", "until")
	if !ok {
		return Active{}
	}
	a := Active{window.instant("from"), window.instant("until")}
	if !window.has("from") && !window.has("until") {
		f.refuse("active", "must have from, until or both")
	}
	if !a.From.IsZero() && !a.Until.IsZero() && !a.From.Before(a.Until) {
		window.refuse("until", "must be after from")
	}
	return a
}

func (p *parser) unless(f fields) *Unless {
	wait, ok := f.object("unless", "event", "within")
	if !ok {
		return nil
	}
	wait.require("event")
	wait.require("within")
	event, _ := wait.text("event", typePattern)
	return &Unless{Event: event, Within: wait.duration("within")}
}

func (p *parser) do(f fields) map[string]json.RawMessage {
	if !f.has("do") {
		return nil
	}
	actions, ok := readObject(f.raw["do"], f.at("do"), &p.checks, p.options.Actions...)
	if !ok {
		return nil
	}
	if len(actions.raw) == 0 || len(actions.raw) > MaxActions {
		f.refuse("do", "must have 1 to %d actions", MaxActions)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(actions.raw)) {
		operand := actions.raw[name]
		switch {
		case !keyPattern.matches(name):
			f.refuse("do", "has an action whose name is not 1 to 64 characters of a-z, 0-9, - and _")
		case scalar(value(operand)) == nil || string(operand) == "null":
			actions.refuse(name, "must be a string, a number, true or false, of at most 1024 bytes")
		}
	}
	return actions.raw
}

func (p *parser) limit(f, give fields) *Limit {
	bound, ok := f.object("limit", "per", "count", "amount", "window", "over", "notify")
	if !ok {
		return nil
	}
	if !f.has("give") {
		f.refuse("limit", "bounds what is given, and the rule gives nothing")
	}
	bound.require("per")
	per, _ := bound.oneOf("per", string(PerPerson), string(PerProgram), string(PerTenant))
	l := &Limit{Per: Scope(per), Window: bound.window("window"), Over: Stop}
	l.Count, _ = bound.whole("count", 1, MaxAmount)
	l.Amount, _ = bound.whole("amount", 1, MaxAmount)
	if bound.has("count") == bound.has("amount") {
		f.refuse("limit", "must have either count or amount")
	}
	if bound.has("amount") && f.has("give") && !give.has("amount") {
		bound.refuse("amount", "bounds an amount, and the rule gives none")
	}
	if over, ok := bound.oneOf("over", string(Stop), string(Clamp)); ok {
		l.Over = Over(over)
	}
	if l.Over == Clamp && !bound.has("amount") {
		bound.refuse("over", "can only clamp an amount")
	}
	l.Notify, _ = bound.text("notify", wordPattern)
	return l
}

func (p *parser) undo(f fields) *Undo {
	undo, ok := f.object("undo_on", "event", "match")
	if !ok {
		return nil
	}
	undo.require("event")
	undo.require("match")
	event, _ := undo.text("event", typePattern)
	u := &Undo{Event: event}
	if undo.has("match") {
		u.match = p.condition(undo.raw["match"], undo.at("match"), matchRoots)
	}
	return u
}
