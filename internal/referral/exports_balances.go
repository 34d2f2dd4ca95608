package referral

import (
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

var balanceColumns = []string{"userId", "accountId", "type", "amount", "unit"}

// balancePlace is how far the balances of a tenant were read: first all wallets, then,
// by their people, the rewards that are in none.
type balancePlace struct {
	Wallet ledger.Wallet `json:"wallet"`
	Others bool          `json:"others"`
	Person id.ID         `json:"person"`
}

func (p balancePlace) pack() ([]byte, error) { return json.Marshal(p) }

// balances are what somebody has, for each person, type of rewards and unit: what can
// be spent of a wallet, the percents of all discounts, how many codes, and so on.
func (e exports) balances(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	var at balancePlace
	if p.After != nil {
		if err := json.Unmarshal(p.After, &at); err != nil {
			return nil, nil, err
		}
	}
	if at.Others {
		return e.otherBalances(q, p, at)
	}
	limit := min(p.Limit, exportRows)
	found, err := ledger.After(q, p.TenantID, at.Wallet, limit)
	if err != nil {
		return nil, nil, err
	}
	var people []id.ID
	for _, b := range found {
		people = append(people, b.Wallet.Person)
	}
	names, err := e.names(q, p.TenantID, people)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, b := range found {
		if !p.Params.Selects(b.CreatedAt, b.UpdatedAt) {
			continue
		}
		of := names[b.Wallet.Person]
		rows = append(rows, []string{
			of.user, of.account, e.naming.Reward(rule.Credit), strconv.FormatInt(b.Available, 10), b.Wallet.Unit,
		})
	}
	next := balancePlace{Others: true}
	if len(found) == limit {
		next = balancePlace{Wallet: found[len(found)-1].Wallet}
	}
	place, err := next.pack()
	return rows, place, err
}

// otherBalances are those of rewards that are in no wallet.
func (e exports) otherBalances(q db.Queryer, p export.Part, at balancePlace) ([][]string, []byte, error) {
	p.After = at.Person[:]
	people, next, err := page(q, p, person.After, func(p *person.Person) id.ID { return p.ID })
	if err != nil {
		return nil, nil, err
	}
	ids := make([]id.ID, len(people))
	for i, of := range people {
		ids[i] = of.ID
	}
	names, err := e.names(q, p.TenantID, ids)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, of := range people {
		sums, err := e.otherBalancesOf(q, p.Params, of)
		if err != nil {
			return nil, nil, err
		}
		as := names[of.ID]
		for _, b := range sums {
			rows = append(rows, []string{as.user, as.account, b.of, strconv.FormatInt(b.amount, 10), b.unit})
		}
	}
	if len(next) == 0 {
		return rows, nil, nil
	}
	place, err := balancePlace{Others: true, Person: people[len(people)-1].ID}.pack()
	return rows, place, err
}

// maxBalanced is how many of somebody's rewards a balance adds up, the latest.
const maxBalanced = 10_000

// otherBalance adds up rewards of one type.
type otherBalance struct {
	of               string // the type
	amount           int64
	unit             string
	created, updated time.Time
}

// otherBalancesOf adds up what somebody has and the export wants.
func (e exports) otherBalancesOf(q db.Queryer, chosen export.Params, of *person.Person) ([]otherBalance, error) {
	given, err := reward.OfPerson(q, of.TenantID, of.ID, reward.Page{Limit: maxBalanced})
	if err != nil {
		return nil, err
	}
	var sums []otherBalance
	for _, r := range slices.Backward(given) { // the earliest first
		if !r.Spendable() && (r.State == reward.IsAvailable || r.State == reward.IsRedeemed) {
			sums = e.addTo(sums, r)
		}
	}
	return slices.DeleteFunc(sums, func(b otherBalance) bool { return !chosen.Selects(b.created, b.updated) }), nil
}

// addTo adds a reward to the balance of its type: its percents, rounded as they are
// shown, and of other types one.
func (e exports) addTo(sums []otherBalance, r *reward.Reward) []otherBalance {
	of, amount, unit := e.naming.Reward(r.Kind), int64(1), ""
	if r.Kind == rule.Percent {
		amount, unit = (r.Amount+50)/100, "%"
	}
	at := slices.IndexFunc(sums, func(b otherBalance) bool { return b.of == of })
	if at < 0 {
		return append(sums, otherBalance{of, amount, unit, r.GivenAt, r.UpdatedAt()})
	}
	sums[at].amount += amount
	if r.UpdatedAt().After(sums[at].updated) {
		sums[at].updated = r.UpdatedAt()
	}
	return sums
}
