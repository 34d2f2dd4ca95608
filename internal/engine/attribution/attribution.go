// Package attribution keeps who was sent by whom, and decides who gets the credit.
//
// The evidence and the decision are apart. Every sign that somebody was sent is a
// [Touch]: a click on a share link, a cookie that came back, a code that was typed,
// a change by hand. All are kept, whoever gets the credit. The decision ([Decide])
// is a function of the touches and of the program's [Policy]; so it can be
// explained, and taken again under another policy. [Attribute] stores what was
// decided.
//
// Attribution says who gets the credit and no more. What follows from it is for the
// programs to know: whether there is a referral, and whether it is paid for.
package attribution

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Method is how it is known who sent somebody.
type Method string

// The methods.
const (
	ByCode   Method = "code"   // the person typed a code, or whoever told us of them named it
	ByCookie Method = "cookie" // the person's browser had the cookie of a share link
	ByLink   Method = "link"   // the person came by a share link, without a cookie
	Manual   Method = "manual" // somebody decided so
)

// What is stored of what strangers send.
const (
	maxCookieID  = 64
	maxUserAgent = 512
	maxURL       = 2048
)

// Touch is a sign that a member has sent somebody.
type Touch struct {
	TenantID     id.ID
	ID           id.ID  // Record gives it
	Short        string // of the code: its text says whose it is, and may be forgotten
	ProgramID    id.ID
	MembershipID id.ID // the referrer's; zero, if manual: nobody gets the credit
	Method       Method
	Link         code.Link // which share link; zero: it wasn't one
	CookieID     string    // the browser's ([Cookie]); empty: it sent none
	IP           netip.Addr
	UserAgent    string
	URL          string
	At           time.Time
	PersonID     id.ID // whose touch it is; zero: that isn't known yet
}

// matched returns the method by which the touch says who sent the person. A click
// on a link is nobody's in itself: where there is a cookie, that told whose it is.
func (t Touch) matched() Method {
	if t.Method == ByLink && t.CookieID != "" {
		return ByCookie
	}
	return t.Method
}

// Attribution is who gets the credit for a person in a program.
type Attribution struct {
	TenantID     id.ID
	ProgramID    id.ID
	PersonID     id.ID
	MembershipID id.ID // the referrer's
	Method       Method
	TouchID      id.ID
	Policy       Policy // by which it was decided
	At           time.Time
}

// Record stores a touch and returns it as it is stored. What strangers send may be
// of any size and of any bytes: what can't be kept is cut.
func Record(tx *db.Tx, t Touch) (Touch, error) {
	t.ID = id.New(tx.Now())
	t.CookieID = kept(t.CookieID, maxCookieID)
	t.UserAgent = kept(t.UserAgent, maxUserAgent)
	t.URL = kept(t.URL, maxURL)
	t.IP = t.IP.WithZone("").Unmap()
	t.At = db.FromMicro(db.Micro(t.At))
	return t, insertTouch(tx, t)
}

// kept returns as much of a text as is stored: so many bytes of whole characters,
// all of which the database can store.
func kept(text string, most int) string {
	text = text[:min(len(text), 2*most)] // what is cut anyway need not be cleaned
	text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
	if len(text) <= most {
		return text
	}
	end := most
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end]
}

// maxCookies is how many browsers of a person are looked at in one command.
const maxCookies = 10

// Identify notes that a browser is a person's: of its newest touches that are
// nobody's yet, 200 become that person's. Those of somebody else who uses the same
// browser stay theirs.
func Identify(tx *db.Tx, tenant id.ID, cookie string, person id.ID) error {
	if cookie == "" || person.IsZero() {
		return nil
	}
	return updatePerson(tx, tenant, kept(cookie, maxCookieID), person)
}

// Question asks who gets the credit for a person in a program.
type Question struct {
	TenantID  id.ID
	ProgramID id.ID
	PersonID  id.ID
	Own       id.ID    // the person's own membership, which gets no credit for them; zero: none
	Cookies   []string // of the person's browsers; the first ten count
	Policy    Policy
	Now       time.Time
	// New says that the person came to be in the transaction: then the only touches of
	// the person in the program are Touches, and nothing was decided yet.
	New     bool
	Touches []Touch
}

// Change is what an answer changes.
type Change string

// The changes.
const (
	Unchanged Change = "unchanged"
	Gained    Change = "gained" // nobody had the credit
	Moved     Change = "moved"  // somebody else had it
	Lost      Change = "lost"   // nobody has it any more
)

