package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// SetAccount stores where an account stands, and does what follows from it. The code
// by which its people came, if one is said, has to be one that there is. It is kept
// for those who are yet to come; of those who are there it refers whom it can, and
// passes over who was referred before, has converted or is blocked.
func (s *Service) SetAccount(ctx context.Context, tenant id.ID, a person.AccountPatch) (*person.Account, error) {
	var account *person.Account
	err := s.do(ctx, tenant, "account/"+a.Key, func(c *fact.Command) error {
		people, err := person.OfAccount(c.Tx(), tenant, a.Key, id.ID{}, maxPeople)
		if err != nil {
			return err
		}
		patch := a // what was asked for stays as it is, for when this is run again
		if a.ReferredBy != "" {
			if patch.ReferredBy, err = s.referAccount(c, people, a.ReferredBy); err != nil {
				return err
			}
		}
		if err := followAll(c, a.Key, people); err != nil {
			return err
		}
		account, err = person.SetAccount(c, patch)
		return err
	})
	return account, err
}

// referAccount has the people of an account be referred by its code. It returns the code
// as it is to be kept; "": it is disabled, or its person was forgotten, and nobody else is
// to come by it.
func (s *Service) referAccount(c *fact.Command, people []*person.Person, text string) (string, error) {
	found, err := lookUpEver(c, text)
	if problem.NotFound.Has(err) || err == nil && found.Kind != code.Referral {
		return "", noSuchCode()
	}
	if err != nil || !found.Active {
		return "", err
	}
	programs, err := s.running(c)
	if err != nil {
		return "", err
	}
	for _, p := range people {
		_, err := s.referByCode(c, programs, p, text, Registration{})
		if err != nil && !isRefusal(err) && !isCodeRefusal(err) {
			return "", err
		}
	}
	return found.Text, nil
}

// referByAccount has somebody who has come to an account be referred by the code that
// was said of the account before, unless somebody else has referred them. An account
// that has paid converts what it is referred by, though that comes later.
func (s *Service) referByAccount(c *fact.Command, programs []Running, p *person.Person) error {
	if p.Account == "" || p.IsBlocked() {
		return nil
	}
	account, err := accountNow(c, p.Account)
	if problem.NotFound.Has(err) || err == nil && (account.ReferredBy == "" || account.State == person.Cancelled) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err = s.referByCode(c, programs, p, account.ReferredBy, Registration{paid: true}); isRefusal(err) || isCodeRefusal(err) {
		return nil
	}
	if err != nil || account.State != person.Paid {
		return err
	}
	if err := c.Settle(); err != nil {
		return err
	}
	paid, err := s.latest(c, account.ID, person.AccountChanged)
	if err != nil || paid == nil {
		return err
	}
	return c.Because(paid.ID, func() error { return s.onAccountOf(c, paid, account, p.ID) })
}

// maxPeople is how many people of an account its state concerns.
const maxPeople = 1000

// Forget forgets a person. Referrals of that person end.
func (s *Service) Forget(ctx context.Context, tenant, of id.ID, how person.Deletion) error {
	return s.do(ctx, tenant, "person/"+of.String(), func(c *fact.Command) error {
		return onRecord(ctx, c, ofPerson(audit.PersonDeleted, of), func() error { return person.Delete(c, of, how) })
	})
}

// ForgetAccount forgets an account with all its people, and returns how many they
// were. It returns problem.NotFound where there is nothing to forget.
func (s *Service) ForgetAccount(ctx context.Context, tenant id.ID, key string, how person.Deletion) (int, error) {
	n := 0
	err := s.do(ctx, tenant, "account/"+key, func(c *fact.Command) error {
		people, err := person.OfAccount(c.Tx(), tenant, key, id.ID{}, maxPeople)
		if err != nil {
			return err
		}
		had, err := person.DeleteAccount(c, key)
		if err != nil {
			return err
		}
		if n = len(people); n == 0 && !had {
			return problem.NotFound.New("there is no such account")
		}
		for _, p := range people {
			if err := person.Delete(c, p.ID, how); err != nil {
				return err
			}
		}
		return audit.Write(ctx, c.Tx(), audit.Change{TenantID: tenant, Action: audit.AccountDeleted, ObjectID: key})
	})
	return n, err
}
