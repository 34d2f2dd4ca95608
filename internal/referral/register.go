package referral

import (
	"context"
	"maps"
	"net/netip"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Registration is what is said about a person, and how it came.
type Registration struct {
	Identity person.Identity
	Patch    person.Patch
	// Codes are the codes that the person is to have, by the program's key; "" is
	// the tenant's first program.
	Codes map[string]string
	// ReferredBy are the codes by which the person came. One that is not there, or
	// is the person's own, is refused.
	ReferredBy []string
	// ByHand says that somebody decided by which codes, and nobody typed them.
	ByHand bool
	// Cookies name the codes of links that the person's browser came by, the latest
	// first. What is not there is ignored.
	Cookies []string
	// Device is the browser's cookie, by which touches are found.
	Device string
	IP     netip.Addr
	// Converted says that what the program asks for was done already.
	Converted bool
	// Else is who is meant where nobody has the identity, and is known by it then.
	Else Alias
	paid bool // the account has paid already, and may be referred nevertheless
	// MustCreate refuses somebody who is known with problem.Conflict.
	MustCreate bool
}

// Registered is what became of it.
type Registered struct {
	Person    *person.Person
	Created   bool
	Codes     []Code // of the person, one for each program, the earliest program first
	Referrals []*Referral
}

// Register stores what is said about a person, has somebody who is new be in every
// program that runs, with a code, and starts the referrals that the codes and
// cookies call for. All of it or nothing. Repeating it changes nothing.
func (s *Service) Register(ctx context.Context, tenant id.ID, r Registration) (Registered, error) {
	var done Registered
	err := s.do(ctx, tenant, r.queue(), func(c *fact.Command) error {
		var err error
		done, err = s.register(c, r)
		return err
	})
	return done, err
}

// register is Register inside of a command.
func (s *Service) register(c *fact.Command, r Registration) (Registered, error) {
	r.Patch.Device = r.Device
	if r.IP.IsValid() {
		r.Patch.IP = r.IP.String()
	}
	holder, err := s.recognise(c, r)
	if err != nil {
		return Registered{}, err
	}
	saved, err := person.SaveHolder(c, holder, r.Identity, r.Patch)
	if err != nil {
		return Registered{}, err
	}
	if r.MustCreate && !saved.Created {
		return Registered{}, refuse(ErrKnown, problem.Conflict.New("there is somebody of this identity already"))
	}
	if saved.Created {
		if err := s.hasRoom(c, saved.Person); err != nil {
			return Registered{}, err
		}
	}
	done := Registered{Person: saved.Person, Created: saved.Created}
	programs, err := s.running(c)
	if err != nil {
		return Registered{}, err
	}
	codes, err := wishesOf(programs, r.Codes)
	if err != nil {
		return Registered{}, err
	}
	c.Tx().Keep(wishesKey{saved.Person.ID}, codes)
	if err := c.Settle(); err != nil {
		return Registered{}, err
	}
	if !saved.Created { // a program may be newer than the person
		for _, of := range programs {
			if err := s.join(c, of.Program, saved.Person); err != nil {
				return Registered{}, err
			}
		}
	}
	if err := claim(c, saved.Person, codes); err != nil {
		return Registered{}, err
	}
	if err := s.referAll(c, programs, saved.Person, r); err != nil {
		return Registered{}, err
	}
	if saved.Created || slices.Contains(saved.Changed, "account") {
		if err := s.referByAccount(c, programs, saved.Person); err != nil {
			return Registered{}, err
		}
	}
	if err := c.Settle(); err != nil {
		return Registered{}, err
	}
	if done.Codes, err = s.codesNow(c, saved.Person.ID); err != nil {
		return Registered{}, err
	}
	done.Referrals, err = referralsNow(c, saved.Person.ID)
	return done, err
}

// queue is what registrations wait for each other by: each referral is judged by the
// others of its referrer, and the people of an account are counted, so that those who
// come by one code, or to one account, would be in each other's way.
func (r Registration) queue() string {
	for _, text := range slices.Concat(r.ReferredBy, r.Cookies) {
		return "code/" + code.Fold(text)
	}
	if r.Patch.Account != nil && *r.Patch.Account != "" {
		return "account/" + *r.Patch.Account
	}
	return r.Identity.Scheme + "/" + r.Identity.Key
}

// wish is a code that somebody is to have in a program.
type wish struct {
	of      *program.Program
	text    string
	granted bool
}

// wishesKey is under what a command keeps the wishes of a person.
type wishesKey struct{ person id.ID }

func wishesOf(programs []Running, codes map[string]string) ([]*wish, error) {
	var wishes []*wish
	for _, key := range slices.Sorted(maps.Keys(codes)) {
		i := slices.IndexFunc(programs, func(r Running) bool { return key == "" || r.Key == key })
		if i < 0 {
			return nil, problem.InvalidField("codes", "names a program that does not run")
		}
		wishes = append(wishes, &wish{of: programs[i].Program, text: codes[key]})
	}
	return wishes, nil
}

// claim gives a person the codes that were wished for and that joining has not given.
func claim(c *fact.Command, p *person.Person, wishes []*wish) error {
	for _, w := range wishes {
		if w.granted {
			continue
		}
		m, err := membershipNow(c, w.of.ID, p.ID)
		if problem.NotFound.Has(err) {
			return problem.InvalidField("codes", "can't be had by somebody who takes part in nothing")
		}
		if err != nil {
			return err
		}
		made, isNew, err := code.Claim(c.Tx(), newCode(c, w.of, m, p), "code", w.text)
		if err != nil {
			return err
		}
		if !isNew {
			c.Tx().Keep(respelled{}, true)
			continue
		}
		all, err := code.ByMembership(c.Tx(), c.Tenant(), m.ID)
		if err != nil {
			return err
		}
		if err := tellCode(c, w.of, made, len(all)); err != nil {
			return err
		}
	}
	return nil
}

func newCode(c *fact.Command, of *program.Program, m program.Membership, p *person.Person) code.New {
	return code.New{
		TenantID: c.Tenant(), Kind: code.Referral, ProgramID: of.ID, MembershipID: m.ID, PersonID: p.ID,
		First: p.FirstName, Last: p.LastName, At: c.Now(),
	}
}

// tellCode tells of a new code of a member, who has so many by now.
func tellCode(c *fact.Command, of *program.Program, made code.Code, number int) error {
	_, err := c.Append(fact.Fact{
		Type: CodeIssued, Subject: fact.Ref{Kind: CodeSubject, ID: made.MembershipID}, Version: int64(number),
		Data: &Code{Text: made.Text, Short: made.Short, ProgramID: of.ID, ProgramKey: of.Key, PersonID: made.PersonID, CreatedAt: made.CreatedAt},
	})
	return err
}

// join has a person be in a program, with a code. Somebody who takes part in
// nothing is in none.
func (s *Service) join(c *fact.Command, of *program.Program, p *person.Person) error {
	if p.Unreferable || p.IsDeleted() {
		return nil
	}
	_, err := membershipNow(c, of.ID, p.ID)
	if !problem.NotFound.Has(err) {
		return err
	}
	m, err := program.Enter(c.Tx(), of, p.ID, c.Now())
	if err != nil {
		return err
	}
	c.Tx().Keep(keptMembership{of.ID, p.ID}, m)
	first := newCode(c, of, m, p)
	first.Fresh = true
	made, isNew, err := firstCode(c, of, first)
	if err != nil || !isNew {
		return err
	}
	return tellCode(c, of, made, 1)
}

// firstCode makes the code of somebody who has just joined: the one that was wished
// for, or else one of the name, which nobody else may then have.
func firstCode(c *fact.Command, of *program.Program, n code.New) (code.Code, bool, error) {
	wishes, _ := c.Tx().Kept(wishesKey{n.PersonID}).([]*wish)
	for _, w := range wishes {
		if w.of.ID == of.ID && !w.granted {
			w.granted = true
			return code.Claim(c.Tx(), n, "code", w.text)
		}
	}
	return code.Mint(c.Tx(), n)
}

// codesIn returns a person's codes, the one of each program that is shown, the
// earliest program first.
func codesIn(q db.Queryer, programs []*program.Program, of id.ID) ([]Code, error) {
	if len(programs) == 0 {
		return nil, nil
	}
	all, err := code.ByPerson(q, programs[0].TenantID, of)
	if err != nil {
		return nil, err
	}
	return shownOf(programs, all), nil
}

// Visit is somebody who came by a share link.
type Visit struct {
	Short     string
	Link      code.Link
	To        string // where the link asks to lead; "": nowhere special
	Cookie    string // of the browser; "": it had none
	IP        netip.Addr
	UserAgent string
	URL       string
}

// Landing is where a visitor is sent.
type Landing struct {
	TenantID id.ID
	Code     string
	Program  Running
	URL      string // "": to the program's own page
}

// Visit records a touch and says where the visitor is to be sent. It returns
// problem.NotFound for a code that is not there, or is not active any more.
func (s *Service) Visit(ctx context.Context, v Visit) (Landing, error) {
	var found code.Code
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = code.LookupShort(q, v.Short)
		return err
	})
	if err != nil {
		return Landing{}, err
	}
	if !found.Active || found.Kind != code.Referral {
		return Landing{}, problem.NotFound.New("there is no such link")
	}
	landing := Landing{TenantID: found.TenantID, Code: found.Text}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if landing.Program, err = s.ProgramOf(tx, found.TenantID, found.ProgramID); err != nil {
			return err
		}
		_, err = attribution.Record(tx, attribution.Touch{
			TenantID: found.TenantID, Short: found.Short, ProgramID: found.ProgramID, MembershipID: found.MembershipID,
			Method: attribution.ByLink, Link: v.Link, CookieID: v.Cookie, IP: v.IP, UserAgent: v.UserAgent, URL: v.URL, At: tx.Now(),
		})
		return err
	})
	if err != nil {
		return Landing{}, err
	}
	landing.URL, _ = landing.Program.Settings.Landing(v.To, found.Text)
	return landing, nil
}

