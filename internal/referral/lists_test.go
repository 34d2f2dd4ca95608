package referral_test

import (
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// counted is a snapshot that counts what is asked of it.
type counted struct {
	db.Queryer
	queries int
}

func (c *counted) Query(query string, args ...any) (*sql.Rows, error) {
	c.queries++
	return c.Queryer.Query(query, args...)
}

func (c *counted) QueryRow(query string, args ...any) *sql.Row {
	c.queries++
	return c.Queryer.QueryRow(query, args...)
}

// queries returns how many a read makes.
func (w *world) queries(fn func(q db.Queryer) error) int {
	var c counted
	w.read(func(q db.Queryer) error {
		c.Queryer = q
		return fn(&c)
	})
	return c.queries
}

// mustFriends has people come by the code of one referrer, and each of them buy.
func (w *world) mustFriends(referrer string, n int) []referral.Registered {
	w.t.Helper()
	first := w.mustRegister(referral.Registration{Identity: who(referrer)})
	var friends []referral.Registered
	for i := range n {
		key := fmt.Sprint(referrer, "-", i)
		friends = append(friends, w.mustRegister(referral.Registration{Identity: who(key), ReferredBy: []string{first.Codes[0].Text}}))
		w.mustTrack(friends[i].Person, purchase(key, 5000))
	}
	return friends
}

func TestAPageOfManyTakesAsManyQueriesAsAPageOfOne(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	var people []*person.Person
	var referrals []*referral.Referral
	for _, friend := range w.mustFriends("anna", 12) {
		people, referrals = append(people, friend.Person), append(referrals, friend.Referrals...)
	}
	ofPeople := func(n int) int {
		return w.queries(func(q db.Queryer) error { _, err := w.Profiles(q, w.tenant, people[:n]); return err })
	}
	ofReferrals := func(n int) int {
		return w.queries(func(q db.Queryer) error { _, err := w.Details(q, w.tenant, referrals[:n]); return err })
	}
	if one, many := ofPeople(1), ofPeople(12); one != many {
		t.Errorf("a page of one of the people takes %d queries, a page of twelve %d", one, many)
	}
	if one, many := ofReferrals(1), ofReferrals(12); one != many {
		t.Errorf("a page of one of the referrals takes %d queries, a page of twelve %d", one, many)
	}
	for _, of := range []string{"USER", "REFERRAL", "USER_REFERRAL", "REWARD", "USER_REWARD_BALANCE"} {
		pages := func(n int) int {
			return w.queries(func(q db.Queryer) error {
				rows, _, err := w.source(of).Page(q, export.Part{TenantID: w.tenant, Limit: n})
				if err == nil && len(rows) != n {
					t.Errorf("%s: %d rows, want %d", of, len(rows), n)
				}
				return err
			})
		}
		if few, many := pages(2), pages(12); few != many {
			t.Errorf("a page of two rows of %s takes %d queries, a page of twelve %d", of, few, many)
		}
	}
}

func TestAListShowsOfEachWhatOneLookUpShows(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	w.mustFriends("anna", 3)
	w.mustFriends("bert", 2)
	people, total, err := w.People(t.Context(), w.tenant, referral.Query{Limit: 100})
	if err != nil || total != 7 || len(people) != 7 {
		t.Fatalf("%d of %d people, %v", len(people), total, err)
	}
	same := cmpopts.IgnoreUnexported(referral.Referral{}, reward.Reward{})
	for _, listed := range people {
		alone, err := w.PersonByID(t.Context(), w.tenant, listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alone, listed, same); diff != "" || len(listed.Codes) != 1 || listed.Codes[0].PersonID != listed.ID {
			t.Errorf("%s with the codes %v (-alone +listed):\n%s", listed.Key, listed.Codes, diff)
		}
	}
	referrals, total, err := w.Referrals(t.Context(), w.tenant, referral.Filter{Limit: 100})
	if err != nil || total != 5 || len(referrals) != 5 {
		t.Fatalf("%d of %d referrals, %v", len(referrals), total, err)
	}
	for _, listed := range referrals {
		alone, err := w.ReferralByID(t.Context(), w.tenant, listed.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(alone, listed, same); diff != "" || listed.ReferrerPerson.ID != listed.ReferrerID || listed.ReferredPerson.ID != listed.ReferredID {
			t.Errorf("of %s by %s (-alone +listed):\n%s", listed.ReferredPerson.Key, listed.ReferrerPerson.Key, diff)
		}
		referrer, friend := listed.RewardOf(referral.ReferrerSide), listed.RewardOf(referral.ReferredSide)
		if referrer == nil || referrer.PersonID != listed.ReferrerID || friend == nil || friend.PersonID != listed.ReferredID {
			t.Errorf("%s led to %v and %v", listed.ReferredPerson.Key, referrer, friend)
		}
	}
}

// names are who was referred, and how many there are in all.
func names(chosen []referral.Detail, total int64) string {
	var keys []string
	for _, d := range chosen {
		keys = append(keys, d.ReferredPerson.Key)
	}
	return fmt.Sprintf("%s of %d", strings.Join(keys, " "), total)
}

func TestAFilterChoosesTheSameWhetherItNamesAllOrNobody(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	friends := w.mustFriends("anna", 4)
	others := w.mustFriends("bert", 3)
	began := friends[0].Referrals[0].StartedAt
	_, err := w.Moderate(t.Context(), w.tenant, []referral.Decision{
		{Referral: friends[1].Referrals[0].ID, Side: referral.ReferrerSide, To: referral.Denied},
		{Referral: others[0].Referrals[0].ID, Side: referral.ReferredSide, To: referral.Denied},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.End(t.Context(), w.tenant, friends[2].Referrals[0].ID); err != nil {
		t.Fatal(err)
	}
	converted, err := w.ReferralByID(t.Context(), w.tenant, friends[3].Referrals[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	anna, bert := friends[0].Referrals[0].ReferrerID, others[0].Referrals[0].ReferrerID
	at := func(of time.Time) *referral.Span { return &referral.Span{From: of, To: of} }
	since := &referral.Span{From: began, To: began.Add(time.Hour)}
	for name, c := range map[string]struct {
		filter referral.Filter
		want   string
	}{
		"denied a referrer":     {referral.Filter{Referrer: referral.Denied}, "anna-1 of 1"},
		"denied a friend":       {referral.Filter{Referred: referral.Denied}, "bert-0 of 1"},
		"ended":                 {referral.Filter{State: referral.IsEnded}, "anna-2 of 1"},
		"ended then":            {referral.Filter{Ended: since}, "anna-2 of 1"},
		"started then":          {referral.Filter{Started: at(began)}, "anna-0 of 1"},
		"started since":         {referral.Filter{Started: since}, "bert-2 bert-1 bert-0 anna-3 anna-2 anna-1 anna-0 of 7"},
		"started before":        {referral.Filter{Started: &referral.Span{To: began.Add(-time.Microsecond)}}, " of 0"},
		"converted then":        {referral.Filter{Converted: at(converted.ConvertedAt)}, "anna-3 of 1"},
		"converted and started": {referral.Filter{Converted: since, Started: at(began)}, "anna-0 of 1"},
		"approved":              {referral.Filter{Referrer: referral.Approved, Referred: referral.Approved}, "bert-2 bert-1 anna-3 anna-2 anna-0 of 5"},
	} {
		for _, named := range [][]id.ID{nil, {anna, bert}} {
			of := c.filter
			of.ReferrerIDs, of.Limit = named, 100
			chosen, total, err := w.Referrals(t.Context(), w.tenant, of)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(chosen, total); got != c.want {
				t.Errorf("%s, by %d people: %q, want %q", name, len(named), got, c.want)
			}
		}
	}
	part, total, err := w.Referrals(t.Context(), w.tenant, referral.Filter{ReferrerIDs: []id.ID{anna}, Referrer: referral.Approved, Offset: 1, Limit: 1})
	if got := names(part, total); err != nil || got != "anna-2 of 3" {
		t.Errorf("a part of one referrer's: %q, %v", got, err)
	}
}

func TestAListOfPeoplePassesOverThoseWhoWereForgotten(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(giveAndGet, "")
	friends := w.mustFriends("anna", 5)
	for _, of := range []int{1, 4} {
		if err := w.Forget(t.Context(), w.tenant, friends[of].Person.ID, person.Deletion{}); err != nil {
			t.Fatal(err)
		}
	}
	people, total, err := w.People(t.Context(), w.tenant, referral.Query{Offset: 1, Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, p := range people {
		keys = append(keys, p.Key)
	}
	if !slices.Equal(keys, []string{"anna-2", "anna-0"}) || total != 4 {
		t.Errorf("%v of %d", keys, total)
	}
	var exported []string
	for _, row := range w.mustExport("USER", export.Params{}) {
		exported = append(exported, row["id"])
	}
	if want := []string{"anna", "anna-0", "anna-2", "anna-3"}; !slices.Equal(exported, want) {
		t.Errorf("the export has %v, want %v", exported, want)
	}
}

func TestWhatALimitRefusedIsInNoList(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
		"give":{"kind":"credit","amount":2000,"unit":"cents"},"limit":{"per":"person","count":1,"window":"ever","over":"stop"}}]`, "")
	friends := w.mustFriends("anna", 3)
	for _, of := range []referral.Choice{{}, {Person: friends[0].Referrals[0].ReferrerID}} {
		of.Page = referral.Page{Limit: 10}
		given, next, err := w.RewardPage(t.Context(), w.tenant, of)
		if err != nil || len(given) != 1 || given[0].State != reward.IsAvailable || !next.IsZero() {
			t.Errorf("%v, and on behind %s, %v", given, next, err)
		}
	}
	if rows := w.mustExport("REWARD", export.Params{}); len(rows) != 1 {
		t.Errorf("the export has %v", rows)
	}
	listed, _, err := w.Referrals(t.Context(), w.tenant, referral.Filter{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{0, 0, 1} {
		if got := len(listed[i].Rewards); got != want {
			t.Errorf("%s led to %d rewards, want %d", listed[i].ReferredPerson.Key, got, want)
		}
	}
}

func TestAListThatTakesTooLongIsBrokenOffAndOnlyAFewAreReadAtOnce(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustWorld(t)
		began := time.Now()
		ask := func(q db.Queryer) error { return q.QueryRow(`SELECT 1`).Scan(new(int)) }
		slow, quick := make(chan error, referral.MaxSearches), make(chan error, 1)
		for range referral.MaxSearches {
			go func() {
				slow <- w.ReadAmongAll(t.Context(), func(q db.Queryer) error {
					time.Sleep(time.Hour)
					return ask(q)
				})
			}()
		}
		synctest.Wait()
		go func() {
			_, _, err := w.Referrals(t.Context(), w.tenant, referral.Filter{State: referral.IsEnded, Limit: 1})
			quick <- err
		}()
		synctest.Wait()
		if len(quick) != 0 {
			t.Error("one more was read at once")
		}
		if _, _, err := w.People(t.Context(), w.tenant, referral.Query{Limit: 1}); err != nil || time.Since(began) != 0 {
			t.Errorf("meanwhile a page of people: %v after %v", err, time.Since(began))
		}
		for range referral.MaxSearches {
			if err := <-slow; !problem.QueryTooSlow.Has(err) {
				t.Errorf("a slow list: %v", err)
			}
		}
		if err := <-quick; err != nil {
			t.Errorf("one that had to wait: %v", err)
		}
	})
}

func TestWhomSomebodyReferredInSeveralProgramsIsOneListTheLatestFirst(t *testing.T) {
	w := mustWorld(t)
	const programs, friends = 3, 8
	for i := range programs {
		w.mustProgramOf(fmt.Sprint("program-", i), giveAndGet, "")
	}
	anna := w.mustRegister(referral.Registration{Identity: who("anna")})
	other := w.mustRegister(referral.Registration{Identity: who("other")})
	if len(anna.Codes) != programs {
		t.Fatalf("there are %d codes", len(anna.Codes))
	}
	var want []string
	keys := make(map[id.ID]string)
	for i := range friends {
		key := fmt.Sprint("friend-", i)
		friend := w.mustRegister(referral.Registration{Identity: who(key), ReferredBy: []string{anna.Codes[(i*i+i/3)%programs].Text}})
		keys[friend.Person.ID] = key
		w.mustRegister(referral.Registration{Identity: who("another-" + key), ReferredBy: []string{other.Codes[i%programs].Text}})
		want = append([]string{key}, want...)
	}
	var paged []string
	for page := (referral.Page{Limit: 3}); ; {
		var found []*referral.Referral
		w.read(func(q db.Queryer) error {
			var err error
			found, err = referral.OfReferrer(q, w.tenant, anna.Person.ID, page)
			return err
		})
		if len(found) == 0 {
			break
		}
		for _, r := range found {
			paged = append(paged, keys[r.ReferredID])
		}
		page.Before = found[len(found)-1].ID
	}
	if !slices.Equal(paged, want) {
		t.Errorf("the pages have %v, not %v", paged, want)
	}
	for offset := range friends + 1 {
		part, total, err := w.Referrals(t.Context(), w.tenant, referral.Filter{
			ReferrerIDs: []id.ID{anna.Person.ID}, State: referral.IsStarted, Offset: offset, Limit: 2,
		})
		wanted := fmt.Sprintf("%s of %d", strings.Join(want[offset:min(offset+2, friends)], " "), friends)
		if got := names(part, total); err != nil || got != wanted {
			t.Errorf("from %d on: %q, not %q, %v", offset, got, wanted, err)
		}
	}
}
