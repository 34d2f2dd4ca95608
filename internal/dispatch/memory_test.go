package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// readings is a store that counts what is read from it.
type readings struct {
	dispatch.Store
	due, bodies atomic.Int64
	fails       atomic.Bool // bodies can't be read
}

func (r *readings) Due(ctx context.Context, query webhook.DueQuery) (webhook.Due, error) {
	r.due.Add(1)
	return r.Store.Due(ctx, query)
}

func (r *readings) LoadBody(ctx context.Context, job *webhook.Job) error {
	r.bodies.Add(1)
	if r.fails.Load() {
		return errors.New("the body can't be read")
	}
	return r.Store.LoadBody(ctx, job)
}

// copies notes the places in memory that an event's bodies are sent from.
type copies struct {
	webhook.Attempter
	mu sync.Mutex
	of map[id.ID]map[*byte]struct{}
}

func (c *copies) Attempt(ctx context.Context, sub *webhook.Subscription, msg wire.Message, traceparent string) webhook.Attempt {
	c.mu.Lock()
	if c.of[msg.EventID] == nil {
		c.of[msg.EventID] = make(map[*byte]struct{})
	}
	c.of[msg.EventID][&msg.Body[0]] = struct{}{}
	c.mu.Unlock()
	return c.Attempter.Attempt(ctx, sub, msg, traceparent)
}

// fanOut is many subscriptions to the same events, whose endpoints take a second
// for each.
type fanOut struct {
	s       *testkit.Sender
	options testkit.SenderOptions
	read    *readings
	subs    []*webhook.Subscription
	data    string // of each event

	mu    sync.Mutex
	whole map[string]struct{} // deliveries that arrived as they were published
}

func newFanOut(t *testing.T, subscriptions, budget int) *fanOut {
	f := &fanOut{read: &readings{}, data: `{"text":"` + strings.Repeat("x", 10_000) + `"}`, whole: make(map[string]struct{})}
	f.options = testkit.SenderOptions{MaxMemoryBytes: budget, Store: func(s dispatch.Store) dispatch.Store {
		f.read.Store = s
		return f.read
	}}
	f.s = testkit.NewSender(t, f.options)
	for i := range subscriptions {
		host := fmt.Sprintf("host%d.example", i)
		f.subs = append(f.subs, f.s.MustSubscribe(t, host, webhook.Policy{MaxInFlight: 1}, func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			time.Sleep(time.Second)
			f.mu.Lock()
			defer f.mu.Unlock()
			if strings.HasSuffix(string(body), `"data":`+f.data+`}`) {
				f.whole[host+r.Header.Get("Webhook-Id")] = struct{}{}
			}
		}))
	}
	settle(time.Second)
	f.forget()
	return f
}

// forget counts readings from now on.
func (f *fanOut) forget() {
	f.read.due.Store(0)
	f.read.bodies.Store(0)
}

func (f *fanOut) mustPublish(t *testing.T, count int) []id.ID {
	t.Helper()
	p := webhook.Publishing{Batch: true}
	for range count {
		p.Publications = append(p.Publications, webhook.Publication{Type: "order.paid", Data: []byte(f.data)})
	}
	answers, _, err := f.s.Webhooks.Publish(t.Context(), f.s.Tenant, p)
	if err != nil {
		t.Fatal(err)
	}
	var events []id.ID
	for _, a := range answers {
		events = append(events, a.ID)
	}
	return events
}

// wantDone fails the test unless so many deliveries have arrived whole and
// nothing is left in memory.
func (f *fanOut) wantDone(t *testing.T, deliveries int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.whole) != deliveries {
		t.Errorf("%d of %d deliveries arrived whole", len(f.whole), deliveries)
	}
	if books := f.s.Dispatcher.Books(); books != (dispatch.Books{}) {
		t.Errorf("left over: %+v", books)
	}
}

func TestAFanOutWhoseSharedBodiesFitIsSentFromMemory(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		f := newFanOut(t, 20, 1<<20)
		f.mustPublish(t, 50)
		settle(time.Millisecond)
		if books := f.s.Dispatcher.Books(); books.Booked != 20*50 || books.Bytes < 50*len(f.data) || books.Bytes > 1<<20 {
			t.Errorf("%+v of 1,000 deliveries of 50 events", books)
		}
		settle(time.Hour)
		f.wantDone(t, 20*50)
		if due, bodies := f.read.due.Load(), f.read.bodies.Load(); due > 0 || bodies > 0 {
			t.Errorf("the table was read %d times and bodies %d times", due, bodies)
		}
	})
}

