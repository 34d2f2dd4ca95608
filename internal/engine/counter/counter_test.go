package counter_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/counter"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var start = time.Date(2031, 3, 1, 12, 0, 0, 0, time.UTC)

func newKey(w counter.Window) counter.Key {
	return counter.Key{Tenant: id.New(start), Scope: "rule", Window: w, At: start}
}

// after returns the key at a later time.
func after(k counter.Key, d time.Duration) counter.Key {
	k.At = k.At.Add(d)
	return k
}

// taking is Take or TakeUpTo.
type taking func(tx *db.Tx, k counter.Key, n, limit int64) (counter.Taken, error)

// fataler is a test, or a run of rapid.
type fataler interface {
	Helper()
	Fatal(args ...any)
}

// counters is a database with counters.
type counters struct {
	t testing.TB
	*db.DB
}

func open(t testing.TB) counters { return counters{t, testkit.OpenDB(t, db.Options{})} }

func (d counters) do(take taking, k counter.Key, n, limit int64) (counter.Taken, error) {
	var taken counter.Taken
	err := d.Write(d.t.Context(), func(tx *db.Tx) error {
		var err error
		taken, err = take(tx, k, n, limit)
		return err
	})
	return taken, err
}

func (d counters) must(t fataler, take taking, k counter.Key, n, limit int64) counter.Taken {
	t.Helper()
	taken, err := d.do(take, k, n, limit)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func (d counters) giveBack(k counter.Key, n int64) error {
	return d.Write(d.t.Context(), func(tx *db.Tx) error { return counter.GiveBack(tx, k, n) })
}

func (d counters) used(t fataler, k counter.Key) int64 {
	t.Helper()
	used := int64(0)
	err := d.Read(d.t.Context(), func(q db.Queryer) error {
		var err error
		used, err = counter.Used(q, k)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return used
}

// windows are one of each.
func windows() map[string]counter.Window {
	return map[string]counter.Window{
		"ever": counter.Ever, "day": counter.Day(time.UTC), "week": counter.Week(time.UTC), "month": counter.Month(time.UTC),
		"year": counter.Year(time.UTC), "rolling": counter.Rolling(time.Hour),
	}
}

func TestALimitIsTakenWholeOrNotAtAll(t *testing.T) {
	d := open(t)
	for name, w := range windows() {
		k := newKey(w)
		for i, c := range []struct {
			n    int64
			want counter.Taken
		}{
			{11, counter.Taken{}},
			{4, counter.Taken{Granted: 4, Used: 4}},
			{7, counter.Taken{Used: 4}},
			{6, counter.Taken{Granted: 6, Used: 10, ReachedNow: true}},
			{1, counter.Taken{Used: 10}},
		} {
			if got := d.must(t, counter.Take, k, c.n, 10); got != c.want {
				t.Errorf("%s, take %d: %+v, want %+v", name, i, got, c.want)
			}
		}
	}
}

func TestALimitIsTakenAsFarAsItGoes(t *testing.T) {
	d := open(t)
	for name, w := range windows() {
		k := newKey(w)
		for i, want := range []counter.Taken{{Granted: 4, Used: 4}, {Granted: 4, Used: 8}, {Granted: 2, Used: 10, ReachedNow: true}, {Used: 10}} {
			if got := d.must(t, counter.TakeUpTo, k, 4, 10); got != want {
				t.Errorf("%s, take %d: %+v, want %+v", name, i, got, want)
			}
		}
		if got := d.must(t, counter.TakeUpTo, newKey(w), 12, 10); got != (counter.Taken{Granted: 10, Used: 10, ReachedNow: true}) {
			t.Errorf("%s, all at once: %+v", name, got)
		}
	}
}

func TestThatALimitIsReachedIsSaidOnce(t *testing.T) {
	d := open(t)
	for name, w := range windows() {
		k := newKey(w)
		if !d.must(t, counter.Take, k, 3, 3).ReachedNow {
			t.Errorf("%s: it is not said", name)
		}
		for range 2 {
			if err := d.giveBack(k, 2); err != nil {
				t.Fatal(err)
			}
			if got := d.must(t, counter.Take, k, 2, 3); got != (counter.Taken{Granted: 2, Used: 3}) {
				t.Errorf("%s, taken anew: %+v", name, got)
			}
		}
		if got := d.must(t, counter.TakeUpTo, k, 9, 5); got != (counter.Taken{Granted: 2, Used: 5}) {
			t.Errorf("%s, with a higher limit: %+v", name, got)
		}
	}
}

func TestANewWindowBeginsAtZero(t *testing.T) {
	d := open(t)
	for name, w := range windows() {
		if name == "ever" {
			continue
		}
		k := newKey(w)
		later := after(k, 366*24*time.Hour)
		for _, at := range []counter.Key{k, later} {
			if got := d.must(t, counter.Take, at, 2, 2); got != (counter.Taken{Granted: 2, Used: 2, ReachedNow: true}) {
				t.Errorf("%s at %v: %+v", name, at.At, got)
			}
		}
		if name == "rolling" {
			continue
		}
		if err := d.giveBack(k, 1); err != nil {
			t.Fatal(err)
		}
		if before, now := d.used(t, k), d.used(t, later); before != 1 || now != 2 {
			t.Errorf("%s: %d and %d are used after something was given back to the first", name, before, now)
		}
	}
}

func TestWindowsScopesAndTenantsAreCountedApart(t *testing.T) {
	d := open(t)
	k := newKey(counter.Ever)
	other, stranger := k, k
	other.Scope, stranger.Tenant = "other", id.New(start)
	keys := []counter.Key{other, stranger}
	for _, w := range windows() {
		k.Window = w
		keys = append(keys, k)
	}
	k.Window = counter.Rolling(2 * time.Hour)
	keys = append(keys, k)
	for _, k := range keys {
		k.At = time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC) // of a month and a year too
		if got := d.must(t, counter.Take, k, 1, 1); got.Granted != 1 {
			t.Errorf("%+v: %+v", k, got)
		}
	}
}

func TestNoMoreIsGivenBackThanWasTaken(t *testing.T) {
	d := open(t)
	k := newKey(counter.Day(time.UTC))
	if err := d.giveBack(k, 1); !problem.Conflict.Has(err) {
		t.Errorf("what was never taken was given back: %v", err)
	}
	d.must(t, counter.Take, k, 2, 9)
	if err := d.giveBack(k, 3); !problem.Conflict.Has(err) {
		t.Errorf("more was given back: %v", err)
	}
	if used := d.used(t, k); used != 2 {
		t.Errorf("%d are used", used)
	}
}

func TestCalendarWindowsBeginAtMidnightOfTheirZone(t *testing.T) {
	d := open(t)
	zone := time.FixedZone("UTC+5", 5*60*60)
	havana, err := time.LoadLocation("America/Havana") // its clocks go forward at midnight, and back to it
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		window       counter.Window
		last, first  string // of one window, and of the next
		firstOfTheir string // the first moment of the one that has the last
	}{
		{counter.Day(time.UTC), "2031-03-01T23:59:59.999999Z", "2031-03-02T00:00:00Z", "2031-03-01T00:00:00Z"},
		{counter.Day(zone), "2031-03-01T18:59:59Z", "2031-03-01T19:00:00Z", "2031-02-28T19:00:00Z"},
		{counter.Day(havana), "2031-03-08T23:59:59-05:00", "2031-03-09T01:00:00-04:00", "2031-03-08T00:00:00-05:00"},
		{counter.Day(havana), "2031-11-02T23:59:59-05:00", "2031-11-03T00:00:00-05:00", "2031-11-02T00:00:00-04:00"},
		{counter.Week(time.UTC), "2031-03-02T23:59:59Z", "2031-03-03T00:00:00Z", "2031-02-24T00:00:00Z"},
		{counter.Week(zone), "2031-03-02T18:59:59Z", "2031-03-02T19:00:00Z", "2031-02-23T19:00:00Z"},
		{counter.Week(time.UTC), "2031-01-05T23:59:59Z", "2031-01-06T00:00:00Z", "2030-12-30T00:00:00Z"},
		{counter.Month(zone), "2031-02-28T18:59:59Z", "2031-02-28T19:00:00Z", "2031-01-31T19:00:00Z"},
		{counter.Year(zone), "2030-12-31T18:59:59Z", "2030-12-31T19:00:00Z", "2029-12-31T19:00:00Z"},
	} {
		k := newKey(c.window)
		for i, step := range []struct {
			at      string
			granted int64
		}{{c.firstOfTheir, 1}, {c.last, 0}, {c.first, 1}} {
			if k.At, err = time.Parse(time.RFC3339, step.at); err != nil {
				t.Fatal(err)
			}
			if got := d.must(t, counter.Take, k, 1, 1); got.Granted != step.granted {
				t.Errorf("%+v, step %d at %s: %+v", c.window, i, step.at, got)
			}
		}
	}
}

func TestARollingWindowHasWhatWasTakenWithinItsLength(t *testing.T) {
	d := open(t)
	rapid.Check(t, func(t *rapid.T) {
		const limit, length = 10, 6 * time.Minute
		k := newKey(counter.Rolling(length))
		takes := make(map[time.Time]int64)
		within := func() int64 {
			sum := int64(0)
			for at, n := range takes {
				if at.After(k.At.Add(-length)) {
					sum += n
				}
			}
			return sum
		}
		t.Repeat(map[string]func(*rapid.T){
			"take": func(t *rapid.T) {
				n, before := rapid.Int64Range(1, 6).Draw(t, "n"), within()
				want := counter.Taken{Used: before}
				if before+n <= limit {
					want.Granted, want.Used = n, before+n
					takes[k.At] += n
				}
				got := d.must(t, counter.Take, k, n, limit)
				got.ReachedNow = false
				if got != want {
					t.Fatalf("taken: %+v, want %+v", got, want)
				}
			},
			"give back": func(t *rapid.T) {
				var at []time.Time
				for ago := length - time.Minute; ago >= 0; ago -= time.Minute {
					if takes[k.At.Add(-ago)] > 0 {
						at = append(at, k.At.Add(-ago))
					}
				}
				if len(at) == 0 {
					t.Skip("nothing is taken")
				}
				of := k
				of.At = rapid.SampledFrom(at).Draw(t, "at")
				n := rapid.Int64Range(1, takes[of.At]).Draw(t, "n")
				if err := d.giveBack(of, n); err != nil {
					t.Fatal(err)
				}
				takes[of.At] -= n
			},
			"wait": func(t *rapid.T) { k = after(k, time.Duration(rapid.IntRange(1, 4).Draw(t, "minutes"))*time.Minute) },
			"": func(t *rapid.T) {
				if got, want := d.used(t, k), within(); got != want {
					t.Fatalf("%d are used, want %d", got, want)
				}
			},
		})
	})
}

func TestARollingWindowIsReachedAnewOnceTimeHasEmptiedIt(t *testing.T) {
	d := open(t)
	k := newKey(counter.Rolling(time.Hour))
	d.must(t, counter.Take, k, 1, 2)
	d.must(t, counter.Take, after(k, time.Minute), 1, 2)
	if got := d.must(t, counter.Take, after(k, time.Hour-time.Microsecond), 1, 2); got.Granted != 0 {
		t.Errorf("within the hour: %+v", got)
	}
	if got := d.must(t, counter.Take, after(k, time.Hour), 1, 2); got != (counter.Taken{Granted: 1, Used: 2, ReachedNow: true}) {
		t.Errorf("after the hour: %+v", got)
	}
	if err := d.giveBack(k, 1); err != nil {
		t.Errorf("what has left the window can't be given back: %v", err)
	}
	if used := d.used(t, after(k, time.Hour)); used != 2 {
		t.Errorf("%d are used", used)
	}
}

func TestAThousandAtOnceGetNoMoreThanTheLimit(t *testing.T) {
	const limit = 100
	d := open(t)
	lane := d.Lane()
	ways := map[string]func(k counter.Key, fn func(tx *db.Tx) error) error{
		"in a lane": func(_ counter.Key, fn func(tx *db.Tx) error) error { return lane.Write(t.Context(), fn) },
		"by a key": func(k counter.Key, fn func(tx *db.Tx) error) error {
			return d.WriteKey(t.Context(), k.Scope, fn)
		},
	}
	for name, write := range ways {
		for _, w := range []counter.Window{counter.Ever, counter.Rolling(time.Hour)} {
			for _, n := range []int64{1, 3} {
				k := newKey(w)
				var granted, reached atomic.Int64
				var running sync.WaitGroup
				for range 1000 {
					running.Go(func() {
						var taken counter.Taken
						err := write(k, func(tx *db.Tx) error {
							var err error
							taken, err = counter.TakeUpTo(tx, k, n, limit)
							return err
						})
						if err != nil {
							t.Error(err)
							return
						}
						granted.Add(taken.Granted)
						if taken.ReachedNow {
							reached.Add(1)
						}
					})
				}
				running.Wait()
				if granted.Load() != limit || reached.Load() != 1 || d.used(t, k) != limit {
					t.Errorf("%s, %d each: %d granted, reached %d times, %d used", name, n, granted.Load(), reached.Load(), d.used(t, k))
				}
			}
		}
	}
}

func TestWhatIsRolledBackWasNeverTaken(t *testing.T) {
	d := open(t)
	k := newKey(counter.Ever)
	refused := problem.Conflict.New("changed my mind")
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		if _, err := counter.Take(tx, k, 3, 3); err != nil {
			return err
		}
		return refused
	})
	if !problem.Conflict.Has(err) {
		t.Fatal(err)
	}
	if got := d.must(t, counter.Take, k, 3, 3); !got.ReachedNow {
		t.Errorf("%+v", got)
	}
}

