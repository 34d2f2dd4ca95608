package tenant

import (
	"maps"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// principals keeps who stands behind the keys that were used of late. It holds
// at most limit entries and forgets all of them when it is full, which costs
// each key in use one more read.
//
// An entry that is loaded while something changes could be of before the change
// and be kept after it. So each change begins a new generation, and an entry is
// kept only if none began since its loading did.
type principals struct {
	limit int

	mu         sync.RWMutex
	entries    map[hash]*entry
	generation uint64
}

// entry is a key's principal. The hash is the key's as the database has it.
type entry struct {
	hash      hash
	principal Principal
}

func newPrincipals(limit int) *principals {
	return &principals{limit: limit, entries: make(map[hash]*entry)}
}

// get returns the entry of the key with the hash, or nil.
func (p *principals) get(h hash) *entry {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.entries[h]
}

// load calls read and keeps what it returns, unless drop was called meanwhile.
func (p *principals) load(read func() (*entry, error)) (*entry, error) {
	p.mu.RLock()
	began := p.generation
	p.mu.RUnlock()

	e, err := read()
	if err != nil {
		return nil, err
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	if p.generation != began {
		return e, nil // right when it was read, and that is all that is known
	}
	if len(p.entries) >= p.limit {
		clear(p.entries)
	}
	p.entries[e.hash] = e
	return e, nil
}

// drop forgets the keys of the tenant.
func (p *principals) drop(tenant id.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.generation++
	maps.DeleteFunc(p.entries, func(_ hash, e *entry) bool { return e.principal.Tenant.ID == tenant })
}