func TestWhatIsReadFromTheTableSharesItsBodiesToo(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		f := newFanOut(t, 20, 1<<20)
		f.mustPublish(t, 50)
		settle(500 * time.Millisecond)
		hurried, cancel := context.WithCancel(t.Context())
		cancel()
		f.s.Stop(hurried)
		settle(time.Second) // what was under way has arrived, but was not recorded
		f.forget()
		sent := &copies{of: make(map[id.ID]map[*byte]struct{})}
		f.options.Through = func(a webhook.Attempter) webhook.Attempter { sent.Attempter = a; return sent }
		f.s.MustStart(t, f.options)
		settle(time.Millisecond)
		if books := f.s.Dispatcher.Books(); books.Booked != 20*50 || books.Bytes > 1<<20 {
			t.Errorf("%+v of 1,000 deliveries of 50 events", books)
		}
		settle(time.Hour)
		f.wantDone(t, 20*50)
		if bodies := f.read.bodies.Load(); bodies > 0 {
			t.Errorf("%d bodies were read once more", bodies)
		}
		for event, places := range sent.of {
			if len(places) != 1 {
				t.Errorf("%d copies of the body of %s were in memory", len(places), event)
			}
		}
	})
}

func TestDeliveriesThatWaitAreBoundedHoweverSmallTheirBodies(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		const subscriptions, each, certain = 20, 256, 2 * 8 // what a delivery is counted for, and what two lanes may always hold
		f := newFanOut(t, subscriptions, 64<<10)
		f.data = `{}`
		f.mustPublish(t, 100)
		most := 0
		for range 300 {
			settle(500 * time.Millisecond)
			most = max(most, f.s.Dispatcher.Books().Booked)
		}
		if most > 64<<10/each+subscriptions*certain {
			t.Errorf("%d deliveries were in memory, which may hold 64 KiB", most)
		}
		f.wantDone(t, subscriptions*100)
	})
}

func TestWhatLeavesMemoryIsCountedNoMore(t *testing.T) {
	tests := map[string]func(t *testing.T, f *fanOut, events []id.ID) error{
		"disabled while some wait and some are under way": func(t *testing.T, f *fanOut, _ []id.ID) error {
			for _, sub := range f.subs {
				if _, err := f.s.Webhooks.DisableSubscription(t.Context(), f.s.Tenant, sub.ID); err != nil {
					return err
				}
			}
			return nil
		},
		"deleted": func(t *testing.T, f *fanOut, _ []id.ID) error {
			return f.s.Webhooks.DeleteSubscription(t.Context(), f.s.Tenant, f.subs[0].ID)
		},
		"expunged": func(t *testing.T, f *fanOut, events []id.ID) error {
			return errors.Join(
				f.s.Webhooks.ExpungeBody(t.Context(), f.s.Tenant, events[0]),
				f.s.Webhooks.ExpungeBody(t.Context(), f.s.Tenant, events[3]),
			)
		},
		"superseded, and decided by hand while it waits": func(t *testing.T, f *fanOut, events []id.ID) error {
			for _, event := range events {
				if _, err := f.s.Webhooks.Retry(t.Context(), f.s.Tenant, event, f.subs[0].ID); err != nil {
					return err
				}
			}
			return nil
		},
		"given up for want of a body": func(_ *testing.T, f *fanOut, _ []id.ID) error {
			f.read.fails.Store(true)
			settle(10 * time.Second)
			f.read.fails.Store(false)
			return nil
		},
		"delivered": func(*testing.T, *fanOut, []id.ID) error { return nil },
	}
	for name, change := range tests {
		for _, budget := range []int{1, 40_000, 1 << 20} { // one, some and all bodies fit
			t.Run(fmt.Sprintf("%s, with %d bytes", name, budget), func(t *testing.T) {
				testkit.VirtualTime(t, func(t *testing.T) {
					f := newFanOut(t, 5, budget)
					events := f.mustPublish(t, 10)
					settle(500 * time.Millisecond)
					if err := change(t, f, events); err != nil {
						t.Fatal(err)
					}
					settle(time.Hour)
					if books := f.s.Dispatcher.Books(); books != (dispatch.Books{}) {
						t.Errorf("left over: %+v", books)
					}
				})
			})
		}
	}
}
