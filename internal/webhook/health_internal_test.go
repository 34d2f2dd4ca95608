package webhook

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

var dawn = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// Three events, and ways in which attempts end.
var (
	eventA, eventB, eventC = id.ID{1}, id.ID{2}, id.ID{3}

	succeeded = wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}
	failed    = wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}
	unreached = wire.Judgement{Verdict: wire.Retry, Reason: "connect"}
	refused   = wire.Judgement{Verdict: wire.Refused, Reason: "configuration"}
	busy      = wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}
	throttled = wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled}
	asked     = wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: time.Minute}
	gone      = wire.Judgement{Verdict: wire.Gone, Reason: wire.ReasonGone}
)

// earlier is the time of a step whose attempt began before all others.
const earlier = -1

func TestPauses(t *testing.T) {
	const s = time.Second
	type step struct {
		after   time.Duration // since the step before
		event   id.ID
		j       wire.Judgement
		waits   time.Duration // from the step on; 0: none
		probing bool
	}
	for name, steps := range map[string][]step{
		"the same event three times is no reason":          {{0, eventA, busy, 0, false}, {1, eventA, busy, 0, false}, {1, eventA, busy, 0, false}},
		"three different events in a row are":              {{0, eventA, busy, 0, false}, {1, eventB, busy, 0, false}, {1, eventC, busy, 5 * s, true}},
		"a success in between begins the count anew":       {{0, eventA, busy, 0, false}, {1, eventB, busy, 0, false}, {1, eventA, succeeded, 0, false}, {1, eventC, busy, 0, false}},
		"so does another answer":                           {{0, eventA, busy, 0, false}, {1, eventB, busy, 0, false}, {1, eventA, failed, 0, false}, {1, eventC, busy, 0, false}},
		"the endpoint's own word holds":                    {{0, eventA, asked, 60 * s, true}},
		"without a word the pause doubles each time":       {{0, eventA, throttled, 5 * s, true}, {5 * s, eventB, throttled, 10 * s, true}, {10 * s, eventA, throttled, 20 * s, true}},
		"a probe that succeeds ends it":                    {{0, eventA, asked, 60 * s, true}, {60 * s, eventB, succeeded, 0, false}},
		"a probe that is answered at all ends it":          {{0, eventA, asked, 60 * s, true}, {60 * s, eventB, failed, 0, false}},
		"a probe that can't connect pauses again":          {{0, eventA, asked, 60 * s, true}, {60 * s, eventB, unreached, 5 * s, true}},
		"what was under way before does not end the pause": {{0, eventA, asked, 60 * s, true}, {earlier, eventB, succeeded, 60 * s, true}, {earlier, eventB, failed, 60 * s, true}},
		"a longer wait is never made shorter":              {{0, eventA, asked, 60 * s, true}, {10 * s, eventB, throttled, 50 * s, true}},
		"nothing follows a word that it wants no more":     {{0, eventA, gone, 5 * s, true}},
		"what was not sent says nothing":                   {{0, eventA, busy, 0, false}, {1, eventB, busy, 0, false}, {1, eventA, refused, 0, false}, {1, eventC, busy, 5 * s, true}},
	} {
		t.Run(name, func(t *testing.T) {
			var h Health
			now := dawn
			for i, s := range steps {
				started := dawn.Add(-time.Second)
				if s.after != earlier {
					now = now.Add(s.after)
					started = now
				}
				h = h.After(Heard{Event: s.event, Judgement: s.j, Started: started, Now: now, Governed: true})
				if waits := max(h.Pause.Until.Sub(now), 0); waits != s.waits || h.Pause.Probing() != s.probing {
					t.Fatalf("step %d: waits %s, probing %t; want %s, %t", i, waits, h.Pause.Probing(), s.waits, s.probing)
				}
			}
		})
	}
}

// many are attempts that end alike.
type many struct {
	count     int
	j         wire.Judgement
	every     time.Duration // after the one before
	exhausted bool
}

func (h Health) afterMany(now *time.Time, governed bool, steps ...many) Health {
	for _, s := range steps {
		for range s.count {
			*now = now.Add(s.every)
			h = h.After(Heard{Event: eventA, Judgement: s.j, Started: *now, Now: *now, Exhausted: s.exhausted, Governed: governed})
		}
	}
	return h
}

