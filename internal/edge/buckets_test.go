package edge_test

import (
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhoHasUsedUpABucketFindsItEmptyHoweverManyOthersCome(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		const most = 20
		b := edge.NewBuckets[int](most)
		take := func(key int) bool { return b.Of(key, rate.Every(time.Hour), 2).Allow() }
		empty := func(key int) int {
			n := 0
			for take(key) {
				n++
			}
			return n
		}
		if n := empty(0); n != 2 {
			t.Fatalf("a bucket of two holds %d", n)
		}
		for key := range 100 * most {
			if !take(1 + key) {
				t.Fatalf("a new one is empty: %d", key)
			}
		}
		if take(0) {
			t.Error("the one that was empty is full again")
		}
		time.Sleep(2 * time.Hour)
		if n := empty(0); n != 2 {
			t.Errorf("after its time it holds %d", n)
		}
	})
}

func TestBucketsAreOnlySoMany(t *testing.T) {
	const most = 3
	b := edge.NewBuckets[int](most)
	made := make([]*rate.Limiter, 1000)
	for key := range made {
		made[key] = b.Of(key, 1, 1)
	}
	kept := 0
	for key, first := range slices.Backward(made) { // the last one is there still
		if b.Of(key, 1, 1) == first {
			kept++
		}
	}
	if kept < 1 || kept > most {
		t.Errorf("%d are kept", kept)
	}
}

func TestASubscriberOfIPv6IsOneNetworkAndAnyOtherAddressIsAlone(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:1234":                 "192.0.2.1/32",
		"[::ffff:192.0.2.1]:1234":        "192.0.2.1/32",
		"[2001:db8::1]:1234":             "2001:db8::/64",
		"[2001:db8::ffff:2:3:4%eth0]:12": "2001:db8::/64",
		"[2001:db8:0:1::1]:1234":         "2001:db8:0:1::/64",
		"@":                              "invalid Prefix",
	} {
		network := edge.Network(&http.Request{RemoteAddr: from})
		if got := network.String(); got != want {
			t.Errorf("%s is of %s, want %s", from, got, want)
		}
		if network != (netip.Prefix{}) && network != network.Masked() {
			t.Errorf("%s: %s has more than a network's bits", from, network)
		}
	}
}
