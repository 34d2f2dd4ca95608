package rule

import (
	"errors"
	"strconv"
	"time"
)

// Duration is a length of time on the calendar, written as whole numbers with
// units, from the longest to the shortest, each once: 14d, 12mo, 1y6mo, 1d12h.
//
//	y year   mo month   w week   d day   h hour   m minute   s second
//
// It is at least a second and at most a hundred years.
type Duration struct {
	Months int
	Days   int
	Clock  time.Duration // hours, minutes and seconds
	text   string
}

// durationUnits go from the longest to the shortest. A unit comes before one that
// its name begins with.
var durationUnits = []struct {
	name string
	of   Duration
}{
	{"y", Duration{Months: 12}},
	{"mo", Duration{Months: 1}},
	{"w", Duration{Days: 7}},
	{"d", Duration{Days: 1}},
	{"h", Duration{Clock: time.Hour}},
	{"m", Duration{Clock: time.Minute}},
	{"s", Duration{Clock: time.Second}},
}

// The bounds of each part of a duration.
const (
	maxMonths = 100 * 12
	maxDays   = 100 * 366
	maxClock  = 100 * 366 * 24 * time.Hour
)

var errDuration = errors.New("must be a length of time up to 100y, such as 30m, 14d, 12mo or 1y6mo")

// ParseDuration reads a duration. The error is a sentence without its subject, and
// does not repeat the text.
func ParseDuration(text string) (Duration, error) {
	d := Duration{text: text}
	units := durationUnits
	for rest := text; rest != ""; {
		digits := 0
		for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		n, err := strconv.Atoi(rest[:digits])
		if err != nil || n == 0 || digits > 9 {
			return Duration{}, errDuration
		}
		rest = rest[digits:]
		letters := 0
		for letters < len(rest) && rest[letters] >= 'a' && rest[letters] <= 'z' {
			letters++
		}
		for len(units) > 0 && units[0].name != rest[:letters] {
			units = units[1:]
		}
		if len(units) == 0 {
			return Duration{}, errDuration
		}
		unit := units[0].of
		units, rest = units[1:], rest[letters:]
		if unit.Clock > 0 && time.Duration(n) > maxClock/unit.Clock {
			return Duration{}, errDuration
		}
		d.Months += n * unit.Months
		d.Days += n * unit.Days
		d.Clock += time.Duration(n) * unit.Clock
	}
	if d.IsZero() || d.Months > maxMonths || d.Days > maxDays || d.Clock > maxClock {
		return Duration{}, errDuration
	}
	return d, nil
}

// IsZero reports whether it is no duration at all.
func (d Duration) IsZero() bool { return d.Months == 0 && d.Days == 0 && d.Clock == 0 }

// String returns the duration as it was written.
func (d Duration) String() string { return d.text }

// After returns the instant that lies the duration after t, on the calendar of a
// time zone; nil is UTC. First come the months: the same day of the month at the
// same time of day, or the last day of a month that has not so many (31 January
// and 1mo is 28 or 29 February). Then the days, at the same time of day. Then hours,
// minutes and seconds, as they pass. A time of day that a day does not have, since
// clocks go forward, is moved by as much as they do.
func (d Duration) After(t time.Time, zone *time.Location) time.Time { return d.shift(t, zone, 1) }

// Before returns the instant that lies the duration before t, likewise.
func (d Duration) Before(t time.Time, zone *time.Location) time.Time { return d.shift(t, zone, -1) }

func (d Duration) shift(t time.Time, zone *time.Location, sign int) time.Time {
	if d.Months != 0 || d.Days != 0 {
		t = shiftDate(t.In(orUTC(zone)), sign*d.Months, sign*d.Days)
	}
	return t.Add(time.Duration(sign) * d.Clock).UTC()
}

func shiftDate(t time.Time, months, days int) time.Time {
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	lastDay := time.Date(year, month+time.Month(months)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	return local(time.Date(year, month+time.Month(months), min(day, lastDay)+days, hour, minute, second, t.Nanosecond(), time.UTC), t.Location())
}

// local returns the instant at which clocks in a zone show what they show in UTC at
// the time given. Of two such instants it is the first. Where clocks jump over it,
// they show as much more as they jump, whereas time.Date may go back there, even to
// the day before.
func local(shown time.Time, zone *time.Location) time.Time {
	at := func(offset int) time.Time { return shown.Add(-time.Duration(offset) * time.Second).In(zone) }
	_, before := shown.Add(-24 * time.Hour).In(zone).Zone()
	_, after := shown.Add(24 * time.Hour).In(zone).Zone()
	for _, offset := range []int{max(before, after), min(before, after)} {
		t := at(offset)
		if _, there := t.Zone(); there == offset {
			return t
		}
	}
	return at(before)
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

// Window is a stretch of time that ends now: all time (the zero Window), the day,
// week, month or year that it is, or a duration.
type Window struct {
	Period Period
	Length Duration
}

// Period is a unit of the calendar.
type Period string

// The periods. A week begins on Monday.
const (
	Day   Period = "day"
	Week  Period = "week"
	Month Period = "month"
	Year  Period = "year"
)

// ever is how a window of all time is written.
const ever = "ever"

var errWindow = errors.New("must be ever, day, week, month, year, or a length of time such as 30d")

// ParseWindow reads a window: ever, a period or a duration. The error is as
// [ParseDuration]'s.
func ParseWindow(text string) (Window, error) {
	switch p := Period(text); p {
	case ever:
		return Window{}, nil
	case Day, Week, Month, Year:
		return Window{Period: p}, nil
	}
	d, err := ParseDuration(text)
	if err != nil {
		return Window{}, errWindow
	}
	return Window{Length: d}, nil
}

// String returns the window as it is written.
func (w Window) String() string {
	switch {
	case w.Period != "":
		return string(w.Period)
	case !w.Length.IsZero():
		return w.Length.String()
	default:
		return ever
	}
}

// Start returns when the window began that now is in, on the calendar of a time
// zone; nil is UTC. That instant is in it. Of all time it is the zero time.
func (w Window) Start(now time.Time, zone *time.Location) time.Time {
	zone = orUTC(zone)
	year, month, day := now.In(zone).Date()
	switch w.Period {
	case Day:
	case Week:
		day -= (int(now.In(zone).Weekday()) + 6) % 7
	case Month:
		day = 1
	case Year:
		month, day = time.January, 1
	default:
		if w.Length.IsZero() {
			return time.Time{}
		}
		return w.Length.Before(now, zone)
	}
	return local(time.Date(year, month, day, 0, 0, 0, 0, time.UTC), zone).UTC()
}
