// Package webhook owns events, subscriptions, deliveries and attempts: their
// records, which event goes to which subscription, and what became of it.
//
// An event commits together with one delivery for each subscription that
// matches it, and the delivery table is the queue: there is none beside it. A
// [Sender] is told after each commit what there is to send, reads what it was
// not told through [Service.Due], and reports each attempt through
// [Service.Record]. An outcome decides a delivery's fate only while nobody has
// intervened since the attempt began (see Job.Epoch).
//
// A subscription that is disabled or deleted is so from the commit on: whoever
// publishes later finds it so, since an event is inserted only while the
// tenant's subscriptions have the version that it was matched against.
package webhook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Sender sends what is due. Its methods are called after commits, in the order
// of the commits; they must return at once and not write.
type Sender interface {
	// Takes says what becomes of a delivery to a subscription that is about to be
	// stored. It is asked only where several nodes share the database.
	Takes(sub *Subscription) Taking
	// Accepted tells of new deliveries whose first attempt is due now, and which
	// nobody else sends.
	Accepted(jobs []Job)
	// Changed tells of a subscription that was changed, enabled, disabled or
	// deleted.
	Changed(sub *Subscription)
	// Intervened tells that somebody decided by hand what becomes of an event's
	// delivery to a subscription: what waits of it in memory is out of date, and
	// it may be due now.
	Intervened(sub *Subscription, event id.ID)
	// Refilled tells that deliveries to a subscription have become due in the
	// table that nothing else was told of.
	Refilled(sub *Subscription)
	// Heard tells how an endpoint fares as another node has stored it.
	Heard(sub *Subscription)
	// Resume tells which subscriptions have something to send or are not well, after
	// something may have been missed.
	Resume(waiting []*Subscription)
}

// Taking is what becomes of a delivery that is stored.
type Taking int

// What may become of it.
const (
	Elsewhere Taking = iota // another node sends to its subscription
	Waits                   // there is no room now; whoever has some sends it
	Taken                   // this node sends it
)

// Node is this process as one of those that share the database. See the package
// node for what its methods promise.
type Node interface {
	db.Feed
	Membership() node.Membership
	Hint(topic, payload string)
	OnHint(topic string, fn func(payload string))
	OnGap(fn func())
}

// IdentifyFunc returns how a tenant speaks a dialect, as it is now: the same
// pointer until something about it changes. The error is a problem where the
// tenant does not speak the dialect.
type IdentifyFunc func(ctx context.Context, tenant id.ID, dialect string) (*wire.Identity, error)

// Attempter makes one request.
type Attempter interface {
	// Attempt sends a message to the subscription's endpoint and says what
	// came of it. It returns within the subscription's timeout.
	Attempt(ctx context.Context, sub *Subscription, msg wire.Message, traceparent string) Attempt
}

// Options are what a Service needs. All but the handshake, the jobs, the limits
// and the logger are required.
type Options struct {
	DB        *db.DB
	Box       *secret.Box
	CheckURL  func(ctx context.Context, raw string) error // see netguard.Guard.CheckURL
	Identify  IdentifyFunc
	Attempter Attempter
	Handshake HandshakeFunc         // nil: subscriptions with a handshake are refused
	Logger    *slog.Logger          // nil: nothing is logged
	Metrics   prometheus.Registerer // nil: nothing is measured

	// Jobs does what is too much for one transaction: replays and large fan-outs.
	// New registers them; whoever made the runner starts it, after what sends. nil:
	// they are stored, and nobody does them.
	Jobs *job.Runner

	// MaxEventBytes bounds the data of one event; zero means 256 KiB.
	MaxEventBytes int

	// Keep is how long records are kept; zero: for good.
	Keep Periods
	// Node is this process among those that share the database. nil: it has the
	// database to itself.
	Node Node

	// KeepOf returns the periods that a tenant asks for, also of one that was
	// deleted. They shorten the server's. nil: none asks for any.
	KeepOf func(q db.Queryer, tenant id.ID) (Periods, error)
}

