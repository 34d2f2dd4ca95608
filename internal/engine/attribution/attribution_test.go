package attribution_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var compareAddresses = cmpopts.EquateComparable(netip.Addr{})

// world is a tenant with a program, and a person who comes to it.
type world struct {
	*db.DB

	tenant, program, person id.ID
}

func mustWorld(t *testing.T) world {
	t.Helper()
	return world{testkit.OpenDB(t, db.Options{}), id.New(now), id.New(now), id.New(now)}
}

func (w world) mustWrite(t *testing.T, fn func(tx *db.Tx) error) {
	t.Helper()
	if err := w.Write(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// mustRecord stores touches of the world's tenant and program, and returns them as
// they are stored.
func (w world) mustRecord(t *testing.T, touches ...attribution.Touch) []attribution.Touch {
	t.Helper()
	stored := make([]attribution.Touch, len(touches))
	w.mustWrite(t, func(tx *db.Tx) error {
		for i, touch := range touches {
			touch.TenantID, touch.ProgramID = w.tenant, w.program
			var err error
			if stored[i], err = attribution.Record(tx, touch); err != nil {
				return err
			}
		}
		return nil
	})
	return stored
}

// question asks about the world's person.
func (w world) question(mode attribution.Mode, cookies ...string) attribution.Question {
	return attribution.Question{
		TenantID: w.tenant, ProgramID: w.program, PersonID: w.person, Own: self, Cookies: cookies,
		Policy: attribution.Policy{Mode: mode, Window: 90 * day}, Now: now,
	}
}

func (w world) mustAttribute(t *testing.T, q attribution.Question) attribution.Answer {
	t.Helper()
	var a attribution.Answer
	w.mustWrite(t, func(tx *db.Tx) error {
		var err error
		a, err = attribution.Attribute(tx, q)
		return err
	})
	return a
}

func (w world) mustReattribute(t *testing.T, to id.ID) attribution.Answer {
	t.Helper()
	var a attribution.Answer
	w.mustWrite(t, func(tx *db.Tx) error {
		var err error
		a, err = attribution.Reattribute(tx, attribution.Touch{
			TenantID: w.tenant, ProgramID: w.program, PersonID: w.person, MembershipID: to, At: now,
		})
		return err
	})
	return a
}

// mustHolder returns who has the credit for the world's person; zero: nobody.
func (w world) mustHolder(t *testing.T) id.ID {
	t.Helper()
	var a *attribution.Attribution
	w.mustRead(t, func(q db.Queryer) error {
		var err error
		a, err = attribution.Held(q, w.tenant, w.program, w.person)
		return err
	})
	if a == nil {
		return id.ID{}
	}
	return a.MembershipID
}

func (w world) mustRead(t *testing.T, fn func(q db.Queryer) error) {
	t.Helper()
	if err := w.Read(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// click is a visit by a share link, so long ago.
func click(by id.ID, cookie string, ago time.Duration) attribution.Touch {
	return attribution.Touch{Short: "mike12345", MembershipID: by, Method: attribution.ByLink, CookieID: cookie, At: now.Add(-ago)}
}

// typed is a code that the person typed, so long ago.
func (w world) typed(by id.ID, ago time.Duration) attribution.Touch {
	return attribution.Touch{Short: "mike12345", MembershipID: by, Method: attribution.ByCode, PersonID: w.person, At: now.Add(-ago)}
}

// around returns so many codes that the person typed, before now and after it, that
// nobody looks at those in their midst.
func (w world) around(by id.ID) []attribution.Touch {
	var all []attribution.Touch
	for i := range 150 {
		ago := time.Duration(i+1) * time.Second
		all = append(all, w.typed(by, ago), w.typed(by, -ago))
	}
	return all
}

func TestATouchIsReadAsItWasRecorded(t *testing.T) {
	w := mustWorld(t)
	full := attribution.Touch{
		Short: "mike12345", MembershipID: alice, Method: attribution.ByLink, CookieID: "browser",
		Link: code.Link{Engagement: code.Mobile, Share: code.WhatsApp}, IP: netip.MustParseAddr("2001:db8::1"),
		UserAgent: "Mozilla/5.0 (ü)", URL: "https://example.com/?x=1", At: now, PersonID: w.person,
	}
	bare := attribution.Touch{Method: attribution.Manual, At: now}
	for _, touch := range w.mustRecord(t, full, bare) {
		w.mustRead(t, func(q db.Queryer) error {
			got, err := attribution.Get(q, w.tenant, touch.ID)
			if diff := cmp.Diff(touch, got, compareAddresses); diff != "" || touch.ID.IsZero() {
				t.Errorf("touch (-recorded +read):\n%s", diff)
			}
			if _, err := attribution.Get(q, id.ID{7}, touch.ID); !problem.NotFound.Has(err) {
				t.Errorf("for another tenant: %v", err)
			}
			return err
		})
	}
}

func TestWhateverStrangersSendIsKeptAndCut(t *testing.T) {
	w := mustWorld(t)
	touch := w.mustRecord(t, attribution.Touch{
		Method: attribution.ByLink, At: now, CookieID: strings.Repeat("c", 1<<16),
		UserAgent: "bot\x00\xff" + strings.Repeat("ü", 1<<20), URL: strings.Repeat("\xff", 1<<20) + "https://example.com",
		IP: netip.MustParseAddr("::ffff:192.0.2.7"),
	})[0]
	got := []int{len(touch.CookieID), len(touch.UserAgent), len(touch.URL)}
	if diff := cmp.Diff([]int{64, 511, 0}, got); diff != "" || !strings.HasPrefix(touch.UserAgent, "botüü") || touch.IP.String() != "192.0.2.7" {
		t.Errorf("from %s; bytes (-want +got):\n%s", touch.IP, diff)
	}
}

func TestTouchesAreListedByBrowserAndPersonTheNewestFirstAPageAtATime(t *testing.T) {
	w := mustWorld(t)
	var touches []attribution.Touch
	for i := range 7 {
		touch := click(alice, "browser", time.Duration(i/2)*day) // two of each moment
		touch.PersonID = w.person
		touches = append(touches, touch)
	}
	other := click(alice, "another", 0)
	w.mustRecord(t, append(touches, other)...)
	for name, list := range map[string]func(q db.Queryer, p attribution.Page) ([]attribution.Touch, error){
		"browser": func(q db.Queryer, p attribution.Page) ([]attribution.Touch, error) {
			return attribution.OfCookie(q, w.tenant, "browser", p)
		},
		"person": func(q db.Queryer, p attribution.Page) ([]attribution.Touch, error) {
			return attribution.OfPerson(q, w.tenant, w.person, p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var listed []attribution.Touch
			for page := (attribution.Page{Limit: 3}); ; page.Before = listed[len(listed)-1] {
				var part []attribution.Touch
				w.mustRead(t, func(q db.Queryer) error {
					var err error
					part, err = list(q, page)
					return err
				})
				if len(part) == 0 {
					break
				}
				listed = append(listed, part...)
			}
			seen := map[id.ID]bool{}
			for i, touch := range listed {
				if seen[touch.ID] || i > 0 && touch.At.After(listed[i-1].At) {
					t.Errorf("touch %d of %v at %v is out of order", i, touch.ID, touch.At)
				}
				seen[touch.ID] = true
			}
			if len(listed) != 7 {
				t.Errorf("%d touches", len(listed))
			}
		})
	}
}

func TestTheCreditIsGivenOnceAndTheAnswerIsTheSameAgain(t *testing.T) {
	w := mustWorld(t)
	touch := w.mustRecord(t, w.typed(alice, 0))[0]
	want := &attribution.Attribution{
		TenantID: w.tenant, ProgramID: w.program, PersonID: w.person, MembershipID: alice, Method: attribution.ByCode,
		TouchID: touch.ID, Policy: attribution.Policy{Mode: attribution.Last, Window: 90 * day}, At: now,
	}
	for _, change := range []attribution.Change{attribution.Gained, attribution.Unchanged, attribution.Unchanged} {
		a := w.mustAttribute(t, w.question(attribution.Last))
		if diff := cmp.Diff(want, a.Attribution); diff != "" || a.Change != change {
			t.Errorf("%s (-want +got):\n%s", a.Change, diff)
		}
	}
}

func TestWithoutATouchNobodyGetsTheCredit(t *testing.T) {
	w := mustWorld(t)
	a := w.mustAttribute(t, w.question(attribution.Last, "browser", ""))
	if a.Attribution != nil || a.Change != attribution.Unchanged || a.Decision.Credited || w.mustHolder(t) != (id.ID{}) {
		t.Errorf("%+v", a)
	}
}

func TestWhoHasTheCreditKeepsItWhereThatIsThePolicyAndLosesItToANewerTouchElse(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, click(alice, "browser", 2*day))
	if a := w.mustAttribute(t, w.question(attribution.Sticky, "browser")); a.Change != attribution.Gained || a.Attribution.Method != attribution.ByCookie {
		t.Errorf("%+v", a)
	}
	w.mustRecord(t, click(bob, "browser", day))
	if a := w.mustAttribute(t, w.question(attribution.Sticky, "browser")); a.Change != attribution.Unchanged || w.mustHolder(t) != alice {
		t.Errorf("%+v", a)
	}
	if a := w.mustAttribute(t, w.question(attribution.Last, "browser")); a.Change != attribution.Moved || w.mustHolder(t) != bob {
		t.Errorf("%+v", a)
	}
}

func TestWhoHasTheCreditKeepsItWhenTheWindowHasPassed(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, w.typed(alice, 0))
	w.mustAttribute(t, w.question(attribution.Last))
	q := w.question(attribution.Last)
	q.Now = now.Add(91 * day)
	if a := w.mustAttribute(t, q); a.Change != attribution.Unchanged || a.Decision.Credited || w.mustHolder(t) != alice {
		t.Errorf("%+v", a)
	}
}

func TestABrowsersTouchesBecomeThoseOfWhoeverIsKnownByItFirst(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, click(alice, "browser", day), click(alice, "another", day))
	w.mustAttribute(t, w.question(attribution.Last, "browser"))
	sibling := w
	sibling.person = id.New(now)
	if a := sibling.mustAttribute(t, sibling.question(attribution.Last, "browser")); a.Change != attribution.Gained {
		t.Errorf("a second person at the same browser: %+v", a)
	}
	w.mustRead(t, func(q db.Queryer) error {
		ours, err := attribution.OfPerson(q, w.tenant, w.person, attribution.Page{})
		theirs, err2 := attribution.OfPerson(q, w.tenant, sibling.person, attribution.Page{})
		if len(ours) != 1 || len(theirs) != 0 || err2 != nil {
			t.Errorf("%d touches of the first, %d of the second, %v", len(ours), len(theirs), err2)
		}
		return err
	})
}

func TestWhatAnotherPersonTypedAtTheSameBrowserIsTheirsAlone(t *testing.T) {
	w := mustWorld(t)
	typed := w.typed(bob, 0)
	typed.CookieID = "browser"
	w.mustRecord(t, typed, click(alice, "browser", day))
	sibling := w
	sibling.person = id.New(now)
	sibling.mustAttribute(t, sibling.question(attribution.Last, "browser"))
	if got := sibling.mustHolder(t); got != alice {
		t.Errorf("the credit for who only clicked goes to %v", got)
	}
}

func TestTouchesOfAnotherTenantOrProgramDoNotCount(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, click(alice, "browser", day), w.typed(alice, 0))
	tenant, program := w, w
	tenant.tenant, program.program = id.New(now), id.New(now)
	for name, other := range map[string]world{"tenant": tenant, "program": program} {
		if a := other.mustAttribute(t, other.question(attribution.Last, "browser")); a.Decision.Reason != "there is no touch" {
			t.Errorf("another %s: %+v", name, a)
		}
	}
}

