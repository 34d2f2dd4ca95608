package message

import (
	"context"
	"encoding/json"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// What follows is for those who don't read or write the database themselves. Each
// change leaves an audit entry about the tenant's theme, which names the part that
// was changed and the locale; an empty one is what is for everybody.

// Schema is the function Schema.
func (s *Service) Schema(ctx context.Context, tenant id.ID) (json.RawMessage, error) {
	return read(ctx, s.db, func(q db.Queryer) (json.RawMessage, error) { return Schema(q, tenant) })
}

// SetSchema is the function SetSchema.
func (s *Service) SetSchema(ctx context.Context, tenant id.ID, document json.RawMessage) error {
	return s.edit(ctx, edit{tenant: tenant, part: "schema"}, func(tx *db.Tx) error { return SetSchema(tx, tenant, document) })
}

// Variables is the function Variables.
func (s *Service) Variables(ctx context.Context, tenant id.ID, locale string) (json.RawMessage, error) {
	return read(ctx, s.db, func(q db.Queryer) (json.RawMessage, error) { return Variables(q, tenant, locale) })
}

// SetVariables is the function SetVariables.
func (s *Service) SetVariables(ctx context.Context, tenant id.ID, locale string, document json.RawMessage) error {
	return s.edit(ctx, edit{tenant, locale, "variables"}, func(tx *db.Tx) error { return SetVariables(tx, tenant, locale, document) })
}

// PatchVariables is the function PatchVariables.
func (s *Service) PatchVariables(ctx context.Context, tenant id.ID, locale string, document json.RawMessage) (json.RawMessage, error) {
	var patched json.RawMessage
	err := s.edit(ctx, edit{tenant, locale, "variables"}, func(tx *db.Tx) error {
		var err error
		patched, err = PatchVariables(tx, tenant, locale, document)
		return err
	})
	return patched, err
}

// Locales is the function Locales.
func (s *Service) Locales(ctx context.Context, tenant id.ID) ([]string, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]string, error) { return Locales(q, tenant) })
}

// DeleteLocale is the function DeleteLocale.
func (s *Service) DeleteLocale(ctx context.Context, tenant id.ID, locale string) error {
	return s.edit(ctx, edit{tenant, locale, "locale"}, func(tx *db.Tx) error { return DeleteLocale(tx, tenant, locale) })
}

// TemplateAt is the function TemplateAt.
func (s *Service) TemplateAt(ctx context.Context, tenant id.ID, at Place) (Template, error) {
	return read(ctx, s.db, func(q db.Queryer) (Template, error) { return TemplateAt(q, tenant, at) })
}

// SetTemplate is the function SetTemplate.
func (s *Service) SetTemplate(ctx context.Context, tenant id.ID, at Place, t Template) error {
	return s.edit(ctx, edit{tenant, at.Locale, string(at.Type)}, func(tx *db.Tx) error { return SetTemplate(tx, tenant, at, t) })
}

// ResetTemplate is the function ResetTemplate.
func (s *Service) ResetTemplate(ctx context.Context, tenant id.ID, at Place) error {
	return s.edit(ctx, edit{tenant, at.Locale, string(at.Type)}, func(tx *db.Tx) error { return ResetTemplate(tx, tenant, at) })
}

// Preview is the function Preview.
func (s *Service) Preview(ctx context.Context, tenant id.ID, at Place) (Rendered, error) {
	return read(ctx, s.db, func(q db.Queryer) (Rendered, error) { return Preview(q, tenant, at) })
}

// Messages is the function List.
func (s *Service) Messages(ctx context.Context, tenant, person id.ID, page Page) ([]Message, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]Message, error) { return List(q, tenant, person, page) })
}

// Publish begins to publish the draft as it is now, and returns the version that it
// will be. It comes into use once a job has rendered every template of every locale
// with sample values, which is a fact; if one of them fails the version in use
// stays. A tenant's theme is published once at a time.
func (s *Service) Publish(ctx context.Context, tenant id.ID) (string, error) {
	version := ""
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if version, err = s.publish(tx, tenant); err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{
			TenantID: tenant, Action: audit.ThemePublished, ObjectID: id.Tenant.Format(tenant), Fields: []audit.Field{{Name: "version", After: version}},
		})
	})
	return version, err
}

// PublishStatus is the function PublishStatus.
func (s *Service) PublishStatus(ctx context.Context, tenant id.ID) ([]LogEntry, error) {
	return read(ctx, s.db, func(q db.Queryer) ([]LogEntry, error) { return PublishStatus(q, tenant) })
}

// Version is the function Version.
func (s *Service) Version(ctx context.Context, tenant id.ID) (string, error) {
	return read(ctx, s.db, func(q db.Queryer) (string, error) { return Version(q, tenant) })
}

// edit is a change of a draft.
type edit struct {
	tenant id.ID
	locale string
	part   string // of the theme
}

// edit changes a draft, in the order of those who change the same, and notes who
// did.
func (s *Service) edit(ctx context.Context, what edit, fn func(tx *db.Tx) error) error {
	return s.db.WriteKey(ctx, what.tenant.String()+"/theme", func(tx *db.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		locale, err := ParseLocale(what.locale)
		if err != nil {
			return err
		}
		return audit.Write(ctx, tx, audit.Change{
			TenantID: what.tenant, Action: audit.ThemeUpdated, ObjectID: id.Tenant.Format(what.tenant),
			Fields: []audit.Field{{Name: what.part, After: locale}},
		})
	})
}

// The fact that a version has come into use. Its data is a *PublishedTheme, and it
// is about the theme of the tenant, which has the tenant's id.
const (
	Published    = "theme.published"
	ThemeSubject = "theme"
)

// PublishedTheme is what the fact says.
type PublishedTheme struct {
	Version string `json:"version"`
}

// publishedTimer has it said that a version has come into use: the job that brought
// it there is no command.
const publishedTimer = "theme.published"

func setPublished(tx *db.Tx, tenant id.ID, version string) error {
	_, err := timer.Set(tx, timer.Timer{TenantID: tenant, Kind: publishedTimer, DueAt: tx.Now(), Ref: tenant, Data: []byte(version)})
	return err
}

func tellPublished(c *fact.Command, t timer.Timer) error {
	_, err := c.Append(fact.Fact{
		Type: Published, Subject: fact.Ref{Kind: ThemeSubject, ID: c.Tenant()}, Actor: fact.ByJob, Data: &PublishedTheme{string(t.Data)},
	})
	return err
}

// read runs fn on a snapshot.
func read[T any](ctx context.Context, d *db.DB, fn func(q db.Queryer) (T, error)) (T, error) {
	var found T
	err := d.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = fn(q)
		return err
	})
	return found, err
}
