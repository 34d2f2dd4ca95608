package effect_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// worth gives what an order amounts to, until it is refunded.
const worth = `{"key":"worth","on":"order","give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}},
	"undo_on":{"event":"refund","match":{"eq":["event.number","cause.number"]}}}`

func TestARuleGivesForWhatHappenedAndWhoUndoesThatTakesItBack(t *testing.T) {
	w := mustWorld(t, `[`+worth+`]`)
	first := w.mustTrack(order(1, 10), order(2, 5))[0]
	w.wantPoints(w.anna, 15)
	undoing := w.mustUndo(first)
	w.wantPoints(w.anna, 5)
	w.mustUndoFact(undoing.ID)
	w.wantPoints(w.anna, 15)
}

func TestAFactIsAskedAboutOnceHoweverOftenItIsAsked(t *testing.T) {
	w := mustWorld(t, `[{"key":"welcome","on":"person.created","give":{"kind":"points","amount":3}}]`)
	for range 2 {
		w.mustDo(func(c *fact.Command) error {
			return w.effects.Ask(c, effect.Happening{On: person.Created, Person: w.anna.ID, Key: w.anna.ID, Document: map[string]any{}})
		})
	}
	w.wantPoints(w.anna, 3)
}

func TestNothingIsGivenToWhoIsForgottenAndWhatIsGivenToWhoIsBlockedWaits(t *testing.T) {
	w := mustWorld(t, `[`+worth+`]`)
	w.mustDo(func(c *fact.Command) error { _, err := person.Block(c, w.anna.ID); return err })
	w.mustTrack(order(1, 10))
	w.wantPoints(w.anna, 0)
	bert := w.mustHave("bert")
	w.mustDo(func(c *fact.Command) error {
		if err := person.Delete(c, bert.ID, person.Deletion{}); err != nil {
			return err
		}
		_, err := activity.Track(c, bert.ID, activity.Place{}, order(2, 10))
		return err
	})
	w.mustRead(func(q db.Queryer) error {
		given, err := reward.OfPerson(q, w.tenant, bert.ID, reward.Page{Limit: 1})
		if len(given) > 0 {
			t.Errorf("somebody who is forgotten has a reward: %+v", given[0])
		}
		return err
	})
}

func TestARuleThatGivesOnceGivesForTheNextOccasionWhenTheFirstIsUndone(t *testing.T) {
	w := mustWorld(t, `[{"key":"first","on":"order","once":true,"give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}}},
		{"key":"first-score","on":"order","once":true,"give":{"kind":"score","amount":{"pct_bp":10000,"of":"event.amount"}}}]`)
	done := w.mustTrack(order(1, 10), order(2, 7))
	w.wantPoints(w.anna, 10)
	w.wantScore(10)
	undoing := w.mustUndo(done[0])
	w.wantPoints(w.anna, 7)
	w.wantScore(7)
	w.mustUndoFact(undoing.ID)
	w.wantPoints(w.anna, 10)
	w.wantScore(10)
}

func TestAHostGivesWhatIsNoReward(t *testing.T) {
	w := mustWorld(t, `[{"key":"up","on":"order","give":{"kind":"score","amount":5}},{"key":"down","on":"late","give":{"kind":"score","amount":-2}}]`)
	done := w.mustTrack(order(1, 1), activity.New{Type: "late"})
	w.wantScore(3)
	w.mustUndo(done[0])
	w.wantScore(-2)
	w.wantPoints(w.anna, 0)
}

func TestWhatIsGivenByAHostIsWithdrawnWhenTheRuleDoesNotSaySoAnyMore(t *testing.T) {
	w := mustWorld(t, `[{"key":"second","on":"order","if":{"gte":[{"count":"order"},2]},"give":{"kind":"score","amount":5}}]`)
	done := w.mustTrack(order(1, 1), order(2, 1))
	w.wantScore(5)
	w.mustUndo(done[0])
	w.wantScore(0)
}

func TestARefundTakesBackWhatItMatchesHoweverMuchCameSince(t *testing.T) {
	w := mustWorld(t, `[`+worth+`]`)
	w.mustTrack(order(1, 1000))
	for from := 2; from < 602; from += 200 {
		w.mustTrack(orders(from, 200, 1)...)
	}
	w.wantPoints(w.anna, 1600)
	w.mustTrack(refund(1))
	w.wantPoints(w.anna, 600)
}

