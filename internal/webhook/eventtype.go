package webhook

import (
	"context"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Bounds of the event types that a tenant registers.
const (
	maxTypes           = 1000
	maxTypeVersions    = 100     // of one type
	maxTypeSchemas     = 4 << 20 // bytes of the schemas that hold, in all
	maxTypeDescription = 1000    // characters
)

// NewEventType is what a tenant says of a type of event in the standard dialect.
type NewEventType struct {
	Name        string
	Description string
	Schema      []byte // JSON Schema (2020-12) of the data; nil: any data fits
	Sample      []byte // of the data; nil: none
}

// EventType is a version of a type that a tenant registered.
type EventType struct {
	Name        string
	Version     int // from 1; the newest holds
	Description string
	Schema      []byte // nil: any data fits
	Sample      []byte // nil: none
	CreatedAt   time.Time
	ArchivedAt  time.Time // of the type; zero: it is registered
}

// same reports whether a version is what the tenant says again.
func (t EventType) same(n NewEventType) bool {
	return t.ArchivedAt.IsZero() && t.Description == n.Description && string(t.Schema) == string(n.Schema) && string(t.Sample) == string(n.Sample)
}

// RegisterEventType registers a type, or a new version of one, and reports whether
// it did: what is said of it already makes no new version. Events that are
// published by calls that begin after it returned are checked by it; other
// processes may accept what fitted before for a moment, but refuse nothing that
// fits now.
func (s *Service) RegisterEventType(ctx context.Context, tenant id.ID, n NewEventType) (EventType, bool, error) {
	if err := s.checkEventType(ctx, tenant, &n); err != nil {
		return EventType{}, false, err
	}
	var t EventType
	made := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		newest, err := selectEventType(tx, tenant, n.Name)
		if err != nil && !problem.NotFound.Has(err) {
			return err
		}
		if made = !newest.same(n) || newest.Version == 0; !made {
			t = newest
			return nil
		}
		if newest.Version >= maxTypeVersions {
			return problem.Conflict.New("the type has %d versions, which is as many as it may have: register another one", newest.Version)
		}
		if err := roomForType(tx, tenant, n); err != nil {
			return err
		}
		t = EventType{
			Name: n.Name, Version: newest.Version + 1, Description: n.Description, Schema: n.Schema, Sample: n.Sample, CreatedAt: tx.Now(),
		}
		if err := s.typesChange(tx, tenant); err != nil {
			return err
		}
		if err := insertEventType(tx, tenant, t); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{
			TenantID: tenant, Action: audit.EventTypeRegistered, ObjectID: t.Name,
			Fields: []audit.Field{{Name: "version", After: strconv.Itoa(t.Version)}},
		})
	})
	return t, made, err
}

// checkEventType checks what is said of a type and brings its documents into the
// spelling of bodies.
func (s *Service) checkEventType(ctx context.Context, tenant id.ID, n *NewEventType) error {
	var checks problem.Checks
	_, err := standard.Dialect{}.Resolve(n.Name)
	checks.AddError("name", err)
	checkText(&checks, "description", n.Description, maxTypeDescription)
	var schema *boundedSchema
	if n.Schema != nil {
		schema = compactSchema(&checks, n)
	}
	if n.Sample == nil || !compactSample(&checks, n, min(maxSchemaBytes, s.maxBytes)) || schema == nil {
		return checks.Err()
	}
	mistakes, err := schema.check(ctx, s.schemas.checking.of(tenant), n.Sample)
	if err != nil {
		return err
	}
	for _, m := range mistakes {
		checks.Add("sample"+m.path, "%s", m.message)
	}
	return checks.Err()
}

func compactSchema(checks *problem.Checks, n *NewEventType) *boundedSchema {
	if len(n.Schema) > maxSchemaBytes {
		checks.Add("schema", "must have at most %d bytes", maxSchemaBytes)
		return nil
	}
	compact, err := wire.Compact(n.Schema)
	if err != nil {
		checks.AddError("schema", err)
		return nil
	}
	n.Schema = compact
	schema, err := compileBounded(compact)
	checks.AddError("schema", err)
	return schema
}

// compactSample reports whether there is nothing wrong with the sample itself.
func compactSample(checks *problem.Checks, n *NewEventType, most int) bool {
	if len(n.Sample) > most {
		checks.Add("sample", "must have at most %d bytes", most)
		return false
	}
	compact, err := wire.Compact(n.Sample)
	switch {
	case err != nil:
		checks.AddError("sample", err)
		return false
	case compact[0] != '{':
		checks.Add("sample", "must be a JSON object")
		return false
	}
	n.Sample = compact
	return true
}

// roomForType refuses a type that is one too many.
func roomForType(tx *db.Tx, tenant id.ID, n NewEventType) error {
	types, bytes, err := countOtherTypes(tx, tenant, n.Name)
	switch {
	case err != nil:
		return err
	case types >= maxTypes:
		return problem.Conflict.New("the tenant has %d event types, which is as many as it may have: archive one first", types)
	case bytes+len(n.Schema) > maxTypeSchemas:
		return problem.Conflict.New("the schemas of the tenant's event types would have more than %d bytes in all: archive one first", maxTypeSchemas)
	}
	return nil
}

// EventTypeNames returns the names of the types that a tenant has registered and
// not archived, in their order.
func (s *Service) EventTypeNames(ctx context.Context, tenant id.ID) ([]string, error) {
	var names []string
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		names, err = listEventTypeNames(q, tenant)
		return err
	})
	return names, err
}

// EventTypes returns the newest versions of the tenant's types that have these
// names. What has been archived meanwhile is missing.
func (s *Service) EventTypes(ctx context.Context, tenant id.ID, names []string) ([]EventType, error) {
	var types []EventType
	err := s.db.Read(ctx, func(q db.Queryer) error {
		types = nil
		for _, name := range names {
			t, err := selectEventType(q, tenant, name)
			if problem.NotFound.Has(err) || err == nil && !t.ArchivedAt.IsZero() {
				continue
			}
			if err != nil {
				return err
			}
			types = append(types, t)
		}
		return nil
	})
	return types, err
}

// EventTypeVersions returns all versions of a type, the newest first, also if it is
// archived.
func (s *Service) EventTypeVersions(ctx context.Context, tenant id.ID, name string) ([]EventType, error) {
	var versions []EventType
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		versions, err = listEventTypeVersions(q, tenant, name)
		return err
	})
	if err == nil && len(versions) == 0 {
		return nil, noEventType()
	}
	return versions, err
}

// ArchiveEventType makes a type count as one that is not registered. Its versions
// are kept, and registering it again makes the next one.
func (s *Service) ArchiveEventType(ctx context.Context, tenant id.ID, name string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		archived, err := archiveEventType(tx, tenant, name)
		if err != nil {
			return err
		}
		if !archived {
			return noEventType()
		}
		if err := s.typesChange(tx, tenant); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{TenantID: tenant, Action: audit.EventTypeArchived, ObjectID: name})
	})
}

func noEventType() error { return problem.NotFound.New("there is no such event type") }
