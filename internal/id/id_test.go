package id_test

import (
	"bytes"
	"strings"
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
		if got := a.Time().UnixMilli(); got != ms {
			t.Fatalf("time %d, want %d", got, ms)
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
