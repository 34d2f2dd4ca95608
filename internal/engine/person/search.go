package person

import (
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// maxFound bounds what a search looks at, and so what it takes.
const maxFound = 1000

// searched are the columns whose beginnings a search compares, in the order in which
// it shows what they find. Each has an index.
var searched = []string{"email_folded", "name_folded", "called_folded"}

// Search returns people whose e-mail address, first name or last name begins with the
// text, in any case, or whose name does, with either of the two first: a thousand at
// most, each once. Those found by the address come first, then those by the last name,
// in the order of what was compared, so that the same search has the same pages.
func Search(q db.Queryer, tenant id.ID, text string) ([]*Person, error) {
	from := folded(text)
	if from == nil {
		return nil, nil
	}
	var found []*Person
	for _, column := range searched {
		begun, err := beginning(q, tenant, column, from)
		if err != nil {
			return nil, err
		}
		if found = Once(append(found, begun...)); len(found) >= maxFound {
			return found[:maxFound], nil
		}
	}
	return found, nil
}

// Once returns people in their order, without those who were there before.
func Once(people []*Person) []*Person {
	seen := make(map[id.ID]bool, len(people))
	return slices.DeleteFunc(people, func(p *Person) bool {
		again := seen[p.ID]
		seen[p.ID] = true
		return again
	})
}

func beginning(q db.Queryer, tenant id.ID, column string, from []byte) ([]*Person, error) {
	folded := "p." + column
	return collect(q, `SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND `+folded+` >= $2 AND `+folded+` < $3 AND `+folded+` IS NOT NULL
		AND p.deleted_at IS NULL ORDER BY `+folded+`, p.id LIMIT $4`, tenant, from, behind(from), maxFound)
}

// behind is what stands behind all texts that begin with one.
func behind(from []byte) []byte { return append(slices.Clone(from), 0xff) } // no UTF-8 has that

// InAccounts returns who has a name within an account, whichever account it is, the
// latest first: limit at most. The name is written as it is in keys. Not among them
// are those whose account is called the same, whom Find finds.
func InAccounts(q db.Queryer, tenant id.ID, called string, limit int) ([]*Person, error) {
	return collect(q, `SELECT `+columns+` FROM identity i JOIN person p ON p.tenant_id = i.tenant_id AND p.id = i.person_id
		WHERE i.tenant_id = $1 AND i.in_account = $2 AND i.in_account IS NOT NULL AND p.deleted_at IS NULL
		ORDER BY i.person_id DESC LIMIT $3`, tenant, called, limit)
}

// inAccount returns what a key calls somebody within an account, if it is an account
// and a name there with a slash between them, and they differ; nil: it does not.
func inAccount(key string) any {
	account, called, ok := strings.Cut(key, "/")
	if !ok || called == "" || called == account || strings.Contains(called, "/") {
		return nil
	}
	return called
}

// folded is what a search compares a text by: bytes, which both databases have in
// the same order whatever language they are set to, with one space between words.
// nil: there is nothing to find.
func folded(text string) []byte {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	if text == "" {
		return nil
	}
	return []byte(text)
}

// foldedNames is the person's name with the last name first, and with the first name
// first where there are both: else it is the same.
func (p *Person) foldedNames() (turned, called []byte) { //nolint:nonamedreturns // two texts that must not be confused
	turned = folded(p.LastName + " " + p.FirstName)
	if p.FirstName == "" || p.LastName == "" {
		return turned, nil
	}
	return turned, folded(p.Name())
}
