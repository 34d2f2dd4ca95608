// Package wiretest is the conformance suite of the wire dialects: what every
// [wire.Dialect] has to keep for the sender to work, and for receivers to be
// able to verify what they get. A dialect has tests of its own besides, for what
// its source page fixes.
//
// Two judges are not ours. A library for JSON Schema says whether the samples of a
// catalogue are what its schemas describe, and node, where it is installed, whether
// a body stays the same when JavaScript parses it and writes it again.
package wiretest

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// marker stands in what is refused, and must be in no error.
const marker = "hunter2"

// at is the time of everything here; the dialects know no other.
var at = time.Date(2026, 2, 3, 4, 5, 6, 789_012_000, time.UTC)

// A check is a rule of the contract.
type check struct {
	name  string
	check func(t testing.TB, d wire.Dialect)
}

// always are the rules for every dialect.
var always = []check{
	{"the name is a word", checkName},
	{"the settings have values to choose from", checkSettings},
	{"the entries of the catalogue are described", checkCatalogue},
	{"the samples of the catalogue are valid", checkSamples},
	{"the fields accept what is right and refuse nonsense", checkFields},
	{"the test event is of the catalogue and valid", checkTestEvent},
	{"a name of the catalogue resolves to itself", checkResolve},
	{"an event type of no form is refused and not repeated", checkBadTypes},
	{"data is written compactly or refused and not repeated", checkCompact},
	{"a body is stable compact JSON", checkBodies},
	{"a body is taken apart again", checkDecode},
	{"JavaScript writes a body as it was", checkJavaScript},
	{"a signature covers the body and is made the same again", checkSignatures},
	{"the reserved headers are those that are set", checkHeaders},
	{"every answer has a verdict", checkJudge},
	{"the schedule and the timeout are within bounds", checkSchedule},
}

// signing are the rules by what a dialect signs with.
var signing = map[wire.Signing][]check{
	wire.BySecret: {
		{"a made secret signs", checkSecrets},
		{"a bad secret is refused and not repeated", checkBadSecrets},
		{"in a rotation no secret is in a header", checkRotation},
	},
	wire.ByKey: {
		{"the tenant's key signs and no other", checkKeys},
		{"without a key there is no signer", checkNoKey},
	},
	wire.Unsigned: {
		{"a signer needs nothing", checkUnsigned},
	},
}

// Run runs the suite over a dialect.
func Run(t *testing.T, d wire.Dialect) {
	bySigning, ok := signing[d.Signing()]
	if !ok {
		t.Errorf("it signs by %q", d.Signing())
	}
	for _, checks := range [][]check{always, bySigning} {
		for _, c := range checks {
			t.Run(c.name, func(t *testing.T) { c.check(t, d) })
		}
	}
}

const (
	lowerCase = "abcdefghijklmnopqrstuvwxyz"
	digits    = "0123456789"
)

// isOf reports whether a word is of these characters.
func isOf(word, set string) bool { return word != "" && strings.Trim(word, set) == "" }

func checkName(t testing.TB, d wire.Dialect) {
	if name := d.Name(); !isOf(name, lowerCase+digits) {
		t.Errorf("the name is %q", name)
	}
}
