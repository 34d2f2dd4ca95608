package webhook

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// begun begins a check in the background and returns a channel that is closed once
// it has its turn. It ends when the test does.
func begun(t *testing.T, turn turnFunc) <-chan struct{} {
	got := make(chan struct{})
	go func() {
		end, err := turn(t.Context())
		if err != nil {
			return
		}
		close(got)
		<-t.Context().Done()
		end()
	}()
	synctest.Wait()
	return got
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestNoMoreDataIsCheckedAtOnceThanThereAreProcessors(t *testing.T) {
	for name, turnOf := range map[string]func(c *checking, i int) turnFunc{
		"catalogues": func(c *checking, _ int) turnFunc { return c.begin },
		"tenants":    func(c *checking, i int) turnFunc { return c.of(id.ID{byte(i)}) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var c checking
				var ends []func()
				for i := range runtime.GOMAXPROCS(0) {
					end, err := turnOf(&c, i)(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					ends = append(ends, end)
				}
				one := begun(t, turnOf(&c, 255))
				if isClosed(one) {
					t.Error("one more was checked at once")
				}
				for _, end := range ends {
					end()
				}
				<-one
			})
		})
	}
}

func TestATenantHasOneCheckOfItsOwnAtATimeAndHoldsUpNobodyElse(t *testing.T) {
	before := runtime.GOMAXPROCS(max(runtime.GOMAXPROCS(0), 2))
	defer runtime.GOMAXPROCS(before)
	synctest.Test(t, func(t *testing.T) {
		var c checking
		one, other := id.ID{1}, id.ID{2}
		end, err := c.of(one)(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		second := begun(t, c.of(one))
		if isClosed(second) {
			t.Error("the tenant has two at a time")
		}
		if !isClosed(begun(t, c.of(other))) {
			t.Error("another tenant has to wait")
		}
		if !isClosed(begun(t, c.begin)) {
			t.Error("a check by a catalogue has to wait")
		}
		end()
		<-second
	})
}

func TestWhoIsCancelledWaitsNoLongerForACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c checking
		end, err := c.of(id.ID{1})(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := make(chan error)
		go func() {
			_, err := c.of(id.ID{1})(ctx)
			left <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("it left with %v", err)
		}
		end()
		if _, err := c.of(id.ID{1})(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := c.begin(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("a catalogue's check began with %v", err)
		}
	})
}
