package referral

import (
	"encoding/json"
	"testing"
	"time"
)

func TestTheWindowOfTouchesFollowsTheCalendarOfTheProgram(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const day = 24 * time.Hour
	noon := func(month time.Month, d int) time.Time { return time.Date(2031, month, d, 12, 0, 0, 0, time.UTC) }
	for _, test := range []struct {
		window string
		now    time.Time
		zone   *time.Location
		want   time.Duration
	}{
		{"1mo", noon(3, 10), time.UTC, 28 * day},
		{"1mo", noon(5, 10), time.UTC, 30 * day},
		{"1mo", noon(6, 10), time.UTC, 31 * day},
		{"1mo", noon(4, 10), berlin, 31*day - time.Hour}, // clocks went forward
		{"90d", noon(6, 10), time.UTC, 90 * day},
		{"36h", noon(3, 31), berlin, 36 * time.Hour},
		{"", noon(3, 10), time.UTC, 0},
	} {
		s, err := readSettings(json.RawMessage(`{"attribution":{"window":"` + test.window + `"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.policy(test.now, test.zone).Window; got != test.want {
			t.Errorf("%s until %s is %s, not %s", test.window, test.now, got, test.want)
		}
	}
}
