package fraud_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/id"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// number is the n-th id of a test.
func number(n byte) id.ID { return id.ID{11: n} }

// honest is a referral without any signal: Wim refers Chidi, after he referred two
// others days ago.
func honest() fraud.Evidence {
	return fraud.Evidence{
		Referrer: fraud.Person{
			ID: number(1), FirstName: "Wim", LastName: "Dekker", Email: "wim@dekker-bikes.example",
			IPs: addrs("203.0.113.1"), Devices: []string{"cookie-wim"},
		},
		Referred: fraud.Person{
			ID: number(2), FirstName: "Chidi", LastName: "Okafor", Email: "chidi@okafor.example",
			IPs: addrs("198.51.100.2"), Devices: []string{"cookie-chidi"},
		},
		At:    now,
		Touch: fraud.Touch{IP: netip.MustParseAddr("198.51.100.2"), Device: "cookie-chidi"},
		Recent: []fraud.Referral{
			before(3, 48*time.Hour, fraud.Person{Email: "lea@laurent.example", IPs: addrs("192.0.2.3"), Devices: []string{"cookie-lea"}}),
			before(4, 72*time.Hour, fraud.Person{Email: "yaw@mensah.example", IPs: addrs("192.0.2.4"), Devices: []string{"cookie-yaw"}}),
		},
	}
}

// before is a referral of person n that began so long before now. Its id is n+100.
func before(n byte, ago time.Duration, p fraud.Person) fraud.Referral {
	p.ID = number(n)
	return fraud.Referral{ID: number(n + 100), At: now.Add(-ago), Referred: p}
}

func addrs(texts ...string) []netip.Addr {
	var list []netip.Addr
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}

// others are n more referrals of the referrer: what is set says of the i-th, which
// begins with 0, who was referred. They began an hour after each other.
func others(n int, set func(i int, p *fraud.Person)) []fraud.Referral {
	list := make([]fraud.Referral, n)
	for i := range list {
		var p fraud.Person
		set(i, &p)
		list[i] = before(byte(10+i), time.Duration(i+1)*time.Hour, p)
	}
	return list
}

func kinds(v fraud.Verdict) []fraud.Kind {
	var list []fraud.Kind
	for _, s := range v.Signals {
		list = append(list, s.Kind)
	}
	return list
}

func TestAnHonestReferralHasNoSignal(t *testing.T) {
	v := fraud.Evaluate(honest(), fraud.Settings{}, now)
	if diff := cmp.Diff(fraud.Verdict{At: now, Outcome: fraud.None, Signals: []fraud.Signal{}}, v); diff != "" {
		t.Errorf("verdict (-want +got):\n%s", diff)
	}
}

func TestNothingKnownIsNoSignal(t *testing.T) {
	nobody := fraud.Evidence{Recent: others(3, func(int, *fraud.Person) {})}
	if v := fraud.Evaluate(nobody, fraud.Settings{}, now.Add(48*time.Hour)); len(v.Signals) > 0 {
		t.Errorf("signals are %v, want none", kinds(v))
	}
}

// signalCase changes an honest referral, and says whether there is a signal then.
type signalCase struct {
	change func(e *fraud.Evidence, s *fraud.Settings)
	want   bool
}

func runSignalCases(t *testing.T, kind fraud.Kind, cases map[string]signalCase) {
	t.Helper()
	for about, c := range cases {
		t.Run(about, func(t *testing.T) {
			e, s := honest(), fraud.Settings{}
			c.change(&e, &s)
			if err := s.Validate("fraud"); err != nil {
				t.Fatal(err)
			}
			v := fraud.Evaluate(e, s, now)
			if got := slices.Contains(kinds(v), kind); got != c.want {
				t.Errorf("there is a signal %q: %t, want %t; all: %v", kind, got, c.want, kinds(v))
			}
		})
	}
}

func TestSelfReferralIsASignal(t *testing.T) {
	runSignalCases(t, fraud.Self, map[string]signalCase{
		"one person on both sides":                 {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.ID = e.Referrer.ID }, true},
		"a link followed on the referrer's device": {func(e *fraud.Evidence, _ *fraud.Settings) { e.Touch.Device = "cookie-wim" }, true},
		"a link followed at the referrer's address is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Touch.IP = e.Referrer.IPs[0]
		}, false},
		"no device known is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Touch.Device, e.Referrer.Devices = "", []string{""}
		}, false},
	})
}

