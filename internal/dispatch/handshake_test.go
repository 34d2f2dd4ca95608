package dispatch_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// echo confirms every subscription.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Hook-Secret", r.Header.Get("X-Hook-Secret"))
}

// changeable is an endpoint whose behaviour can change.
type changeable struct {
	atomic.Pointer[http.HandlerFunc]
}

func (c *changeable) become(h http.HandlerFunc) { c.Store(&h) }

func (c *changeable) ServeHTTP(w http.ResponseWriter, r *http.Request) { (*c.Load())(w, r) }

// mustAsk creates a subscription with a handshake and returns what came of it.
func mustAsk(t *testing.T, s *testkit.Sender, host string) (*webhook.Subscription, webhook.Attempt) {
	t.Helper()
	var answered []webhook.Attempt
	sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{
		URL: "http://" + host + "/hooks", EventTypes: []string{"*"}, Handshake: true,
		Headers: map[string]string{"X-Team": "billing"}, Auth: webhook.Auth{Type: webhook.BearerAuth, Token: "a-bearer-token"},
		Answered: func(a webhook.Attempt) { answered = append(answered, a) },
	})
	if err != nil || len(answered) != 1 {
		t.Fatalf("%v, %+v", err, answered)
	}
	return sub, answered[0]
}

func TestAnEndpointThatEchoesTheSecretIsSubscribed(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		var first atomic.Pointer[http.Request]
		var body atomic.Pointer[string]
		s.Net.MustServe(t, "good.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			text, _ := io.ReadAll(r.Body)
			if first.CompareAndSwap(nil, r) {
				body.Store(new(string(text)))
				_, _ = io.WriteString(w, r.Header.Get("X-Hook-Secret")+" a-bearer-token")
			}
		}))
		sub, answered := mustAsk(t, s, "good.example")
		r := first.Load()
		secret := r.Header.Get("X-Hook-Secret")
		if r.Method != http.MethodPost || *body.Load() != "" || len(secret) < 20 || r.Header.Get("X-Team") != "billing" ||
			r.Header.Get("Authorization") != "Bearer a-bearer-token" || r.Header.Get("User-Agent") != "Grapevine/test" || r.Header.Get("Webhook-Id") != "" {
			t.Errorf("it was asked by %s %v with %q", r.Method, r.Header, *body.Load())
		}
		if answered.Verdict != wire.Delivered || string(answered.Body) != "******** ********" {
			t.Errorf("%+v %q", answered, answered.Body)
		}
		for _, h := range answered.Headers {
			if strings.Contains(h.Value, secret) {
				t.Errorf("the secret is shown in %s", h.Name)
			}
		}
		if !sub.Enabled || sub.Reason != "" {
			t.Errorf("%+v", sub)
		}
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
			t.Errorf("%+v", d)
		}
	})
}

func TestAnEndpointThatDoesNotEchoTheSecretGetsNothingUntilItDoes(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		reason  string
		says    string
	}{
		"no echo": {answer(http.StatusOK), "handshake_failed", "handshake_failed: the endpoint answered with status 200, but not with the header X-Hook-Secret as it was sent"},
		"another secret": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Hook-Secret", strings.ToLower(r.Header.Get("X-Hook-Secret")))
		}, "handshake_failed", "handshake_failed: the endpoint answered with status 200, but not with the header X-Hook-Secret as it was sent"},
		"an echo with an error": {func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			w.WriteHeader(http.StatusForbidden)
		}, "client_error", "handshake_failed: the endpoint answered with status 403"},
		"an echo with a redirect": {func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			w.WriteHeader(http.StatusFound)
		}, "redirect", "handshake_failed: the endpoint answered with status 302"},
		"gone":    {answer(http.StatusGone), "gone", "handshake_failed: the endpoint answered with status 410"},
		"silence": {silent, "timeout", "handshake_failed: the endpoint could not be asked (timeout): context deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				endpoint := &changeable{}
				endpoint.become(c.handler)
				s.Net.MustServe(t, "odd.example", endpoint)
				sub, answered := mustAsk(t, s, "odd.example")
				if sub.Enabled || sub.Reason != webhook.ReasonHandshake || string(answered.Reason) != c.reason || answered.Verdict == wire.Delivered {
					t.Errorf("%+v %+v", sub, answered)
				}
				event := s.MustPublish(t, 1)[0]
				if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); !problem.HandshakeFailed.Has(err) || err.Error() != c.says {
					t.Errorf("enabling it: %v", err)
				}
				if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Held {
					t.Errorf("%+v", d)
				}
				endpoint.become(echo)
				on, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID)
				if err != nil || !on.Enabled {
					t.Fatalf("once it echoes: %+v, %v", on, err)
				}
				event = s.MustPublish(t, 1)[0]
				settle(time.Second)
				if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
					t.Errorf("%+v", d)
				}
			})
		})
	}
}

func TestAConfirmedSubscriptionIsEnabledAgainWithoutAskingAlsoAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		endpoint := &changeable{}
		endpoint.become(echo)
		s.Net.MustServe(t, "good.example", endpoint)
		sub, _ := mustAsk(t, s, "good.example")
		endpoint.become(answer(http.StatusOK))
		s.Stop(t.Context())
		s.MustStart(t, testkit.SenderOptions{})
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		if on, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); err != nil || !on.Enabled {
			t.Errorf("%+v, %v", on, err)
		}
	})
}

