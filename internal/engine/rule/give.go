package rule

import (
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/condition"
)

// Kind is what a rule gives.
type Kind string

// The kinds, and which fields of give each takes beside name and source. A field
// in brackets may be left out.
const (
	Points     Kind = "points"     // amount, [unit], [pending], [expires]
	Credit     Kind = "credit"     // amount, unit, [pending], [expires]
	Percent    Kind = "percent"    // amount: 1 to 10000 basis points, [pending], [expires]
	Coupon     Kind = "coupon"     // def: which coupon, [pending], [expires]
	CodePool   Kind = "code_pool"  // def: which pool, [pending], [expires]
	Webhook    Kind = "webhook"    // [amount], [unit], [def], [pending], [expires]
	Commission Kind = "commission" // amount, [unit], [hold], [for]
	Score      Kind = "score"      // amount, which may be negative
)

// Give is a reward. Name and Source are for people and dialects: what it is called,
// and what it is for.
type Give struct {
	Kind    Kind
	Amount  Amount
	Unit    string // empty: the program's
	Name    string
	Source  string
	Def     string
	Pending Duration // until it becomes available; of a commission, written hold
	Expires Duration // from when it became available
	For     Duration // how long a relation earns commissions, from its start
}

// Amount is how much is given: so many, written as a whole number, or a part of what
// stands at a path, {"pct_bp":500,"of":"event.total","min":1,"max":1000}, of which
// min and max may be left out. See [ShareOf] for how that is rounded.
type Amount struct {
	Fixed       int64
	BasisPoints int64 // of what stands at the path; 0: Fixed is meant
	Of          string
	Min, Max    *int64 // what the part is brought up or down to; nil: no bound

	of condition.Path
}

// fields of give that a kind takes or needs.
type kindFields struct {
	kind       Kind
	needs, may []string
	low, high  int64 // of a fixed amount; zero: there is none
	computed   bool  // the amount may be a part of something
	signed     bool  // which may be negative
}

var rewardTimes = []string{"pending", "expires"}

// kinds are all that there are.
var kinds = []kindFields{
	{kind: Points, needs: []string{"amount"}, may: append([]string{"unit"}, rewardTimes...), low: 1, high: MaxAmount, computed: true},
	{kind: Credit, needs: []string{"amount", "unit"}, may: rewardTimes, low: 1, high: MaxAmount, computed: true},
	{kind: Percent, needs: []string{"amount"}, may: rewardTimes, low: 1, high: hundredPercent},
	{kind: Coupon, needs: []string{"def"}, may: rewardTimes},
	{kind: CodePool, needs: []string{"def"}, may: rewardTimes},
	{kind: Webhook, may: append([]string{"amount", "unit", "def"}, rewardTimes...), low: 1, high: MaxAmount, computed: true},
	{kind: Commission, needs: []string{"amount"}, may: []string{"unit", "hold", "for"}, low: 1, high: MaxAmount, computed: true},
	{kind: Score, needs: []string{"amount"}, low: -MaxAmount, high: MaxAmount, computed: true, signed: true},
}

// fieldsOf returns what a kind takes. The kind is one of them.
func fieldsOf(kind Kind) kindFields {
	return kinds[slices.IndexFunc(kinds, func(k kindFields) bool { return k.kind == kind })]
}

// takes reports whether a field of give belongs to the kind.
func (k kindFields) takes(field string) bool {
	return slices.Contains([]string{"kind", "name", "source"}, field) ||
		slices.Contains(k.needs, field) || slices.Contains(k.may, field)
}

var giveFields = []string{"kind", "amount", "unit", "name", "source", "def", "pending", "expires", "hold", "for"}

// give reads a reward. A mistake is noted, and what is returned then means nothing.
func (p *parser) give(f fields) *Give {
	kind, ok := f.oneOf("kind", p.kindNames()...)
	if !ok {
		f.require("kind")
		return nil
	}
	of := fieldsOf(Kind(kind))
	for _, name := range of.needs {
		f.require(name)
	}
	for _, name := range giveFields {
		if f.has(name) && !of.takes(name) {
			f.refuse(name, "does not belong to %s: %s", kind, of.sentence())
		}
	}
	g := &Give{Kind: Kind(kind), Amount: p.amount(f, of)}
	g.Unit, _ = f.text("unit", unitPattern)
	g.Name, _ = f.text("name", anyText)
	g.Source, _ = f.text("source", wordPattern)
	g.Def, _ = f.text("def", wordPattern)
	g.Pending = f.duration("pending")
	if of.kind == Commission {
		g.Pending = f.duration("hold")
	}
	g.Expires = f.duration("expires")
	g.For = f.duration("for")
	return g
}

// kindNames are the kinds that the program can give.
func (p *parser) kindNames() []string {
	var names []string
	for _, k := range kinds {
		if p.options.Kinds == nil || slices.Contains(p.options.Kinds, k.kind) {
			names = append(names, string(k.kind))
		}
	}
	return names
}

// sentence says which fields the kind takes.
func (k kindFields) sentence() string {
	all := slices.Concat(k.needs, k.may, []string{"name", "source"})
	return "it takes " + strings.Join(all, ", ")
}

// amount reads how much is given. There may be none where the kind does not need it.
func (p *parser) amount(f fields, of kindFields) Amount {
	if !f.has("amount") || of.high == 0 {
		return Amount{}
	}
	if !f.isObject("amount") {
		n, ok := f.whole("amount", of.low, of.high)
		if ok && n == 0 {
			f.refuse("amount", "must not be 0")
		}
		return Amount{Fixed: n}
	}
	if !of.computed {
		f.refuse("amount", "must be a whole number of basis points from %d to %d", of.low, of.high)
		return Amount{}
	}
	part, ok := f.object("amount", "pct_bp", "of", "min", "max")
	if !ok {
		return Amount{}
	}
	return part.part(rootsOf(p.options.amountRoots()...))
}

// part reads an amount that is a part of something.
func (f fields) part(roots condition.Vocabulary) Amount {
	f.require("pct_bp")
	f.require("of")
	var a Amount
	a.BasisPoints, _ = f.whole("pct_bp", 1, maxBasisPoints)
	a.Min, a.Max = f.bound("min"), f.bound("max")
	if a.Min != nil && a.Max != nil && *a.Min > *a.Max {
		f.refuse("min", "must not be above max")
	}
	text, ok := f.text("of", anyText)
	if !ok {
		return a
	}
	path, err := readPath(text, roots)
	if err != nil {
		f.refuse("of", "%s", err)
		return a
	}
	a.Of, a.of = text, path
	return a
}

func (f fields) bound(name string) *int64 {
	n, ok := f.whole(name, -MaxAmount, MaxAmount)
	if !ok {
		return nil
	}
	return &n
}
