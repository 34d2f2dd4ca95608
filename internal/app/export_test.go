package app

// What tests of the whole server share with those of its parts.

// Told is an event with its data.
type Told = told

// ProgramRules give both sides something of each kind.
const ProgramRules = programRules

// The checks of events.
var (
	Schemas        = schemas
	WantValid      = wantValid
	WantPagesShape = wantPagesShape
)
