package dispatch

import (
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func TestTheLimitDoublesUntilTheFirstSetbackAndThenGrowsByOne(t *testing.T) {
	l := newLimit(0)
	round := func() {
		for range l.allowed() {
			l.succeeded()
		}
	}
	for _, want := range []int{8, 16, 32, 64, 128, 128} {
		if l.allowed() != want {
			t.Fatalf("%d, want %d", l.allowed(), want)
		}
		round()
	}
	l.setBack(epoch, epoch.Add(time.Second))
	if l.allowed() != 64 {
		t.Fatalf("a setback left %d", l.allowed())
	}
	round()
	if l.allowed() != 65 {
		t.Fatalf("a round after a setback gave %d", l.allowed())
	}
}

func TestAttemptsThatWereUnderWayTogetherHalveTheLimitOnce(t *testing.T) {
	l := newLimit(0)
	for range 8 {
		l.setBack(epoch, epoch.Add(time.Second))
	}
	if l.allowed() != 4 {
		t.Fatalf("eight setbacks at once left %d", l.allowed())
	}
	for i := range 10 {
		l.setBack(epoch.Add(time.Duration(2+2*i)*time.Second), epoch.Add(time.Duration(3+2*i)*time.Second))
	}
	if l.allowed() != 1 {
		t.Fatalf("the limit fell to %d", l.allowed())
	}
}

func TestAFixedLimitStays(t *testing.T) {
	l := newLimit(5)
	l.setBack(epoch, epoch.Add(time.Second))
	for range 100 {
		l.succeeded()
	}
	if l.allowed() != 5 {
		t.Fatalf("it became %d", l.allowed())
	}
}

func TestDecide(t *testing.T) {
	schedule := wire.Schedule{Delays: []time.Duration{time.Second, time.Minute}}
	for name, c := range map[string]struct {
		step   int
		a      webhook.Attempt
		paused time.Duration
		status webhook.Status
		after  time.Duration
	}{
		"a success ends it":                         {0, webhook.Attempt{Verdict: wire.Delivered}, 0, webhook.Delivered, 0},
		"a failure is tried again on schedule":      {0, webhook.Attempt{Verdict: wire.Retry}, 0, webhook.Retrying, time.Second},
		"later ones wait longer":                    {1, webhook.Attempt{Verdict: wire.Busy}, 0, webhook.Retrying, time.Minute},
		"the last one fails it":                     {2, webhook.Attempt{Verdict: wire.Refused}, 0, webhook.Failed, 0},
		"gone cancels it":                           {0, webhook.Attempt{Verdict: wire.Gone}, 0, webhook.Cancelled, 0},
		"a throttled one waits as long as asked":    {0, webhook.Attempt{Verdict: wire.Throttled}, time.Hour, webhook.Retrying, time.Hour},
		"but not less long than the schedule says":  {1, webhook.Attempt{Verdict: wire.Throttled}, time.Second, webhook.Retrying, time.Minute},
		"and is failed when the schedule is at end": {2, webhook.Attempt{Verdict: wire.Throttled}, time.Hour, webhook.Failed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			status, next := decide(webhook.Job{Step: c.step}, c.a, schedule, epoch.Add(c.paused), epoch, 0.5)
			if status != c.status || (c.after == 0) != next.IsZero() || (c.after != 0 && next.Sub(epoch) != c.after) {
				t.Fatalf("%v at %s", status, next)
			}
		})
	}
}

func TestALineGivesBackInOrderAndLetsGo(t *testing.T) {
	var l line[webhook.Job]
	next, want := 0, 0
	for round := range 500 {
		for range round % 7 {
			l.push(webhook.Job{Attempts: next})
			next++
		}
		for range min(l.len(), round%5) {
			if got := l.pop().Attempts; got != want {
				t.Fatalf("%d instead of %d", got, want)
			}
			want++
		}
	}
	if cap(l.items) > 4*max(l.len(), keptCapacity) {
		t.Errorf("%d places for %d jobs", cap(l.items), l.len())
	}
	for l.len() > 0 {
		l.pop()
	}
	if cap(l.items) > keptCapacity {
		t.Errorf("%d places for none", cap(l.items))
	}
}