// Answer is who gets the credit, and why.
type Answer struct {
	Change      Change
	Attribution *Attribution // as it is now; nil: nobody has the credit
	Decision    Decision
}

// Attribute decides who gets the credit for a person, from their touches and those
// of their browsers, and stores it. Asked again, it changes nothing unless there are
// other touches, or time has passed that the policy counts. Who has the credit keeps
// it where no touch gives it to anybody else.
//
// It looks at the touch that has the credit, at the 100 newest touches of the person
// and of each browser, and at the 100 oldest that the policy's window has. Clicks of
// a browser count for everybody who uses it; what another person typed there, or what
// was decided about them, is theirs alone.
func Attribute(tx *db.Tx, q Question) (Answer, error) {
	q.Cookies = cookiesOf(q)
	stored, err := q.stored(tx)
	if err != nil {
		return Answer{}, err
	}
	touches, err := evidence(tx, q, stored)
	if err != nil {
		return Answer{}, err
	}
	for _, cookie := range q.Cookies {
		if err := Identify(tx, q.TenantID, cookie, q.PersonID); err != nil {
			return Answer{}, err
		}
	}
	held := stored.credited()
	d := Decide(touches, q.Policy, Case{Held: held, Own: q.Own, Now: q.Now})
	if !d.Credited || held != nil && held.MembershipID == d.Touch.MembershipID {
		return Answer{Unchanged, held, d}, nil
	}
	now := Attribution{
		q.TenantID, q.ProgramID, q.PersonID, d.Touch.MembershipID, d.Method, d.Touch.ID, q.Policy, db.FromMicro(db.Micro(q.Now)),
	}
	if d.Touch.PersonID != q.PersonID {
		if err := keepTouch(tx, now); err != nil {
			return Answer{}, err
		}
	}
	return Answer{changed(held, &now), &now, d}, upsert(tx, now)
}

// stored returns what was decided before; nil: nothing was.
func (q Question) stored(tx *db.Tx) (*Attribution, error) {
	if q.New {
		return nil, nil //nolint:nilnil // nothing was
	}
	return find(tx, q.TenantID, q.ProgramID, q.PersonID)
}

// persons returns the touches of the person.
func (q Question) persons(from db.Queryer, since time.Time) ([]Touch, error) {
	if q.New {
		return slices.Clone(q.Touches), nil
	}
	return selectPersons(from, q, since)
}

// cookiesOf returns the IDs of the browsers that count for a question.
func cookiesOf(q Question) []string {
	var cookies []string
	for _, cookie := range q.Cookies {
		if cookie = kept(cookie, maxCookieID); cookie != "" && len(cookies) < maxCookies && !slices.Contains(cookies, cookie) {
			cookies = append(cookies, cookie)
		}
	}
	return cookies
}

// evidence returns the touches that a question is decided by, each once.
func evidence(q db.Queryer, ask Question, stored *Attribution) ([]Touch, error) {
	since := time.UnixMicro(0)
	if ask.Policy.Window > 0 {
		since = ask.Now.Add(-ask.Policy.Window)
	}
	all, err := ask.persons(q, since)
	if err != nil {
		return nil, err
	}
	for _, cookie := range ask.Cookies {
		found, err := selectCookies(q, ask, cookie, since)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	seen := map[id.ID]bool{}
	each := slices.DeleteFunc(all, func(t Touch) bool {
		again := seen[t.ID]
		seen[t.ID] = true
		ofAnother := !t.PersonID.IsZero() && t.PersonID != ask.PersonID
		return again || ofAnother && (t.Method == ByCode || t.Method == Manual)
	})
	if stored == nil || seen[stored.TouchID] {
		return each, nil
	}
	t, err := selectTouch(q, ask.TenantID, stored.TouchID)
	if err != nil {
		return nil, err
	}
	return append(each, t), nil
}

// Reattribute gives the credit for a person to the membership that the touch names,
// by hand; to nobody, if it names none. The touch is kept as a manual one, and later
// decisions agree with it. The answer says what changed.
func Reattribute(tx *db.Tx, t Touch) (Answer, error) {
	stored, err := find(tx, t.TenantID, t.ProgramID, t.PersonID)
	if err != nil {
		return Answer{}, err
	}
	t.Method = Manual
	if t, err = Record(tx, t); err != nil {
		return Answer{}, err
	}
	d := Decide([]Touch{t}, Policy{}, Case{Now: t.At})
	now := Attribution{t.TenantID, t.ProgramID, t.PersonID, t.MembershipID, Manual, t.ID, Policy{}, t.At}
	return Answer{changed(stored.credited(), now.credited()), now.credited(), d}, upsert(tx, now)
}

// changed returns the change from one attribution to another; nil: nobody has the
// credit.
func changed(from, to *Attribution) Change {
	switch {
	case from == nil && to == nil:
		return Unchanged
	case from == nil:
		return Gained
	case to == nil:
		return Lost
	case from.MembershipID == to.MembershipID:
		return Unchanged
	default:
		return Moved
	}
}

// Held returns who has the credit for a person in a program; nil: nobody.
func Held(q db.Queryer, tenant, program, person id.ID) (*Attribution, error) {
	stored, err := find(q, tenant, program, person)
	return stored.credited(), err
}

// find returns what was decided about a person in a program; nil: nothing was.
func find(q db.Queryer, tenant, program, person id.ID) (*Attribution, error) {
	a, err := selectAttribution(q, tenant, program, person)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil //nolint:nilnil // nothing was
	}
	return a, err
}

