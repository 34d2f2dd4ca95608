package webhook

import (
	"context"
	"runtime"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// checking bounds how much is checked at once. The library notes everything that
// is wrong, which for data of nothing but mistakes takes hundreds of times the
// memory of the data. More checks than processors would not be done any sooner.
//
// What checks by a tenant's own schemas cost is up to the tenant. So a tenant has
// one of them at a time, and the checks by the catalogues that come with the program
// have turns of their own. The zero value is ready.
type checking struct {
	once      sync.Once
	catalogue chan struct{}
	own       chan struct{} // of all tenants

	mu      sync.Mutex
	tenants map[id.ID]*tenantTurn // that have a check or wait for one
}

type tenantTurn struct {
	turn  chan struct{}
	users int // who have it or wait for it
}

// turnFunc waits for a turn, or until the context ends, and returns the function that
// ends the turn.
type turnFunc func(ctx context.Context) (end func(), err error)

// begin is the turnFunc of checks by the catalogues.
func (c *checking) begin(ctx context.Context) (func(), error) {
	c.init()
	return take(ctx, c.catalogue)
}

// of returns the turnFunc of checks by a tenant's own schemas.
func (c *checking) of(tenant id.ID) turnFunc {
	return func(ctx context.Context) (func(), error) {
		c.init()
		first, leave := c.join(tenant)
		endFirst, err := take(ctx, first)
		if err != nil {
			leave()
			return nil, err
		}
		end, err := take(ctx, c.own) // last, so that who waits holds up nobody but its tenant
		if err != nil {
			endFirst()
			leave()
			return nil, err
		}
		return func() {
			end()
			endFirst()
			leave()
		}, nil
	}
}

func (c *checking) init() {
	c.once.Do(func() {
		c.catalogue = make(chan struct{}, runtime.GOMAXPROCS(0))
		c.own = make(chan struct{}, runtime.GOMAXPROCS(0))
		c.tenants = make(map[id.ID]*tenantTurn)
	})
}

// join returns the one turn of a tenant, and the function to call once it is no
// longer wanted.
func (c *checking) join(tenant id.ID) (chan struct{}, func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, known := c.tenants[tenant]
	if !known {
		t = &tenantTurn{turn: make(chan struct{}, 1)}
		c.tenants[tenant] = t
	}
	t.users++
	return t.turn, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if t.users--; t.users == 0 {
			delete(c.tenants, tenant)
		}
	}
}

func take(ctx context.Context, turns chan struct{}) (func(), error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case turns <- struct{}{}:
		return func() { <-turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
