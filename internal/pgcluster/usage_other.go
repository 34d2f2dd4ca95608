//go:build !linux

package pgcluster

import "time"

// cpuOf knows nothing here.
func cpuOf(int) (time.Duration, error) { return 0, nil }
