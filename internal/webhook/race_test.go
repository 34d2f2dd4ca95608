//go:build race

package webhook_test

// replayed is less where the race detector makes everything slow.
const replayed = 2_100
