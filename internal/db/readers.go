package db

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// maxReaders is how many reads of a file go on at once.
const maxReaders = 4

// readers hands out the connections that only read: of those at rest the one that
// was used last, which has the most of the database at hand.
type readers struct {
	begin string        // how a snapshot is taken
	limit time.Duration // how long a read may take; 0: as long as its context
	free  chan struct{} // holds one for each connection at rest; closed with the database
	age   atomic.Int64  // counts the calls of renew

	mu   sync.Mutex
	rest []*conn // at rest, the one that was used last at the end
}

func newReaders(begin string, conns []*conn) *readers {
	r := &readers{begin: begin, free: make(chan struct{}, len(conns))}
	for _, c := range conns {
		r.give(c)
	}
	return r
}

// give lays a connection to rest.
func (r *readers) give(c *conn) {
	r.mu.Lock()
	r.rest = append(r.rest, c)
	r.mu.Unlock()
	r.free <- struct{}{}
}

// pick returns a connection at rest, for whoever has received from free.
func (r *readers) pick() *conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.rest) - 1
	c := r.rest[last]
	r.rest = r.rest[:last]
	return c
}

func (r *readers) read(ctx context.Context, fn func(Queryer) error) error {
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	age := r.age.Load()
	defer func() {
		if r.age.Load() != age {
			c.drop()
		}
		r.give(c)
	}()
	if r.limit > 0 {
		limited, cancel := context.WithTimeout(ctx, r.limit)
		defer cancel()
		ctx = limited
	}
	if err := c.begin(ctx, r.begin); err != nil {
		return err
	}
	s := &scope{ctx: ctx, conn: c}
	defer func() {
		// Whatever came of it, the next reader starts clean.
		if err := s.end(); errors.Is(err, ErrUnavailable) {
			c.drop()
			return
		}
		c.rollback()
	}()
	if err := fn(s); err != nil {
		return classify(err)
	}
	s.close()
	return s.err
}

func (r *readers) take(ctx context.Context) (*conn, error) {
	select {
	case _, ok := <-r.free:
		if !ok {
			return nil, fmt.Errorf("%w: closed", ErrUnavailable)
		}
		return r.pick(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renew closes the connections: those at rest now, those in use when they are
// given back.
func (r *readers) renew() {
	r.age.Add(1)
	for _, c := range r.takeRest() {
		c.drop()
		r.give(c)
	}
}

// takeRest returns the connections at rest, as if they were in use.
func (r *readers) takeRest() []*conn {
	var conns []*conn
	for {
		select {
		case _, ok := <-r.free:
			if !ok {
				return nil
			}
			conns = append(conns, r.pick())
		default:
			return conns
		}
	}
}

// close waits for the reads under way.
func (r *readers) close() error {
	var errs []error
	for range cap(r.free) {
		<-r.free
		errs = append(errs, r.pick().release())
	}
	close(r.free)
	return errors.Join(errs...)
}
