package dispatch_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// issuer is a token endpoint, and an endpoint that accepts its tokens.
type issuer struct {
	mu      sync.Mutex
	asked   []time.Time
	forms   []string // of the requests, with the Authorization header before
	valid   string   // the token that the endpoint accepts; "": any
	arrived []string // the tokens that came
	answer  http.HandlerFunc
}

// ServeHTTP gives tokens that are numbered from 1.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	i.mu.Lock()
	i.asked = append(i.asked, time.Now())
	i.forms = append(i.forms, r.Header.Get("Authorization")+" "+r.PostForm.Encode())
	n, answer := len(i.asked), i.answer
	i.mu.Unlock()
	if answer != nil {
		answer(w, r)
		return
	}
	time.Sleep(time.Second)
	_, _ = fmt.Fprintf(w, `{"access_token":"access-token-%d","token_type":"bearer","expires_in":3600}`, n)
}

// receive is the endpoint.
func (i *issuer) receive(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	i.arrived = append(i.arrived, token)
	if i.valid != "" && token != i.valid {
		w.WriteHeader(http.StatusUnauthorized)
	}
	_, _ = fmt.Fprint(w, "you said ", token)
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

// counts returns how often a token was asked for, and how many requests came.
func (i *issuer) counts() (int, int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.asked), len(i.arrived)
}

var clientAuth = webhook.Auth{Type: webhook.OAuth2Auth, TokenURL: "http://login.example/token", ClientID: "the client", ClientSecret: "a secret/of it"}

// mustAuthorise subscribes http://good.example/ with tokens of http://login.example/.
func mustAuthorise(t *testing.T, s *testkit.Sender, i *issuer, draft webhook.Draft) *webhook.Subscription {
	t.Helper()
	s.Net.MustServe(t, "login.example", i)
	s.Net.MustServe(t, "good.example", http.HandlerFunc(i.receive))
	draft.URL, draft.EventTypes = "http://good.example/", []string{"*"}
	if draft.Auth.Type == webhook.NoAuth {
		draft.Auth = clientAuth
	}
	sub, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, draft)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

func TestFiftyAttemptsAtOnceAskForOneToken(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{}
		mustAuthorise(t, s, i, webhook.Draft{Policy: webhook.Policy{MaxInFlight: 50}})
		s.MustPublish(t, 50)
		settle(10 * time.Second)
		if asked, arrived := i.counts(); asked != 1 || arrived != 50 {
			t.Errorf("%d tokens were asked for, and %d requests came", asked, arrived)
		}
		if i.arrived[0] != "access-token-1" {
			t.Errorf("it had %q", i.arrived[0])
		}
	})
}

func TestATokenIsReplacedBeforeItExpires(t *testing.T) {
	for answer, lives := range map[string]time.Duration{
		`"expires_in":3600`:    3570 * time.Second,
		`"expires_in":"3600"`:  3570 * time.Second,
		`"expires_in":40`:      30 * time.Second,
		`"expires_in":9999999`: 24*time.Hour - 30*time.Second,
		`"scope":"x"`:          270 * time.Second,
		`"expires_in":null`:    270 * time.Second,
		`"expires_in":0`:       0,
		`"expires_in":-5`:      0,
	} {
		t.Run(answer, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				i := &issuer{answer: func(w http.ResponseWriter, _ *http.Request) {
					_, _ = fmt.Fprintf(w, `{"access_token":"some-token","token_type":"BEARER",%s}`, answer)
				}}
				mustAuthorise(t, s, i, webhook.Draft{})
				s.MustPublish(t, 1)
				settle(time.Second)
				i.mu.Lock()
				expires := i.asked[0].Add(lives)
				i.mu.Unlock()
				if before := time.Until(expires) - time.Second; before > 0 {
					settle(before)
					s.MustPublish(t, 1)
					settle(0)
					if asked, arrived := i.counts(); asked != 1 || arrived != 2 {
						t.Errorf("a second before: %d tokens, %d requests", asked, arrived)
					}
					settle(time.Second)
				}
				had, _ := i.counts()
				s.MustPublish(t, 1)
				settle(time.Second)
				if asked, _ := i.counts(); asked != had+1 {
					t.Errorf("after it: %d tokens", asked)
				}
			})
		})
	}
}

func TestATokenThatTheEndpointRefusesIsReplacedInTheSameAttempt(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{}
		sub := mustAuthorise(t, s, i, webhook.Draft{Policy: webhook.Policy{MaxInFlight: 20}})
		s.MustPublish(t, 1)
		settle(time.Minute)
		i.set(func() { i.valid = "access-token-2" })
		events := s.MustPublish(t, 20)
		settle(3 * time.Second)
		for _, event := range events {
			d, attempts := s.MustDelivery(t, event, sub)
			if d.Status != webhook.Delivered || len(attempts) != 1 || attempts[0].ResponseStatus != http.StatusOK {
				t.Fatalf("%+v %+v", d, attempts)
			}
			if body := string(attempts[0].Body); body != "you said "+webhook.Masked {
				t.Fatalf("it stores %q", body)
			}
		}
		if asked, _ := i.counts(); asked != 2 {
			t.Errorf("%d tokens were asked for", asked)
		}
	})
}

