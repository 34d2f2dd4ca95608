package webhook_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

const invoiceSchema = `{"type":"object","required":["amount"],"properties":{"amount":{"type":"integer"}}}`

// checkingWorld is a world whose tenants have events checked as it says.
type checkingWorld struct {
	*world
	checking atomic.Pointer[string]
}

func mustChecking(t testing.TB, checking string) *checkingWorld {
	t.Helper()
	w := &checkingWorld{world: mustStarted(t)}
	w.checking.Store(&checking)
	box, err := secret.Open(t.Context(), w.db, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = webhook.New(webhook.Options{
		DB: w.db, Box: box, CheckURL: checkURL, Attempter: w.tries, Identify: w.identify,
	})
	return w
}

func (w *checkingWorld) identify(context.Context, id.ID, string) (*wire.Identity, error) {
	return &wire.Identity{Tenant: wire.Tenant{Settings: wire.Settings{standard.Checking.Name: *w.checking.Load()}}}, nil
}

func (w *world) mustRegister(n webhook.NewEventType) webhook.EventType {
	w.t.Helper()
	registered, _, err := w.RegisterEventType(context.Background(), w.tenant, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return registered
}

func TestATypeHasVersionsFromOneAndTheSameAgainMakesNone(t *testing.T) {
	w := mustStarted(t)
	n := webhook.NewEventType{Name: "invoice.paid", Description: "d", Schema: []byte(invoiceSchema), Sample: []byte(` {"amount": 1} `)}
	for _, step := range []struct {
		change  func()
		version int
		made    bool
	}{
		{func() {}, 1, true},
		{func() {}, 1, false},
		{func() { n.Schema = []byte(" " + invoiceSchema + "\n") }, 1, false},
		{func() { n.Description = "e" }, 2, true},
		{func() { n.Schema, n.Sample = nil, nil }, 3, true},
		{func() {
			if err := w.ArchiveEventType(t.Context(), w.tenant, n.Name); err != nil {
				t.Fatal(err)
			}
		}, 4, true},
	} {
		step.change()
		registered, made, err := w.RegisterEventType(t.Context(), w.tenant, n)
		if err != nil || registered.Version != step.version || made != step.made {
			t.Errorf("%+v, %t, %v; want version %d, %t", registered, made, err, step.version, step.made)
		}
	}
	versions, err := w.EventTypeVersions(t.Context(), w.tenant, n.Name)
	if err != nil || len(versions) != 4 || versions[0].Version != 4 || versions[0].Schema != nil || string(versions[3].Sample) != `{"amount":1}` {
		t.Errorf("%+v, %v", versions, err)
	}
}

func TestAnArchivedTypeIsNotListedAndCanNotBeArchivedAgain(t *testing.T) {
	w := mustStarted(t)
	for _, name := range []string{"b", "a"} {
		w.mustRegister(webhook.NewEventType{Name: name})
	}
	names := func() []string { return mustDo2(t)(w.EventTypeNames(t.Context(), w.tenant)) }
	if diff := cmp.Diff([]string{"a", "b"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if err := w.ArchiveEventType(t.Context(), w.tenant, "a"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"b"}, names()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	wantProblem(t, w.ArchiveEventType(t.Context(), w.tenant, "a"), problem.NotFound)
	wantProblem(t, w.ArchiveEventType(t.Context(), id.New(time.Now()), "b"), problem.NotFound)
	if types, err := w.EventTypes(t.Context(), w.tenant, []string{"a", "b", "c"}); err != nil || len(types) != 1 || types[0].Name != "b" {
		t.Errorf("%+v, %v", types, err)
	}
	_, err := w.EventTypeVersions(t.Context(), id.New(time.Now()), "b")
	wantProblem(t, err, problem.NotFound)
	if versions, err := w.EventTypeVersions(t.Context(), w.tenant, "a"); err != nil || versions[0].ArchivedAt.IsZero() {
		t.Errorf("%+v, %v", versions, err)
	}
}

func mustDo2(t testing.TB) func(names []string, err error) []string {
	return func(names []string, err error) []string { return mustDo(t, names, err) }
}

func TestABadTypeIsRefusedByFieldAndNotRepeated(t *testing.T) {
	w := mustStarted(t)
	schema := func(text string) webhook.NewEventType { return webhook.NewEventType{Schema: []byte(text)} }
	for name, test := range map[string]struct {
		n     webhook.NewEventType
		field string
	}{
		"a name of ours":              {webhook.NewEventType{Name: "webhook.hunter2"}, "name"},
		"a name with a space":         {webhook.NewEventType{Name: "hunter2 x"}, "name"},
		"a long description":          {webhook.NewEventType{Description: strings.Repeat("hunter2 ", 200)}, "description"},
		"no JSON":                     {schema(`{hunter2`), "schema"},
		"no object":                   {schema(`["hunter2"]`), "schema"},
		"a long schema":               {schema(`{"title":"` + strings.Repeat("hunter2", 10_000) + `"}`), "schema"},
		"a wrong keyword's value":     {schema(`{"properties":{"a":{"type":"hunter2"}}}`), "schema.properties.a.type"},
		"another draft":               {schema(`{"$schema":"http://json-schema.org/draft-07/schema#"}`), "schema.$schema"},
		"a foreign reference":         {schema(`{"properties":{"a":{"$ref":"https://hunter2.example/x"}}}`), "schema.properties.a.$ref"},
		"a reference to a file":       {schema(`{"$ref":"file:///etc/hunter2"}`), "schema.$ref"},
		"a dangling reference":        {schema(`{"$ref":"#/$defs/hunter2"}`), "schema.$ref"},
		"a reference to no schema":    {schema(`{"const":{"hunter2":{}},"$ref":"#/const/hunter2"}`), "schema.$ref"},
		"an anchor that is not there": {schema(`{"$ref":"#hunter2"}`), "schema"},
		"a resource inside":           {schema(`{"$defs":{"a":{"$id":"https://hunter2.example/x"}}}`), "schema.$defs.a"},
		"a bad pattern":               {schema(`{"pattern":"(hunter2"}`), "schema.pattern"},
		"a pattern that explodes":     {schema(`{"pattern":"((hunter2{100}){100})"}`), "schema.pattern"},
		"a sample that is none":       {webhook.NewEventType{Sample: []byte(`["hunter2"]`)}, "sample"},
		"a sample that does not fit":  {webhook.NewEventType{Schema: []byte(invoiceSchema), Sample: []byte(`{"amount":"hunter2"}`)}, "sample.amount"},
	} {
		if test.n.Name == "" {
			test.n.Name = "a.b"
		}
		_, _, err := w.RegisterEventType(t.Context(), w.tenant, test.n)
		t.Run(name, func(t *testing.T) { wantProblem(t, err, problem.Invalid, test.field) })
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: it repeats what was given: %v", name, err)
		}
	}
	if names, err := w.EventTypeNames(t.Context(), w.tenant); err != nil || len(names) > 0 {
		t.Errorf("stored: %v, %v", names, err)
	}
}

func TestPublishingAsksOfTypesAndDataWhatTheTenantWants(t *testing.T) {
	const unregistered, wrong, right = "other", `{"amount":"hunter2"}`, `{"amount":1}`
	for checking, want := range map[string]map[string][]string{
		"any":        {"wrong": nil, "unregistered": nil},
		"checked":    {"wrong": {"data.amount"}, "unregistered": nil},
		"registered": {"wrong": {"data.amount"}, "unregistered": {"type"}},
	} {
		w := mustChecking(t, checking)
		w.mustRegister(webhook.NewEventType{Name: "invoice.paid", Schema: []byte(invoiceSchema)})
		w.mustRegister(webhook.NewEventType{Name: "free"})
		for what, p := range map[string]webhook.Publishing{
			"right": one("invoice.paid", right), "without a schema": one("free", wrong),
			"wrong": one("invoice.paid", wrong), "unregistered": one(unregistered, wrong),
		} {
			_, _, err := w.Publish(t.Context(), w.tenant, p)
			if fields := want[what]; fields != nil {
				wantProblem(t, err, problem.Invalid, fields...)
				if strings.Contains(fmt.Sprint(err), "hunter2") {
					t.Errorf("it repeats the data: %v", err)
				}
			} else if err != nil {
				t.Errorf("%s, %s: %v", checking, what, err)
			}
		}
	}
}

func TestTheTypesOfATenantConcernNoOtherAndNoOtherDialect(t *testing.T) {
	w := mustChecking(t, "registered")
	w.mustRegister(webhook.NewEventType{Name: "a", Schema: []byte(invoiceSchema)})
	_, _, err := w.Publish(t.Context(), id.New(time.Now()), one("a", `{"amount":1}`))
	wantProblem(t, err, problem.Invalid, "type")
	if _, _, err := w.Publish(t.Context(), w.tenant, webhook.Publishing{Publications: []webhook.Publication{signup(goodSignup)}}); err != nil {
		t.Error(err)
	}
}

func TestEventsAreCheckedByTheNewestVersionFromItsAnswerOn(t *testing.T) {
	w := mustChecking(t, "registered")
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 { // who loads the types all the time
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _, _ = w.Publish(t.Context(), w.tenant, one("a", `{"v":0}`))
				}
			}
		})
	}
	for v := range 30 {
		w.mustRegister(webhook.NewEventType{Name: "a", Schema: fmt.Appendf(nil, `{"properties":{"v":{"const":%d}}}`, v)})
		if _, _, err := w.Publish(t.Context(), w.tenant, one("a", fmt.Sprintf(`{"v":%d}`, v))); err != nil {
			t.Errorf("version %d: %v", v+1, err)
		}
		_, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"v":-1}`))
		wantProblem(t, err, problem.Invalid, "data.v")
	}
	if err := w.ArchiveEventType(t.Context(), w.tenant, "a"); err != nil {
		t.Fatal(err)
	}
	_, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"v":29}`))
	wantProblem(t, err, problem.Invalid, "type")
	close(stop)
	wg.Wait()
}

