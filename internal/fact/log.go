package fact

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// Reactor turns facts into effects. React gets each fact of each command, in their
// order, inside of the transaction; what it appends has that fact for its cause.
type Reactor interface {
	React(c *Command, f *Fact) error
}

// Sink is told of facts.
type Sink interface {
	// Prepare makes ready what telling needs, outside of any transaction.
	Prepare(ctx context.Context, tenant id.ID) (Teller, error)

	// Stale reports whether an error of a Teller says that what was made ready is
	// out of date: then the command is run again with what is now.
	Stale(err error) bool
}

// Teller tells of the facts of one command.
type Teller interface {
	Tell(c *Command, facts []*Fact) error
}

// Reversal is how facts of one type are taken back. Both run in the transaction of
// a command whose facts have the undoing for their cause.
type Reversal struct {
	// May refuses, with a problem that says what to undo instead, to take back a fact
	// that there is nothing to take back of: it is asked of the fact that an undoing is
	// about, not of what that led to. nil: any may be.
	May  func(c *Command, f *Fact) error
	Undo func(c *Command, f *Fact) error
	// Redo brings it about again, after the undoing was undone.
	Redo func(c *Command, f *Fact) error
}

// Options are what a Log needs. DB is required.
type Options struct {
	DB     *db.DB
	Sink   Sink         // nil: nobody is told
	Logger *slog.Logger // nil: nothing is logged
}

// Log runs commands. Reactors, reversals and handlers are registered before the
// first command; after that its methods may be called concurrently.
type Log struct {
	db        *db.DB
	sink      Sink
	log       *slog.Logger
	reactors  []Reactor
	reversals map[string]Reversal
	handlers  map[string]Handler
	aheads    []func(c *Command, due []timer.Timer) error
}

// New returns a Log.
func New(opts Options) *Log {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Sink == nil {
		opts.Sink = silence{}
	}
	return &Log{db: opts.DB, sink: opts.Sink, log: opts.Logger, reversals: make(map[string]Reversal), handlers: make(map[string]Handler)}
}

// React has a reactor get the facts of all commands, after those that were
// registered before it.
func (l *Log) React(r Reactor) { l.reactors = append(l.reactors, r) }

// Reverse says how facts of a type are taken back. What no reversal is known for
// has no effect of its own that would have to be.
func (l *Log) Reverse(factType string, r Reversal) { l.reversals[factType] = r }

// Order says whose a command is.
type Order struct {
	Tenant id.ID
	// Key is what commands queue by that would be in each other's way: mostly whom
	// the command is about. "": it is in nobody's way.
	Key   string
	Actor Actor // "": the one that the context has, or ByKey
}

// maxTries is how often a command is run while what it tells by goes out of date.
const maxTries = 10

// Do runs a command: one transaction in which fn does what it has to, reactors do
// what follows from it, and the sink is told. If fn, a reactor or the sink returns
// an error, nothing of it is kept. Like every closure of the database fn may run
// more than once.
func (l *Log) Do(ctx context.Context, o Order, fn func(c *Command) error) error {
	if o.Actor == "" {
		o.Actor = actorOf(ctx)
	}
	for range maxTries {
		teller, err := l.sink.Prepare(ctx, o.Tenant)
		if err != nil {
			return err
		}
		err = l.db.WriteKey(ctx, queueKey(o), func(tx *db.Tx) error {
			c := &Command{log: l, tx: tx, tenant: o.Tenant, actor: o.Actor, now: tx.Now()}
			if err := fn(c); err != nil {
				return err
			}
			return c.finish(teller)
		})
		if !l.sink.Stale(err) {
			return err
		}
	}
	return problem.Unavailable.New("the tenant's subscriptions change too often for their events to be matched meanwhile")
}

// queueKey keeps the keys of tenants apart. Commands without a key have none in
// common.
func queueKey(o Order) string {
	if o.Key == "" {
		return ""
	}
	return o.Tenant.String() + "/" + o.Key
}

// Handler does what a timer was set for. The command's Now is when the timer was
// due.
type Handler func(c *Command, t timer.Timer) error

// Handle says what is done when a timer of the kind is due.
func (l *Log) Handle(kind string, h Handler) { l.handlers[kind] = h }

// Ahead has fn called before the first of several timers is handled that are due, with
// all of them, in the same transaction: it may read at once what their handlers will
// need. Not all of them need be handled then.
func (l *Log) Ahead(fn func(c *Command, due []timer.Timer) error) { l.aheads = append(l.aheads, fn) }

