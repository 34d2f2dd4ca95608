package config

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Period is a time that may be given in days. Zero: it was not given.
type Period time.Duration

// UnmarshalText reads a number of days, such as "30d", or a duration as Go writes
// it.
func (p *Period) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	if number, isDays := strings.CutSuffix(string(text), "d"); isDays {
		var n int
		n, err = strconv.Atoi(number)
		if n < -100_000 || n > 100_000 {
			return errPeriod
		}
		read = time.Duration(n) * day
	}
	if err != nil {
		return errPeriod
	}
	*p = Period(read)
	return nil
}

var errPeriod = errors.New("must be a time such as 30d or 36h")

// String writes what UnmarshalText reads; nothing if it was not given.
func (p Period) String() string {
	switch d := time.Duration(p); {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	default:
		return d.String()
	}
}

// The bounds of a retention. A day keeps "30m" from being taken for a month.
const (
	defaultRetention  = Period(30 * day)
	minRetention      = Period(day)
	minRetentionShort = Period(time.Second)
	maxRetention      = Period(3650 * day)
)

// RecordsKept is how long events are kept.
func (s *Server) RecordsKept() time.Duration {
	if s.Retention == 0 {
		return time.Duration(defaultRetention)
	}
	return time.Duration(s.Retention)
}

func (s *Server) validateRetention(refuse func(format string, args ...any)) {
	least := minRetention
	if s.ShortRetention {
		least = minRetentionShort
	}
	if s.Retention != 0 && (s.Retention < least || s.Retention > maxRetention) {
		refuse("--retention must be between %s and %s", least, maxRetention)
	}
	if s.BodyRetention != 0 && (s.BodyRetention < least || time.Duration(s.BodyRetention) > s.RecordsKept()) {
		refuse("--body-retention must be between %s and --retention, which is %s", least, Period(s.RecordsKept()))
	}
}
