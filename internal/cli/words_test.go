package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

func TestADurationIsShownAsAPersonWouldSayIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0:                                     "0s",
		850 * time.Nanosecond:                 "1µs",
		1234 * time.Microsecond:               "1ms",
		999 * time.Millisecond:                "999ms",
		5234 * time.Millisecond:               "5.2s",
		90*time.Second + 400*time.Millisecond: "1m30s",
		5 * time.Minute:                       "5m",
		2*time.Hour + 30*time.Second:          "2h1m",
		10 * time.Hour:                        "10h",
		100*time.Hour + 20*time.Minute:        "100h",
		-5 * time.Second:                      "-5s",
	} {
		if got := span(d); got != want {
			t.Errorf("%d is shown as %q, want %q", d, got, want)
		}
	}
}

func TestATimeOfAFlagIsATimeOrADistance(t *testing.T) {
	now := time.Now()
	for text, want := range map[string]time.Time{
		"2026-01-31T15:04:05Z":      time.Date(2026, 1, 31, 15, 4, 5, 0, time.UTC),
		"2026-01-31T15:04:05+02:00": time.Date(2026, 1, 31, 13, 4, 5, 0, time.UTC),
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2h":                        now.Add(-2 * time.Hour),
		"1.5d":                      now.Add(-36 * time.Hour),
		"0s":                        now,
	} {
		var m moment
		if err := m.UnmarshalText([]byte(text)); err != nil || m.Sub(want).Abs() > 10*time.Second {
			t.Errorf("%s is %v, %v, want %v", text, m, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-2h", "2", "d", "NaNd", "1e9d", "2026-01-31 15:04"} {
		if err := new(moment).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	var d deadline
	if err := d.UnmarshalText([]byte("90d")); err != nil || d.Sub(now.Add(90*24*time.Hour)).Abs() > 10*time.Second {
		t.Errorf("90d is %v, %v", d, err)
	}
}

func TestWhatAServerSentCanNotMoveTheCursor(t *testing.T) {
	got := printable("a\x1b[31mred\r\n\x07b\tc\u202Ed\u009be\u00a0ü…")
	if want := "a\uFFFD[31mred\uFFFD\uFFFD\uFFFDb c\uFFFDd\uFFFDe ü…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := printable("\xff"); got != "\uFFFD" {
		t.Errorf("got %q", got)
	}
}

func TestOfALongBodyTheFirstLinesAreShown(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want []string
	}{
		"nothing":      {" \n", nil},
		"one line":     {"no\r\n", []string{"no"}},
		"many lines":   {"1\n2\n3\n4\n5", []string{"1", "2", "3", "… and 2 lines more; --json shows all"}},
		"one too many": {"1\n2\n3\n4", []string{"1", "2", "3", "… and 1 line more; --json shows all"}},
		"a long line":  {strings.Repeat("x", 250), []string{strings.Repeat("x", 200) + " … and 50 bytes more"}},
	} {
		if got := bodyLines(tc.body); strings.Join(got, "|") != strings.Join(tc.want, "|") {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestATimelineEndsWithWhatComesNext(t *testing.T) {
	now := time.Date(2026, 1, 31, 15, 0, 0, 0, time.UTC)
	enabled, disabled := &client.Subscription{Status: client.Enabled}, &client.Subscription{Status: client.Disabled}
	for name, tc := range map[string]struct {
		delivery client.Delivery
		sub      *client.Subscription
		want     string
	}{
		"an attempt later":       {client.Delivery{Status: client.Pending, AttemptCount: 2, NextAttemptAt: now.Add(5 * time.Minute)}, enabled, "attempt 3 in 5m, at "},
		"an attempt now":         {client.Delivery{Status: client.Pending, NextAttemptAt: now.Add(-time.Second)}, enabled, "attempt 1 is due"},
		"a disabled endpoint":    {client.Delivery{Status: client.Pending, SubscriptionID: "sub_1", NextAttemptAt: now.Add(time.Hour)}, disabled, "grapevine subscription enable sub_1"},
		"success":                {client.Delivery{Status: client.Delivered, UpdatedAt: now}, enabled, "1m after it was published"},
		"an exhausted schedule":  {client.Delivery{ID: "dlv_1", Status: client.Failed}, enabled, "grapevine delivery retry dlv_1"},
		"a held delivery":        {client.Delivery{ID: "dlv_1", Status: client.Held}, enabled, "to send it now: grapevine delivery retry dlv_1"},
		"a disabled one, held":   {client.Delivery{ID: "dlv_1", SubscriptionID: "sub_1", Status: client.Held}, disabled, "grapevine subscription enable sub_1 && grapevine delivery retry dlv_1"},
		"a deleted subscription": {client.Delivery{Status: client.Cancelled, Reason: "subscription_deleted"}, nil, "nothing more is sent: subscription_deleted"},
	} {
		shown := timeline{delivery: client.FullDelivery{Delivery: tc.delivery}, event: client.Event{CreatedAt: now.Add(-time.Minute)}, subscription: tc.sub}
		if got := shown.next(now); !strings.Contains(got, tc.want) {
			t.Errorf("%s: %q, want %q in it", name, got, tc.want)
		}
	}
}