// doubling is a schema in which each of n steps refers to the next one twice.
func doubling(n int, keyword, last string) string {
	defs := map[string]json.RawMessage{fmt.Sprint("s", n): json.RawMessage(last)}
	for i := range n {
		defs[fmt.Sprint("s", i)] = fmt.Appendf(nil, `{"%s":[{"$ref":"#/$defs/s%d"},{"$ref":"#/$defs/s%d"}]}`, keyword, i+1, i+1)
	}
	text, _ := json.Marshal(map[string]any{"$ref": "#/$defs/s0", "$defs": defs})
	return string(text)
}

func TestASchemaThatWouldTakeForEverIsBrokenOff(t *testing.T) {
	w := mustChecking(t, "checked")
	for name, schema := range map[string]string{
		"all, which holds":         doubling(60, "allOf", `{"type":"object"}`),
		"any, which fails":         doubling(60, "anyOf", `{"type":"string"}`),
		"not any, which fails":     `{"not":` + doubling(60, "anyOf", `{"required":["gone"]}`) + `}`,
		"one, which fails":         doubling(60, "oneOf", `false`),
		"twice for each level":     `{"$ref":"#/$defs/n","$defs":{"n":{"allOf":[{"properties":{"a":{"$ref":"#/$defs/n"}}},{"properties":{"a":{"$ref":"#/$defs/n"}}}]}}}`,
		"every item many times":    `{"properties":{"list":{"items":{"allOf":[` + strings.Repeat(`{"type":"number"},`, 3000) + `{}]}}}}`,
		"unique items, many times": `{"properties":{"list":{"allOf":[` + strings.Repeat(`{"uniqueItems":true},`, 3000) + `{}]}}}`,
	} {
		if strings.HasPrefix(schema, `{"not"`) { // references are from the root
			schema = strings.Replace(doubling(60, "anyOf", `{"required":["gone"]}`), `"$ref":"#/$defs/s0"`, `"not":{"$ref":"#/$defs/s0"}`, 1)
		}
		w.mustRegister(webhook.NewEventType{Name: "a", Schema: []byte(schema)})
		nested := strings.Repeat(`{"a":`, 400) + `1` + strings.Repeat(`}`, 400)
		list := strings.TrimSuffix(strings.Repeat("1,", 50_000), ",")
		began := time.Now()
		_, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"a":`+nested+`,"list":[`+list+`]}`))
		took := time.Since(began)
		t.Run(name, func(t *testing.T) {
			wantProblem(t, err, problem.Invalid, "data")
			if !strings.Contains(fmt.Sprint(err), "too long to check") || took > 20*time.Second {
				t.Errorf("after %v: %v", took, err)
			}
		})
	}
	// What was broken off leaves nothing behind.
	w.mustRegister(webhook.NewEventType{Name: "a", Schema: []byte(`{"items":{"allOf":[{"type":"object"},{}]}}`)})
	for range 3 {
		if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"a":1}`)); err != nil {
			t.Error(err)
		}
	}
}

