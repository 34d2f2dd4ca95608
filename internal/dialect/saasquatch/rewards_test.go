package saasquatch_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// mustGive gives a user a reward by the API, and returns it.
func (w *restWorld) mustGive(account, user, body string) object {
	w.t.Helper()
	return mustDecode[object](w.t, w.ask(http.MethodPost, "/rewards/account/"+account+"/user/"+user, body), http.StatusCreated)
}

func TestARewardOfEachTypeIsGivenByHandAndShownAlikeEverywhere(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a 1", "anna/1")
	expires := time.Now().Add(time.Hour).UnixMilli()
	given := make(map[string]object)
	for reward, body := range map[string]string{
		"CREDIT":       fmt.Sprintf(`{"type":"CREDIT","unit":"cents","assignedCredit":2000,"dateExpires":%d,"currency":"USD"}`, expires),
		"PCT_DISCOUNT": `{"type":"PCT_DISCOUNT","discountPercent":15,"cancellable":false,"unit":"%"}`,
		"FUELTANK":     `{"type":"FUELTANK","fuelTankCode":"TANK","fuelTankType":"PCT_DISCOUNT","unit":"%","amount":10}`,
	} {
		shown := w.mustGive("a%201", "anna%2F1", body)
		if shown["dateGiven"] == nil {
			t.Errorf("%s is not given: %v", reward, shown)
		}
		again := mustDecode[object](t, w.ask(http.MethodGet, "/reward/"+shown["id"].(string), ""), http.StatusOK)
		if diff := cmp.Diff(shown, again); diff != "" {
			t.Errorf("%s by its id (-given +got):\n%s", reward, diff)
		}
		listed := mustDecode[[]object](t, w.ask(http.MethodGet, "/reward?accountId=a%201&userId=anna%2F1&rewardTypeFilter="+reward, ""), http.StatusOK)
		if diff := cmp.Diff([]object{shown}, listed); diff != "" {
			t.Errorf("%s in the list (-given +got):\n%s", reward, diff)
		}
		delete(shown, "id")
		delete(shown, "dateGiven")
		given[reward] = shown
	}
	common := object{"dateCancelled": nil, "dateExpires": nil, "accountId": "a 1", "userId": "anna/1", "cancellable": true, "rewardSource": "MANUAL"}
	with := func(more object) object {
		all := object{}
		for _, part := range []object{common, more} {
			maps.Copy(all, part)
		}
		return all
	}
	want := map[string]object{
		"CREDIT":       with(object{"type": "CREDIT", "unit": "cents", "assignedCredit": 2000.0, "redeemedCredit": 0.0, "dateExpires": float64(expires), "dateScheduledFor": nil, "name": nil, "currency": "USD", "redemptions": []any{}}),
		"PCT_DISCOUNT": with(object{"type": "PCT_DISCOUNT", "unit": "%", "discountPercent": 15.0, "cancellable": false}),
		"FUELTANK":     with(object{"type": "FUELTANK", "unit": "%", "fuelTankCode": "TANK", "fueltankType": "PCT_DISCOUNT", "amount": 10.0, "dateScheduledFor": nil, "name": nil, "currency": nil}),
	}
	if diff := cmp.Diff(want, given); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if all := mustDecode[[]object](t, w.ask(http.MethodGet, "/reward?accountId=a%201", ""), http.StatusOK); len(all) != 3 {
		t.Errorf("the account has %d rewards", len(all))
	}
}

func TestAScheduledRewardIsNotGivenYet(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a", "anna")
	later := time.Now().Add(time.Hour).UnixMilli()
	shown := w.mustGive("a", "anna", fmt.Sprintf(`{"type":"CREDIT","unit":"cents","assignedCredit":5,"dateScheduledFor":%d}`, later))
	if shown["dateGiven"] != nil {
		t.Errorf("given at %v", shown["dateGiven"])
	}
	want(t, w.ask(http.MethodGet, "/reward/balance?accountId=a", ""), http.StatusOK, `[]`)
}

func TestRewardsHaveTheShapeOfTheTenantsPayloadVersion(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	second := w.mustRegister("a2", "bert", first.Codes[0].Text)
	w.mustBuy(second)
	w.must(w.tenants.SetSettings(t.Context(), w.acme.ID, "saasquatch", map[string]string{"payload_version": "2020"}))
	rewards := mustDecode[[]object](t, w.ask(http.MethodGet, "/reward?accountId=a1", ""), http.StatusOK)
	if len(rewards) != 1 || rewards[0]["programId"] != "friends" || rewards[0]["dateCreated"] == nil || rewards[0]["rewardSource"] != "FRIEND_SIGNUP" {
		t.Errorf("%v", rewards)
	}
}

