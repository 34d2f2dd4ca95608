package fraud

import (
	_ "embed"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// The bounds of names. What is longer is cut, so that no name costs much to compare.
const (
	maxPart  = 100 // runes of the first name, and of the last
	maxWords = 7
	maxWord  = 40 // runes
)

// spelling is a name as it is compared: the words of its parts.
type spelling struct{ given, family []string }

// spell reads a name:
//
//   - compatible characters are taken apart (Unicode NFKD), and accents go; the marks
//     of scripts that spell vowels or voicing with them stay;
//   - case is folded, and Latin letters that are no letter with an accent are
//     written with others: ø is o, æ is ae;
//   - apostrophes and characters that can't be seen go; all else that is no letter
//     or digit parts words;
//   - in a word that has Latin letters, Cyrillic and Greek ones that look the same
//     become Latin;
//   - titles go: Mr, Dr.
func spell(n FullName) spelling {
	given := first(words(n.First), maxWords)
	return spelling{given, first(words(n.Last), maxWords-len(given))}
}

// all returns the words of both parts.
func (s spelling) all() []string { return slices.Concat(s.given, s.family) }

// swapped is the name with its parts in the other order.
func (s spelling) swapped() spelling { return spelling{s.family, s.given} }

// joined returns a name without what people put between words: spaces and hyphens.
// The two parts stay apart, so that An Ali isn't Ana Li, but for names that are
// written without spaces. It is empty for a name that is too short to tell.
func (s spelling) joined() string {
	given, family := strings.Join(s.given, ""), strings.Join(s.family, "")
	if dense(given + family) {
		if letters(given+family) < 2 {
			return ""
		}
		return given + family
	}
	if given == "" || family == "" || letters(given+family) < 3 {
		return ""
	}
	return given + " " + family
}

// words returns the words of one part of a name.
func words(part string) []string {
	list := slices.DeleteFunc(strings.Fields(plain(part)), isTitle)
	for i, w := range list {
		list[i] = latin(cutRunes(w, maxWord))
	}
	return list
}

func isTitle(word string) bool {
	switch word {
	case "mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "frau", "mme", "mlle":
		return true
	default:
		return false
	}
}

// plain writes one part of a name in plain letters, with spaces between the words.
func plain(part string) string {
	if isASCII(part) { // as most are: nothing is to be taken apart
		return strings.ToLower(strings.Map(plainRune, cutRunes(part, maxPart)))
	}
	return plainOf(part)
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// plainOf is plain for a name in any letters.
func plainOf(part string) string {
	apart := norm.NFKD.String(strings.ToValidUTF8(cutRunes(part, maxPart), " "))
	runes := strings.Map(plainRune, cutRunes(apart, 2*maxPart))
	// NFC puts together again what is one letter: Korean syllables, Japanese voicing.
	return norm.NFC.String(plainLetters.Replace(cases.Fold().String(runes)))
}

// plainRune returns the rune, a space for what parts words, or -1 for what goes.
func plainRune(r rune) rune {
	switch {
	case strings.ContainsRune("'`´‘’ʼʻʹ", r), unicode.Is(unicode.Cf, r):
		return -1
	case r == '\u3099', r == '\u309a': // the voicing marks of kana
		return r
	case unicode.Is(unicode.Mn, r) && unicode.Is(unicode.Inherited, r):
		return -1
	case unicode.IsLetter(r), unicode.IsMark(r), unicode.IsDigit(r):
		return r
	default:
		return ' '
	}
}

// plainLetters writes the Latin letters that NFKD does not take apart.
var plainLetters = strings.NewReplacer(
	"ø", "o", "ł", "l", "đ", "d", "ħ", "h", "ı", "i", "ŧ", "t", "æ", "ae", "œ", "oe", "þ", "th", "ð", "d", "ŋ", "n",
)

// lookalikes are Cyrillic and Greek small letters, and the Latin ones that look the
// same.
var lookalikes = strings.NewReplacer(
	"а", "a", "е", "e", "о", "o", "р", "p", "с", "c", "у", "y", "х", "x", "і", "i", "ј", "j", "ѕ", "s", "ԁ", "d", "һ", "h",
	"к", "k", "м", "m", "т", "t", "н", "h", "в", "b",
	"α", "a", "ο", "o", "ρ", "p", "ν", "v", "ι", "i", "κ", "k", "υ", "u", "τ", "t",
)

// latin makes one script of a word that mixes Latin with letters that look like it.
func latin(word string) string {
	isLatin := func(r rune) bool { return unicode.Is(unicode.Latin, r) }
	mixes := func(r rune) bool { return unicode.In(r, unicode.Cyrillic, unicode.Greek) }
	if !strings.ContainsFunc(word, isLatin) || !strings.ContainsFunc(word, mixes) {
		return word
	}
	return lookalikes.Replace(word)
}

// cutRunes returns the first n runes.
func cutRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}

// nameForms are given names, each with the numbers of the lists of forms that it is
// in.
type nameForms map[string][]int

//go:embed givennames.txt
var givenNameList string

var givenNames = readForms(givenNameList)

// readForms reads lists of forms: a line each, the forms parted by spaces. A line
// that begins with # is a comment.
func readForms(text string) nameForms {
	forms := nameForms{}
	n := 0
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		n++
		for form := range strings.FieldsSeq(line) {
			forms[form] = append(forms[form], n)
		}
	}
	return forms
}

// related reports whether two words are forms of one given name, and whether both
// are given names at all.
func (f nameForms) related(a, b string) (bool, bool) {
	inA, inB := f[a], f[b]
	related := slices.ContainsFunc(inA, func(n int) bool { return slices.Contains(inB, n) })
	return related, len(inA) > 0 && len(inB) > 0
}
