package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// referral returns the id of the latest referral.
func (s *site) referral() string {
	s.t.Helper()
	var list struct{ Referrals []struct{ ID string } }
	s.mustDecode([]byte(s.must(http.MethodGet, "/referrals", "").text), &list)
	if len(list.Referrals) == 0 {
		s.t.Fatal("there is no referral")
	}
	return list.Referrals[0].ID
}

// state is all that the API shows of what the site holds.
func (s *site) state() map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	for _, list := range []string{"people", "referrals", "rewards", "facts", "events"} {
		all[list] = s.mustGet("/v1/" + list + "?limit=100")
	}
	for _, list := range []string{"/users", "/referrals", "/reward?accountId=susy-inc", "/reward/balance?accountId=susy-inc", "/export/history/list"} {
		all[list] = s.must(http.MethodGet, list, "").text
	}
	return all
}

// mustCompany is a site where mike has referred susy, who has bought something and has
// twenty dollars; otto was referred by nobody.
func mustCompany(t testing.TB, url, alias string) (*site, string) {
	t.Helper()
	s := mustSite(t, url, alias)
	s.mustListen()
	mikes := s.mustUser("mike", `{"firstName":"Mike"}`)
	s.mustUser("susy", `{"firstName":"Susy","referredBy":{"code":"`+mikes+`"}}`)
	s.mustBuy("susy")
	s.mustUser("otto", `{"firstName":"Otto"}`)
	return s, mikes
}

// attempt is a call that is refused.
type attempt struct {
	name         string
	by           auth
	method, path string
	body         string
	status       int
	code         string
}

// wantRefused makes calls, demands SaaSquatch's own errors, and that nothing that the
// sites hold has changed, nor been told.
func wantRefused(t *testing.T, s *site, attempts []attempt, also ...*site) {
	t.Helper()
	sites := append([]*site{s}, also...)
	var before []map[string]string
	for _, each := range sites {
		each.mustHear("saasquatch", nil)
		before = append(before, each.state())
	}
	for _, a := range attempts {
		got := s.call(a.by, a.method, a.path, a.body)
		var shown struct {
			Message, APIErrorCode string
			StatusCode            int
		}
		if err := json.Unmarshal([]byte(got.text), &shown); err != nil || got.status != a.status || shown.StatusCode != a.status ||
			shown.APIErrorCode != a.code || shown.Message == "" {
			t.Errorf("%s: got %d %s, want %d %s", a.name, got.status, got.text, a.status, a.code)
		}
	}
	for i, each := range sites {
		if diff := cmp.Diff(before[i], each.state()); diff != "" {
			t.Errorf("what was refused has changed %s (-before +after):\n%s", each.alias, diff)
		}
	}
}

