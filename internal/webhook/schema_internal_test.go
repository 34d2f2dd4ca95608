package webhook

import (
	"runtime"
	"testing"
	"testing/synctest"
)

func TestNoMoreDataIsCheckedAtOnceThanThereAreProcessors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c checking
		var ends []func()
		for range runtime.GOMAXPROCS(0) {
			ends = append(ends, c.begin())
		}
		begun := make(chan struct{})
		go func() {
			defer c.begin()()
			close(begun)
		}()
		synctest.Wait()
		select {
		case <-begun:
			t.Error("one more was checked at once")
		default:
		}
		for _, end := range ends {
			end()
		}
		<-begun
	})
}