func TestBalancesAddUpWhatCounts(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	w.mustRegister("a1", "otto")
	second := w.mustRegister("a1", "bert", first.Codes[0].Text)
	w.mustBuy(second)
	w.mustGive("a1", "otto", `{"type":"CREDIT","unit":"points","assignedCredit":7}`)
	w.mustGive("a1", "otto", `{"type":"FUELTANK","fuelTankCode":"TANK"}`)
	for _, used := range []string{`{"type":"FUELTANK","fuelTankCode":"USED"}`, `{"type":"PCT_DISCOUNT","discountPercent":5}`} {
		of, err := reward.RewardID.Parse("rwd_" + w.mustGive("a1", "otto", used)["id"].(string))
		w.must(err)
		_, err = w.referrals.RedeemReward(t.Context(), w.acme.ID, of, reward.Redemption{})
		w.must(err)
	}
	cancelled := w.mustGive("a1", "otto", `{"type":"CREDIT","unit":"cents","assignedCredit":999}`)
	mustDecode[object](t, w.ask(http.MethodPost, "/reward/"+cancelled["id"].(string)+"/cancel", ""), http.StatusOK)
	want(t, w.ask(http.MethodPost, "/credit/bulkredeem", `{"accountId":"a1","unit":"cents","amount":500}`), http.StatusOK,
		`{"creditRedeemed":500,"creditAvailable":1500,"unit":"cents"}`)
	got := map[string]object{}
	for _, b := range mustDecode[[]object](t, w.ask(http.MethodGet, "/reward/balance?accountId=a1", ""), http.StatusOK) {
		unit, _ := b["unit"].(string)
		got[b["type"].(string)+unit] = b
	}
	all := map[string]object{
		"CREDITcents":  {"type": "CREDIT", "unit": "cents", "count": 1.0, "totalAssignedCredit": 2000.0, "totalRedeemedCredit": 500.0},
		"CREDITpoints": {"type": "CREDIT", "unit": "points", "count": 1.0, "totalAssignedCredit": 7.0, "totalRedeemedCredit": 0.0},
		"FUELTANK":     {"type": "FUELTANK", "totalFuelTankCodes": 1.0},
		"PCT_DISCOUNT": {"type": "PCT_DISCOUNT", "totalDiscountPercent": 30.0, "referredDiscountPercent": 10.0, "referrerDiscountPercent": 20.0},
	}
	if diff := cmp.Diff(all, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	want(t, w.ask(http.MethodGet, "/reward/balance?accountId=a1&userId=anna", ""), http.StatusOK,
		`[{"type":"PCT_DISCOUNT","totalDiscountPercent":20,"referredDiscountPercent":0,"referrerDiscountPercent":20}]`)
	want(t, w.ask(http.MethodGet, "/reward/balance?accountId=nowhere", ""), http.StatusOK, `[]`)
}

func TestWhatPaysForARewardThatWasCancelledCountsAsRedeemed(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a1", "anna")
	spent := w.mustGive("a1", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":500}`)
	w.mustGive("a1", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":300}`)
	mustDecode[object](t, w.ask(http.MethodPost, "/credit/bulkredeem", `{"accountId":"a1","unit":"cents","amount":400}`), http.StatusOK)
	mustDecode[object](t, w.ask(http.MethodPost, "/reward/"+spent["id"].(string)+"/cancel", ""), http.StatusOK)
	want(t, w.ask(http.MethodGet, "/reward/balance?accountId=a1", ""), http.StatusOK,
		`[{"type":"CREDIT","unit":"cents","count":1,"totalAssignedCredit":300,"totalRedeemedCredit":300}]`)
	w.mustGive("a1", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":1000}`) // of which 100 are owed
	want(t, w.ask(http.MethodGet, "/reward/balance?accountId=a1", ""), http.StatusOK,
		`[{"type":"CREDIT","unit":"cents","count":2,"totalAssignedCredit":1300,"totalRedeemedCredit":400}]`)
	want(t, w.ask(http.MethodPost, "/credit/bulkredeem", `{"accountId":"a1","unit":"cents","amount":900}`), http.StatusOK,
		`{"creditRedeemed":900,"creditAvailable":0,"unit":"cents"}`)
}

func TestARewardIsRedeemedInPartsUntilNothingIsLeft(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a1", "anna")
	w.mustRegister("a1", "otto")
	of := w.mustGive("a1", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":300}`)["id"].(string)
	w.mustGive("a1", "otto", `{"type":"CREDIT","unit":"cents","assignedCredit":1000}`)
	want(t, w.ask(http.MethodPost, "/credit/"+of+"/redeem", `{"unit":"cents","amount":200}`), http.StatusOK,
		`{"creditRedeemed":200,"creditAvailable":1100,"unit":"cents"}`)
	wantRefused(t, "more than is left", w.ask(http.MethodPost, "/credit/"+of+"/redeem", `{"unit":"cents","amount":101}`), 400, "INVALD_REWARD_REDEMPTION")
	want(t, w.ask(http.MethodPost, "/credit/"+of+"/redeem", `{"unit":"cents","amount":100}`), http.StatusOK,
		`{"creditRedeemed":100,"creditAvailable":1000,"unit":"cents"}`)
	shown := mustDecode[object](t, w.ask(http.MethodGet, "/reward/"+of, ""), http.StatusOK)
	if shown["redeemedCredit"] != 300.0 {
		t.Errorf("redeemed %v", shown["redeemedCredit"])
	}
	wantRefused(t, "one that is over", w.ask(http.MethodPost, "/reward/"+of+"/cancel", ""), 400, "REWARD_NOT_CANCELLABLE")
}

func TestWhatIsWrongWithACallAboutRewardsIsSaidAndGivesNothing(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a", "anna")
	money := w.mustGive("a", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":300}`)["id"].(string)
	percent := w.mustGive("a", "anna", `{"type":"PCT_DISCOUNT","discountPercent":5,"cancellable":false}`)["id"].(string)
	const give, bulk, nobodys = "/rewards/account/a/user/anna", "/credit/bulkredeem", "0123456789abcdef01234567"
	invalid := func(path, body string) [4]string {
		return [4]string{http.MethodPost, path, body, "400 VALIDATION_FAILED"}
	}
	for name, c := range map[string][4]string{
		"no account":            {http.MethodGet, "/reward", "", "400 VALIDATION_FAILED"},
		"no account's balance":  {http.MethodGet, "/reward/balance?userId=anna", "", "400 VALIDATION_FAILED"},
		"an unknown type":       {http.MethodGet, "/reward?accountId=a&rewardTypeFilter=credit", "", "400 VALIDATION_FAILED"},
		"no such reward":        {http.MethodGet, "/reward/" + nobodys, "", "404 REWARD_NOT_FOUND"},
		"no id":                 {http.MethodGet, "/reward/x", "", "404 REWARD_NOT_FOUND"},
		"none to cancel":        {http.MethodPost, "/reward/" + nobodys + "/cancel", "", "404 REWARD_NOT_FOUND"},
		"a fixed one":           {http.MethodPost, "/reward/" + percent + "/cancel", "", "400 REWARD_NOT_CANCELLABLE"},
		"no such user":          {http.MethodPost, "/rewards/account/a/user/nobody", `{"type":"PCT_DISCOUNT","discountPercent":5}`, "404 USER_NOT_FOUND"},
		"no body":               {http.MethodPost, give, "", "400 BAD_REQUEST"},
		"no object":             {http.MethodPost, give, `"CREDIT"`, "400 BAD_REQUEST"},
		"no type":               invalid(give, `{"unit":"cents","assignedCredit":1}`),
		"a type of ours":        invalid(give, `{"type":"credit","unit":"cents","assignedCredit":1}`),
		"no unit":               invalid(give, `{"type":"CREDIT","assignedCredit":1}`),
		"a long unit":           invalid(give, `{"type":"CREDIT","unit":"`+strings.Repeat("x", 500)+`","assignedCredit":1}`),
		"no credit":             invalid(give, `{"type":"CREDIT","unit":"cents"}`),
		"zero":                  invalid(give, `{"type":"CREDIT","unit":"cents","assignedCredit":0}`),
		"less than zero":        invalid(give, `{"type":"CREDIT","unit":"cents","assignedCredit":-5}`),
		"too much":              invalid(give, `{"type":"CREDIT","unit":"cents","assignedCredit":9000000000000000000}`),
		"a part":                invalid(give, `{"type":"CREDIT","unit":"cents","assignedCredit":0.5}`),
		"a text":                invalid(give, `{"type":"CREDIT","unit":"cents","assignedCredit":"5"}`),
		"a percentage of 101":   invalid(give, `{"type":"PCT_DISCOUNT","discountPercent":101}`),
		"no code":               invalid(give, `{"type":"FUELTANK","amount":5}`),
		"a type of code":        invalid(give, `{"type":"FUELTANK","fuelTankCode":"A","fuelTankType":"GIFT"}`),
		"expired":               invalid(give, `{"type":"PCT_DISCOUNT","discountPercent":5,"dateExpires":1}`),
		"a time after all":      invalid(give, `{"type":"PCT_DISCOUNT","discountPercent":5,"dateExpires":9000000000000000000}`),
		"over before it begins": invalid(give, `{"type":"PCT_DISCOUNT","discountPercent":5,"dateExpires":4000000000000,"dateScheduledFor":4000000000001}`),
		"no account's credit":   invalid(bulk, `{"unit":"cents","amount":1}`),
		"no amount":             invalid(bulk, `{"accountId":"a","unit":"cents"}`),
		"a negative amount":     invalid(bulk, `{"accountId":"a","unit":"cents","amount":-1}`),
		"another unit":          invalid("/credit/"+money+"/redeem", `{"unit":"points","amount":1}`),
		"no unit to redeem":     invalid("/credit/"+money+"/redeem", `{"amount":1}`),
		"nowhere's credit":      {http.MethodPost, bulk, `{"accountId":"nowhere","unit":"cents","amount":1}`, "404 ACCOUNT_NOT_FOUND"},
		"more than there is":    {http.MethodPost, bulk, `{"accountId":"a","unit":"cents","amount":301}`, "400 INVALD_REWARD_REDEMPTION"},
		"of nothing":            {http.MethodPost, bulk, `{"accountId":"a","unit":"points","amount":1}`, "400 INVALD_REWARD_REDEMPTION"},
		"a percentage redeemed": {http.MethodPost, "/credit/" + percent + "/redeem", `{"unit":"%","amount":1}`, "400 INVALD_REWARD_REDEMPTION"},
		"nobody's redeemed":     {http.MethodPost, "/credit/" + nobodys + "/redeem", `{"unit":"cents","amount":1}`, "404 REWARD_NOT_FOUND"},
		"no such code":          {http.MethodGet, "/discount/NOBODYS", "", "404 REFERRAL_CODE_NOT_FOUND"},
		"no such account":       {http.MethodGet, "/account/nowhere/discount", "", "404 ACCOUNT_NOT_FOUND"},
		"an unknown code":       {http.MethodGet, "/account/a/discount?couponCode=NOBODYS", "", "404 REFERRAL_CODE_NOT_FOUND"},
		"a payment provider":    {http.MethodPost, "/discount", `{"accountId":"a","paymentProviderId":"c","couponCode":"X"}`, "400 API_REQUEST_NOT_SUPPORTED"},
	} {
		var status int
		var code string
		_, _ = fmt.Sscan(c[3], &status, &code)
		wantRefused(t, name, w.ask(c[0], c[1], c[2]), status, code)
	}
	_, others := w.mustTenant("other")
	for _, call := range [][3]string{
		{http.MethodGet, "/reward/" + money, ""},
		{http.MethodPost, "/reward/" + money + "/cancel", ""},
		{http.MethodPost, "/credit/" + money + "/redeem", `{"unit":"cents","amount":1}`},
	} {
		wantRefused(t, "another tenant's "+call[1], w.askAs(others, call[0], "/api/v1/other"+call[1], call[2]), 404, "REWARD_NOT_FOUND")
	}
	all, err := w.referrals.Rewards(t.Context(), w.acme.ID, referral.RewardFilter{Limit: 100})
	w.must(err)
	if len(all) != 2 || all[0].Version+all[1].Version != 2 {
		t.Errorf("there are %d rewards, or they were changed", len(all))
	}
}

func TestDiscountsAreThoseOfCodesAndRewards(t *testing.T) {
	w := mustRESTWorld(t)
	first := w.mustRegister("a1", "anna")
	second := w.mustRegister("a2", "bert", first.Codes[0].Text)
	w.mustRegister("a3", "carl")
	code := first.Codes[0].Text
	want(t, w.ask(http.MethodGet, "/discount/"+code, ""), http.StatusOK,
		fmt.Sprintf(`{"couponCode":%q,"referrerName":"anna","discountPercentage":10,"dateCreated":%d,"ratePlanId":null,"discountId":null}`, code, first.Codes[0].CreatedAt.UnixMilli()))
	w.mustBuy(second)
	for path, body := range map[string]string{
		"a1": `{"accountId":"a1","discountPercentage":20,"referredDiscountPercent":0,"referrerDiscountPercent":20,"referrerName":null,"ratePlanId":null,"discountId":null}`,
		"a2": `{"accountId":"a2","discountPercentage":10,"referredDiscountPercent":10,"referrerDiscountPercent":0,"referrerName":"anna","ratePlanId":null,"discountId":null}`,
		"a3": `{"accountId":"a3","discountPercentage":0,"referredDiscountPercent":0,"referrerDiscountPercent":0,"referrerName":null,"ratePlanId":null,"discountId":null}`,
	} {
		want(t, w.ask(http.MethodGet, "/account/"+path+"/discount", ""), http.StatusOK, body)
	}
	want(t, w.ask(http.MethodGet, "/account/a3/discount?couponCode="+code, ""), http.StatusOK,
		`{"accountId":"a3","discountPercentage":10,"referredDiscountPercent":10,"referrerDiscountPercent":0,"referrerName":"anna","ratePlanId":null,"discountId":null}`)
}
