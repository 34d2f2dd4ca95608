package referral_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// buys converts a referral when the referred person buys, until that is refunded.
const buys = `{"key":"buys","on":"purchase","actor":"referred","convert":true,
	"undo_on":{"event":"refund","match":{"eq":["event.order_id","cause.order_id"]}}}`

// third gives the referrer a bonus for the third friend who buys.
const third = `{"key":"third","on":"referral.converted","to":"referrer","if":{"eq":[{"count":"referral.converted"},3]},
	"give":{"kind":"credit","amount":100,"unit":"cents"}}`

// fromThirdOn is the same as a limit.
const fromThirdOn = `{"key":"third","on":"referral.converted","to":"referrer","if":{"gte":[{"count":"referral.converted"},3]},
	"give":{"kind":"credit","amount":100,"unit":"cents"},"limit":{"per":"person","count":1}}`

// circle is somebody who has sent others.
type circle struct {
	*world

	referrer referral.Registered
	friends  []*person.Person
}

func (w *world) mustCircle(friends int) *circle {
	w.t.Helper()
	c := &circle{world: w, referrer: w.mustRegister(referral.Registration{Identity: who("anna")})}
	for i := range friends {
		c.friends = append(c.friends, w.mustRegister(referral.Registration{
			Identity: who(fmt.Sprint("friend", i)), ReferredBy: []string{c.referrer.Codes[0].Text},
		}).Person)
	}
	return c
}

// buy has friends buy, one after the other.
func (c *circle) buy(friends ...int) {
	c.t.Helper()
	for _, i := range friends {
		c.mustTrack(c.friends[i], purchase(fmt.Sprint(i), 1))
	}
}

func (c *circle) refund(friend int) *fact.Fact {
	c.t.Helper()
	by := c.mustTrack(c.friends[friend], refund(fmt.Sprint(friend)))[0].Activity
	var undoing *fact.Fact
	c.read(func(q db.Queryer) error {
		led, err := fact.CausedBy(q, c.tenant, by.FactID)
		for _, f := range led {
			if f.Type == fact.Undone {
				undoing = f
			}
		}
		return err
	})
	return undoing
}

// wantBonus checks for which friend the referrer has the bonus; -1: for none.
func (c *circle) wantBonus(friend int) {
	c.t.Helper()
	want := []string{}
	if friend >= 0 {
		want = append(want, c.referralOf(c.friends[friend]).ID.String())
	}
	if got := c.bonuses(); !slices.Equal(got, want) {
		c.t.Errorf("there is a bonus for %q, not %q", got, want)
	}
	if balance := c.balance(c.referrer.Person); balance != int64(100*len(want)) {
		c.t.Errorf("the referrer has %d", balance)
	}
}

// bonuses returns the referrals for which the referrer has something.
func (c *circle) bonuses() []string {
	c.t.Helper()
	got := []string{}
	c.read(func(q db.Queryer) error {
		given, err := reward.OfPerson(q, c.tenant, c.referrer.Person.ID, reward.Page{Limit: 1000})
		for _, r := range given {
			if r.State == reward.IsAvailable {
				got = append(got, r.ReferralID.String())
			}
		}
		return err
	})
	return got
}

// eachMilestone runs a test with each of the ways in which a rule may say it.
func eachMilestone(t *testing.T, fn func(t *testing.T, w *world)) {
	t.Helper()
	for name, bonus := range map[string]string{"exactly the third": third, "the third or later, once": fromThirdOn} {
		t.Run(name, func(t *testing.T) {
			w := mustWorld(t)
			w.mustProgram("["+buys+","+bonus+"]", "")
			fn(t, w)
			w.wantBooksInOrder()
		})
	}
}

func TestTheThirdFriendWhoConvertsGivesTheReferrerABonusOnce(t *testing.T) {
	eachMilestone(t, func(_ *testing.T, w *world) {
		c := w.mustCircle(5)
		c.buy(4, 0)
		c.wantBonus(-1)
		c.buy(2)
		c.wantBonus(2)
		c.buy(1, 3)
		c.wantBonus(2)
	})
}

