// Package export writes tables of a tenant's data to files that can be downloaded.
//
// What a table holds is a [Source]'s to say: it returns its rows page by page, in
// the order of a key. A job writes a page a step, in pieces of at most 256 KiB into
// the database, so that an export of a million rows takes no memory and no long
// transaction, and goes on where it was if the server is started anew. A file has
// the rows as they were when their page was written, each once, as long as the key
// that they are read by does not change.
//
// A file is kept for 35 days from its completion; then a timer deletes it. The record
// of an export stays, until its tenant is deleted ([Service.DeleteTenant]). Ordering an export is a command, and that it is there is a
// fact as well: the job that has written the last page sets a timer for it that is
// due at once. Who orders and who downloads a file leaves an audit entry, since that
// is how the data of many people leaves at a time.
//
// # Files
//
// Files are CSV as RFC 4180 has it: UTF-8, a header, commas, lines that end with
// CRLF, and quotes where they are needed. Cells are written as they are, line breaks
// in them too, since other programs read files back: an id that begins with a minus
// has to come back as it went out. Only in columns that a source calls prose, such as
// names, which anybody may choose for themselves, does a cell get an apostrophe in
// front that a spreadsheet would take for a formula: one that begins with =, +, -, @,
// a tab or a line break, and is no number. Who reads such a column back removes an
// apostrophe before one of these characters.
package export

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// Status is where an export stands.
type Status string

// The states of an export.
const (
	Pending   Status = "PENDING" // being written, or about to be
	Completed Status = "COMPLETED"
	Aborted   Status = "ABORTED" // cancelled before it was completed
	Expired   Status = "EXPIRED" // its file was deleted
)

// ExportID stands before the ids of exports.
const ExportID id.Kind = "exp"

// Subject is the kind of what facts about exports are about.
const Subject = "export"

// The facts about exports. Their data is an *Export, as it is then.
const (
	Ordered = "export.created"
	Written = "export.completed"
)

// CSV is the one format of files.
const CSV = "CSV"

const (
	kept    = 35 * 24 * time.Hour // how long a file can be downloaded
	maxOpen = 20                  // exports of a tenant that are being written
	maxName = 255                 // characters
)

// Export is a file that was asked for.
type Export struct {
	ID        id.ID     `json:"id"`
	TenantID  id.ID     `json:"-"`
	Type      string    `json:"type"` // of its source
	Format    string    `json:"format"`
	Name      string    `json:"name,omitempty"`
	Requester string    `json:"requester,omitempty"`
	Params    Params    `json:"params"`
	Status    Status    `json:"status"`
	CreatedAt time.Time `json:"created_at"`

	// What is known of a file that was completed; zero before.
	CompletedAt time.Time `json:"completed_at,omitzero"`
	ExpiresAt   time.Time `json:"expires_at,omitzero"`
	Rows        int64     `json:"rows,omitempty"` // without the header
	Bytes       int64     `json:"bytes,omitempty"`

	job    id.ID
	chunks int64
}

// Source is where the rows of one type of exports come from.
type Source struct {
	Type    string
	Columns []string
	Prose   []string // those of the columns that anybody may have written: see the package

	// Check refuses parameters that the source can't honour. nil: it honours all.
	Check func(Params) error

	// Page returns the next rows of a part, and what After is of the page that
	// follows; nothing: this is the last one. A page may have no rows and be followed
	// by others. Reading must not depend on memory: the server may have been started
	// anew in between.
	Page func(q db.Queryer, p Part) ([][]string, []byte, error)
}

// Part is what a page is asked for.
type Part struct {
	TenantID id.ID
	Params   Params
	After    []byte // what the page before returned; nil: this is the first one
	Limit    int    // of the rows
}

// Options are what a Service needs. All are required.
type Options struct {
	DB      *db.DB
	Log     *fact.Log
	Jobs    *job.Runner // not yet started
	Sources []Source
}

// Service is the exports of all tenants. All methods may be called concurrently.
type Service struct {
	db      *db.DB
	log     *fact.Log
	jobs    *job.Runner
	sources map[string]Source
}

// New returns a service, and registers its jobs and timers.
func New(opts Options) (*Service, error) {
	if opts.DB == nil || opts.Log == nil || opts.Jobs == nil {
		return nil, errors.New("export: there is no database, no log of facts, or no runner of jobs")
	}
	s := &Service{db: opts.DB, log: opts.Log, jobs: opts.Jobs, sources: make(map[string]Source)}
	for _, source := range opts.Sources {
		if _, taken := s.sources[source.Type]; taken || len(source.Columns) == 0 || source.Page == nil {
			return nil, fmt.Errorf("export: the source %q is there twice, or lacks columns or pages", source.Type)
		}
		for _, column := range source.Prose {
			if !slices.Contains(source.Columns, column) {
				return nil, fmt.Errorf("export: the source %q has no column %q", source.Type, column)
			}
		}
		s.sources[source.Type] = source
	}
	opts.Log.Handle(writtenTimer, s.tellWritten)
	opts.Log.Handle(expiresTimer, s.expireDue)
	opts.Jobs.Register(job.Kind{Name: writeJob, Step: s.writeStep, Ended: s.writeEnded, NeverParked: true})
	opts.Jobs.Register(job.Kind{Name: deleteJob, Step: deleteStep, NeverParked: true})
	opts.Jobs.Register(job.Kind{Name: deleteAllJob, Step: deleteAllStep, NeverParked: true})
	return s, nil
}

