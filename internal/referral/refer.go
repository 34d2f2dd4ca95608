package referral

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// The errors of registrations, for those who tell them apart. They are problems besides.
var (
	ErrNoCode    = errors.New("referral: there is no such code")
	ErrOwnCode   = errors.New("referral: the code is the person's own")
	ErrConverted = errors.New("referral: the person has converted already")
	ErrReferred  = errors.New("referral: the person was referred by another code")
	ErrBlocked   = errors.New("referral: the person is blocked")
	ErrApart     = errors.New("referral: the person takes part in no program")
	ErrKnown     = errors.New("referral: the person is known already")
	ErrFull      = errors.New("referral: the account has as many people as it may have")
)

func refuse(what error, p *problem.Error) error { return errors.Join(what, p) }

// referAll starts the referrals that a registration calls for: by the codes that it
// names, which have to be good, and else by where the person's browser came from.
func (s *Service) referAll(c *fact.Command, programs []Running, p *person.Person, r Registration) error {
	for _, text := range r.ReferredBy {
		if _, err := s.referByCode(c, programs, p, text, r); err != nil {
			return err
		}
	}
	if len(r.Cookies) > 0 || r.Device != "" {
		for _, of := range programs {
			if err := s.referByBrowser(c, of, p, r); err != nil {
				return err
			}
		}
	}
	if r.Converted {
		return s.convertAll(c, p)
	}
	return nil
}

// referByCode starts a referral by a code that was typed or named. Somebody whom the
// same member has referred already stays so.
func (s *Service) referByCode(c *fact.Command, programs []Running, p *person.Person, text string, r Registration) (*Referral, error) {
	found, err := lookUpEver(c, text)
	if problem.NotFound.Has(err) || err == nil && found.Kind != code.Referral {
		return nil, noSuchCode()
	}
	if err != nil {
		return nil, err
	}
	before, err := byReferredNow(c, found.ProgramID, p.ID)
	if err != nil && !problem.NotFound.Has(err) {
		return nil, err
	}
	if err == nil && before.ReferrerID == found.PersonID { // whatever has become of the code
		return before, nil
	}
	if !found.Active {
		return nil, noSuchCode()
	}
	var of *Running
	for i := range programs {
		if programs[i].ID == found.ProgramID {
			of = &programs[i]
		}
	}
	switch {
	case of == nil:
		return nil, refuse(ErrNoCode, problem.InvalidField("referred_by", "has a code of a program that does not run"))
	case found.PersonID == p.ID:
		return nil, refuse(ErrOwnCode, problem.InvalidField("referred_by", "has the person's own code"))
	}
	switch {
	case before != nil && before.State == IsConverted:
		return nil, refuse(ErrConverted, problem.Conflict.New("the person has converted already"))
	case before != nil:
		return nil, refuse(ErrReferred, problem.Conflict.New("the person was referred by another code already"))
	}
	if err := s.mayBeReferred(c, p); err != nil && (!r.paid || !errors.Is(err, ErrConverted)) {
		return nil, err
	}
	t := attribution.Touch{
		TenantID: c.Tenant(), Short: found.Short, ProgramID: of.ID, MembershipID: found.MembershipID, Method: r.method(),
		CookieID: r.Device, IP: r.IP, At: c.Now(), PersonID: p.ID,
	}
	if t, err = attribution.Record(c.Tx(), t); err != nil {
		return nil, err
	}
	started, err := s.attribute(c, of, p, arrival{device: r.Device, touch: t, code: found})
	if started != nil || err != nil {
		return started, err
	}
	// The credit is somebody's who can't have it any more.
	return s.start(c, of, p, found, t, t.Method)
}

// lookUpEver returns the code that somebody typed, also what stays of it where its
// person was forgotten, which is not active, or problem.NotFound.
func lookUpEver(c *fact.Command, text string) (code.Code, error) {
	found, err := code.Lookup(c.Tx(), c.Tenant(), text)
	if problem.NotFound.Has(err) {
		return code.Forgotten(c.Tx(), c.Tenant(), text)
	}
	return found, err
}

// method is how the codes that a registration names are known.
func (r Registration) method() attribution.Method {
	if r.ByHand {
		return attribution.Manual
	}
	return attribution.ByCode
}

func noSuchCode() error {
	return refuse(ErrNoCode, problem.InvalidField("referred_by", "has a code that there is not"))
}

