package referral_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// vendor names people by the scheme "vendor", whose keys are account:user, and others
// by the key that they have.
var vendor = referral.Naming{
	User: func(p *person.Person) (string, string) {
		if account, user, ok := strings.Cut(p.Key, ":"); ok {
			return account, user
		}
		return p.Account, p.Key
	},
	Link:   func(short string, l code.Link) string { return "https://x.example" + code.Path(short, l) },
	Reward: func(kind rule.Kind) string { return strings.ToUpper(string(kind)) },
	Source: func(r *reward.Reward) string { return "FOR_" + strings.ToUpper(string(r.Audience)) },
}

func (w *world) source(of string) export.Source {
	w.t.Helper()
	all := w.Exports()
	i := slices.IndexFunc(all, func(s export.Source) bool { return s.Type == of })
	if i < 0 {
		w.t.Fatalf("there is no source %s", of)
	}
	return all[i]
}

// mustExport returns the rows of an export by column, read a row a page.
func (w *world) mustExport(of string, params export.Params) []map[string]string {
	w.t.Helper()
	source := w.source(of)
	var all []map[string]string
	part := export.Part{TenantID: w.tenant, Params: params, Limit: 1}
	for {
		w.read(func(q db.Queryer) error {
			rows, next, err := source.Page(q, part)
			for _, row := range rows {
				cells := make(map[string]string)
				for i, column := range source.Columns {
					cells[column] = row[i]
				}
				all = append(all, cells)
			}
			part.After = next
			return err
		})
		if part.After == nil {
			return all
		}
	}
}

// pick returns some columns of rows.
func pick(rows []map[string]string, columns ...string) []string {
	var picked []string
	for _, row := range rows {
		cells := make([]string, len(columns))
		for i, column := range columns {
			cells[i] = row[column]
		}
		picked = append(picked, strings.Join(cells, " "))
	}
	return picked
}

