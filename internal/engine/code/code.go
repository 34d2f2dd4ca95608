// Package code keeps the codes that people type, or that links carry, to say who
// sent them.
//
// A tenant has one namespace for the codes of all its programs and of every kind,
// so that whatever stands behind ?ref=, in a checkout's box or in a partner's link
// is found by one lookup. Codes are compared folded ([Fold]): the case does not
// matter, nor do full-width letters or the way in which accents are encoded. A code
// that was issued is never given to somebody else, even if it is not active any
// more; somebody may still have it in an old message.
//
// Each code has a short code besides, unique in the whole database, from which all
// its share links are made ([Path]). There is no row for a link.
//
// A code names who sent somebody. It has no value of its own; a coupon's value is
// kept elsewhere, under the coupon's code.
package code

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Kind is what a code stands for.
type Kind string

// The kinds of codes.
const (
	Referral Kind = "referral"
	Partner  Kind = "partner"
	Coupon   Kind = "coupon"
)

// maxOfMembership is how many codes a membership may have. Each code that was
// chosen stays, so that links with the one before still work.
const maxOfMembership = 100

// maxListed is how many codes a list has at most.
const maxListed = 1000

// Code is a code as it was issued.
type Code struct {
	TenantID     id.ID
	Text         string // as it was issued
	Folded       string // as it is compared
	Short        string // what its share links are made from
	Kind         Kind
	ProgramID    id.ID
	MembershipID id.ID // zero: it is nobody's
	PersonID     id.ID // zero: it is nobody's, or a team's
	Primary      bool  // the one of its membership that is shown
	Active       bool  // nobody is credited for one that is not
	CreatedAt    time.Time
}

// New is whom a code is for.
type New struct {
	TenantID     id.ID
	Kind         Kind
	ProgramID    id.ID
	MembershipID id.ID // zero: nobody, as for a coupon that anybody may use
	PersonID     id.ID // zero: nobody, or a team
	Fresh        bool  // the membership came to be in the transaction, and has no code yet
	First, Last  string
	At           time.Time
}

// Mint returns the primary code of a membership, and whether it was made just
// now. A membership that has one keeps it, active or not. Where there is no
// membership, each call makes a code.
//
// The code is made from the name: first and last in capitals, Latin letters and
// digits only, without accents. If that is taken, a random number follows, which has
// one digit more with every try, so that the tries grow with the logarithm of the
// number of namesakes and there is always another code. Where the name leaves fewer
// than three characters, or is written in another script, the code is random.
func Mint(tx *db.Tx, n New) (Code, bool, error) {
	if !n.MembershipID.IsZero() && !n.Fresh {
		held, err := selectPrimary(tx, n.TenantID, n.MembershipID)
		if !errors.Is(err, db.ErrNoRows) {
			return held, false, err
		}
	}
	base := fromName(n.First, n.Last)
	for try := range maxTries {
		c := n.code(candidate(base, try))
		free, err := insert(tx, &c, newShort)
		if err != nil || free {
			return c, free, err
		}
	}
	return Code{}, false, fmt.Errorf("code: no code was free in %d tries", maxTries)
}

// Claim makes a text the primary code of a membership, and reports whether it was
// made just now. The codes that the membership had before go on working. A
// membership may go back to a code that it had, or to another spelling of it; one
// that is not active stays so, since whoever repeats a request must not undo what
// was done meanwhile. A code without a membership is nobody's primary one.
//
// It returns problem.Conflict if the code is taken, and problem.Invalid under the
// field's name if it is not a code.
func Claim(tx *db.Tx, n New, field, text string) (Code, bool, error) {
	text, folded, err := parse(field, text)
	if err != nil {
		return Code{}, false, err
	}
	found, err := selectFolded(tx, n.TenantID, folded)
	if err == nil {
		return reclaim(tx, n, found, text)
	}
	if !errors.Is(err, db.ErrNoRows) {
		return Code{}, false, err
	}
	if err := makeRoom(tx, n); err != nil {
		return Code{}, false, err
	}
	c := n.code(text)
	free, err := insert(tx, &c, newShort)
	if err != nil {
		return Code{}, false, err
	}
	if !free {
		return Code{}, false, taken()
	}
	return c, true, nil
}

