package counter

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Window is for how long a counter counts before it begins anew. The zero Window is
// Ever.
type Window struct {
	period string
	zone   *time.Location // of a calendar's
	length time.Duration  // of a rolling one
	began  func(until time.Time) time.Time
}

// Ever is the window that never ends.
var Ever = Window{}

// Day is the calendar day in a time zone.
func Day(zone *time.Location) Window { return Window{period: "day", zone: zone} }

// Week is the calendar week in a time zone. It begins on Monday.
func Week(zone *time.Location) Window { return Window{period: "week", zone: zone} }

// Month is the calendar month in a time zone.
func Month(zone *time.Location) Window { return Window{period: "month", zone: zone} }

// Year is the calendar year in a time zone.
func Year(zone *time.Location) Window { return Window{period: "year", zone: zone} }

// Rolling is the time before each moment, as long as length says, to the microsecond;
// what was taken exactly so long ago is out of it. Each take has a row until it is
// out. The window moves forward only: for a time that is earlier than that of a take,
// later takes count too.
//
// That the limit is reached is said again once time has brought what is used below it.
func Rolling(length time.Duration) Window {
	return Window{period: "rolling " + length.String(), length: length}
}

// RollingBy is a rolling window that is longer or shorter by when it ends, as a month
// is: began returns when the one began that ends then. It counts on from one that is
// as long as length.
func RollingBy(length time.Duration, began func(until time.Time) time.Time) Window {
	w := Rolling(length)
	w.began = began
	return w
}

// edge is the last moment that is out of a rolling window.
func (w Window) edge(until time.Time) int64 {
	if w.began != nil {
		return db.Micro(w.began(until))
	}
	return db.Micro(until.Add(-w.length))
}

// valid reports whether there is such a window.
func (w Window) valid() bool { return w.period == "" || w.zone != nil || w.length > 0 }

func (w Window) rolls() bool { return w.length != 0 }

// start is how the window that a time is in is stored: the day on which it begins, as
// midnight in UTC, whenever that is in the window's own zone, which may have no
// midnight on that day; 0 where there is one row only.
func (w Window) start(at time.Time) int64 {
	if w.zone == nil {
		return 0
	}
	local := at.In(w.zone)
	year, month, day := local.Date()
	switch w.period {
	case "week":
		day -= (int(local.Weekday()) + 6) % 7
	case "month":
		day = 1
	case "year":
		month, day = time.January, 1
	}
	return db.Micro(time.Date(year, month, day, 0, 0, 0, 0, time.UTC))
}
