package code

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

const (
	minOfName = 3   // characters; a name that leaves fewer says nothing
	maxOfName = 32  // characters; room for a number is left
	maxRead   = 256 // bytes of a name that are looked at

	// maxTries is how often a code is made. The last has a number of 16 digits, so
	// that not all are taken.
	maxTries = 16
)

// plain has the Latin letters, in capitals, that are not one of A to Z with an
// accent.
var plain = map[rune]string{
	'Æ': "AE", 'Œ': "OE", 'ß': "SS", 'Ø': "O", 'Ł': "L", 'Đ': "D", 'Ð': "D", 'Þ': "TH",
	'Ħ': "H", 'Ŧ': "T", 'Ŋ': "N",
}

// fromName returns the code that a name makes, or the empty text if it makes none.
func fromName(first, last string) string {
	var b strings.Builder
	for _, r := range norm.NFKD.String(beginning(first) + beginning(last)) {
		r = unicode.ToUpper(unicode.ToLower(r))
		switch {
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			b.WriteRune(r)
		default:
			b.WriteString(plain[r])
		}
		if b.Len() >= maxOfName {
			break
		}
	}
	if b.Len() < minOfName {
		return ""
	}
	return b.String()
}

// beginning returns the part of a name that is looked at. Where that cuts a
// character, the rest of it is none that a code has.
func beginning(name string) string { return name[:min(len(name), maxRead)] }

// candidate returns the code to try, given what the name makes and how often it
// was tried in vain.
func candidate(base string, tried int) string {
	switch {
	case base == "":
		return random(8 + tried)
	case tried == 0:
		return base
	default:
		digits := tried + 1
		return fmt.Sprintf("%s%0*d", base, digits, below(power(10, digits)))
	}
}

// unmistakable has no vowels, so that it makes no words, and nothing that is easily
// read as something else of it.
const unmistakable = "BCDFGHJKMNPQRTVWXY346789"

// random returns so many characters that nobody mistakes.
func random(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = unmistakable[below(uint64(len(unmistakable)))]
	}
	return string(b)
}

// below returns a random number below n, each as likely as the other.
func below(n uint64) uint64 {
	limit := -n % n // as many of the 2^64 numbers are over
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails: the runtime ends the process first
		if x := binary.BigEndian.Uint64(b[:]); x >= limit {
			return x % n
		}
	}
}

func power(base uint64, exponent int) uint64 {
	result := uint64(1)
	for range exponent {
		result *= base
	}
	return result
}
