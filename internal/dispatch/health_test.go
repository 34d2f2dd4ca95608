package dispatch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// gauge counts the requests to an endpoint, and how many there are at once.
type gauge struct {
	mu             sync.Mutex
	all, now, peak int
	status         int
	takes          time.Duration
	last           time.Time
}

func (g *gauge) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	g.mu.Lock()
	g.all++
	g.now++
	g.peak, g.last = max(g.peak, g.now), time.Now()
	takes, status := g.takes, g.status
	g.mu.Unlock()
	time.Sleep(takes)
	g.mu.Lock()
	g.now--
	g.mu.Unlock()
	w.WriteHeader(status)
}

// answer has the endpoint answer like this from now on, and counts anew.
func (g *gauge) answer(status int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status, g.all, g.peak = status, 0, 0
}

// seen returns how many requests there were, and how many at once.
func (g *gauge) seen() (int, int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.all, g.peak
}

// news collects the operational events of the tenant.
type news struct {
	mu    sync.Mutex
	items []item
}

type item struct {
	Type string
	Data struct {
		Subscription struct{ ID, Status, Reason string }
		Health       struct {
			State, Reason string
			Failures      int
		}
		Days int
	}
	at time.Time
}

func mustWatch(t *testing.T, s *testkit.Sender) *news {
	t.Helper()
	n := &news{}
	mustListen(t, s, webhook.Draft{EventTypes: []string{standard.SubscriptionFailing, standard.SubscriptionDisabled, standard.SubscriptionEnabled}},
		func(_ http.ResponseWriter, r *http.Request) {
			it := item{at: time.Now()}
			if err := json.NewDecoder(r.Body).Decode(&it); err != nil {
				t.Error(err)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.items = append(n.items, it)
		})
	return n
}

func (n *news) all() []item {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.items)
}

// told lists the news, each in a few words.
func (n *news) told() []string {
	var told []string
	for _, it := range n.all() {
		told = append(told, fmt.Sprintf("%s %s%s, %s %s, %d days", it.Type, it.Data.Subscription.Status, it.Data.Subscription.Reason,
			it.Data.Health.State, it.Data.Health.Reason, it.Data.Days))
	}
	return told
}

func mustShow(t *testing.T, s *testkit.Sender, sub *webhook.Subscription) *webhook.Subscription {
	t.Helper()
	return must[*webhook.Subscription](t)(s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID))
}

// mustCount counts a subscription's deliveries by their state.
func mustCount(t *testing.T, s *testkit.Sender, sub *webhook.Subscription) map[string]int {
	t.Helper()
	counts := make(map[string]int)
	page := webhook.Page{Limit: 250}
	for {
		deliveries, next, err := s.Webhooks.Deliveries(t.Context(), s.Tenant, webhook.DeliveryFilter{SubscriptionID: sub.ID}, page)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range deliveries {
			counts[d.Status.String()]++
		}
		if page.Cursor = next; next == "" {
			return counts
		}
	}
}

func TestWhatAnEndpointAskedForHoldsAcrossACrash(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		take := in.then(func(n int) int { return map[bool]int{true: http.StatusTooManyRequests, false: http.StatusOK}[n == 1] })
		begun := time.Now()
		sub := s.MustSubscribe(t, "limited.example", webhook.Policy{}, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "600")
			take(w, r)
		})
		s.MustPublish(t, 1)
		settle(time.Minute)
		if until := mustShow(t, s, sub).Health.Pause.Until; until.Sub(begun) < 600*time.Second {
			t.Errorf("it is shown to wait until %s", until)
		}
		s.MustCrash(t, testkit.SenderOptions{})
		s.MustPublish(t, 20)
		settle(8 * time.Minute)
		if n := len(in.all()); n != 1 {
			t.Fatalf("%d attempts while it wanted none", n-1)
		}
		settle(2 * time.Minute)
		all := in.all()
		if len(all) != 22 || all[1].at.Sub(begun) < 600*time.Second {
			t.Errorf("%d attempts in the end, the second one after %s", len(all), all[1].at.Sub(begun))
		}
		if h := mustShow(t, s, sub).Health; h != (webhook.Health{}) {
			t.Errorf("after a success there is %+v", h)
		}
	})
}

