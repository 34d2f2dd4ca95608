package bench

import (
	"context"
	"syscall"
	"time"
)

// waitFor waits for a moment of the timetable, and reports whether it did. The
// runtime's timers are up to a millisecond late where nothing else goes on, which
// would be added to every latency; the kernel's are not.
func waitFor(ctx context.Context, moment time.Time) bool {
	for ctx.Err() == nil {
		left := time.Until(moment)
		if left <= 0 {
			return true
		}
		pause := syscall.NsecToTimespec(int64(min(left, 50*time.Millisecond)))
		_ = syscall.Nanosleep(&pause, nil) // a signal may cut it short: then there is some left
	}
	return false
}
