package person

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// kept is under what a command keeps somebody whom it does not change.
type kept id.ID

// Now returns somebody as the command has left them so far, or problem.NotFound. Whom
// it has changed its facts have; whom it has read once it keeps.
func Now(c *fact.Command, of id.ID) (*Person, error) {
	for _, f := range slices.Backward(c.Facts()) {
		if p, ok := f.Data.(*Person); ok && p.ID == of {
			return p, nil
		}
	}
	if p, ok := c.Tx().Kept(kept(of)).(*Person); ok {
		return p, nil
	}
	p, err := Get(c.Tx(), c.Tenant(), of)
	if err == nil {
		c.Tx().Keep(kept(of), p)
	}
	return p, err
}
