package partnerstack_test

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/partnerstack"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// slips are the settings of a tenant that wants the page's slips.
var slips = wire.Settings{"literal_slips": "on"}

// page has the type of each event on the page, in its order, and the family
// whose sample it shares.
var page = []struct{ eventType, family string }{
	{"agreement.accepted", "agreement"},
	{"application.created", "application"},
	{"application.approved", "application"},
	{"application.declined", "application"},
	{"partnership.created", "partnership"},
	{"partnership.updated", "partnership"},
	{"partnership.tags_updated", "partnership"},
	{"customer.created", "customer"},
	{"customer.updated", "customer"},
	{"customer.deleted", "customer"},
	{"transaction.created", "transaction"},
	{"transaction.updated", "transaction"},
	{"lead.created", "lead"},
	{"lead.updated", "lead"},
	{"deal.created", "deal"},
	{"deal.updated", "deal"},
	{"training.course_completed", "training"},
	{"training.learning_path_completed", "training"},
	{"partner_team.member_created", "partner_team"},
	{"partner_team.member_removed", "partner_team"},
	{"action.created", "action"},
	{"action.updated", "action"},
	{"message.created", "message"},
}

// exception is a difference between an event and its family's sample on the
// page: where it is, empty for what no longer shows in a parsed sample; and why.
type exception struct {
	path string
	kind wire.RemarkKind
	text string
}

const (
	python    = `The page's sample is written in Python, with None, False and ''; here it is JSON.`
	commas    = `The page's sample has commas before closing braces, which JSON does not allow.`
	undecided = `The page has one sample for the three events, of an application that nobody has decided; here approved is `
	another   = `The page has one sample for the family, of another event; here event is `
	actionKey = `The key in the page's sample begins as a lead's does; here it begins with "actn_".`
)

var exceptions = map[string][]exception{
	"application.approved": {{"approved", wire.Added, undecided + "true."}},
	"application.declined": {{"approved", wire.Added, undecided + "false."}},
	"partnership.updated":  {{"event", wire.Added, another + `"partnership_updated".`}},
	"partnership.tags_updated": {
		{"event", wire.Added, another + `"partnership_tags_updated".`},
		{"tags", wire.Added, `The page's sample does not say which tags the partner has now; tags does.`},
	},
	"customer.created": {{"event", wire.Added, another + `"customer_created".`}},
	"customer.deleted": {
		{"event", wire.Added, another + `"customer_deleted".`},
		{"archived", wire.Added, `The page's sample is of a customer who is not archived; here archived is true.`},
	},
	"transaction.created": {
		{"event", wire.Corrected, `In the page's sample event is "transaction_polled"; here it is "transaction_created", unless the setting literal_slips is on.`},
	},
	"transaction.updated": {
		{"event", wire.Corrected, `In the page's sample event is "transaction_polled"; here it is "transaction_updated", unless the setting literal_slips is on.`},
	},
	"lead.created": {{"", wire.Corrected, python}},
	"lead.updated": {{"", wire.Corrected, python}, {"event", wire.Added, another + `"lead_updated".`}},
	"deal.created": {{"", wire.Corrected, commas}},
	"deal.updated": {{"", wire.Corrected, commas}},
	"training.course_completed": {
		{"", wire.Corrected, commas},
		{"event", wire.Corrected, `In the page's sample event is "partnership_created"; here it is "training_course_completed", unless the setting literal_slips is on.`},
		{"course", wire.Added, `The page's sample does not say which course was completed; course does.`},
	},
	"training.learning_path_completed": {
		{"", wire.Corrected, commas},
		{"event", wire.Corrected, `In the page's sample event is "partnership_created"; here it is "training_learning_path_completed", unless the setting literal_slips is on.`},
		{"path", wire.Added, `The page's sample does not say which learning path was completed; path does.`},
	},
	"action.created": {{"key", wire.Corrected, actionKey}},
	"action.updated": {{"key", wire.Corrected, actionKey}},
}

