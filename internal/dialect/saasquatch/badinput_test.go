package saasquatch_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// calls are all calls about users, with a body that is good; MIKE and BOB are users,
// and CODE is MIKE's.
var calls = []struct {
	method, path, body string
	access             string // "key", "person", "anybody"
	status             int
}{
	{http.MethodPost, "/accountsync", `{"id":"bob","subscription":{"status":"FREE"}}`, "key", 200},
	{http.MethodGet, "/account/bob", "", "key", 200},
	{http.MethodPost, "/user", `{"id":"new1","accountId":"new1"}`, "key", 200},
	{http.MethodGet, "/user?referralCode=CODE", "", "key", 200},
	{http.MethodGet, "/users", "", "key", 200},
	{http.MethodGet, "/account/bob/user/bob", "", "key", 200},
	{http.MethodGet, "/account/bob/user/bob/pii", "", "key", 200},
	{http.MethodPost, "/account/bob/user/bob/block", "", "key", 200},
	{http.MethodPost, "/account/bob/user/bob/unblock", "", "key", 200},
	{http.MethodGet, "/account/bob/user/bob/sharelinks", "", "key", 200},
	{http.MethodGet, "/account/bob/user/bob/shareurls", "", "key", 200},
	{http.MethodGet, "/code/CODE", "", "key", 200},
	{http.MethodPut, "/open/account/bob/user/bob", `{}`, "person", 200},
	{http.MethodPost, "/open/account/new2/user/new2", `{}`, "person", 201},
	{http.MethodGet, "/open/account/bob/user/bob", "", "person", 200},
	{http.MethodGet, "/open/account/bob/user/bob/shareurls", "", "person", 200},
	{http.MethodPost, "/open/account/bob/user/bob/events", `{"events":[{"key":"seen"}]}`, "person", 200},
	{http.MethodPost, "/open/code/CODE/account/bob/user/bob", "", "person", 200},
	{http.MethodPut, "/widget/account/bob/user/bob/upsert", `{}`, "person", 200},
	{http.MethodPut, "/widget/account/bob/user/bob/render", "", "person", 200},
	{http.MethodPost, "/graphql", `{"query":"query { __typename }"}`, "person", 200},
	{http.MethodGet, "/open/user?referralCode=CODE", "", "anybody", 200},
	{http.MethodGet, "/open/code/CODE", "", "anybody", 200},
	{http.MethodGet, "/a/acme/widgets/squatchcookiejson", "", "anybody", 200},
	{http.MethodPost, "/a/acme/widgets/analytics/loaded?externalAccountId=a&externalUserId=u", "{}", "anybody", 204},
	{http.MethodPost, "/a/acme/widgets/analytics/shared?externalAccountId=a&externalUserId=u", "{}", "anybody", 204},
	{http.MethodDelete, "/open/account/bob/user/bob", "", "key", 204},
	{http.MethodDelete, "/open/account/mike", "", "key", 204},
}

// withCode puts a code into a path.
func withCode(path, code string) string { return strings.Replace(path, "CODE", code, 1) }

func TestEveryCallAsksForWhoMayMakeIt(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.mustUser("bob", "Bob", "Testerson")
	other := s.MustTenant("other")
	s.MustProgram(other, "classic", "")
	before := s.state()
	_, native := s.MustNewKey(s.acme, tenant.NewKey{})
	_, rehook := s.MustNewKey(s.acme, tenant.NewKey{Dialect: "rehook"})
	for _, c := range calls {
		path := withCode(c.path, mike)
		for name, key := range map[string]string{"a foreign tenant's key": s.MustKey(other), "a native key": native, "another product's": rehook, "a wrong key": "wrong_key_0123456789"} {
			if shown := s.callAs(password(key), c.method, path, c.body, http.StatusUnauthorized); shown["rsCode"] != "RS045" {
				t.Errorf("%s %s with %s: %v", c.method, path, name, shown)
			}
		}
		if c.access != "anybody" {
			s.callAs(nil, c.method, path, c.body, http.StatusUnauthorized)
		}
		if c.access == "key" {
			s.callAs(userToken(s.token("bob", nil)), c.method, path, c.body, http.StatusUnauthorized)
		}
	}
	for _, c := range calls { // a key without the scope
		if c.access == "anybody" {
			continue
		}
		scope := tenant.Read
		if c.method == http.MethodGet || strings.HasSuffix(c.path, "/render") || c.path == "/graphql" {
			scope = tenant.Manage
		}
		s.callAs(password(s.MustKey(s.acme, scope)), c.method, withCode(c.path, mike), c.body, http.StatusForbidden)
	}
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
	for _, c := range calls {
		s.call(c.method, withCode(c.path, mike), c.body, c.status)
	}
}