func TestALargeEventFitsAnOrdinarySchema(t *testing.T) {
	w := mustChecking(t, "checked")
	w.mustRegister(webhook.NewEventType{Name: "a", Schema: []byte(`{"type":"object","properties":{"lines":{"type":"array","uniqueItems":true,"items":{"$ref":"#/$defs/line"}}},
		"$defs":{"line":{"type":"object","required":["sku","n"],"additionalProperties":false,"properties":{"sku":{"type":"string","pattern":"^[a-z]+-[0-9]+$"},"n":{"type":"integer","minimum":0}}}}}`)})
	lines := make([]string, 7000)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"sku":"sku-%d","n":%d}`, i, i)
	}
	if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{"lines":[`+strings.Join(lines, ",")+`]}`)); err != nil {
		t.Error(err)
	}
}

func TestATenantHasNoMoreTypesThanItMay(t *testing.T) {
	w := mustStarted(t)
	large := []byte(`{"title":"` + strings.Repeat("x", 65_000) + `"}`)
	for i := range webhook.MaxTypeSchemas / len(large) {
		w.mustRegister(webhook.NewEventType{Name: fmt.Sprint("large.", i), Schema: large})
	}
	_, _, err := w.RegisterEventType(t.Context(), w.tenant, webhook.NewEventType{Name: "more", Schema: large})
	wantProblem(t, err, problem.Conflict)
	w.mustRegister(webhook.NewEventType{Name: "large.0", Schema: large, Description: "a new version takes no more room"})
	if err := w.ArchiveEventType(t.Context(), w.tenant, "large.1"); err != nil {
		t.Fatal(err)
	}
	w.mustRegister(webhook.NewEventType{Name: "more", Schema: large})
	names, err := w.EventTypeNames(t.Context(), w.tenant)
	if err != nil {
		t.Fatal(err)
	}
	for i := range webhook.MaxTypes - len(names) {
		w.mustRegister(webhook.NewEventType{Name: fmt.Sprint("small.", i)})
	}
	_, _, err = w.RegisterEventType(t.Context(), w.tenant, webhook.NewEventType{Name: "last"})
	wantProblem(t, err, problem.Conflict)
}

