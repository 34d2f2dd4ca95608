package message

import (
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// What the templates of one command may take in all. One command may write to
// thousands of people, and nobody else can write to the database meanwhile.
const (
	maxStepsOfAll = 500_000  // a second or two where all of them are in HTML, which escapes
	maxMadeOfAll  = 16 << 20 // bytes, which are stored as a message, as a fact and in events
)

// errSpent is why a message is not made by the tenant's template.
var errSpent = errors.New("the messages of one call take too many steps, or make too much text, together; this one came after")

// allowance is what is left of that.
type allowance struct{ steps, made int }

func newAllowance() *allowance { return &allowance{maxStepsOfAll, maxMadeOfAll} }

// spend takes all that is left, and returns why the text is not made.
func (a *allowance) spend(t *text) error {
	*a = allowance{}
	return fmt.Errorf("%s: %w", t.tree.Name, errSpent)
}

// allowanceKey is what a command's allowance is kept under.
type allowanceKey struct{}

func allowanceOf(tx *db.Tx) *allowance {
	if left, ok := tx.Kept(allowanceKey{}).(*allowance); ok {
		return left
	}
	left := newAllowance()
	tx.Keep(allowanceKey{}, left)
	return left
}
