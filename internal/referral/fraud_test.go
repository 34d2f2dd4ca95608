package referral_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
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
