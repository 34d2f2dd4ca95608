package code

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// A code is made of a name mostly, or chosen by the person whose it is. When that
// person is forgotten a hash of it stays: it says nothing to who does not have the code,
// and keeps it from being given to somebody else, whom old links and letters would
// credit then.

// anonymousMark stands before what stays of a code. No code begins with it.
const anonymousMark = "~"

// Anonymous is what stays of the code, as it is compared, when its person is forgotten.
func (c Code) Anonymous() string { return anonymous(c.TenantID, c.Folded) }

func anonymous(tenant id.ID, folded string) string {
	if strings.HasPrefix(folded, anonymousMark) { // it is one already
		return folded
	}
	sum := sha256.Sum256(append(tenant[:], folded...))
	return anonymousMark + hex.EncodeToString(sum[:16])
}

// Retire has the codes of a person count no more.
func Retire(tx *db.Tx, tenant, person id.ID) error { return deactivateAll(tx, tenant, person) }

// Known returns some of a person's codes, limit at most, that were not forgotten.
func Known(q db.Queryer, tenant, person id.ID, limit int) ([]Code, error) {
	return selectKnown(q, tenant, person, limit)
}

// Forgotten returns what stays of a code that somebody typed whose person was forgotten,
// or problem.NotFound.
func Forgotten(q db.Queryer, tenant id.ID, text string) (Code, error) {
	folded := Fold(text)
	if folded == "" {
		return Code{}, missing()
	}
	c, err := selectFolded(q, tenant, anonymous(tenant, folded))
	return c, orMissing(err)
}

// Forget makes a code say nothing: it is not found any more, nobody gets it again, and
// its links lead nowhere.
func Forget(tx *db.Tx, c Code) error { return rename(tx, c, c.Anonymous()) }
