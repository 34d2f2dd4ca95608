package webhook

import (
	"context"
	"errors"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// typesTopic is that of the types that tenants register.
const typesTopic = "event_type"

// typesChange forgets a tenant's types once tx is committed, and has the other
// processes forget them.
func (s *Service) typesChange(tx *db.Tx, tenant id.ID) error {
	tx.After(func() { s.types.changed(tenant) })
	if s.feed == nil {
		return nil
	}
	return s.feed.Changed(tx, typesTopic, tenant)
}

// typeSet is the types that a tenant has registered. It does not change, but for
// the schemas, which are compiled when they are first asked.
type typeSet struct {
	edition edition
	byName  map[string]*registeredType
}

// edition tells apart what a tenant has registered at different times. With each
// registration there is a version more, and without one there is an archived type
// more.
type edition struct{ versions, archived int64 }

type registeredType struct {
	source   []byte // empty: any data fits
	once     sync.Once
	compiled *boundedSchema
	err      error
}

func (t *registeredType) check(ctx context.Context, turn turnFunc, data []byte) ([]mistake, error) {
	if len(t.source) == 0 {
		return nil, nil
	}
	t.once.Do(func() { t.compiled, t.err = compileBounded(t.source) })
	if t.err != nil { // it was compiled before it was stored
		return []mistake{{message: "can't be checked: the schema of its type is damaged"}}, nil //nolint:nilerr // the publisher hears of it
	}
	return t.compiled.check(ctx, turn, data)
}

// registered returns the tenant's types as they were lately committed.
func (s *Service) registered(ctx context.Context, tenant id.ID) (*typeSet, error) {
	load := func(ctx context.Context) (*typeSet, error) {
		var set *typeSet
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			set, err = loadTypeSet(q, tenant)
			return err
		})
		return set, err
	}
	if s.feed != nil && !s.feed.Alive() {
		return load(ctx)
	}
	return s.types.get(ctx, tenant, load)
}

// errUnregistered says that the tenant wants its types registered, and this one is
// not.
var errUnregistered = errors.New("is not registered, as this tenant's events have to be: register it with grapevine event-type register, or POST /v1/event-types")

// checkRegistered checks an event against what the tenant has registered, if the
// tenant wants that. What is wrong goes to the checks.
func (s *Service) checkRegistered(ctx context.Context, tenant id.ID, e wire.Event, of publishing) error {
	wanted := e.Tenant.Settings.Of(standard.Checking)
	if e.Type == "" || wanted != standard.Checked && wanted != standard.Registered {
		return nil
	}
	found, err := s.askRegistered(ctx, tenant, e)
	if err == nil && !found.fits(wanted) {
		found, err = s.askAgain(ctx, tenant, e, found)
	}
	if err != nil {
		return err
	}
	if !found.known && wanted == standard.Registered {
		of.checks.AddError(of.prefix+"type", errUnregistered)
	}
	for _, m := range found.mistakes {
		of.checks.Add(of.prefix+"data"+m.path, "%s", m.message)
	}
	return nil
}

// answer is what registered types say of an event.
type answer struct {
	asked    *typeSet
	known    bool // the event's type is registered
	mistakes []mistake
}

func (a answer) fits(wanted string) bool {
	return len(a.mistakes) == 0 && (a.known || wanted != standard.Registered)
}

func (s *Service) askRegistered(ctx context.Context, tenant id.ID, e wire.Event) (answer, error) {
	types, err := s.registered(ctx, tenant)
	if err != nil {
		return answer{}, err
	}
	t, known := types.byName[e.Type]
	if !known {
		return answer{asked: types}, nil
	}
	mistakes, err := t.check(ctx, s.schemas.checking.of(tenant), e.Data)
	return answer{asked: types, known: true, mistakes: mistakes}, err
}

// askAgain answers anew where another process has changed the tenant's types since
// those were loaded that were asked: what it has just registered is not to be
// refused.
func (s *Service) askAgain(ctx context.Context, tenant id.ID, e wire.Event, before answer) (answer, error) {
	if s.feed == nil {
		return before, nil
	}
	var now edition
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		now, err = selectEdition(q, tenant)
		return err
	})
	if err != nil || now == before.asked.edition {
		return before, err
	}
	s.types.stale(tenant, before.asked)
	return s.askRegistered(ctx, tenant, e)
}