// Report is an activity of a person who is known.
type Report struct {
	Person     id.ID
	Activities []activity.New
}

// Track stores activities of a person, and does what follows from them by the
// rules: all of them or none. It returns what became of each, in their order.
func (s *Service) Track(ctx context.Context, tenant id.ID, r Report) ([]activity.Result, error) {
	if n := len(r.Activities); n < 1 || n > maxActivities {
		return nil, problem.InvalidField("activities", "must be 1 to %d", maxActivities)
	}
	var done []activity.Result
	err := s.do(ctx, tenant, "person/"+r.Person.String(), func(c *fact.Command) error {
		var err error
		done, err = s.track(c, r)
		return err
	})
	return done, err
}

func (s *Service) track(c *fact.Command, r Report) ([]activity.Result, error) {
	p, err := person.Get(c.Tx(), c.Tenant(), r.Person)
	if err != nil {
		return nil, err
	}
	if p.IsDeleted() {
		return nil, problem.NotFound.New("there is no such person")
	}
	place, err := soFar(c, p)
	if err != nil {
		return nil, err
	}
	var done []activity.Result
	for i, n := range r.Activities {
		result, err := activity.Track(c, p.ID, place, n)
		if err != nil {
			return nil, inItem(i, err)
		}
		if err := c.Settle(); err != nil {
			return nil, err
		}
		place.After = later(place.After, result.Activity.ID)
		done = append(done, result)
	}
	return done, nil
}

