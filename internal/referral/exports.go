package referral

import (
	"cmp"
	"crypto/md5" //nolint:gosec // it is what the column has, and hides nothing
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Naming is how exports call what they tell of. All of it is required.
type Naming struct {
	// Scheme is that of the identities by which people are named, and Split takes a
	// key of it apart. Somebody without such an identity is named by the key and the
	// account that they have.
	Scheme string
	Split  func(key string) (account, user string, ok bool)

	Link   func(short string, l code.Link) string // the address of a share link
	Reward func(kind rule.Kind) string            // what a kind of rewards is called
}

// exportRows bounds how many rows are read in one step, since some need others to
// be read as well.
const exportRows = 100

// exports are the sources of files about the tenants' programs. Times are
// milliseconds since 1970.
type exports struct {
	service *Service
	naming  Naming
}

// Exports returns the sources of files about the tenants' programs.
func (s *Service) Exports(n Naming) []export.Source {
	e := exports{s, n}
	return []export.Source{
		{
			Type: "USER", Check: e.checkPlain, Page: e.users, Prose: []string{"email", "firstName", "lastName"},
			Columns: []string{
				"id", "accountId", "email", "firstName", "lastName", "imageUrl", "firstSeenIP", "lastSeenIP", "dateCreated", "emailHash",
				"referralSource", "locale", "shareLink", "facebookShareLink", "twitterShareLink", "emailShareLink", "linkedinShareLink",
			},
		},
		{
			Type: "USER_REFERRAL", Check: e.check, Page: e.userReferrals,
			Prose: []string{"referredEmail", "referredFirstName", "referredLastName", "referrerEmail", "referrerFirstName", "referrerLastName"},
			Columns: []string{
				"id", "programId", "referredUser", "referredAccount", "referredEmail", "referredFirstName", "referredLastName",
				"referrerUser", "referrerAccount", "referrerEmail", "referrerFirstName", "referrerLastName",
				"referralCode", "dateReferralStarted", "dateConverted", "dateReferralEnded",
			},
		},
		{
			Type: "REFERRAL", Check: e.check, Page: e.referrals,
			Columns: []string{
				"id", "programId", "referredUser", "referredAccount", "referredReward", "referredModerationStatus",
				"referrerUser", "referrerAccount", "referrerReward", "referrerModerationStatus",
				"dateReferralStarted", "dateConverted", "dateReferralPaid", "dateReferralEnded", "dateModerated",
			},
		},
		{Type: "USER_REWARD_BALANCE", Check: e.checkPlain, Page: e.balances, Columns: balanceColumns},
		{Type: "REWARD_BALANCE", Check: e.checkPlain, Page: e.balances, Columns: balanceColumns},
		{
			Type: "REWARD", Check: e.check, Page: e.rewards, Prose: []string{"name"},
			Columns: []string{
				"id", "userId", "accountId", "type", "status", "name", "programId", "referralId", "rewardSource", "amount", "unit",
				"redeemedAmount", "discountPercent", "code", "dateGiven", "dateScheduledFor", "dateExpires", "dateCancelled",
			},
		},
	}
}

var balanceColumns = []string{"userId", "accountId", "type", "amount", "unit"}

// check refuses what no export can choose by. That certain columns alone are wanted
// is passed over: there are all of them.
func (exports) check(p export.Params) error {
	var checks problem.Checks
	if len(p.Filter) > 0 {
		checks.Add("params.filter", "can't be used: choose by times and by programId")
	}
	if !p.At.IsZero() {
		checks.Add("params.at", "can't be used: an export has what there is now")
	}
	return checks.Err()
}

// checkPlain is check for what belongs to no program.
func (e exports) checkPlain(p export.Params) error {
	var checks problem.Checks
	checks.AddError("params", e.check(p))
	if p.ProgramID != "" {
		checks.Add("params.programId", "can't be used: these are of all programs")
	}
	return checks.Err()
}

// page reads rows of a table by their ids.
func page[T any](q db.Queryer, p export.Part, read func(q db.Queryer, tenant, after id.ID, limit int) ([]T, error), of func(T) id.ID) ([]T, []byte, error) {
	var after id.ID
	copy(after[:], p.After)
	limit := min(p.Limit, exportRows)
	found, err := read(q, p.TenantID, after, limit)
	if err != nil || len(found) < limit {
		return found, nil, err
	}
	last := of(found[len(found)-1])
	return found, last[:], nil
}

func (e exports) users(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	people, next, err := page(q, p, person.After, func(p *person.Person) id.ID { return p.ID })
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, of := range people {
		if !p.Params.Selects(of.CreatedAt, of.UpdatedAt) {
			continue
		}
		row, err := e.user(q, of)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, row)
	}
	return rows, next, nil
}

