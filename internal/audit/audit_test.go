package audit_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var compareAddresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

// mustOpen opens a new database until the test ends.
func mustOpen(t testing.TB) *db.DB {
	t.Helper()
	return testkit.OpenDB(t, db.Options{})
}

func mustNew(t testing.TB, d *db.DB, opts audit.Options) *audit.Service {
	t.Helper()
	s, err := audit.New(d, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// mustWrite stores changes in one transaction.
func mustWrite(t testing.TB, ctx context.Context, d *db.DB, changes ...audit.Change) {
	t.Helper()
	err := d.Write(ctx, func(tx *db.Tx) error {
		for _, c := range changes {
			if err := audit.Write(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func mustEntries(t testing.TB, s *audit.Service, f audit.Filter) []audit.Entry {
	t.Helper()
	entries, next, err := s.Entries(t.Context(), f, audit.Page{Limit: 1000})
	if err != nil || !next.IsZero() {
		t.Fatal(err, next)
	}
	return entries
}

func TestAnEntryIsReadAsItWasWritten(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpen(t)
		s := mustNew(t, d, audit.Options{})
		tenant, key := id.New(time.Now()), id.New(time.Now())
		change := audit.Change{TenantID: tenant, Action: audit.SubscriptionUpdated, ObjectID: "sub_1", Fields: []audit.Field{
			{Name: "url_host", Before: "a.example.com", After: "b.example.com"}, {Name: "headers"},
		}}
		actors := []audit.Actor{
			{Kind: audit.System},
			{Kind: audit.Operator, Via: audit.ViaConsole, Address: netip.MustParseAddr("2001:db8::1")},
			{Kind: audit.Command},
			{Kind: audit.Key, Via: audit.ViaAPI, KeyID: key, KeyHint: "gv_live_1", KeyName: "Büro", Address: netip.MustParseAddr("192.0.2.7"), RequestID: "r-1"},
		}
		before := time.Now()
		for _, actor := range actors {
			mustWrite(t, audit.WithActor(t.Context(), actor), d, change)
			time.Sleep(2 * time.Millisecond) // the order of the list is that of milliseconds
		}
		entries := mustEntries(t, s, audit.Filter{})
		if len(entries) != len(actors) {
			t.Fatalf("%d entries", len(entries))
		}
		for i, e := range entries {
			want := audit.Entry{ID: e.ID, At: e.At, Change: change, Actor: actors[len(actors)-1-i]}
			if diff := cmp.Diff(want, e, compareAddresses); diff != "" {
				t.Errorf("entry (-written +read):\n%s", diff)
			}
			if e.ID.IsZero() || e.At.Before(before.Truncate(time.Microsecond)) || e.At.After(time.Now()) {
				t.Errorf("the entry %s is of %v", e.ID, e.At)
			}
		}
		if got := entries[0].ObjectKind(); got != "subscription" {
			t.Errorf("the object is a %s", got)
		}
	})
}

func TestWhereNobodySaidWhoActsTheProgramDoes(t *testing.T) {
	d := mustOpen(t)
	mustWrite(t, t.Context(), d, audit.Change{Action: audit.SigningKeyRotated, ObjectID: "k"})
	e := mustEntries(t, mustNew(t, d, audit.Options{}), audit.Filter{})[0]
	if diff := cmp.Diff(audit.Actor{Kind: audit.System}, e.Actor, compareAddresses); diff != "" {
		t.Errorf("actor (-want +got):\n%s", diff)
	}
}

func TestAChangeThatIsTakenBackLeavesNoEntry(t *testing.T) {
	d := mustOpen(t)
	failure := errors.New("refused")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := audit.Write(t.Context(), tx, audit.Change{Action: audit.TenantDeleted, ObjectID: "ten_1"}); err != nil {
			return err
		}
		return failure
	})
	if !errors.Is(err, failure) {
		t.Fatal(err)
	}
	if entries := mustEntries(t, mustNew(t, d, audit.Options{}), audit.Filter{}); len(entries) > 0 {
		t.Errorf("%d entries are there", len(entries))
	}
}

func TestAnEntryNamesAllFieldsAndStaysSmall(t *testing.T) {
	d := mustOpen(t)
	s := mustNew(t, d, audit.Options{})
	for name, value := range map[string]string{"long": strings.Repeat("ä", 10_000), "costly": strings.Repeat("\x00", 200), "short": "v"} {
		for _, count := range []int{1, 32} {
			var fields []audit.Field
			for i := range count {
				fields = append(fields, audit.Field{Name: fmt.Sprintf("field_%02d", i), Before: value, After: value + "x"})
			}
			object := fmt.Sprint(name, count)
			mustWrite(t, t.Context(), d, audit.Change{Action: audit.TenantUpdated, ObjectID: object, Fields: fields})
			e := mustEntries(t, s, audit.Filter{ObjectID: object})[0]
			size := 0
			for i, f := range e.Fields {
				size += len(f.Name) + len(f.Before) + len(f.After)
				if f.Name != fields[i].Name {
					t.Errorf("%s: field %d is called %s", object, i, f.Name)
				}
			}
			if len(e.Fields) != count || size > 4<<10 {
				t.Errorf("%s: %d fields with %d bytes", object, len(e.Fields), size)
			}
			if count == 1 && e.Fields[0].After == "" {
				t.Errorf("%s: one value is not shown", object)
			}
		}
	}
}

// filled is a table with entries of two tenants and the operator.
type filled struct {
	s      *audit.Service
	d      *db.DB
	a, b   id.ID // tenants
	key    id.ID // of a
	middle time.Time
}

func mustFill(t testing.TB) filled {
	t.Helper()
	d := mustOpen(t)
	f := filled{s: mustNew(t, d, audit.Options{}), d: d, a: id.New(time.Now()), b: id.New(time.Now()), key: id.New(time.Now())}
	byKey := audit.WithActor(t.Context(), audit.Actor{Kind: audit.Key, KeyID: f.key})
	mustWrite(t, byKey, d,
		audit.Change{TenantID: f.a, Action: audit.SubscriptionCreated, ObjectID: "sub_1"},
		audit.Change{TenantID: f.a, Action: audit.SubscriptionCreated, ObjectID: "sub_2"},
	)
	time.Sleep(2 * time.Millisecond)
	f.middle = time.Now()
	mustWrite(t, byKey, d, audit.Change{TenantID: f.a, Action: audit.SubscriptionUpdated, ObjectID: "sub_1"})
	mustWrite(t, t.Context(), d,
		audit.Change{TenantID: f.a, Action: audit.SubscriptionDisabled, ObjectID: "sub_1"},
		audit.Change{TenantID: f.b, Action: audit.SubscriptionCreated, ObjectID: "sub_3"},
		audit.Change{Action: audit.SigningKeyRotated, ObjectID: "k"},
	)
	return f
}

func TestFiltersChooseEntries(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		id.New(time.Now())
		time.Sleep(time.Minute) // ids of a test before may be ahead of the clock by less
		f := mustFill(t)
		for name, c := range map[string]struct {
			filter audit.Filter
			want   int
		}{
			"everything":              {audit.Filter{}, 6},
			"a tenant's":              {audit.Filter{TenantID: f.a}, 4},
			"an action":               {audit.Filter{Action: audit.SubscriptionCreated}, 3},
			"an action of a tenant":   {audit.Filter{TenantID: f.a, Action: audit.SubscriptionCreated}, 2},
			"an object":               {audit.Filter{ObjectID: "sub_1"}, 3},
			"another's object":        {audit.Filter{TenantID: f.b, ObjectID: "sub_1"}, 0},
			"a key":                   {audit.Filter{KeyID: f.key}, 3},
			"another's key":           {audit.Filter{TenantID: f.b, KeyID: f.key}, 0},
			"a key, object, action":   {audit.Filter{TenantID: f.a, KeyID: f.key, ObjectID: "sub_1", Action: audit.SubscriptionUpdated}, 1},
			"since":                   {audit.Filter{Since: f.middle}, 4},
			"until":                   {audit.Filter{Until: f.middle}, 2},
			"since, and of an object": {audit.Filter{Since: f.middle, ObjectID: "sub_1"}, 2},
			"nothing":                 {audit.Filter{Action: "no.such"}, 0},
		} {
			if got := mustEntries(t, f.s, c.filter); len(got) != c.want {
				t.Errorf("%s: %d entries, want %d", name, len(got), c.want)
			}
		}
	})
}

func TestNothingIsCalledWhatIsNoText(t *testing.T) {
	d := mustOpen(t)
	s := mustNew(t, d, audit.Options{})
	mustWrite(t, t.Context(), d, audit.Change{Action: audit.TenantCreated, ObjectID: "thing"})
	for _, f := range []audit.Filter{{ObjectID: "thing\x00"}, {ObjectID: "\xff"}, {Action: "\x00"}, {Action: "\xff"}} {
		if found := mustEntries(t, s, f); len(found) != 0 {
			t.Errorf("%+v finds %d entries", f, len(found))
		}
	}
}

func TestPagesHaveEveryEntryOnceTheNewestFirst(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		f := mustFill(t)
		all := mustEntries(t, f.s, audit.Filter{})
		var paged []audit.Entry
		for page := (audit.Page{Limit: 4}); ; {
			part, next, err := f.s.Entries(t.Context(), audit.Filter{}, page)
			if err != nil {
				t.Fatal(err)
			}
			paged = append(paged, part...)
			if next.IsZero() {
				break
			}
			page.Before = next
		}
		if diff := cmp.Diff(all, paged, compareAddresses); diff != "" {
			t.Errorf("the pages differ from the list (-list +pages):\n%s", diff)
		}
		if !slices.IsSortedFunc(all, func(a, b audit.Entry) int { return b.At.Compare(a.At) }) {
			t.Error("an older entry stands before a newer one")
		}
	})
}