func TestBodiesThatAreNotGoodChangeNothing(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.mustUser("bob", "Bob", "Testerson")
	before, tracked := s.state(), s.activities("bob")
	for _, c := range calls {
		if !strings.HasPrefix(c.body, "{") || c.access == "anybody" {
			continue
		}
		for name, body := range map[string]string{
			"none": "", "a list": "[]", "a text": `"x"`, "null": "null", "cut off": strings.TrimSuffix(c.body, "}"), "two": c.body + c.body,
			"not UTF-8": "{\"id\":\"\xff\"}", "long": `{"id":"` + strings.Repeat("x", 300<<10) + `"}`,
		} {
			got := s.Send(c.method, "/api/v1/acme"+withCode(c.path, mike), body, password(s.key))
			if got.Status != http.StatusBadRequest && got.Status != http.StatusRequestEntityTooLarge {
				t.Errorf("%s %s with %s: %d %s", c.method, c.path, name, got.Status, got.Body)
				continue
			}
			wantError(t, got)
		}
		gzip := s.Send(c.method, "/api/v1/acme"+withCode(c.path, mike), c.body, password(s.key), dialecttest.Header("Content-Encoding", "gzip"))
		if gzip.Status != http.StatusUnsupportedMediaType || !strings.Contains(gzip.Body, "RS046") {
			t.Errorf("%s %s compressed: %d %s", c.method, c.path, gzip.Status, gzip.Body)
		}
	}
	if s.state() != before || s.activities("bob") != tracked {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
}

func TestFieldsThatAreNotGoodAreNamedAndNothingIsStored(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	before, tracked := s.state(), s.activities("bob")
	long := strings.Repeat("x", 600)
	for _, c := range []struct{ body, field, rs string }{
		{`{"id":7}`, "id", "RS043"},
		{`{"id":"other"}`, "id", "RS043"},
		{`{"accountId":"other"}`, "accountId", "RS044"},
		{`{"accountId":{}}`, "accountId", "RS044"},
		{`{"email":7}`, "email", "RS023"},
		{`{"email":"not an address"}`, "email", "RS023"},
		{`{"email":"@"}`, "email", "RS023"},
		{`{"firstName":["x"]}`, "firstName", ""},
		{`{"firstName":"` + long + `"}`, "firstName", ""},
		{`{"lastName":"a\u0000b"}`, "lastName", ""},
		{`{"locale":"English"}`, "locale", "RS039"},
		{`{"locale":1}`, "locale", "RS039"},
		{`{"countryCode":"USA"}`, "countryCode", ""},
		{`{"imageUrl":"javascript:alert(1)"}`, "imageUrl", ""},
		{`{"referable":"yes"}`, "referable", ""},
		{`{"customFields":[]}`, "customFields", ""},
		{`{"customFields":"x"}`, "customFields", ""},
		{`{"customFields":{"a":"` + strings.Repeat("x", 20000) + `"}}`, "customFields", ""},
		{`{"referralCode":5}`, "referralCode", "RS034"},
		{`{"referralCode":"a b/c"}`, "referralCode", "RS034"},
		{`{"referralCode":"` + long + `"}`, "referralCode", "RS034"},
		{`{"referralCodes":["x"]}`, "referralCodes", "RS034"},
		{`{"referralCodes":{"classic":1}}`, "referralCodes", "RS034"},
		{`{"referredBy":"CODE"}`, "referredBy", ""},
		{`{"referredBy":{"code":1}}`, "referredBy.code", "RS034"},
		{`{"referredBy":{"isConverted":"yes"}}`, "referredBy.isConverted", ""},
		{`{"referredByCodes":"CODE"}`, "referredByCodes", ""},
		{`{"referredByCodes":["` + strings.Repeat(`A","`, 30) + `B"]}`, "referredByCodes", ""},
		{`{"cookies":{}}`, "cookies", "RS052"},
	} {
		for _, path := range []string{"/open" + userPath("bob", "bob"), "/open" + userPath("new", "new"), "/widget" + userPath("new", "new") + "/upsert"} {
			shown := s.call(http.MethodPut, path, c.body, http.StatusBadRequest)
			message, _ := shown["message"].(string)
			rs, _ := shown["rsCode"].(string)
			if shown["apiErrorCode"] != "VALIDATION_FAILED" || !strings.Contains(message, c.field) || rs != c.rs {
				t.Errorf("%.80s: %v", c.body, shown)
			}
		}
	}
	events := "/open" + userPath("bob", "bob") + "/events"
	for _, c := range []struct{ body, field string }{
		{`{}`, "events"},
		{`{"events":{}}`, "events"},
		{`{"events":[]}`, "events"},
		{`{"events":["purchase"]}`, "events"},
		{`{"events":[{}]}`, "events[0].key"},
		{`{"events":[{"key":1}]}`, "events.key"},
		{`{"events":[{"key":"seen"},{"key":"two words"}]}`, "events[1].key"},
		{`{"events":[{"key":"seen","fields":[]}]}`, "events[0].fields"},
		{`{"events":[{"key":"seen","fields":{"a":"\u0000"}}]}`, "events[0].fields"},
		{`{"events":[{"key":"seen","fields":{"a":"` + strings.Repeat("x", 70<<10) + `"}}]}`, "events[0].fields"},
		{`{"events":[{"key":"seen","dateTriggered":"now"}]}`, "dateTriggered"},
		{`{"events":[{"key":"seen","dateTriggered":1e18}]}`, "events[0].dateTriggered"},
		{`{"events":[{"key":"seen","dateTriggered":-1}]}`, "events[0].dateTriggered"},
		{`{"events":[{"key":"seen","dateTriggered":253402300799999}]}`, "events[0].dateTriggered"},
		{`{"events":[{"key":"seen","id":"x"}]}`, "events[0].id"},
		{`{"idempotencyKey":"short","events":[{"key":"seen"}]}`, "idempotencyKey"},
		{`{"idempotencyKey":"with spaces","events":[{"key":"seen"}]}`, "idempotencyKey"},
		{`{"idempotencyKey":"` + long + `","events":[{"key":"seen"}]}`, "idempotencyKey"},
		{`{"userId":"mike","events":[{"key":"seen"}]}`, "userId"},
		{`{"accountId":"mike","events":[{"key":"seen"}]}`, "accountId"},
		{`{"events":[` + strings.Repeat(`{"key":"seen"},`, 100) + `{"key":"seen"}]}`, "events"},
	} {
		shown := s.call(http.MethodPost, events, c.body, http.StatusBadRequest)
		if message, _ := shown["message"].(string); !strings.Contains(message, c.field) {
			t.Errorf("%.80s: %v", c.body, shown)
		}
	}
	s.refused(http.MethodPost, "/open"+userPath("bob", "nobody")+"/events", `{"events":[{"key":"seen"}]}`, http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	for _, query := range []string{"?fields=firstName&extraFields=emailHash", "?fields=hunter2", "?extraFields=hunter2"} {
		s.refused(http.MethodPut, "/open"+userPath("new", "new")+query, "{}", http.StatusBadRequest, "VALIDATION_FAILED", "")
		s.refused(http.MethodGet, "/open"+userPath("bob", "bob")+query, "", http.StatusBadRequest, "VALIDATION_FAILED", "")
	}
	for _, path := range []string{userPath(long, long), userPath("a\x00", "b")} {
		s.call(http.MethodPut, "/open"+path, "{}", http.StatusBadRequest)
		s.refused(http.MethodGet, path, "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	}
	if s.state() != before || s.activities("bob") != tracked {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
}
