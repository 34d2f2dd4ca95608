package attribution_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

var (
	now                     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	alice, bob, carol, self = id.ID{1}, id.ID{2}, id.ID{3}, id.ID{9}
)

const day = 24 * time.Hour

// touched is a touch so long ago. Its ID is its number.
func touched(number byte, by id.ID, method attribution.Method, ago time.Duration) attribution.Touch {
	t := attribution.Touch{ID: id.ID{11: number}, MembershipID: by, Method: method, At: now.Add(-ago)}
	if method == attribution.ByLink {
		t.CookieID = "browser"
	}
	return t
}

func held(by id.ID, number byte) *attribution.Attribution {
	return &attribution.Attribution{MembershipID: by, TouchID: id.ID{11: number}, Method: attribution.ByCookie, At: now.Add(-200 * day)}
}

func TestTheCreditGoesToWhomThePolicySays(t *testing.T) {
	const code, link, manual = attribution.ByCode, attribution.ByLink, attribution.Manual
	first := attribution.Policy{Mode: attribution.First, Window: 90 * day}
	last := attribution.Policy{Mode: attribution.Last, Window: 90 * day}
	sticky := attribution.Policy{Mode: attribution.Sticky, Window: 90 * day}
	forever := attribution.Policy{}
	type touches = []attribution.Touch
	tests := []struct {
		name    string
		policy  attribution.Policy
		held    *attribution.Attribution
		touches touches
		to      id.ID // zero: nobody
		method  attribution.Method
		reason  string
	}{
		{"nobody, where there is no touch", last, nil, nil, id.ID{}, "", "there is no touch"},
		{"the only one", last, nil, touches{touched(1, alice, link, day)}, alice, attribution.ByCookie, "it is the only touch by a cookie that counts"},
		{"a code that was typed", last, nil, touches{touched(1, alice, code, 0)}, alice, code, "it is the only code that was typed that counts"},
		{"the first", first, nil, touches{touched(2, bob, link, day), touched(1, alice, link, 2*day)}, alice, attribution.ByCookie, "it is the oldest of 2 touches that count"},
		{"the last", last, nil, touches{touched(1, alice, link, 2*day), touched(2, bob, link, day)}, bob, attribution.ByCookie, "it is the newest of 2 touches that count"},
		{"the first, where sticky and nobody has it", sticky, nil, touches{touched(1, alice, link, 2*day), touched(2, bob, link, day)}, alice, attribution.ByCookie, "it is the oldest of 2 touches that count"},
		{"the holder, where sticky", sticky, held(carol, 7), touches{touched(1, alice, code, 0)}, carol, attribution.ByCookie, "who has the credit keeps it"},
		{"the holder, where nothing is set", forever, held(carol, 7), touches{touched(1, alice, code, 0)}, carol, attribution.ByCookie, "who has the credit keeps it"},
		{"a newer one than the holder's, where the last counts", last, held(alice, 1), touches{touched(1, alice, link, 2*day), touched(2, bob, link, day)}, bob, attribution.ByCookie, "it is the newest of 2 touches that count"},
		{"one as old as the window", last, nil, touches{touched(1, alice, link, 90*day)}, alice, attribution.ByCookie, "it is the only touch by a cookie that counts"},
		{"nobody, where it is a moment older", last, nil, touches{touched(1, alice, link, 90*day+time.Microsecond)}, id.ID{}, "", "no touch counts"},
		{"the first that the window has", first, nil, touches{touched(1, alice, link, 91*day), touched(2, bob, link, 89*day), touched(3, carol, link, day)}, bob, attribution.ByCookie, "it is the oldest of 2 touches that count"},
		{"the first ever, without a window", forever, nil, touches{touched(1, alice, link, 9000*day), touched(2, bob, link, day)}, alice, attribution.ByCookie, "it is the oldest of 2 touches that count"},
		{"nobody, where it is one's own", last, nil, touches{touched(1, self, code, 0)}, id.ID{}, "", "no touch counts"},
		{"another, where the newest is one's own", last, nil, touches{touched(1, alice, link, day), touched(2, self, code, 0)}, alice, attribution.ByCookie, "it is the only touch by a cookie that counts"},
		{"nobody, where it came after now", last, nil, touches{touched(1, alice, link, -time.Second)}, id.ID{}, "", "no touch counts"},
		{"nobody, where the code was nobody's", last, nil, touches{touched(1, id.ID{}, code, 0)}, id.ID{}, "", "no touch counts"},
		{"a typed code before an older click, where the first counts", first, nil, touches{touched(1, alice, link, day), touched(2, bob, code, 0)}, bob, code, "it is the only code that was typed that counts"},
		{"a typed code before a newer click, where the last counts", last, nil, touches{touched(1, alice, code, day), touched(2, bob, link, 0)}, alice, code, "it is the only code that was typed that counts"},
		{"the first of two typed codes", first, nil, touches{touched(1, alice, code, day), touched(2, bob, code, 0), touched(3, carol, link, 2*day)}, alice, code, "it is the oldest of 2 touches that count"},
		{"a decision by hand before all", sticky, held(alice, 1), touches{touched(1, alice, code, 2*day), touched(2, bob, manual, 900*day)}, bob, manual, "somebody decided so by hand"},
		{"the newest of two by hand, even where the first counts", first, nil, touches{touched(1, alice, manual, 2*day), touched(2, bob, manual, day)}, bob, manual, "somebody decided so by hand"},
		{"nobody, by hand", last, held(alice, 1), touches{touched(1, alice, link, day), touched(2, id.ID{}, manual, 0)}, id.ID{}, "", "somebody decided by hand that nobody gets the credit"},
		{"as if there were none by hand yet", last, nil, touches{touched(1, alice, link, day), touched(2, bob, manual, -day)}, alice, attribution.ByCookie, "it is the only touch by a cookie that counts"},
		{"the smaller ID, where the moment is the same", first, nil, touches{touched(2, bob, link, day), touched(1, alice, link, day)}, alice, attribution.ByCookie, "it is the oldest of 2 touches that count"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := attribution.Decide(tt.touches, tt.policy, attribution.Case{Held: tt.held, Own: self, Now: now})
			if d.Credited == tt.to.IsZero() || d.Touch.MembershipID != tt.to || d.Method != tt.method || d.Reason != tt.reason {
				t.Errorf("credited: %v, to %v by %q because %q", d.Credited, d.Touch.MembershipID[0], d.Method, d.Reason)
			}
			said := len(d.Passed)
			for _, touch := range tt.touches {
				if touch.ID == d.Touch.ID {
					said++
				}
			}
			if said != len(tt.touches) {
				t.Errorf("%d touches, but something is said of %d: %+v", len(tt.touches), said, d)
			}
		})
	}
}

