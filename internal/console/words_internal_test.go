package console

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

func TestADurationIsSaidAsAPersonWould(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 µs", 850 * time.Microsecond: "850 µs", 34 * time.Millisecond: "34 ms", 1234 * time.Millisecond: "1.2 s",
		59 * time.Second: "59 s", time.Minute: "1 min", 5*time.Minute + 3*time.Second: "5 min 3 s", 2 * time.Hour: "2 h",
		26*time.Hour + 5*time.Minute: "26 h 5 min", 75 * time.Hour: "3 d 3 h", 72 * time.Hour: "3 d",
	} {
		if got := spell(d); got != want {
			t.Errorf("%d is said as %q, want %q", d, got, want)
		}
	}
}

func TestANumberIsSaidWithItsThousandsApart(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 100_000: "100,000", 1_234_567: "1,234,567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d is said as %q, want %q", n, got, want)
		}
	}
}

func TestATimeIsReadAsItIsTyped(t *testing.T) {
	quarterPast := time.Date(2026, 1, 31, 15, 15, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"": {}, "2026-01-31T15:15": quarterPast, "2026-01-31T15:15:00": quarterPast, "2026-01-31 15:15": quarterPast,
		"2026-01-31T15:15:00.25": quarterPast.Add(250 * time.Millisecond), "2026-01-31T16:15:00+01:00": quarterPast,
		"2026-01-31": quarterPast.Truncate(24 * time.Hour), typedTime(quarterPast): quarterPast,
	} {
		if got, err := readTime(text); err != nil || !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%q is read as %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"noon", "31.1.2026", "1969-12-31T23:59", "0001-01-01", "2026-02-30", "2026-01-31T25:00", "999999-01-01"} {
		if got, err := readTime(text); err == nil {
			t.Errorf("%q is read as %s", text, got)
		}
	}
}

func TestEveryReasonHasWords(t *testing.T) {
	all := append([]string{
		webhook.ReasonManual, webhook.ReasonGone, webhook.ReasonFailing, string(webhook.FailedInRow), string(webhook.DeliveryFailed), string(wire.ReasonOK),
	}, reasonsOfDeliveries...)
	for _, reason := range all {
		if reasons[reason] == "" {
			t.Errorf("%s has no words", reason)
		}
	}
}

func TestAScheduleIsSaidInOneLine(t *testing.T) {
	many := make([]time.Duration, 99)
	for i := range many {
		many[i] = time.Duration(i+1) * time.Minute
	}
	for want, s := range map[string]wire.Schedule{
		"1 attempt, and no other":                           {},
		"2 attempts, 100 ms apart":                          {Delays: []time.Duration{100 * time.Millisecond}},
		"72 attempts, 1 h apart":                            {Delays: slices.Repeat([]time.Duration{time.Hour}, 71)},
		"3 attempts, after waits of 5 s, 1.5 s":             {Delays: []time.Duration{5 * time.Second, 1500 * time.Millisecond}},
		"3 attempts, after waits of 5 s, 24 h":              {Delays: []time.Duration{5 * time.Second, 24 * time.Hour}},
		"100 attempts within 3 d 10 h":                      {Delays: many},
		"3 attempts, after waits of 1 min, 2 h, each ±10 %": {Delays: []time.Duration{time.Minute, 2 * time.Hour}, Jitter: 0.1},
	} {
		if got := strings.ReplaceAll(scheduleWords(s), "\u00a0", " "); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestSuccessIsSaidAsTheDialectJudges(t *testing.T) {
	for _, d := range dialects.All {
		want := "any 2xx"
		if d.Name() == "saasquatch" {
			want = "200 alone"
		}
		if got := successOf(d); got != want {
			t.Errorf("%s: got %q, want %q", d.Name(), got, want)
		}
	}
}

func TestNothingHidesInATextFromOutside(t *testing.T) {
	for text, want := range map[string]string{
		"plain":                 "plain",
		"two\nlines\tand a tab": "two\nlines\tand a tab",
		"\xff\xfe":              "\uFFFD",
		"nul\x00bell\a":         "nul⟨U+0000⟩bell⟨U+0007⟩",
		"gpj.\u202Eexe":         "gpj.⟨U+202E⟩exe",
		"zero\u200Bwidth\uFEFF": "zero⟨U+200B⟩width⟨U+FEFF⟩",
		"carriage\rreturn":      "carriage⟨U+000D⟩return",
		"line\u2028separator":   "line⟨U+2028⟩separator",
		"C1 \u0085":             "C1 ⟨U+0085⟩",
		"👩\u200d🚀 <b>&amp;</b>": "👩\u200d🚀 <b>&amp;</b>",
		"عربي and עברית":        "عربي and עברית",
	} {
		if got := visible(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

func TestABarIsAsLongAsTheAttemptAndLeavesNoPartOut(t *testing.T) {
	ms := time.Millisecond
	for name, timing := range map[string]webhook.Timing{
		"all parts":               {DNS: 5 * ms, Connect: 10 * ms, TLS: 20 * ms, FirstByte: 100 * ms, Total: 120 * ms},
		"a connection used again": {FirstByte: 10 * ms, Total: 10 * ms},
		"no answer":               {DNS: 5 * ms, Total: 15 * time.Second},
		"parts beyond the whole":  {DNS: 5 * ms, Connect: 50 * ms, Total: 10 * ms},
		"tiny parts":              {DNS: 1, Connect: 1, TLS: 1, FirstByte: 4, Total: time.Minute},
	} {
		end := 0
		for _, s := range bar(timing) {
			if s.X < end-4 || s.W < 1 || s.Name == "" || s.Took == "" {
				t.Errorf("%s: part %+v begins before %d ends, or shows nothing", name, s, end)
			}
			end = s.X + s.W
		}
		if end < barWidth-1 || end > barWidth+4 {
			t.Errorf("%s: the bar ends at %d of %d", name, end, barWidth)
		}
	}
	if bar(webhook.Timing{}) != nil {
		t.Error("an attempt that was not made has a bar")
	}
}

func TestEventTypesAreGroupedByTheirFirstWord(t *testing.T) {
	catalogue := []wire.EventType{
		{Name: "signup"}, {Name: "customer.created"}, {Name: "coupon.created"}, {Name: "customer.updated"}, {Name: "coupon.redeemed"}, {Name: "order_success"},
	}
	got := familiesOf(catalogue, map[string]bool{"coupon.redeemed": true})
	want := []family{
		{"Customer", []eventChoice{{Name: "customer.created"}, {Name: "customer.updated"}}},
		{"Coupon", []eventChoice{{Name: "coupon.created"}, {Name: "coupon.redeemed", Chosen: true}}},
		{"Other events", []eventChoice{{Name: "signup"}, {Name: "order_success"}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("families (-want +got):\n%s", diff)
	}
}
