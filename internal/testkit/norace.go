//go:build !race

package testkit

// RaceDetector reports whether the tests run under the race detector, where
// everything takes many times as long.
const RaceDetector = false