func TestWhoIsOnTheBlockListIsBlockedUnlessTheSettingsSayOtherwise(t *testing.T) {
	referred, referrer := fraud.Entry{ID: number(9), Kind: "email"}, fraud.Entry{ID: number(8), Kind: "ip", Referrer: true}
	for about, c := range map[string]struct {
		listed []fraud.Entry
		action fraud.Action
		want   fraud.Outcome
		shown  fraud.Compared
	}{
		"nobody":       {nil, "", fraud.None, fraud.Compared{}},
		"the referred": {[]fraud.Entry{referred}, "", fraud.Blocked, fraud.Compared{People: []id.ID{number(2)}, Entry: number(9), EntryKind: "email", Side: "referred"}},
		"the referrer": {[]fraud.Entry{referrer}, "", fraud.Blocked, fraud.Compared{People: []id.ID{number(1)}, Entry: number(8), EntryKind: "ip", Side: "referrer"}},
		"both": {
			[]fraud.Entry{referred, referrer},
			fraud.Hold, fraud.Held,
			fraud.Compared{People: []id.ID{number(2)}, Entry: number(9), EntryKind: "email", Side: "referred"},
		},
		"not looked for": {[]fraud.Entry{referred}, fraud.Off, fraud.None, fraud.Compared{}},
	} {
		t.Run(about, func(t *testing.T) {
			e := honest()
			e.Listed = c.listed
			v := fraud.Evaluate(e, fraud.Settings{Listed: fraud.Rule{Action: c.action}}, now)
			var shown fraud.Compared
			for _, s := range v.Signals {
				shown = s.Details
			}
			if diff := cmp.Diff(c.shown, shown); diff != "" || v.Outcome != c.want {
				t.Errorf("the outcome is %q of %v, want %q (-want +got):\n%s", v.Outcome, kinds(v), c.want, diff)
			}
		})
	}
}

func TestARingIsASignal(t *testing.T) {
	runSignalCases(t, fraud.Ring, map[string]signalCase{
		"each referred the other": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Ring = []id.ID{number(1), number(2)}
		}, true},
		"over three others": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Ring = []id.ID{number(1), number(5), number(6), number(7), number(2)}
		}, true},
	})
}

func TestTheSameEmailIsASignal(t *testing.T) {
	runSignalCases(t, fraud.SameEmail, map[string]signalCase{
		"with a tag": {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "Wim+friend@Dekker-Bikes.example" }, true},
		"with dots at Google": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Email, e.Referred.Email = "wim.dekker@gmail.com", "w.i.m.dekker@googlemail.com"
		}, true},
		"with dots elsewhere is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Email, e.Referred.Email = "wim.dekker@web.de", "wimdekker@web.de"
		}, false},
		"of another whom the referrer referred": {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "lea+2@laurent.example" }, true},
		"of the same person, referred before, is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Recent[0].Referred = e.Referred
		}, false},
		"what is no address is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Email, e.Referred.Email = "none", "none"
		}, false},
	})
}

func TestTheSameDeviceIsASignal(t *testing.T) {
	runSignalCases(t, fraud.SameDevice, map[string]signalCase{
		"as the referrer": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referred.Devices = []string{"phone", "cookie-wim"}
		}, true},
		"as another whom the referrer referred": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referred.Devices = []string{"cookie-yaw"}
		}, true},
		"no device is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Devices, e.Referred.Devices = []string{""}, []string{""}
		}, false},
	})
}

func TestATemporaryMailboxIsASignal(t *testing.T) {
	runSignalCases(t, fraud.Disposable, map[string]signalCase{
		"of the referred":                  {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "x@mailinator.com" }, true},
		"of the referrer":                  {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referrer.Email = "x@mailinator.com" }, true},
		"below a domain of the list":       {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "x@a.b.YOPmail.com" }, true},
		"a domain that ends alike is none": {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "x@notyopmail.com" }, false},
		"that the tenant added": {func(e *fraud.Evidence, s *fraud.Settings) {
			s.Disposable.Domains = []string{"okafor.example"}
		}, true},
		"that the tenant allows is none": {func(e *fraud.Evidence, s *fraud.Settings) {
			e.Referred.Email, s.Disposable.Allowed = "x@mailinator.com", []string{"mailinator.com"}
		}, false},
	})
}