// mustParse reads a JSON value.
func mustParse(t testing.TB, text []byte) any {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// mustPage reads a family's sample on the page.
func mustPage(t testing.TB, family string) any {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "page", family+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return mustParse(t, text)
}

// mustType returns an entry of the catalogue.
func mustType(t testing.TB, settings wire.Settings, name string) wire.EventType {
	t.Helper()
	list := partnerstack.Dialect{}.Catalogue(settings)
	i := slices.IndexFunc(list, func(e wire.EventType) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("%s is not in the catalogue", name)
	}
	return list[i]
}

// body returns the body of an entry's sample.
func body(e wire.EventType, settings wire.Settings) []byte {
	at := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	return partnerstack.Dialect{}.Encode(wire.Event{
		ID: id.First(at), Type: e.Name, OccurredAt: at, Data: e.Sample, Tenant: wire.Tenant{Alias: "acme", Live: true, Settings: settings},
	})
}

// differences lists the paths at which two values differ, each where the
// difference begins.
func differences(path string, a, b any) []string {
	one, isObject := a.(map[string]any)
	two, isToo := b.(map[string]any)
	if !isObject || !isToo {
		if reflect.DeepEqual(a, b) {
			return nil
		}
		return []string{path}
	}
	names := maps.Clone(one)
	maps.Copy(names, two)
	var list []string
	for name := range names {
		at := strings.TrimPrefix(path+"."+name, ".")
		in, there := one[name]
		other, thereToo := two[name]
		if there != thereToo {
			list = append(list, at)
			continue
		}
		list = append(list, differences(at, in, other)...)
	}
	slices.Sort(list)
	return list
}

func TestTheCatalogueHasTheEventsOfThePageInItsOrderAndATest(t *testing.T) {
	var want []string
	for _, e := range page {
		want = append(want, e.eventType)
	}
	want = append(want, "webhook.test")
	for _, settings := range []wire.Settings{nil, {"literal_slips": "off"}, slips} {
		var got []string
		for _, e := range (partnerstack.Dialect{}).Catalogue(settings) {
			got = append(got, e.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %v (-want +got):\n%s", settings, diff)
		}
	}
}

func TestABodyIsThePagesSampleButForWhatTheCatalogueRemarks(t *testing.T) {
	for _, settings := range []wire.Settings{nil, slips} {
		for _, on := range page {
			e := mustType(t, settings, on.eventType)
			var paths []string
			var remarks []wire.Remark
			for _, x := range exceptions[on.eventType] {
				if settings != nil && x.path == "event" && x.kind == wire.Corrected {
					continue // then the page's slip is wanted
				}
				if x.path != "" {
					paths = append(paths, x.path)
				}
				remarks = append(remarks, wire.Remark{Kind: x.kind, Text: x.text})
			}
			slices.Sort(paths)
			if diff := cmp.Diff(paths, differences("", mustPage(t, on.family), mustParse(t, body(e, settings)))); diff != "" {
				t.Errorf("%s with %v differs elsewhere from the page (-want +got):\n%s", on.eventType, settings, diff)
			}
			if !slices.Equal(remarks, e.Remarks) {
				t.Errorf("%s with %v has the remarks %q, want %q", on.eventType, settings, e.Remarks, remarks)
			}
		}
	}
}

func TestBodiesAreTheCommittedOnes(t *testing.T) {
	dirs := map[string]wire.Settings{"golden": nil, filepath.Join("golden", "literal_slips"): slips}
	for dir, settings := range dirs {
		for _, e := range (partnerstack.Dialect{}).Catalogue(settings) {
			got := body(e, settings)
			if settings != nil && string(got) == string(body(mustType(t, nil, e.Name), nil)) {
				continue // the same file stands in golden
			}
			path := filepath.Join("testdata", dir, e.Name+".json")
			if *update {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v: run the test with -update", err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s is out of date: run the test with -update (-committed +now):\n%s", path, diff)
			}
		}
	}
}

// open are the objects whose members are the program's own, by type.
var open = map[string][]string{
	"agreement.accepted":   {"field_data", "meta"},
	"application.created":  {"meta"},
	"application.approved": {"meta"},
	"application.declined": {"meta"},
	"lead.created":         {"meta"},
	"lead.updated":         {"meta"},
	"deal.created":         {"meta"},
	"deal.updated":         {"meta"},
}

// nullable are the members that may be null, by type.
var nullable = map[string][]string{
	"agreement.accepted": {
		"manager_email", "manager_name", "tags", "team_member.created_at", "team_member.key", "team_member.updated_at", "tier",
	},
	"application.created":  {"approved", "content.website"},
	"application.approved": {"approved", "content.website"},
	"application.declined": {"approved", "content.website"},
	"customer.created":     {"name"},
	"customer.updated":     {"name"},
	"customer.deleted":     {"name"},
	"lead.created":         {"approved"},
	"lead.updated":         {"approved"},
	"deal.created":         {"amount", "close_date", "partner_key"},
	"deal.updated":         {"amount", "close_date", "partner_key"},
}

// node is a JSON Schema, as far as ours go.
type node struct {
	Type                 any
	Required             []string
	Properties           map[string]json.RawMessage
	AdditionalProperties *bool
	Const                any
	Enum                 []any
	Ref                  string          `json:"$ref"`
	Defs                 map[string]node `json:"$defs"`
}

// leaves are what a walk through a schema finds.
type leaves struct{ open, nullable []string }

// walk goes through a schema along a sample of it, and tells of each object that
// does not demand the sample's members and refuse others.
func (l *leaves) walk(t *testing.T, path string, schema json.RawMessage, sample any) {
	t.Helper()
	var n node
	if string(schema) != "true" {
		if err := json.Unmarshal(schema, &n); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	if types, ok := n.Type.([]any); ok && slices.Contains(types, "null") && len(types) == 2 {
		l.nullable = append(l.nullable, path)
	}
	object, ok := sample.(map[string]any)
	if !ok {
		return
	}
	if n.Properties == nil {
		l.open = append(l.open, path)
		return
	}
	names := slices.Sorted(maps.Keys(object))
	if diff := cmp.Diff(names, slices.Sorted(slices.Values(n.Required))); diff != "" {
		t.Errorf("%s demands otherwise than its sample has (-sample +schema):\n%s", path, diff)
	}
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(n.Properties))); diff != "" {
		t.Errorf("%s knows otherwise than its sample has (-sample +schema):\n%s", path, diff)
	}
	// The content of an application is what its form asks for: five fields at least.
	if closed := n.AdditionalProperties != nil && !*n.AdditionalProperties; closed == (path == "content") {
		t.Errorf("%s takes other members: %t", path, !closed)
	}
	for _, name := range names {
		l.walk(t, strings.TrimPrefix(path+"."+name, "."), n.Properties[name], object[name])
	}
}