func TestAMistakeInDataSaysWhatTheSchemaAsksFor(t *testing.T) {
	w := mustChecking(t, "registered")
	w.mustRegister(webhook.NewEventType{Name: "a.b", Schema: []byte(`{"properties":{
		"least":{"minimum":5},"most":{"maximum":-0.5},"above":{"exclusiveMinimum":1e3},"below":{"exclusiveMaximum":9007199254740993},
		"step":{"multipleOf":0.01},"huge":{"minimum":1e100},"text":{"minLength":3},"short":{"maxLength":2},"list":{"minItems":1},
		"members":{"maxProperties":0},"form":{"anyOf":[{"const":1},{"const":2}]},"forms":{"oneOf":[{"minimum":1},{"minimum":2}]}}}`)})
	for data, says := range map[string]string{
		`{"least":4}`:                "data.least: does not fit the schema: minimum 5",
		`{"most":0}`:                 "data.most: does not fit the schema: maximum -0.5",
		`{"above":1000}`:             "data.above: does not fit the schema: exclusiveMinimum 1000",
		`{"below":9007199254740993}`: "data.below: does not fit the schema: exclusiveMaximum 9007199254740993",
		`{"step":0.015}`:             "data.step: does not fit the schema: multipleOf 0.01",
		`{"huge":1}`:                 "data.huge: does not fit the schema: minimum",
		`{"text":"a"}`:               "data.text: does not fit the schema: minLength 3",
		`{"short":"abc"}`:            "data.short: does not fit the schema: maxLength 2",
		`{"list":[]}`:                "data.list: does not fit the schema: minItems 1",
		`{"members":{"a":1}}`:        "data.members: does not fit the schema: maxProperties 0",
		`{"form":3}`:                 "data.form: has none of the forms that its schema allows",
		`{"forms":3}`:                "data.forms: has more than one of the forms of which its schema allows one",
	} {
		if _, _, err := w.Publish(t.Context(), w.tenant, one("a.b", data)); err == nil || !strings.HasSuffix(err.Error(), says) {
			t.Errorf("%s: %v", data, err)
		}
	}
	_, _, err := w.Publish(t.Context(), w.tenant, one("c.d", `{}`))
	if err == nil || !strings.Contains(err.Error(), "grapevine event-type register") {
		t.Errorf("of a type that is not registered: %v", err)
	}
	_, _, err = w.RegisterEventType(t.Context(), w.tenant, webhook.NewEventType{Name: "e.f", Schema: []byte(`{"type":"text"}`)})
	if err == nil || !strings.HasSuffix(err.Error(), "schema.type: is not what JSON Schema allows there") {
		t.Errorf("a schema's mistake: %v", err)
	}
}
