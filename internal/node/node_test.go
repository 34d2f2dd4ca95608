package node_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestAProcessThatHasItsDatabaseToItselfIsAlone(t *testing.T) {
	testkit.NeedsSQLite(t, "a server's database is nobody's own")
	d := testkit.OpenDB(t, db.Options{})
	n, err := node.Join(t.Context(), node.Options{DB: d})
	if err != nil {
		t.Fatal(err)
	}
	never := func() { t.Error("somebody was told of something") }
	n.Watch("topic", func(context.Context, id.ID) { never() })
	n.OnHint("topic", func(string) { never() })
	n.OnGap(never)
	n.Hint("topic", "")
	var told []node.Membership
	n.OnMembership(func(m node.Membership) { told = append(told, m) })
	rows := 0
	if err := d.Write(t.Context(), func(tx *db.Tx) error {
		if err := n.Changed(tx, "topic", id.ID{}); err != nil {
			return err
		}
		return tx.QueryRow(`SELECT (SELECT count(*) FROM node) + (SELECT count(*) FROM revision)`).Scan(&rows)
	}); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(n.Stop(t.Context()), n.Stop(t.Context())); err != nil {
		t.Error(err)
	}
	m := n.Membership()
	if !n.Alive() || m.Self != 0 || !slices.Equal(m.Members, []int64{0}) || len(told) != 1 || rows != 0 {
		t.Errorf("alive %v, %+v, told %v, %d rows", n.Alive(), m, told, rows)
	}
}

func TestNodesSeeEachOther(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b, c := w.mustJoin(), w.mustJoin(), w.mustJoin()
		for i, n := range []*node.Node{a, b, c} {
			w.within(w.beat(), fmt.Sprintf("node %d sees all", i+1), sees(n, 1, 2, 3))
			if m := n.Membership(); m.Self != int64(i+1) || m.Latest != 3 || !n.Alive() {
				w.t.Errorf("node %d is alive: %v, and sees %+v", i+1, n.Alive(), m)
			}
		}
	})
}

func TestANodeThatLeavesIsMissedAtOnceAndItsNumberIsNotGivenAgain(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b := w.mustJoin(), w.mustStart(node.Options{})
		w.within(w.beat(), "they see each other", sees(a, 1, 2))
		for range 2 {
			if err := b.Stop(w.t.Context()); err != nil {
				w.t.Fatal(err)
			}
		}
		if b.Alive() {
			w.t.Error("it is alive after it has stopped")
		}
		w.within(w.beat(), "the other one misses it", sees(a, 1))
		if c := w.mustJoin(); c.Membership().Self != 3 {
			w.t.Errorf("the next one is %+v", c.Membership())
		}
	})
}

func TestANodeThatIsKilledIsBuriedWithinTheLeaseAndASecond(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b, c := w.mustJoin(), w.mustStart(node.Options{}), w.mustJoin()
		var gaps atomic.Int64
		w.within(w.beat(), "they see each other", func() bool {
			return sees(a, 1, 2, 3)() && sees(b, 1, 2, 3)() && sees(c, 1, 2, 3)()
		})
		b.Kill()
		gone := func(n *node.Node) <-chan struct{} { // tells that whoever looks then sees that it has gone
			looked := make(chan struct{}, 100)
			n.OnGap(func() {
				if sees(n, 1, 3)() {
					gaps.Add(1)
					looked <- struct{}{}
				}
			})
			return looked
		}
		onA, onC := gone(a), gone(c)
		if took := w.within(w.lease+time.Second, "it is buried", sees(a, 1, 3)); took < w.lease/2 {
			w.t.Errorf("it was buried after %v, while its lease lasted", took)
		}
		w.within(w.beat(), "the other one knows it too", sees(c, 1, 3))
		<-onA
		<-onC
		if !a.Alive() || !c.Alive() {
			w.t.Error("they are not alive")
		}
	})
}

