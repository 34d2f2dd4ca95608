package app_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
)

// atOnce makes calls side by side and returns how many were answered with each status.
func (s *site) atOnce(calls []attempt) map[int]int {
	s.t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	statuses := make(map[int]int)
	for _, c := range calls {
		all.Go(func() {
			got, err := s.try(c.by, c.method, "/api/v1/"+s.alias+c.path, c.body)
			if err != nil {
				s.t.Error(err)
			}
			if got.status >= http.StatusBadRequest && !strings.Contains(got.text, c.code) {
				s.t.Errorf("%s: %d %s", c.name, got.status, got.text)
			}
			mu.Lock()
			defer mu.Unlock()
			statuses[got.status]++
		})
	}
	all.Wait()
	return statuses
}

// times repeats a call.
func times(n int, a attempt) []attempt {
	all := make([]attempt, n)
	for i := range all {
		all[i] = a
	}
	return all
}

func TestWhatManyAskForAtOnceIsDoneOnceOnPostgresToo(t *testing.T) {
	s, mikes := mustCompany(t, mustStartAnywhere(t).URL(), "acme")
	ottos := s.must(http.MethodGet, "/open"+of("otto"), "").member(t, "referralCode").(string)
	s.mustUser("nina", `{}`)
	key, post := byKey(s.key), http.MethodPost

	redeemed := s.atOnce(times(8, attempt{
		"redeeming", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":2000}`, 0, "INVALD_REWARD_REDEMPTION",
	}))
	if redeemed[http.StatusOK] != 1 || redeemed[http.StatusBadRequest] != 7 {
		t.Errorf("eight redemptions of all: %v", redeemed)
	}
	referred := s.atOnce(append(
		times(4, attempt{"by mike", key, post, "/open/code/" + mikes + of("nina"), "", 0, "ALREADY_REFERRED"}),
		times(4, attempt{"by otto", key, post, "/open/code/" + ottos + of("nina"), "", 0, "ALREADY_REFERRED"})...,
	))
	if referred[http.StatusOK] == 0 || referred[http.StatusOK]+referred[http.StatusBadRequest] != 8 {
		t.Errorf("eight referrals by two codes: %v", referred)
	}
	bought := s.atOnce(times(8, attempt{
		"buying", key, post, "/open" + of("nina") + "/events", `{"idempotencyKey":"order-4711","events":[{"key":"purchase"}]}`, 0, "CONFLICT",
	}))
	if bought[http.StatusOK] != 1 || bought[http.StatusConflict] != 7 {
		t.Errorf("eight purchases that are one: %v", bought)
	}
	heard := s.mustHear("saasquatch", map[string]int{"referral.converted": 2})
	if n := counts(heard); n["referral.started"] != 2 || n["referral.converted"] != 2 || n["user.reward.balance.changed"] != 3 {
		t.Errorf("told: %v", n)
	}
	if left := s.must(http.MethodGet, "/reward/balance?accountId=susy-inc&rewardTypeFilter=CREDIT", "").text; !strings.Contains(left, `"totalAssignedCredit":2000,"totalRedeemedCredit":2000`) {
		t.Errorf("susy has %s", left)
	}
	if got := s.must(http.MethodGet, "/reward?accountId=nina-inc", "").text; strings.Count(got, `"type"`) != 2 {
		t.Errorf("nina was given %s", got)
	}
}
