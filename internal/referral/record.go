package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// What somebody decides by hand leaves an audit entry with who it was. What people
// do, and what follows from it, has its facts.

// onRecord does something and writes the audit entry of it, unless it has changed
// nothing.
func onRecord(ctx context.Context, c *fact.Command, change audit.Change, do func() error) error {
	before := len(c.Facts())
	if err := do(); err != nil || len(c.Facts()) == before {
		return err
	}
	change.TenantID = c.Tenant()
	return audit.Write(ctx, c.Tx(), change)
}

func ofPerson(action audit.Action, of id.ID) audit.Change {
	return audit.Change{Action: action, ObjectID: person.Kind.Format(of)}
}

func ofReferral(action audit.Action, of id.ID) audit.Change {
	return audit.Change{Action: action, ObjectID: ReferralID.Format(of)}
}

// moderation is the entry of a decision about a referral that stands as it was.
func moderation(r *Referral, d Decision) audit.Change {
	change := ofReferral(audit.ReferralModerated, r.ID)
	for _, side := range []Side{ReferrerSide, ReferredSide} {
		if (d.Side == side || d.Side == BothSides) && r.decided(side) != d.To {
			change.Fields = append(change.Fields, audit.Field{Name: string(side), Before: string(r.decided(side)), After: string(d.To)})
		}
	}
	return change
}
