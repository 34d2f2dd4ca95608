package person

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Get returns one of the tenant's people, or problem.NotFound. One that was
// forgotten is found with nothing but its id and times.
func Get(q db.Queryer, tenant, of id.ID) (*Person, error) { return selectPerson(q, tenant, of) }

// Find returns who is known by an identity, or problem.NotFound.
func Find(q db.Queryer, tenant id.ID, of Identity) (*Person, error) {
	p, err := selectByIdentity(q, tenant, of)
	if err == nil && p.IsDeleted() {
		return nil, errNoPerson
	}
	return p, err
}

// Holder returns whose an identity is, be it somebody who was forgotten and is
// remembered (see Deletion); zero: nobody's.
func Holder(q db.Queryer, tenant id.ID, of Identity) (id.ID, error) {
	if checkIdentity(of) == nil {
		return selectHolder(q, tenant, of)
	}
	return id.ID{}, nil // nobody can be known by it
}

// IsForgotten reports whether who was known by an identity was forgotten, and the
// identity is remembered (see Deletion).
func IsForgotten(q db.Queryer, tenant id.ID, of Identity) (bool, error) {
	p, err := selectByIdentity(q, tenant, of)
	if problem.NotFound.Has(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return p.IsDeleted(), nil
}

// OfAccount returns the people of an account, the earliest first, of which there may
// be many: after is the last one of the page before.
func OfAccount(q db.Queryer, tenant id.ID, account string, after id.ID, limit int) ([]*Person, error) {
	return collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.account = $2 AND p.account <> '' AND p.id > $3 AND p.deleted_at IS NULL
		ORDER BY p.id LIMIT $4`, tenant, account, after, limit)
}

// CountOfAccount returns how many people an account has, most at most.
func CountOfAccount(q db.Queryer, tenant id.ID, account string, most int) (int, error) {
	return selectAccountCount(q, tenant, account, most)
}

// Page is a part of a list, the latest first.
type Page struct {
	Before id.ID // the last one of the page before; zero: the first page
	Offset int   // further ones to pass over
	Limit  int
}

// List returns the tenant's people, the latest first.
func List(q db.Queryer, tenant id.ID, p Page) ([]*Person, error) {
	before := p.Before
	if before.IsZero() {
		before = id.Last()
	}
	return collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.id < $2 AND p.deleted_at IS NULL
		ORDER BY p.id DESC LIMIT $3 OFFSET $4`, tenant, before, p.Limit, p.Offset)
}

// Count returns how many people the tenant has, in the same time however many.
func Count(q db.Queryer, tenant id.ID) (int64, error) { return selectCount(q, tenant) }

// AccountOf returns an account that has a state, or problem.NotFound.
func AccountOf(q db.Queryer, tenant id.ID, key string) (*Account, error) {
	return selectAccount(q, tenant, key)
}

// ForgetCode removes somebody's code from the accounts of which it was said.
func ForgetCode(c *fact.Command, text string) error { return forgetCode(c.Tx(), c.Tenant(), text) }

// DeleteAccount forgets an account's state, and what the facts about it say. It reports
// whether there was one.
func DeleteAccount(c *fact.Command, key string) (bool, error) {
	a, err := selectAccount(c.Tx(), c.Tenant(), key)
	if problem.NotFound.Has(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := fact.Redact(c.Tx(), c.Tenant(), a.ID); err != nil {
		return false, err
	}
	return removeAccount(c.Tx(), c.Tenant(), key)
}
