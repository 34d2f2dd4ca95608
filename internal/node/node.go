// Package node lets several servers share one database: it says which of them
// live, who of them does what only one may do, and tells each what the others have
// changed.
//
// # Lives and leases
//
// A running server is a node. Each life of one has a row with a number, which is
// never given twice, and with a lease in the database's clock, which the node
// renews five times over. Death takes effect by burial: once a lease has run out,
// any other node notes in the row that its node has left, and from then on nothing
// that the number owned is the node's any more. Renewal and burial are conditional
// updates of one row, so that one of them comes first and the other one sees it. A
// node that finds itself buried begins a new life with a new number.
//
// A node counts its lease from the moment in which a successful renewal began, by
// its own clocks, and so stops before others may bury it: see [Node.Alive]. That
// holds for a process that was stopped for a while, for an answer that came too
// late or never, and for a machine that slept. The others trust the database's
// clock, and mind where it leaps: a leap ahead lets nobody be buried before each
// has had the time to renew, and a lease that ends later than it can is shortened.
//
// A node that could not renew its own lease for half of it buries nobody: the
// others may have the same trouble. After an outage that was longer than the lease,
// whoever comes back first gives the others a quarter of a lease to do so too. A
// node that has just begun does not wait, since those before it may have been dead
// for long.
//
// # What others change
//
// A package that keeps something in memory counts up a revision in the transaction
// that changes it ([Node.Changed]) and registers what to do when another node has
// done so ([Node.Watch]). Every node reads the latest revisions with every renewal,
// so what is missed otherwise is known after a fifth of a lease.
//
// Hints make it faster. They are notifications of Postgres on a channel of their
// own, may be lost at any time, and carry nothing but where to look. When some may
// have been lost, a node tells everybody who relies on them ([Node.OnGap]); while
// it can't hear any, it does so with every renewal.
//
// A process that has its database to itself is alone: none of this takes place, and
// all methods work.
package node

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// DefaultLease is how long a node is believed to live after its last renewal.
const DefaultLease = 10 * time.Second

// Options are the settings of Join. DB is required.
type Options struct {
	DB    *db.DB
	Name  string        // what people see; empty: the host's name and the process's number
	Lease time.Duration // zero: DefaultLease. Nodes may have different ones

	// Listen is the URL of the Postgres server from which hints are heard. It needs
	// a connection of its own, which a pooler in transaction mode does not give.
	// Empty: none are heard, and what others change is seen by reading.
	Listen string

	// Force makes a node among nodes even of a process that has the database to
	// itself, so that tests can have several in one process.
	Force bool

	Logger  *slog.Logger          // nil: nothing is logged
	Metrics prometheus.Registerer // nil: nothing is measured
}

// Node is this process as one of those that share its database, from Join to Stop.
// All methods may be called concurrently.
type Node struct {
	db      *db.DB
	log     *slog.Logger
	name    string
	token   string // of the process, by which it knows its own messages
	lease   time.Duration
	alone   bool // the database is this process's own
	metrics *metrics

	life    atomic.Pointer[life]
	told    atomic.Int64 // the number of the life of which everybody was told
	stopped atomic.Bool

	mu         sync.Mutex
	membership Membership

	observers observers
	feed      *feed
	hints     *hints
	listener  *listener // nil: no hints are heard

	looks    chan struct{} // one token: somebody came or went
	stopping sync.Once
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// life is what a node last heard of its lease.
type life struct {
	number  int64
	renewed time.Time // when the renewal began
}

// Join makes this process a node and keeps it one until Stop. It returns once the
// node lives and knows the others, so what is read of the database afterwards is
// not older than what Watch and OnGap tell about. A process that has its database
// to itself is a node that is alone.
func Join(ctx context.Context, opts Options) (*Node, error) {
	n := &Node{
		db: opts.DB, log: opts.Logger, lease: cmp.Or(opts.Lease, DefaultLease), name: opts.Name,
		alone: !opts.DB.Shared() && !opts.Force,
		looks: make(chan struct{}, 1), token: rand.Text(),
	}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	if n.alone {
		n.membership = Membership{Members: []int64{0}}
		return n, nil
	}
	if n.name == "" {
		n.name = processName()
	}
	n.metrics = newMetrics(n, opts.Metrics)
	n.observers = newObservers()
	n.feed = newFeed()
	n.hints = newHints()
	if opts.Listen != "" {
		config, err := pgx.ParseConfig(opts.Listen)
		if err != nil { // which may show what was given
			return nil, errors.New("node: the URL to listen at is not one that Postgres's driver can read: it must look like postgres://USER:PASSWORD@HOST:5432/NAME")
		}
		n.listener = newListener(n, config)
	}
	b := &heartbeat{Node: n}
	if err := b.begin(ctx); err != nil {
		return nil, fmt.Errorf("node: join: %w", err)
	}
	n.start(b)
	return n, nil
}

func (n *Node) start(b *heartbeat) {
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.OnHint(nodesTopic, func(string) { n.wake() })
	n.OnHint(lookTopic, func(string) { n.missed() })
	n.OnHint(changedTopic, n.feed.hear)
	n.running.Go(func() { b.loop(ctx) })
	n.running.Go(func() { n.tell(ctx) })
	n.running.Go(func() { n.reportGaps(ctx) })
	n.running.Go(func() { n.feed.loop(ctx) })
	if n.db.Shared() {
		n.running.Go(func() { n.send(ctx) })
	}
	if n.listener != nil {
		n.running.Go(func() { n.listener.loop(ctx) })
	}
}

// processName is what people see of a node that was given no name.
func processName() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown"
	}
	return strings.ToValidUTF8(fmt.Sprintf("%s/%d", host, os.Getpid()), "?")
}

