package referral_test

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/blocklist"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// blocklist returns the block lists of the world's database.
func (w *world) blocklist() *blocklist.Service {
	return blocklist.New(blocklist.Options{DB: w.db, Jobs: job.NewRunner(job.Options{DB: w.db, Logger: slog.New(slog.DiscardHandler)})})
}

func (w *world) mustList(n blocklist.NewEntry) blocklist.Entry {
	w.t.Helper()
	e, _, err := w.blocklist().Add(w.t.Context(), w.tenant, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// mustRefer registers somebody who comes by a referrer's code, and returns the
// referral.
func (w *world) mustRefer(by referral.Registered, r referral.Registration) *referral.Referral {
	w.t.Helper()
	r.ReferredBy = []string{by.Codes[0].Text}
	return w.mustRegister(r).Referrals[0]
}

// onList returns the signal that one of both is on the block list; nil: there is none.
func onList(r *referral.Referral) *fraud.Signal {
	i := slices.IndexFunc(r.Signals, func(s fraud.Signal) bool { return s.Kind == fraud.OnList })
	if i < 0 {
		return nil
	}
	return &r.Signals[i]
}

func TestWhoIsListedIsTreatedAsTheProgramSays(t *testing.T) {
	for action, want := range map[fraud.Action]referral.Moderation{
		"": referral.Denied, fraud.Off: referral.Approved, fraud.Flag: referral.Approved, fraud.Hold: referral.Undecided, fraud.Block: referral.Denied,
	} {
		t.Run("action "+string(action), func(t *testing.T) {
			w := mustWorld(t)
			settings := ""
			if action != "" {
				settings = `{"fraud":{"listed":{"action":"` + string(action) + `"}}}`
			}
			w.mustProgram(giveAndGet, settings)
			w.mustList(blocklist.NewEntry{Kind: blocklist.Email, Value: "bert@example.com"})
			first := w.mustRegister(referral.Registration{Identity: who("anna")})
			got := w.mustRefer(first, referral.Registration{Identity: who("bert"), Patch: person.Patch{Email: new("Bert+1@example.com")}})
			if shown := onList(got) != nil; shown != (action != fraud.Off) || got.Referrer != want || got.Referred != want {
				t.Errorf("%s/%s with %+v", got.Referrer, got.Referred, got.Signals)
			}
		})
	}
}

func TestASignalOfTheListSaysByWhichEntryWhoIsOnIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	anna := referral.Registration{Identity: who("anna"), Device: "annas", IP: netip.MustParseAddr("198.51.100.7"), Patch: person.Patch{Email: new("anna@a.example")}}
	bert := referral.Registration{Identity: who("bert"), Device: "berts", IP: netip.MustParseAddr("203.0.113.7"), Patch: person.Patch{Email: new("bert@b.example")}}
	first := w.mustRegister(anna)
	for n, c := range []struct {
		kind        blocklist.Kind
		value, side string
	}{
		{blocklist.Email, "bert@b.example", "referred"},
		{blocklist.Domain, "b.example", "referred"},
		{blocklist.IP, "203.0.113.0/28", "referred"},
		{blocklist.Device, "berts", "referred"},
		{blocklist.Email, "anna@a.example", "referrer"},
		{blocklist.Domain, "a.example", "referrer"},
		{blocklist.IP, "198.51.100.7", "referrer"},
		{blocklist.Device, "annas", "referrer"},
	} {
		t.Run(c.side+" "+string(c.kind), func(t *testing.T) {
			e := w.mustList(blocklist.NewEntry{Kind: c.kind, Value: c.value})
			bert.Identity = who("bert" + string(rune('a'+n)))
			r := w.mustRefer(first, bert)
			want := fraud.Compared{People: []id.ID{r.ReferredID}, Entry: e.ID, EntryKind: string(c.kind), Side: c.side}
			if c.side == "referrer" {
				want.People = []id.ID{r.ReferrerID}
			}
			got := onList(r)
			if got == nil {
				t.Fatalf("signals are %+v", r.Signals)
			}
			if diff := cmp.Diff(want, got.Details); diff != "" || got.Score != 100 || got.Message == "" {
				t.Errorf("%+v (-want +got):\n%s", got, diff)
			}
			if err := w.blocklist().Remove(t.Context(), w.tenant, e.ID); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestAnEntryConcernsOnlyReferralsThatStartWhileItCounts(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.mustProgram(giveAndGet, "")
		first := w.mustRegister(referral.Registration{Identity: who("anna")})
		refer := func(key string) *referral.Referral {
			return w.mustRefer(first, referral.Registration{Identity: who(key), IP: netip.MustParseAddr("203.0.113.7")})
		}
		before := refer("before")
		w.mustList(blocklist.NewEntry{Kind: blocklist.IP, Value: "203.0.113.7", ExpiresAt: new(time.Now().Add(time.Hour))})
		during := refer("during")
		time.Sleep(time.Hour)
		after := refer("after")
		if onList(before) != nil || onList(during) == nil || onList(after) != nil {
			t.Errorf("signals before, then and after: %+v, %+v, %+v", before.Signals, during.Signals, after.Signals)
		}
		if stands := w.mustGet(during.ID); stands.Referred != referral.Denied || onList(stands) == nil {
			t.Errorf("what was decided is %s with %+v", stands.Referred, stands.Signals)
		}
		if stands := w.mustGet(before.ID); stands.Referred != referral.Approved {
			t.Errorf("what was decided before is %s", stands.Referred)
		}
	})
}

func (w *world) mustGet(of id.ID) *referral.Referral {
	w.t.Helper()
	var r *referral.Referral
	w.read(func(q db.Queryer) error {
		var err error
		r, err = referral.Get(q, w.tenant, of)
		return err
	})
	return r
}

func TestAListOfAnotherTenantConcernsNobody(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	own := w.tenant
	w.tenant = id.New(time.Now())
	w.mustList(blocklist.NewEntry{Kind: blocklist.Domain, Value: "b.example"})
	w.tenant = own
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	if r := w.mustRefer(first, referral.Registration{Identity: who("bert"), Patch: person.Patch{Email: new("bert@b.example")}}); onList(r) != nil {
		t.Errorf("signals are %+v", r.Signals)
	}
}

func TestForgettingSomebodyLeavesTheEntryAndNoWayFromTheReferralToIt(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	e := w.mustList(blocklist.NewEntry{Kind: blocklist.Email, Value: "bert@b.example"})
	first := w.mustRegister(referral.Registration{Identity: who("anna")})
	r := w.mustRefer(first, referral.Registration{Identity: who("bert"), Patch: person.Patch{Email: new("bert@b.example")}})
	named := func() []string {
		var in []string
		for table, text := range w.texts() {
			if (table == "fact" || table == "referral") && strings.Contains(text, strings.ToUpper(e.ID.String())) {
				in = append(in, table)
			}
		}
		slices.Sort(in)
		return in
	}
	if diff := cmp.Diff([]string{"fact", "referral"}, named()); diff != "" {
		t.Errorf("before, the entry is named in (-want +got):\n%s", diff)
	}
	if err := w.Forget(t.Context(), w.tenant, r.ReferredID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	if in := named(); len(in) > 0 {
		t.Errorf("afterwards the entry is named in %s", in)
	}
	if got := onList(w.mustGet(r.ID)); got == nil || got.Details.EntryKind != "email" {
		t.Errorf("the signal is %+v", got)
	}
	if kept, err := w.blocklist().Get(t.Context(), w.tenant, e.ID); err != nil || kept.Value != "bert@b.example" {
		t.Errorf("the entry is %+v, %v", kept, err)
	}
}
