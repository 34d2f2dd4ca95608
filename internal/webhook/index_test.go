package webhook

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// loading is a table of subscriptions whose readings take a second after their
// snapshot.
type loading struct {
	index   index[matcher]
	tenant  id.ID
	mu      sync.Mutex
	version int64
	began   int
	fails   error
}

func newLoading() *loading {
	return &loading{index: newIndex[matcher](), tenant: id.New(time.Now()), version: 1}
}

func (l *loading) load(ctx context.Context) (*matcher, error) {
	l.mu.Lock()
	l.began++
	m, err := newMatcher(l.version, nil), l.fails
	l.mu.Unlock()
	select {
	case <-time.After(time.Second):
		return m, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// change commits a change of the subscriptions and tells the index of it.
func (l *loading) change() {
	l.mu.Lock()
	l.version++
	l.mu.Unlock()
	l.index.changed(l.tenant)
}

// mustGet demands the matcher of a version.
func (l *loading) mustGet(t *testing.T, version int64) *matcher {
	t.Helper()
	m, err := l.index.get(t.Context(), l.tenant, l.load)
	if err != nil {
		t.Error(err)
		return nil
	}
	if m.version != version {
		t.Errorf("version %d, want %d", m.version, version)
	}
	return m
}

// publishers runs fn on 64 goroutines and waits for them.
func publishers(fn func()) {
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(fn)
	}
	wg.Wait()
}

func TestAMatcherThatManyAskForIsLoadedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		for range 2 {
			publishers(func() { l.mustGet(t, 1) })
		}
		if l.began != 1 {
			t.Errorf("it was loaded %d times", l.began)
		}
	})
}

func TestAMatcherThatManyFindOutOfDateIsLoadedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		old := l.mustGet(t, 1)
		l.version++ // as on another node
		first := l.began
		publishers(func() {
			for range 3 { // also late, while it is loaded and when it is there
				l.index.stale(l.tenant, old)
				l.mustGet(t, 2)
			}
		})
		if l.began != first+1 {
			t.Errorf("it was loaded %d times", l.began-first)
		}
	})
}

func TestAMatcherWhoseLoadingBeganBeforeAChangeIsForThoseWhoWaitedOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		var wg sync.WaitGroup
		wg.Go(func() {
			before := l.mustGet(t, 1)
			l.index.stale(l.tenant, before) // which must not take what has come since
		})
		time.Sleep(time.Millisecond)
		l.change()
		wg.Go(func() { l.mustGet(t, 2) })
		wg.Wait()
		began := l.began
		l.mustGet(t, 2)
		if l.began != began {
			t.Error("what was loaded after the change was not kept")
		}
	})
}

func TestWhoEverAsksAfterAChangeGetsWhatItMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		var wg sync.WaitGroup
		for i := range 20 { // several while one loading goes on
			wg.Go(func() { l.mustGet(t, int64(i+1)) })
			time.Sleep(300 * time.Millisecond)
			l.change()
		}
		wg.Wait()
		l.mustGet(t, 21)
	})
}

func TestWhoStopsWaitingForAMatcherDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		var wg sync.WaitGroup
		for range 2 { // the one who began and one who waits
			wg.Go(func() {
				began := time.Now()
				if _, err := l.index.get(ctx, l.tenant, l.load); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != 500*time.Millisecond {
					t.Errorf("after %s: %v", time.Since(began), err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		wg.Go(func() { l.mustGet(t, 1) })
		wg.Wait()
		if l.began != 1 {
			t.Errorf("it was loaded %d times", l.began)
		}
	})
}

func TestAMatcherThatCouldNotBeLoadedIsLoadedForWhoComesNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		l.fails = errors.New("the database fails")
		publishers(func() {
			if _, err := l.index.get(t.Context(), l.tenant, l.load); !errors.Is(err, l.fails) {
				t.Errorf("error %v, want that of the loading", err)
			}
		})
		l.fails = nil
		l.mustGet(t, 1)
	})
}

func TestALoadingThatFailsAfterAChangeLeavesWhatIsLoadedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		l.fails = errors.New("the database fails")
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = l.index.get(t.Context(), l.tenant, l.load) })
		synctest.Wait()
		l.fails = nil
		l.change()
		l.mustGet(t, 2)
		wg.Wait()
		l.mustGet(t, 2)
		if l.began != 2 {
			t.Errorf("it was loaded %d times", l.began)
		}
	})
}

func TestTheLoadingOfATenantsMatcherHoldsUpNoOtherTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoading()
		stuck, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, _ = l.index.get(t.Context(), id.New(time.Now()), func(context.Context) (*matcher, error) {
				<-stuck.Done()
				return nil, stuck.Err()
			})
		})
		synctest.Wait()
		l.mustGet(t, 1)
		cancel()
		wg.Wait()
	})
}