func TestARefundLooksAtTenThousandAtATimeAndFindsWhatIsBehindThem(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes some seconds")
	}
	w := mustWorld(t, `[`+worth+`]`)
	w.mustTrack(order(1, 1000), order(2, 7))
	w.mustSetRules(`[]`) // rules are asked again of at most ten thousand
	for range 21 {
		w.mustTrack(orders(3, 500, 0)...)
	}
	w.mustSetRules(`[` + worth + `]`)
	w.mustTrack(refund(1))
	w.wantPoints(w.anna, 1007)
	w.mustRunTimers(time.Now())
	w.wantPoints(w.anna, 7)
}

func TestARefundIsJudgedByTheRulesOfWhenItCameIn(t *testing.T) {
	w := mustWorld(t, `[{"key":"worth","on":"order","give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}}}]`)
	first := w.mustTrack(order(1, 10))[0]
	w.mustTrack(order(2, 5))
	w.mustTrack(refund(2)) // no rule has a refund take anything back
	w.mustSetRules(`[` + worth + `]`)
	w.mustUndo(first)
	w.wantPoints(w.anna, 5)
}

func TestWhatIsUndoneGivesWhatItPreventedHoweverMuchCameSince(t *testing.T) {
	w := mustWorld(t, `[{"key":"quiet","on":"visit","unless":{"event":"cancel","within":"1h"},"give":{"kind":"points","amount":1}}]`)
	now := time.Now().UTC().Truncate(time.Second)
	w.mustTrack(activity.New{Type: "visit", OccurredAt: now.Add(-30 * time.Minute)})
	visits := make([]activity.New, 200)
	for i := range visits {
		visits[i] = activity.New{Type: "visit", OccurredAt: now.Add(-10 * time.Minute)}
	}
	for range 3 {
		w.mustTrack(visits...)
	}
	cancel := w.mustTrack(activity.New{Type: "cancel", OccurredAt: now.Add(-20 * time.Minute)})[0]
	w.mustRunTimers(now.Add(2 * time.Hour))
	w.wantPoints(w.anna, 600)
	undoing := w.mustUndo(cancel)
	w.mustRunTimers(now.Add(2 * time.Hour))
	w.wantPoints(w.anna, 601)
	w.mustUndoFact(undoing.ID)
	w.mustRunTimers(now.Add(2 * time.Hour))
	w.wantPoints(w.anna, 600)
}

func TestWhatWasSetToWaitBeforeTheEngineWasAllProgramsIsStillGiven(t *testing.T) {
	w := mustWorld(t, `[{"key":"quiet","on":"visit","unless":{"event":"cancel","within":"1h"},"give":{"kind":"points","amount":1}}]`)
	w.mustSet(program.Paused) // so that nothing is set by itself
	visit := w.mustTrack(activity.New{Type: "visit"})[0]
	w.mustSet(program.Active)
	due := time.Now().Add(time.Hour)
	w.mustDo(func(c *fact.Command) error {
		data := fmt.Sprintf(`{"activity":%q,"program":%q,"rule":"quiet"}`, visit.ID, w.program.ID)
		_, err := timer.Set(c.Tx(), timer.Timer{TenantID: w.tenant, Kind: "referral.unless", DueAt: due.Add(time.Minute), Ref: visit.ID, Data: []byte(data)})
		return err
	})
	w.mustRunTimers(due)
	w.wantPoints(w.anna, 0)
	w.mustRunTimers(due.Add(time.Hour))
	w.wantPoints(w.anna, 1)
}

func TestWhatALimitOfAnAmountHadRefusedIsGivenHoweverMuchThatDoesNotFitIsAhead(t *testing.T) {
	w := mustWorld(t, `[{"key":"worth","on":"order","give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}},
		"limit":{"per":"program","amount":100}}]`)
	freed := w.mustTrack(order(1, 60), order(2, 35))[1]
	w.mustTrack(orders(3, 150, 50)...)
	w.mustTrack(order(153, 20), order(154, 30), order(155, 20))
	w.wantPoints(w.anna, 95)
	w.mustUndo(freed)
	w.wantPoints(w.anna, 60+20+20)
}

func TestWhatALimitOfAnAmountHadRefusedIsAllGivenWhenThereIsRoomForAll(t *testing.T) {
	w := mustWorld(t, `[{"key":"worth","on":"order","give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}},
		"limit":{"per":"program","amount":1000}}]`)
	freed := w.mustTrack(order(1, 1000))[0]
	w.mustTrack(orders(2, 150, 5)...)
	w.wantPoints(w.anna, 1000)
	undoing := w.mustUndo(freed)
	w.wantPoints(w.anna, 150*5)
	w.mustUndoFact(undoing.ID)
	w.wantPoints(w.anna, 1000)
}