// Stop ends the node's life, so that others need not wait for its lease to run out.
// The caller has ended before what must not be done by two. Stop returns an error if
// that could not be noted before ctx ended: then the others wait. Once it was called
// the node is not alive any more. It may be called more than once.
func (n *Node) Stop(ctx context.Context) error {
	if n.alone {
		return nil
	}
	var err error
	n.stopping.Do(func() {
		n.stopped.Store(true)
		n.stop()
		ended := make(chan struct{})
		go func() {
			n.running.Wait()
			close(ended)
		}()
		select {
		case <-ended:
			err = n.leave(ctx)
		case <-ctx.Done():
			err = ctx.Err()
		}
	})
	if err != nil {
		return fmt.Errorf("node: leave: %w", err)
	}
	return nil
}

// leave notes that this life has ended, and tells the others.
func (n *Node) leave(ctx context.Context) error {
	left := make(chan error, 1)
	go func() { // what has begun ends with the deadline of ctx only
		left <- n.db.Write(ctx, func(tx *db.Tx) error {
			now, err := tx.ServerTime()
			if err != nil {
				return err
			}
			return end(tx, n.life.Load().number, now)
		})
	}()
	select {
	case err := <-left:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	n.Hint(nodesTopic, "")
	n.flush(ctx)
	return nil
}

// Alive reports whether this node may start something that no other one must do at
// the same time. It may not from the moment on in which others may bury it, nor in
// a new life before everybody was told of it (see OnMembership).
func (n *Node) Alive() bool {
	if n.alone {
		return true
	}
	l := n.life.Load()
	return l.number == n.told.Load() && !n.stopped.Load() && n.leased(l)
}

// leased reports whether a lease lasts. A process may have been stopped, which the
// monotonic clock shows, or its machine, which on many only the wall clock does.
func (n *Node) leased(l *life) bool { return n.left(l) > 0 }

// left is how much of a lease is left.
func (n *Node) left(l *life) time.Duration {
	now := time.Now()
	passed := max(now.Sub(l.renewed), now.Round(0).Sub(l.renewed.Round(0)))
	return n.lease - passed
}

// Membership returns which nodes live, as this one last saw it.
func (n *Node) Membership() Membership {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.membership
}

// OnMembership has fn called with the membership at once, and again after every
// change, one call after the other; changes that come while a call lasts are told
// together. When Self has changed this node was buried and has a new life: what it
// held is not its own any more, and until all calls have returned it is not alive.
// fn must not register another one.
func (n *Node) OnMembership(fn func(Membership)) {
	if n.alone {
		fn(n.membership)
		return
	}
	n.observers.register(fn)
}

// wake has the loop look who lives and what has changed.
func (n *Node) wake() { signal(n.looks) }

// missed says that hints may have been lost.
func (n *Node) missed() {
	n.wake()
	signal(n.observers.gaps)
}

// signal leaves a token for whoever waits, unless there is one already.
func signal(tokens chan<- struct{}) {
	select {
	case tokens <- struct{}{}:
	default:
	}
}