func TestAnotherURLHasToConfirmTheSubscription(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.Net.MustServe(t, "good.example", http.HandlerFunc(echo))
		other := &changeable{}
		other.become(answer(http.StatusOK))
		s.Net.MustServe(t, "other.example", other)
		sub, _ := mustAsk(t, s, "good.example")
		move := webhook.Patch{URL: new("http://other.example/hooks")}
		if _, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, move); !problem.HandshakeFailed.Has(err) {
			t.Errorf("while it does not: %v", err)
		}
		if kept, err := s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID); err != nil || kept.URL != sub.URL || !kept.Enabled {
			t.Errorf("it was changed to %+v, %v", kept, err)
		}
		other.become(echo)
		if moved, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, move); err != nil || moved.URL != *move.URL || !moved.Enabled {
			t.Errorf("once it does: %+v, %v", moved, err)
		}
		other.become(answer(http.StatusOK)) // other changes ask nobody
		if _, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{URL: move.URL, Description: new("the same place")}); err != nil {
			t.Error(err)
		}
	})
}

func TestADisabledSubscriptionMovesAndIsAskedWhenItIsEnabled(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.Net.MustServe(t, "good.example", http.HandlerFunc(echo))
		s.Net.MustServe(t, "other.example", answer(http.StatusOK))
		sub, _ := mustAsk(t, s, "good.example")
		if _, err := s.Webhooks.DisableSubscription(t.Context(), s.Tenant, sub.ID); err != nil {
			t.Fatal(err)
		}
		for _, place := range []struct {
			url       string
			confirmed bool
		}{{"http://other.example/", false}, {"http://good.example/new", true}} {
			moved, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{URL: &place.url})
			if err != nil || moved.Enabled {
				t.Fatalf("%+v, %v", moved, err)
			}
			_, err = s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID)
			if (err == nil) != place.confirmed || (err != nil && !problem.HandshakeFailed.Has(err)) {
				t.Errorf("%s: %v", place.url, err)
			}
		}
	})
}

func TestAMoveDuringAHandshakeIsNotConfirmedByIt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		endpoint := &changeable{}
		endpoint.become(answer(http.StatusOK))
		s.Net.MustServe(t, "good.example", endpoint)
		s.Net.MustServe(t, "other.example", answer(http.StatusOK))
		sub, _ := mustAsk(t, s, "good.example")
		endpoint.become(func(w http.ResponseWriter, r *http.Request) {
			echo(w, r)
			if _, err := s.Webhooks.UpdateSubscription(context.Background(), s.Tenant, sub.ID, webhook.Patch{URL: new("http://other.example/")}); err != nil {
				t.Error(err)
			}
		})
		if _, err := s.Webhooks.EnableSubscription(t.Context(), s.Tenant, sub.ID); !problem.Conflict.Has(err) {
			t.Errorf("%v", err)
		}
		if found, err := s.Webhooks.Subscription(t.Context(), s.Tenant, sub.ID); err != nil || found.Enabled {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

func TestNothingIsStoredForACallerWhoLosesTheRightDuringAHandshake(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		revoked := errors.New("revoked")
		asked := false
		s.Net.MustServe(t, "good.example", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = true
			echo(w, r)
		}))
		confirm := func(context.Context) error {
			if asked {
				return revoked
			}
			return nil
		}
		_, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{URL: "http://good.example/", EventTypes: []string{"*"}, Handshake: true, Confirm: confirm})
		if !errors.Is(err, revoked) || !asked {
			t.Errorf("%v", err)
		}
		if subs, _, err := s.Webhooks.Subscriptions(t.Context(), s.Tenant, webhook.Page{Limit: 10}); err != nil || len(subs) != 0 {
			t.Errorf("%d subscriptions, %v", len(subs), err)
		}
	})
}

func TestHandshakesUnderWayAreLimitedAsTestsAre(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		s.Net.MustServe(t, "slow.example", http.HandlerFunc(silent))
		draft := webhook.Draft{URL: "http://slow.example/", EventTypes: []string{"*"}, Handshake: true}
		for range 8 {
			go func() { _, _ = s.Webhooks.CreateSubscription(t.Context(), s.Tenant, draft) }()
		}
		settle(time.Second)
		if _, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, draft); !problem.RateLimited.Has(err) {
			t.Errorf("%v", err)
		}
		if _, err := s.Webhooks.CreateSubscription(t.Context(), id.New(time.Now()), draft); err != nil {
			t.Errorf("another tenant: %v", err)
		}
		settle(time.Minute)
	})
}

func TestWhatIsPublishedWhileAnEndpointIsAskedIsRecoveredAsWell(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		endpoint := &changeable{}
		endpoint.become(answer(http.StatusOK))
		s.Net.MustServe(t, "good.example", endpoint)
		sub, _ := mustAsk(t, s, "good.example") // in vain
		since := time.Now()
		events := s.MustPublish(t, 1)
		endpoint.become(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(5 * time.Second)
			echo(w, r)
		})
		var asking sync.WaitGroup
		asking.Go(func() {
			if _, err := s.Webhooks.EnableAndRecover(t.Context(), s.Tenant, sub.ID, since); err != nil {
				t.Error(err)
			}
		})
		settle(time.Second)
		events = append(events, s.MustPublish(t, 1)...)
		asking.Wait()
		settle(time.Minute)
		for i, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Errorf("event %d: %s %s", i, d.Status, d.Reason)
			}
		}
	})
}
