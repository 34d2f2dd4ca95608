package blocklist_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestEntriesAreKeptInTheirNormalForm(t *testing.T) {
	w := mustWorld(t)
	for _, c := range []struct {
		kind        blocklist.Kind
		value, want string
	}{
		{blocklist.Email, " Ada+x@Example.com ", "ada@example.com"},
		{blocklist.Domain, "BÜCHER.example.", "xn--bcher-kva.example"},
		{blocklist.IP, "203.0.113.77/24", "203.0.113.0/24"},
		{blocklist.IP, " 203.0.113.7/32", "203.0.113.7"},
		{blocklist.IP, "::ffff:198.51.100.0/120", "198.51.100.0/24"},
		{blocklist.IP, "2001:DB8:0:0::1/128", "2001:db8::1"},
		{blocklist.IP, "2001:db8::1/32", "2001:db8::/32"},
		{blocklist.Device, " Laptop 1", " Laptop 1"},
	} {
		e := w.mustAdd(c.kind, c.value)
		if got, err := w.Get(t.Context(), w.tenant, e.ID); err != nil || got != e || got.Value != c.want {
			t.Errorf("%q is kept as %+v, %v; want %q", c.value, got, err, c.want)
		}
	}
}

func TestWhatCanNotBeListedIsRefusedByItsField(t *testing.T) {
	w := mustWorld(t)
	for about, c := range map[string]struct {
		n    blocklist.NewEntry
		want []string
	}{
		"no kind":                  {blocklist.NewEntry{Value: "ada@example.com"}, []string{"kind"}},
		"an unknown kind":          {blocklist.NewEntry{Kind: "person", Value: "ada@example.com"}, []string{"kind"}},
		"no address":               {blocklist.NewEntry{Kind: blocklist.Email, Value: "ada"}, []string{"value"}},
		"a pattern":                {blocklist.NewEntry{Kind: blocklist.Email, Value: "@example.com"}, []string{"value"}},
		"an address for a domain":  {blocklist.NewEntry{Kind: blocklist.Domain, Value: "ada@example.com"}, []string{"value"}},
		"a top-level domain":       {blocklist.NewEntry{Kind: blocklist.Domain, Value: "com"}, []string{"value"}},
		"a pattern for a domain":   {blocklist.NewEntry{Kind: blocklist.Domain, Value: "*.example.com"}, []string{"value"}},
		"an address of a host":     {blocklist.NewEntry{Kind: blocklist.Domain, Value: "203.0.113.7"}, []string{"value"}},
		"no network":               {blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113"}, []string{"value"}},
		"a prefix that is none":    {blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113.0/33"}, []string{"value"}},
		"too wide a network":       {blocklist.NewEntry{Kind: blocklist.IP, Value: "10.0.0.0/7"}, []string{"value"}},
		"too wide a mapped one":    {blocklist.NewEntry{Kind: blocklist.IP, Value: "::ffff:0.0.0.0/96"}, []string{"value"}},
		"too wide an IPv6 network": {blocklist.NewEntry{Kind: blocklist.IP, Value: "2001::/15"}, []string{"value"}},
		"an address with a zone":   {blocklist.NewEntry{Kind: blocklist.IP, Value: "fe80::1%eth0"}, []string{"value"}},
		"no device":                {blocklist.NewEntry{Kind: blocklist.Device}, []string{"value"}},
		"a long device":            {blocklist.NewEntry{Kind: blocklist.Device, Value: strings.Repeat("d", 129)}, []string{"value"}},
		"a device with a tab":      {blocklist.NewEntry{Kind: blocklist.Device, Value: "a\tb"}, []string{"value"}},
		"a long reason":            {blocklist.NewEntry{Kind: blocklist.Device, Value: "d", Reason: strings.Repeat("r", 501)}, []string{"reason"}},
		"a reason that can't be":   {blocklist.NewEntry{Kind: blocklist.Device, Value: "d", Reason: "a\x00b"}, []string{"reason"}},
		"a time that has passed":   {blocklist.NewEntry{Kind: blocklist.Device, Value: "d", ExpiresAt: new(time.Now().Add(-time.Second))}, []string{"expires_at"}},
		"the zero time":            {blocklist.NewEntry{Kind: blocklist.Device, Value: "d", ExpiresAt: &time.Time{}}, []string{"expires_at"}},
		"the year 10000":           {blocklist.NewEntry{Kind: blocklist.Device, Value: "d", ExpiresAt: new(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))}, []string{"expires_at"}},
	} {
		t.Run(about, func(t *testing.T) {
			_, _, err := w.Add(t.Context(), w.tenant, c.n)
			refusal, ok := errors.AsType[*problem.Error](err)
			if !ok || refusal.Code != problem.Invalid {
				t.Fatalf("error is %v, want a refusal", err)
			}
			var got []string
			for _, f := range refusal.Fields {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
		})
	}
	if got := w.values(); len(got) > 0 {
		t.Errorf("listed: %s", got)
	}
}

func TestWhatIsListedAlreadyStaysAsItIs(t *testing.T) {
	w := mustWorld(t)
	first := w.mustAddEntry(blocklist.NewEntry{Kind: blocklist.Email, Value: "ada@example.com", Reason: "first"})
	again, isNew, err := w.Add(t.Context(), w.tenant, blocklist.NewEntry{
		Kind: blocklist.Email, Value: "ADA+2@example.com", Reason: "second", ExpiresAt: new(time.Now().Add(time.Hour)),
	})
	if err != nil || isNew || again != first {
		t.Errorf("%+v, new: %t, %v; want %+v", again, isNew, err, first)
	}
	w.mustRemove(first)
	if err := w.Remove(t.Context(), w.tenant, first.ID); !problem.NotFound.Has(err) {
		t.Errorf("removed again: %v", err)
	}
	w.mustAdd(blocklist.Email, "ada@example.com")
}

func TestOfManyWhoListTheSameAtOnceOneMakesTheEntry(t *testing.T) {
	w := mustWorld(t)
	var mu sync.Mutex
	made, ids := 0, make(map[id.ID]bool)
	var adding sync.WaitGroup
	for range 8 {
		adding.Go(func() {
			e, isNew, err := w.Add(t.Context(), w.tenant, blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113.7"})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[e.ID] = true
			if isNew {
				made++
			}
		})
	}
	adding.Wait()
	if made != 1 || len(ids) != 1 {
		t.Errorf("%d were made, with %d ids", made, len(ids))
	}
}

func TestListsAreReadPageByPageAndByKind(t *testing.T) {
	w := mustWorld(t)
	var want []string
	for n := range 7 {
		w.mustAdd(blocklist.Device, fmt.Sprint("d", n))
		want = append(want, w.mustAdd(blocklist.Domain, fmt.Sprint("d", n, ".example")).Value)
	}
	slices.Reverse(want)
	var got []string
	c := blocklist.Choice{Kind: blocklist.Domain, Limit: 3}
	for {
		entries, next, err := w.List(t.Context(), w.tenant, c)
		if err != nil || len(entries) > 3 {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		for _, e := range entries {
			got = append(got, e.Value)
		}
		if next.IsZero() {
			break
		}
		c.Before = next
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of a kind (-want +got):\n%s", diff)
	}
	if all := w.values(); len(all) != 14 || all[0] != "d6.example" || all[13] != "d0" {
		t.Errorf("all: %s", all)
	}
	one, _, err := w.List(t.Context(), w.tenant, blocklist.Choice{Kind: blocklist.Domain, Value: "D3.example.", Limit: 3})
	if err != nil || len(one) != 1 || one[0].Value != "d3.example" {
		t.Errorf("by its value: %+v, %v", one, err)
	}
	if none, _, err := w.List(t.Context(), w.tenant, blocklist.Choice{Kind: blocklist.Email, Value: "a@d3.example", Limit: 3}); err != nil || len(none) > 0 {
		t.Errorf("what is not listed: %+v, %v", none, err)
	}
}

func TestWhatHasExpiredMakesRoomForItsLikeAndIsRemovedInTheEnd(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		soon := time.Now().Add(time.Minute)
		expiring := blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113.0/24", ExpiresAt: &soon}
		w.mustAddEntry(expiring)
		for n := range 450 { // more than one transaction removes
			w.mustAddEntry(blocklist.NewEntry{Kind: blocklist.Device, Value: fmt.Sprint("d", n), ExpiresAt: &soon})
		}
		w.mustAdd(blocklist.Device, "stays")
		other := w.tenant
		w.tenant = id.New(time.Now())
		w.mustAddEntry(expiring)
		w.tenant = other
		time.Sleep(time.Minute)
		again := w.mustAdd(blocklist.IP, "203.0.113.0/24")
		n, err := w.Prune(t.Context(), time.Now())
		if err != nil || n != 451 { // the other tenant's too, and not what took the place of the first one
			t.Errorf("%d were removed, %v", n, err)
		}
		if diff := cmp.Diff([]string{again.Value, "stays"}, w.values()); diff != "" {
			t.Errorf("listed (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"203.0.113.0/24"}, w.found(time.Now(), at("203.0.113.9"))); diff != "" {
			t.Errorf("found (-want +got):\n%s", diff)
		}
	})
}

func TestTheListOfADeletedTenantGoesWithIt(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		deleted := w.tenant
		for n := range 450 {
			w.mustAdd(blocklist.Device, fmt.Sprint("d", n))
		}
		w.tenant = id.New(time.Now())
		w.mustAdd(blocklist.Device, "another's")
		for range 2 {
			if err := w.db.Write(t.Context(), func(tx *db.Tx) error { return w.DeleteTenant(tx, deleted) }); err != nil {
				t.Fatal(err)
			}
		}
		w.jobs.Start()
		time.Sleep(time.Hour)
		synctest.Wait()
		if diff := cmp.Diff([]string{"another's"}, w.values()); diff != "" {
			t.Errorf("the other's (-want +got):\n%s", diff)
		}
		w.tenant = deleted
		if left := w.values(); len(left) > 0 {
			t.Errorf("left: %s", left)
		}
	})
}

func TestPruningRemovesWhatHasExpiredByThenAndGivesItsRoomBack(t *testing.T) {
	w := mustWorld(t)
	ends := time.Now().Add(time.Hour)
	w.mustAddEntry(blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113.0/24", ExpiresAt: &ends})
	w.mustAddEntry(blocklist.NewEntry{Kind: blocklist.Device, Value: "later", ExpiresAt: new(ends.Add(time.Hour))})
	w.mustAdd(blocklist.Device, "stays")
	for _, c := range []struct {
		at   time.Time
		want int64
	}{{ends.Add(-time.Second), 0}, {ends, 1}, {ends, 0}} {
		if n, err := w.Prune(t.Context(), c.at); err != nil || n != c.want {
			t.Errorf("%d were removed, %v; want %d", n, err, c.want)
		}
	}
	if diff := cmp.Diff([]string{"stays", "later"}, w.values()); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}
