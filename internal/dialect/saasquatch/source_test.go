package saasquatch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
)

func TestACodeByWhichNobodyIsReferredLeadsThePublicNowhere(t *testing.T) {
	s := mustSite(t)
	anna := s.mustUser("anna", "Anna", "Arendt")
	open := []string{"/open/code/" + anna, "/open/user?referralCode=" + anna}
	s.wantAt(s.call(http.MethodGet, open[0], "", http.StatusOK), map[string]string{"referrerName": `"Anna A"`})
	s.wantAt(s.call(http.MethodGet, "/code/"+anna, "", http.StatusOK), map[string]string{"referrerName": `"Anna Arendt"`})
	known := "/a/acme/widgets/squatchcookiejson?cookies=" + clientCookie(t, "acme", map[string]int64{anna: 0})
	for name, step := range map[string][2]string{
		"blocked":       {"/account/anna/user/anna/block", "/account/anna/user/anna/unblock"},
		"not referable": {`{"referable":false}`, `{"referable":true}`},
	} {
		change := func(to string) {
			if strings.HasPrefix(to, "/") {
				s.call(http.MethodPost, to, "", http.StatusOK)
				return
			}
			s.call(http.MethodPut, "/open"+userPath("anna", "anna"), to, http.StatusOK)
		}
		s.wantAt(s.callAs(nil, http.MethodGet, known, "", http.StatusOK), map[string]string{"codes": fmt.Sprintf("[%q]", anna)})
		change(step[0])
		for _, path := range open {
			s.refused(http.MethodGet, path, "", http.StatusNotFound, "REFERRAL_CODE_NOT_FOUND", "RS034")
		}
		s.call(http.MethodGet, "/code/"+anna, "", http.StatusOK)
		s.wantAt(s.callAs(nil, http.MethodGet, known, "", http.StatusOK), map[string]string{"codes": `[]`})
		change(step[1])
		if got := s.call(http.MethodGet, open[0], "", http.StatusOK); got["code"] != anna {
			t.Errorf("no longer %s: %v", name, got)
		}
	}
}

func TestSegmentsAndTheOtherTraitsAreKeptBesideTheCustomFields(t *testing.T) {
	s := mustSite(t)
	path := "/open" + userPath("anna", "anna") + "?extraFields=paymentProviderId"
	put := func(body string, want map[string]string) {
		t.Helper()
		s.wantAt(s.call(http.MethodPut, path, body, http.StatusOK), want)
		s.wantAt(s.call(http.MethodGet, path, "", http.StatusOK), want)
	}
	put(`{"customFields":{"plan":"pro"},"segments":["vip","beta","vip"],"paymentProviderId":"cus_1","dateUsTaxFormSubmitted":1619647338270}`, map[string]string{
		"customFields": `{"plan":"pro"}`, "segments": `["vip","beta"]`, "paymentProviderId": `"cus_1"`, "dateUsTaxFormSubmitted": `1619647338270`,
	})
	put(`{"segments":["~vip","~never","new"]}`, map[string]string{
		"customFields": `{"plan":"pro"}`, "segments": `["beta","new"]`, "paymentProviderId": `"cus_1"`,
	})
	put(`{"customFields":{"size":12}}`, map[string]string{"customFields": `{"size":12}`, "segments": `["beta","new"]`})
	put(`{"firstName":"Anna"}`, map[string]string{"customFields": `{"size":12}`, "segments": `["beta","new"]`, "dateUsTaxFormSubmitted": `1619647338270`})
	s.wantAt(s.call(http.MethodGet, userPath("anna", "anna")+"/pii", "", http.StatusOK), map[string]string{
		"customFields": `{"size":12}`, "segments": `["beta","new"]`, "paymentProviderId": `"cus_1"`,
	})
	for field, body := range map[string]string{
		"segments": `{"segments":"vip"}`, "segments of numbers": `{"segments":[1]}`, "segments of nothing": `{"segments":["~"]}`,
		"paymentProviderId": `{"paymentProviderId":1}`, "dateUsTaxFormSubmitted": `{"dateUsTaxFormSubmitted":"2021"}`,
		"dateUsTaxFormSubmitted in parts": `{"dateUsTaxFormSubmitted":1.5}`, "customFields": `{"customFields":{"$saasquatch":{}}}`,
	} {
		before := s.state()
		shown := s.call(http.MethodPut, path, body, http.StatusBadRequest)
		name, _, _ := strings.Cut(field, " ")
		if message, _ := shown["message"].(string); !strings.HasPrefix(message, name+": ") || s.state() != before {
			t.Errorf("%s: %v", field, shown)
		}
	}
}

func TestABrowserChangesNoSegmentsThatItsTokenDoesNotSay(t *testing.T) {
	s := mustSite(t)
	path := "/open" + userPath("anna", "anna")
	const body = `{"segments":["vip"]}`
	s.callAs(userToken(s.token("anna", nil)), http.MethodPut, path, body, http.StatusForbidden)
	s.callAs(userToken(s.token("anna", map[string]any{"segments": []string{"beta"}})), http.MethodPut, path, body, http.StatusForbidden)
	s.wantAt(s.callAs(userToken(s.token("anna", map[string]any{"segments": []string{"vip"}})), http.MethodPut, path, body, http.StatusOK),
		map[string]string{"segments": `["vip"]`})
}