func TestAChangeByHandHoldsWhateverComesAfter(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, w.typed(alice, day))
	w.mustAttribute(t, w.question(attribution.Last))
	if a := w.mustReattribute(t, bob); a.Change != attribution.Moved || a.Attribution.Method != attribution.Manual {
		t.Errorf("%+v", a)
	}
	if a := w.mustReattribute(t, bob); a.Change != attribution.Unchanged {
		t.Errorf("once more: %+v", a)
	}
	w.mustRecord(t, w.around(carol)...)
	later := w.question(attribution.Last)
	later.Now, later.Policy.Window = now.Add(1000*day), 0
	for _, mode := range []attribution.Mode{attribution.First, attribution.Last, attribution.Sticky} {
		later.Policy.Mode = mode
		if a := w.mustAttribute(t, later); a.Change != attribution.Unchanged || w.mustHolder(t) != bob {
			t.Errorf("%s: %+v", mode, a.Attribution)
		}
	}
}

func TestACreditThatWasTakenAwayByHandIsNotGivenAgain(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, w.typed(alice, day))
	w.mustAttribute(t, w.question(attribution.Last))
	if a := w.mustReattribute(t, id.ID{}); a.Change != attribution.Lost || a.Attribution != nil {
		t.Errorf("%+v", a)
	}
	w.mustRecord(t, w.around(carol)...)
	q := w.question(attribution.Sticky)
	q.Now, q.Policy.Window = now.Add(time.Hour), 0
	if a := w.mustAttribute(t, q); a.Change != attribution.Unchanged || a.Attribution != nil || w.mustHolder(t) != (id.ID{}) {
		t.Errorf("%+v", a)
	}
	if a := w.mustReattribute(t, id.ID{}); a.Change != attribution.Unchanged {
		t.Errorf("once more: %+v", a)
	}
	if a := w.mustReattribute(t, bob); a.Change != attribution.Gained || w.mustHolder(t) != bob {
		t.Errorf("given by hand: %+v", a)
	}
}

