package rule

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
)

// hundredPercent is 100 % in basis points, and maxBasisPoints the largest part that
// may be given of something.
const (
	hundredPercent = 10_000
	maxBasisPoints = 100 * hundredPercent
)

// The bounds of a number that is reckoned with, beyond which it is refused: they
// keep exact arithmetic cheap.
const (
	maxNumberText     = 64
	maxNumberExponent = 40
)

var (
	errNumber = errors.New("is not a number of at most 64 characters and an exponent from -40 to 40")
	errAmount = fmt.Errorf("has a part of more than %d, which is the most that can be given", MaxAmount)
)

// ShareOf returns so many basis points of a number, as it is written in JSON,
// exactly, and then rounded once to the nearest whole number; a half goes away from
// zero. It refuses a number that is too long, and lets low and high, where they are
// not nil, bound what comes out; if that is no int64 then, it is refused.
func ShareOf(number json.Number, basisPoints int64, low, high *int64) (int64, error) {
	exact, err := readNumber(number.String())
	if err != nil {
		return 0, err
	}
	exact.Mul(exact, big.NewRat(basisPoints, hundredPercent))
	share := round(exact)
	if low != nil && share.Cmp(big.NewInt(*low)) < 0 {
		return *low, nil
	}
	if high != nil && share.Cmp(big.NewInt(*high)) > 0 {
		return *high, nil
	}
	if !share.IsInt64() {
		return 0, errAmount
	}
	return share.Int64(), nil
}

// readNumber reads a number that is cheap to reckon with.
func readNumber(text string) (*big.Rat, error) {
	if len(text) > maxNumberText {
		return nil, errNumber
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		exponent, err := strconv.Atoi(text[i+1:])
		if err != nil || exponent > maxNumberExponent || exponent < -maxNumberExponent {
			return nil, errNumber
		}
	}
	exact, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil, errNumber
	}
	return exact, nil
}

// round returns the nearest whole number; a half goes away from zero.
func round(exact *big.Rat) *big.Int {
	numerator, denominator := new(big.Int).Abs(exact.Num()), exact.Denom()
	numerator.Lsh(numerator, 1).Add(numerator, denominator)
	whole := numerator.Quo(numerator, new(big.Int).Lsh(denominator, 1))
	if exact.Sign() < 0 {
		whole.Neg(whole)
	}
	return whole
}

// amount returns how much is given, or sets in the result why nothing is.
func (e *evaluation) amount(g *Give, result *Result) int64 {
	a := g.Amount
	if a.BasisPoints == 0 {
		return a.Fixed
	}
	found, ok := a.of.In(e.in.Documents)
	number, isNumber := found.(json.Number)
	if !ok || !isNumber {
		result.Reason, result.Detail = NoAmount, "there is no number at "+a.Of
		return 0
	}
	n, err := ShareOf(number, a.BasisPoints, a.Min, a.Max)
	if n > MaxAmount || n < -MaxAmount {
		err = errAmount
	}
	switch {
	case err != nil:
		result.Reason, result.Err, result.Detail = BadAmount, problem.InvalidField(a.Of, "%s", err), a.Of+" "+err.Error()
	case n == 0:
		result.Reason, result.Detail = NoAmount, fmt.Sprintf("the part of %s comes to nothing", a.Of)
	case n < 0 && !fieldsOf(g.Kind).signed:
		result.Reason, result.Detail = NoAmount, fmt.Sprintf("the part of %s is less than nothing", a.Of)
	}
	return n
}

// give sets what is given from a moment on.
func (f *Effect) give(g *Give, from time.Time, zone *time.Location) {
	f.Kind, f.Unit, f.Name, f.Source, f.Def = g.Kind, g.Unit, g.Name, g.Source, g.Def
	if g.Kind == Percent {
		f.Unit = "%"
	}
	if !g.Pending.IsZero() {
		from = g.Pending.After(from, zone)
		f.DueAt = from
	}
	if !g.Expires.IsZero() {
		f.ExpiresAt = g.Expires.After(from, zone)
	}
}