func wantRows(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// mustStory has Anna, whom the vendor knows too, bring Bert, who buys.
func (w *world) mustStory() (referral.Registered, referral.Registered) {
	w.t.Helper()
	w.mustProgram(giveAndGet, "")
	anna := w.mustRegister(referral.Registration{
		Identity: person.Identity{Scheme: "vendor", Key: "acme:1"},
		Patch:    person.Patch{FirstName: new("Anna"), LastName: new("Adams"), Email: new("Anna@example.com"), Account: new("acme")},
	})
	bert := w.mustRegister(referral.Registration{
		Identity: who("bert"), Patch: person.Patch{FirstName: new("Bert")}, ReferredBy: []string{anna.Codes[0].Text},
	})
	w.mustTrack(bert.Person, purchase("1", 6000))
	return anna, bert
}

func TestPeopleAreExportedByTheNamesThatTheVendorHasForThem(t *testing.T) {
	w := mustWorld(t)
	anna, bert := w.mustStory()
	users := w.mustExport("USER", export.Params{})
	wantRows(t, "people", pick(users, "id", "accountId", "firstName", "dateCreated", "emailHash"),
		fmt.Sprintf("1 acme Anna %d 6b56db1f84a3997b902509d3fbf0a306", anna.Person.CreatedAt.UnixMilli()),
		fmt.Sprintf("bert  Bert %d ", bert.Person.CreatedAt.UnixMilli()))
	direct := "https://x.example" + code.Path(anna.Codes[0].Short, code.Link{Engagement: code.UnknownEngagement, Share: code.Direct})
	if users[0]["shareLink"] != direct {
		t.Errorf("the link is %q, want %q", users[0]["shareLink"], direct)
	}
	if want := "https://x.example" + code.Path(anna.Codes[0].Short, code.Link{Share: code.Facebook}); users[0]["facebookShareLink"] != want {
		t.Errorf("the link is %q, want %q", users[0]["facebookShareLink"], want)
	}
}

func TestReferralsAreExportedWithBothSidesAndWhatTheyWereGiven(t *testing.T) {
	w := mustWorld(t)
	_, bert := w.mustStory()
	r := w.referralOf(bert.Person)
	rewards := w.mustExport("REWARD", export.Params{})
	wantRows(t, "rewards", pick(rewards, "userId", "accountId", "type", "status", "amount", "unit", "programId", "referralId"),
		"1 acme CREDIT AVAILABLE 2000 cents referral "+r.ID.String(), "bert  CREDIT AVAILABLE 1000 cents referral "+r.ID.String())
	wantRows(t, "what rewards are for", pick(rewards, "rewardSource"), "FOR_REFERRER", "FOR_REFERRED")
	paid := strconv.FormatInt(r.ConvertedAt.UnixMilli(), 10)
	wantRows(t, "referrals", pick(w.mustExport("REFERRAL", export.Params{}), "id", "programId", "referredUser", "referredAccount", "referredReward",
		"referrerUser", "referrerAccount", "referrerReward", "referrerModerationStatus", "dateReferralPaid", "dateReferralEnded"),
		fmt.Sprintf("%s referral bert  %s 1 acme %s APPROVED %s ", r.ID, rewards[1]["id"], rewards[0]["id"], paid))
	wantRows(t, "who came by whom", pick(w.mustExport("USER_REFERRAL", export.Params{}), "referredFirstName", "referrerFirstName", "referralCode"),
		"Bert Anna "+r.Code)
	for _, of := range []string{"REWARD_BALANCE", "USER_REWARD_BALANCE"} {
		wantRows(t, of, pick(w.mustExport(of, export.Params{}), "userId", "accountId", "type", "amount", "unit"),
			"1 acme CREDIT 2000 cents", "bert  CREDIT 1000 cents")
	}
}

func TestBalancesAreExportedOfRewardsOfEveryType(t *testing.T) {
	w := mustWorld(t)
	anna, bert := w.mustStory()
	give := func(to referral.Registered, a reward.Award) *reward.Reward {
		t.Helper()
		a.PersonID = to.Person.ID
		given, err := w.GiveReward(t.Context(), w.tenant, a)
		if err != nil {
			t.Fatal(err)
		}
		return given
	}
	give(anna, reward.Award{Kind: rule.Percent, Amount: 1000})
	give(anna, reward.Award{Kind: rule.Percent, Amount: 550})
	give(anna, reward.Award{Kind: rule.CodePool, Code: "TANK"})
	give(bert, reward.Award{Kind: rule.CodePool, Code: "TANK-2"})
	cancelled := give(bert, reward.Award{Kind: rule.Percent, Amount: 2000})
	if _, err := w.CancelReward(t.Context(), w.tenant, cancelled.ID); err != nil {
		t.Fatal(err)
	}
	wantRows(t, "balances", pick(w.mustExport("REWARD_BALANCE", export.Params{}), "userId", "accountId", "type", "amount", "unit"),
		"1 acme CREDIT 2000 cents", "bert  CREDIT 1000 cents", "1 acme PERCENT 16 %", "1 acme CODE_POOL 1 ", "bert  CODE_POOL 1 ")
}

func TestAnExportHasWhatItsTimesAndItsProgramChoose(t *testing.T) {
	w := mustWorld(t)
	w.mustStory()
	later := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	for _, of := range []string{"USER", "REFERRAL", "USER_REFERRAL", "REWARD", "REWARD_BALANCE"} {
		all := len(w.mustExport(of, export.Params{}))
		for name, c := range map[string]struct {
			params export.Params
			want   int
		}{
			"created since later":            {export.Params{CreatedSince: later}, 0},
			"created before later":           {export.Params{CreatedBefore: later}, all},
			"updated since later":            {export.Params{UpdatedSince: later}, 0},
			"created or updated since later": {export.Params{CreatedOrUpdatedSince: later}, 0},
			"created or updated since then":  {export.Params{CreatedOrUpdatedSince: later.Add(-2 * time.Hour)}, all},
		} {
			if got := len(w.mustExport(of, c.params)); got != c.want || all == 0 {
				t.Errorf("%s %s: %d rows of %d, want %d", of, name, got, all, c.want)
			}
		}
	}
	for _, of := range []string{"USER", "REFERRAL", "USER_REFERRAL", "REWARD"} {
		if got := len(w.mustExport(of, export.Params{ProgramID: "other"})); got != 0 {
			t.Errorf("%s of another program: %d rows", of, got)
		}
		if got := len(w.mustExport(of, export.Params{ProgramID: "referral"})); got == 0 {
			t.Errorf("%s of the program: none", of)
		}
	}
	w.tenant = id.New(time.Now())
	for _, source := range w.Exports() {
		if rows := w.mustExport(source.Type, export.Params{}); len(rows) != 0 {
			t.Errorf("another tenant's %s: %v", source.Type, rows)
		}
	}
}

func TestOneWhoWasForgottenIsNamedInNoExport(t *testing.T) {
	w := mustWorld(t)
	anna, _ := w.mustStory()
	if err := w.Forget(t.Context(), w.tenant, anna.Person.ID, person.Deletion{}); err != nil {
		t.Fatal(err)
	}
	for _, source := range w.Exports() {
		for _, row := range w.mustExport(source.Type, export.Params{}) {
			for column, cell := range row {
				if cell == "1" || cell == "acme" || strings.Contains(strings.ToLower(cell), "anna") || strings.Contains(cell, "example.com") {
					t.Errorf("%s: %s is %q", source.Type, column, cell)
				}
			}
		}
	}
}

func TestWhatAnExportCantChooseByIsRefused(t *testing.T) {
	w := mustWorld(t)
	for of, params := range map[string]export.Params{
		"USER_REWARD_BALANCE": {ProgramID: "referral"}, "REWARD_BALANCE": {ProgramID: "referral"},
		"REFERRAL": {Filter: []byte(`{"a":1}`)}, "REWARD": {At: time.Now()},
	} {
		if err := w.source(of).Check(params); !problem.Invalid.Has(err) {
			t.Errorf("%s: %v", of, err)
		}
	}
	if err := w.source("USER").Check(export.Params{Fields: map[string]bool{"includeUserFields": true}}); err != nil {
		t.Errorf("columns: %v", err)
	}
}
