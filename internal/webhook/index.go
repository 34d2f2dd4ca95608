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

// index keeps the matchers of the tenants that publish.
type index struct {
	mu      sync.RWMutex
	tenants map[id.ID]*matcher
}

func (x *index) get(tenant id.ID) *matcher {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.tenants[tenant]
}

// put keeps m unless a newer one is there.
func (x *index) put(tenant id.ID, m *matcher) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.tenants[tenant]; old == nil || old.version < m.version {
		x.tenants[tenant] = m
	}
}

func (x *index) drop(tenant id.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.tenants, tenant)
}

// matcher returns the tenant's matcher as it was lately committed.
func (s *Service) matcher(ctx context.Context, tenant id.ID) (*matcher, error) {
	if m := s.index.get(tenant); m != nil {
		return m, nil
	}
	var m *matcher
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		m, err = s.loadMatcher(q, tenant)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.index.put(tenant, m)
	return m, nil
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