func TestEntriesGoWhenTheyAreOlderThanTheyAreKept(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpen(t)
		s := mustNew(t, d, audit.Options{Retention: 30 * 24 * time.Hour})
		change := audit.Change{Action: audit.TenantCreated, ObjectID: "old"}
		s.Start()
		defer s.Stop()
		time.Sleep(10 * 24 * time.Hour) // an idle server
		for range 1200 {                // more than one step removes
			mustWrite(t, t.Context(), d, change)
		}
		time.Sleep(10 * 24 * time.Hour)
		mustWrite(t, t.Context(), d, audit.Change{Action: audit.TenantCreated, ObjectID: "young"})
		count := func() (int, int) {
			synctest.Wait()
			return len(mustAll(t, s, "old")), len(mustAll(t, s, "young"))
		}
		time.Sleep(20*24*time.Hour - time.Minute)
		if old, young := count(); old != 1200 || young != 1 {
			t.Fatalf("too early: %d and %d entries", old, young)
		}
		time.Sleep(3 * time.Minute)
		if old, young := count(); old != 0 || young != 1 {
			t.Fatalf("too late: %d and %d entries", old, young)
		}
		time.Sleep(10 * 24 * time.Hour)
		if _, young := count(); young != 0 {
			t.Error("the young one has not grown old")
		}
	})
}

