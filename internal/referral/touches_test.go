package referral_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestClicksOfNobodyAreKeptAsLongAsTheyCanCount(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		settings string
		kept     time.Duration
	}{
		"three months where touches count for less":  {`{"attribution":{"window":"30d"}}`, 90 * day},
		"a day longer than touches count":            {`{"attribution":{"window":"200d"}}`, 201 * day},
		"as long as a cookie where that is for ever": {``, 400 * day},
	} {
		t.Run(name, func(t *testing.T) {
			testkit.VirtualTime(t, func(t *testing.T) {
				w := mustWorld(t)
				w.mustProgram(giveAndGet, c.settings)
				first := w.mustRegister(referral.Registration{Identity: who("anna")})
				click := func(cookie string) {
					_, err := w.Visit(t.Context(), referral.Visit{Short: first.Codes[0].Short, Cookie: cookie, IP: netip.MustParseAddr("203.0.113.9")})
					if err != nil {
						t.Fatal(err)
					}
				}
				for range 501 { // more than one transaction removes
					click("nobody")
				}
				click("bert")
				w.mustRegister(referral.Registration{Identity: who("bert"), Device: "bert", ReferredBy: []string{first.Codes[0].Text}})
				time.Sleep(c.kept - time.Hour)
				if n, err := w.PruneTouches(t.Context(), time.Now()); n != 0 || err != nil {
					t.Errorf("%d are removed before, %v", n, err)
				}
				time.Sleep(2 * time.Hour)
				click("recent")
				if n, err := w.PruneTouches(t.Context(), time.Now()); n != 501 || err != nil {
					t.Errorf("%d are removed of 501, %v", n, err)
				}
				w.read(func(q db.Queryer) error {
					for browser, want := range map[string]bool{"nobody": false, "bert": true, "recent": true} {
						left, err := attribution.OfCookie(q, w.tenant, browser, attribution.Page{})
						if err != nil || len(left) > 0 != want {
							t.Errorf("of %s are left %+v, %v", browser, left, err)
						}
					}
					return nil
				})
			})
		})
	}
}
