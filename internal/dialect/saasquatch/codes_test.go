package saasquatch_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
)

func TestShareLinksAreShownInAllForms(t *testing.T) {
	s := mustSite(t)
	s.mustUser("mike", "Mike", "Keenerson")
	path := userPath("mike", "mike")
	old := s.call(http.MethodGet, path+"/sharelinks", "", http.StatusOK)
	all := s.call(http.MethodGet, path+"/shareurls", "", http.StatusOK)
	open := s.call(http.MethodGet, "/open"+path+"/shareurls", "", http.StatusOK)
	for was, is := range map[string]string{
		"shareLink": "UNKNOWN.DIRECT", "facebookShareLink": "UNKNOWN.FACEBOOK", "mobileShareLink": "MOBILE.DIRECT", "EMAIL.linkedinShareLink": "EMAIL.LINKEDIN",
	} {
		if link := at(old, was); link == nil || link != at(all, "shareLinks."+is) || link != at(open, "shareLinks."+is) {
			t.Errorf("%s is %v, and %s %v", was, link, is, at(all, "shareLinks."+is))
		}
	}
	if clean, _ := at(all, "shareLinks.cleanShareLink").(string); len(clean) != len(baseURL+"/r/")+9 {
		t.Errorf("the clean link is %q", clean)
	}
	one := s.call(http.MethodGet, path+"/shareurls?engagementMedium=EMBED&shareMedium=SMS&programId=classic", "", http.StatusOK)
	if links, _ := one["shareLinks"].(map[string]any); len(links) != 2 || len(links["EMBED"].(map[string]any)) != 1 {
		t.Errorf("of one medium: %v", one)
	}
	s.refused(http.MethodGet, path+"/shareurls?engagementMedium=embed", "", http.StatusBadRequest, "VALIDATION_FAILED", "RS037")
	s.refused(http.MethodGet, path+"/shareurls?shareMedium=PIGEON", "", http.StatusBadRequest, "VALIDATION_FAILED", "")
	s.refused(http.MethodGet, path+"/shareurls?programId=other", "", http.StatusBadRequest, "VALIDATION_FAILED", "")
}

