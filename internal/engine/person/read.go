package person

import (
	"slices"

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

// maxFound bounds what a search looks at, and so what it takes.
const maxFound = 1000

// Search returns people whose e-mail address, or name with the last name first,
// begins with the text, in any case: the first thousand at most, those found by
// their address first.
func Search(q db.Queryer, tenant id.ID, text string) ([]*Person, error) {
	from := folded(text)
	if from == nil {
		return nil, nil
	}
	until := append(slices.Clone(from), 0xff) // no UTF-8 has that
	byAddress, err := collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.email_folded >= $2 AND p.email_folded < $3 AND p.email_folded IS NOT NULL
		AND p.deleted_at IS NULL ORDER BY p.email_folded, p.id LIMIT $4`, tenant, from, until, maxFound)
	if err != nil {
		return nil, err
	}
	byName, err := collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.name_folded >= $2 AND p.name_folded < $3 AND p.name_folded IS NOT NULL
		AND p.deleted_at IS NULL ORDER BY p.name_folded, p.id LIMIT $4`, tenant, from, until, maxFound)
	if err != nil {
		return nil, err
	}
	seen := make(map[id.ID]bool, len(byAddress))
	for _, p := range byAddress {
		seen[p.ID] = true
	}
	for _, p := range byName {
		if !seen[p.ID] {
			byAddress = append(byAddress, p)
		}
	}
	return byAddress[:min(len(byAddress), maxFound)], nil
}

// AccountOf returns an account that has a state, or problem.NotFound.
func AccountOf(q db.Queryer, tenant id.ID, key string) (*Account, error) {
	return selectAccount(q, tenant, key)
}

// DeleteAccount forgets an account's state. It reports whether there was one.
func DeleteAccount(c *fact.Command, key string) (bool, error) {
	return removeAccount(c.Tx(), c.Tenant(), key)
}