// Service is the one door to a tenant's webhooks. Create it with New; its
// methods may be called concurrently. Each names its tenant, and finds nothing
// of another's.
type Service struct {
	db        *db.DB
	box       *secret.Box
	checkURL  func(ctx context.Context, raw string) error
	identify  IdentifyFunc
	attempter Attempter
	handshake HandshakeFunc
	log       *slog.Logger
	metrics   *metrics
	jobs      *job.Runner
	maxBytes  int

	schemas schemas
	ids     id.Sequence // of events: they rise in the order in which events are published

	// The short transactions. Publishes have two lanes, so that one group is made ready
	// while the other is committed; the order of others matters.
	publishes       [2]*db.Lane
	published       atomic.Uint64 // counts them, to take the lanes in turn
	claims, records *db.Lane

	feed   db.Feed // nil: nobody else changes the database
	node   Node
	others others // what they have changed and this process has not looked at yet

	index  index[matcher]
	types  index[typeSet] // registered by the tenants
	sender Sender

	keep   Periods
	keepOf func(q db.Queryer, tenant id.ID) (Periods, error) // nil: no tenant asks for any

	sweeps   chan struct{} // one token: there may be something to sweep
	scrubs   chan struct{} // one token: the log may have what was removed
	searches chan struct{} // a token for each list that is being read
	tests    testQuota
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// New returns a Service that stores and matches, but tells nobody until Start.
func New(opts Options) *Service {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.MaxEventBytes == 0 {
		opts.MaxEventBytes = 256 << 10
	}
	if opts.Jobs == nil {
		opts.Jobs = job.NewRunner(job.Options{DB: opts.DB, Logger: opts.Logger})
	}
	s := &Service{
		db:        opts.DB,
		box:       opts.Box,
		checkURL:  opts.CheckURL,
		identify:  opts.Identify,
		attempter: opts.Attempter,
		handshake: opts.Handshake,
		log:       opts.Logger,
		jobs:      opts.Jobs,
		maxBytes:  opts.MaxEventBytes,
		keep:      opts.Keep,
		keepOf:    opts.KeepOf,
		index:     newIndex[matcher](),
		types:     newIndex[typeSet](),
		sweeps:    make(chan struct{}, 1),
		scrubs:    make(chan struct{}, 1),
		searches:  make(chan struct{}, maxSearches),
		publishes: [2]*db.Lane{opts.DB.Lane(), opts.DB.Lane()},
		claims:    opts.DB.Lane(),
		records:   opts.DB.Lane(),
		node:      opts.Node,
		others:    newOthers(),
		tests:     testQuota{byTenant: make(map[id.ID]int)},
	}
	if s.node == nil {
		s.node = alone{}
	} else {
		s.feed = s.node
	}
	s.follow()
	s.node.Watch(typesTopic, func(_ context.Context, tenant id.ID) { s.types.changed(tenant) })
	s.metrics = newMetrics(s, opts.Metrics)
	s.jobs.Register(s.replayKind())
	s.jobs.Register(s.fanOutKind())
	return s
}

// Start begins to tell sender of what there is to send, and goes on with what an
// earlier run left unfinished. It is called once, before anything is published.
func (s *Service) Start(sender Sender) {
	ctx, cancel := context.WithCancel(context.Background())
	s.sender, s.stop = sender, cancel
	s.sweepSoon()
	s.running.Go(func() { s.sweepLoop(ctx) })
	if s.db.Shared() {
		s.running.Go(func() { s.catchUpLoop(ctx) })
	}
	s.scrubSoon() // a crash may have left a log
	s.running.Go(func() { s.scrubLoop(ctx) })
	if s.keep != (Periods{}) || s.keepOf != nil {
		s.running.Go(func() { s.retain(ctx) })
	}
}

// Stop ends the work in the background. What it had not finished it finishes
// after the next Start. Stop may be called more than once.
func (s *Service) Stop() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}

// Unavailable reports whether an error says that the database can't be used now,
// and not that something about the call is wrong.
func Unavailable(err error) bool { return errors.Is(err, db.ErrUnavailable) }

// checkPlace notes a refusal of the guard to go where the URL in a field leads.
// The error is one of the check itself.
func (s *Service) checkPlace(ctx context.Context, checks *problem.Checks, field, raw string) error {
	err := s.checkURL(ctx, raw)
	if refused, ok := errors.AsType[*netguard.URLError](err); ok {
		checks.Add(field, "%s", refused.Detail+permission[refused.Reason])
		return nil
	}
	return err
}

