package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
)

// maxReaders is how many reads go on at once.
const maxReaders = 4

// readers hands out the connections that only read.
type readers struct {
	pool *sql.DB
	idle chan *conn   // closed with the database
	age  atomic.Int64 // counts the calls of renew
}

func newReaders(pool *sql.DB) *readers {
	pool.SetMaxOpenConns(maxReaders)
	r := &readers{pool: pool, idle: make(chan *conn, maxReaders)}
	for range maxReaders {
		r.idle <- &conn{pool: pool}
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
	if err := c.begin(ctx, "BEGIN"); err != nil {
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
	for range maxReaders {
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
	conns := make([]*conn, maxReaders)
	for i := range conns {
		conns[i] = <-r.idle
	}
	close(r.idle)
	var errs []error
	for _, c := range conns {
		errs = append(errs, c.release())
	}
	return errors.Join(append(errs, r.pool.Close())...)
}