func TestNumberedEmailsAreASignal(t *testing.T) {
	numbered := func(e *fraud.Evidence, addresses ...string) {
		e.Referred.Email = addresses[0]
		e.Recent = others(len(addresses)-1, func(i int, p *fraud.Person) { p.Email = addresses[i+1] })
	}
	runSignalCases(t, fraud.Sequential, map[string]signalCase{
		"two neighbours": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "user3@gmail.com", "user1@gmail.com", "User2@gmail.com")
		}, true},
		"numbers with zeros, and none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "name@a.example", "name001@a.example", "name002@a.example")
		}, true},
		"one neighbour is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "user3@gmail.com", "user1@gmail.com", "other2@gmail.com")
		}, false},
		"one neighbour, where one is enough": {func(e *fraud.Evidence, s *fraud.Settings) {
			numbered(e, "user3@gmail.com", "user1@gmail.com")
			s.Sequential.Count = 1
		}, true},
		"at different domains is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "user3@gmail.com", "user1@web.de", "user2@web.de")
		}, false},
		"the same address thrice is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "user1@gmail.com", "user1@gmail.com", "user1+a@gmail.com")
		}, false},
		"numbers only is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			numbered(e, "1001@qq.com", "1002@qq.com", "1003@qq.com")
		}, false},
	})
}

func TestSimilarNamesAreASignal(t *testing.T) {
	named := func(e *fraud.Evidence, first, last string) { e.Referred.FirstName, e.Referred.LastName = first, last }
	runSignalCases(t, fraud.SimilarName, map[string]signalCase{
		"misspelt": {func(e *fraud.Evidence, _ *fraud.Settings) { named(e, "Wim", "Dekekr") }, true},
		"at the threshold": {func(e *fraud.Evidence, s *fraud.Settings) {
			named(e, "W", "Dekker")
			s.Name.Threshold = 90
		}, true},
		"just below the threshold is none": {func(e *fraud.Evidence, s *fraud.Settings) {
			named(e, "W", "Dekker")
			s.Name.Threshold = 91
		}, false},
		"the surname only is none": {func(e *fraud.Evidence, _ *fraud.Settings) { named(e, "Griet", "Dekker") }, false},
	})
}

func TestTheSameAddressIsASignal(t *testing.T) {
	both := func(e *fraud.Evidence, referrer, referred string) {
		e.Referrer.IPs, e.Referred.IPs = addrs(referrer), addrs(referred)
	}
	crowd := func(e *fraud.Evidence, n int) {
		e.Recent = others(n, func(_ int, p *fraud.Person) { p.IPs = addrs("198.51.100.2") })
	}
	runSignalCases(t, fraud.SameIP, map[string]signalCase{
		"as the referrer":           {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "203.0.113.9", "203.0.113.9") }, true},
		"written as IPv6":           {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "203.0.113.9", "::ffff:203.0.113.9") }, true},
		"of the visit":              {func(e *fraud.Evidence, _ *fraud.Settings) { e.Touch.IP = netip.MustParseAddr("203.0.113.1") }, true},
		"in one household":          {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "2001:db8:1:2::1", "2001:db8:1:2:ffff::9") }, true},
		"in two households is none": {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "2001:db8:1:2::1", "2001:db8:1:3::1") }, false},
		"next to each other is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			both(e, "203.0.113.8", "203.0.113.9")
		}, false},
		"in one network, if the tenant says so": {func(e *fraud.Evidence, s *fraud.Settings) {
			both(e, "203.0.113.8", "203.0.113.9")
			s.IP.IPv4Bits = 24
		}, true},
		"private is none":  {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "10.0.0.1", "10.0.0.1") }, false},
		"loopback is none": {func(e *fraud.Evidence, _ *fraud.Settings) { both(e, "127.0.0.1", "127.0.0.1") }, false},
		"allowed is none": {func(e *fraud.Evidence, s *fraud.Settings) {
			both(e, "203.0.113.9", "203.0.113.9")
			s.IP.Allowed = []string{"203.0.113.0/24"}
		}, false},
		"allowed, but another network": {func(e *fraud.Evidence, s *fraud.Settings) {
			both(e, "203.0.113.9", "203.0.113.9")
			s.IP.Allowed = []string{"203.0.113.8"}
		}, true},
		"as three others":       {func(e *fraud.Evidence, _ *fraud.Settings) { crowd(e, 3) }, true},
		"as two others is none": {func(e *fraud.Evidence, _ *fraud.Settings) { crowd(e, 2) }, false},
		"as three others, one of them before the window, is none": {func(e *fraud.Evidence, s *fraud.Settings) {
			crowd(e, 3)
			s.IP.Window = 3 * 3600 // the third began three hours ago
		}, false},
	})
}