func TestWhatCannotBeDoneIsRefusedAsSaaSquatchDoesAndLeavesNothingOnPostgresToo(t *testing.T) {
	s, mikes := mustCompany(t, mustStartAnywhere(t).URL(), "acme")
	ottos := s.must(http.MethodGet, "/open"+of("otto"), "").member(t, "referralCode").(string)
	key, referral, nobody := byKey(s.key), s.referral(), strings.Repeat("0", 23)+"1"
	deny := func(ids ...string) string {
		var actions []string
		for _, id := range ids {
			actions = append(actions, `{"referralId":"`+id+`","action":"DENIED"}`)
		}
		return `{"actions":[` + strings.Join(actions, ",") + `]}`
	}
	const post, put = http.MethodPost, http.MethodPut
	wantRefused(t, s, []attempt{
		{"more than the balance", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":2001}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"credit of another unit", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"points","amount":1}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"credit of somebody without", key, post, "/credit/bulkredeem", `{"accountId":"otto-inc","unit":"cents","amount":1}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"credit of nobody", key, post, "/credit/bulkredeem", `{"accountId":"nobody","unit":"cents","amount":1}`, 404, "ACCOUNT_NOT_FOUND"},
		{"nothing of the balance", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":0}`, 400, "VALIDATION_FAILED"},
		{"less than nothing of it", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":-5}`, 400, "VALIDATION_FAILED"},
		{"more than there is of any", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":1000000000000000}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"an amount that is no int64", key, post, "/credit/bulkredeem", `{"accountId":"susy-inc","unit":"cents","amount":9223372036854775808}`, 400, "VALIDATION_FAILED"},
		{"a reward that is no credit", key, post, "/credit/" + s.reward("mike", "PCT_DISCOUNT") + "/redeem", `{"unit":"%","amount":1}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"more than a reward", key, post, "/credit/" + s.reward("susy", "CREDIT") + "/redeem", `{"unit":"cents","amount":2001}`, 400, "INVALD_REWARD_REDEMPTION"},
		{"a reward of nobody's", key, post, "/credit/" + nobody + "/redeem", `{"unit":"cents","amount":1}`, 404, "REWARD_NOT_FOUND"},
		{"cancelling what is not there", key, post, "/reward/" + nobody + "/cancel", "", 404, "REWARD_NOT_FOUND"},
		{"a referral after the conversion", key, post, "/open/code/" + ottos + of("susy"), "", 400, "ALREADY_CONVERTED"},
		{"the same in a user", key, put, "/open" + of("susy"), `{"firstName":"Sus","referredBy":{"code":"` + ottos + `"}}`, 400, "ALREADY_CONVERTED"},
		{"the own code", key, post, "/open/code/" + mikes + of("mike"), "", 400, "SELF_REFERRAL"},
		{"the own code in a user", key, put, "/open" + of("mike"), `{"firstName":"M","referredBy":{"code":"` + mikes + `"}}`, 400, "SELF_REFERRAL"},
		{"a code of nobody's", key, post, "/open/code/NOBODYS" + of("otto"), "", 404, "REFERRAL_CODE_NOT_FOUND"},
		{"a code of nobody's in a user", key, put, "/open" + of("new"), `{"referredBy":{"code":"NOBODYS"}}`, 400, "REFERRAL_CODE_NOT_FOUND"},
		{"a good code and one of nobody's", key, put, "/open" + of("new"), `{"referredByCodes":["` + mikes + `","NOBODYS"]}`, 400, "REFERRAL_CODE_NOT_FOUND"},
		{"a code that is taken", key, put, "/open" + of("new"), `{"referralCode":"` + mikes + `"}`, 400, "REFERRAL_CODE_TAKEN"},
		{"a user that is there", key, post, "/open" + of("mike"), `{}`, 400, "USER_ALREADY_EXISTS"},
		{"an account by a code of nobody's", key, post, "/accountsync", `{"id":"otto-inc","subscription":{"status":"PAID"},"referral":{"code":"NOBODYS"}}`, 400, "REFERRAL_CODE_NOT_FOUND"},
		{"events of nobody", key, post, "/open" + of("nobody") + "/events", `{"events":[{"key":"purchase"}]}`, 404, "USER_NOT_FOUND"},
		{"a good event and a bad one", key, post, "/open" + of("otto") + "/events", `{"events":[{"key":"purchase"},{"key":"two words"}]}`, 400, "VALIDATION_FAILED"},
		{"moderating a good one and nobody's", key, post, "/referrals/moderate", deny(referral, nobody), 404, "REFERRAL_NOT_FOUND"},
		{"moderating nothing", key, post, "/referrals/moderate", `{"actions":[]}`, 400, "VALIDATION_FAILED"},
		{"an unknown decision", key, post, "/referrals/moderate", `{"actions":[{"referralId":"` + referral + `","action":"MAYBE"}]}`, 400, "VALIDATION_FAILED"},
		{"an export of what there is not", key, post, "/export", `{"type":"SECRETS","format":"CSV"}`, 400, "VALIDATION_FAILED"},
		{"half a body", key, put, "/open" + of("otto"), `{"firstName":"O`, 400, "BAD_REQUEST"},
	})
}

// reward returns the id of a reward of a user's that is of a type.
func (s *site) reward(user, of string) string {
	s.t.Helper()
	var list []struct{ ID string }
	s.mustDecode([]byte(s.must(http.MethodGet, "/reward?accountId="+user+"-inc&rewardTypeFilter="+of, "").text), &list)
	if len(list) == 0 {
		s.t.Fatalf("%s has no %s", user, of)
	}
	return list[0].ID
}

func TestAnothersThingsAreNotThereAndItsKeysOpenNothingOnPostgresToo(t *testing.T) {
	url := mustStartAnywhere(t).URL()
	s, _ := mustCompany(t, url, "acme")
	other, code := mustCompany(t, url, "other")
	other.must(http.MethodPost, "/export", `{"type":"USER","format":"CSV"}`)
	export := other.must(http.MethodGet, "/export/history/list", "").member(t, "data").([]any)[0].(map[string]any)["id"].(string)
	other.mustHear("saasquatch", map[string]int{"export.completed": 1})
	key, foreign := byKey(s.key), byKey(other.key)
	const get, post = http.MethodGet, http.MethodPost
	reward := other.reward("susy", "CREDIT")
	wantRefused(t, s, []attempt{
		{"its referral", key, get, "/referrals/" + other.referral(), "", 404, "REFERRAL_NOT_FOUND"},
		{"moderating it", key, post, "/referrals/moderate", `{"actions":[{"referralId":"` + other.referral() + `","action":"DENIED"}]}`, 404, "REFERRAL_NOT_FOUND"},
		{"its reward", key, get, "/reward/" + reward, "", 404, "REWARD_NOT_FOUND"},
		{"redeeming it", key, post, "/credit/" + reward + "/redeem", `{"unit":"cents","amount":1}`, 404, "REWARD_NOT_FOUND"},
		{"cancelling it", key, post, "/reward/" + reward + "/cancel", "", 404, "REWARD_NOT_FOUND"},
		{"its export", key, get, "/export/" + export, "", 404, "NOT_FOUND"},
		{"its export's file", key, get, "/export/" + export + "/download", "", 404, "NOT_FOUND"},
		{"our tenant by its key", foreign, get, "/users", "", 401, "UNAUTHORIZED"},
		{"changing ours by its key", foreign, http.MethodPut, "/open" + of("mike"), `{"firstName":"Eve"}`, 401, "UNAUTHORIZED"},
		{"deleting ours by its key", foreign, http.MethodDelete, "/open" + of("mike"), "", 401, "UNAUTHORIZED"},
		{"ours by a native key", byKey(s.native), get, "/users", "", 401, "UNAUTHORIZED"},
		{"ours by no key", func(*http.Request) {}, get, "/users", "", 401, "UNAUTHORIZED"},
	}, other)
	// Codes are a tenant's own: the same text is another one's here.
	if got := s.must(get, "/user?referralCode="+code, "").member(t, "accountId"); got != "mike-inc" {
		t.Errorf("the code is %v's", got)
	}
}

// token is a JWT that says alg and is signed with HS256.
func token(alg, key string, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"`+alg+`","typ":"JWT"}`)) + "." + encode(payload)
	if alg == "none" {
		return text + "."
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

func TestATokenThatIsNotTheTenantsOrTheUsersOpensNothingOnPostgresToo(t *testing.T) {
	url := mustStartAnywhere(t).URL()
	s, mikes := mustCompany(t, url, "acme")
	other := mustSite(t, url, "other")
	says := func(user string, until time.Duration) map[string]any {
		return map[string]any{"user": map[string]any{"id": user, "accountId": user + "-inc"}, "exp": time.Now().Add(until).Unix()}
	}
	good := says("otto", time.Hour)
	var attempts []attempt
	for name, c := range map[string]struct {
		token  string
		status int
		code   string
	}{
		"unsigned":           {token("none", "", good), 401, "INVALID_TOKEN"},
		"by a wrong key":     {token("HS256", "hunter2hunter2hunter2hunter2hunter2", good), 401, "INVALID_TOKEN"},
		"by no key":          {token("HS256", "", good), 401, "INVALID_TOKEN"},
		"by another's key":   {token("HS256", other.key, good), 401, "INVALID_TOKEN"},
		"by a native key":    {token("HS256", s.native, good), 401, "INVALID_TOKEN"},
		"of another's alg":   {token("RS256", s.key, good), 401, "INVALID_TOKEN"},
		"that has expired":   {token("HS256", s.key, says("otto", -time.Hour)), 401, "INVALID_TOKEN"},
		"that is no token":   {"hunter2", 401, "INVALID_TOKEN"},
		"of another tenant":  {token("HS256", s.key, map[string]any{"sub": "otto-inc:otto@other:users"}), 401, "INVALID_TOKEN"},
		"of another user":    {token("HS256", s.key, says("mike", time.Hour)), 403, "FORBIDDEN"},
		"of an account only": {token("HS256", s.key, map[string]any{"user": map[string]any{"accountId": "otto-inc"}}), 401, "INVALID_TOKEN"},
	} {
		by := byToken(c.token)
		attempts = append(attempts, []attempt{
			{"reading by one " + name, by, http.MethodGet, "/open" + of("otto"), "", c.status, c.code},
			{"changing by one " + name, by, http.MethodPut, "/open" + of("otto"), `{}`, c.status, c.code},
			{"events by one " + name, by, http.MethodPost, "/open" + of("otto") + "/events", `{"events":[{"key":"purchase"}]}`, c.status, c.code},
			{"a referral by one " + name, by, http.MethodPost, "/open/code/" + mikes + of("otto"), "", c.status, c.code},
			{"a widget by one " + name, by, http.MethodPut, "/widget" + of("otto") + "/upsert", `{}`, c.status, c.code},
		}...)
	}
	wantRefused(t, s, attempts)
	by := byToken(token("HS256", s.key, good))
	if got := s.call(by, http.MethodPost, "/open/code/"+mikes+of("otto"), ""); got.status != http.StatusOK {
		t.Errorf("a good token: %d %s", got.status, got.text)
	}
	wantRefused(t, s, []attempt{
		{"a list", by, http.MethodGet, "/users", "", 401, "UNAUTHORIZED"},
		{"a reward", by, http.MethodPost, "/rewards" + of("otto"), `{"type":"CREDIT","assignedCredit":1,"unit":"cents"}`, 401, "UNAUTHORIZED"},
		{"more than it says", by, http.MethodPut, "/open" + of("otto"), `{"email":"eve@example.com"}`, 403, "FORBIDDEN"},
	})
}

func TestWhatIsDoneTwiceIsDoneOnceOnPostgresToo(t *testing.T) {
	s, mikes := mustCompany(t, mustStartAnywhere(t).URL(), "acme")
	once := `{"idempotencyKey":"order-4711","events":[{"key":"purchase"}]}`
	deny := fmt.Sprintf(`{"actions":[{"referralId":%q,"action":"REFERRER_DENIED"}]}`, s.referral())
	cancel := "/reward/" + s.reward("susy", "CREDIT") + "/cancel"
	for name, c := range map[string]struct {
		path, body string
		again      int
	}{
		"a decision":     {"/referrals/moderate", deny, http.StatusOK},
		"a cancellation": {cancel, "", http.StatusOK},
		"an event":       {"/open" + of("otto") + "/events", once, http.StatusConflict},
		"a referral":     {"/open/code/" + mikes + of("otto"), "", http.StatusOK},
	} {
		s.must(http.MethodPost, c.path, c.body)
		s.mustHear("saasquatch", nil)
		before := s.state()
		if got := s.call(byKey(s.key), http.MethodPost, c.path, c.body); got.status != c.again {
			t.Errorf("%s again: %d %s", name, got.status, got.text)
		}
		if diff := cmp.Diff(before, s.state()); diff != "" {
			t.Errorf("%s has changed when it came again (-before +after):\n%s", name, diff)
		}
	}
}