// credited returns an attribution if it gives the credit to anybody, else nil.
func (a *Attribution) credited() *Attribution {
	if a == nil || a.MembershipID.IsZero() {
		return nil
	}
	return a
}

// Get returns a touch, or problem.NotFound.
func Get(q db.Queryer, tenant, touch id.ID) (Touch, error) {
	t, err := selectTouch(q, tenant, touch)
	if errors.Is(err, db.ErrNoRows) {
		return Touch{}, problem.NotFound.New("there is no such touch")
	}
	return t, err
}

// Page is a part of a list. The zero Page is its beginning.
type Page struct {
	Before Touch // the last one of the page before, of which At and ID count; zero: the beginning
	Limit  int   // 1 to 1,000; anything else: 100
}

// bounds returns what the touches of the page come before, and how many there may
// be.
func (p Page) bounds() (int64, id.ID, int) {
	limit := p.Limit
	if limit < 1 || limit > 1000 {
		limit = 100
	}
	if p.Before.ID.IsZero() {
		return math.MaxInt64, id.ID{}, limit
	}
	return db.Micro(p.Before.At), p.Before.ID, limit
}

// OfCookie returns the touches of a browser, the newest first.
func OfCookie(q db.Queryer, tenant id.ID, cookie string, p Page) ([]Touch, error) {
	return selectOfCookie(q, tenant, cookie, p)
}

// OfPerson returns the touches of a person, the newest first.
func OfPerson(q db.Queryer, tenant, person id.ID, p Page) ([]Touch, error) {
	return selectOfPerson(q, tenant, person, p)
}

// Latest returns the touches of a person that were written down before an id, the
// latest first.
func Latest(q db.Queryer, tenant, person, before id.ID, limit int) ([]Touch, error) {
	return selectLatest(q, tenant, person, before, limit)
}

// Forget removes from a person's touches where they came from, and from what is nobody's
// of the same browsers. That there were touches, and of which codes, stays.
func Forget(tx *db.Tx, tenant, person id.ID) error {
	own, err := OfPerson(tx, tenant, person, Page{Limit: 1000})
	if err != nil {
		return err
	}
	seen := map[string]bool{"": true}
	for _, t := range own {
		if seen[t.CookieID] {
			continue
		}
		seen[t.CookieID] = true
		if err := forgetBrowser(tx, tenant, t.CookieID); err != nil {
			return err
		}
	}
	return forgetPerson(tx, tenant, person)
}

// Prune removes touches before a time that are nobody's, the oldest first, and
// returns how many. It removes so many at most: who gets as many back calls again,
// in another transaction.
func Prune(tx *db.Tx, tenant id.ID, before time.Time, most int) (int64, error) {
	return deleteNobodys(tx, tenant, before, most)
}

// NextWithNobodys returns the tenant that follows one, of those that have touches which
// are nobody's, and whether there is one.
func NextWithNobodys(q db.Queryer, after id.ID) (id.ID, bool, error) {
	next, err := selectNextTenant(q, after)
	if errors.Is(err, db.ErrNoRows) {
		return id.ID{}, false, nil
	}
	return next, err == nil, err
}

// text returns the policy as it is stored.
func (p Policy) text() (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("attribution: encode a policy: %w", err)
	}
	return string(b), nil
}
