package jwks_test

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/jwks"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// newServers returns the keys of one database as several servers have them.
func newServers(t *testing.T, nodes *testkit.Nodes, n int) ([]*jwks.Service, []*testkit.Feed) {
	t.Helper()
	d := testkit.OpenDB(t, db.Options{})
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	var services []*jwks.Service
	var feeds []*testkit.Feed
	for range n {
		feed := nodes.Node()
		s, err := jwks.New(d, jwks.Options{Box: box, Feed: feed})
		if err != nil {
			t.Fatal(err)
		}
		services, feeds = append(services, s), append(feeds, feed)
	}
	return services, feeds
}

func mustSet(t *testing.T, s *jwks.Service) []byte {
	t.Helper()
	set, err := s.Set(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func TestServersThatMakeTheFirstKeyTogetherHaveOne(t *testing.T) {
	services, _ := newServers(t, new(testkit.Nodes), 4)
	ids := make([]string, len(services))
	var asking sync.WaitGroup
	for i, s := range services {
		asking.Go(func() {
			key, err := s.Current(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = key.ID
		})
	}
	asking.Wait()
	for i, s := range services {
		if ids[i] != ids[0] {
			t.Errorf("server %d signs with %s, and another with %s", i, ids[i], ids[0])
		}
		if n := bytes.Count(mustSet(t, s), []byte(`"kid"`)); n != 1 {
			t.Errorf("server %d publishes %d keys", i, n)
		}
	}
}

func TestAKeyThatAnotherServerRotatedSignsNoMore(t *testing.T) {
	for name, happens := range map[string]struct {
		before, after func(nodes *testkit.Nodes, there *testkit.Feed)
	}{
		"heard of":           {},
		"heard nothing":      {before: func(_ *testkit.Nodes, there *testkit.Feed) { there.Deafen() }},
		"may have missed it": {before: func(nodes *testkit.Nodes, _ *testkit.Feed) { nodes.Hold() }, after: func(_ *testkit.Nodes, there *testkit.Feed) { there.Miss("jwks") }},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := new(testkit.Nodes)
			services, feeds := newServers(t, nodes, 2)
			here, there := services[0], services[1]
			first := MustCurrent(t, there)
			if happens.before != nil {
				happens.before(nodes, feeds[1])
			}
			rotated, err := here.Rotate(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if happens.after != nil {
				happens.after(nodes, feeds[1])
			}
			if now := MustCurrent(t, there); now.ID != rotated.ID || now.ID == first.ID {
				t.Errorf("the other server signs with %s, want %s", now.ID, rotated.ID)
			}
			if !bytes.Equal(mustSet(t, here), mustSet(t, there)) {
				t.Error("the servers publish different keys")
			}
		})
	}
}

func TestServersThatRotateTogetherAgreeOnTheLastKey(t *testing.T) {
	services, _ := newServers(t, new(testkit.Nodes), 3)
	MustCurrent(t, services[0])
	var rotating sync.WaitGroup
	for _, s := range services {
		rotating.Go(func() {
			if _, err := s.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	rotating.Wait()
	want := MustCurrent(t, services[0]).ID
	for i, s := range services {
		if got := MustCurrent(t, s).ID; got != want {
			t.Errorf("server %d signs with %s, and another with %s", i, got, want)
		}
		if n := bytes.Count(mustSet(t, s), []byte(`"kid"`)); n != 4 {
			t.Errorf("server %d publishes %d keys, want 4", i, n)
		}
	}
}