func TestTheDeviceIsTheCookiesID(t *testing.T) {
	s := mustSite(t)
	shown := s.callAs(dialecttest.Auth(func(r *http.Request) {
		userToken(s.token("anna", nil))(r)
		r.AddCookie(&http.Cookie{Name: "gv", Value: "1.ABCDEFGHIJKLMNOPQRSTUVWXYZ."})
	}), http.MethodPut, "/open"+userPath("anna", "anna"), `{}`, http.StatusOK)
	pii := s.call(http.MethodGet, userPath("anna", "anna")+"/pii", "", http.StatusOK)
	if id, _ := shown["cookieId"].(string); id != "ABCDEFGHIJKLMNOPQRSTUVWXYZ" || pii["cookieId"] != id {
		t.Errorf("the cookie is %v and %v", shown["cookieId"], pii["cookieId"])
	}
}

func TestParametersAreNamedAsTheyWereGiven(t *testing.T) {
	s := mustSite(t)
	s.mustUser("anna", "Anna", "Arendt")
	for query, name := range map[string]string{"fields=bogus": "fields", "extraFields=bogus": "extraFields", "fields=id&extraFields=email": "fields"} {
		shown := s.call(http.MethodGet, "/open"+userPath("anna", "anna")+"?"+query, "", http.StatusBadRequest)
		if message, _ := shown["message"].(string); !strings.HasPrefix(message, name+": ") {
			t.Errorf("%s: %v", query, shown["message"])
		}
	}
}

func TestAWidgetOfNoProgramIsRefusedAndStoresNobody(t *testing.T) {
	s := mustSite(t)
	path := "/widget" + userPath("anna", "anna") + "/upsert?widgetType="
	s.refused(http.MethodPut, path+"p/nothing/w/referrerWidget", `{}`, http.StatusBadRequest, "VALIDATION_FAILED", "RS036")
	s.call(http.MethodGet, "/open"+userPath("anna", "anna"), "", http.StatusNotFound)
	s.call(http.MethodPut, path+"p/classic/w/referrerWidget", `{}`, http.StatusOK)
}

func TestTheLastUserTakesTheAccountAlong(t *testing.T) {
	s := mustSite(t)
	for query, status := range map[string]int{"": http.StatusNotFound, "?preserveEmptyAccount=true": http.StatusOK} {
		s.call(http.MethodPost, "/accountsync", `{"id":"shop","subscription":{"status":"PAID"}}`, http.StatusOK)
		s.call(http.MethodPut, "/open"+userPath("shop", "anna"), `{}`, http.StatusOK)
		s.call(http.MethodDelete, "/open"+userPath("shop", "anna")+query, "", http.StatusNoContent)
		s.call(http.MethodGet, "/account/shop", "", status)
		s.call(http.MethodDelete, "/open/account/shop", "", map[int]int{http.StatusNotFound: http.StatusNotFound, http.StatusOK: http.StatusNoContent}[status])
	}
}

func TestTheCodeOfSomebodyWhoWasForgottenIsInNoList(t *testing.T) {
	s := mustSite(t)
	s.mustRefer()
	s.call(http.MethodDelete, "/open"+userPath("anna", "anna"), "", http.StatusNoContent)
	list := s.Send(http.MethodGet, "/api/v1/acme/referrals", "", password(s.key))
	if list.Status != http.StatusOK || strings.Contains(list.Body, "ANNAARENDT") {
		t.Errorf("%d %s", list.Status, list.Body)
	}
}

func TestARewardShowsByWhatItWasRedeemed(t *testing.T) {
	w := mustRESTWorld(t)
	w.mustRegister("a", "anna")
	id, _ := w.mustGive("a", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":100}`)["id"].(string)
	w.mustGive("a", "anna", `{"type":"CREDIT","unit":"cents","assignedCredit":50}`)
	want(t, w.ask(http.MethodPost, "/credit/"+id+"/redeem", `{"amount":30,"unit":"cents"}`), http.StatusOK, `{"creditRedeemed":30,"creditAvailable":120,"unit":"cents"}`)
	want(t, w.ask(http.MethodPost, "/credit/bulkredeem", `{"accountId":"a","amount":90,"unit":"cents"}`), http.StatusOK, `{"creditRedeemed":90,"creditAvailable":30,"unit":"cents"}`)
	quantities := func(of object) string {
		all := ""
		redemptions, _ := of["redemptions"].([]any)
		for _, r := range redemptions {
			part, _ := r.(object)
			if when, _ := part["dateRedeemed"].(float64); when < 1e12 || part["id"] == "" {
				t.Errorf("a redemption is %v", part)
			}
			all += fmt.Sprint(part["quantityRedeemed"], " ")
		}
		return all
	}
	if got := quantities(mustDecode[object](t, w.ask(http.MethodGet, "/reward/"+id, ""), http.StatusOK)); got != "30 70 " {
		t.Errorf("redeemed by %q", got)
	}
	listed := mustDecode[[]object](t, w.ask(http.MethodGet, "/reward?accountId=a", ""), http.StatusOK)
	if quantities(listed[0])+"and "+quantities(listed[1]) != "20 and 30 70 " {
		t.Errorf("the list is %v", listed)
	}
}
