package referral

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Profiles is what lists of people read.
func (s *Service) Profiles(q db.Queryer, tenant id.ID, people []*person.Person) ([]Profile, error) {
	return s.profiles(q, tenant, people)
}

// Details is what lists of referrals read.
func (s *Service) Details(q db.Queryer, tenant id.ID, referrals []*Referral) ([]Detail, error) {
	return s.details(q, tenant, referrals)
}

// ReadAmongAll is how lists are read that look at all that a tenant has.
func (s *Service) ReadAmongAll(ctx context.Context, fn func(q db.Queryer) error) error {
	return s.readAmongAll(ctx, fn)
}

// MaxSearches is how many of them are read at once.
const MaxSearches = maxSearches

// Lacking returns about which of a referrer's latest referrals a signal is that they do
// not show yet, as it is asked when another one begins.
func Lacking(q db.Queryer, of *Referral, signal fraud.Signal) ([]id.ID, error) {
	recent, err := recentOf(q, of.TenantID, of.ProgramID, of.ReferrerID, fraud.MaxRecent)
	var lacking []id.ID
	for _, e := range recent {
		if e.lacks(signal) {
			lacking = append(lacking, e.ID)
		}
	}
	return lacking, err
}
