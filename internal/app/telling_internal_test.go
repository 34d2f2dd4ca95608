package app

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func TestWhatHappensIsToldBySaaSquatchsEventsInTheShapesOfTheTenantsVersion(t *testing.T) {
	for _, version := range []string{"2016", "2020"} {
		t.Run(version, func(t *testing.T) {
			chosen := wire.Settings{"payload_version": version}
			w := mustTellingWorld(t, chosen)
			w.mustListen("saasquatch")
			w.mustDoEverything()
			all := schemas(t, "saasquatch", chosen)
			seen := make(map[string]bool)
			for _, e := range w.mustHear() {
				seen[e.Type] = true
				wantValid(t, all, e)
				onPage := e.Type != "reward.created" || strings.Contains(string(e.Data), `"PCT_DISCOUNT"`)
				if version == "2016" && onPage {
					wantPagesShape(t, e)
				}
			}
			for eventType := range all {
				if eventType != "test" && !seen[eventType] {
					t.Errorf("%s was not told", eventType)
				}
			}
		})
	}
}

func TestSaaSquatchsEventsComeInItsOrder(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("saasquatch")
	_, second := w.mustPair()
	want := []string{
		"user.created", "coupon.created",
		"user.created", "coupon.created", "referral.started", "referral.automoderation.complete", "email.referral.started",
	}
	if diff := cmp.Diff(want, typesOf(w.mustHear())); diff != "" {
		t.Errorf("a referral (-want +got):\n%s", diff)
	}
	w.mustBuy(second, "1")
	want = []string{
		"referral.converted", "email.referral.paid", "email.referral.rewardLimitReached", "email.referred.reward.earned", "email.referred.reward.earned",
		"reward.created", "reward.created", "reward.created", "user.reward.balance.changed",
	}
	if diff := cmp.Diff(want, typesOf(w.mustHear())); diff != "" {
		t.Errorf("a conversion (-want +got):\n%s", diff)
	}
}

func TestSaaSquatchsEventsSayWhatHappened(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("saasquatch")
	first, second := w.mustPair()
	w.mustBuy(second, "1")
	events := w.mustHear()
	code, referred, referrer := first.Codes[0], second.Person.ID.String(), first.Person.ID.String()
	for eventType, parts := range map[string][]string{
		"user.created": {
			`"id":"mike","accountId":"a1","email":"mike@example.com","firstName":"Mike","lastName":"Keenerson","referralCode":"MIKEKEENERSON"`,
			`"firstSeenIP":"10.230.163.157","lastSeenIP":null`, `"shareLinks":{"shareLink":"https://go.example.com/r/` + code.Short + `ud"`,
			`"EMAIL":{"shareLink":"https://go.example.com/r/` + code.Short + `ed"`,
		},
		"coupon.created": {`{"codeString":"MIKEKEENERSON","discountPercentage":"12.5","dateCreated":` + fmt.Sprint(code.CreatedAt.Unix()) + `,"ratePlanId":null}`},
		"referral.started": {
			`"referredUser":"` + referred + `","referrerUser":"` + referrer + `","referredReward":null,"referrerReward":null,"moderationStatus":"ACTIONED"`,
			`"dateReferralPaid":null,"dateReferralEnded":null`, `"fraudSignals":{"name":{"message":`,
		},
		"referral.converted":                {`"dateReferralPaid":1`, `"referredReward":"`, `"referrerReward":"`},
		"reward.created":                    {`"accountId":"a1","userId":"mike","cancellable":true,"rewardSource":"FRIEND_SIGNUP","discountPercent":15,"unit":"%"}`},
		"email.referred.reward.earned":      {`"recipientUserId":"susy","recipientAccountId":"a2"`},
		"email.referral.rewardLimitReached": {`"recipientUserId":"mike","recipientAccountId":"a1"`, `"referralRewardLimit":1}`},
		"user.reward.balance.changed":       {`{"userId":"susy","accountId":"a2","unit":"cents","availableValue":2000,"resourceVersion":`},
	} {
		e := of(t, events, eventType)
		for _, part := range parts {
			if !strings.Contains(string(e.Data), part) {
				t.Errorf("%s does not say %s: %s", eventType, part, e.Data)
			}
		}
	}
}

