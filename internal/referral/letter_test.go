package referral_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// leaves are the paths of all that templates may name.
func leaves(prefix string, object map[string]any) []string {
	var paths []string
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if fields, ok := object[name].(map[string]any); ok && len(fields) > 0 {
			paths = append(paths, leaves(prefix+name+".", fields)...)
			continue
		}
		paths = append(paths, prefix+name)
	}
	return paths
}

// What the sample shows a theme's author is what real messages have.
func TestAMessageHasTheValuesOfItsSample(t *testing.T) {
	const absent = " referral.dateReferralEnded referral.dateReferralPaid user.customFields referrerUser.customFields referredUser.customFields" +
		" referrerReward.dateExpires referredReward.dateExpires reward.dateExpires "
	// A referral that begins has given nothing yet, and who has reached a limit is told
	// of no referral and of no reward.
	also := map[message.Type][]string{
		message.ReferralStarted:    {"reward.", "referrerReward.dateGiven", "referredReward.dateGiven"},
		message.RewardLimitReached: {"reward.", "referral.", "referredUser.", "referrerReward.dateGiven", "referredReward.dateGiven"},
	}
	for _, of := range message.Types {
		t.Run(string(of), func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				w := mustWorld(t)
				w.mustProgram(`[]`, "")
				rules := strings.Replace(giveAndGet, `"undo_on"`, `"limit":{"per":"person","count":1},"undo_on"`, 1)
				w.mustProgramOf("second", rules, "")
				paths := leaves("", message.Sample(of))
				var text strings.Builder
				for _, path := range paths {
					fmt.Fprintf(&text, "%s={{.%s}};\n", path, path)
				}
				w.naming = referral.Naming{
					User: func(p *person.Person) (string, string) { return "acme", p.Key },
					Link: func(short string, l code.Link) string { return "https://s.example" + code.Path(short, l) },
				}
				w.mustSay(of, text.String())
				w.mustConvert()
				said := w.said(of)
				if strings.Count(said, "\n") < len(paths) {
					t.Fatalf("the message is %q", said)
				}
				for line := range strings.Lines(said) {
					path, value, _ := strings.Cut(strings.TrimSpace(line), "=")
					excused := strings.Contains(absent, " "+path+" ") || strings.HasSuffix(path, ".locale") || strings.HasSuffix(path, ".imageUrl") ||
						slices.ContainsFunc(also[of], func(prefix string) bool { return strings.HasPrefix(path, prefix) })
					if value == ";" && !excused {
						t.Errorf("%s is empty", path)
					}
				}
				if !strings.Contains(said, "user.referralCode=SECOND") {
					t.Errorf("the code is not that of the program: %s", said)
				}
			})
		})
	}
}

// mustConvert has somebody come by the code of the second program, and buy.
func (w *world) mustConvert() {
	w.t.Helper()
	named := func(key, first, last string) referral.Registration {
		return referral.Registration{Identity: who(key), Patch: person.Patch{
			FirstName: new(first), LastName: new(last), Email: new(key + "@" + key + ".example"), Account: new("acme-" + key),
		}, Codes: map[string]string{"second": "SECOND" + strings.ToUpper(key)}}
	}
	w.mustRegister(named("anna", "Anna", "Adams"))
	bert := named("bert", "Bert", "Olsen")
	bert.ReferredBy = []string{"SECONDANNA"}
	w.mustTrack(w.mustRegister(bert).Person, purchase("1", 5000))
}

// said returns what the message of a type says.
func (w *world) said(of message.Type) string {
	w.t.Helper()
	for _, f := range w.sink.facts {
		if m, ok := f.Data.(*referral.Message); ok && m.Type == string(of) {
			return m.Message
		}
	}
	w.t.Fatalf("nobody was written %s: %v", of, w.told())
	return ""
}
