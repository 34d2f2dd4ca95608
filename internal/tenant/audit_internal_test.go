package tenant

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestEveryFieldOfATenantThatChangesIsNoted(t *testing.T) {
	was := Tenant{ID: id.New(time.Now()), Alias: "acme"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Tenant]()) {
		if slices.Contains([]string{"ID", "CreatedAt", "UpdatedAt"}, field.Name) { // the entry has them itself
			continue
		}
		parts := 1
		if field.Type.Kind() == reflect.Struct {
			parts = field.Type.NumField()
		}
		for part := range parts {
			now := was
			changed, name := reflect.ValueOf(&now).Elem().FieldByIndex(field.Index), field.Name
			if field.Type.Kind() == reflect.Struct {
				changed, name = changed.Field(part), name+"."+field.Type.Field(part).Name
			}
			switch changed.Kind() {
			case reflect.String:
				changed.SetString("other")
			case reflect.Bool:
				changed.SetBool(true)
			case reflect.Int:
				changed.SetInt(7)
			case reflect.Slice:
				changed.Set(reflect.ValueOf([]string{"standard"}))
			default:
				t.Fatalf("this test can't change %s", name)
			}
			if c := tenantChanges(was, now); len(c) != 1 || c[0].Before == c[0].After {
				t.Errorf("%s changes and the entry has %+v", name, c)
			}
		}
	}
}

func TestAnEntryHasTheRetentionBeforeAndAfter(t *testing.T) {
	was := Tenant{ID: id.New(time.Now()), Retention: Retention{Days: 30, BodyDays: 7}}
	now := was
	now.Retention = Retention{Days: 14}
	want := changes{
		audit.Field{Name: "retention_days", Before: "30", After: "14"},
		audit.Field{Name: "body_retention_days", Before: "7"},
	}
	if diff := cmp.Diff(want, tenantChanges(was, now)); diff != "" {
		t.Errorf("the entry has (-want +got):\n%s", diff)
	}
}
