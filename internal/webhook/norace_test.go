//go:build !race

package webhook_test

// replayed is how many deliveries a large replay has: not a whole number of steps.
const replayed = 20_100
