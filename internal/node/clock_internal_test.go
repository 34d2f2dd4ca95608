package node

import (
	"context"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestAClockThatLeapsAheadIsToldFromAnAnswerThatWasSlow(t *testing.T) {
	here, server := time.Now(), time.Now().Add(-time.Hour)
	c := clock{last: reading{began: here, ended: here.Add(time.Second), server: server}}
	at := func(began, ended, said time.Duration) reading {
		return reading{began: here.Add(began), ended: here.Add(ended), server: server.Add(said)}
	}
	for name, test := range map[string]struct {
		r    reading
		want bool
	}{
		"it goes as it should":              {at(10*time.Second, 11*time.Second, 10*time.Second), false},
		"both answers were slow":            {at(10*time.Second, 20*time.Second, 20*time.Second), false},
		"it is ahead by less than it may":   {at(10*time.Second, 10*time.Second, 10900*time.Millisecond), false},
		"it is ahead":                       {at(10*time.Second, 10*time.Second, 12*time.Second), true},
		"it was set back, which is no leap": {at(10*time.Second, 10*time.Second, -time.Hour), false},
	} {
		if got := c.leapt(test.r, time.Second); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if (&clock{}).leapt(at(0, 0, 0), time.Second) {
		t.Error("a first reading is a leap")
	}
}

func TestChangesAreReadFromBeforeTheClockWasSetBack(t *testing.T) {
	f := newFeed()
	noon := time.Now().Add(time.Hour)
	if got := f.since(noon); !got.Equal(noon.Add(-overlap)) {
		t.Errorf("first from %v", got)
	}
	f.read(nil, noon, time.Now().Add(-10*time.Second)) // ten seconds ago
	if got := f.since(noon.Add(10 * time.Second)); got.After(noon.Add(-overlap)) || got.Before(noon.Add(-overlap-time.Second)) {
		t.Errorf("then from %v, want %v", got, noon.Add(-overlap))
	}
	// Nine seconds ago it was set back by an hour: what changed since has times from
	// 11:00:01 on.
	back := noon.Add(-time.Hour + 10*time.Second)
	if got := f.since(back); got.After(back.Add(-9*time.Second - overlap)) {
		t.Errorf("after the clock was set back from %v", got)
	}
}

func TestNoHintKeepsAChangeFromBeingRead(t *testing.T) {
	f := newFeed()
	f.watchers["keys"] = []func(context.Context, id.ID){func(context.Context, id.ID) {}}
	f.read(nil, time.Now(), time.Now())
	of := subject{"keys", id.ID{1}}
	for _, hint := range []string{" 3", " 9223372036854775807"} {
		f.hear("keys " + of.tenant.String() + hint)
		if len(f.waiting) != 1 {
			t.Fatalf("%d wait", len(f.waiting))
		}
		clear(f.waiting)
	}
	f.hear("keys and something else")
	if len(f.waiting) != 0 {
		t.Errorf("%d wait", len(f.waiting))
	}
	for _, number := range []int64{3, 4, 1} { // a server that was put back counts anew
		f.read([]revision{{of, number}}, time.Now(), time.Now())
		if len(f.waiting) != 1 {
			t.Errorf("%d wait after %d", len(f.waiting), number)
		}
		clear(f.waiting)
		f.read([]revision{{of, number}}, time.Now(), time.Now())
		if len(f.waiting) != 0 {
			t.Errorf("%d wait after %d was read again", len(f.waiting), number)
		}
	}
}