// mayBeReferred refuses somebody of whom a referral could mean nothing any more.
func (s *Service) mayBeReferred(c *fact.Command, p *person.Person) error {
	if p.IsBlocked() {
		return refuse(ErrBlocked, problem.Conflict.New("the person is blocked"))
	}
	if p.Unreferable {
		return refuse(ErrApart, problem.Conflict.New("the person takes part in no program"))
	}
	if p.Account == "" {
		return nil
	}
	account, err := accountNow(c, p.Account)
	if problem.NotFound.Has(err) {
		return nil
	}
	if err == nil && account.State == person.Paid {
		return refuse(ErrConverted, problem.Conflict.New("the person's account has paid already"))
	}
	return err
}

// referByBrowser starts a referral by where the person's browser came from. What is
// not good is passed over: nobody typed it.
func (s *Service) referByBrowser(c *fact.Command, of Running, p *person.Person, r Registration) error {
	_, err := byReferredNow(c, of.ID, p.ID)
	if !problem.NotFound.Has(err) {
		return err
	}
	if err := s.mayBeReferred(c, p); err != nil {
		if isRefusal(err) {
			return nil
		}
		return err
	}
	came := arrival{device: r.Device}
	for _, text := range r.Cookies {
		found, err := code.Lookup(c.Tx(), c.Tenant(), text)
		if problem.NotFound.Has(err) || err == nil && (!found.Active || found.ProgramID != of.ID || found.PersonID == p.ID) {
			continue
		}
		if err != nil {
			return err
		}
		came.code = found
		came.touch, err = attribution.Record(c.Tx(), attribution.Touch{
			TenantID: c.Tenant(), Short: found.Short, ProgramID: of.ID, MembershipID: found.MembershipID, Method: attribution.ByCookie,
			CookieID: r.Device, IP: r.IP, At: c.Now(), PersonID: p.ID,
		})
		if err != nil {
			return err
		}
		break
	}
	_, err = s.attribute(c, &of, p, came)
	if isCodeRefusal(err) { // the referrer is blocked, or was forgotten
		return nil
	}
	return err
}

// isCodeRefusal reports whether an error says that a code is not good.
func isCodeRefusal(err error) bool { return errors.Is(err, ErrNoCode) || errors.Is(err, ErrOwnCode) }

// isRefusal reports whether an error says that somebody can't be referred.
func isRefusal(err error) bool {
	return errors.Is(err, ErrConverted) || errors.Is(err, ErrBlocked) || errors.Is(err, ErrReferred) || errors.Is(err, ErrApart)
}

// arrival is how somebody came just now.
type arrival struct {
	device string            // the browser's cookie; "": none is known
	touch  attribution.Touch // that was recorded of it; zero: none was
	code   code.Code         // that the touch names
}

// lookup returns the code that a touch names.
func (a arrival) lookup(c *fact.Command, touch attribution.Touch) (code.Code, error) {
	if touch.Short == a.code.Short && touch.Short != "" {
		return a.code, nil
	}
	return code.LookupShort(c.Tx(), touch.Short)
}

// attribute decides who referred a person, and starts the referral. It returns nil
// where nobody gets the credit.
func (s *Service) attribute(c *fact.Command, of *Running, p *person.Person, came arrival) (*Referral, error) {
	own, err := membershipNow(c, of.ID, p.ID)
	if err != nil && !problem.NotFound.Has(err) {
		return nil, err
	}
	question := attribution.Question{
		TenantID: c.Tenant(), ProgramID: of.ID, PersonID: p.ID, Own: own.ID, Policy: of.Settings.policy(c.Now(), of.Zone), Now: c.Now(),
	}
	if came.device != "" {
		question.Cookies = []string{came.device}
	}
	if isNew(c, p.ID) {
		question.New = true
		if !came.touch.ID.IsZero() {
			question.Touches = []attribution.Touch{came.touch}
		}
	}
	answer, err := attribution.Attribute(c.Tx(), question)
	if err != nil || answer.Attribution == nil {
		return nil, err
	}
	touch := answer.Decision.Touch
	used, err := came.lookup(c, touch)
	if err != nil {
		if problem.NotFound.Has(err) { // it was erased since
			return nil, nil //nolint:nilnil // nobody gets the credit
		}
		return nil, err
	}
	if used.PersonID == p.ID || !used.Active {
		return nil, nil //nolint:nilnil // nobody gets the credit
	}
	started, err := s.start(c, of, p, used, touch, answer.Decision.Method)
	if errors.Is(err, ErrNoCode) {
		return nil, nil //nolint:nilnil // nobody gets the credit
	}
	return started, err
}