func TestManyReferralsWithinAShortTimeAreASignal(t *testing.T) {
	at := func(e *fraud.Evidence, ago ...time.Duration) {
		e.Recent = nil
		for i, d := range ago {
			e.Recent = append(e.Recent, before(byte(10+i), d, fraud.Person{}))
		}
	}
	runSignalCases(t, fraud.Rate, map[string]signalCase{
		"the fourth in half an hour": {func(e *fraud.Evidence, _ *fraud.Settings) {
			at(e, 0, time.Minute, 30*time.Minute-time.Microsecond)
		}, true},
		"the third is none": {func(e *fraud.Evidence, _ *fraud.Settings) { at(e, time.Minute, 2*time.Minute) }, false},
		"the fourth after exactly half an hour is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			at(e, time.Minute, 2*time.Minute, 30*time.Minute)
		}, false},
		"the second, where one may be": {func(e *fraud.Evidence, s *fraud.Settings) {
			at(e, time.Minute)
			s.Rate.Count = 1
		}, true},
		"what began later does not count": {func(e *fraud.Evidence, _ *fraud.Settings) {
			at(e, time.Minute, 2*time.Minute, -time.Minute)
		}, false},
	})
}

func TestTheSameDomainIsASignal(t *testing.T) {
	crowd := func(e *fraud.Evidence, n int) {
		e.Recent = others(n, func(i int, p *fraud.Person) { p.Email = fmt.Sprintf("%c@okafor.example", 'a'+i) })
	}
	runSignalCases(t, fraud.SameDomain, map[string]signalCase{
		"as the referrer": {func(e *fraud.Evidence, _ *fraud.Settings) { e.Referred.Email = "chidi@dekker-bikes.example" }, true},
		"that is everybody's is none": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Email, e.Referred.Email = "wim@gmail.com", "chidi@gmail.com"
		}, false},
		"in another script": {func(e *fraud.Evidence, _ *fraud.Settings) {
			e.Referrer.Email, e.Referred.Email = "wim@bücher.example", "chidi@xn--bcher-kva.example"
		}, true},
		"allowed is none": {func(e *fraud.Evidence, s *fraud.Settings) {
			e.Referred.Email, s.Domain.Allowed = "chidi@dekker-bikes.example", []string{"dekker-bikes.example"}
		}, false},
		"as three others":       {func(e *fraud.Evidence, _ *fraud.Settings) { crowd(e, 3) }, true},
		"as two others is none": {func(e *fraud.Evidence, _ *fraud.Settings) { crowd(e, 2) }, false},
	})
}

func TestTheSignalOfARateNamesTheReferralsBefore(t *testing.T) {
	e := honest()
	e.Recent = []fraud.Referral{
		before(10, time.Minute, fraud.Person{}), before(11, 2*time.Minute, fraud.Person{}), before(12, 3*time.Minute, fraud.Person{}),
		before(13, time.Hour, fraud.Person{}),
	}
	v := fraud.Evaluate(e, fraud.Settings{}, now)
	want := []fraud.Signal{{
		Kind: fraud.Rate, Action: fraud.Flag, Score: 50, Message: "Referrer has referred more people in a short time than usual",
		Details: fraud.Compared{Referrals: []id.ID{number(110), number(111), number(112)}, Count: 4, Limit: 3, Window: 1800},
	}}
	if diff := cmp.Diff(want, v.Signals); diff != "" {
		t.Errorf("signals (-want +got):\n%s", diff)
	}
}

