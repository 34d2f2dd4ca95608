package dispatch_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
)

// timed is a table whose attempts take the times that are left, and that notes
// when outcomes were stored.
type timed struct {
	*table
	mu     sync.Mutex
	left   []time.Duration
	stored []string
	start  time.Time
}

func (s *timed) Attempt(context.Context, *webhook.Subscription, wire.Message, string) webhook.Attempt {
	s.mu.Lock()
	takes := s.left[0]
	s.left = s.left[1:]
	s.mu.Unlock()
	began := time.Now()
	time.Sleep(takes)
	return webhook.Attempt{StartedAt: began, Verdict: wire.Delivered, Reason: wire.ReasonOK, ResponseStatus: http.StatusOK}
}

func (s *timed) Record(ctx context.Context, outcomes []webhook.Outcome, done func()) error {
	s.mu.Lock()
	s.stored = append(s.stored, fmt.Sprintf("%d after %v", len(outcomes), time.Since(s.start)))
	s.mu.Unlock()
	return s.table.Record(ctx, outcomes, done)
}

// Outcomes wait at most 5 ms for those of other attempts under way, and not at
// all where there are none.
func TestOutcomesThatComeOneByOneAreStoredTogether(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		take []time.Duration
		want []string
	}{
		"one alone": {[]time.Duration{ms}, []string{"1 after 1ms"}},
		"several":   {[]time.Duration{ms, 2 * ms, 5 * ms, 10 * ms, 12 * ms}, []string{"3 after 6ms", "2 after 12ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				s := &timed{table: newTable(len(c.take), time.Now()), left: c.take, start: time.Now()}
				d := dispatch.New(dispatch.Options{Store: s, Attempter: s})
				if err := d.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				settle(time.Second)
				d.Stop(t.Context())
				if !slices.Equal(s.stored, c.want) {
					t.Errorf("stored %v, want %v", s.stored, c.want)
				}
			})
		})
	}
}

// costly is a dialect whose signatures take time and are counted.
type costly struct {
	saasquatch.Dialect
	mu        sync.Mutex
	now, most int
}

func (c *costly) NewSigner(wire.Keys) (wire.Signer, error) { return c, nil }

func (c *costly) PublicKeys() []string { return nil }

func (c *costly) Sign(wire.Message) []wire.Header {
	c.count(1)
	defer c.count(-1)
	time.Sleep(time.Millisecond)
	return nil
}

func (c *costly) count(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += n
	c.most = max(c.most, c.now)
}

func TestNoMoreSignaturesAreMadeAtOnceThanThereAreProcessors(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.Net.MustServe(t, "hook.example", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		dialect := &costly{}
		sub := &webhook.Subscription{ID: id.New(time.Now()), TenantID: s.Tenant, Dialect: dialect, URL: "http://hook.example/"}
		var attempts sync.WaitGroup
		for n := range 4 * runtime.GOMAXPROCS(0) {
			attempts.Go(func() {
				a := s.Attempter.Attempt(t.Context(), sub, wire.Message{EventID: id.New(time.Now()), Body: []byte("{}"), SentAt: time.Now(), Attempt: 1}, "")
				if a.Verdict != wire.Delivered {
					t.Errorf("attempt %d: %s %s", n, a.Verdict, a.Error)
				}
			})
		}
		attempts.Wait()
		if dialect.most != runtime.GOMAXPROCS(0) {
			t.Errorf("%d signatures at once, want %d", dialect.most, runtime.GOMAXPROCS(0))
		}
	})
}
