//go:build !unix

package bench

import "time"

// ownCPU knows nothing here.
func ownCPU() time.Duration { return 0 }
