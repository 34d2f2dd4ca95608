//go:build race

package dispatch_test

// raceDetector says that everything takes many times as long.
const raceDetector = true