// Types lists the types of exports that there are, in their order.
func (s *Service) Types() []string {
	types := make([]string, 0, len(s.sources))
	for name := range s.sources {
		types = append(types, name)
	}
	slices.Sort(types)
	return types
}

// Request is an export that somebody asks for.
type Request struct {
	Type      string
	Format    string // empty: CSV
	Name      string
	Requester string // who asks, in words
	Params    Params
}

// Order stores an export, which is written from then on. It returns problem.Invalid
// with everything that is wrong, and problem.Conflict where too many are being
// written.
func (s *Service) Order(ctx context.Context, tenant id.ID, r Request) (Export, error) {
	if r.Format == "" {
		r.Format = CSV
	}
	if err := s.check(r); err != nil {
		return Export{}, err
	}
	var e Export
	err := s.log.Do(ctx, fact.Order{Tenant: tenant, Key: "exports"}, func(c *fact.Command) error {
		var err error
		if e, err = s.create(c.Tx(), tenant, r); err != nil {
			return err
		}
		now := e
		if _, err := c.Append(fact.Fact{Type: Ordered, Subject: fact.Ref{Kind: Subject, ID: e.ID}, Version: 1, Data: &now}); err != nil {
			return err
		}
		return e.audit(ctx, c.Tx(), audit.ExportCreated)
	})
	return e, err
}

// create stores an export with the job that writes it.
func (s *Service) create(tx *db.Tx, tenant id.ID, r Request) (Export, error) {
	open, err := job.Open(tx, tenant, writeJob)
	if err != nil {
		return Export{}, err
	}
	if open >= maxOpen {
		return Export{}, problem.Conflict.New("%d exports are being written: wait for one of them, or cancel it", open)
	}
	e := Export{
		ID: id.New(tx.Now()), TenantID: tenant, Type: r.Type, Format: r.Format, Name: r.Name, Requester: r.Requester,
		Params: r.Params, Status: Pending, CreatedAt: tx.Now(),
	}
	doing, err := s.jobs.Add(tx, job.New{TenantID: tenant, Kind: writeJob, Spec: spec{e.ID}, Total: job.Uncounted})
	if err != nil {
		return Export{}, err
	}
	e.job = doing.ID
	return e, insertExport(tx, &e)
}

// audit notes who has ordered, cancelled or taken a file.
func (e *Export) audit(ctx context.Context, tx *db.Tx, action audit.Action) error {
	return audit.Write(ctx, tx, audit.Change{
		TenantID: e.TenantID, Action: action, ObjectID: ExportID.Format(e.ID), Fields: []audit.Field{{Name: "type", After: e.Type}},
	})
}

func (s *Service) check(r Request) error {
	var checks problem.Checks
	source, known := s.sources[r.Type]
	switch {
	case !known:
		checks.Add("type", "must be one of %v", s.Types())
	case source.Check != nil:
		checks.AddError("params", source.Check(r.Params))
	}
	if r.Format != CSV {
		checks.Add("format", "must be CSV: no other format is written")
	}
	if utf8.RuneCountInString(r.Name) > maxName {
		checks.Add("name", "may have at most %d characters", maxName)
	}
	if utf8.RuneCountInString(r.Requester) > maxName {
		checks.Add("requester", "may have at most %d characters", maxName)
	}
	return checks.Err()
}

// Get returns one of the tenant's exports, or problem.NotFound.
func (s *Service) Get(ctx context.Context, tenant, export id.ID) (Export, error) {
	var e Export
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		e, err = get(q, tenant, export)
		return err
	})
	return e, err
}

func get(q db.Queryer, tenant, export id.ID) (Export, error) {
	e, err := selectExport(q, tenant, export)
	if errors.Is(err, db.ErrNoRows) {
		return Export{}, problem.NotFound.New("there is no such export")
	}
	return e, err
}

// Page is a part of a list.
type Page struct{ Limit, Offset int }