func TestAnEndpointThatRefusesEveryTokenGetsTwoAndDoesNotHaveNewOnesMadeAllTheTime(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{valid: "none"}
		sub := mustAuthorise(t, s, i, webhook.Draft{Policy: webhook.Policy{MaxInFlight: 1}})
		event := s.MustPublish(t, 1)[0]
		settle(3 * time.Second)
		d, attempts := s.MustDelivery(t, event, sub)
		if len(attempts) != 1 || d.ResponseStatus != http.StatusUnauthorized || d.Reason != string(wire.ReasonClientError) {
			t.Fatalf("%+v %+v", d, attempts)
		}
		if asked, arrived := i.counts(); asked != 2 || arrived != 2 {
			t.Errorf("%d tokens and %d requests for the first attempt", asked, arrived)
		}
		s.MustPublish(t, 8) // with one more it would be failing
		settle(time.Second)
		if asked, arrived := i.counts(); asked != 2 || arrived != 10 {
			t.Errorf("%d tokens and %d requests after 8 events more", asked, arrived)
		}
	})
}

func TestWithoutATokenTheEndpointIsNotContacted(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = fmt.Fprint(w, `{"access_token":"leaked","token_type":"Bearer","error_description":"a secret/of it"}`)
		}
	}
	body := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) }
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		says   string
	}{
		"an error":            {status(http.StatusInternalServerError), "the token endpoint answered with status 500"},
		"a refusal":           {status(http.StatusUnauthorized), "the token endpoint answered with status 401"},
		"a redirect":          {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }, "the token endpoint answered with status 302"},
		"silence":             {silent, "asking the token endpoint: timeout: context deadline exceeded"},
		"a hang-up":           {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "asking the token endpoint: connect: EOF"},
		"no JSON":             {body("leaked"), "the token endpoint's answer is not the JSON that OAuth 2 asks for"},
		"no token":            {body(`{"token_type":"Bearer"}`), "the token endpoint's answer has no access_token"},
		"a very short token":  {body(`{"access_token":"leaked!","token_type":"Bearer"}`), "the token endpoint's access_token has less than 8 characters"},
		"another kind":        {body(`{"access_token":"leaked-token","token_type":"mac"}`), "the token endpoint's token_type is not Bearer"},
		"no kind":             {body(`{"access_token":"leaked-token"}`), "the token endpoint's token_type is not Bearer"},
		"a line in the token": {body(`{"access_token":"leaked\r\nX: 1","token_type":"Bearer"}`), "the token endpoint's access_token is too long or has characters that a header can't hold"},
		"a very long token":   {body(`{"access_token":"` + strings.Repeat("x", 9000) + `","token_type":"Bearer"}`), "the token endpoint's access_token is too long or has characters that a header can't hold"},
		"a very long answer":  {body(`{"access_token":"leaked","token_type":"Bearer","x":"` + strings.Repeat("x", 70_000) + `"}`), "the token endpoint's answer has more than 65536 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				i := &issuer{answer: test.answer}
				sub := mustAuthorise(t, s, i, webhook.Draft{})
				event := s.MustPublish(t, 1)[0]
				settle(12 * time.Second)
				d, attempts := s.MustDelivery(t, event, sub)
				if d.Status != webhook.Retrying || d.Reason != "oauth_token" || len(attempts) == 0 {
					t.Fatalf("%+v", d)
				}
				if a := attempts[0]; a.Error != test.says || a.Verdict != wire.Refused || a.ResponseStatus != 0 {
					t.Errorf("%+v", a)
				}
				if _, arrived := i.counts(); arrived != 0 {
					t.Errorf("%d requests came", arrived)
				}
			})
		})
	}
}

func TestATokenEndpointThatIsDownIsLeftAloneForSeconds(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{answer: answer(http.StatusServiceUnavailable)}
		sub := mustAuthorise(t, s, i, webhook.Draft{Policy: webhook.Policy{MaxInFlight: 8, Schedule: slices.Repeat([]time.Duration{time.Second}, 30)}})
		events := s.MustPublish(t, 200)
		settle(20 * time.Second)
		if asked, arrived := i.counts(); asked < 3 || asked > 5 || arrived != 0 {
			t.Errorf("in 20 seconds it was asked %d times, and %d requests came", asked, arrived)
		}
		i.set(func() { i.answer = nil })
		settle(2 * time.Minute) // until it is probed
		for _, event := range events {
			if d, _ := s.MustDelivery(t, event, sub); d.Status != webhook.Delivered {
				t.Fatalf("%+v", d)
			}
		}
	})
}