func TestTheSignalOfANameReadsAsTheVendorsDoes(t *testing.T) {
	e := honest()
	e.Referred.FirstName, e.Referred.LastName = "WIM", "Dékker"
	body, err := json.Marshal(fraud.Evaluate(e, fraud.Settings{}, now).Signals)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"name":"name","action":"flag","score":50,"message":"Referrer and referred have very similar names",` +
		`"evidence":{"people":["000000000000000000000001"],"similarity":100,"threshold":75}}]`
	if string(body) != want {
		t.Errorf("signals are %s, want %s", body, want)
	}
}

func TestAVerdictRepeatsNoAddressesAndNoNames(t *testing.T) {
	e := honest()
	e.Referred = e.Referrer
	e.Referred.ID = number(2)
	e.Referred.Email = "wim+2@dekker-bikes.example"
	v := fraud.Evaluate(e, fraud.Settings{}, now)
	for _, kind := range []fraud.Kind{fraud.SameEmail, fraud.SameDevice, fraud.SimilarName, fraud.SameIP, fraud.SameDomain} {
		if !slices.Contains(kinds(v), kind) {
			t.Errorf("signals are %v, want %q among them", kinds(v), kind)
		}
	}
	body, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"Wim", "Dekker", "wim@", "203.0.113", "cookie"} {
		if strings.Contains(string(body), secret) {
			t.Errorf("the verdict %s has %q in it", body, secret)
		}
	}
}

func TestTheStrictestActionIsTheOutcome(t *testing.T) {
	for about, c := range map[string]struct {
		name, email fraud.Action
		want        fraud.Outcome
	}{
		"nothing looked for": {fraud.Off, fraud.Off, fraud.None},
		"flag by default":    {"", "", fraud.Flagged},
		"flag and off":       {fraud.Flag, fraud.Off, fraud.Flagged},
		"flag and hold":      {fraud.Flag, fraud.Hold, fraud.Held},
		"hold and flag":      {fraud.Hold, fraud.Flag, fraud.Held},
		"block and hold":     {fraud.Block, fraud.Hold, fraud.Blocked},
		"hold and block":     {fraud.Hold, fraud.Block, fraud.Blocked},
	} {
		t.Run(about, func(t *testing.T) {
			e := honest()
			e.Referred.FirstName, e.Referred.LastName = e.Referrer.FirstName, e.Referrer.LastName
			e.Referred.Email = e.Referrer.Email
			s := fraud.Settings{Domain: fraud.DomainRule{Action: fraud.Off}}
			s.Name.Action, s.Email.Action = c.name, c.email
			if v := fraud.Evaluate(e, s, now); v.Outcome != c.want {
				t.Errorf("outcome is %q of %v, want %q", v.Outcome, kinds(v), c.want)
			}
		})
	}
}

func TestAReferralJudgedLaterIsJudgedAlike(t *testing.T) {
	e := honest()
	e.Recent = []fraud.Referral{
		before(10, time.Minute, fraud.Person{}), before(11, 2*time.Minute, fraud.Person{}), before(12, 3*time.Minute, fraud.Person{}),
	}
	at := fraud.Evaluate(e, fraud.Settings{}, now)
	later := fraud.Evaluate(e, fraud.Settings{}, now.Add(24*time.Hour))
	if diff := cmp.Diff(at.Signals, later.Signals); diff != "" || len(at.Signals) == 0 {
		t.Errorf("signals a day later (-at once +later):\n%s", diff)
	}
}

func TestOnlySoMuchEvidenceCounts(t *testing.T) {
	e := honest()
	e.Recent = others(fraud.MaxRecent+50, func(i int, p *fraud.Person) {
		if i >= fraud.MaxRecent {
			p.Email = e.Referred.Email
		}
	})
	if v := fraud.Evaluate(e, fraud.Settings{}, now); slices.Contains(kinds(v), fraud.SameEmail) {
		t.Errorf("signals are %v; a referral beyond the %d newest counted", kinds(v), fraud.MaxRecent)
	}
}

func BenchmarkEvaluateWithAllEvidence(b *testing.B) {
	e := honest()
	e.Recent = others(fraud.MaxRecent, func(i int, p *fraud.Person) {
		p.Email = fmt.Sprintf("person.%d@some-domain-%d.example", i, i)
		p.IPs = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(100 + i)})}
		p.Devices = []string{fmt.Sprint("cookie-", i)}
	})
	for b.Loop() {
		fraud.Evaluate(e, fraud.Settings{}, now)
	}
}
