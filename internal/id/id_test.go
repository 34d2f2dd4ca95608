package id_test

import (
	"bytes"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestIDsMadeLaterSortLater(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ms := rapid.Int64Range(0, 1<<47).Draw(t, "ms")
		gap := rapid.Int64Range(1, 1<<40).Draw(t, "gap")
		a, b := id.New(time.UnixMilli(ms)), id.New(time.UnixMilli(ms+gap))
		if bytes.Compare(a[:], b[:]) >= 0 {
			t.Fatalf("%s does not sort before %s", a, b)
		}
	})
}

func TestAnIDSaysWhenItWasMade(t *testing.T) {
	for _, at := range []time.Time{start, start.Add(time.Hour), start.Add(3 * time.Hour)} {
		if got := id.New(at).Time(); !got.Equal(at) {
			t.Errorf("made at %s, and says %s", at, got)
		}
	}
}

// start is ahead of the clock, so that no other test's IDs are near.
var start = time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)

func TestIDsOfOneMillisecondSortInTheOrderInWhichTheyAreMade(t *testing.T) {
	last := id.ID{}
	for n := range 100_000 {
		next := id.New(start.Add(24 * time.Hour))
		if bytes.Compare(last[:], next[:]) >= 0 {
			t.Fatalf("the %d. is %s after %s", n, next, last)
		}
		last = next
	}
	if ahead := last.Time().Sub(start.Add(24 * time.Hour)); ahead > 10*time.Millisecond {
		t.Errorf("100,000 IDs are %s ahead of their time", ahead)
	}
}

func TestAClockThatStepsBackALittleDoesNotTurnTheOrder(t *testing.T) {
	last := id.New(start.Add(48 * time.Hour))
	for _, back := range []time.Duration{time.Millisecond, time.Second, time.Minute} {
		next := id.New(start.Add(48*time.Hour - back))
		if bytes.Compare(last[:], next[:]) >= 0 {
			t.Fatalf("%s back: %s after %s", back, next, last)
		}
		last = next
	}
	for range 1_000_000 { // far enough to reach into the next milliseconds
		next := id.New(start.Add(48*time.Hour - time.Minute))
		if bytes.Compare(last[:], next[:]) >= 0 {
			t.Fatalf("%s after %s", next, last)
		}
		last = next
	}
}

func TestIDsFollowAClockThatIsSetBackFar(t *testing.T) {
	id.New(start.Add(72 * time.Hour))
	set := start.Add(70 * time.Hour)
	if got := id.New(set).Time(); !got.Equal(set) {
		t.Errorf("made at %s, and says %s", set, got)
	}
}

func TestIDsThatAreMadeTogetherDifferAndEachOneSeesItsOwnInOrder(t *testing.T) {
	const makers, each = 8, 5000
	made := make([][]id.ID, makers)
	var wg sync.WaitGroup
	for i := range makers {
		wg.Go(func() {
			for range each {
				made[i] = append(made[i], id.New(start.Add(96*time.Hour)))
			}
		})
	}
	wg.Wait()
	seen := make(map[id.ID]bool, makers*each)
	for _, ids := range made {
		if !slices.IsSortedFunc(ids, func(a, b id.ID) int { return bytes.Compare(a[:], b[:]) }) {
			t.Error("one maker's IDs are not in the order in which it made them")
		}
		for _, made := range ids {
			seen[made] = true
		}
	}
	if len(seen) != makers*each {
		t.Errorf("%d different ones of %d", len(seen), makers*each)
	}
}

func BenchmarkNew(b *testing.B) {
	now := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id.New(now)
		}
	})
}

func TestFirstBoundsItsMillisecond(t *testing.T) {
	now := time.Now()
	first, some := id.First(now), id.New(now)
	if bytes.Compare(first[:], some[:]) > 0 {
		t.Fatalf("%s sorts after %s", first, some)
	}
}

func TestParseReadsWhatFormatWrote(t *testing.T) {
	a, b := id.New(time.Now()), id.New(time.Now())
	if got, err := id.Event.Parse(id.Event.Format(a)); err != nil || got != a {
		t.Fatalf("got %s, %v; want %s", got, err, a)
	}
	gotA, gotB, err := id.Delivery.ParsePair(id.Delivery.Format(a, b))
	if err != nil || gotA != a || gotB != b {
		t.Fatalf("got %s %s, %v", gotA, gotB, err)
	}
}

func TestParseRefusesEveryOtherSpelling(t *testing.T) {
	good := id.Event.Format(id.New(time.Now()))
	for _, s := range []string{
		"", "evt_", good + "0", good[:len(good)-1], strings.ToUpper(good), "sub_" + good[4:],
		good[4:], " " + good, "evt_" + strings.Repeat("g", 24), "evt-" + good[4:],
	} {
		if _, err := id.Event.Parse(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestScanRefusesWhatIsNotTwelveBytes(t *testing.T) {
	var got id.ID
	for _, src := range []any{nil, "text", []byte("short"), int64(4)} {
		if err := got.Scan(src); err == nil {
			t.Errorf("%v was accepted", src)
		}
	}
}