func TestCodesAreChosenForEachProgramAndNobodyHasThemTwice(t *testing.T) {
	s := mustSite(t)
	s.MustProgram(s.acme, "vip", "")
	shown := s.call(http.MethodPut, "/open"+userPath("a", "a"), `{"referralCode":"FIRST","referralCodes":{"vip":"VIPCODE"}}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referralCode": `"FIRST"`, "referralCodes": `{"classic":"FIRST","vip":"VIPCODE"}`})
	before := s.state()
	s.refused(http.MethodPut, "/open"+userPath("b", "b"), `{"referralCode":"first"}`, http.StatusBadRequest, "REFERRAL_CODE_TAKEN", "RS034")
	s.refused(http.MethodPut, "/open"+userPath("b", "b"), `{"referralCodes":{"none":"X123"}}`, http.StatusBadRequest, "VALIDATION_FAILED", "RS034")
	s.refused(http.MethodPut, "/open"+userPath("b", "b"), `{"referable":false,"referralCode":"X123"}`, http.StatusBadRequest, "VALIDATION_FAILED", "RS034")
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
}

func TestACodeIsShownWithWhatAFriendGets(t *testing.T) {
	s := mustSite(t)
	s.mustUser("mike", "Mike", "Keenerson")
	shown := s.call(http.MethodGet, "/code/mikekeenerson", "", http.StatusOK)
	s.wantAt(shown, map[string]string{
		"code": `"MIKEKEENERSON"`, "programId": `"classic"`, "referrerName": `"Mike Keenerson"`, "reward.type": `"PCT_DISCOUNT"`,
		"reward.unit": `"%"`, "reward.discountPercent": "10", "reward.credit": "null",
	})
	open := s.callAs(nil, http.MethodGet, "/open/code/MIKEKEENERSON", "", http.StatusOK)
	s.wantAt(open, map[string]string{"code": `"MIKEKEENERSON"`, "reward.discountPercent": "10"})
	shown = s.callAs(nil, http.MethodGet, "/open/user?referralCode=MIKEKEENERSON", "", http.StatusOK)
	if len(shown) != 6 {
		t.Errorf("everybody sees %v", shown)
	}
	s.wantAt(shown, map[string]string{"id": `"mike"`, "accountId": `"mike"`, "firstName": `"Mike"`, "lastInitial": `"K"`, "referralCode": `"MIKEKEENERSON"`})
	for _, path := range []string{"/code/NOBODY", "/open/code/NOBODY", "/open/user?referralCode=NOBODY", "/user?referralCode=NOBODY", "/open/code/%00"} {
		s.refused(http.MethodGet, path, "", http.StatusNotFound, "REFERRAL_CODE_NOT_FOUND", "RS034")
	}
	s.refused(http.MethodGet, "/open/user", "", http.StatusBadRequest, "VALIDATION_FAILED", "RS034")
}

func TestWhoComesByACodeIsReferredOnce(t *testing.T) {
	s := mustSite(t)
	mike, anna := s.mustUser("mike", "Mike", "Keenerson"), s.mustUser("anna", "Anna", "Adams")
	shown := s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"referredBy":{"code":"`+mike+`"},"referredByCodes":["`+mike+`"]}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referredBy.code": `"MIKEKEENERSON"`, "referredBy.isConverted": "false", "referredBy.newlyReferred": "true", "referredByCodes": `["MIKEKEENERSON"]`})
	apply := func(code, who string) string { return "/open/code/" + code + userPath(who, who) }
	s.mustUser("carl", "Carl", "Carlson")
	shown = s.call(http.MethodPost, apply(mike, "carl"), "", http.StatusOK)
	s.wantAt(shown, map[string]string{"code": `"MIKEKEENERSON"`, "reward.discountPercent": "10"})
	s.call(http.MethodPost, apply(mike, "carl"), "", http.StatusOK)
	before := s.state()
	for _, c := range []struct {
		method, path, body string
		status             int
		code, rs           string
	}{
		{http.MethodPost, apply("NOBODY", "carl"), "", 404, "REFERRAL_CODE_NOT_FOUND", "RS034"},
		{http.MethodPost, apply(mike, "nobody"), "", 404, "USER_NOT_FOUND", "RS042"},
		{http.MethodPost, apply(mike, "mike"), "", 400, "SELF_REFERRAL", "RS034"},
		{http.MethodPost, apply(anna, "carl"), "", 400, "ALREADY_REFERRED", ""},
		{http.MethodPut, "/open" + userPath("new", "new"), `{"referredBy":{"code":"NOBODY"}}`, 400, "REFERRAL_CODE_NOT_FOUND", "RS034"},
		{http.MethodPut, "/open" + userPath("mike", "mike"), `{"referredByCodes":["MIKEKEENERSON"]}`, 400, "SELF_REFERRAL", "RS034"},
		{http.MethodPut, "/open" + userPath("bob", "bob"), `{"referredBy":{"code":"` + anna + `"},"firstName":"Robert"}`, 400, "ALREADY_REFERRED", ""},
	} {
		s.refused(c.method, c.path, c.body, c.status, c.code, c.rs)
	}
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
	shown = s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"referredBy":{"code":"`+mike+`","isConverted":true}}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referredBy.isConverted": "true"})
	s.refused(http.MethodPost, apply(anna, "bob"), "", http.StatusBadRequest, "ALREADY_CONVERTED", "")
}

func TestTheClientsCookieRefersWhoeverItKnows(t *testing.T) {
	s := mustSite(t)
	s.mustUser("mike", "Mike", "Keenerson")
	cookie := clientCookie(t, "acme", map[string]int64{"NOBODY": 9999999999, "MIKEKEENERSON": 9999999990, "OLD": 1})
	shown := s.callAs(nil, http.MethodGet, "/a/acme/widgets/squatchcookiejson?cookies="+cookie, "", http.StatusOK)
	s.wantAt(shown, map[string]string{"codes": `["MIKEKEENERSON"]`})
	shown = s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"cookies":"`+cookie+`"}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referredBy.code": `"MIKEKEENERSON"`})
	for _, bad := range []string{"", "!", "e30", clientCookie(t, "other", map[string]int64{"MIKEKEENERSON": 9999999990}), strings.Repeat("A", 20000)} {
		shown := s.callAs(nil, http.MethodGet, "/a/acme/widgets/squatchcookiejson?cookies="+url.QueryEscape(bad), "", http.StatusOK)
		s.wantAt(shown, map[string]string{"codes": "[]"})
	}
	shown = s.call(http.MethodPut, "/open"+userPath("carl", "carl"), `{"cookies":"!"}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"referredBy": "null"})
}

func TestWhatAShareLinkLeftInTheBrowserRefersItsUser(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	left := attribution.Cookie{}.Visit(code.Fold(mike), time.Now())
	browser := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "gv", Value: left.Value()}) }
	shown := s.callAs(browser, http.MethodGet, "/a/acme/widgets/squatchcookiejson", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"codes": `["MIKEKEENERSON"]`})
	token := userToken(s.token("bob", nil))
	both := func(r *http.Request) { browser(r); token(r) }
	shown = s.callAs(both, http.MethodPut, "/widget"+userPath("bob", "bob")+"/upsert", "{}", http.StatusOK)
	s.wantAt(shown, map[string]string{"user.referredBy.code": `"MIKEKEENERSON"`})
	key := password(s.key)
	server := func(r *http.Request) { browser(r); key(r) }
	shown = s.callAs(server, http.MethodPut, "/open"+userPath("carl", "carl"), "{}", http.StatusOK)
	s.wantAt(shown, map[string]string{"referredBy": "null"})
}
