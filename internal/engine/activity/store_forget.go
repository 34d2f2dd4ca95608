package activity

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Forget removes from a page of a person's activities, in the order in which they came
// in, what the reporter said of them: their fields, and their keys, of which a hash
// stays, so that each counts once for ever. It returns which they are. That they
// happened, of what type and when, stays.
func Forget(tx *db.Tx, tenant, person id.ID, p Page) ([]id.ID, error) {
	page, err := collect(tx, `SELECT `+columns+` FROM activity WHERE tenant_id = $1 AND person_id = $2 AND id > $3 ORDER BY id LIMIT $4`,
		tenant, person, p.After, p.Limit)
	if err != nil {
		return nil, err
	}
	forgotten := make([]id.ID, len(page))
	for i, a := range page {
		forgotten[i] = a.ID
		var key any
		if a.Key != "" {
			key = anonymousKey(tenant, a.Key)
		}
		if _, err := tx.Exec(`UPDATE activity SET fields = '', key = $3 WHERE tenant_id = $1 AND id = $2`, tenant, a.ID, key); err != nil {
			return nil, fmt.Errorf("activity: forget an activity: %w", err)
		}
	}
	return forgotten, nil
}

const anonymousPrefix = "forgotten-"

// anonymousKey is what stays of the key of an activity whose person was forgotten: it
// shows that a key was used, to who has it.
func anonymousKey(tenant id.ID, key string) string {
	if strings.HasPrefix(key, anonymousPrefix) { // it stays so
		return key
	}
	sum := sha256.Sum256(append(tenant[:], key...))
	return anonymousPrefix + hex.EncodeToString(sum[:16])
}