func TestASchemaDemandsWhatTheSampleHasAndNothingElse(t *testing.T) {
	for _, settings := range []wire.Settings{nil, slips} {
		for _, e := range (partnerstack.Dialect{}).Catalogue(settings) {
			t.Run(e.Name, func(t *testing.T) {
				var l leaves
				l.walk(t, "", e.Schema, mustParse(t, e.Sample))
				if diff := cmp.Diff(open[e.Name], l.open); diff != "" {
					t.Errorf("open maps (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(nullable[e.Name], l.nullable); diff != "" {
					t.Errorf("what may be null (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestASchemaDemandsTheEventOfItsType(t *testing.T) {
	for _, settings := range []wire.Settings{nil, slips} {
		for _, e := range (partnerstack.Dialect{}).Catalogue(settings) {
			sample, _ := mustParse(t, e.Sample).(map[string]any)
			if _, ok := sample["event"]; !ok {
				continue
			}
			var schema, event node
			if err := json.Unmarshal(e.Schema, &schema); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(schema.Properties["event"], &event); err != nil {
				t.Fatal(err)
			}
			right := strings.Replace(e.Name, ".", "_", 1)
			if slip := sample["event"]; slip != right { // only where the page's slips are wanted
				if diff := cmp.Diff(node{Enum: []any{right, slip}}, event); settings == nil || diff != "" {
					t.Errorf("%s with %v (-want +got):\n%s", e.Name, settings, diff)
				}
				continue
			}
			if diff := cmp.Diff(node{Const: right}, event); diff != "" {
				t.Errorf("%s with %v (-want +got):\n%s", e.Name, settings, diff)
			}
		}
	}
}