func TestATokenThatComesTooLateForAnAttemptServesTheNext(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{answer: func(w http.ResponseWriter, _ *http.Request) {
			time.Sleep(3 * time.Second)
			_, _ = fmt.Fprint(w, `{"access_token":"some-token","token_type":"Bearer"}`)
		}}
		sub := mustAuthorise(t, s, i, webhook.Draft{Policy: webhook.Policy{Timeout: 2 * time.Second, Schedule: []time.Duration{5 * time.Second}}})
		event := s.MustPublish(t, 1)[0]
		settle(time.Minute)
		d, attempts := s.MustDelivery(t, event, sub)
		if d.Status != webhook.Delivered || len(attempts) != 2 || attempts[0].Reason != "oauth_token" || attempts[0].Timing.Total != 2*time.Second {
			t.Errorf("%+v %+v", d, attempts)
		}
		if asked, _ := i.counts(); asked != 1 {
			t.Errorf("it was asked %d times", asked)
		}
	})
}

func TestATokenIsAskedForAsTheSubscriptionSays(t *testing.T) {
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte("the+client:a+secret%2Fof+it"))
	for name, test := range map[string]struct {
		change func(a *webhook.Auth)
		want   string
	}{
		"plainly":  {func(*webhook.Auth) {}, pair + " grant_type=client_credentials"},
		"for some": {func(a *webhook.Auth) { a.Scope, a.Audience = "hooks:write b", "https://api.example" }, pair + " audience=https%3A%2F%2Fapi.example&grant_type=client_credentials&scope=hooks%3Awrite+b"},
		"in the body": {
			func(a *webhook.Auth) { a.ClientAuth = webhook.ByBody },
			" client_id=the+client&client_secret=a+secret%2Fof+it&grant_type=client_credentials",
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *testkit.Sender) {
				auth := clientAuth
				test.change(&auth)
				i := &issuer{}
				mustAuthorise(t, s, i, webhook.Draft{Auth: auth})
				s.MustPublish(t, 1)
				settle(2 * time.Second)
				if diff := cmp.Diff([]string{test.want}, i.forms); diff != "" {
					t.Errorf("the token endpoint was asked (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestAChangedSubscriptionGetsATokenOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{}
		sub := mustAuthorise(t, s, i, webhook.Draft{})
		s.MustPublish(t, 1)
		settle(2 * time.Second)
		auth := clientAuth
		auth.ClientSecret = "another secret"
		if _, err := s.Webhooks.UpdateSubscription(t.Context(), s.Tenant, sub.ID, webhook.Patch{Auth: &auth}); err != nil {
			t.Fatal(err)
		}
		s.MustPublish(t, 1)
		settle(2 * time.Second)
		if diff := cmp.Diff([]string{"access-token-1", "access-token-2"}, i.arrived); diff != "" {
			t.Errorf("the endpoint got (-want +got):\n%s", diff)
		}
		for range 2 { // what is not saved shares nothing
			sent, err := s.Webhooks.TestDraft(t.Context(), s.Tenant, webhook.Draft{URL: "http://good.example/", EventTypes: []string{"*"}, Auth: auth})
			if err != nil || sent.Verdict != wire.Delivered {
				t.Fatalf("%+v, %v", sent, err)
			}
		}
		if asked, _ := i.counts(); asked != 4 {
			t.Errorf("%d tokens were asked for", asked)
		}
	})
}

func TestTokensOfManySubscriptionsAreKeptApart(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{}
		first := mustAuthorise(t, s, i, webhook.Draft{})
		for range 100 { // more than are kept before those that are over are looked for
			if _, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{URL: "http://good.example/", EventTypes: []string{"*"}, Auth: clientAuth}); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			s.MustPublish(t, 1)
			settle(3 * time.Second)
		}
		if asked, arrived := i.counts(); asked != 101 || arrived != 202 {
			t.Errorf("%d tokens, %d requests", asked, arrived)
		}
		settle(2 * time.Hour)
		event := s.MustPublish(t, 1)[0]
		settle(3 * time.Second)
		if d, _ := s.MustDelivery(t, event, first); d.Status != webhook.Delivered {
			t.Errorf("%+v", d)
		}
		if asked, _ := i.counts(); asked != 202 {
			t.Errorf("%d tokens after all had expired", asked)
		}
	})
}

func TestATokenEndpointIsSubjectToTheGuard(t *testing.T) {
	bubble(t, func(t *testing.T, s *testkit.Sender) {
		i := &issuer{}
		sub := mustAuthorise(t, s, i, webhook.Draft{})
		s.Net.Repoint("login.example", "10.0.0.1")
		event := s.MustPublish(t, 1)[0]
		settle(time.Second)
		_, attempts := s.MustDelivery(t, event, sub)
		if a := attempts[0]; a.Reason != "oauth_token" || a.Error != "asking the token endpoint: blocked: the host has an address that is not allowed" {
			t.Errorf("%+v", a)
		}
		if asked, arrived := i.counts(); asked+arrived != 0 {
			t.Errorf("%d tokens, %d requests", asked, arrived)
		}
		_, err := s.Webhooks.CreateSubscription(t.Context(), s.Tenant, webhook.Draft{URL: "http://good.example/", EventTypes: []string{"*"}, Auth: clientAuth})
		if err == nil || !strings.HasPrefix(err.Error(), "invalid: auth.token_url: The host is not allowed") {
			t.Errorf("creation: %v", err)
		}
	})
}
