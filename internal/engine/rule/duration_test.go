package rule_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

func mustZone(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func mustTime(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestADurationFollowsTheCalendar(t *testing.T) {
	for name, test := range map[string]struct{ duration, zone, from, want string }{
		"a year is the same day":                {"12mo", "UTC", "2026-03-10T12:00:00Z", "2027-03-10T12:00:00Z"},
		"twelve months are a year":              {"1y", "UTC", "2026-03-10T12:00:00Z", "2027-03-10T12:00:00Z"},
		"a leap day has none the year after":    {"1y", "UTC", "2024-02-29T12:00:00Z", "2025-02-28T12:00:00Z"},
		"the end of January":                    {"1mo", "UTC", "2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"},
		"the end of January in a leap year":     {"1mo", "UTC", "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z"},
		"over the end of a year":                {"14mo", "UTC", "2026-12-31T00:00:00Z", "2028-02-29T00:00:00Z"},
		"months come before days":               {"1mo1d", "UTC", "2026-01-31T00:00:00Z", "2026-03-01T00:00:00Z"},
		"days":                                  {"92d", "UTC", "2026-03-10T12:00:00Z", "2026-06-10T12:00:00Z"},
		"weeks":                                 {"2w", "UTC", "2026-03-10T12:00:00Z", "2026-03-24T12:00:00Z"},
		"a mixture":                             {"1y1mo1w1d1h1m1s", "UTC", "2026-01-01T00:00:00Z", "2027-02-09T01:01:01Z"},
		"a day on which clocks go forward":      {"1d", "America/New_York", "2026-03-07T17:00:00Z", "2026-03-08T16:00:00Z"},
		"hours pass":                            {"24h", "America/New_York", "2026-03-07T17:00:00Z", "2026-03-08T17:00:00Z"},
		"a day on which clocks go back":         {"1d", "Europe/Berlin", "2026-10-24T10:00:00Z", "2026-10-25T11:00:00Z"},
		"a time of day that there is not":       {"1d", "America/New_York", "2026-03-07T07:30:00Z", "2026-03-08T07:30:00Z"},
		"the day is that of the zone":           {"1mo", "Asia/Tokyo", "2026-01-30T15:00:00Z", "2026-02-27T15:00:00Z"},
		"hours where a time of day comes twice": {"1h", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"},
		"minutes":                               {"30m", "UTC", "2026-03-10T23:45:00Z", "2026-03-11T00:15:00Z"},
	} {
		d, err := rule.ParseDuration(test.duration)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := d.After(mustTime(t, test.from), mustZone(t, test.zone)).Format(time.RFC3339); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
		if d.String() != test.duration {
			t.Errorf("%s is written %s", test.duration, d)
		}
	}
}

func TestWhatIsNoDurationIsRefused(t *testing.T) {
	for _, text := range []string{
		"", "0d", "-1d", "+1d", "1", "d", "1 d", "1D", "1.5h", "1d1y", "1m1mo", "1d1d", "101y", "1y1200mo", "1201mo", "36601d", "1000000h",
		"99999999999999999999d", "999999999h", "1dd", "1mo0d", "٣d", "1d ", "P1D", "1y1",
	} {
		if d, err := rule.ParseDuration(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}

func TestAWindowBeginsWithItsPeriod(t *testing.T) {
	for name, test := range map[string]struct{ window, zone, now, want string }{
		"a day":                         {"day", "Europe/Berlin", "2026-03-10T23:30:00Z", "2026-03-10T23:00:00Z"},
		"a week on Monday":              {"week", "UTC", "2026-03-09T00:00:00Z", "2026-03-09T00:00:00Z"},
		"a week on Sunday":              {"week", "UTC", "2026-03-15T23:59:59Z", "2026-03-09T00:00:00Z"},
		"a week over the end of a year": {"week", "UTC", "2027-01-01T00:00:00Z", "2026-12-28T00:00:00Z"},
		"a month":                       {"month", "America/New_York", "2026-04-01T03:59:59Z", "2026-03-01T05:00:00Z"},
		"a year":                        {"year", "Asia/Tokyo", "2026-12-31T15:00:00Z", "2026-12-31T15:00:00Z"},
		"a length":                      {"1mo", "UTC", "2026-03-31T12:00:00Z", "2026-02-28T12:00:00Z"},
		"a day without a midnight":      {"day", "America/Sao_Paulo", "2017-10-15T15:00:00Z", "2017-10-15T03:00:00Z"},
		"a day with two midnights":      {"day", "America/Havana", "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z"},
		"the second of two midnights":   {"day", "America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z"},
		"all time":                      {"ever", "Asia/Tokyo", "2026-12-31T15:00:00Z", "0001-01-01T00:00:00Z"},
	} {
		w, err := rule.ParseWindow(test.window)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := w.Start(mustTime(t, test.now), mustZone(t, test.zone)).Format(time.RFC3339); got != test.want {
			t.Errorf("%s: %s", name, got)
		}
		if w.String() != test.window {
			t.Errorf("%s is written %s", test.window, w)
		}
	}
	for _, text := range []string{"", "hour", "Day", "30", "never"} {
		if w, err := rule.ParseWindow(text); err == nil {
			t.Errorf("%q is %v", text, w)
		}
	}
}

// instants are whole microseconds of this century.
var instants = rapid.Custom(func(t *rapid.T) time.Time {
	from := time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)
	return from.Add(time.Duration(rapid.Int64Range(0, 99*366*24*3600*1e6).Draw(t, "micros")) * time.Microsecond)
})

var durations = rapid.Custom(func(t *rapid.T) rule.Duration {
	text := rapid.SampledFrom([]string{"1s", "59m", "1h", "25h", "1d", "14d", "92d", "1w", "1mo", "12mo", "13mo", "1y", "1y1mo1d1h"}).Draw(t, "duration")
	d, err := rule.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
})

var zones = []string{"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Apia", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana"}

func TestADurationKeepsDayAndTimeOfDay(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := mustZone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		from, d := instants.Draw(r, "from"), durations.Draw(r, "duration")
		to := d.After(from, zone)
		if !to.After(from) {
			r.Fatalf("%s and %s is %s", from, d, to)
		}
		if d.Clock != 0 || d.Days != 0 {
			return
		}
		a, b := from.In(zone), to.In(zone)
		if months := (b.Year()-a.Year())*12 + int(b.Month()) - int(a.Month()); months != d.Months {
			r.Fatalf("%s and %s is %s", a, d, b)
		}
		if b.Day() != a.Day() && b.AddDate(0, 0, 1).Day() != 1 {
			r.Fatalf("%s and %s is %s: neither the same day nor the last", a, d, b)
		}
	})
}

func TestOfTwoInstantsTheEarlierStaysSoInUTC(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		a, b, d := instants.Draw(r, "a"), instants.Draw(r, "b"), durations.Draw(r, "duration")
		if a.After(b) {
			a, b = b, a
		}
		if d.After(a, nil).After(d.After(b, nil)) || d.Before(a, nil).After(d.Before(b, nil)) {
			r.Fatalf("%s and %s change places by %s", a, b, d)
		}
	})
}

func TestAWindowHoldsNowAndOthersOfItsPeriod(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		zone := mustZone(t, rapid.SampledFrom(zones).Draw(r, "zone"))
		at := instants.Draw(r, "now")
		w, err := rule.ParseWindow(rapid.SampledFrom([]string{"day", "week", "month", "year"}).Draw(r, "window"))
		if err != nil {
			r.Fatal(err)
		}
		start := w.Start(at, zone)
		if start.After(at) {
			r.Fatalf("the %s of %s begins at %s", w, at.In(zone), start.In(zone))
		}
		if again := w.Start(start, zone); !again.Equal(start) {
			r.Fatalf("the %s that begins at %s begins at %s", w, start.In(zone), again.In(zone))
		}
	})
}