// permission says what the operator can do about a refusal.
var permission = map[netguard.Reason]string{
	netguard.ReasonAddress: " The operator can allow a network with --allow-network.",
	netguard.ReasonScheme:  " The operator can allow http:// with --allow-http.",
}

// Status is where a delivery stands.
type Status int

// The states of a delivery. Pending and Retrying are both shown as "pending".
const (
	Pending   Status = 0 // its first attempt is due
	Retrying  Status = 1 // a further attempt is due
	Delivered Status = 2
	Failed    Status = 3 // the schedule is exhausted
	Cancelled Status = 4 // its subscription or its body has gone
	Held      Status = 5 // its subscription is disabled
)

// String returns the state as it is shown.
func (s Status) String() string {
	switch s {
	case Pending, Retrying:
		return "pending"
	case Delivered:
		return "delivered"
	case Failed:
		return "failed"
	case Cancelled:
		return "cancelled"
	case Held:
		return "held"
	default:
		return "unknown"
	}
}

// Why deliveries end without an attempt, and why subscriptions are disabled.
const (
	ReasonManual              = "manual"
	ReasonGone                = string(wire.ReasonGone)
	ReasonFailing             = "failing"
	ReasonSubscriptionDeleted = "subscription_deleted"
	ReasonBodyExpunged        = "body_expunged"
	ReasonDisabled            = "subscription_disabled"
	ReasonHandshake           = "handshake_failed"
	ReasonUngranted           = "oauth_token" // of an attempt without an access token, which sent nothing
	ReasonExpired             = "expired"     // its body was kept as long as bodies are
)

// Event is a published event.
type Event struct {
	ID             id.ID
	Dialect        string
	Type           string
	OccurredAt     time.Time
	SubjectVersion int64  // see Publication
	Body           []byte // as it is sent; nil once expunged, and in lists
}

// Delivery is one event on its way to one subscription.
type Delivery struct {
	EventID        id.ID
	SubscriptionID id.ID
	EventType      string
	Status         Status
	Attempts       int       // made so far
	NextAt         time.Time // zero once it has ended
	UpdatedAt      time.Time
	ResponseStatus int    // of the last attempt; 0: there was no answer
	Reason         string // of the last attempt, or why it ended
}

// Attempt is one request and what came of it.
type Attempt struct {
	Number         int // from 1
	StartedAt      time.Time
	Timing         Timing
	ResponseStatus int // 0: there was no answer
	Verdict        wire.Verdict
	Reason         wire.Reason
	Wait           time.Duration // how long the receiver asked us to wait
	Error          string        // what went wrong on the way; never holds a secret
	Headers        []wire.Header // of the response
	Body           []byte        // the first 16 KiB of the response
}

// Timing is how long the parts of an attempt took. A part that was not needed,
// such as DNS on a connection that was used again, is zero.
type Timing struct {
	DNS, Connect, TLS, FirstByte, Total time.Duration
}

// Job is a delivery that waits for an attempt.
type Job struct {
	TenantID    id.ID
	EventID     id.ID
	Sub         *Subscription // as it was when the job was made
	Type        string
	Traceparent string
	Version     int64 // of its subject; see Publication
	Body        []byte
	Status      Status // Pending or Retrying
	Attempts    int    // made so far
	Step        int    // attempts made since the schedule began
	Epoch       int    // of the delivery; changes with every intervention
	Owner       int64  // the number of the node that holds it; 0 where there is one process alone
	DueAt       time.Time
}

// Outcome is an attempt with what was decided about its delivery.
type Outcome struct {
	Job     Job
	Attempt Attempt
	Status  Status
	NextAt  time.Time // zero unless Status is Retrying

	// Health is what the attempt made of its endpoint's health, where that is to
	// be stored; nil where it is as before, or a later attempt says it too.
	Health *Snapshot

	// Superseded is set by Record: somebody intervened while the attempt was
	// under way, or another node has taken the delivery over, and what was decided
	// does not hold.
	Superseded bool

	decided, inRow bool // of the recording under way
	repeated       bool // it may be on record: a commit failed of which nobody knows whether it took place
}