func (e exports) user(q db.Queryer, of *person.Person) ([]string, error) {
	name, err := e.nameOf(q, of)
	if err != nil {
		return nil, err
	}
	row := []string{
		name.user, name.account, of.Email, of.FirstName, of.LastName, of.ImageURL, of.FirstIP, of.LastIP, milli(of.CreatedAt), emailHash(of.Email),
		"", of.Locale,
	}
	codes, err := e.service.CodesOf(q, of.TenantID, of.ID)
	if err != nil {
		return nil, err
	}
	if len(codes) == 0 {
		return append(row, "", "", "", "", ""), nil
	}
	for _, by := range []code.Share{code.UnknownShare, code.Facebook, code.Twitter, code.Email, code.LinkedIn} {
		row = append(row, e.naming.Link(codes[0].Short, code.Link{Engagement: code.UnknownEngagement, Share: by}))
	}
	return row, nil
}

// emailHash is what an address is known by where pictures of people are kept.
func emailHash(address string) string {
	if address == "" {
		return ""
	}
	sum := md5.Sum([]byte(strings.ToLower(address))) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

func (e exports) referrals(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	return e.eachReferral(q, p, func(names *names, r *Referral) ([]string, error) {
		referred, err := names.of(r.ReferredID)
		if err != nil {
			return nil, err
		}
		referrer, err := names.of(r.ReferrerID)
		if err != nil {
			return nil, err
		}
		given, err := reward.OfReferral(q, r.TenantID, r.ID)
		if err != nil {
			return nil, err
		}
		given = slices.DeleteFunc(given, func(g *reward.Reward) bool { return g.State == reward.IsRefused })
		detail := Detail{Referral: r, Rewards: given}
		return []string{
			r.ID.String(), r.ProgramKey, referred.user, referred.account, idOf(detail.RewardOf(ReferredSide)), upper(r.Referred),
			referrer.user, referrer.account, idOf(detail.RewardOf(ReferrerSide)), upper(r.Referrer),
			milli(r.StartedAt), milli(r.ConvertedAt), milli(r.ConvertedAt), milli(r.EndedAt), milli(r.decidedAt()),
		}, nil
	})
}

// userReferrals are who came by whom, with what is known of both.
func (e exports) userReferrals(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	return e.eachReferral(q, p, func(names *names, r *Referral) ([]string, error) {
		referred, err := names.of(r.ReferredID)
		if err != nil {
			return nil, err
		}
		referrer, err := names.of(r.ReferrerID)
		if err != nil {
			return nil, err
		}
		by := r.Code
		if referrer.IsDeleted() { // it was made of the name
			by = ""
		}
		return []string{
			r.ID.String(), r.ProgramKey, referred.user, referred.account, referred.Email, referred.FirstName, referred.LastName,
			referrer.user, referrer.account, referrer.Email, referrer.FirstName, referrer.LastName,
			by, milli(r.StartedAt), milli(r.ConvertedAt), milli(r.EndedAt),
		}, nil
	})
}

// eachReferral makes the rows of a page of referrals.
func (e exports) eachReferral(q db.Queryer, p export.Part, row func(*names, *Referral) ([]string, error)) ([][]string, []byte, error) {
	found, next, err := page(q, p, After, func(r *Referral) id.ID { return r.ID })
	if err != nil {
		return nil, nil, err
	}
	names := e.names(q, p.TenantID)
	var rows [][]string
	for _, r := range found {
		if p.Params.ProgramID != "" && p.Params.ProgramID != r.ProgramKey || !p.Params.Selects(r.StartedAt, r.changedAt()) {
			continue
		}
		made, err := row(names, r)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, made)
	}
	return rows, next, nil
}

// changedAt is when the referral was changed last; zero: never.
func (r *Referral) changedAt() time.Time {
	return slices.MaxFunc([]time.Time{r.ConvertedAt, r.EndedAt, r.decidedAt()}, time.Time.Compare)
}

// decidedAt is when it was moderated last, by whomever.
func (r *Referral) decidedAt() time.Time {
	if r.ModeratedAt.After(r.AutoModeratedAt) {
		return r.ModeratedAt
	}
	return r.AutoModeratedAt
}