func TestATrialGivesNothingAndSaysWhatWouldBeGiven(t *testing.T) {
	w := mustWorld(t, `[{"key":"first","on":"order","once":true,"give":{"kind":"points","amount":4}}]`)
	w.mustTrack(order(1, 1))
	draft, err := activity.Draft(w.tenant, w.anna.ID, order(2, 1), time.Now().UTC())
	if err != nil {
		t.Fatal(err)
	}
	h := effect.OfActivity(draft)
	h.Key = id.Last()
	w.mustRead(func(q db.Queryer) error {
		tried, err := w.effects.Try(q, effect.Trial{Program: w.program, Rules: w.program.Rules, Of: h})
		if len(tried) != 1 || !tried[0].Matched || tried[0].To != w.anna.ID || !tried[0].GaveEarlier {
			t.Errorf("%+v", tried)
		}
		return err
	})
	w.wantPoints(w.anna, 4)
}

func TestARefundTakesBackWhatRulesHaveGivenThatWereReplacedSince(t *testing.T) {
	w := mustWorld(t, `[`+worth+`]`)
	w.mustTrack(order(1, 10), order(2, 5))
	w.mustSetRules(`[{"key":"worth","on":"order","give":{"kind":"points","amount":1}}]`)
	w.mustTrack(order(3, 7), refund(1))
	w.wantPoints(w.anna, 5+1)
	w.mustSetRules(`[]`)
	w.mustTrack(refund(2), refund(3))
	w.wantPoints(w.anna, 1)
}

func TestARefundTakesBackNothingThatWasGivenOnOtherTerms(t *testing.T) {
	w := mustWorld(t, `[{"key":"worth","on":"order","give":{"kind":"points","amount":{"pct_bp":10000,"of":"event.amount"}}}]`)
	unrelated := w.mustTrack(order(1, 10), order(2, 5))[0]
	w.mustSetRules(`[` + worth + `]`)
	w.mustTrack(order(3, 7), refund(2))
	w.wantPoints(w.anna, 22)
	w.mustUndo(unrelated)
	w.wantPoints(w.anna, 12)
	w.mustTrack(refund(3))
	w.wantPoints(w.anna, 5)
}

func TestWhatIsUndoneGivesWhatItPreventedByRulesThatWereReplacedSince(t *testing.T) {
	w := mustWorld(t, `[{"key":"quiet","on":"visit","unless":{"event":"cancel","within":"1h"},"give":{"kind":"points","amount":1}}]`)
	now := time.Now().UTC().Truncate(time.Second)
	w.mustTrack(activity.New{Type: "visit", OccurredAt: now.Add(-30 * time.Minute)})
	cancel := w.mustTrack(activity.New{Type: "cancel", OccurredAt: now.Add(-20 * time.Minute)})[0]
	w.mustRunTimers(now.Add(2 * time.Hour))
	w.mustSetRules(`[]`)
	w.mustUndo(cancel)
	w.mustRunTimers(now.Add(2 * time.Hour))
	w.wantPoints(w.anna, 1)
}

func TestWhoTakesPartInNoProgramIsGivenNothing(t *testing.T) {
	w := mustWorld(t, `[`+worth+`]`)
	w.mustTrack(order(1, 10))
	w.mustDo(func(c *fact.Command) error {
		_, err := person.Save(c, person.Identity{Scheme: person.Native, Key: "anna"}, person.Patch{Unreferable: new(true)})
		return err
	})
	w.mustTrack(order(2, 5))
	w.wantPoints(w.anna, 10)
	w.mustTrack(refund(1))
	w.wantPoints(w.anna, 0)
}

func TestInAProgramThatIsPausedNothingBeginsAndWhatWaitsGoesOn(t *testing.T) {
	w := mustWorld(t, `[{"key":"quiet","on":"visit","unless":{"event":"cancel","within":"1h"},"give":{"kind":"points","amount":1}}]`)
	w.mustTrack(activity.New{Type: "visit"})
	w.mustSet(program.Paused)
	w.mustTrack(activity.New{Type: "visit"})
	w.mustRunTimers(time.Now().Add(2 * time.Hour))
	w.wantPoints(w.anna, 1)
}
