package webhook

import (
	"context"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// index keeps what publishing needs of each tenant that publishes, such as its
// matcher. Each is loaded once: who asks for it meanwhile waits for it.
type index[T any] struct {
	mu      sync.Mutex
	tenants map[id.ID]*entry[T]
}

// entry is what was loaded, or the loading of it. The index's mutex guards its
// fields until it is ready; then they do not change any more.
type entry[T any] struct {
	ready  chan struct{} // closed when it is loaded or there is an error
	loaded *T            // nil: not yet, or it could not be loaded
	err    error
}

func newIndex[T any]() index[T] { return index[T]{tenants: make(map[id.ID]*entry[T])} }

// get returns what the tenant has, from load where it is missing. It was loaded
// by a reading that began after the last change that the index was told of
// before get was called. Where ctx ends first, get returns its error; the loading
// goes on for the others who wait, and for those who come next.
func (x *index[T]) get(ctx context.Context, tenant id.ID, load func(context.Context) (*T, error)) (*T, error) {
	e := x.entry(context.WithoutCancel(ctx), tenant, load)
	select {
	case <-e.ready:
		return e.loaded, e.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// entry returns the tenant's entry, and where there is none begins to load one.
func (x *index[T]) entry(ctx context.Context, tenant id.ID, load func(context.Context) (*T, error)) *entry[T] {
	x.mu.Lock()
	defer x.mu.Unlock()
	e, known := x.tenants[tenant]
	if known {
		return e
	}
	e = &entry[T]{ready: make(chan struct{})}
	x.tenants[tenant] = e
	go func() {
		loaded, err := load(ctx)
		x.mu.Lock()
		defer x.mu.Unlock()
		e.loaded, e.err = loaded, err
		close(e.ready)
		if err != nil && x.tenants[tenant] == e {
			delete(x.tenants, tenant)
		}
	}()
	return e
}

// changed forgets what the tenant has after a change of it; the zero ID stands
// for all tenants. Who waits for one that is being loaded gets it, and may find it
// out of date; who comes later does not.
func (x *index[T]) changed(tenant id.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if tenant.IsZero() {
		clear(x.tenants)
		return
	}
	delete(x.tenants, tenant)
}

// stale forgets what was found out of date. One that has taken its
// place, or is being loaded to do so, stays: of many who find the same one out of
// date the first has it loaded again, and the others wait for that.
func (x *index[T]) stale(tenant id.ID, loaded *T) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, known := x.tenants[tenant]; known && e.loaded == loaded {
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