// mustAll returns all entries about an object.
func mustAll(t testing.TB, s *audit.Service, object string) []audit.Entry {
	t.Helper()
	entries, _, err := s.Entries(t.Context(), audit.Filter{ObjectID: object}, audit.Page{Limit: 10_000})
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

func TestWhatGrewOldWhileNoServerRanGoesAtTheStart(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		d := mustOpen(t)
		mustWrite(t, t.Context(), d, audit.Change{Action: audit.TenantCreated, ObjectID: "old"})
		time.Sleep(audit.DefaultRetention + time.Minute)
		s := mustNew(t, d, audit.Options{})
		s.Start()
		synctest.Wait()
		if entries := mustAll(t, s, "old"); len(entries) > 0 {
			t.Error("it is still there")
		}
		s.Stop()
		s.Stop()
	})
}

func TestAServiceThatWasNotStartedCanBeStopped(t *testing.T) {
	mustNew(t, mustOpen(t), audit.Options{}).Stop()
	if _, err := audit.New(nil, audit.Options{}); err == nil {
		t.Error("no database is accepted")
	}
	if _, err := audit.New(mustOpen(t), audit.Options{Retention: -1}); err == nil {
		t.Error("a negative retention is accepted")
	}
}

func TestEveryActionIsListed(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "audit.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []audit.Action
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Action" {
			word, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, audit.Action(word))
		}
		return true
	})
	if diff := cmp.Diff(declared, audit.Actions()); diff != "" || len(declared) == 0 {
		t.Errorf("listed are (-declared +listed):\n%s", diff)
	}
}