// creditable returns whose code it is, unless that person takes part in nothing.
func (s *Service) creditable(c *fact.Command, used code.Code) (*person.Person, error) {
	referrer, err := person.Now(c, used.PersonID)
	if err != nil {
		return nil, err
	}
	if referrer.IsDeleted() || referrer.IsBlocked() || referrer.Unreferable {
		return nil, refuse(ErrNoCode, problem.InvalidField("referred_by", "has a code that does not count any more"))
	}
	return referrer, nil
}

// start begins a referral and judges it.
func (s *Service) start(c *fact.Command, of *Running, p *person.Person, used code.Code, touch attribution.Touch, method attribution.Method) (*Referral, error) {
	referrer, err := s.creditable(c, used)
	if err != nil {
		return nil, err
	}
	began, err := newReferral(c, referrer.ID, p.ID)
	if err != nil {
		return nil, err
	}
	r := &Referral{
		ID: began, TenantID: c.Tenant(), Version: 1, ProgramID: of.ID, ProgramKey: of.Key, ReferrerID: referrer.ID, ReferredID: p.ID,
		Code: used.Text, Link: touch.Link, Method: method, TouchID: touch.ID, State: IsStarted, StartedAt: c.Now(),
		Referrer: of.Settings.defaultOf(ReferrerSide), Referred: of.Settings.defaultOf(ReferredSide),
		ip: p.LatestIP(), device: strings.Join(p.Devices(), deviceEnd), email: p.Email,
	}
	verdict, marked, err := s.judge(c, of, referrer, p, touch)
	if err != nil {
		return nil, err
	}
	r.AutoModeratedAt, r.ModeratedAt = c.Now(), c.Now()
	r.apply(verdict)
	// That it was started comes first, and then what was thought of it.
	begun := *r
	r.Version++
	if err := insert(c.Tx(), r); err != nil {
		return nil, err
	}
	f, err := c.Append(fact.Fact{Type: Started, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: begun.Version, Data: &begun})
	if err != nil {
		return nil, err
	}
	return r, c.Because(f.ID, func() error {
		r.First = true
		if err := s.tell(c, r, Moderated); err != nil {
			return err
		}
		r.First = false
		if err := s.markOthers(c, r, marked); err != nil {
			return err
		}
		return approveLater(c, of, r)
	})
}

// approveLater has what is pending be approved when the time for that is over, unless
// a signal or somebody has it wait.
func approveLater(c *fact.Command, of *Running, r *Referral) error {
	after := of.Settings.after
	if after.IsZero() || r.ByHand || r.isSuspect() || r.Referrer != Undecided && r.Referred != Undecided {
		return nil
	}
	_, err := timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: approveTimer, DueAt: after.After(r.StartedAt, of.Zone), Ref: r.ID})
	return err
}

// apply notes what was found about a referral.
func (r *Referral) apply(v fraud.Verdict) {
	r.Signals = v.Signals
	switch v.Outcome {
	case fraud.Held:
		r.Referrer, r.Referred = Undecided, Undecided
	case fraud.Blocked:
		r.Referrer, r.Referred = Denied, Denied
	case fraud.None, fraud.Flagged:
	}
}

// tell appends a fact about a referral as it stands.
func (s *Service) tell(c *fact.Command, r *Referral, what string) error {
	now := *r
	_, err := c.Append(fact.Fact{Type: what, Subject: fact.Ref{Kind: Subject, ID: r.ID}, Version: r.Version, Data: &now})
	return err
}

