package fraud_test

import (
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
)

// pairOfNames is a line of testdata/names.tsv.
type pairOfNames struct {
	similar bool
	about   string
	a, b    fraud.FullName
}

func mustReadPairs(t testing.TB) []pairOfNames {
	t.Helper()
	text, err := os.ReadFile("testdata/names.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pairOfNames
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 6 || f[0] != "similar" && f[0] != "different" {
			t.Fatalf("not a pair: %q", line)
		}
		pairs = append(pairs, pairOfNames{f[0] == "similar", f[1], fraud.FullName{First: f[2], Last: f[3]}, fraud.FullName{First: f[4], Last: f[5]}})
	}
	return pairs
}

func TestNamesAreToldApartAsAPersonWould(t *testing.T) {
	threshold := fraud.Settings{}.WithDefaults().Name.Threshold
	pairs := mustReadPairs(t)
	hits, misses, falseAlarms := 0, 0, 0
	for _, p := range pairs {
		similarity := fraud.Similarity(p.a, p.b)
		found := similarity >= threshold
		switch {
		case found && p.similar:
			hits++
		case found:
			falseAlarms++
			t.Logf("false alarm (%s): %v and %v are %d %%", p.about, p.a, p.b, similarity)
		case p.similar:
			misses++
			t.Logf("missed (%s): %v and %v are %d %%", p.about, p.a, p.b, similarity)
		}
	}
	precision := float64(hits) / float64(hits+falseAlarms)
	recall := float64(hits) / float64(hits+misses)
	accuracy := 1 - float64(misses+falseAlarms)/float64(len(pairs))
	t.Logf("%d pairs: precision %.3f, recall %.3f, accuracy %.3f", len(pairs), precision, recall, accuracy)
	if len(pairs) < 50 || accuracy < 0.95 {
		t.Errorf("accuracy of %d pairs is %.3f, want 50 pairs and 0.95 at least", len(pairs), accuracy)
	}
	if falseAlarms > 0 {
		t.Errorf("%d pairs of different people have similar names, want none", falseAlarms)
	}
}

func TestSimilarityIsAsItsParts(t *testing.T) {
	name := func(first, last string) fraud.FullName { return fraud.FullName{First: first, Last: last} }
	for about, c := range map[string]struct {
		a, b fraud.FullName
		want int
	}{
		"the same is 100":                         {name("John", "Smith"), name("SMITH", "john"), 100},
		"double letters are 95":                   {name("Wim", "Hofman"), name("Wim", "Hoffmann"), 95},
		"a misspelt word of five letters is 80":   {name("Wim", "Smith"), name("Wim", "Smyth"), 80},
		"a misspelt word of four letters is 75":   {name("Wim", "Bohm"), name("Wim", "Behm"), 75},
		"words of three letters have no mistakes": {name("Wim", "Bom"), name("Wim", "Bem"), 0},
		"nine letters have one mistake":           {name("Wim", "Dekkerson"), name("Wim", "Dakkarson"), 0},
		"ten letters have two":                    {name("Wim", "Dekkersong"), name("Wim", "Dakkarsong"), 80},
		"a first letter is never mistaken":        {name("Wim", "Dekkersong"), name("Wim", "Bekkersong"), 0},
		"a last letter is never mistaken":         {name("Wim", "Dekkersong"), name("Wim", "Dekkersona"), 0},
		"neighbours may be swapped at the end":    {name("Wim", "Dekkersong"), name("Wim", "Dekkersogn"), 90},
		"another first name before is nothing":    {name("Karel", "Smith"), name("Wim Karel", "Smith"), 0},
		"a form of the given name is 95":          {name("Bill", "Smith"), name("William", "Smith"), 95},
		"an initial is 90":                        {name("W", "Smith"), name("Wim", "Smith"), 90},
		"a word left over is 90":                  {name("Wim", "Smith"), name("Wim Karel", "Smith"), 90},
		"three words left over are 73":            {name("Wim", "Smith"), name("Wim Karel", "van de Smith"), 73},
		"mistakes multiply":                       {name("Wilhem", "Smith"), name("Wilhelm", "Smyth"), 69},
		"initials alone tell nothing":             {name("J", "S"), name("J", "S"), 0},
		"hyphens do not move letters":             {name("An", "Ali"), name("Ana", "Li"), 0},
		"a character is too short":                {name("王", ""), name("王", ""), 0},
	} {
		t.Run(about, func(t *testing.T) {
			if got := fraud.Similarity(c.a, c.b); got != c.want {
				t.Errorf("%v and %v are %d %%, want %d", c.a, c.b, got, c.want)
			}
			if got := fraud.Similarity(c.b, c.a); got != c.want {
				t.Errorf("the other way round they are %d %%, want %d", got, c.want)
			}
		})
	}
}

func TestLongNamesAreCutAtTwoHundredRunes(t *testing.T) {
	part := strings.Repeat("Abcdefghi ", 10) // a hundred runes
	a := fraud.FullName{First: part + strings.Repeat("x", 1<<20), Last: part}
	b := fraud.FullName{First: part + strings.Repeat("y", 1<<20), Last: part}
	if got := fraud.Similarity(a, b); got != 100 {
		t.Errorf("names that begin alike are %d %%, want 100", got)
	}
}

func FuzzSimilarity(f *testing.F) {
	for _, s := range []string{
		"", "John", "\xff\xfe", "a" + strings.Repeat("\u0301", 5000), strings.Repeat("\ufdfa", 300), "\u202eJohn",
		strings.Repeat("ab ", 4000), "\u200b", "\u3099", "ﬀ İ ŉ", "Dr.", "김", "Jоhn", "\U0010ffff", "a\x00b",
	} {
		f.Add(s, "Smith", "John", s)
		f.Add(s, s, s, s)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, y := fraud.FullName{First: a, Last: b}, fraud.FullName{First: c, Last: d}
		got := fraud.Similarity(x, y)
		if got < 0 || got > 100 {
			t.Errorf("%q and %q are %d %%", x, y, got)
		}
		if self := fraud.Similarity(x, x); utf8.ValidString(a+b) && self != 0 && self != 100 {
			t.Errorf("%q is %d %% itself", x, self)
		}
		if same := fraud.Similarity(y, x); same != got {
			t.Errorf("%q and %q are %d %%, and %d %% the other way round", x, y, got, same)
		}
	})
}

func BenchmarkSimilarityOfOrdinaryNames(b *testing.B) {
	x, y := fraud.FullName{First: "Katherine", Last: "Robertsen"}, fraud.FullName{First: "Kathrine", Last: "Robertson"}
	for b.Loop() {
		fraud.Similarity(x, y)
	}
}

func BenchmarkSimilarityOfHostileNames(b *testing.B) {
	part := strings.Repeat(strings.Repeat("\ufdfa", 12)+" ", 300)
	x, y := fraud.FullName{First: part, Last: part}, fraud.FullName{First: part + "a", Last: "b" + part}
	for b.Loop() {
		fraud.Similarity(x, y)
	}
}