func TestAnEndpointIsFailing(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []many
		state  HealthState
		reason HealthReason
	}{
		"not after nine failures in a row":       {[]many{{9, failed, 1, false}}, Healthy, ""},
		"after ten":                              {[]many{{10, failed, 1, false}}, Failing, FailedInRow},
		"not if one in between succeeded":        {[]many{{9, failed, 1, false}, {1, succeeded, 1, false}, {9, failed, 1, false}}, Healthy, ""},
		"after the last attempt of a delivery":   {[]many{{1, failed, 1, true}}, Failing, DeliveryFailed},
		"after ten that we could not make":       {[]many{{10, refused, 1, false}}, Failing, FailedInRow},
		"after ten that asked us to wait":        {[]many{{10, asked, 1, false}}, Failing, FailedInRow},
		"for the reason that came first":         {[]many{{1, failed, 1, true}, {20, failed, 1, false}}, Failing, DeliveryFailed},
		"until one succeeds":                     {[]many{{30, failed, 1, true}, {1, succeeded, time.Hour, false}}, Healthy, ""},
		"also where something answers the probe": {[]many{{11, failed, time.Hour, false}}, Failing, FailedInRow},
	} {
		t.Run(name, func(t *testing.T) {
			for _, governed := range []bool{true, false} {
				now := dawn
				h := Health{}.afterMany(&now, governed, c.steps...)
				if h.State != c.state || h.Reason != c.reason || (h.State == Failing) == h.FailingSince.IsZero() {
					t.Errorf("governed %t: %+v", governed, h)
				}
				if !governed && h.Pause != (Pause{}) {
					t.Errorf("it is not governed, and waits: %+v", h.Pause)
				}
			}
		})
	}
}

func TestTheFirstProbeOfAFailingEndpointIsMadeAtOnceAndTheOthersEverLater(t *testing.T) {
	now := dawn
	h := Health{}.afterMany(&now, true, many{10, failed, time.Second, false})
	var waits []time.Duration
	for range 12 {
		waits = append(waits, h.Pause.Until.Sub(now))
		now = h.Pause.Until
		h = h.afterMany(&now, true, many{1, failed, 0, false})
	}
	want := []time.Duration{
		0, 5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second,
		320 * time.Second, 640 * time.Second, 15 * time.Minute, 15 * time.Minute, 15 * time.Minute,
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWhatWasUnderWayWhenAnEndpointBeganToFailDoesNotMakeItsPauseLonger(t *testing.T) {
	now := dawn
	h := Health{}.afterMany(&now, true, many{11, failed, time.Second, false})
	until, late := h.Pause.Until, h.Pause.Until.Add(time.Minute)
	h = h.After(Heard{Event: eventB, Judgement: unreached, Started: dawn, Now: late, Governed: true})
	if h.Pause.Until != until || h.Failures != 12 {
		t.Errorf("%+v", h)
	}
	if h = h.After(Heard{Event: eventB, Judgement: succeeded, Started: dawn, Now: late, Governed: true}); h != (Health{}) {
		t.Errorf("after a success it is %+v", h)
	}
}

func TestWarningsComeAfterOneThreeAndFourDaysAndTheEndAfterFive(t *testing.T) {
	now := dawn.Add(-time.Hour)
	var h Health
	var warned []time.Duration
	var end time.Duration
	for end == 0 {
		before := h.Warnings
		h = h.afterMany(&now, true, many{1, failed, time.Hour, false})
		if h.Warnings > before {
			warned = append(warned, now.Sub(dawn))
		}
		if h.GivenUp(now) {
			end = now.Sub(dawn)
		}
	}
	const day = 24 * time.Hour
	if diff := cmp.Diff([]time.Duration{day, 3 * day, 4 * day}, warned); diff != "" || end != 5*day {
		t.Errorf("given up after %s; warned (-want +got)\n%s", end, diff)
	}
}

func TestAnEndpointIsNotGivenUpForFewFailures(t *testing.T) {
	now := dawn
	h := Health{}.afterMany(&now, true, many{19, failed, 12 * time.Hour, true})
	if h.GivenUp(now) {
		t.Errorf("given up after %d attempts", h.Failures)
	}
	if h = h.afterMany(&now, true, many{1, failed, time.Hour, true}); !h.GivenUp(now) {
		t.Errorf("not given up after %d attempts in %s", h.Failures, now.Sub(h.Since))
	}
}

func TestTheHealthThatIsStoredIsTheHealthThatIsRead(t *testing.T) {
	now := dawn
	busyOnce := Health{}.After(Heard{Event: eventA, Judgement: busy, Started: now, Now: now, Governed: true})
	failing := Health{}.afterMany(&now, true, many{30, failed, 12 * time.Hour, false})
	for _, want := range []Health{busyOnce, failing, Health{}.afterMany(&now, true, many{1, asked, 1, false})} {
		text, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readHealth(string(text)); err != nil || got != want {
			t.Errorf("%v: %s was read as %+v", err, text, got)
		}
	}
}
