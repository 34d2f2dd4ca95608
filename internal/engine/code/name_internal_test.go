package code

import (
	"errors"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestTheTriesGrowWithTheLogarithmOfTheNamesakes(t *testing.T) {
	taken := map[string]bool{}
	for n := 1; n <= 200_000; n++ {
		tries := 1
		text := candidate("JOHNSMITH", 0)
		for taken[text] {
			text = candidate("JOHNSMITH", tries)
			tries++
		}
		taken[text] = true
		// Numbers of d digits run short once there are 10^d namesakes. Three more tries
		// than that have a chance of one in many thousands to be in vain.
		limit := 5
		for m := n; m >= 10; m /= 10 {
			limit++
		}
		if tries > limit {
			t.Fatalf("namesake %d gets %s in %d tries", n, text, tries)
		}
	}
}

func TestEveryTryMakesACodeThatFits(t *testing.T) {
	for _, base := range []string{"", fromName("Wolfeschlegelsteinhausenbergerdorff", "ßßßßßßßßßßß")} {
		for tried := range maxTries {
			if text := candidate(base, tried); Fold(text) != text {
				t.Errorf("try %d makes %q", tried, text)
			}
		}
	}
}

func TestAShortCodeThatIsTakenIsMadeAnew(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	err := d.Write(t.Context(), func(tx *db.Tx) error {
		shorts := []string{"111111111", "111111111", "222222222"}
		next := func() string {
			short := shorts[0]
			shorts = shorts[1:]
			return short
		}
		for _, want := range []string{"111111111", "222222222"} {
			c := New{TenantID: id.New(time.Now()), Kind: Coupon, At: time.Now()}.code("TWENTY")
			free, err := insert(tx, &c, next)
			if err != nil {
				return err
			}
			found, err := LookupShort(tx, want)
			if err != nil || !free || found.TenantID != c.TenantID {
				return errors.Join(err, errors.New("the code was not stored under "+want))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
