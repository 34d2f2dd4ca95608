package netguard

import (
	"sync"
	"time"
)

// origin is what connections are kept for.
type origin struct {
	secure bool
	host   string // as the URL writes it, with its port if it has one
	// What connections are made with besides; "": nothing. See Credentials.
	credentials string
}

// pool keeps idle connections. The one that became idle last is used first, so
// that those that are not needed grow old; the oldest goes when there are too
// many in all. One timer closes the ones that have been idle for too long.
type pool struct {
	most, mostPerHost int

	mu             sync.Mutex
	hosts          map[origin][]*conn // in the order in which they became idle; none is empty
	oldest, newest *conn              // a list of all of them, in the same order
	count          int
	sweeper        *time.Timer // nil if nothing is idle
	closing        bool        // until the next request
}

func newPool(most, mostPerHost int) *pool {
	return &pool{most: most, mostPerHost: mostPerHost, hosts: make(map[origin][]*conn)}
}

// take returns the connection to o that became idle last, or nil.
func (p *pool) take(o origin) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = false
	idle := p.hosts[o]
	if len(idle) == 0 {
		return nil
	}
	c := idle[len(idle)-1]
	p.remove(c)
	return c
}

// put keeps a connection, or closes it if there are too many.
func (p *pool) put(c *conn) {
	if excess := p.keep(c); excess != nil {
		excess.retire()
	}
}

// keep returns the connection that is one too many.
func (p *pool) keep(c *conn) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := p.hosts[c.origin]
	if p.closing || len(idle) >= p.mostPerHost {
		return c
	}
	c.idleSince = time.Now()
	p.hosts[c.origin] = append(idle, c)
	c.older = p.newest
	if p.newest != nil {
		p.newest.newer = c
	} else {
		p.oldest = c
	}
	p.newest = c
	p.count++
	if p.sweeper == nil {
		p.sweeper = time.AfterFunc(idleConnTimeout, p.sweep)
	}
	if p.count <= p.most {
		return nil
	}
	excess := p.oldest
	p.remove(excess)
	return excess
}

// remove takes out the oldest or the newest connection of its host.
func (p *pool) remove(c *conn) {
	idle := p.hosts[c.origin]
	last := len(idle) - 1
	if idle[last] != c {
		copy(idle, idle[1:])
	}
	idle[last] = nil
	if p.hosts[c.origin] = idle[:last]; last == 0 {
		delete(p.hosts, c.origin)
	}
	if c.older != nil {
		c.older.newer = c.newer
	} else {
		p.oldest = c.newer
	}
	if c.newer != nil {
		c.newer.older = c.older
	} else {
		p.newest = c.older
	}
	c.older, c.newer = nil, nil
	p.count--
}

// sweep closes what has been idle for too long, and comes again when the next
// one will have been.
func (p *pool) sweep() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sweeper == nil { // closeAll came first
		return
	}
	now := time.Now()
	for p.oldest != nil && now.Sub(p.oldest.idleSince) >= idleConnTimeout {
		c := p.oldest
		p.remove(c)
		c.retire()
	}
	if p.oldest == nil {
		p.sweeper = nil
		return
	}
	p.sweeper.Reset(p.oldest.idleSince.Add(idleConnTimeout).Sub(now))
}

func (p *pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
	if p.sweeper != nil {
		p.sweeper.Stop()
		p.sweeper = nil
	}
	for p.oldest != nil {
		c := p.oldest
		p.remove(c)
		c.retire()
	}
}