func TestARefundTakesBackABonusThatCountedItAndTheNextOneGivesItAgain(t *testing.T) {
	eachMilestone(t, func(_ *testing.T, w *world) {
		c := w.mustCircle(5)
		c.buy(0, 1, 2)
		c.wantBonus(2)
		c.refund(0)
		c.wantBonus(-1)
		c.buy(3)
		c.wantBonus(3)
		c.buy(4)
		c.wantBonus(3)
	})
}

func TestARefundMovesABonusToWhoeverIsTheThirdThen(t *testing.T) {
	eachMilestone(t, func(t *testing.T, w *world) {
		c := w.mustCircle(6)
		c.buy(0, 1, 2, 3, 4)
		back := c.refund(1)
		c.wantBonus(3)
		c.refund(3)
		c.wantBonus(4)
		if _, err := w.Undo(t.Context(), w.tenant, fact.Undoing{Fact: back.ID}); err != nil {
			t.Fatal(err)
		}
		c.wantBonus(2)
		c.refund(4)
		c.wantBonus(2)
	})
}

func TestARefundOfTheOneThatGaveABonusMovesItToo(t *testing.T) {
	eachMilestone(t, func(_ *testing.T, w *world) {
		c := w.mustCircle(4)
		c.buy(0, 1, 2)
		c.refund(2)
		c.wantBonus(-1)
		c.buy(3)
		c.wantBonus(3)
	})
}

func TestOnlyReferralsWhoseReferrersSideIsApprovedAreCounted(t *testing.T) {
	eachMilestone(t, func(t *testing.T, w *world) {
		c := w.mustCircle(5)
		c.buy(0, 1)
		decide := func(friend int, to referral.Moderation) {
			t.Helper()
			d := []referral.Decision{{Referral: c.referralOf(c.friends[friend]).ID, Side: referral.ReferrerSide, To: to}}
			if _, err := w.Moderate(t.Context(), w.tenant, d); err != nil {
				t.Fatal(err)
			}
		}
		decide(1, referral.Undecided)
		c.buy(2)
		c.wantBonus(-1)
		c.buy(3)
		c.wantBonus(3)
		decide(1, referral.Approved)
		c.wantBonus(2)
		decide(2, referral.Denied)
		c.wantBonus(3)
		decide(3, referral.Denied)
		c.wantBonus(-1)
		c.buy(4)
		c.wantBonus(4)
		decide(3, referral.Approved)
		c.wantBonus(3)
	})
}

func TestSeveralOfAnAccountThatConvertInOneMomentGiveABonusOnce(t *testing.T) {
	eachMilestone(t, func(t *testing.T, w *world) {
		c := w.mustCircle(0)
		for i := range 5 {
			c.friends = append(c.friends, w.mustRegister(referral.Registration{
				Identity: who(fmt.Sprint("friend", i)), Patch: person.Patch{Account: new("acme")}, ReferredBy: []string{c.referrer.Codes[0].Text},
			}).Person)
		}
		w.mustSetAccount(person.AccountPatch{Key: "acme", State: person.Paid})
		if got := w.balance(c.referrer.Person); got != 100 {
			t.Errorf("the referrer has %d", got)
		}
		w.wantBooksInOrder()
	})
}

func TestAThousandConversionsAtOnceGiveTheBonusForTheHundredthOnce(t *testing.T) {
	if testing.Short() || testkit.RaceDetector {
		t.Skip("it takes some seconds")
	}
	w := mustWorld(t)
	hundredth := strings.ReplaceAll(strings.ReplaceAll(third, "3]", "100]"), "third", "hundredth")
	from := strings.ReplaceAll(strings.ReplaceAll(fromThirdOn, "3]", "100]"), "third", "from")
	w.mustProgram("["+buys+","+hundredth+","+from+"]", "")
	const friends = 1000
	c := &circle{world: w, referrer: w.mustRegister(referral.Registration{Identity: who("anna")}), friends: make([]*person.Person, friends)}
	errs := atOnce(friends, 50, func(i int) error {
		done, err := w.Register(context.Background(), w.tenant, referral.Registration{
			Identity: who(fmt.Sprint("friend", i)), ReferredBy: []string{c.referrer.Codes[0].Text},
		})
		c.friends[i] = done.Person
		return err
	})
	errs = append(errs, atOnce(friends, 100, func(i int) error {
		_, err := w.Track(context.Background(), w.tenant, referral.Report{Person: c.friends[i].ID, Activities: []activity.New{purchase(fmt.Sprint(i), 1)}})
		return err
	})...)
	if len(errs) > 0 {
		t.Fatal(errs[0])
	}
	if got := c.bonuses(); len(got) != 2 || got[0] != got[1] {
		t.Errorf("there are bonuses for %q", got)
	}
	if got := w.balance(c.referrer.Person); got != 200 {
		t.Errorf("the referrer has %d", got)
	}
	w.wantBooksInOrder()
}

