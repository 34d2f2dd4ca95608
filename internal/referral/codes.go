package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// DisableCode has nobody be credited for a code any more, and its links lead nowhere.
// It stays taken, and what it led to stays. Repeating it changes nothing.
func (s *Service) DisableCode(ctx context.Context, tenant id.ID, text string) (Profile, Code, error) {
	return s.switchCode(ctx, tenant, text, toggle{audit.CodeDisabled, code.Deactivate})
}

// EnableCode takes DisableCode back.
func (s *Service) EnableCode(ctx context.Context, tenant id.ID, text string) (Profile, Code, error) {
	return s.switchCode(ctx, tenant, text, toggle{audit.CodeEnabled, code.Activate})
}

// toggle is one of both, and what it is called.
type toggle struct {
	action audit.Action
	do     func(tx *db.Tx, tenant id.ID, text string) (bool, error)
}

func (s *Service) switchCode(ctx context.Context, tenant id.ID, text string, t toggle) (Profile, Code, error) {
	_, found, err := s.PersonByCode(ctx, tenant, text)
	if err != nil {
		return Profile{}, Code{}, err
	}
	err = s.do(ctx, tenant, "code/"+code.Fold(text), func(c *fact.Command) error {
		changed, err := t.do(c.Tx(), tenant, text)
		if err != nil || !changed {
			return err
		}
		return audit.Write(ctx, c.Tx(), audit.Change{TenantID: tenant, Action: t.action, ObjectID: person.Kind.Format(found.PersonID)})
	})
	if err != nil {
		return Profile{}, Code{}, err
	}
	return s.PersonByCode(ctx, tenant, text)
}