func TestANodeThatWasBuriedBeginsANewLifeAndTellsBeforeItIsAlive(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		n := w.mustJoin()
		var told heard[int64]
		var alive heard[bool]
		var changed heard[id.ID]
		gap := make(chan struct{}, 100)
		n.OnMembership(func(m node.Membership) {
			told.add(m.Self)
			alive.add(n.Alive())
		})
		n.Watch("topic", func(_ context.Context, tenant id.ID) { changed.add(tenant) })
		w.mustExec(`UPDATE node SET left_at = $1 WHERE id = 1`, db.Micro(w.now()))
		w.within(w.beat(), "it has a new life", func() bool { return n.Membership().Self == 2 && n.Alive() })
		n.OnGap(func() { gap <- struct{}{} })
		w.within(w.beat(), "it has forgotten what it held", func() bool { return changed.has(id.ID{}) })
		if !slices.Equal(told.all, []int64{1, 2}) || !slices.Equal(alive.all, []bool{true, false}) || !sees(n, 2)() {
			w.t.Errorf("told of %v, alive then: %v; it sees %+v", told.all, alive.all, n.Membership())
		}
		<-gap
	})
}

func TestWhoRegistersIsToldHowItStandsAndOfEveryChangeAndNeverTwiceAtOnce(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b := w.mustJoin(), w.mustStart(node.Options{})
		w.within(w.beat(), "they see each other", sees(a, 1, 2))
		var running atomic.Int64
		var told heard[int]
		a.OnMembership(func(m node.Membership) {
			if running.Add(1) != 1 {
				w.t.Error("it is told twice at once")
			}
			told.add(len(m.Members))
			running.Add(-1)
		})
		if told.count() == 0 {
			w.t.Error("it was not told at once")
		}
		w.mustJoin()
		w.within(w.beat(), "it is told of the third", func() bool { return told.has(3) })
		if err := b.Stop(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
		w.within(w.beat(), "it is told that one has left", func() bool { return told.last() == 2 })
	})
}

// On SQLite a transaction that does not end keeps all others out. The database's
// clock goes on.
func TestAnOutageLongerThanTheLeaseStopsANodeAndEndsNoLife(t *testing.T) {
	testkit.NeedsSQLite(t, "outages of a server are proved with a proxy")
	onEach(t, func(_ *testing.T, w *world) {
		a, b := w.mustJoin(), w.mustJoin()
		w.within(w.beat(), "they see each other", sees(a, 1, 2))
		outage := make(chan struct{})
		over := make(chan error, 1)
		began := time.Now()
		go func() {
			over <- w.db.Write(context.Background(), func(*db.Tx) error { <-outage; return nil })
		}()
		time.Sleep(w.lease * 3 / 4)
		if !a.Alive() || !b.Alive() {
			w.t.Error("they stopped before the lease had run out")
		}
		time.Sleep(w.lease / 4)
		if a.Alive() || b.Alive() {
			w.t.Errorf("they are alive %v after the last renewal", time.Since(began))
		}
		time.Sleep(3 * w.lease)
		gap := make(chan struct{}, 100)
		a.OnGap(func() { gap <- struct{}{} })
		close(outage)
		if err := <-over; err != nil {
			w.t.Fatal(err)
		}
		w.within(w.lease/10+w.slack(), "they go on", func() bool { return a.Alive() && b.Alive() })
		<-gap
		time.Sleep(2 * w.lease)
		if !sees(a, 1, 2)() || !sees(b, 1, 2)() || a.Membership().Latest != 2 {
			w.t.Errorf("they see %+v and %+v", a.Membership(), b.Membership())
		}
	})
}

func TestALeaseCountsFromWhenItsRenewalBegan(t *testing.T) {
	testkit.NeedsSQLite(t, "it holds up the database")
	onEach(t, func(_ *testing.T, w *world) {
		registry := prometheus.NewRegistry()
		w.mustJoinWith(node.Options{Metrics: registry})
		slow := make(chan struct{})
		go func() { _ = w.db.Write(context.Background(), func(*db.Tx) error { <-slow; return nil }) }()
		time.Sleep(w.lease/5 + w.lease*2/5) // a renewal has been waiting for two fifths of a lease
		close(slow)
		time.Sleep(time.Millisecond)
		left := mustGauge(w.t, registry, "grapevine_node_lease_seconds")
		if most := (w.lease*3/5 + w.lease/20).Seconds(); left > most || left < most/2 {
			w.t.Errorf("%v s of the lease are left, want %v at most", left, most)
		}
		if nodes := mustGauge(w.t, registry, "grapevine_nodes"); nodes != 1 {
			w.t.Errorf("%v nodes", nodes)
		}
	})
}

