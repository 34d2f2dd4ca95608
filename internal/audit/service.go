package audit

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// DefaultRetention is how long entries are kept unless the operator says
// otherwise.
const DefaultRetention = 365 * 24 * time.Hour

// Options are the settings of New. The zero value works.
type Options struct {
	Retention time.Duration // how long entries are kept; zero: DefaultRetention
	Logger    *slog.Logger  // nil: nothing is logged
}

// Service shows the entries of one database, and removes the old ones between
// Start and Stop. All methods may be called concurrently.
type Service struct {
	db        *db.DB
	retention time.Duration
	log       *slog.Logger

	searches chan struct{} // a token for each list that is being read
	stop     context.CancelFunc
	running  sync.WaitGroup
}

// New returns the service of d.
func New(d *db.DB, opts Options) (*Service, error) {
	if d == nil {
		return nil, errors.New("audit: there is no database")
	}
	if opts.Retention < 0 {
		return nil, errors.New("audit: Retention must not be negative")
	}
	if opts.Retention == 0 {
		opts.Retention = DefaultRetention
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{db: d, retention: opts.Retention, log: opts.Logger, searches: make(chan struct{}, maxSearches)}, nil
}

// Record stores what was done, or is about to be, outside of the database, as
// that of the context's actor.
func (s *Service) Record(ctx context.Context, c Change) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return Write(ctx, tx, c) })
}

// Filter chooses entries. Zero fields choose nothing.
type Filter struct {
	TenantID     id.ID // zero: of all tenants, and the operator's own
	Action       Action
	ObjectID     string // as it is shown
	KeyID        id.ID  // of the actor
	Since, Until time.Time
}

// Page asks for a part of the list.
type Page struct {
	Limit  int   // at least 1
	Before id.ID // only what comes after it in the list, which is older; zero: from the beginning
}

// What a list may cost, so that no tenant's can keep the others from reading.
const (
	maxSearches   = 2 // at once
	maxSearchTime = 5 * time.Second
)

// Entries lists the entries that a filter chooses, the newest first, and returns
// the Before of the next page: zero if there is none. It returns
// problem.QueryTooSlow where few of many entries are chosen and finding them
// takes too long.
func (s *Service) Entries(ctx context.Context, f Filter, page Page) ([]Entry, id.ID, error) {
	if !isName(f.ObjectID) || !isName(string(f.Action)) {
		return nil, id.ID{}, nil
	}
	limited, cancel := context.WithTimeout(ctx, maxSearchTime)
	defer cancel()
	var entries []Entry
	var err error
	select {
	case s.searches <- struct{}{}:
		err = s.db.Read(limited, func(q db.Queryer) error {
			var err error
			entries, err = list(q, f, page.Before, page.Limit+1)
			return err
		})
		<-s.searches
	case <-limited.Done():
		err = limited.Err()
	}
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return nil, id.ID{}, problem.QueryTooSlow.New("the list took longer than %v", maxSearchTime)
	}
	if err != nil {
		return nil, id.ID{}, err
	}
	if len(entries) <= page.Limit {
		return entries, id.ID{}, nil
	}
	entries = entries[:page.Limit]
	return entries, entries[page.Limit-1].ID, nil
}

// isName reports whether something could be called that. The databases refuse to
// compare with what is no text.
func isName(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }

// Start begins to remove entries that are older than they are kept.
func (s *Service) Start() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() { s.expireLoop(ctx) })
}

// Stop ends what Start began. It may be called more than once.
func (s *Service) Stop() {
	if s.stop != nil {
		s.stop()
	}
	s.running.Wait()
}

const (
	// expireStep is how many entries one transaction removes. More would keep
	// publishers waiting.
	expireStep = 500
	// expirePause is the least time between two looks for old entries, so that a
	// steady trickle of them is removed together.
	expirePause = time.Minute
)

// expireLoop sleeps until the oldest entry has become too old.
func (s *Service) expireLoop(ctx context.Context) {
	for {
		due, err := s.expire(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.ErrorContext(ctx, "audit_not_expired", "error", err.Error())
		}
		timer := time.NewTimer(max(time.Until(due), expirePause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// expire removes the entries that are too old, and returns when the next one
// will be. Where there is none, no entry can be too old before one that were
// written now.
func (s *Service) expire(ctx context.Context) (time.Time, error) {
	for {
		var first id.ID
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			first, err = oldest(q)
			return err
		})
		now := time.Now()
		switch {
		case err != nil:
			return now, err
		case first.IsZero():
			return now.Add(s.retention), nil
		}
		// An id has its time in whole milliseconds, rounded down.
		if due := first.Time().Add(s.retention + time.Millisecond); due.After(now) {
			return due, nil
		}
		err = s.db.Write(ctx, func(tx *db.Tx) error { return removeBefore(tx, id.First(now.Add(-s.retention)), expireStep) })
		if err != nil {
			return now, err
		}
	}
}