func TestReferralsOfOtherProgramsAndTenantsAndOfOthersAreNotCounted(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+","+third+"]", "")
	c := w.mustCircle(2)
	c.buy(0, 1)
	other := *w
	other.tenant = id.New(time.Now())
	other.mustProgram("["+buys+","+third+"]", "")
	theirs := other.mustCircle(2)
	theirs.buy(0, 1)
	theirs.wantBonus(-1)
	w.mustProgramOf("second", "["+buys+","+third+"]", "")
	again := w.mustRegister(referral.Registration{Identity: who("anna")})
	w.mustRegister(referral.Registration{Identity: who("new"), ReferredBy: []string{again.Codes[0].Text, again.Codes[1].Text}})
	bert := w.mustRegister(referral.Registration{Identity: who("bert")})
	late := w.mustRegister(referral.Registration{Identity: who("late"), ReferredBy: []string{bert.Codes[0].Text}})
	w.mustTrack(late.Person, purchase("late", 1))
	c.wantBonus(-1)
}

func TestACountLooksAtNoMoreThanItsTime(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+","+strings.Replace(third, `"referral.converted"},3`, `"referral.converted","in":"30d"},3`, 1)+"]", "")
	c := w.mustCircle(5)
	c.buy(0, 1)
	w.mustAge(t, c.friends[0], 31*24*time.Hour)
	c.buy(2)
	c.wantBonus(-1)
	c.buy(3)
	c.wantBonus(3)
	c.refund(1)
	c.wantBonus(-1)
	c.buy(4)
	c.wantBonus(4)
}

