package wiretest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

func checkJudge(t testing.TB, d wire.Dialect) {
	verdicts := []wire.Verdict{wire.Delivered, wire.Retry, wire.Busy, wire.Throttled, wire.Gone}
	for status := 100; status <= 599; status++ {
		for _, after := range []string{
			"", "0", "1", " 120 ", "-1", "1.5", "soon", "99999999999999999999999999", at.Add(time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"),
			"Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", strings.Repeat("9", 10_000), "\x00",
		} {
			j := d.Judge(wire.Answer{Status: status, RetryAfter: after, At: at})
			if !slices.Contains(verdicts, j.Verdict) {
				t.Fatalf("%d with %.20q: the verdict is %q", status, after, j.Verdict)
			}
			if !isOf(string(j.Reason), lowerCase+"_") {
				t.Errorf("%d: the reason is %q", status, j.Reason)
			}
			if j.Verdict == wire.Delivered != (j.Reason == wire.ReasonOK) {
				t.Errorf("%d: %s because of %s", status, j.Verdict, j.Reason)
			}
			if j.Verdict == wire.Delivered && (status < 200 || status > 299) {
				t.Errorf("%d is delivered", status)
			}
			if j.Wait < 0 || j.Wait > 24*time.Hour || j.Wait > 0 && j.Verdict != wire.Throttled {
				t.Errorf("%d with %.20q: %s waits %v", status, after, j.Verdict, j.Wait)
			}
		}
	}
	if j := d.Judge(wire.Answer{Status: 200, At: at}); j.Verdict != wire.Delivered {
		t.Errorf("200 is %s", j.Verdict)
	}
}

func checkSchedule(t testing.TB, d wire.Dialect) {
	s := d.Schedule()
	if s.Jitter < 0 || s.Jitter >= 1 {
		t.Errorf("the jitter is %v", s.Jitter)
	}
	if len(s.Delays) > 99 {
		t.Errorf("there are %d waits", len(s.Delays))
	}
	var period time.Duration
	for i, delay := range s.Delays {
		if delay < 100*time.Millisecond {
			t.Errorf("wait %d is %v", i, delay)
		}
		period += delay
		for _, chance := range []float64{0, 0.5, 0.999999} {
			got, ok := s.Next(i+1, chance)
			if least, most := float64(delay)*(1-s.Jitter)-1, float64(delay)*(1+s.Jitter)+1; !ok || float64(got) < least || float64(got) > most {
				t.Errorf("after %d attempts: %v, %t", i+1, got, ok)
			}
		}
	}
	if period > 30*24*time.Hour {
		t.Errorf("it takes %v", period)
	}
	for _, failed := range []int{-1, 0, len(s.Delays) + 1} {
		if got, ok := s.Next(failed, 0.5); ok {
			t.Errorf("after %d attempts there is another in %v", failed, got)
		}
	}
	if len(s.Delays) > 0 {
		s.Delays[0] = -1
		if again := d.Schedule(); again.Delays[0] == -1 {
			t.Error("who changes the schedule changes everybody's")
		}
	}
	if timeout := d.Timeout(); timeout < time.Second || timeout > time.Minute {
		t.Errorf("the timeout is %v", timeout)
	}
}
