//go:build !race

package ledger_test

// raceDetector says that everything takes many times as long.
const raceDetector = false
