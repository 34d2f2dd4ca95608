//go:build !linux

package bench

import (
	"context"
	"time"
)

// waitFor waits for a moment of the timetable, and reports whether it did.
func waitFor(ctx context.Context, moment time.Time) bool { return sleep(ctx, time.Until(moment)) }