// judge gathers what is known of a referral, and judges it. It returns also which
// other referrals the verdict is about as much.
func (s *Service) judge(c *fact.Command, of *Running, referrer, referred *person.Person, touch attribution.Touch) (fraud.Verdict, []id.ID, error) {
	recent, err := recentOf(c.Tx(), c.Tenant(), of.ID, referrer.ID, fraud.MaxRecent)
	if err != nil {
		return fraud.Verdict{}, nil, err
	}
	evidence := fraud.Evidence{Referrer: sideOf(referrer), Referred: sideOf(referred), At: c.Now(), Touch: fraud.Touch{IP: touch.IP, Device: touch.CookieID}}
	for _, other := range recent {
		evidence.Recent = append(evidence.Recent, fraud.Referral{ID: other.ID, At: other.StartedAt, Referred: fraud.Person{
			ID: other.ReferredID, Email: other.email, IPs: addresses(other.ip), Devices: texts(strings.Split(other.device, deviceEnd)...),
		}})
	}
	if evidence.Ring, err = s.ring(c, of.ID, referrer.ID, referred.ID); err != nil {
		return fraud.Verdict{}, nil, err
	}
	if evidence.Listed, err = listed(c, of.Settings.fraud, evidence); err != nil {
		return fraud.Verdict{}, nil, err
	}
	verdict := fraud.Evaluate(evidence, of.Settings.fraud, c.Now())
	var marked []id.ID
	for _, other := range recent {
		if slices.ContainsFunc(verdict.Signals, func(signal fraud.Signal) bool { return other.lacks(signal) }) {
			marked = append(marked, other.ID)
		}
	}
	return verdict, marked, nil
}

// lacks reports whether a signal is about an earlier referral, which does not show it
// yet.
func (e earlier) lacks(signal fraud.Signal) bool {
	return slices.Contains(signal.Details.Referrals, e.ID) && !strings.Contains(e.signals, `"name":"`+string(signal.Kind)+`"`)
}

func sideOf(p *person.Person) fraud.Person {
	return fraud.Person{
		ID: p.ID, FirstName: p.FirstName, LastName: p.LastName, Email: p.Email, IPs: addresses(p.FirstIP, p.LastIP), Devices: p.Devices(),
	}
}

// deviceEnd stands between the devices that a referral remembers: none has it.
const deviceEnd = "\n"

func addresses(all ...string) []netip.Addr {
	var known []netip.Addr
	for _, text := range all {
		if a, err := netip.ParseAddr(text); err == nil {
			known = append(known, a)
		}
	}
	return known
}

func texts(all ...string) []string {
	var known []string
	for _, text := range all {
		if text != "" {
			known = append(known, text)
		}
	}
	return known
}

// ring returns how the referrers lead back from a referrer to the referred, or
// nothing.
func (s *Service) ring(c *fact.Command, of, referrer, referred id.ID) ([]id.ID, error) {
	if isNew(c, referred) {
		return nil, nil // nobody can have come by way of that one
	}
	refers, err := hasReferred(c.Tx(), c.Tenant(), of, effect.Happening{Person: referred})
	if err != nil || !refers { // most often: then nobody can have come by way of that one
		return nil, err
	}
	chain := []id.ID{referrer}
	for range fraud.MaxRing {
		before, err := referrerOf(c.Tx(), c.Tenant(), of, chain[len(chain)-1])
		if err != nil || before.IsZero() {
			return nil, err
		}
		chain = append(chain, before)
		if before == referred {
			return chain, nil
		}
	}
	return nil, nil
}

// markOthers has other referrals show a signal that is about them as much as about
// the one that is new, as a rate is. They are treated by it as that one is.
func (s *Service) markOthers(c *fact.Command, r *Referral, others []id.ID) error {
	for _, of := range others {
		other, err := selectReferral(c.Tx(), c.Tenant(), of)
		if err != nil {
			return err
		}
		if other.ByHand || other.State == IsEnded || !other.adopt(r.Signals) {
			continue
		}
		other.ModeratedAt = c.Now()
		if err := s.moderated(c, other, BothSides); err != nil {
			return err
		}
	}
	return nil
}

// adopt takes over what signals say that are about several referrals, and reports
// whether that is anything new.
func (r *Referral) adopt(signals []fraud.Signal) bool {
	isNew := false
	for _, signal := range signals {
		about := false
		for _, of := range signal.Details.Referrals {
			about = about || of == r.ID
		}
		for _, known := range r.Signals {
			about = about && known.Kind != signal.Kind
		}
		if !about {
			continue
		}
		r.Signals, isNew = append(r.Signals, signal), true
		switch signal.Action {
		case fraud.Hold:
			r.apply(fraud.Verdict{Outcome: fraud.Held, Signals: r.Signals})
		case fraud.Block:
			r.apply(fraud.Verdict{Outcome: fraud.Blocked, Signals: r.Signals})
		case fraud.Off, fraud.Flag:
		}
	}
	return isNew
}