// balances are what can be spent, for each person and unit.
func (e exports) balances(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	var after ledger.Wallet
	if p.After != nil {
		if err := json.Unmarshal(p.After, &after); err != nil {
			return nil, nil, err
		}
	}
	limit := min(p.Limit, exportRows)
	found, err := ledger.After(q, p.TenantID, after, limit)
	if err != nil {
		return nil, nil, err
	}
	names := e.names(q, p.TenantID)
	var rows [][]string
	for _, b := range found {
		if !p.Params.Selects(b.CreatedAt, b.UpdatedAt) {
			continue
		}
		of, err := names.of(b.Wallet.Person)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, []string{
			of.user, of.account, e.naming.Reward(rule.Credit), strconv.FormatInt(b.Available, 10), b.Wallet.Unit,
		})
	}
	if len(found) < limit {
		return rows, nil, nil
	}
	next, err := json.Marshal(found[len(found)-1].Wallet)
	return rows, next, err
}

func (e exports) rewards(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	found, next, err := page(q, p, reward.After, func(r *reward.Reward) id.ID { return r.ID })
	if err != nil {
		return nil, nil, err
	}
	programs, err := e.service.programs.List(q, p.TenantID)
	if err != nil {
		return nil, nil, err
	}
	names := e.names(q, p.TenantID)
	var rows [][]string
	for _, r := range found {
		in := keyOf(programs, r.ProgramID)
		if p.Params.ProgramID != "" && p.Params.ProgramID != in || !p.Params.Selects(r.GivenAt, r.UpdatedAt()) {
			continue
		}
		of, err := names.of(r.PersonID)
		if err != nil {
			return nil, nil, err
		}
		rows = append(rows, e.reward(r, in, of))
	}
	return rows, next, nil
}

func (e exports) reward(r *reward.Reward, in string, of named) []string {
	row := []string{
		r.ID.String(), of.user, of.account, e.naming.Reward(r.Kind), strings.ToUpper(string(r.State)), r.Name, in, hexOf(r.ReferralID), r.Source,
	}
	switch r.Kind {
	case rule.Percent:
		row = append(row, "", cmp.Or(r.Unit, "%"), "", strconv.FormatFloat(float64(r.Amount)/100, 'f', -1, 64))
	default:
		row = append(row, strconv.FormatInt(r.Amount, 10), r.Unit, strconv.FormatInt(r.Redeemed, 10), "")
	}
	return append(row, r.Code, milli(r.GivenAt), milli(r.DueAt), milli(r.ExpiresAt), milli(r.CancelledAt))
}

// keyOf returns the key of a program; "": there is none.
func keyOf(programs []*program.Program, of id.ID) string {
	for _, p := range programs {
		if p.ID == of {
			return p.Key
		}
	}
	return ""
}

// named is somebody with the names that exports have for them.
type named struct {
	*person.Person

	user, account string
}

func (e exports) nameOf(q db.Queryer, p *person.Person) (named, error) {
	as, known, err := person.IdentityIn(q, p, e.naming.Scheme)
	if err != nil {
		return named{}, err
	}
	if known {
		if account, user, ok := e.naming.Split(as.Key); ok {
			return named{p, user, account}, nil
		}
	}
	if p.Scheme == person.Native {
		return named{p, p.Key, p.Account}, nil
	}
	return named{p, p.ID.String(), p.Account}, nil
}

// names are those of the people of one page.
type names struct {
	exports exports
	q       db.Queryer
	tenant  id.ID
	known   map[id.ID]named
}

func (e exports) names(q db.Queryer, tenant id.ID) *names {
	return &names{e, q, tenant, make(map[id.ID]named)}
}

// of returns somebody's names; one who was forgotten has none.
func (n *names) of(who id.ID) (named, error) {
	if known, ok := n.known[who]; ok {
		return known, nil
	}
	p, err := person.Get(n.q, n.tenant, who)
	if err != nil {
		return named{}, err
	}
	found := named{Person: p}
	if !p.IsDeleted() {
		if found, err = n.exports.nameOf(n.q, p); err != nil {
			return named{}, err
		}
	}
	n.known[who] = found
	return found, nil
}

func milli(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return strconv.FormatInt(at.UnixMilli(), 10)
}

func idOf(r *reward.Reward) string {
	if r == nil {
		return ""
	}
	return r.ID.String()
}

func hexOf(of id.ID) string {
	if of.IsZero() {
		return ""
	}
	return of.String()
}

func upper(m Moderation) string { return strings.ToUpper(string(m)) }
