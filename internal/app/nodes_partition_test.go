package app_test

import (
	"slices"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/pgcluster"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// takeover is how long it may take until another node sends what one held that is
// heard of no more.
const takeover = shortLease + time.Second

// mustParted returns two servers, of which the second one has a network between it
// and the database.
func (f *fleet) mustParted() (*member, *member, *network) {
	f.t.Helper()
	n := mustNetwork(f.t, f.url)
	return f.mustStart("a"), f.mustStartAt("b", n.url), n
}

// held returns which events the newest life of a server holds.
func (f *fleet) held(owner int64) []string {
	f.t.Helper()
	rows, err := f.db.QueryContext(f.t.Context(), `SELECT 'evt_' || encode(event_id, 'hex') FROM delivery WHERE owner = $1 AND status <= 1`, owner)
	if err != nil {
		f.t.Fatal(err)
	}
	defer rows.Close()
	var events []string
	for rows.Next() {
		var event string
		if err := rows.Scan(&event); err != nil {
			f.t.Fatal(err)
		}
		events = append(events, event)
	}
	if err := rows.Err(); err != nil {
		f.t.Fatal(err)
	}
	return events
}

// newest returns the highest number of a life that was given.
func (f *fleet) newest() int64 {
	f.t.Helper()
	var number int64
	f.mustScan(`SELECT max(id) FROM node`, &number)
	return number
}

func TestANodeThatCannotReachTheDatabaseStartsNothingAndTheOtherTakesOver(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]func(*network){"stalled": (*network).stall, "cut off": (*network).cut} {
		t.Run(name, func(t *testing.T) {
			onHints(t, func(f *fleet) {
				a, b, between := f.mustParted()
				r := mustReceive(f.t)
				r.slow(300 * time.Millisecond)
				a.mustSubscribe(r, "invoice.paid", `{"max_in_flight":8}`)
				events := alternately(160, "invoice.paid", a, b)
				eventually(f.t, "both send", func() bool { return r.sawBoth(time.Time{}) })
				life := f.newest()
				part(between)
				parted := time.Now()
				var held []string
				eventually(f.t, "what is under way is on record", func() bool {
					held = f.held(life)
					return time.Since(parted) > 200*time.Millisecond
				})
				if len(held) < 20 {
					f.t.Fatalf("the node holds %d deliveries only", len(held))
				}
				taken := func() bool {
					left := f.held(life)
					return !slices.ContainsFunc(held, func(event string) bool { return slices.Contains(left, event) })
				}
				eventually(f.t, "the other node has taken over", taken)
				if took := time.Since(parted); took > takeover {
					f.t.Errorf("the other node took over after %v", took)
				}
				f.wantAll(r, events)
				if late := r.since("b", parted.Add(shortLease)); len(late) > 0 {
					f.t.Errorf("the node has begun %d attempts when its lease had run out, the last one %v after it was parted", len(late), late[len(late)-1].began.Sub(parted))
				}
				between.mend()
				eventually(f.t, "the node has a new life", func() bool { return f.newest() > life && b.sees(2) })
				mended := time.Now()
				eventually(f.t, "both send again", func() bool {
					events = append(events, alternately(2, "invoice.paid", a, b)...)
					return r.sawBoth(mended)
				})
				f.wantAll(r, events)
			})
		})
	}
}

func TestNothingIsLostWhereTheNetworkToTheDatabaseIsBad(t *testing.T) {
	t.Parallel()
	onHints(t, func(f *fleet) {
		a, b, between := f.mustParted()
		r := mustReceive(f.t)
		a.mustSubscribe(r, "invoice.paid", `{}`)
		l := mustLoad(5*time.Millisecond, a, b)
		slow := func() { between.slow(50 * time.Millisecond) }
		for _, trouble := range []func(){
			between.reset, between.reset, slow, between.reset, between.mend, between.stall, between.reset, between.mend,
			between.reset, slow, between.cut, between.mend, between.stall, between.mend, between.reset,
		} {
			before, since := l.accepted.Load(), time.Now()
			eventually(f.t, "events are accepted", func() bool {
				return l.accepted.Load() >= before+20 && time.Since(since) > 200*time.Millisecond
			})
			trouble()
		}
		accepted := l.stop()
		f.wantAll(r, accepted)
		mended := time.Now()
		eventually(f.t, "both send again", func() bool {
			accepted = append(accepted, alternately(2, "invoice.paid", a, b)...)
			return r.sawBoth(mended)
		})
		f.wantAll(r, accepted)
	})
}

func TestTwoNodesGoOnAfterTheDatabaseWasRestarted(t *testing.T) {
	t.Parallel()
	cluster := testkit.MustCluster(t)
	f := mustFleetAt(t, cluster.URL("postgres"))
	a, b := f.mustStart("a"), f.mustStart("b")
	r := mustReceive(t)
	a.mustSubscribe(r, "invoice.paid", `{}`)
	l := mustLoad(5*time.Millisecond, a, b)
	for range 3 {
		before := l.accepted.Load()
		eventually(t, "events are accepted", func() bool { return l.accepted.Load() >= before+100 })
		if err := cluster.Restart(t.Context(), pgcluster.Immediate); err != nil {
			t.Fatal(err)
		}
	}
	before := l.accepted.Load()
	eventually(t, "events are accepted", func() bool { return l.accepted.Load() >= before+100 })
	accepted := l.stop()
	f.wantAll(r, accepted)
	restarted := time.Now()
	eventually(t, "both send again", func() bool {
		accepted = append(accepted, alternately(2, "invoice.paid", a, b)...)
		return r.sawBoth(restarted)
	})
	f.wantAll(r, accepted)
}
