package attribution_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
)

func TestACookieKeepsTheCodesByWhichABrowserCame(t *testing.T) {
	c := attribution.Cookie{}.Visit("MIKE", now).Visit("ANNA-2.X", now.Add(time.Hour)).Visit("ИВАН", now.Add(2*time.Hour)).Visit("MIKE", now.Add(3*time.Hour))
	if diff := cmp.Diff([]string{"MIKE", "ИВАН", "ANNA-2.X"}, c.Codes()); diff != "" {
		t.Errorf("codes, the newest first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(c, attribution.ParseCookie(c.Value())); diff != "" {
		t.Errorf("cookie (-written +read):\n%s", diff)
	}
	if again := attribution.ParseCookie(c.Value()).Visit("NEW", now.Add(4*time.Hour)); again.ID != c.ID || again.Codes()[0] != "NEW" {
		t.Errorf("after one more visit: %+v", again)
	}
	if len(c.Visits) != 3 {
		t.Errorf("the cookie before changed with the one after: %+v", c)
	}
}

func TestEachBrowserGetsAnIDOfItsOwn(t *testing.T) {
	one, other := attribution.Cookie{}.Visit("MIKE", now), attribution.Cookie{}.Visit("MIKE", now)
	if one.ID == "" || one.ID == other.ID {
		t.Errorf("IDs %q and %q", one.ID, other.ID)
	}
}

func TestACookieIsReadAsItWasWrittenAndFitsABrowser(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := attribution.Cookie{}
		visits := rapid.IntRange(1, 40).Draw(t, "visits")
		last := ""
		for range visits {
			folded := code.Fold(string(rapid.SliceOfN(rapid.SampledFrom([]rune("AZ09ÜЯ字𐐀")), 1, 64).Draw(t, "code")))
			c = c.Visit(folded, now.Add(time.Duration(rapid.Int64Range(0, 1e15).Draw(t, "later"))))
			last = folded
		}
		value := c.Value()
		if err := (&http.Cookie{Name: "gv", Value: value}).Valid(); err != nil || len(value) > 3500 {
			t.Fatalf("%d bytes, %v", len(value), err)
		}
		if diff := cmp.Diff(c, attribution.ParseCookie(value)); diff != "" {
			t.Fatalf("cookie (-written +read):\n%s", diff)
		}
		if len(c.Visits) > 20 || c.Codes()[0] != last {
			t.Fatalf("%d visits, the newest by %s and not %s", len(c.Visits), c.Codes()[0], last)
		}
	})
}

func TestWhatIsNoCookieOfOursIsAnEmptyOne(t *testing.T) {
	good := attribution.Cookie{}.Visit("MIKE", now)
	prefix := "1." + good.ID + "."
	if attribution.ParseCookie(prefix+"t8wlc0-MIKE").ID != good.ID {
		t.Fatal("the test's own cookies can't be read")
	}
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprintf("t8wlc0-MIKE%d", i)
	}
	for name, value := range map[string]string{
		"nothing":                  "",
		"a word":                   "true",
		"another version":          "2." + good.ID + ".t8wlc0-MIKE",
		"no ID":                    "1..t8wlc0-MIKE",
		"a short ID":               "1.ABC.t8wlc0-MIKE",
		"an ID in small letters":   "1." + strings.ToLower(good.ID) + ".t8wlc0-MIKE",
		"a time that is none":      prefix + "!!-MIKE",
		"a time before 1970":       prefix + "-1-MIKE",
		"a time without end":       prefix + "zzzzzzzzzzzzz-MIKE",
		"a time after the years":   prefix + "zzzzzzzzzz-MIKE",
		"a time written otherwise": prefix + "0t8wlc0-MIKE",
		"no code":                  prefix + "t8wlc0-",
		"a code that is not one":   prefix + "t8wlc0-%3Cscript%3E",
		"a code that isn't folded": prefix + "t8wlc0-mike",
		"an escape cut short":      prefix + "t8wlc0-%C3%",
		"bytes that are no UTF-8":  prefix + "t8wlc0-%FF%FE",
		"a code twice":             prefix + "t8wlc0-MIKE~t8wlc1-MIKE",
		"too many codes":           prefix + strings.Join(many, "~"),
		"a separator at the end":   prefix + "t8wlc0-MIKE~",
		"a megabyte":               prefix + "t8wlc0-" + strings.Repeat("A", 1<<20),
		"a megabyte of separators": prefix + strings.Repeat("~", 1<<20),
	} {
		if c := attribution.ParseCookie(value); c.ID != "" || c.Visits != nil {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestAVisitByWhatIsNoCodeIsNotKept(t *testing.T) {
	for _, text := range []string{"", "mike", "<b>", strings.Repeat("A", 65)} {
		if c := (attribution.Cookie{}).Visit(text, now); len(c.Visits) != 0 || attribution.ParseCookie(c.Value()).ID != c.ID {
			t.Errorf("%.10q: %+v", text, c)
		}
	}
}

func FuzzACookieIsEmptyOrWritesItself(f *testing.F) {
	f.Add(attribution.Cookie{}.Visit("MIKE", now).Visit("ÅSE", now).Value())
	f.Add("1.AAAAAAAAAAAAAAAAAAAAAAAAAA.")
	f.Fuzz(func(t *testing.T, value string) {
		if c := attribution.ParseCookie(value); c.ID != "" && c.Value() != value {
			t.Errorf("%q is read as %+v", value, c)
		}
	})
}
