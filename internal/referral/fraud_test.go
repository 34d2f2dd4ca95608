package referral_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestEachSignalIsSeenInARegistrationAndDoesWhatTheProgramSays(t *testing.T) {
	anna := referral.Registration{
		Identity: who("anna"), Device: "browser-1", IP: netip.MustParseAddr("93.184.216.34"),
		Patch: person.Patch{FirstName: new("Annabel"), LastName: new("Adamson"), Email: new("anna.adamson@gmail.com")},
	}
	for kind, bert := range map[fraud.Kind]referral.Registration{
		fraud.SimilarName: {Patch: person.Patch{FirstName: new("Anabel"), LastName: new("Adamson")}},
		fraud.SameEmail:   {Patch: person.Patch{Email: new("annaadamson+2@googlemail.com")}},
		fraud.SameDevice:  {Device: "browser-1"},
		fraud.SameIP:      {IP: netip.MustParseAddr("93.184.216.34")},
		fraud.Disposable:  {Patch: person.Patch{Email: new("bert@mailinator.com")}},
	} {
		for action, want := range map[fraud.Action]referral.Moderation{
			fraud.Off: referral.Approved, fraud.Flag: referral.Approved, fraud.Hold: referral.Undecided, fraud.Block: referral.Denied,
		} {
			t.Run(string(kind)+" "+string(action), func(t *testing.T) {
				w := mustWorld(t)
				w.mustProgram(giveAndGet, `{"fraud":{"`+string(kind)+`":{"action":"`+string(action)+`"}}}`)
				first := w.mustRegister(anna)
				r := bert
				r.Identity, r.ReferredBy = who("bert"), []string{first.Codes[0].Text}
				got := w.mustRegister(r).Referrals[0]
				shown := slices.ContainsFunc(got.Signals, func(s fraud.Signal) bool { return s.Kind == kind })
				if shown != (action != fraud.Off) || got.Referrer != want || got.Referred != want {
					t.Errorf("%s/%s with %+v", got.Referrer, got.Referred, got.Signals)
				}
			})
		}
	}
}

func TestARingOfReferralsIsASignal(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first, second := w.mustPair()
	third := w.mustRegister(referral.Registration{Identity: who("carl"), ReferredBy: []string{second.Codes[0].Text}})
	r, err := w.Refer(t.Context(), w.tenant, first.Person.ID, third.Codes[0].Text)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Signals, func(s fraud.Signal) bool { return s.Kind == fraud.Ring }) {
		t.Errorf("%+v", r.Signals)
	}
}

func TestTheTenLatestBrowsersOfBothAreCompared(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Device: "browser-0"})
	for i := range 10 {
		w.mustRegister(referral.Registration{Identity: who("anna"), Device: "browser-" + string(rune('a'+i))})
	}
	for device, want := range map[string]bool{"browser-0": false, "browser-a": true, "browser-j": true} {
		r := w.mustRegister(referral.Registration{Identity: who(device), Device: device, ReferredBy: []string{first.Codes[0].Text}}).Referrals[0]
		if got := slices.ContainsFunc(r.Signals, func(s fraud.Signal) bool { return s.Kind == fraud.SameDevice }); got != want {
			t.Errorf("%s: %+v", device, r.Signals)
		}
	}
}

func TestABrowserOfSomebodyWhomTheReferrerBroughtIsRememberedBehindALaterOne(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	by := []string{first.Codes[0].Text}
	w.mustRegister(referral.Registration{Identity: who("bert"), Device: "laptop"})
	w.mustRegister(referral.Registration{Identity: who("bert"), Device: "phone", ReferredBy: by})
	r := w.mustRegister(referral.Registration{Identity: who("carl"), Device: "laptop", ReferredBy: by}).Referrals[0]
	if !slices.ContainsFunc(r.Signals, func(s fraud.Signal) bool { return s.Kind == fraud.SameDevice }) {
		t.Errorf("%+v", r.Signals)
	}
}

func TestASignalIsLackingOnlyWhereAnEarlierReferralDoesNotShowIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, `{"fraud":{"device":{"action":"flag"}}}`)
	first := w.mustRegister(referral.Registration{Identity: who("anna"), Device: "browser-1"})
	by := []string{first.Codes[0].Text}
	shows := w.mustRegister(referral.Registration{Identity: who("bert"), Device: "browser-1", ReferredBy: by}).Referrals[0]
	without := w.mustRegister(referral.Registration{Identity: who("carl"), Device: "browser-2", ReferredBy: by}).Referrals[0]
	signal := fraud.Signal{Kind: fraud.SameDevice, Details: fraud.Compared{Referrals: []id.ID{shows.ID, without.ID}}}
	var lacking []id.ID
	w.read(func(q db.Queryer) error {
		var err error
		lacking, err = referral.Lacking(q, shows, signal)
		return err
	})
	if !slices.Equal(lacking, []id.ID{without.ID}) {
		t.Errorf("%v lack the signal, and not %v alone", lacking, without.ID)
	}
}