const maxActivities = 100

// Block has a person take part in nothing: what they were referred by ends, and what
// they would be given waits. Unblock takes it back.
func (s *Service) Block(ctx context.Context, tenant, of id.ID) (*person.Person, error) {
	return s.change(ctx, tenant, of, step{audit.PersonBlocked, person.Block})
}

// Unblock takes Block back.
func (s *Service) Unblock(ctx context.Context, tenant, of id.ID) (*person.Person, error) {
	return s.change(ctx, tenant, of, step{audit.PersonUnblocked, person.Unblock})
}

// step is something that is done with a person by hand.
type step struct {
	action audit.Action
	take   func(c *fact.Command, of id.ID) (*person.Person, error)
}

func (s *Service) change(ctx context.Context, tenant, of id.ID, what step) (*person.Person, error) {
	var p *person.Person
	err := s.do(ctx, tenant, "person/"+of.String(), func(c *fact.Command) error {
		return onRecord(ctx, c, ofPerson(what.action, of), func() error {
			var err error
			p, err = what.take(c, of)
			return err
		})
	})
	return p, err
}

// Undo takes a fact back with all that it led to, or, where it is such an undoing,
// brings that about again.
func (s *Service) Undo(ctx context.Context, tenant id.ID, u fact.Undoing) (*fact.Fact, error) {
	var undone *fact.Fact
	err := s.do(ctx, tenant, "fact/"+u.Fact.String(), func(c *fact.Command) error {
		return onRecord(ctx, c, audit.Change{Action: audit.FactUndone, ObjectID: fact.FactID.Format(u.Fact)}, func() error {
			var err error
			undone, err = c.Undo(u)
			return err
		})
	})
	return undone, err
}

// Refer has a person be referred by a code, as if the person had come by it just
// now. Repeating it changes nothing.
func (s *Service) Refer(ctx context.Context, tenant, of id.ID, text string) (*Referral, error) {
	return s.refer(ctx, tenant, of, Registration{ReferredBy: []string{text}})
}

// Assign is Refer for somebody who decides by hand, which goes before whatever else
// is known of where the person came from.
func (s *Service) Assign(ctx context.Context, tenant, of id.ID, text string) (*Referral, error) {
	return s.refer(ctx, tenant, of, Registration{ReferredBy: []string{text}, ByHand: true})
}

func (s *Service) refer(ctx context.Context, tenant, of id.ID, by Registration) (*Referral, error) {
	var r *Referral
	err := s.do(ctx, tenant, "person/"+of.String(), func(c *fact.Command) error {
		p, err := person.Get(c.Tx(), tenant, of)
		if err != nil {
			return err
		}
		programs, err := s.running(c)
		if err != nil {
			return err
		}
		if r, err = s.referByCode(c, programs, p, by.ReferredBy[0], by); err != nil {
			return err
		}
		if err := c.Settle(); err != nil {
			return err
		}
		r, err = selectReferral(c.Tx(), tenant, r.ID) // rules may have converted it
		return err
	})
	return r, err
}
