package db

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// maxReaders is how many reads of a file go on at once.
const maxReaders = 4

// readers hands out the connections that only read.
type readers struct {
	begin string        // how a snapshot is taken
	limit time.Duration // how long a read may take; 0: as long as its context
	idle  chan *conn    // closed with the database
	age   atomic.Int64  // counts the calls of renew
}

func newReaders(begin string, conns []*conn) *readers {
	r := &readers{begin: begin, idle: make(chan *conn, len(conns))}
	for _, c := range conns {
		r.idle <- c
	}
	return r
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
		r.idle <- c
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
	case c, ok := <-r.idle:
		if !ok {
			return nil, fmt.Errorf("%w: closed", ErrUnavailable)
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// renew closes the connections: those at rest now, those in use when they are
// given back.
func (r *readers) renew() {
	r.age.Add(1)
	for range cap(r.idle) {
		select {
		case c := <-r.idle:
			c.drop()
			r.idle <- c
		default:
			return
		}
	}
}

// close waits for the reads under way.
func (r *readers) close() error {
	conns := make([]*conn, cap(r.idle))
	for i := range conns {
		conns[i] = <-r.idle
	}
	close(r.idle)
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.release())
	}
	return errors.Join(errs...)
}
