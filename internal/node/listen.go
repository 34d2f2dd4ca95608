package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	firstBackOff   = 100 * time.Millisecond
	longestBackOff = 5 * time.Second
)

// listener is a connection on which a node hears hints. It counts as working only once
// something was heard on it: every node sends itself a message with each renewal, by
// the way that hints take, so silence means that the connection is dead, or goes
// through a pooler that gives it to others.
type listener struct {
	node   *Node
	config *pgx.ConnConfig
	works  atomic.Bool
}

func newListener(n *Node, config *pgx.ConnConfig) *listener {
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "grapevine hints"
	}
	return &listener{node: n, config: config}
}

// hears reports whether hints are heard.
func (l *listener) hears() bool { return l.works.Load() }

// loop listens until ctx ends, on one connection after the other.
func (l *listener) loop(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; failures++ {
		err := l.listen(ctx)
		if ctx.Err() != nil {
			return
		}
		if l.works.Swap(false) {
			failures = 0
		}
		if failures == 0 {
			l.node.log.WarnContext(ctx, "hints_lost", slog.String("error", err.Error()))
		}
		rest(ctx, backOff(failures))
	}
}

// listen hears hints on one connection until it fails.
func (l *listener) listen(ctx context.Context) error {
	silence := l.node.lease * 3 / beatsPerLease
	conn, err := l.connect(ctx, min(silence, longestBackOff))
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintPause)
		defer cancel()
		_ = conn.Close(ctx) // it is given up in any case
	}()
	l.node.hints.ping()
	for until := time.Now().Add(silence); ; {
		text, err := hear(ctx, conn, time.Until(until))
		if err != nil {
			return err
		}
		if !l.node.receive(text) { // others may be heard where this node is not
			continue
		}
		until = time.Now().Add(silence)
		if !l.works.Swap(true) {
			l.node.log.InfoContext(ctx, "hints_connected")
			l.node.missed()
		}
	}
}

func (l *listener) connect(ctx context.Context, within time.Duration) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, l.config)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `LISTEN `+channel); err != nil {
		_ = conn.Close(ctx)
		return nil, err
	}
	return conn, nil
}

// hear waits for the next notification.
func hear(ctx context.Context, conn *pgx.Conn, silence time.Duration) (string, error) {
	within, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	notification, err := conn.WaitForNotification(within)
	if err != nil && errors.Is(within.Err(), context.DeadlineExceeded) {
		return "", fmt.Errorf("nothing was heard for %s, not even what this node sends to itself: does the URL lead to a pooler in transaction mode?", silence)
	}
	if err != nil {
		return "", err
	}
	return notification.Payload, nil
}

// backOff is how long to wait after so many failures in a row, at random, so that
// nodes do not come back all at once.
func backOff(failures int) time.Duration {
	wait := min(firstBackOff<<min(failures, 10), longestBackOff)
	return wait/2 + rand.N(wait/2) //nolint:gosec // jitter
}
