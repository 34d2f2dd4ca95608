package attribution_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
)

func TestOfSomebodyNewIsDecidedAsIfTheirTouchesHadBeenLookedUp(t *testing.T) {
	for name, c := range map[string]struct {
		typed, browser bool
	}{
		"by a code":                 {typed: true},
		"by a browser":              {browser: true},
		"by a code, with a browser": {typed: true, browser: true},
		"by nothing":                {},
	} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t)
			q := w.question(attribution.Sticky)
			if c.browser {
				w.mustRecord(t, click(bob, "cookie", time.Hour), click(alice, "another", time.Minute))
				q.Cookies = []string{"cookie"}
			}
			var touches []attribution.Touch
			if c.typed {
				touches = w.mustRecord(t, w.typed(alice, 0))
			}
			lookedUp := w.mustTryAttribute(t, q)
			q.New, q.Touches = true, touches
			known := w.mustAttribute(t, q)
			if diff := cmp.Diff(lookedUp, known, compareAddresses); diff != "" {
				t.Errorf("the answer (-looked up +known):\n%s", diff)
			}
			if known.Attribution != nil && w.mustHolder(t) != known.Attribution.MembershipID {
				t.Error("who has the credit is not stored")
			}
		})
	}
}

// mustTryAttribute answers a question and takes back what it stores.
func (w world) mustTryAttribute(t *testing.T, q attribution.Question) attribution.Answer {
	t.Helper()
	errTried := errors.New("only tried")
	var a attribution.Answer
	err := w.Write(t.Context(), func(tx *db.Tx) error {
		var err error
		if a, err = attribution.Attribute(tx, q); err != nil {
			return err
		}
		return errTried
	})
	if !errors.Is(err, errTried) {
		t.Fatal(err)
	}
	return a
}
