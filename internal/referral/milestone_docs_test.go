package referral_test

import (
	"os"
	"strings"
	"testing"
)

func TestTheMilestonesOfTheDocumentationGiveWhatItSays(t *testing.T) {
	text, err := os.ReadFile("../../docs/programs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), "<!-- a test runs this -->\n```json\n")
	rules, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatal("docs/programs.md has no milestones")
	}
	w := mustWorld(t)
	w.mustProgram(rules, "")
	c := w.mustCircle(6)
	want := func(cents int64) {
		t.Helper()
		if got := w.balance(c.referrer.Person); got != cents {
			t.Errorf("the referrer has %d, not %d", got, cents)
		}
	}
	c.buy(0, 1)
	want(2 * 2000)
	c.buy(2, 3)
	want(4*2000 + 2*1000)
	c.buy(4, 5)
	want(6*2000 + 5000 + 3*1000)
	c.refund(1)
	want(5*2000 + 5000 + 3*1000)
	c.refund(3)
	want(4*2000 + 2*1000)
}