func TestBadInputIsRefused(t *testing.T) {
	d := open(t)
	good := newKey(counter.Ever)
	with := func(change func(k *counter.Key)) counter.Key {
		k := good
		change(&k)
		return k
	}
	for name, c := range map[string]struct {
		k        counter.Key
		n, limit int64
	}{
		"nothing taken":      {good, 0, 1},
		"less than nothing":  {good, -1, 1},
		"a limit below zero": {good, 1, -1},
		"no tenant":          {with(func(k *counter.Key) { k.Tenant = id.ID{} }), 1, 1},
		"no scope":           {with(func(k *counter.Key) { k.Scope = "" }), 1, 1},
		"a long scope":       {with(func(k *counter.Key) { k.Scope = string(make([]byte, 256)) }), 1, 1},
		"no time":            {with(func(k *counter.Key) { k.At = time.Time{} }), 1, 1},
		"no time zone":       {with(func(k *counter.Key) { k.Window = counter.Day(nil) }), 1, 1},
		"no length":          {with(func(k *counter.Key) { k.Window = counter.Rolling(0) }), 1, 1},
	} {
		for _, take := range []taking{counter.Take, counter.TakeUpTo} {
			if got, err := d.do(take, c.k, c.n, c.limit); !problem.Invalid.Has(err) {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		}
	}
	if got := d.must(t, counter.Take, good, 1<<62, 1<<62); got.Granted != 1<<62 {
		t.Errorf("much: %+v", got)
	}
	if got := d.must(t, counter.Take, good, 1<<62, 1<<63-1); got.Granted != 0 {
		t.Errorf("more than fits: %+v", got)
	}
}

func TestARollingMonthIsAsLongAsTheCalendarSays(t *testing.T) {
	d := open(t)
	month := counter.RollingBy(31*24*time.Hour, func(until time.Time) time.Time { return until.AddDate(0, -1, 0) })
	k := newKey(month)
	for _, step := range []struct {
		at      time.Time
		granted int64
	}{
		{time.Date(2031, 2, 10, 12, 0, 0, 0, time.UTC), 1},
		{time.Date(2031, 3, 10, 11, 59, 0, 0, time.UTC), 0},
		{time.Date(2031, 3, 10, 12, 0, 0, 0, time.UTC), 1},
		{time.Date(2031, 4, 10, 11, 59, 0, 0, time.UTC), 0},
		{time.Date(2031, 4, 10, 12, 0, 0, 0, time.UTC), 1},
	} {
		k.At = step.at
		if got := d.must(t, counter.Take, k, 1, 1); got.Granted != step.granted {
			t.Errorf("at %s: %+v", step.at, got)
		}
	}
	k.At = time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)
	asBefore := k
	asBefore.Window = counter.Rolling(31 * 24 * time.Hour)
	if one, two := d.used(t, k), d.used(t, asBefore); one != 1 || two != 1 {
		t.Errorf("what was taken is not known any more: %d, %d", one, two)
	}
}
