package dialect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestWhoComesFromOneNetworkWaitsTogether(t *testing.T) {
	l := NewVisitLimiter(Visits{CreationsADay: 1, OthersAnHour: 2})
	now := time.Now()
	acme, other := id.New(now), id.New(now)
	from := func(tenant id.ID, address string) visitor {
		return visitor{tenant: tenant, from: network(netip.MustParseAddr(address))}
	}
	for _, c := range []struct {
		who  visitor
		wait time.Duration
	}{
		{from(acme, "192.0.2.1"), 0},
		{from(acme, "::ffff:192.0.2.1"), 0},
		{from(acme, "192.0.2.1"), 30 * time.Minute},
		{from(acme, "192.0.2.2"), 0},
		{from(other, "192.0.2.1"), 0},
		{from(acme, "2001:db8::1"), 0},
		{from(acme, "2001:db8::2"), 0},
		{from(acme, "2001:db8::3%eth0"), 30 * time.Minute},
		{from(acme, "2001:db8:0:1::1"), 0},
		{visitor{tenant: acme, from: network(netip.MustParseAddr("192.0.2.1")), creates: true}, 0},
		{visitor{tenant: acme, from: network(netip.MustParseAddr("192.0.2.1")), creates: true}, 24 * time.Hour},
		{visitor{tenant: acme}, 0}, // an address that is not known
	} {
		if wait := l.take(c.who, now); (wait - c.wait).Abs() > time.Second {
			t.Errorf("%+v waits %s, want %s", c.who, wait, c.wait)
		}
	}
	if wait := l.take(from(acme, "192.0.2.1"), now.Add(31*time.Minute)); wait != 0 {
		t.Errorf("half an hour later it waits %s", wait)
	}
}

func TestAVisitLimiterHoldsOnlySoManyAddresses(t *testing.T) {
	l := NewVisitLimiter(Visits{OthersAnHour: 1})
	now := time.Now()
	for i := range maxVisitors + 10 {
		address := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if wait := l.take(visitor{from: network(address)}, now); wait != 0 {
			t.Fatalf("a new address waits %s", wait)
		}
		if len(l.seen) > maxVisitors {
			t.Fatalf("it holds %d addresses", len(l.seen))
		}
	}
}

func TestALimitOfZeroIsNone(t *testing.T) {
	l := NewVisitLimiter(Visits{})
	for range 1000 {
		if wait := l.take(visitor{}, time.Now()); wait != 0 {
			t.Fatalf("it waits %s", wait)
		}
	}
}