func TestADecisionSaysWhyEachOtherTouchWasPassedOver(t *testing.T) {
	touches := []attribution.Touch{
		touched(1, alice, attribution.ByLink, 100*day),
		touched(2, self, attribution.ByCode, 3*day),
		touched(3, bob, attribution.ByLink, 2*day),
		touched(4, carol, attribution.ByCode, 2*day),
		touched(5, alice, attribution.ByCode, day),
		touched(6, bob, attribution.ByCode, -day),
		touched(7, id.ID{}, attribution.ByCode, day),
	}
	d := attribution.Decide(touches, attribution.Policy{Mode: attribution.Last, Window: 48 * time.Hour}, attribution.Case{Own: self, Now: now})
	want := []attribution.Passed{
		{TouchID: id.ID{11: 1}, Reason: "it is older than the 2 days for which touches count"},
		{TouchID: id.ID{11: 2}, Reason: "it is of the person's own code"},
		{TouchID: id.ID{11: 7}, Reason: "it is of nobody's code"},
		{TouchID: id.ID{11: 6}, Reason: "it came later"},
		{TouchID: id.ID{11: 3}, Reason: "a code that was typed goes before it"},
		{TouchID: id.ID{11: 4}, Reason: "it is not the newest one"},
	}
	if diff := cmp.Diff(want, d.Passed); diff != "" || d.Touch.ID != touches[4].ID {
		t.Errorf("credited %v; passed over (-want +got):\n%s", d.Touch.ID, diff)
	}
}

func TestAPolicyThatMeansNothingIsRefusedUnderItsPath(t *testing.T) {
	for _, p := range []attribution.Policy{{}, {Mode: attribution.First}, {Mode: attribution.Last, Window: day}, {Mode: attribution.Sticky}} {
		if err := p.Check("settings.attribution"); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	err := attribution.Policy{Mode: "best", Window: -1}.Check("settings.attribution")
	e, ok := errors.AsType[*problem.Error](err)
	if !ok || e.Code != problem.Invalid {
		t.Fatal(err)
	}
	want := []problem.Field{
		{Name: "settings.attribution.mode", Message: "must be first, last or sticky"},
		{Name: "settings.attribution.window", Message: "must not be negative: leave it out, or set it to 0, for touches that count for ever"},
	}
	if diff := cmp.Diff(want, e.Fields); diff != "" {
		t.Errorf("fields (-want +got):\n%s", diff)
	}
}
