package webhook_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// scripted is a node that sees the members that the test says.
type scripted struct {
	*testkit.Feed
	now node.Membership
}

func (s *scripted) Membership() node.Membership { return s.now }

// sees has the node live under the number, among these members.
func (s *scripted) sees(self int64, members ...int64) {
	latest := max(s.now.Latest, slices.Max(members))
	s.now = node.Membership{Self: self, Members: members, Latest: latest}
}

// claiming is a recorder that is handed nothing: what is stored has to be claimed.
type claiming struct{ *recorder }

func (claiming) Takes(*webhook.Subscription) webhook.Taking { return webhook.Elsewhere }

// mustSharing returns two worlds that share a database and a tenant, as nodes 1 and
// 2 of it, and those.
func mustSharing(t *testing.T) (*world, *world, *scripted, *scripted) {
	t.Helper()
	url, nodes := testkit.PostgresURL(t), new(testkit.Nodes)
	key, tenant := secret.NewKey(), id.New(time.Now())
	start := func(number int64) (*world, *scripted) {
		d, err := db.Open(t.Context(), url, db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		box, err := secret.Open(t.Context(), d, key)
		if err != nil {
			t.Fatal(err)
		}
		n := &scripted{Feed: nodes.Node()}
		n.sees(number, 1, 2)
		w := &world{t: t, db: d, url: url, key: key, tenant: tenant, sent: &recorder{steps: make(chan struct{}, 1)}}
		w.Service = webhook.New(webhook.Options{DB: d, Box: box, CheckURL: checkURL, Identify: testkit.Identify, Attempter: &attempter{}, Node: n})
		w.Start(claiming{w.sent})
		t.Cleanup(func() {
			w.Stop()
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
		return w, n
	}
	a, first := start(1)
	b, second := start(2)
	return a, b, first, second
}

// mustClaim claims what is due of a subscription, which is one delivery.
func (w *world) mustClaim(sub *webhook.Subscription, lane webhook.Lane) webhook.Job {
	w.t.Helper()
	due, err := w.Due(w.t.Context(), webhook.DueQuery{Sub: sub, Lane: lane, Now: time.Now(), Limit: 10, Room: 10})
	if err != nil || len(due.Jobs) != 1 {
		w.t.Fatalf("%d deliveries were claimed: %v", len(due.Jobs), err)
	}
	return due.Jobs[0]
}

// wantNothing fails the test if something is due that the node may have.
func (w *world) wantNothing(sub *webhook.Subscription) {
	w.t.Helper()
	for _, lane := range []webhook.Lane{webhook.Pending, webhook.Retrying} {
		due, err := w.Due(w.t.Context(), webhook.DueQuery{Sub: sub, Lane: lane, Now: time.Now(), Limit: 10, Room: 10})
		if err != nil || len(due.Jobs) != 0 {
			w.t.Fatalf("%d deliveries were claimed: %v", len(due.Jobs), err)
		}
	}
}

// mustWake has a node whose job was taken over record what came of it after all.
func (w *world) mustWake(late webhook.Outcome) {
	w.t.Helper()
	sub := late.Job.Sub
	before, attempts := w.mustDelivery(late.Job.EventID, sub)
	if got := w.mustRecord(late)[0]; !got.Superseded || got.Attempt.Number != len(attempts)+1 {
		w.t.Errorf("superseded: %t, as attempt %d", got.Superseded, got.Attempt.Number)
	}
	after, kept := w.mustDelivery(late.Job.EventID, sub)
	if after.Status != before.Status || !after.NextAt.Equal(before.NextAt) || after.Reason != before.Reason {
		w.t.Errorf("it was %v, next at %v, because of %q, and is %v, next at %v, because of %q",
			before.Status, before.NextAt, before.Reason, after.Status, after.NextAt, after.Reason)
	}
	if len(kept) != len(attempts)+1 || after.Attempts != len(kept) {
		w.t.Errorf("%d attempts are kept and %d are counted, after %d", len(kept), after.Attempts, len(attempts))
	}
}

func TestANodeThatWasTakenForDeadDecidesNothingWhenItWakes(t *testing.T) {
	for name, lateOutcome := range map[string]func(webhook.Job) webhook.Outcome{
		"failed":    failed,
		"delivered": delivered,
		"retried":   func(j webhook.Job) webhook.Outcome { return retried(j, time.Now().Add(time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			a, b, _, second := mustSharing(t)
			sub := a.mustSubscribe("a")
			event := a.mustEvent("a")
			stale := a.mustClaim(sub, webhook.Pending)
			b.wantNothing(sub)
			second.sees(2, 2)
			taken := b.mustClaim(sub, webhook.Pending)
			if taken.Epoch != stale.Epoch+1 {
				t.Errorf("of epoch %d became epoch %d", stale.Epoch, taken.Epoch)
			}
			a.mustWake(lateOutcome(stale)) // while the other one's attempt is under way
			if o := b.mustRecord(delivered(taken))[0]; o.Superseded || o.Attempt.Number != 2 {
				t.Errorf("superseded: %t, as attempt %d", o.Superseded, o.Attempt.Number)
			}
			b.wantDelivery(event, sub, webhook.Delivered, "ok")
			later := lateOutcome(stale)
			later.Attempt.StartedAt = later.Attempt.StartedAt.Add(time.Millisecond)
			a.mustWake(later) // after it
			b.wantDelivery(event, sub, webhook.Delivered, "ok")
			b.wantNothing(sub)
		})
	}
}

func TestAnEarlierLifeDecidesNothingOfWhatALaterLifeHasClaimedAgain(t *testing.T) {
	a, b, first, second := mustSharing(t)
	sub := a.mustSubscribe("a")
	event := a.mustEvent("a")
	stale := a.mustClaim(sub, webhook.Pending)
	second.sees(2, 2)
	taken := b.mustClaim(sub, webhook.Pending)
	if err := b.Release(t.Context(), []webhook.Job{taken}); err != nil {
		t.Fatal(err)
	}
	first.sees(3, 2, 3)
	second.sees(2, 2, 3)
	again := a.mustClaim(sub, webhook.Pending)
	a.mustWake(failed(stale))
	b.mustWake(failed(taken)) // which it had given back
	next := time.Now().Add(-time.Second)
	if o := a.mustRecord(retried(again, next))[0]; o.Superseded {
		t.Error("the life that holds the delivery does not decide it")
	}
	b.wantDelivery(event, sub, webhook.Retrying, "server_error")
	retry := b.mustClaim(sub, webhook.Retrying)
	a.mustWake(failed(again))
	if o := b.mustRecord(delivered(retry))[0]; o.Superseded {
		t.Error("the node that holds the retry does not decide it")
	}
	b.wantDelivery(event, sub, webhook.Delivered, "ok")
}

func TestWhatANodeHeldInAnEarlierLifeItClaimsAnew(t *testing.T) {
	a, b, first, second := mustSharing(t)
	sub := a.mustSubscribe("a")
	event := a.mustEvent("a")
	stale := a.mustClaim(sub, webhook.Pending)
	first.sees(3, 2, 3)
	again := a.mustClaim(sub, webhook.Pending)
	if again.Epoch == stale.Epoch || again.Owner != 3 {
		t.Errorf("epoch %d, owner %d", again.Epoch, again.Owner)
	}
	second.sees(2, 1, 2) // it has not heard of the new life, whose number is higher than any that it knows
	b.wantNothing(sub)
	a.mustWake(failed(stale))
	a.mustRecord(delivered(again))
	b.wantDelivery(event, sub, webhook.Delivered, "ok")
}
