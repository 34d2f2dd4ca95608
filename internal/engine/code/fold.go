package code

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	maxCharacters = 64  // of a code, folded
	maxBytes      = 512 // of what is looked at: no code of 64 characters has more
)

// Fold returns a code as codes are compared, or the empty text if it can't be one.
//
// Space around it is left out, since codes get pasted. What Unicode calls
// compatible is one (NFKC), so full-width letters are ordinary ones. Letters are
// capitals, where ß is SS and the four letters i of Turkish are one, whatever the
// language: nobody has to know in which one a code was written.
//
// A code has 1 to 64 characters: letters and digits of any script, and - _ .
// between them. It neither begins nor ends with one of those three, so that no
// link's path ends in a dot, which mail programs leave out, and none has a segment
// of dots, which browsers resolve.
func Fold(text string) string {
	folded, mistake := fold(text)
	if mistake != "" {
		return ""
	}
	return folded
}

// parse returns a code as it is issued and as it is compared, or problem.Invalid
// under the field's name.
func parse(field, text string) (string, string, error) {
	folded, mistake := fold(text)
	if mistake != "" {
		return "", "", problem.InvalidField(field, "%s", mistake)
	}
	return strings.TrimSpace(text), folded, nil
}

// fold returns a code as codes are compared, or what is wrong with it.
func fold(text string) (string, string) {
	if len(text) > maxBytes {
		return "", tooLong
	}
	text = strings.TrimSpace(text)
	if text == "" {
		return "", "must not be empty"
	}
	if !utf8.ValidString(text) {
		return "", "must be valid UTF-8"
	}
	text = norm.NFKC.String(capitals(norm.NFKC.String(text)))
	for strings.Contains(text, "İ") { // from a small i and a dot above, of which there may be more
		text = norm.NFKC.String(strings.ReplaceAll(text, "İ", "I"))
	}
	if utf8.RuneCountInString(text) > maxCharacters {
		return "", tooLong
	}
	return text, mistakeIn(text)
}

const (
	tooLong  = "must have at most 64 characters"
	alphabet = "must have only letters, digits, and the characters - _ . between them"
)

// capitals returns a text in capitals. Going by way of small letters, it maps the
// letters that only share those, such as I and İ.
func capitals(text string) string {
	text = strings.Map(func(r rune) rune { return unicode.ToUpper(unicode.ToLower(r)) }, text)
	return strings.ReplaceAll(text, "ß", "SS")
}

// mistakeIn returns what is wrong with the characters of a folded code, or the
// empty text.
func mistakeIn(folded string) string {
	if isPunctuation(rune(folded[0])) || isPunctuation(rune(folded[len(folded)-1])) {
		return alphabet
	}
	letter := false // whether the character before belongs to a letter
	for _, r := range folded {
		switch {
		case isInvisible(r):
			return alphabet
		case unicode.IsLetter(r):
			letter = true
		case unicode.In(r, unicode.Mn, unicode.Mc): // vowels, in many scripts
			if !letter {
				return alphabet
			}
		case unicode.Is(unicode.Nd, r), isPunctuation(r):
			letter = false
		default:
			return alphabet
		}
	}
	return ""
}

// isInvisible reports whether a letter or a mark shows as nothing, so that two codes
// that look alike would differ by it.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

func isPunctuation(r rune) bool { return r == '-' || r == '_' || r == '.' }
