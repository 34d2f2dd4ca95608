package saasquatch_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAnAccountsStateConvertsAndEndsWhatItsPeopleWereReferredBy(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.call(http.MethodPut, "/open"+userPath("shop", "bob"), `{}`, http.StatusOK)
	shown := s.call(http.MethodGet, "/account/shop", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"id": `"shop"`, "subscription.status": `"TRIAL"`, "currency": `"USD"`})
	shown = s.call(http.MethodPost, "/accountsync", `{"id":"shop","subscription":{"status":"TRIAL"},"referral":{"code":"`+mike+`"}}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referral.code": `"MIKEKEENERSON"`, "subscription.status": `"TRIAL"`})
	paid := `{"id":"shop","subscription":{"status":"PAID","billingIntervalType":"MONTH","billingIntervalValue":1,"value":49.5},"currency":"CAD"}`
	shown = s.call(http.MethodPost, "/accountsync", paid, http.StatusOK)
	s.wantAt(shown, map[string]string{"subscription.billingIntervalType": `"MONTH"`, "subscription.value": "49.5", "currency": `"CAD"`, "referral.code": `"MIKEKEENERSON"`})
	s.wantAt(s.call(http.MethodGet, "/open"+userPath("shop", "bob"), "", http.StatusOK), map[string]string{"referredBy.isConverted": "true"})

	before := s.state()
	for body, rs := range map[string]string{
		`{"subscription":{"status":"PAID"}}`:             "RS043",
		`{"id":"shop"}`:                                  "",
		`{"id":"shop","subscription":{"status":"paid"}}`: "",
		`{"id":"shop","subscription":{"status":"PAID","billingIntervalType":"EON"}}`:   "",
		`{"id":"shop","subscription":{"status":"PAID","value":"49"}}`:                  "",
		`{"id":"shop","subscription":{"status":"PAID"},"currency":"dollars"}`:          "",
		`{"id":"` + strings.Repeat("x", 600) + `","subscription":{"status":"PAID"}}`:   "RS044",
		`{"id":"a\u0000b","subscription":{"status":"PAID"}}`:                           "RS044",
		`{"id":"shop","subscription":{"status":"PAID","billingIntervalValue":1.5}}`:    "",
		`{"id":"shop","subscription":{"status":"CANCELLED"},"referral":{"code":true}}`: "",
	} {
		s.refused(http.MethodPost, "/accountsync", body, http.StatusBadRequest, "VALIDATION_FAILED", rs)
	}
	s.refused(http.MethodPost, "/accountsync", `{"id":"none","subscription":{"status":"FREE"},"referral":{"code":"NOBODY"}}`, http.StatusBadRequest, "REFERRAL_CODE_NOT_FOUND", "RS034")
	s.refused(http.MethodGet, "/account/none", "", http.StatusNotFound, "ACCOUNT_NOT_FOUND", "RS041")
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
	s.call(http.MethodPost, "/accountsync", `{"id":"shop","subscription":{"status":"CANCELLED"}}`, http.StatusOK)
	if !strings.Contains(s.state(), "ended") {
		t.Errorf("it did not end: %s", s.state())
	}
}

func TestAnAccountIsForgottenWithItsUsers(t *testing.T) {
	s := mustSite(t)
	for _, user := range []string{"a", "b"} {
		s.call(http.MethodPut, "/open"+userPath("shop", user), `{}`, http.StatusOK)
	}
	s.call(http.MethodPost, "/accountsync", `{"id":"shop","subscription":{"status":"FREE"}}`, http.StatusOK)
	s.call(http.MethodDelete, "/open"+userPath("shop", "a")+"?preserveEmptyAccount=false", "", http.StatusNoContent)
	s.wantAt(s.call(http.MethodGet, "/account/shop", "", http.StatusOK), map[string]string{"subscription.status": `"FREE"`})
	s.call(http.MethodDelete, "/open"+userPath("shop", "b")+"?preserveEmptyAccount=false", "", http.StatusNoContent)
	s.refused(http.MethodGet, "/account/shop", "", http.StatusNotFound, "ACCOUNT_NOT_FOUND", "RS041")

	for _, user := range []string{"c", "d"} {
		s.call(http.MethodPut, "/open"+userPath("shop2", user), `{}`, http.StatusOK)
	}
	s.refused(http.MethodDelete, "/open/account/shop2?doNotTrack=yes", "", http.StatusBadRequest, "VALIDATION_FAILED", "")
	s.call(http.MethodDelete, "/open/account/shop2?doNotTrack=true", "", http.StatusNoContent)
	s.refused(http.MethodDelete, "/open/account/shop2", "", http.StatusNotFound, "ACCOUNT_NOT_FOUND", "RS041")
	s.refused(http.MethodPut, "/open"+userPath("shop2", "c"), `{}`, http.StatusForbidden, "DO_NOT_TRACK", "RS050")
}

func TestTheCodeOfAReferrerWhoWasForgottenMayBeRepeated(t *testing.T) {
	for _, account := range []string{"shop", "later"} { // one with a user who was referred, and one of which nobody has come
		t.Run(account, func(t *testing.T) {
			s := mustSite(t)
			mike := s.mustUser("mike", "Mike", "Keenerson")
			s.call(http.MethodPut, "/open"+userPath("shop", "bob"), `{"referredBy":{"code":"`+mike+`"}}`, http.StatusOK)
			sync := `{"id":"` + account + `","subscription":{"status":"TRIAL"},"referral":{"code":"` + mike + `"}}`
			s.call(http.MethodPost, "/accountsync", sync, http.StatusOK)
			s.call(http.MethodDelete, "/open"+userPath("mike", "mike"), "", http.StatusNoContent)
			shown := s.call(http.MethodPost, "/accountsync", strings.ReplaceAll(sync, "TRIAL", "PAID"), http.StatusOK)
			s.wantAt(shown, map[string]string{"referral.code": "null", "subscription.status": `"PAID"`})

			s.call(http.MethodPut, "/open"+userPath("shop", "bob"), `{"referredBy":{"code":"`+mike+`"},"firstName":"Bob"}`, http.StatusOK)
			s.refused(http.MethodPut, "/open"+userPath("shop", "new"), `{"referredBy":{"code":"`+mike+`"}}`, http.StatusBadRequest, "REFERRAL_CODE_NOT_FOUND", "RS034")
			newcomer := s.call(http.MethodPut, "/open"+userPath("later", "new"), `{}`, http.StatusOK)
			s.wantAt(newcomer, map[string]string{"referredBy": "null"})
		})
	}
}
