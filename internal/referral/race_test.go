//go:build race

package referral_test

// raceDetector says that everything takes many times as long.
const raceDetector = true
