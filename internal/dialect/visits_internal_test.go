package dialect

import (
	"net/http"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestWhoComesFromOneNetworkWaitsTogether(t *testing.T) {
	l := NewVisitLimiter(Visits{CreationsADay: 1, OthersAnHour: 2})
	now := time.Now()
	acme, other := id.New(now), id.New(now)
	from := func(tenant id.ID, address string) visitor {
		return visitor{tenant: tenant, from: edge.Network(&http.Request{RemoteAddr: address})}
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
		{visitor{tenant: acme, from: from(acme, "192.0.2.1").from, creates: true}, 0},
		{visitor{tenant: acme, from: from(acme, "192.0.2.1").from, creates: true}, 24 * time.Hour},
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

func TestALimitOfZeroIsNone(t *testing.T) {
	l := NewVisitLimiter(Visits{})
	for range 1000 {
		if wait := l.take(visitor{}, time.Now()); wait != 0 {
			t.Fatalf("it waits %s", wait)
		}
	}
}
