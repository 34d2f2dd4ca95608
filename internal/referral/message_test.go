package referral_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// mustSay has people be written to, in the words of a template.
func (w *world) mustSay(about message.Type, text string) {
	w.t.Helper()
	jobs := job.NewRunner(job.Options{DB: w.db})
	messages := w.serve(jobs)
	err := w.db.Write(w.t.Context(), func(tx *db.Tx) error {
		return message.SetTemplate(tx, w.tenant, message.Place{Type: about}, message.Template{Subject: "Ours", Message: text})
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := messages.Publish(w.t.Context(), w.tenant); err != nil {
		w.t.Fatal(err)
	}
	jobs.Start()
	synctest.Wait()
	jobs.Stop()
}

// An account of many people converts all of their referrals in one transaction.
func TestATemplateThatTakesTooMuchCostsNobodyButItsOwnWords(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		const people = 30
		w := mustWorld(t)
		w.mustProgram(giveAndGet, "")
		w.mustSay(message.ReferralPaid, `{{range 40000}}{{end}}You are great.`)
		anna := w.mustRegister(referral.Registration{Identity: who("anna")})
		for i := range people {
			w.mustRegister(referral.Registration{
				Identity: who(fmt.Sprint("friend-", i)), Patch: person.Patch{Account: new("crowd")}, ReferredBy: []string{anna.Codes[0].Text},
			})
		}
		if _, err := w.SetAccount(t.Context(), w.tenant, person.AccountPatch{Key: "crowd", State: person.Paid}); err != nil {
			t.Fatal(err)
		}
		if _, n, err := w.Referrals(t.Context(), w.tenant, referral.Filter{State: referral.IsConverted, Limit: 1}); err != nil || n != people {
			t.Errorf("%d are converted, %v", n, err)
		}
		ours, builtIn := 0, 0
		for _, f := range w.sink.facts {
			m, ok := f.Data.(*referral.Message)
			switch {
			case !ok || m.Type != string(message.ReferralPaid):
			case m.Fallback == "" && m.Subject == "Ours":
				ours++
			case strings.Contains(m.Fallback, "together") && strings.HasPrefix(m.Subject, "Congratulations!"):
				builtIn++
			default:
				t.Errorf("%+v", m)
			}
		}
		if ours == 0 || builtIn == 0 || ours+builtIn != people {
			t.Errorf("%d messages are in the tenant's words, and %d in those that are built in", ours, builtIn)
		}
	})
}

func TestNobodyIsLeftWithAMessageThatNamesAReferrerWhoWasForgotten(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		w.mustProgram(giveAndGet, "")
		w.mustSay(message.ReferredRewardEarned, `{{.referrerUser.firstName}} has invited you.`)
		anna := w.mustRegister(referral.Registration{Identity: who("a"), Patch: person.Patch{FirstName: new("Annabell")}})
		bert := w.mustRegister(referral.Registration{Identity: who("b"), ReferredBy: []string{anna.Codes[0].Text}})
		w.mustTrack(bert.Person, purchase("1", 7000))
		w.mustHaveAll(planted{"Annabell has invited you"})
		if err := w.Forget(t.Context(), w.tenant, anna.Person.ID, person.Deletion{}); err != nil {
			t.Fatal(err)
		}
		w.mustHaveNone(planted{"Annabell"})
	})
}
