package id_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestAnIDThatFollowsAnotherSortsAfterItWhateverTheClockShows(t *testing.T) {
	now := start.Add(200 * time.Hour)
	for name, latest := range map[string]id.ID{
		"nothing":               {},
		"one made before":       id.New(now),
		"one of a clock ahead":  new(id.Sequence).New(now.Add(24 * time.Hour)),
		"the last of a moment":  {1, 2, 3, 4, 5, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"one that carries over": {0xf0, 2, 3, 4, 5, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
	} {
		next := id.After(now, latest)
		if bytes.Compare(next[:], latest[:]) <= 0 {
			t.Errorf("%s: %s does not sort after %s", name, next, latest)
		}
		if again := id.After(now, latest); again == next {
			t.Errorf("%s: two that follow it are one", name)
		}
		if ahead := next.Time().Sub(latest.Time()); latest.Time().After(now) && ahead > time.Millisecond {
			t.Errorf("%s: it is %s further ahead", name, ahead)
		}
	}
}

func TestAnIDOfAClockAheadDoesNotTakeTheOthersWithIt(t *testing.T) {
	now := start.Add(300 * time.Hour)
	ahead := new(id.Sequence).New(now.Add(24 * time.Hour))
	id.After(now, ahead)
	if next := id.New(now.Add(time.Second)); !next.Time().Equal(now.Add(time.Second)) {
		t.Errorf("the next one says %s", next.Time())
	}
}
