package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestTwoNodesTogetherKeepToASubscriptionsMaxInFlight(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	r := mustReceive(t)
	r.slow(20 * time.Millisecond)
	a.mustSubscribe(r, "invoice.paid", `{"max_in_flight":4}`)
	f.wantOnce(r, alternately(150, "invoice.paid", a, b))
	if r.mostAtOnce() > 4 {
		t.Errorf("%d were under way at once, of 4", r.mostAtOnce())
	}
	if !r.sawBoth(time.Time{}) {
		t.Error("one node has sent nothing")
	}
}

func TestTwoNodesTogetherKeepToASubscriptionsRate(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	r := mustReceive(t)
	const perSecond = 40
	a.mustSubscribe(r, "invoice.paid", `{"rate":40}`)
	f.wantOnce(r, alternately(160, "invoice.paid", a, b))
	// Each node may have saved up one, and the receiver's clock is not exact.
	if n := r.mostWithin(time.Second); n > perSecond+4 || n < perSecond/2 {
		t.Errorf("%d in a second, of %d", n, perSecond)
	}
	if !r.sawBoth(time.Time{}) {
		t.Error("one node has sent nothing")
	}
}

func TestTheNodeThatIsToSendAloneLearnsOfTheRetriesOfOthers(t *testing.T) {
	t.Parallel()
	f, a, _ := mustPair(t)
	r := mustReceive(t)
	r.answers(failing(1))
	var subs, events []string
	for i := range 6 { // either node is to send to some of them
		eventType := fmt.Sprintf("invoice.paid%d", i)
		subs = append(subs, a.mustSubscribe(r, eventType, `{"schedule":[2]}`))
		events = append(events, alternately(1, eventType, a)...)
	}
	eventually(t, "all have failed once", func() bool { return len(r.all()) == len(events) })
	for _, sub := range subs {
		a.mustDo(http.MethodPatch, "/v1/subscriptions/"+sub, `{"policy":{"schedule":[2],"max_in_flight":1}}`)
	}
	f.wantOnce(r, events)
}

func TestOneNodeAloneSendsWhereALimitCanNotBeDivided(t *testing.T) {
	t.Parallel()
	for name, policy := range map[string]string{"max_in_flight": `{"max_in_flight":1}`, "rate": `{"rate":1.5}`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, a, b := mustPair(t)
			r := mustReceive(t)
			r.slow(2 * time.Millisecond)
			a.mustSubscribe(r, "invoice.paid", policy)
			n := map[string]int{"max_in_flight": 100, "rate": 6}[name]
			f.wantOnce(r, alternately(n, "invoice.paid", a, b))
			if r.mostAtOnce() > 1 {
				t.Errorf("%d were under way at once", r.mostAtOnce())
			}
			if r.sawBoth(time.Time{}) {
				t.Error("both nodes have sent")
			}
			if n := r.mostWithin(time.Second); name == "rate" && n > 2 {
				t.Errorf("%d in a second, of 1.5", n)
			}
		})
	}
}

func TestANodeThatComesToSendAloneLearnsOfTheRetriesOfOthers(t *testing.T) {
	t.Parallel()
	f, a, b := mustPair(t)
	r := mustReceive(t)
	r.answers(failing(1))
	var events []string
	for i := range 6 { // with a third node neither of the first two can divide a limit of two
		eventType := fmt.Sprintf("invoice.paid%d", i)
		a.mustSubscribe(r, eventType, `{"schedule":[4],"max_in_flight":2}`)
		events = append(events, alternately(2, eventType, a, b)...)
	}
	eventually(t, "all have failed once", func() bool { return len(r.all()) == len(events) })
	f.mustStart("c")
	f.wantOnce(r, events)
}

func TestANodeThatSendsAloneLearnsOfAReplayThatAnotherMakes(t *testing.T) {
	t.Parallel()
	f, a, _ := mustPair(t)
	r := mustReceive(t)
	var events []string
	for i := range 6 { // either node is to send to some of them
		eventType := fmt.Sprintf("invoice.paid%d", i)
		a.mustSubscribe(r, eventType, `{"max_in_flight":1}`)
		events = append(events, alternately(1, eventType, a)...)
	}
	f.wantOnce(r, events)
	r.forget()
	a.mustDo(http.MethodPost, "/v1/replays", `{"status":["delivered"],"since":"`+time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)+`"}`)
	eventually(t, "all are sent again", func() bool { return len(r.all()) == len(events) })
	f.mustSettle()
}

func TestABatchForSeveralNodesKeepsNoneOfThemWaiting(t *testing.T) {
	t.Parallel()
	f, a, _ := mustPair(t)
	r := mustReceive(t)
	for range 6 { // ordered, so that one node sends, and either to some of them
		a.mustSubscribe(r, "invoice.paid", `{"ordered":true}`)
	}
	const events = 5
	for n := range events {
		a.mustPublish("invoice.paid")
		eventually(t, "it has gone to all", func() bool { return len(r.all()) == 6*(n+1) })
	}
	f.mustSettle()
}