func TestADeadNodeIsBuriedAlsoAfterTheDatabasesClockWasSetBack(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b := w.mustJoin(), w.mustStart(node.Options{})
		w.within(w.beat(), "they see each other", sees(a, 1, 2))
		b.Kill()
		w.mustExec(`UPDATE node SET expires_at = $1 WHERE id = 2`, db.Micro(w.now().Add(time.Hour)))
		w.within(w.beat()+w.lease+time.Second, "it is buried", sees(a, 1))
		if !a.Alive() {
			w.t.Error("the other one is not alive")
		}
	})
}

func TestRowsOfTheDeadGoAfterADay(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a := w.mustJoin()
		for number, age := range map[int]time.Duration{2: 25 * time.Hour, 3: 23 * time.Hour, 4: 48 * time.Hour} {
			then := db.Micro(w.now().Add(-age))
			w.mustExec(`INSERT INTO node (id, name, lease, joined_at, expires_at, left_at) VALUES ($1, 'x', 1, $2, $2, $2)`, number, then)
		}
		w.within(w.beat(), "it knows the numbers", func() bool { return a.Membership().Latest == 4 })
		w.mustJoin()
		w.within(w.beat(), "the next number is given", sees(a, 1, 5))
		var left []int64
		if err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
			rows, err := q.Query(`SELECT id FROM node ORDER BY id`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var number int64
				if err := rows.Scan(&number); err != nil {
					return err
				}
				left = append(left, number)
			}
			return rows.Err()
		}); err != nil {
			w.t.Fatal(err)
		}
		if !slices.Equal(left, []int64{1, 3, 4, 5}) {
			w.t.Errorf("the rows are %v", left)
		}
	})
}

func TestAStopInAnOutageEndsWithItsContext(t *testing.T) {
	testkit.NeedsSQLite(t, "it holds up the database")
	onEach(t, func(_ *testing.T, w *world) {
		n := w.mustStart(node.Options{})
		outage := make(chan struct{})
		defer close(outage)
		go func() { _ = w.db.Write(context.Background(), func(*db.Tx) error { <-outage; return nil }) }()
		time.Sleep(w.lease)
		ctx, cancel := context.WithTimeout(w.t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := n.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second || n.Alive() {
			w.t.Errorf("after %v: %v, alive: %v", time.Since(began), err, n.Alive())
		}
	})
}

func TestAChangeIsToldToTheOtherNodesOnceItIsCommitted(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		a, b := w.mustJoin(), w.mustJoin()
		var told, other heard[id.ID]
		b.Watch("keys", func(_ context.Context, tenant id.ID) { told.add(tenant) })
		b.Watch("types", func(_ context.Context, tenant id.ID) { other.add(tenant) })
		first, second, never := id.ID{1}, id.ID{2}, id.ID{3}
		w.mustChange(a, "keys", first)
		w.within(w.beat(), "the change is told", func() bool { return told.has(first) })
		w.mustChange(a, "keys", first)
		w.mustChange(a, "keys", second)
		refused := errors.New("refused")
		if err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
			return errors.Join(a.Changed(tx, "keys", never), refused)
		}); !errors.Is(err, refused) {
			w.t.Fatal(err)
		}
		w.within(w.beat(), "all are told", func() bool { return told.count() == 3 && told.has(second) })
		time.Sleep(2 * w.beat())
		if told.count() != 3 || told.has(never) || other.count() != 0 {
			w.t.Errorf("told of %v, and elsewhere of %v", told.all, other.all)
		}
	})
}

// A transaction notes the time of its change before it commits.
func TestAChangeThatTookLongToCommitIsTold(t *testing.T) {
	onEach(t, func(_ *testing.T, w *world) {
		b := w.mustJoin()
		var told heard[id.ID]
		b.Watch("keys", func(_ context.Context, tenant id.ID) { told.add(tenant) })
		time.Sleep(2 * w.beat())
		w.mustExec(`INSERT INTO revision (topic, tenant_id, number, changed_at) VALUES ('keys', $1, 1, $2)`, id.ID{1}, db.Micro(w.now().Add(-50*time.Second)))
		w.within(w.beat(), "it is told", func() bool { return told.has(id.ID{1}) })
	})
}
