package blocklist

import (
	"context"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// NewEntry is what is to be listed.
type NewEntry struct {
	Kind      Kind
	Value     string
	Reason    string     // for whoever reads the list; may be empty
	ExpiresAt *time.Time // nil: never
}

// Add puts an entry on a tenant's list, and reports whether it was not there before.
// One that is there already is returned as it is, whatever else was given: to change
// it, remove it first. One that has expired counts as not there.
func (s *Service) Add(ctx context.Context, tenant id.ID, n NewEntry) (Entry, bool, error) {
	f, err := n.check()
	if err != nil {
		return Entry{}, false, err
	}
	e := Entry{Kind: f.kind, Value: f.value, Reason: n.Reason}
	if n.ExpiresAt != nil {
		e.ExpiresAt = n.ExpiresAt.UTC().Truncate(time.Microsecond)
	}
	var listed Entry
	err = s.change(ctx, tenant, func(tx *db.Tx) error {
		if n.ExpiresAt != nil && !e.ExpiresAt.After(tx.Now()) {
			return problem.InvalidField("expires_at", "must lie in the future")
		}
		e.ID, e.CreatedAt = id.New(tx.Now()), tx.Now()
		listed, err = add(ctx, tx, tenant, e)
		return err
	})
	return listed, err == nil && listed.ID == e.ID, err
}

// change runs a change of a tenant's list, one after the other.
func (s *Service) change(ctx context.Context, tenant id.ID, fn func(tx *db.Tx) error) error {
	return s.db.WriteKey(ctx, tenant.String()+"/blocklist", fn)
}

// check reads what is to be listed, or returns problem.Invalid.
func (n NewEntry) check() (form, error) {
	var checks problem.Checks
	f, err := formOf(n.Kind, n.Value)
	checks.AddError("value", err)
	if len(n.Reason) > maxReason || db.Storable(n.Reason) != n.Reason {
		checks.Add("reason", "must be text of at most %d bytes", maxReason)
	}
	if n.ExpiresAt != nil && n.ExpiresAt.UTC().Year() > maxYear {
		checks.Add("expires_at", "must lie before the year %d", maxYear+1)
	}
	return f, checks.Err()
}

// add stores an entry, and returns it, or the one that is there.
func add(ctx context.Context, tx *db.Tx, tenant id.ID, e Entry) (Entry, error) {
	before, err := selectByName(tx, tenant, e.name())
	switch {
	case err == nil && before.counts(tx.Now()):
		return before, nil
	case err == nil:
		err = remove(tx, tenant, before)
	case problem.NotFound.Has(err):
		err = nil
	}
	if err != nil {
		return Entry{}, err
	}
	if err := checkRoom(tx, tenant); err != nil {
		return Entry{}, err
	}
	if err := insertEntry(tx, tenant, e); err != nil {
		return Entry{}, err
	}
	if err := countOneMore(tx, tenant, e.shape()); err != nil {
		return Entry{}, err
	}
	return e, audit.Write(ctx, tx, audit.Change{
		TenantID: tenant, Action: audit.BlocklistAdded, ObjectID: EntryID.Format(e.ID),
		// Not who is listed: audit entries stay longer than those of the list.
		Fields: []audit.Field{{Name: "kind", After: string(e.Kind)}},
	})
}

// checkRoom refuses an entry beyond as many as there may be.
func checkRoom(tx *db.Tx, tenant id.ID) error {
	shapes, err := selectShapes(tx, tenant)
	if err != nil {
		return err
	}
	var total int64
	for _, n := range shapes {
		total += n
	}
	if total >= maxEntries {
		return problem.Conflict.New("the block list has %d entries, which is as many as there may be: remove some first", total)
	}
	return nil
}

// Remove takes an entry off a tenant's list, or returns problem.NotFound.
func (s *Service) Remove(ctx context.Context, tenant, of id.ID) error {
	return s.change(ctx, tenant, func(tx *db.Tx) error {
		e, err := selectEntry(tx, tenant, of)
		if err != nil {
			return err
		}
		if err := remove(tx, tenant, e); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{
			TenantID: tenant, Action: audit.BlocklistRemoved, ObjectID: EntryID.Format(of),
			Fields: []audit.Field{{Name: "kind", Before: string(e.Kind)}},
		})
	})
}

// remove deletes an entry, unless that has happened meanwhile.
func remove(tx *db.Tx, tenant id.ID, e Entry) error {
	n, err := deleteEntry(tx, tenant, e.ID)
	if err != nil || n == 0 {
		return err
	}
	return countOneLess(tx, tenant, e.shape())
}

// Get returns one of a tenant's entries, or problem.NotFound.
func (s *Service) Get(ctx context.Context, tenant, of id.ID) (Entry, error) {
	var e Entry
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		e, err = selectEntry(q, tenant, of)
		return err
	})
	return e, err
}

// Choice says which entries are asked for.
type Choice struct {
	Kind   Kind   // "": of all kinds
	Value  string // the one with this value, which needs a kind; "": all
	Before id.ID  // the last one of the page before; zero: the first page
	Limit  int
}

// List returns entries of a tenant, the latest first, and the last one of them if
// there are more. Those that have expired are among them until they are removed.
func (s *Service) List(ctx context.Context, tenant id.ID, c Choice) ([]Entry, id.ID, error) {
	if c.Before.IsZero() {
		c.Before = id.Last()
	}
	if c.Value != "" {
		f, err := formOf(c.Kind, c.Value)
		if err != nil {
			return nil, id.ID{}, err
		}
		c.Value = f.value
	}
	limit := c.Limit
	c.Limit++
	var list []Entry
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		list, err = selectChosen(q, tenant, c)
		return err
	})
	if err != nil || len(list) <= limit {
		return list, id.ID{}, err
	}
	return list[:limit], list[limit-1].ID, nil
}

// selectChosen returns the entries of a choice, whose value is a normal form.
func selectChosen(q db.Queryer, tenant id.ID, c Choice) ([]Entry, error) {
	switch {
	case c.Value == "" && c.Kind == "":
		return selectBefore(q, tenant, c.Before, c.Limit)
	case c.Value == "":
		return selectOfKind(q, tenant, c)
	}
	e, err := selectByName(q, tenant, Entry{Kind: c.Kind, Value: c.Value}.name())
	if problem.NotFound.Has(err) {
		return nil, nil
	}
	return []Entry{e}, err
}
