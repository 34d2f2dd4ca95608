package referral

import (
	"cmp"
	"crypto/md5" //nolint:gosec // it is what the column has, and hides nothing
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Naming is how exports call what they tell of. All of it is required.
type Naming struct {
	User   func(p *person.Person) (account, user string) // what a person is called
	Link   func(short string, l code.Link) string        // the address of a share link
	Reward func(kind rule.Kind) string                   // what a kind of rewards is called
	Source func(r *reward.Reward) string                 // what a reward is said to be for
}

// exportRows bounds how many rows are read in one step, since some need others to
// be read as well: as many as one statement asks for.
const exportRows = 256

// exports are the sources of files about the tenants' programs. Times are
// milliseconds since 1970.
type exports struct {
	service *Service
	naming  Naming
}

// Exports returns the sources of files about the tenants' programs.
func (s *Service) Exports() []export.Source {
	e := exports{s, s.naming}
	return []export.Source{
		{
			Type: "USER", Check: e.check, Page: e.users, Prose: []string{"email", "firstName", "lastName"},
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
	people = slices.DeleteFunc(people, func(of *person.Person) bool {
		return of.IsDeleted() || !p.Params.Selects(of.CreatedAt, of.UpdatedAt)
	})
	profiles, err := e.service.profiles(q, p.TenantID, people)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, of := range profiles {
		if p.Params.ProgramID == "" || of.isIn(p.Params.ProgramID) {
			rows = append(rows, e.user(of))
		}
	}
	return rows, next, nil
}

// isIn reports whether somebody takes part in a program: has a code of it, or came by
// one.
func (p Profile) isIn(program string) bool {
	return slices.ContainsFunc(p.Codes, func(c Code) bool { return c.ProgramKey == program }) ||
		slices.ContainsFunc(p.Referrals, func(r *Referral) bool { return r.ProgramKey == program })
}

func (e exports) user(of Profile) []string {
	name := e.nameOf(of.Person)
	row := []string{
		name.user, name.account, of.Email, of.FirstName, of.LastName, of.ImageURL, of.FirstIP, of.LastIP, milli(of.CreatedAt), emailHash(of.Email),
		"", of.Locale,
	}
	if len(of.Codes) == 0 {
		return append(row, "", "", "", "", "")
	}
	for _, by := range []code.Share{code.Direct, code.Facebook, code.Twitter, code.Email, code.LinkedIn} {
		row = append(row, e.naming.Link(of.Codes[0].Short, code.Link{Engagement: code.UnknownEngagement, Share: by}))
	}
	return row
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
	found, names, next, err := e.referralsOf(q, p)
	if err != nil {
		return nil, nil, err
	}
	ids := make([]id.ID, len(found))
	for i, r := range found {
		ids[i] = r.ID
	}
	given, err := reward.OfReferrals(q, p.TenantID, ids)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, r := range found {
		referred, referrer, led := names[r.ReferredID], names[r.ReferrerID], Detail{Referral: r, Rewards: given[r.ID]}
		rows = append(rows, []string{
			r.ID.String(), r.ProgramKey, referred.user, referred.account, idOf(led.RewardOf(ReferredSide)), upper(r.Referred),
			referrer.user, referrer.account, idOf(led.RewardOf(ReferrerSide)), upper(r.Referrer),
			milli(r.StartedAt), milli(r.ConvertedAt), milli(r.ConvertedAt), milli(r.EndedAt), milli(r.decidedAt()),
		})
	}
	return rows, next, nil
}

// userReferrals are who came by whom, with what is known of both.
func (e exports) userReferrals(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	found, names, next, err := e.referralsOf(q, p)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, r := range found {
		referred, referrer, by := names[r.ReferredID], names[r.ReferrerID], r.Code
		if referrer.IsDeleted() { // it was made of the name
			by = ""
		}
		rows = append(rows, []string{
			r.ID.String(), r.ProgramKey, referred.user, referred.account, referred.Email, referred.FirstName, referred.LastName,
			referrer.user, referrer.account, referrer.Email, referrer.FirstName, referrer.LastName,
			by, milli(r.StartedAt), milli(r.ConvertedAt), milli(r.EndedAt),
		})
	}
	return rows, next, nil
}

// referralsOf returns those of a page of referrals that are wanted, with the names of
// the people in them.
func (e exports) referralsOf(q db.Queryer, p export.Part) ([]*Referral, map[id.ID]named, []byte, error) {
	found, next, err := page(q, p, After, func(r *Referral) id.ID { return r.ID })
	if err != nil {
		return nil, nil, nil, err
	}
	found = slices.DeleteFunc(found, func(r *Referral) bool {
		return p.Params.ProgramID != "" && p.Params.ProgramID != r.ProgramKey || !p.Params.Selects(r.StartedAt, r.changedAt())
	})
	var people []id.ID
	for _, r := range found {
		people = append(people, r.ReferredID, r.ReferrerID)
	}
	names, err := e.names(q, p.TenantID, people)
	return found, names, next, err
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

func (e exports) rewards(q db.Queryer, p export.Part) ([][]string, []byte, error) {
	found, next, err := page(q, p, reward.After, func(r *reward.Reward) id.ID { return r.ID })
	if err != nil {
		return nil, nil, err
	}
	programs, err := e.service.programs.List(q, p.TenantID)
	if err != nil {
		return nil, nil, err
	}
	found = slices.DeleteFunc(found, func(r *reward.Reward) bool {
		return r.State == reward.IsRefused || p.Params.ProgramID != "" && p.Params.ProgramID != keyOf(programs, r.ProgramID) ||
			!p.Params.Selects(r.GivenAt, r.UpdatedAt())
	})
	var people []id.ID
	for _, r := range found {
		people = append(people, r.PersonID)
	}
	names, err := e.names(q, p.TenantID, people)
	if err != nil {
		return nil, nil, err
	}
	var rows [][]string
	for _, r := range found {
		rows = append(rows, e.reward(r, keyOf(programs, r.ProgramID), names[r.PersonID]))
	}
	return rows, next, nil
}

func (e exports) reward(r *reward.Reward, in string, of named) []string {
	row := []string{
		r.ID.String(), of.user, of.account, e.naming.Reward(r.Kind), strings.ToUpper(string(r.State)), r.Name, in, hexOf(r.ReferralID), e.naming.Source(r),
	}
	switch r.Kind {
	case rule.Percent:
		row = append(row, "", cmp.Or(r.Unit, "%"), "", strconv.FormatFloat(float64(r.Amount)/100, 'f', -1, 64))
	default:
		row = append(row, strconv.FormatInt(r.Amount, 10), r.Unit, strconv.FormatInt(r.Used(), 10), "")
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

// names returns the names of people by their ids.
func (e exports) names(q db.Queryer, tenant id.ID, ids []id.ID) (map[id.ID]named, error) {
	people, err := peopleByID(q, tenant, ids)
	names := make(map[id.ID]named, len(people))
	for of, p := range people {
		names[of] = e.nameOf(p)
	}
	return names, err
}

// nameOf returns the names of somebody; one who was forgotten has none.
func (e exports) nameOf(p *person.Person) named {
	if p.IsDeleted() {
		return named{Person: p}
	}
	account, user := e.naming.User(p)
	return named{p, user, account}
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