func TestTheFirstThatTheWindowHasIsFoundAmongAThousandTouches(t *testing.T) {
	w := mustWorld(t)
	touches := []attribution.Touch{click(bob, "browser", 89*day)}
	for i := range 999 {
		touches = append(touches, click(carol, "browser", time.Duration(i)*time.Minute))
	}
	for i := range 120 {
		touches = append(touches, click(alice, "browser", 91*day+time.Duration(i)*time.Minute))
	}
	w.mustRecord(t, touches...)
	if w.mustAttribute(t, w.question(attribution.First, "browser")); w.mustHolder(t) != bob {
		t.Errorf("the credit goes to %v", w.mustHolder(t))
	}
}

func TestTouchesThatStayedNobodysArePrunedAFewAtATimeAndTheOthersStay(t *testing.T) {
	w := mustWorld(t)
	w.mustRecord(t, click(alice, "a", 40*day), click(alice, "b", 35*day), click(alice, "c", 31*day), click(alice, "d", 30*day),
		w.typed(alice, 50*day))
	other := w
	other.tenant = id.New(now)
	kept := other.mustRecord(t, click(alice, "a", 40*day))[0]
	for _, want := range []int64{2, 1, 0} {
		var removed int64
		w.mustWrite(t, func(tx *db.Tx) error {
			var err error
			removed, err = attribution.Prune(tx, w.tenant, now.Add(-30*day), 2)
			return err
		})
		if removed != want {
			t.Errorf("%d touches were removed, want %d", removed, want)
		}
	}
	w.mustRead(t, func(q db.Queryer) error {
		for browser, want := range map[string]int{"a": 0, "b": 0, "c": 0, "d": 1} {
			left, err := attribution.OfCookie(q, w.tenant, browser, attribution.Page{})
			if len(left) != want || err != nil {
				t.Errorf("left of the browser %s: %+v, %v", browser, left, err)
			}
		}
		typed, err := attribution.OfPerson(q, w.tenant, w.person, attribution.Page{})
		if len(typed) != 1 {
			t.Errorf("left of the person: %+v", typed)
		}
		_, err2 := attribution.Get(q, other.tenant, kept.ID)
		if err2 != nil {
			t.Errorf("another tenant's: %v", err2)
		}
		return err
	})
}

func TestTheTouchThatHasTheCreditIsNotPruned(t *testing.T) {
	w := mustWorld(t)
	touches := []attribution.Touch{click(alice, "browser", 80*day)}
	for i := range 300 {
		touches = append(touches, click(bob, "browser", 70*day+time.Duration(i)*time.Minute))
	}
	first := w.mustRecord(t, touches...)[0]
	w.mustAttribute(t, w.question(attribution.First, "browser"))
	w.mustWrite(t, func(tx *db.Tx) error {
		removed, err := attribution.Prune(tx, w.tenant, now, 1000)
		if removed != 100 { // 200 have become the person's besides
			t.Errorf("%d touches were removed", removed)
		}
		return err
	})
	w.mustRead(t, func(q db.Queryer) error {
		_, err := attribution.Get(q, w.tenant, first.ID)
		return err
	})
	if a := w.mustAttribute(t, w.question(attribution.First, "browser")); a.Change != attribution.Unchanged || a.Decision.Touch.ID != first.ID {
		t.Errorf("%+v", a)
	}
}
