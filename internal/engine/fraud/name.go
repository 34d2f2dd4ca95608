package fraud

import (
	"math"
	"slices"
	"unicode"
	"unicode/utf8"
)

// How much two words count as one, from 0 to 1.
const (
	sameWord    = 1
	sameName    = 0.95 // Bob and Robert, Hofman and Hoffmann
	sameInitial = 0.9  // J and John
	extraWord   = 0.9  // John Smith and John Michael Smith
)

// FullName is the name of a person as it was given.
type FullName struct{ First, Last string }

// Similarity says in percent how much two names look like spellings of one: 100 if
// they are the same but for case, accents, marks, order and hyphens, 0 if they are
// the names of different people, or too short to tell.
//
// Each name is read as its words (see spell). Every word of the name that has fewer
// needs a partner in the other, wherever it stands there, so that the whole comes
// out highest:
//
//   - the same word counts 1;
//   - two forms of one given name, by the list in givennames.txt, 0.95;
//   - two words that differ in whether letters are double, 0.95;
//   - an initial and a word that begins with it 0.9;
//   - a misspelling 1 - d/n, where d is how many letters were left out, put in,
//     exchanged or swapped with their neighbour (Damerau and Levenshtein's distance,
//     no letter moved twice) and n how many the longer word has. One mistake is a
//     misspelling from four letters on, two from ten. First and last letter must
//     be the same, but for a swap: people mistype the middle of a word, whereas
//     Maria and Mario, Ivanov and Ivanova, Dana and Lana are different names. So are
//     two different given names of the list, such as Martin and Marvin.
//
// The similarity is the product of these, times 0.9 for every word left over. It is
// 0 if a word of the shorter name has no partner, or the first of the longer; so a
// shared surname is nothing. At least one pair must be more than an initial, and
// both names need two words, since many people share a first name. In Chinese,
// Japanese and Korean, where names are written without spaces, one word of two
// characters is enough, and the same characters in either order of first and last
// name are the same name.
//
// What it can't tell: Latin from Cyrillic spelling (Ivan, Иван), a father from a son
// of the same name, and one person from two where a name begins as the other does
// and has more (Maria Garcia, Maria Jose Garcia).
func Similarity(a, b FullName) int {
	x, y := spell(a), spell(b)
	if whole := x.joined(); whole != "" && (whole == y.joined() || whole == y.swapped().joined()) {
		return 100
	}
	fewer, more := x.all(), y.all()
	if len(fewer) > len(more) {
		fewer, more = more, fewer
	}
	if len(fewer) < 2 {
		return 0
	}
	p := newPairing(fewer, more)
	p.pair(0, 0, partial{product: math.Pow(extraWord, float64(len(more)-len(fewer)))})
	return int(math.Round(100 * p.best))
}

// pairing looks for the partners of words. There are maxWords at most, so that
// trying all is cheap.
type pairing struct {
	fewer, more []string
	likeness    [][]float64
	best        float64 // product of a whole pairing
}

// partial is a pairing of the first few words.
type partial struct {
	product float64
	inFull  bool // a pair is more than an initial
}

func newPairing(fewer, more []string) *pairing {
	p := &pairing{fewer: fewer, more: more, likeness: make([][]float64, len(fewer))}
	for i, a := range fewer {
		p.likeness[i] = make([]float64, len(more))
		for j, b := range more {
			p.likeness[i][j] = alike(a, b)
		}
	}
	return p
}

// pair tries all partners for the words from the i-th on. The bits of taken are the
// words that are partners already.
func (p *pairing) pair(i int, taken uint, so partial) {
	if so.product <= p.best {
		return
	}
	if i == len(p.fewer) {
		if so.inFull && taken&1 == 1 {
			p.best = so.product
		}
		return
	}
	for j, likeness := range p.likeness[i] {
		if likeness == 0 || taken&(1<<j) != 0 {
			continue
		}
		inFull := min(letters(p.fewer[i]), letters(p.more[j])) > 1 || dense(p.fewer[i])
		p.pair(i+1, taken|1<<j, partial{so.product * likeness, so.inFull || inFull})
	}
}

func letters(word string) int { return utf8.RuneCountInString(word) }

// dense reports whether a word is in a script that writes names without spaces.
func dense(word string) bool {
	for _, r := range word {
		if !unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul) {
			return false
		}
	}
	return word != ""
}

// alike says how much two words count as one.
func alike(a, b string) float64 {
	if a == b {
		return sameWord
	}
	related, known := givenNames.related(a, b)
	if related {
		return sameName
	}
	if known {
		return 0
	}
	ra, rb := []rune(a), []rune(b)
	shortest := min(len(ra), len(rb))
	if ra[0] == rb[0] && shortest == 1 && !dense(string(ra[:1])) {
		return sameInitial
	}
	if shortest > 2 && slices.Equal(slices.Compact(slices.Clone(ra)), slices.Compact(slices.Clone(rb))) {
		return sameName
	}
	return misspelled(ra, rb)
}

// misspelled says how much two different words count as one by their letters.
func misspelled(a, b []rune) float64 {
	n := max(len(a), len(b))
	allowed := 0
	switch {
	case n >= 10:
		allowed = 2
	case n >= 4:
		allowed = 1
	}
	if n-min(len(a), len(b)) > allowed {
		return 0
	}
	if !sameEnds(a, b) && !swappedOnce(a, b) {
		return 0
	}
	d := distance(a, b)
	if d > allowed {
		return 0
	}
	return 1 - float64(d)/float64(n)
}

func sameEnds(a, b []rune) bool { return a[0] == b[0] && a[len(a)-1] == b[len(b)-1] }

// swappedOnce reports whether two different words are the same but for two
// neighbours.
func swappedOnce(a, b []rune) bool {
	if len(a) != len(b) {
		return false
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && slices.Equal(a[i+2:], b[i+2:])
}

// distance is how many letters have to be left out, put in, exchanged, or swapped
// with their neighbour, to make one word of the other. No letter is moved twice.
func distance(a, b []rune) int {
	// Three rows of the table are enough: two letters back, one, and this one.
	before, last, this := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range a {
		this[0] = i + 1
		for j := range b {
			exchange := last[j]
			if a[i] != b[j] {
				exchange++
			}
			this[j+1] = min(last[j+1]+1, this[j]+1, exchange)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				this[j+1] = min(this[j+1], before[j-1]+1)
			}
		}
		before, last, this = last, this, before
	}
	return last[len(b)]
}
