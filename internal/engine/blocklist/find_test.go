package blocklist_test

import (
	"database/sql"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestSomebodyIsOnTheEntriesThatMeanThem(t *testing.T) {
	none := []string(nil)
	for about, c := range map[string]struct {
		kind  blocklist.Kind
		value string
		asked map[string]blocklist.Subject
		not   map[string]blocklist.Subject
	}{
		"an address": {blocklist.Email, "Mal.Lory+x@Googlemail.com", map[string]blocklist.Subject{
			"in its normal form": mailed("mallory@gmail.com"), "with a tag and full stops": mailed(" m.a.l.lory+2@GMAIL.com "),
		}, map[string]blocklist.Subject{"another one": mailed("mallory2@gmail.com"), "elsewhere": mailed("mallory@example.com"), "none": mailed("mallory")}},
		"a domain": {blocklist.Domain, "Example.COM.", map[string]blocklist.Subject{
			"itself": mailed("a@example.com"), "one below": mailed("a@mail.Example.com"), "far below": mailed("a@x.y.z.example.com"),
		}, map[string]blocklist.Subject{
			"one that ends alike": mailed("a@notexample.com"), "one that begins alike": mailed("a@example.com.evil.example"), "one above": mailed("a@com.example"),
			"in the part before the @": mailed("example.com@elsewhere.example"),
		}},
		"a domain in letters of its own": {blocklist.Domain, "bücher.example", map[string]blocklist.Subject{
			"in capitals": mailed("a@BÜCHER.example"), "in ASCII": mailed("a@xn--bcher-kva.example"), "below": mailed("a@post.bücher.example"),
		}, map[string]blocklist.Subject{"without the dots": mailed("a@bucher.example")}},
		"a domain with another name": {blocklist.Domain, "googlemail.com", map[string]blocklist.Subject{"its first name": mailed("a@gmail.com")}, nil},
		"an IPv4 address": {blocklist.IP, "203.0.113.7", map[string]blocklist.Subject{
			"itself": at("203.0.113.7"), "mapped into IPv6": at("::ffff:203.0.113.7"), "beside another": at("198.51.100.1", "203.0.113.7"),
		}, map[string]blocklist.Subject{"the one before": at("203.0.113.6"), "the one after": at("203.0.113.8"), "compatible IPv6": at("::203.0.113.7")}},
		"an IPv4 address that is mapped": {blocklist.IP, "::ffff:203.0.113.7", map[string]blocklist.Subject{"itself": at("203.0.113.7")}, nil},
		"an IPv4 network": {blocklist.IP, "203.0.113.77/25", map[string]blocklist.Subject{
			"its first address": at("203.0.113.0"), "its last": at("203.0.113.127"), "mapped into IPv6": at("::ffff:203.0.113.127"),
		}, map[string]blocklist.Subject{"the address before": at("203.0.112.255"), "the address after": at("203.0.113.128")}},
		"an IPv4 network that is mapped": {blocklist.IP, "::ffff:203.0.113.0/120", map[string]blocklist.Subject{
			"its last address": at("203.0.113.255"),
		}, map[string]blocklist.Subject{"the address after": at("203.0.114.0")}},
		"the widest IPv4 network": {
			blocklist.IP, "10.0.0.0/8",
			map[string]blocklist.Subject{"its last address": at("10.255.255.255")},
			map[string]blocklist.Subject{"the address after": at("11.0.0.0")},
		},
		"an IPv6 network": {blocklist.IP, "2001:db8:0:1::/64", map[string]blocklist.Subject{
			"its first address": at("2001:db8:0:1::"), "its last": at("2001:db8:0:1:ffff:ffff:ffff:ffff"), "with a zone": at("2001:db8:0:1::1%eth0"),
		}, map[string]blocklist.Subject{"the address before": at("2001:db8:0:0:ffff:ffff:ffff:ffff"), "the address after": at("2001:db8:0:2::")}},
		"an IPv6 address": {
			blocklist.IP, "2001:0DB8:0::1",
			map[string]blocklist.Subject{"itself": at("2001:db8::1")},
			map[string]blocklist.Subject{"the one after": at("2001:db8::2"), "no address": {IPs: make([]netip.Addr, 1)}},
		},
		"a device": {
			blocklist.Device, "Laptop-1",
			map[string]blocklist.Subject{"itself": seen("Laptop-1"), "among others": seen("phone", "", "Laptop-1")},
			map[string]blocklist.Subject{"in other letters": seen("laptop-1"), "a part of it": seen("Laptop"), "none": seen("")},
		},
	} {
		t.Run(about, func(t *testing.T) {
			w := mustWorld(t)
			e := w.mustAdd(c.kind, c.value)
			w.mustAdd(blocklist.Device, "another")
			for what, subject := range c.asked {
				if diff := cmp.Diff([]string{e.Value}, w.found(time.Now(), subject)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
			for what, subject := range c.not {
				if diff := cmp.Diff(none, w.found(time.Now(), subject)); diff != "" {
					t.Errorf("%s is found (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestTheFirstSubjectsClosestEntryComesFirst(t *testing.T) {
	w := mustWorld(t)
	for _, c := range []struct {
		kind  blocklist.Kind
		value string
	}{
		{blocklist.Domain, "example.com"},
		{blocklist.Domain, "mail.example.com"},
		{blocklist.IP, "203.0.0.0/16"},
		{blocklist.IP, "203.0.113.0/24"},
		{blocklist.IP, "203.0.113.7"},
		{blocklist.Device, "laptop"},
		{blocklist.Email, "ada@mail.example.com"},
		{blocklist.Email, "wim@example.com"},
	} {
		w.mustAdd(c.kind, c.value)
	}
	ada := blocklist.Subject{Email: "Ada@mail.example.com", IPs: at("203.0.113.7").IPs, Devices: []string{"laptop"}}
	want := []string{
		"ada@mail.example.com", "laptop", "203.0.113.7", "203.0.113.0/24", "203.0.0.0/16", "mail.example.com", "example.com",
		"wim@example.com", "example.com",
	}
	if diff := cmp.Diff(want, w.found(time.Now(), ada, mailed("wim@example.com"))); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestANetworkIsFoundAmongThoseOfAllLengths(t *testing.T) {
	w := mustWorld(t)
	for bits := 16; bits <= 128; bits++ {
		w.mustAdd(blocklist.IP, fmt.Sprint("2002::/", bits))
	}
	want := []string{w.mustAdd(blocklist.IP, "2001:db8:1::/48").Value, w.mustAdd(blocklist.IP, "2001::/16").Value}
	if diff := cmp.Diff(want, w.found(time.Now(), at("fd00::1", "fd00::2", "2001:db8:1:ffff::9"))); diff != "" { // 339 names
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestAnEntryCountsUntilItExpiresAndWhileItIsThere(t *testing.T) {
	w := mustWorld(t)
	ends := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	w.mustAddEntry(blocklist.NewEntry{Kind: blocklist.Device, Value: "laptop", ExpiresAt: &ends})
	phone := w.mustAdd(blocklist.Device, "phone")
	both := seen("laptop", "phone")
	if diff := cmp.Diff([]string{"laptop", "phone"}, w.found(ends.Add(-time.Microsecond), both)); diff != "" {
		t.Errorf("before (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"phone"}, w.found(ends, both)); diff != "" {
		t.Errorf("then (-want +got):\n%s", diff)
	}
	w.mustRemove(phone)
	if got := w.found(ends, both); len(got) > 0 {
		t.Errorf("what was removed is found: %s", got)
	}
}

func TestAnotherTenantsEntriesAreNobodysBusiness(t *testing.T) {
	w := mustWorld(t)
	e := w.mustAdd(blocklist.Email, "ada@example.com")
	owner := w.tenant
	w.tenant = id.New(time.Now())
	w.mustAdd(blocklist.Email, "wim@example.com")
	if got := w.found(time.Now(), mailed("ada@example.com")); len(got) > 0 {
		t.Errorf("found %s", got)
	}
	if _, err := w.Get(t.Context(), w.tenant, e.ID); err == nil {
		t.Error("it is shown")
	}
	if err := w.Remove(t.Context(), w.tenant, e.ID); err == nil {
		t.Error("it is removed")
	}
	w.tenant = owner
	if diff := cmp.Diff([]string{"ada@example.com"}, w.values()); diff != "" {
		t.Errorf("listed (-want +got):\n%s", diff)
	}
}

// statements counts what is asked of a database.
type statements struct {
	db.Queryer

	n int
}

func (s *statements) Query(query string, args ...any) (*sql.Rows, error) {
	s.n++
	return s.Queryer.Query(query, args...)
}

func (s *statements) QueryRow(query string, args ...any) *sql.Row {
	s.n++
	return s.Queryer.QueryRow(query, args...)
}

func TestWhoHasNoListPaysOneStatementAndWhoHasOneTwo(t *testing.T) {
	w := mustWorld(t)
	subjects := []blocklist.Subject{
		{Email: "ada@mail.example.com", IPs: at("203.0.113.7", "2001:db8::1").IPs, Devices: []string{"laptop", "phone"}},
		{Email: "wim@example.com", IPs: at("198.51.100.1").IPs},
	}
	asked := func() int {
		var s statements
		err := w.db.Read(t.Context(), func(q db.Queryer) error {
			s.Queryer = q
			_, err := blocklist.Find(&s, w.tenant, time.Now(), subjects...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.n
	}
	if n := asked(); n != 1 {
		t.Errorf("without a list there are %d statements", n)
	}
	w.mustAdd(blocklist.Email, "mallory@example.com")
	for _, network := range []string{"203.0.113.0/24", "203.0.0.0/16", "2001:db8:1::/48", "2001:db8::2"} {
		w.mustAdd(blocklist.IP, network)
	}
	w.mustAdd(blocklist.Domain, "example.net")
	w.mustAdd(blocklist.Device, "tablet")
	if n := asked(); n != 2 {
		t.Errorf("with a list there are %d statements", n)
	}
	for _, e := range w.mustList() {
		w.mustRemove(e)
	}
	if n := asked(); n != 1 {
		t.Errorf("with an empty list there are %d statements", n)
	}
}
