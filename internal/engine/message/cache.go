package message

import (
	"container/list"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// maxCached is how large the themes are, as they are stored, that are kept parsed.
// Parsed they take about ten times as much.
const maxCached = 8 << 20

// versionOf names a version of a tenant's theme.
type versionOf struct {
	tenant  id.ID
	version string
}

// cache keeps the themes that were used last. Versions don't change, so nobody has
// to be told of anything.
type cache struct {
	most int

	mu   sync.Mutex
	size int
	used *list.List // of *cached, the last used first
	all  map[versionOf]*list.Element
}

// cached is a theme in the cache.
type cached struct {
	at    versionOf
	theme *theme
	size  int
}

func newCache(most int) *cache {
	return &cache{most: most, used: list.New(), all: map[versionOf]*list.Element{}}
}

// get returns a theme, or nil.
func (c *cache) get(at versionOf) *theme {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.all[at]
	if !ok {
		return nil
	}
	c.used.MoveToFront(found)
	return found.Value.(*cached).theme //nolint:forcetypeassert // the list holds nothing else
}

// put keeps a theme, in the place of those that have rested longest.
func (c *cache) put(at versionOf, t *theme, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.all[at]; ok {
		return
	}
	c.all[at] = c.used.PushFront(&cached{at, t, size})
	c.size += size
	for c.size > c.most && c.used.Len() > 1 {
		oldest := c.used.Remove(c.used.Back()).(*cached) //nolint:forcetypeassert // as above
		delete(c.all, oldest.at)
		c.size -= oldest.size
	}
}
