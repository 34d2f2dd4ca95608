package code_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/engine/code"
)

func TestCodesAreComparedWithoutRegardToTheWayTheyAreWritten(t *testing.T) {
	tests := map[string]struct {
		want  string
		texts []string
	}{
		"the case":                       {"MIKEKEENERSON", []string{"MikeKeenerson", "mikekeenerson", "MIKEKEENERSON"}},
		"space that was pasted along":    {"MIKE", []string{" mike", "mike\n", "\u00a0mike\t"}},
		"the sharp s":                    {"STRASSE", []string{"straße", "STRASSE", "STRAẞE", "strasse", "straSSe"}},
		"the four letters i of Turkish":  {"ISIK", []string{"isik", "ısık", "İSİK", "ISIK", "i\u0307si\u0307k", "i\u0307\u0307sik"}},
		"full-width letters and digits":  {"MIKE42", []string{"ＭＩＫＥ４２", "ｍｉｋｅ42"}},
		"how an accent is encoded":       {"JOSÉ", []string{"josé", "jose\u0301", "JOSE\u0301"}},
		"the two small sigmas":           {"ΟΔΥΣΣΕΥΣ", []string{"Οδυσσευς", "οδυσσευσ"}},
		"ligatures and raised digits":    {"OFFER2", []string{"oﬀer²", "OFFER2"}},
		"the sign of the unit Kelvin":    {"KIM", []string{"\u212aim", "kim"}},
		"the capitals of Cherokee":       {"ᏣᎳᎩ", []string{"ᏣᎳᎩ", "ꮳꮃꭹ"}},
		"a script that writes its vowel": {"हिन्दी", []string{"हिन्दी"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, text := range tt.texts {
				if got := code.Fold(text); got != tt.want {
					t.Errorf("Fold(%+q) = %+q, want %+q", text, got, tt.want)
				}
			}
		})
	}
}

func TestDifferentCodesStayDifferent(t *testing.T) {
	for _, pair := range [][2]string{{"jose", "josé"}, {"a-b", "ab"}, {"a.b", "a_b"}, {"O", "0"}, {"A", "А"}} {
		if code.Fold(pair[0]) == code.Fold(pair[1]) {
			t.Errorf("%q and %q are one code", pair[0], pair[1])
		}
	}
}

func TestWhatCannotBeACode(t *testing.T) {
	for name, text := range map[string]string{
		"nothing":                        "",
		"space":                          " \t ",
		"space within":                   "mike keenerson",
		"a slash":                        "a/b",
		"an encoded slash":               "a%2Fb",
		"a sign that becomes a slash":    "a℅b",
		"markup":                         "<b>",
		"a quotation mark":               "a'b",
		"an emoji":                       "mike🎉",
		"a dot alone":                    ".",
		"a segment of dots":              "..",
		"a hyphen first":                 "-mike",
		"a dot last":                     "mike.",
		"an underscore last":             "mike_",
		"a joiner that nobody sees":      "mi\u200dke",
		"a filler that nobody sees":      "mi\u3164ke",
		"a selector that nobody sees":    "mi\ufe0fke",
		"a mark that nobody sees":        "mi\u034fke",
		"a mark on a digit":              "4\u0301",
		"a mark alone":                   "\u0301",
		"a change of direction":          "mike\u202egood",
		"the character NUL":              "mi\x00ke",
		"bytes that are not UTF-8":       "mi\xffke",
		"sixty-five characters":          strings.Repeat("a", 65),
		"a megabyte":                     strings.Repeat("a", 1<<20),
		"one that grows when it folds":   strings.Repeat("ﷺ", 64),
		"one that grows to capitals":     strings.Repeat("ß", 33),
		"marks piled up out of bounds":   "a" + strings.Repeat("\u0316", 64),
		"a line break behind which none": "a\nb",
	} {
		if got := code.Fold(text); got != "" {
			t.Errorf("%s: folded to %+q", name, got)
		}
	}
	if got := code.Fold(strings.Repeat("a", 64)); len(got) != 64 {
		t.Errorf("64 characters: %q", got)
	}
}

func TestEveryLetterFoldsAlikeInEachCaseAndOnce(t *testing.T) {
	for r := rune(1); r <= unicode.MaxRune; r++ {
		folded := code.Fold(string(r))
		if folded == "" {
			continue
		}
		if !norm.NFKC.IsNormalString(folded) || code.Fold(folded) != folded {
			t.Errorf("%U folds to %+q, and that to %+q", r, folded, code.Fold(folded))
		}
		for _, other := range []rune{unicode.ToUpper(r), unicode.ToLower(r), unicode.ToTitle(r)} {
			if got := code.Fold(string(other)); got != folded {
				t.Errorf("%U folds to %+q, but %U to %+q", r, folded, other, got)
			}
		}
	}
}

func TestWhatIsFoldedFoldsToItself(t *testing.T) {
	marks := []rune{0x301, 0x307, 0x308, 0x323, 0x327, 0x345, 0x93f, 0x1161, 0x11a8}
	rapid.Check(t, func(t *rapid.T) {
		char := rapid.OneOf(rapid.Rune(), rapid.SampledFrom(marks), rapid.SampledFrom([]rune("iIıİsßẞſςσaAjJyY-_.09")))
		text := string(rapid.SliceOfN(char, 0, 70).Draw(t, "text"))
		folded := code.Fold(text)
		if code.Fold(folded) != folded {
			t.Fatalf("%+q folds to %+q, and that to %+q", text, folded, code.Fold(folded))
		}
		if n := utf8.RuneCountInString(folded); n > 64 || strings.ContainsAny(folded, "/\\ \x00%?#&") {
			t.Fatalf("%+q folds to %+q, which is no code", text, folded)
		}
		for _, other := range []string{strings.ToLower(folded), strings.ToUpper(folded), norm.NFD.String(folded), " " + folded} {
			if got := code.Fold(other); folded != "" && got != folded {
				t.Fatalf("%+q folds to %+q and not to %+q", other, got, folded)
			}
		}
	})
}
