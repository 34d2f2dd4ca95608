package reward

import (
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// atOnce is how many rewards one statement reads. Its text is always the same: where
// there are fewer, it names nobody's.
const atOnce = 40

const selectOne = `SELECT ` + columns + ` FROM reward WHERE tenant_id = $1 AND id = $2`

// selectSome asks for each reward by itself. A list of ids Postgres may look for among
// all of the tenant's, as long as it does not know how many these are.
var selectSome = func() string {
	one := strings.TrimSuffix(selectOne, "$2")
	all := make([]string, atOnce)
	for i := range all {
		all[i] = one + "$" + strconv.Itoa(i+2)
	}
	return strings.Join(all, " UNION ALL ")
}()

// selectRewards returns those of the tenant's rewards that there are.
func selectRewards(q db.Queryer, tenant id.ID, of []id.ID) ([]*Reward, error) {
	var all []*Reward
	for len(of) > 0 {
		n := min(len(of), atOnce)
		args := []any{tenant}
		for _, one := range of[:n] {
			args = append(args, one)
		}
		for range atOnce - n {
			args = append(args, id.ID{})
		}
		some, err := collect(q, selectSome, args...)
		if err != nil {
			return nil, err
		}
		all, of = append(all, some...), of[n:]
	}
	return all, nil
}