func TestWhatACommandLeadsToIsToldCauseByCause(t *testing.T) {
	w := mustTellingWorld(t, nil)
	first := w.mustRegister(referral.Registration{Identity: user("a1", "mike")})
	w.mustListen("saasquatch")
	w.mustRegister(referral.Registration{Identity: user("a2", "susy"), ReferredBy: []string{first.Codes[0].Text}, Converted: true})
	want := []string{
		"user.created", "coupon.created", "referral.started", "referral.automoderation.complete", "email.referral.started",
		"referral.converted", "email.referral.paid",
	}
	if diff := cmp.Diff(want, typesOf(w.mustHear())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestARewardIsToldOnceWhenItIsFirstAvailable(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("saasquatch", "reward.created")
	_, second := w.mustPair()
	of := second.Referrals[0].ID
	moderate := func(to referral.Moderation) []string {
		w.do(w.referrals.Moderate(t.Context(), w.Tenant, []referral.Decision{{Referral: of, Side: referral.ReferrerSide, To: to}}))
		return typesOf(w.mustHear())
	}
	moderate(referral.Undecided)
	w.mustBuy(second, "1")
	if got := typesOf(w.mustHear()); len(got) != 2 {
		t.Errorf("while the referrer's waits %q is told", got)
	}
	for i, step := range []struct {
		to   referral.Moderation
		told int
	}{{referral.Denied, 0}, {referral.Approved, 1}, {referral.Denied, 0}, {referral.Approved, 0}} {
		if got := moderate(step.to); len(got) != step.told {
			t.Errorf("step %d: %s tells %q", i, step.to, got)
		}
	}
}

func TestARewardByWebhookIsToldOnlyInTheShapesThatHaveOne(t *testing.T) {
	for version, told := range map[string]int{"2016": 0, "2020": 1} {
		w := mustTellingWorld(t, wire.Settings{"payload_version": version})
		w.mustListen("saasquatch", "reward.created")
		first := w.mustRegister(referral.Registration{Identity: user("a1", "mike")})
		w.do(w.referrals.GiveReward(t.Context(), w.Tenant, reward.Award{PersonID: first.Person.ID, Kind: rule.Webhook, Name: "Gift card"}))
		if got := typesOf(w.mustHear()); len(got) != told {
			t.Errorf("in %s %q is told", version, got)
		}
	}
}

func TestOfWhoIsForgottenItIsToldThatReferralsEndAndNothingElse(t *testing.T) {
	for _, version := range []string{"2016", "2020"} {
		chosen := wire.Settings{"payload_version": version}
		w := mustTellingWorld(t, chosen)
		_, second := w.mustPair()
		w.mustBuy(second, "1")
		w.mustListen("saasquatch")
		w.do(nil, w.referrals.Forget(t.Context(), w.Tenant, second.Person.ID, person.Deletion{}))
		events := w.mustHear()
		if diff := cmp.Diff([]string{"referral.ended"}, typesOf(events)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", version, diff)
		}
		wantValid(t, schemas(t, "saasquatch", chosen), events[0])
	}
}

func TestAnEventHasTheVersionOfWhatItIsAbout(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("saasquatch", "user.reward.balance.changed", "referral.converted")
	_, second := w.mustPair()
	last := time.Now().UnixMilli() - 1
	w.mustBuy(second, "1")
	for _, amount := range []int64{100, 200} {
		w.do(w.referrals.Spend(t.Context(), w.Tenant, []id.ID{second.Person.ID}, reward.Redemption{Amount: amount, Unit: "cents"}))
	}
	var got []string
	for _, e := range w.mustHear() {
		got = append(got, fmt.Sprint(e.Type, " ", e.SubjectVersion))
		if e.Type == "referral.converted" {
			continue
		}
		var told struct {
			ResourceVersion int64 `json:"resourceVersion"`
		}
		if err := json.Unmarshal(e.Data, &told); err != nil || told.ResourceVersion <= last {
			t.Errorf("after %d: %s, %v", last, e.Data, err)
		}
		last = told.ResourceVersion
	}
	want := []string{
		"referral.converted 3", "user.reward.balance.changed 1", "user.reward.balance.changed 2", "user.reward.balance.changed 3",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatHappensIsToldNativelyUnderTheNamesOfTheFacts(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("standard")
	ctx := t.Context()
	w.mustDoEverything()
	given, err := w.referrals.Rewards(ctx, w.Tenant, referral.RewardFilter{State: reward.IsPending, Limit: 1})
	w.do(nil, err)
	for range 2 { // available, and then over
		if _, err := w.timers.RunDue(ctx, given[0].ExpiresAt); err != nil {
			t.Fatal(err)
		}
	}
	first := w.mustRegister(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "u1"}})
	second := w.mustRegister(referral.Registration{Identity: user("a9", "nina"), ReferredBy: []string{first.Codes[0].Text}})
	w.mustBuy(second, "9")
	w.mustRegister(referral.Registration{Identity: user("a9", "nina"), Patch: person.Patch{FirstName: new("Nina")}})
	done, err := w.referrals.Track(ctx, w.Tenant, referral.Report{Person: second.Person.ID, Activities: []activity.New{{Key: "9", Type: "purchase"}}})
	w.do(nil, err)
	undone, err := w.referrals.Undo(ctx, w.Tenant, fact.Undoing{Fact: done[0].Activity.FactID})
	w.do(nil, err)
	w.do(w.referrals.Undo(ctx, w.Tenant, fact.Undoing{Fact: undone.ID}))
	w.do(w.referrals.SetAccount(ctx, w.Tenant, person.AccountPatch{Key: "a9", State: person.Trial}))
	w.do(w.referrals.Block(ctx, w.Tenant, second.Person.ID))
	w.do(w.referrals.Unblock(ctx, w.Tenant, second.Person.ID))
	w.do(nil, w.referrals.Forget(ctx, w.Tenant, second.Person.ID, person.Deletion{}))
	all := schemas(t, "standard", nil)
	seen := make(map[string]bool)
	for _, e := range w.mustHear() {
		seen[e.Type] = true
		wantValid(t, all, e)
	}
	for eventType := range all {
		if !seen[eventType] && !strings.HasPrefix(eventType, "webhook.") {
			t.Errorf("%s was not told", eventType)
		}
	}
}

func TestANewStateOfAnAccountIsToldNativelyAndNothingElseOfIt(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("standard", "account.changed")
	details := json.RawMessage(`{"plan":"team"}`)
	for _, said := range []person.AccountPatch{
		{Key: "a1", State: person.Trial},
		{Key: "a1", State: person.Trial, Currency: "EUR", Details: details},
		{Key: "a1", State: person.Paid, Currency: "EUR", Details: details},
	} {
		w.do(w.referrals.SetAccount(t.Context(), w.Tenant, said))
	}
	events := w.mustHear()
	if len(events) != 2 {
		t.Fatalf("%d events: %v", len(events), events)
	}
	for i, want := range []string{
		`{"account":{"key":"a1","state":"trial","currency":null,"details":{},`, `{"account":{"key":"a1","state":"paid","currency":"EUR","details":{"plan":"team"},`,
	} {
		wantValid(t, schemas(t, "standard", nil), events[i])
		if !strings.HasPrefix(string(events[i].Data), want) {
			t.Errorf("%s, want %s…", events[i].Data, want)
		}
	}
}

func TestADeletedPersonIsNotNamedNatively(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("standard", "person.deleted")
	of := w.mustRegister(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "u1"}, Patch: person.Patch{Account: new("a1")}})
	w.do(nil, w.referrals.Forget(t.Context(), w.Tenant, of.Person.ID, person.Deletion{}))
	events := w.mustHear()
	if len(events) != 1 || !strings.Contains(string(events[0].Data), `"external_id":null,"account_id":null,"email":null`) {
		t.Errorf("%v", events)
	}
}

func TestNothingIsStoredOfWhatNobodyWants(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustDoEverything()
	w.mustListen("saasquatch", "user.created")
	w.mustRegister(referral.Registration{Identity: user("b", "late")})
	if diff := cmp.Diff([]string{"user.created"}, typesOf(w.mustHear())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhoSubscribesWhileACommandBeginsHearsOfIt(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.sink.between = func() { w.mustListen("saasquatch") }
	w.mustRegister(referral.Registration{Identity: user("b", "new")})
	if diff := cmp.Diff([]string{"user.created", "coupon.created"}, typesOf(w.mustHear())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACommandThatFailsTellsNothing(t *testing.T) {
	w := mustTellingWorld(t, nil)
	w.mustListen("saasquatch")
	w.mustListen("standard")
	_, err := w.referrals.Register(t.Context(), w.Tenant, referral.Registration{Identity: user("b", "new"), ReferredBy: []string{"NOBODYS"}})
	if err == nil {
		t.Fatal("a code that nobody has is accepted")
	}
	if got := typesOf(w.mustHear()); got != nil {
		t.Errorf("told %q", got)
	}
}