// mustAge has the referral of somebody have been converted so long ago.
func (w *world) mustAge(t *testing.T, of *person.Person, by time.Duration) {
	t.Helper()
	err := w.db.Write(t.Context(), func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE referral SET converted_by = $1 WHERE tenant_id = $2 AND referred_id = $3`,
			id.First(time.Now().Add(-by)), w.tenant, of.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReferralsThatHaveBegunAreCountedWhateverBecomesOfThem(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram(`[`+strings.ReplaceAll(third, "converted", "started")+`]`, "")
	c := w.mustCircle(2)
	if _, err := w.End(t.Context(), w.tenant, w.referralOf(c.friends[0]).ID); err != nil {
		t.Fatal(err)
	}
	c.wantBonus(-1)
	c.friends = append(c.friends, w.mustRegister(referral.Registration{Identity: who("friend2"), ReferredBy: []string{c.referrer.Codes[0].Text}}).Person)
	c.wantBonus(2)
}

func TestAFriendWhoIsForgottenIsCountedStillAndAReferrerWhoIsGetsNothing(t *testing.T) {
	eachMilestone(t, func(t *testing.T, w *world) {
		c := w.mustCircle(4)
		forget := func(p *person.Person) {
			t.Helper()
			if err := w.Forget(t.Context(), w.tenant, p.ID, person.Deletion{}); err != nil {
				t.Fatal(err)
			}
		}
		c.buy(0, 1)
		forget(c.friends[0])
		c.buy(2)
		c.wantBonus(2)
		forget(c.friends[2])
		c.refund(1)
		c.wantBonus(-1)
		forget(c.referrer.Person)
		c.buy(3)
		c.wantBonus(-1)
	})
}

func TestADryRunCountsWhatIsTriedOutAndSaysWhatItCameTo(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram("["+buys+","+third+"]", "")
	c := w.mustCircle(4)
	c.buy(0)
	try := func(friend int) referral.Tried {
		t.Helper()
		tried, err := w.try(p, c.friends[friend], activity.New{Type: referral.Converted})
		if err != nil || len(tried) != 1 {
			t.Fatal(len(tried), err)
		}
		return tried[0]
	}
	if got := try(1); got.Matched || string(got.If.Found) != "2" {
		t.Errorf("%t, %s", got.Matched, got.If.Found)
	}
	c.buy(1)
	if got := try(2); !got.Matched || string(got.If.Found) != "3" || got.PersonID != c.referrer.Person.ID {
		t.Errorf("%t, %s", got.Matched, got.If.Found)
	}
	if got := try(1); got.Matched || string(got.If.Found) != "2" {
		t.Errorf("%t, %s", got.Matched, got.If.Found)
	}
	c.wantBonus(-1)
}

func TestExplainSaysHowManyWereCountedAndWhyOneIsNot(t *testing.T) {
	w := mustWorld(t)
	w.mustProgram("["+buys+","+third+"]", "")
	c := w.mustCircle(2)
	c.buy(0, 1)
	explained := func() string {
		t.Helper()
		about := referral.Question{Referral: c.referralOf(c.friends[1]).ID}
		var why []string
		for _, o := range mustStory(t, w.mustExplain(c.referrer.Person, about), "third").Outcomes {
			why = append(why, o.Sentence)
		}
		return strings.Join(why, "\n")
	}
	if why := explained(); !strings.Contains(why, `{"count":"referral.converted"} is 2, and must be 3`) {
		t.Error(why)
	}
	d := []referral.Decision{{Referral: c.referralOf(c.friends[1]).ID, Side: referral.ReferrerSide, To: referral.Undecided}}
	if _, err := w.Moderate(t.Context(), w.tenant, d); err != nil {
		t.Fatal(err)
	}
	if why := explained(); !strings.Contains(why, "the referrer's side of the referral is pending, and only approved ones are counted") {
		t.Error(why)
	}
}

func TestRulesThatAreEditedCountWhatWasBefore(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram("["+buys+"]", "")
	c := w.mustCircle(5)
	c.buy(0, 1)
	set := func(rules string) {
		t.Helper()
		if _, err := w.programs.SetRules(t.Context(), w.tenant, p.ID, json.RawMessage(rules)); err != nil {
			t.Fatal(err)
		}
	}
	set("[" + buys + "," + third + "]")
	c.buy(2)
	c.wantBonus(2)
	set("[" + buys + "]")
	c.refund(0)
	c.wantBonus(-1)
	c.buy(3)
	c.wantBonus(-1)
}

func TestRulesThatCountWhatCanNotBeKeptRightAreRefusedByPath(t *testing.T) {
	w := mustWorld(t)
	p := w.mustProgram("[]", "")
	for edit, field := range map[[2]string]string{
		{`"on":"referral.converted"`, `"on":"purchase"`}:                                 "on",
		{`"on":"referral.converted"`, `"on":["referral.converted","account.paid"]`}:      "on[1]",
		{`"to":"referrer"`, `"to":"self"`}:                                               "to",
		{`"to":"referrer"`, `"to":"referrer","once":true`}:                               "once",
		{`"to":"referrer"`, `"to":"referrer","convert":true`}:                            "convert",
		{`"to":"referrer"`, `"to":"referrer","actor":"referrer"`}:                        "actor",
		{`{"count":"referral.converted"}`, `{"distinct":"referral\\.converted.method"}`}: "if.eq[0].distinct",
		{`{"count":"referral.converted"}`, `{"count":"referral.ended"}`}:                 "if.eq[0].count",
		{`{"count":"referral.converted"}`, `{"count":"reward.available"}`}:               "if.eq[0].count",
		{`{"count":"referral.converted"},3`, `{"count":"referral.converted"},1001`}:      "if",
	} {
		_, err := w.programs.ReadRules(p, json.RawMessage("["+strings.Replace(third, edit[0], edit[1], 1)+"]"))
		wantRefused(t, err, "rules[0]."+field)
	}
	for _, text := range []string{third, fromThirdOn, strings.Replace(third, "},3]", "},1000]", 1), strings.ReplaceAll(third, "converted", "started")} {
		if _, err := w.programs.ReadRules(p, json.RawMessage("["+text+"]")); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}