// reclaim is Claim for a code that exists.
func reclaim(tx *db.Tx, n New, found Code, text string) (Code, bool, error) {
	if n.MembershipID.IsZero() || found.MembershipID != n.MembershipID || found.Kind != n.Kind {
		return Code{}, false, taken()
	}
	if found.Primary && found.Text == text {
		return found, false, nil
	}
	if err := demote(tx, n.TenantID, n.MembershipID); err != nil {
		return Code{}, false, err
	}
	found.Primary, found.Text = true, text
	return found, false, update(tx, found)
}

// makeRoom prepares a membership for one more code, which will be its primary one.
func makeRoom(tx *db.Tx, n New) error {
	if n.MembershipID.IsZero() {
		return nil
	}
	has, err := count(tx, n.TenantID, n.MembershipID)
	if err != nil {
		return err
	}
	if has >= maxOfMembership {
		return problem.Conflict.New("there are %d codes already, which is the most: choose one of them", has)
	}
	return demote(tx, n.TenantID, n.MembershipID)
}

// ErrTaken is the error of a code that somebody else has, for those who tell it apart
// from other conflicts. It is a problem.Conflict besides.
var ErrTaken = errors.New("code: the code is taken")

func taken() error {
	return errors.Join(ErrTaken, problem.Conflict.New("the code is taken: choose another one"))
}

// code returns the code that n asks for. Its short code is missing.
func (n New) code(text string) Code {
	return Code{
		TenantID: n.TenantID, Text: text, Folded: Fold(text), Kind: n.Kind,
		ProgramID: n.ProgramID, MembershipID: n.MembershipID, PersonID: n.PersonID,
		Primary: !n.MembershipID.IsZero(), Active: true, CreatedAt: db.FromMicro(db.Micro(n.At)),
	}
}

// insert stores a code with a short code of its own, and reports whether the code
// was free.
func insert(tx *db.Tx, c *Code, short func() string) (bool, error) {
	for range maxTries {
		c.Short = short()
		stored, err := insertRow(tx, *c)
		if err != nil || stored {
			return stored, err
		}
		taken, err := isTaken(tx, c.TenantID, c.Folded)
		if err != nil || taken {
			return false, err
		}
	}
	return false, fmt.Errorf("code: no short code was free in %d tries", maxTries)
}

// Activate has a code count again. It reports whether that changes anything, and
// returns problem.NotFound if there is no such code.
func Activate(tx *db.Tx, tenant id.ID, text string) (bool, error) {
	c, err := Lookup(tx, tenant, text)
	if err != nil || c.Active {
		return false, err
	}
	c.Active = true
	return true, update(tx, c)
}

// Deactivate has a code count no more; it stays taken. It reports whether that
// changes anything, and returns problem.NotFound if there is no such code.
func Deactivate(tx *db.Tx, tenant id.ID, text string) (bool, error) {
	c, err := Lookup(tx, tenant, text)
	if err != nil || !c.Active {
		return false, err
	}
	c.Active = false
	return true, update(tx, c)
}

// Lookup returns the code that somebody typed, active or not, or
// problem.NotFound.
func Lookup(q db.Queryer, tenant id.ID, text string) (Code, error) {
	folded := Fold(text)
	if folded == "" {
		return Code{}, missing()
	}
	c, err := selectFolded(q, tenant, folded)
	return c, orMissing(err)
}

// LookupShort returns the code that a link was made from, active or not, or
// problem.NotFound. It is the one question that names no tenant: the answer does.
func LookupShort(q db.Queryer, short string) (Code, error) {
	if !isShort(short) {
		return Code{}, missing()
	}
	c, err := selectShort(q, short)
	return c, orMissing(err)
}

// Primary returns the code of a membership that is shown, or problem.NotFound.
func Primary(q db.Queryer, tenant, membership id.ID) (Code, error) {
	if membership.IsZero() {
		return Code{}, missing()
	}
	c, err := selectPrimary(q, tenant, membership)
	return c, orMissing(err)
}

// ByMembership returns all codes of a membership, the primary one first and then
// the newest.
func ByMembership(q db.Queryer, tenant, membership id.ID) ([]Code, error) {
	if membership.IsZero() {
		return nil, nil
	}
	return selectMembership(q, tenant, membership)
}

// ByPerson returns the codes of a person in all programs, the primary ones first
// and then the newest: 1,000 at most.
func ByPerson(q db.Queryer, tenant, person id.ID) ([]Code, error) {
	if person.IsZero() {
		return nil, nil
	}
	return selectPerson(q, tenant, person)
}

func missing() error { return problem.NotFound.New("there is no such code") }

func orMissing(err error) error {
	if errors.Is(err, db.ErrNoRows) {
		return missing()
	}
	return err
}