// List returns the tenant's exports, the newest first, and how many there are in
// all.
func (s *Service) List(ctx context.Context, tenant id.ID, page Page) ([]Export, int, error) {
	if page.Limit < 0 || page.Offset < 0 {
		return nil, 0, problem.InvalidField("limit", "and the offset must not be negative")
	}
	var list []Export
	total := 0
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		if total, err = countExports(q, tenant); err != nil {
			return err
		}
		list, err = selectExports(q, tenant, page)
		return err
	})
	return list, total, err
}

// Latest returns the tenant's exports that were ordered before one, the newest
// first; where before is zero, the newest there are.
func (s *Service) Latest(ctx context.Context, tenant, before id.ID, limit int) ([]Export, error) {
	if before.IsZero() {
		for i := range before {
			before[i] = 0xff
		}
	}
	var list []Export
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		list, err = selectBefore(q, tenant, before, limit)
		return err
	})
	return list, err
}

// Cancel ends an export that is being written, and deletes what was written of it.
// One that was cancelled before stays so.
func (s *Service) Cancel(ctx context.Context, tenant, export id.ID) (Export, error) {
	var e Export
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if e, err = get(tx, tenant, export); err != nil {
			return err
		}
		switch e.Status {
		case Aborted:
			return nil
		case Completed, Expired:
			return problem.Conflict.New("the export is %s: there is nothing to cancel", e.Status)
		case Pending:
		}
		doing, err := job.Get(tx, tenant, writeJob, e.job)
		if err != nil {
			return err
		}
		if err := s.jobs.Cancel(tx, &doing); err != nil {
			return err
		}
		if e, err = get(tx, tenant, export); err != nil {
			return err
		}
		return e.audit(ctx, tx, audit.ExportCancelled)
	})
	return e, err
}

// The kinds of timers.
const (
	writtenTimer = "export.completed"
	expiresTimer = "export.expires"
)

// tellWritten says that a file is there, in the name of the order, and sees to it
// that it expires.
func (s *Service) tellWritten(c *fact.Command, t timer.Timer) error {
	e, err := get(c.Tx(), c.Tenant(), t.Ref)
	if err != nil {
		return err
	}
	ordered, err := fact.Of(c.Tx(), c.Tenant(), e.ID, fact.Page{Limit: 1})
	if err != nil {
		return err
	}
	told := fact.Fact{Type: Written, Subject: fact.Ref{Kind: Subject, ID: e.ID}, Version: 2, Actor: fact.ByJob, Data: &e}
	if len(ordered) > 0 {
		told.Cause = ordered[0].ID
	}
	if _, err := c.Append(told); err != nil {
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: e.TenantID, Kind: expiresTimer, DueAt: e.ExpiresAt, Ref: e.ID})
	return err
}

// expireDue deletes a file whose time is over. The record stays.
func (s *Service) expireDue(c *fact.Command, t timer.Timer) error {
	e, err := get(c.Tx(), c.Tenant(), t.Ref)
	if err != nil || e.Status != Completed {
		return err
	}
	e.Status = Expired
	return s.discard(c.Tx(), &e)
}

// discard stores an export whose file is not wanted any more, and has the file
// deleted.
func (s *Service) discard(tx *db.Tx, e *Export) error {
	if err := updateExport(tx, e); err != nil {
		return err
	}
	_, err := s.jobs.Add(tx, job.New{TenantID: e.TenantID, Kind: deleteJob, Spec: spec{e.ID}, Total: job.Uncounted})
	return err
}

// spec is what the jobs have to know.
type spec struct {
	Export id.ID `json:"export"`
}

// Download returns an export and the pieces of its file, which are read one after
// the other as they are asked for, in a transaction each. They end with an error if
// there is one.
func (s *Service) Download(ctx context.Context, tenant, export id.ID) (Export, iter.Seq2[[]byte, error], error) {
	var e Export
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if e, err = get(tx, tenant, export); err != nil || e.Status != Completed {
			return err
		}
		return e.audit(ctx, tx, audit.ExportDownloaded)
	})
	if err != nil {
		return Export{}, nil, err
	}
	switch e.Status {
	case Pending:
		return Export{}, nil, problem.Conflict.New("the export is being written: ask again once it is completed")
	case Aborted:
		return Export{}, nil, problem.Conflict.New("the export was cancelled: create it again")
	case Expired:
		return Export{}, nil, problem.NotFound.New("the export has expired: create it again")
	case Completed:
	}
	return e, func(yield func([]byte, error) bool) {
		for i := range e.chunks {
			chunk, err := s.chunk(ctx, e, i)
			if !yield(chunk, err) || err != nil {
				return
			}
		}
	}, nil
}

func (s *Service) chunk(ctx context.Context, e Export, ordinal int64) ([]byte, error) {
	var chunk []byte
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		chunk, err = selectChunk(q, e, ordinal)
		return err
	})
	if errors.Is(err, db.ErrNoRows) {
		err = problem.NotFound.New("the export has expired while it was read: create it again")
	}
	return chunk, err
}
