package wire

import "time"

// Schedule is when the attempts of a delivery are made.
type Schedule struct {
	// Delays are the waits after the first attempt, after the second, and so
	// on; there is one attempt more than delays.
	Delays []time.Duration
	// Jitter is the share by which a delay may be shorter or longer, from 0 to 1.
	Jitter float64
	// Fixed says that the dialect's source page fixes the times: no answer
	// changes them, unless a subscription asks for the native rules. Where it is
	// false these rules govern every subscription.
	Fixed bool
}

// Next returns how long to wait after the given number of failed attempts. It
// returns false if the schedule is exhausted. chance is a random number in
// [0, 1).
func (s Schedule) Next(failed int, chance float64) (time.Duration, bool) {
	if failed < 1 || failed > len(s.Delays) {
		return 0, false
	}
	delay := float64(s.Delays[failed-1])
	return time.Duration(delay * (1 + s.Jitter*(2*chance-1))), true
}