func TestAFailingEndpointIsProbedOnceAtATimeUntilItTakesAnEvent(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		told := mustWatch(t, s)
		g := &gauge{status: http.StatusInternalServerError, takes: time.Second}
		sub := s.MustSubscribe(t, "down.example", webhook.Policy{}, g.ServeHTTP)
		s.MustPublish(t, 500)
		settle(5 * time.Second)
		if h := mustShow(t, s, sub).Health; h.State != webhook.Failing || h.Reason != webhook.FailedInRow {
			t.Fatalf("it is %+v", h)
		}
		g.answer(http.StatusInternalServerError)
		settle(time.Hour)
		s.MustCrash(t, testkit.SenderOptions{})
		s.MustPublish(t, 500)
		settle(24 * time.Hour)
		if all, peak := g.seen(); all > 12+4*25 || all < 4*25-12 || peak != 1 {
			t.Errorf("%d attempts in 25 hours, %d at once", all, peak)
		}
		g.answer(http.StatusOK)
		settle(15*time.Minute + 30*time.Second)
		if all, peak := g.seen(); peak < 8 || all < 900 {
			t.Errorf("half a minute after it takes events again %d were sent, %d at once", all, peak)
		}
		settle(25 * time.Hour) // probes may have taken a delivery far into its schedule
		if counts := mustCount(t, s, sub); counts["delivered"] != 1000 {
			t.Errorf("%v", counts)
		}
		want := []string{
			"webhook.subscription.failing enabled, failing failed_in_row, 0 days",
			"webhook.subscription.failing enabled, failing failed_in_row, 1 days",
		}
		if diff := cmp.Diff(want, told.told()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if h := mustShow(t, s, sub).Health; h != (webhook.Health{}) {
			t.Errorf("after a success there is %+v", h)
		}
	})
}

func TestAnEndpointThatTakesNothingForFiveDaysIsDisabled(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		told := mustWatch(t, s)
		g := &gauge{status: http.StatusInternalServerError}
		sub := s.MustSubscribe(t, "dead.example", webhook.Policy{}, g.ServeHTTP)
		begun := time.Now()
		for range 130 {
			s.MustPublish(t, 1)
			settle(time.Hour)
		}
		var days []float64
		for _, it := range told.all() {
			days = append(days, float64(it.at.Sub(begun).Round(time.Hour).Hours())/24)
		}
		want := []string{
			"webhook.subscription.failing enabled, failing failed_in_row, 0 days",
			"webhook.subscription.failing enabled, failing failed_in_row, 1 days",
			"webhook.subscription.failing enabled, failing failed_in_row, 3 days",
			"webhook.subscription.failing enabled, failing failed_in_row, 4 days",
			"webhook.subscription.disabled disabledfailing, failing failed_in_row, 5 days",
		}
		if diff := cmp.Diff(want, told.told()); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff([]float64{1, 3, 4, 5}, days[1:]); diff != "" {
			t.Errorf("days (-want +got)\n%s", diff)
		}
		counts := mustCount(t, s, sub)
		if shown := mustShow(t, s, sub); shown.Enabled || shown.Reason != webhook.ReasonFailing || counts["held"] < 9 || counts["pending"] == 0 {
			t.Errorf("enabled %t, %s, %v", shown.Enabled, shown.Reason, counts)
		}
		g.answer(http.StatusOK)
		settle(24 * time.Hour)
		if all, _ := g.seen(); all != 0 {
			t.Errorf("%d attempts although it is disabled", all)
		}
		must[*webhook.Subscription](t)(s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID))
		settle(25 * time.Hour)
		after := mustCount(t, s, sub)
		if h := mustShow(t, s, sub).Health; after["delivered"] != counts["pending"] || after["held"] != counts["held"] || h != (webhook.Health{}) {
			t.Errorf("before %v, after %v, %+v", counts, after, h)
		}
		if got := told.told(); got[len(got)-1] != "webhook.subscription.enabled enabled, ok , 0 days" {
			t.Errorf("told at last: %s", got[len(got)-1])
		}
	})
}

func TestDisablingAndWarningsCanBeTurnedOff(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		told := mustWatch(t, s)
		sub := s.MustSubscribe(t, "dead.example", webhook.Policy{NoAutoDisable: true, NoHealthWarnings: true}, answer(http.StatusInternalServerError))
		for range 150 {
			s.MustPublish(t, 1)
			settle(time.Hour)
		}
		if shown := mustShow(t, s, sub); !shown.Enabled || shown.Health.State != webhook.Failing {
			t.Errorf("enabled %t, %+v", shown.Enabled, shown.Health)
		}
		if got := told.told(); len(got) != 1 {
			t.Errorf("told %q", got)
		}
	})
}

func TestOneEventThatAnEndpointCanNotTakeDoesNotKeepTheOthersFromIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var poison atomic.Value
		poison.Store("")
		policy := webhook.Policy{Schedule: []time.Duration{time.Second, time.Second}}
		sub := s.MustSubscribe(t, "picky.example", policy, func(w http.ResponseWriter, r *http.Request) {
			if poison.CompareAndSwap("", r.Header.Get("Webhook-Id")) || poison.Load() == r.Header.Get("Webhook-Id") {
				w.WriteHeader(http.StatusBadRequest)
			}
		})
		for range 100 {
			s.MustPublish(t, 5)
			settle(100 * time.Millisecond)
		}
		if counts := mustCount(t, s, sub); counts["delivered"] != 499 || counts["failed"] != 1 {
			t.Errorf("%v", counts)
		}
		if h := mustShow(t, s, sub).Health; h != (webhook.Health{}) {
			t.Errorf("%+v", h)
		}
	})
}

