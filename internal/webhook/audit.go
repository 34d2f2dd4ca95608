package webhook

import (
	"context"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
)

// auditSubscription writes what was done to a subscription, if anything was. was
// is nil for one that is made, now for one that is deleted.
func auditSubscription(ctx context.Context, tx *db.Tx, was, now *Subscription) error {
	action, of := audit.SubscriptionUpdated, now
	switch {
	case was == nil:
		action, was = audit.SubscriptionCreated, &Subscription{}
	case now == nil:
		action, of, now = audit.SubscriptionDeleted, was, &Subscription{}
	case !was.Enabled && now.Enabled:
		action = audit.SubscriptionEnabled
	case was.Enabled && !now.Enabled:
		action = audit.SubscriptionDisabled
	case !same(reflect.ValueOf(was.Secrets), reflect.ValueOf(now.Secrets)):
		action = audit.SubscriptionSecretRotated
	}
	fields := differences(was, now)
	if len(fields) == 0 {
		return nil
	}
	return audit.Write(ctx, tx, audit.Change{TenantID: of.TenantID, Action: action, ObjectID: id.Subscription.Format(of.ID), Fields: fields})
}

// auditReveal returns a subscription whose secrets are about to be shown, once
// that is on record.
func (s *Service) auditReveal(ctx context.Context, tenant, sub id.ID) (*Subscription, error) {
	var found *Subscription
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if found, err = s.selectSubscription(tx, tenant, sub); err != nil {
			return err
		}
		change := audit.Change{TenantID: tenant, Action: audit.SubscriptionSecretRevealed, ObjectID: id.Subscription.Format(sub)}
		return audit.Write(ctx, tx, change)
	})
	return found, err
}

// auditReplay writes what was done to a replay.
func auditReplay(ctx context.Context, tx *db.Tx, j *job.Job, action audit.Action) error {
	return audit.Write(ctx, tx, audit.Change{TenantID: j.TenantID, Action: action, ObjectID: id.Job.Format(j.ID)})
}

// bookkeeping are the fields of a subscription that are no news.
var bookkeeping = []string{"ID", "TenantID", "CreatedAt", "UpdatedAt", "DeletedAt", "Generation", "Version", "Health"}

// shown are the fields whose values an entry shows. Of the others it has the name
// alone: they hold secrets, or what only their owner knows to be none.
var shown = map[string]func(*Subscription) string{
	"Dialect": func(s *Subscription) string {
		if s.Dialect == nil {
			return ""
		}
		return s.Dialect.Name()
	},
	"EventTypes": func(s *Subscription) string { return strings.Join(s.EventTypes, " ") },
	"Reason":     func(s *Subscription) string { return s.Reason },
	"Enabled": func(s *Subscription) string {
		switch {
		case s.Dialect == nil: // the zero one: there is none
			return ""
		case s.Enabled:
			return enabled
		}
		return disabled
	},
}

// differences lists the fields in which two subscriptions differ. It goes through
// all that there are, so that none is forgotten that a subscription gets one day.
func differences(was, now *Subscription) []audit.Field {
	var fields []audit.Field
	before, after := reflect.ValueOf(was).Elem(), reflect.ValueOf(now).Elem()
	for i := range before.NumField() {
		field := before.Type().Field(i)
		show := shown[field.Name]
		switch {
		case !field.IsExported() || slices.Contains(bookkeeping, field.Name):
		case field.Name == "URL":
			fields = append(fields, urlDifference(was.URL, now.URL)...)
		case show == nil:
			if !same(before.Field(i), after.Field(i)) {
				fields = append(fields, audit.Field{Name: fieldWord(field.Name)})
			}
		case show(was) != show(now):
			fields = append(fields, audit.Field{Name: fieldWord(field.Name), Before: show(was), After: show(now)})
		}
	}
	return fields
}

// urlDifference shows where a URL leads, and no more of it: its path and its
// query may hold a key.
func urlDifference(was, now string) []audit.Field {
	if was == now {
		return nil
	}
	if before, after := hostOf(was), hostOf(now); before != after {
		return []audit.Field{{Name: "url_host", Before: before, After: after}}
	}
	return []audit.Field{{Name: "url"}}
}

func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Host
}

// same reports whether two values say the same. A list that is empty says what a
// missing one does.
func same(a, b reflect.Value) bool {
	if k := a.Kind(); (k == reflect.Slice || k == reflect.Map) && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// fieldWord is a field's name as the API writes it.
func fieldWord(name string) string {
	if name == "Enabled" {
		return "status"
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
