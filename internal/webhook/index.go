package webhook

import (
	"context"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// matcher finds the subscriptions of one tenant that want an event, as they were
// at one version. It does not change.
type matcher struct {
	version int64
	byType  map[matchKey][]*Subscription // AllTypes under that name
}

type matchKey struct{ dialect, eventType string }

func newMatcher(version int64, subs []*Subscription) *matcher {
	m := &matcher{version: version, byType: make(map[matchKey][]*Subscription)}
	for _, sub := range subs {
		for _, t := range sub.EventTypes {
			key := matchKey{sub.Dialect.Name(), t}
			m.byType[key] = append(m.byType[key], sub)
		}
	}
	return m
}

// match returns the subscriptions, disabled ones included, that want events of
// the type. The slices are the matcher's own.
func (m *matcher) match(dialect, eventType string) [2][]*Subscription {
	return [2][]*Subscription{m.byType[matchKey{dialect, AllTypes}], m.byType[matchKey{dialect, eventType}]}
}

// index keeps the matchers of the tenants that publish. Each is loaded once: who
// asks for it meanwhile waits for it.
type index struct {
	mu      sync.Mutex
	tenants map[id.ID]*entry
}

// entry is a matcher, or the loading of one. The index's mutex guards its fields
// until it is ready; then they do not change any more.
type entry struct {
	ready   chan struct{} // closed when there is a matcher or an error
	matcher *matcher      // nil: not yet, or it could not be loaded
	err     error
}

// get returns the tenant's matcher, from load where it is missing. It was loaded
// by a reading that began after the last change that the index was told of
// before get was called. Where ctx ends first, get returns its error; the loading
// goes on for the others who wait, and for those who come next.
func (x *index) get(ctx context.Context, tenant id.ID, load func(context.Context) (*matcher, error)) (*matcher, error) {
	e := x.entry(context.WithoutCancel(ctx), tenant, load)
	select {
	case <-e.ready:
		return e.matcher, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// entry returns the tenant's entry, and where there is none begins to load one.
func (x *index) entry(ctx context.Context, tenant id.ID, load func(context.Context) (*matcher, error)) *entry {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, known := x.tenants[tenant]
	if known {
		return e
	}
	e = &entry{ready: make(chan struct{})}
	x.tenants[tenant] = e
	go func() {
		m, err := load(ctx)
		x.mu.Lock()
		defer x.mu.Unlock()
		e.matcher, e.err = m, err
		close(e.ready)
		if err != nil && x.tenants[tenant] == e {
			delete(x.tenants, tenant)
		}
	}()
	return e
}

// changed forgets the tenant's matcher after a change of its subscriptions. Who
// waits for one that is being loaded gets it, and may find it out of date; who
// comes later does not.
func (x *index) changed(tenant id.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.tenants, tenant)
}

// stale forgets a matcher that was found out of date. One that has taken its
// place, or is being loaded to do so, stays: of many who find the same one out of
// date the first has it loaded again, and the others wait for that.
func (x *index) stale(tenant id.ID, m *matcher) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, known := x.tenants[tenant]; known && e.matcher == m {
		delete(x.tenants, tenant)
	}
}

// matcher returns the tenant's matcher as it was lately committed.
func (s *Service) matcher(ctx context.Context, tenant id.ID) (*matcher, error) {
	return s.index.get(ctx, tenant, func(ctx context.Context) (*matcher, error) {
		var m *matcher
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			m, err = s.loadMatcher(q, tenant)
			return err
		})
		return m, err
	})
}

func (s *Service) loadMatcher(q db.Queryer, tenant id.ID) (*matcher, error) {
	version, err := selectVersion(q, tenant)
	if err != nil {
		return nil, err
	}
	subs, err := s.listSubscriptions(q, tenant, id.ID{}, -1)
	if err != nil {
		return nil, err
	}
	return newMatcher(version, subs), nil
}
