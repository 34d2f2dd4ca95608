package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestAnEventReachesEverySubscriptionThatAnotherNodeHasAnswered(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	r := mustReceive(t)
	var events []string
	for i := range 50 {
		eventType := fmt.Sprintf("invoice.paid%d", i)
		b.mustPublish(eventType) // so that the other node knows what there was
		a.mustSubscribe(r, eventType, `{}`)
		event, deliveries := b.mustPublish(eventType)
		if deliveries != 1 {
			t.Fatalf("after subscription %d the other node has made %d deliveries", i, deliveries)
		}
		events = append(events, event)
	}
	f.wantOnce(r, events)
}

func TestNothingGoesToASubscriptionThatAnotherNodeHasEnded(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	r := mustReceive(t)
	for i := range 20 {
		deleted, disabled := fmt.Sprintf("invoice.deleted%d", i), fmt.Sprintf("invoice.disabled%d", i)
		one, other := a.mustSubscribe(r, deleted, `{}`), a.mustSubscribe(r, disabled, `{}`)
		f.wantOnce(r, alternately(1, deleted, b))
		r.forget()
		a.mustDo(http.MethodDelete, "/v1/subscriptions/"+one, "")
		if _, deliveries := b.mustPublish(deleted); deliveries != 0 {
			t.Fatalf("the other node has made %d deliveries to a subscription that was deleted", deliveries)
		}
		a.mustDo(http.MethodPost, "/v1/subscriptions/"+other+"/disable", `{}`)
		b.mustPublish(disabled)
	}
	f.mustSettle()
	held := 0
	f.mustScan(`SELECT count(*) FROM delivery WHERE status = 5`, &held)
	if n := len(r.all()); n != 0 || held != 20 {
		t.Errorf("%d requests were made and %d deliveries are held, of 20", n, held)
	}
}

func TestANodeThatHasSeenASubscriptionDisabledStartsNothingMore(t *testing.T) {
	t.Parallel()
	onHints(t, func(f *fleet) {
		a, b := f.mustStart("a"), f.mustStart("b")
		r := mustReceive(f.t)
		r.slow(200 * time.Millisecond)
		sub := a.mustSubscribe(r, "invoice.paid", `{"max_in_flight":2}`)
		events := alternately(200, "invoice.paid", a, b)
		a.mustDo(http.MethodPost, "/v1/subscriptions/"+sub+"/disable", `{}`)
		disabled := time.Now()
		known := 2 * beat // after that the other node has heard of it
		if f.hints == "" {
			known = beat / 2
		}
		time.Sleep(known + beat)
		if n := len(r.since("a", disabled)); n > 1 {
			f.t.Errorf("the node that disabled the subscription has begun %d attempts since", n)
		}
		if n := len(r.since("b", disabled.Add(known))); n > 0 {
			f.t.Errorf("the other node has begun %d attempts later than %v after it", n, known)
		}
		if len(r.all()) == len(events) {
			f.t.Fatal("there was nothing left to send")
		}
		r.slow(0)
		a.mustDo(http.MethodPost, "/v1/subscriptions/"+sub+"/enable", `{}`)
		f.wantOnce(r, events)
	})
}

func TestAKeyThatOneNodeHasRevokedIsSoonRefusedByTheOther(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	made := mustPost(t, a.URL()+"/v1/tenants/"+f.tenant+"/keys", adminKey, `{"scopes":["read"]}`)
	id, key := made["id"].(string), made["api_key"].(string)
	allowed := func() bool {
		status, _, err := send(t.Context(), http.MethodGet, b.URL()+"/v1/subscriptions", key, "")
		if err != nil {
			t.Fatal(err)
		}
		return status == http.StatusOK
	}
	if !allowed() {
		t.Fatal("a key that one node has made is refused by the other")
	}
	status, answer, err := send(t.Context(), http.MethodDelete, a.URL()+"/v1/tenants/"+f.tenant+"/keys/"+id, adminKey, "")
	if err != nil || status >= 300 {
		t.Fatal(status, answer, err)
	}
	revoked := time.Now()
	eventually(t, "the other node refuses the key", func() bool { return !allowed() })
	if took := time.Since(revoked); took > time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestASecretThatOneNodeHasRotatedIsSoonUsedByTheOther(t *testing.T) {
	t.Parallel()
	_, a, b := mustPair(t)
	r := mustReceive(t)
	sub := a.mustSubscribe(r, "invoice.paid", `{}`)
	signatures := func() int { // of the newest request: one for each secret that is valid
		before := len(r.all())
		b.mustPublish("invoice.paid")
		eventually(t, "the event arrives", func() bool { return len(r.all()) > before })
		return r.all()[before].signatures
	}
	if n := signatures(); n != 1 {
		t.Fatalf("%d signatures", n)
	}
	a.mustDo(http.MethodPost, "/v1/subscriptions/"+sub+"/secret/rotate", `{}`)
	rotated := time.Now()
	eventually(t, "the other node signs with both", func() bool { return signatures() == 2 })
	if took := time.Since(rotated); took > time.Second {
		t.Errorf("it took %v", took)
	}
}