func TestWhereAPageFixesTheTimesHealthIsShownAndChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch"}, in.then(always(http.StatusServiceUnavailable)))
		for range 30 {
			mustPublishTheme(t, s)
		}
		settle(6*24*time.Hour + time.Minute)
		shown := mustShow(t, s, sub)
		if h := shown.Health; !shown.Enabled || h.State != webhook.Failing || h.Failures != 30*72 {
			t.Errorf("enabled %t, %+v", shown.Enabled, shown.Health)
		}
		for i, r := range in.all()[30:60] {
			if after := r.at.Sub(in.all()[0].at).Round(time.Minute); after != time.Hour {
				t.Fatalf("the second attempt of the %d. came after %s", i, after)
			}
		}
	})
}

func TestWhereAPageFixesTheTimesNativeRulesHoldBackFirstAttemptsOnly(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var in inbox
		sub := mustListen(t, s, webhook.Draft{Dialect: "saasquatch", Policy: webhook.Policy{NativeRules: true}}, in.then(always(http.StatusInternalServerError)))
		var first []id.ID
		for range 30 {
			first = append(first, mustPublishTheme(t, s))
		}
		settle(time.Second)
		if h := mustShow(t, s, sub).Health; h.State != webhook.Failing {
			t.Fatalf("%+v", h)
		}
		tried := make(map[string]time.Time) // the first attempts
		for _, r := range in.all() {
			tried[r.header.Get("X-Grapevine-Event-Id")] = r.at
		}
		settle(59*time.Minute + 40*time.Second)
		if n := len(in.all()); n > len(tried)+14 {
			t.Errorf("%d attempts before any retry was due", n)
		}
		settle(time.Minute)
		for event, at := range tried {
			again := slices.ContainsFunc(in.all(), func(r received) bool {
				return r.header.Get("X-Grapevine-Event-Id") == event && r.at.Sub(at).Round(time.Minute) == time.Hour
			})
			if !again {
				t.Errorf("%s was not tried again after an hour", event)
			}
		}
		if len(tried) == len(first) {
			t.Error("no first attempt was held back")
		}
	})
}

func TestAnotherURLIsAnEndpointOfWhichNothingIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		sub := s.MustSubscribe(t, "old.example", webhook.Policy{}, answer(http.StatusInternalServerError))
		s.Net.MustServe(t, "new.example", answer(http.StatusOK))
		s.MustPublish(t, 50)
		settle(time.Minute)
		url := "http://new.example/"
		changed := must[*webhook.Subscription](t)(s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{URL: &url}))
		if changed.Health != (webhook.Health{}) || mustShow(t, s, sub).Health != (webhook.Health{}) {
			t.Errorf("the new endpoint is %+v", changed.Health)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestWhatWasUnderWayDoesNotCountAgainstAnEndpointThatWasGivenANewChance(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var well atomic.Bool
		sub := s.MustSubscribe(t, "slow.example", webhook.Policy{}, func(w http.ResponseWriter, _ *http.Request) {
			if well.Load() {
				return
			}
			time.Sleep(5 * time.Second)
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		s.MustPublish(t, 4)
		settle(time.Second)
		well.Store(true)
		if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		settle(10 * time.Second)
		if h := mustShow(t, s, sub).Health; h != (webhook.Health{}) {
			t.Errorf("what was under way counts: %+v", h)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestEndpointsThatFailToTakeNewsAreNoNews(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		for i := range 5 {
			host := fmt.Sprintf("news-%d.example", i)
			var asked atomic.Int64
			s.Net.MustServe(t, host, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if asked.Add(1)%2 == 1 {
					w.WriteHeader(http.StatusInternalServerError)
				}
			}))
			draft := webhook.Draft{URL: "http://" + host + "/", EventTypes: []string{"webhook.*"}, Policy: once}
			if _, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, draft); err != nil {
				t.Fatal(err)
			}
		}
		s.MustSubscribe(t, "failing.example", once, answer(http.StatusInternalServerError))
		settle(time.Minute)
		count := func() int {
			events, _, err := s.Webhooks.Events(t.Context(), s.Tenant, webhook.EventFilter{}, webhook.Page{Limit: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return len(events)
		}
		before := count()
		s.MustPublish(t, 1)
		settle(time.Hour)
		if made := count() - before; made != 3 { // itself, that its delivery failed, and that its endpoint is failing
			t.Errorf("one event made %d", made)
		}
	})
}
