package referral

import (
	"context"
	"crypto/rand"
	"net/netip"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The schemes of those who have registered on a program's own page. The key of the
// first is the normal form of an e-mail address. The second knows a person by the
// form that was sent, so that sending it again makes nobody new.
const (
	Hosted     = "hosted"
	hostedForm = "hosted_form"
)

// ProgramByKey returns the tenant's referral program with the key, or
// problem.NotFound.
func (s *Service) ProgramByKey(ctx context.Context, tenant id.ID, key string) (Running, error) {
	return read(ctx, s.db, func(q db.Queryer) (Running, error) {
		p, err := s.programs.ByKey(q, tenant, key)
		if err != nil {
			return Running{}, err
		}
		if p.Kind != KindName {
			return Running{}, problem.NotFound.New("there is no such referral program")
		}
		return s.withSettings(p)
	})
}

// Link says where a share link leads, as Visit does, and records nothing.
func (s *Service) Link(ctx context.Context, short, to string) (Landing, error) {
	return read(ctx, s.db, func(q db.Queryer) (Landing, error) {
		found, err := code.LookupShort(q, short)
		if err != nil {
			return Landing{}, err
		}
		if !found.Active || found.Kind != code.Referral {
			return Landing{}, problem.NotFound.New("there is no such link")
		}
		of, err := s.ProgramOf(q, found.TenantID, found.ProgramID)
		if err != nil {
			return Landing{}, err
		}
		landing := Landing{TenantID: found.TenantID, Code: found.Text, Program: of}
		landing.URL, _ = of.Settings.Landing(to, found.Text)
		return landing, nil
	})
}

// Entry is somebody who registers on a program's own page.
type Entry struct {
	Program Running
	Address string // the normal form of the e-mail address in Patch
	Patch   person.Patch
	// Form is a secret of the form that was sent; sending it again with the same
	// address gives the same person.
	Form string
	// ReferredBy is a code by which the person came; "": none was said. One that is
	// not good is passed over.
	ReferredBy string
	Device     string // the browser's cookie
	IP         netip.Addr
	// Back returns the link that leads somebody to the own page by a token; nil: nobody
	// is sent one.
	Back func(token string) string
}

// Enter registers somebody who has shown nothing but an address, which anybody can
// type. So an address that is known already says nothing of who this is: whoever
// types it becomes a person apart, as if the address were new, and gets to see
// nothing of the one who is known. That one is sent a link to the own page instead.
// The person apart is referred by nobody, since there is nobody new, and is blocked
// if the one who is known is.
func (s *Service) Enter(ctx context.Context, tenant id.ID, e Entry) (Registered, error) {
	done, err := s.enter(ctx, tenant, e)
	if e.ReferredBy != "" && isCodeRefusal(err) {
		e.ReferredBy = ""
		done, err = s.enter(ctx, tenant, e)
	}
	return done, err
}

func (s *Service) enter(ctx context.Context, tenant id.ID, e Entry) (Registered, error) {
	var done Registered
	order := fact.Order{Tenant: tenant, Key: Hosted + "/" + e.Address, Actor: fact.ByPerson}
	err := s.log.Do(ctx, order, func(c *fact.Command) error {
		sent, err := lookUp(c, person.Identity{Scheme: hostedForm, Key: e.Form + " " + e.Address})
		if err != nil {
			return err
		}
		if sent.person != nil {
			done = Registered{Person: sent.person}
			return nil
		}
		known, err := lookUp(c, person.Identity{Scheme: Hosted, Key: e.Address})
		if err != nil {
			return err
		}
		r := e.registration()
		if known.isTaken() {
			r = e.apart()
		}
		if done, err = s.register(c, r); err != nil {
			return err
		}
		if !sent.isTaken() {
			if err := person.Link(c, done.Person, sent.identity); err != nil {
				return err
			}
		}
		if known.person == nil {
			return nil
		}
		if known.person.IsBlocked() {
			if err := c.Tx().Flush(); err != nil {
				return err
			}
			done.Person, err = person.Block(c, done.Person.ID)
			return err
		}
		return s.writeBack(c, e, known.person.ID)
	})
	return done, err
}

// holder is who has an identity.
type holder struct {
	identity  person.Identity
	person    *person.Person // nil: nobody has it
	forgotten bool           // who had it was forgotten, and nobody else may have it
}

func (h holder) isTaken() bool { return h.person != nil || h.forgotten }

func lookUp(c *fact.Command, of person.Identity) (holder, error) {
	found := holder{identity: of}
	p, err := person.Find(c.Tx(), c.Tenant(), of)
	if err == nil {
		found.person = p
		return found, nil
	}
	if !problem.NotFound.Has(err) {
		return holder{}, err
	}
	found.forgotten, err = person.IsForgotten(c.Tx(), c.Tenant(), of)
	return found, err
}

// registration is what the entry says of somebody who is new.
func (e Entry) registration() Registration {
	r := Registration{
		Identity: person.Identity{Scheme: Hosted, Key: e.Address}, Patch: e.Patch, IP: e.IP, Device: e.Device,
	}
	if e.ReferredBy != "" {
		r.ReferredBy = []string{e.ReferredBy}
	}
	return r
}

// apart is what it says of a person apart from the one who is known.
func (e Entry) apart() Registration {
	key := e.Address + "#" + rand.Text() // no address has a # after its @
	return Registration{Identity: person.Identity{Scheme: Hosted, Key: key}, Patch: e.Patch, IP: e.IP}
}

// Title is what people call the program: what its page says, else its name.
func (r Running) Title() string {
	switch {
	case r.Settings.Page.Title != "":
		return r.Settings.Page.Title
	case r.Name != "":
		return r.Name
	}
	return r.Key
}

// Join has somebody who is known be in a program that runs, with a code. Repeating
// it changes nothing.
func (s *Service) Join(ctx context.Context, tenant, of, in id.ID) error {
	return s.do(ctx, tenant, "person/"+of.String(), func(c *fact.Command) error {
		p, err := person.Get(c.Tx(), tenant, of)
		if err != nil {
			return err
		}
		into, err := s.ProgramOf(c.Tx(), tenant, in)
		if err != nil {
			return err
		}
		if !into.Runs(c.Now()) {
			return problem.Conflict.New("the program does not run now")
		}
		return s.join(c, into.Program, p)
	})
}

// RewardName is what people call a reward: its name, else what it is.
func RewardName(r *reward.Reward) string {
	switch {
	case r.Name != "":
		return r.Name
	case r.Kind == rule.Percent:
		return strings.TrimSuffix(strconv.FormatFloat(float64(r.Amount)/100, 'f', 2, 64), ".00") + " %"
	case r.Unit == "cents":
		return strconv.FormatFloat(float64(r.Amount)/100, 'f', 2, 64)
	default:
		return strings.TrimSpace(strconv.FormatInt(r.Amount, 10) + " " + r.Unit)
	}
}