// Execute runs due timers of one tenant, in their order, in one transaction; it is
// what a timer.Runner calls.
func (l *Log) Execute(ctx context.Context, tenant id.ID, due []timer.Timer) error {
	return l.Do(ctx, Order{Tenant: tenant, Key: "timers", Actor: ByTimer}, func(c *Command) error {
		ready := false
		return timer.Each(c.tx, due, func(t timer.Timer) error {
			if !ready {
				if err := l.lookAhead(c, due); err != nil {
					return err
				}
				ready = true
			}
			handle, ok := l.handlers[t.Kind]
			if !ok {
				return fmt.Errorf("fact: nobody handles timers of the kind %q", t.Kind)
			}
			c.now, c.cause = t.DueAt, id.ID{}
			if err := handle(c, t); err != nil {
				return err
			}
			return c.Settle()
		})
	})
}

func (l *Log) lookAhead(c *Command, due []timer.Timer) error {
	for _, fn := range l.aheads {
		if err := fn(c, due); err != nil {
			return err
		}
	}
	return nil
}

// silence is a Sink that tells nobody.
type silence struct{}

func (silence) Prepare(context.Context, id.ID) (Teller, error) { return silence{}, nil }
func (silence) Stale(error) bool                               { return false }
func (silence) Tell(*Command, []*Fact) error                   { return nil }

// Command is a transaction under way. It is valid only inside the function that
// got it, and for one goroutine.
type Command struct {
	log    *Log
	tx     *db.Tx
	tenant id.ID
	actor  Actor
	now    time.Time
	cause  id.ID

	facts   []*Fact
	reacted int   // how many of them the reactors have got
	latest  id.ID // what the next fact's id sorts after
}

// Tx is the transaction.
func (c *Command) Tx() *db.Tx { return c.tx }

// Tenant is whose command it is.
func (c *Command) Tenant() id.ID { return c.tenant }

// Now is when the command takes effect: the time at which a timer was due, or the
// time of the transaction.
func (c *Command) Now() time.Time { return c.now }

// Actor is who gave the command.
func (c *Command) Actor() Actor { return c.actor }

// Cause is the fact that what is appended now follows from; zero: there is none.
func (c *Command) Cause() id.ID { return c.cause }

// Because runs fn with the fact as the cause of what it appends.
func (c *Command) Because(of id.ID, fn func() error) error {
	before := c.cause
	c.cause = of
	err := fn()
	c.cause = before
	return err
}

// Follow has the facts that are appended from now on sort after something that came
// before them, be it that another process made its id, by a clock that is ahead.
func (c *Command) Follow(before id.ID) {
	if bytes.Compare(c.latest[:], before[:]) < 0 {
		c.latest = before
	}
}

// errNoSubject is a mistake of the program.
var errNoSubject = errors.New("fact: a fact must have a type and a subject")

// Append notes a fact. Its ID, tenant and times are filled in, and its cause and
// actor, unless they are given. Its ID sorts after its cause's and after those of the
// facts before it.
func (c *Command) Append(f Fact) (*Fact, error) {
	if f.Type == "" || f.Subject.Kind == "" {
		return nil, errNoSubject
	}
	if f.Cause.IsZero() {
		f.Cause = c.cause
	}
	c.Follow(f.Cause)
	f.ID, f.TenantID, f.At, f.RecordedAt = id.After(c.tx.Now(), c.latest), c.tenant, c.now, c.tx.Now()
	c.latest = f.ID
	if f.Actor == "" {
		f.Actor = c.actor
		if !f.Cause.IsZero() && f.Actor != ByTimer {
			f.Actor = ByRule
		}
	}
	if err := insert(c.tx, &f); err != nil {
		return nil, err
	}
	c.facts = append(c.facts, &f)
	return &f, nil
}

// maxFacts bounds what one command leads to: rules that feed each other must not
// go on for ever.
const maxFacts = 10_000

// Settle has the reactors get what was appended, and what they append, until
// nothing is left.
func (c *Command) Settle() error {
	before := c.cause
	defer func() { c.cause = before }()
	for c.reacted < len(c.facts) {
		f := c.facts[c.reacted]
		c.reacted++
		if c.reacted > maxFacts {
			return problem.Conflict.New("one command would lead to more than %d facts: rules lead to each other without end", maxFacts)
		}
		c.cause = f.ID
		for _, r := range c.log.reactors {
			if err := r.React(c, f); err != nil {
				return err
			}
		}
	}
	return nil
}

// Facts returns what was appended so far.
func (c *Command) Facts() []*Fact { return c.facts }

func (c *Command) finish(teller Teller) error {
	if err := c.Settle(); err != nil {
		return err
	}
	told := make([]*Fact, 0, len(c.facts))
	for _, f := range c.facts {
		if !f.untold {
			told = append(told, f)
		}
	}
	if len(told) == 0 {
		return nil
	}
	return teller.Tell(c, told)
}
