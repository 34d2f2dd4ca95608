package saasquatch_test

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// signed is a token with these claims.
func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, claims map[string]any) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// macced is a token that is signed with a key of any length, which the library refuses
// to use.
func macced(key, claims string) string {
	b64 := base64.RawURLEncoding.EncodeToString
	token := b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(token))
	return token + "." + b64(mac.Sum(nil))
}

// token is a good token of a user, with more that it says of the user.
func (s *site) token(user string, more map[string]any) string {
	s.t.Helper()
	says := map[string]any{"id": user, "accountId": user}
	maps.Copy(says, more)
	return signed(s.t, jose.HS256, []byte(s.key), map[string]any{"user": says, "exp": time.Now().Add(time.Hour).Unix()})
}

func userToken(text string) dialecttest.Auth {
	return dialecttest.Header("X-SaaSquatch-User-Token", text)
}

func TestATokenOpensItsOwnUsersCallsAndNoOthers(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.mustUser("bob", "Bob", "Testerson")
	token := s.token("bob", nil)
	subject := signed(t, jose.HS256, []byte(s.key), map[string]any{"sub": "bob:bob@acme:users"})
	for name, auth := range map[string]dialecttest.Auth{
		"in its header": userToken(token), "as a bearer": dialecttest.Bearer(token), "by its subject": userToken(subject),
	} {
		t.Run(name, func(t *testing.T) {
			own := "/open" + userPath("bob", "bob")
			s.wantAt(s.callAs(auth, http.MethodGet, own, "", http.StatusOK), map[string]string{"id": `"bob"`})
			s.callAs(auth, http.MethodGet, own+"/shareurls", "", http.StatusOK)
			s.callAs(auth, http.MethodPost, own+"/events", `{"events":[{"key":"seen"}]}`, http.StatusOK)
			s.callAs(auth, http.MethodPost, "/open/code/"+mike+userPath("bob", "bob"), "", http.StatusOK)
			s.callAs(auth, http.MethodPut, "/widget"+userPath("bob", "bob")+"/render", "", http.StatusOK)

			others := "/open" + userPath("mike", "mike")
			for _, r := range [][2]string{
				{http.MethodGet, others},
				{http.MethodPut, others},
				{http.MethodPost, others},
				{http.MethodGet, others + "/shareurls"},
				{http.MethodPost, others + "/events"},
				{http.MethodPost, "/open/code/" + mike + userPath("mike", "mike")},
				{http.MethodPut, "/widget" + userPath("mike", "mike") + "/render"},
				{http.MethodPut, "/widget" + userPath("mike", "mike") + "/upsert"},
				{http.MethodGet, "/open" + userPath("bob", "mike")},
				{http.MethodGet, "/open" + userPath("mike", "bob")},
			} {
				shown := s.callAs(auth, r[0], r[1], "{}", http.StatusForbidden)
				s.wantAt(shown, map[string]string{"apiErrorCode": `"FORBIDDEN"`})
			}
			for _, r := range [][2]string{ // of servers alone
				{http.MethodGet, userPath("bob", "bob")},
				{http.MethodGet, userPath("bob", "bob") + "/pii"},
				{http.MethodGet, "/users"},
				{http.MethodDelete, own},
				{http.MethodDelete, "/open/account/bob"},
				{http.MethodPost, userPath("bob", "bob") + "/block"},
				{http.MethodPost, "/user"},
				{http.MethodPost, "/accountsync"},
				{http.MethodGet, "/subscription"},
				{http.MethodGet, "/code/" + mike},
			} {
				shown := s.callAs(auth, r[0], r[1], "", http.StatusUnauthorized)
				s.wantAt(shown, map[string]string{"rsCode": `"RS045"`})
			}
		})
	}
}

func TestATokenThatIsNotGoodIsRefused(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	other := s.MustTenant("other")
	s.MustProgram(other, "classic", "")
	user := map[string]any{"id": "bob", "accountId": "bob"}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := s.token("bob", nil)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	claims := func(claims map[string]any) string { return signed(t, jose.HS256, []byte(s.key), claims) }
	revoked, revokedKey := s.MustNewKey(s.acme, tenant.NewKey{Dialect: "saasquatch"})
	if err := s.Tenants.RevokeKey(t.Context(), s.acme.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, native := s.MustNewKey(s.acme, tenant.NewKey{})
	before := s.state()
	for name, text := range map[string]string{
		"alg none":           b64([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"alg None":           b64([]byte(`{"alg":"None"}`)) + "." + parts[1] + "." + parts[2],
		"no signature":       parts[0] + "." + parts[1] + ".",
		"RS256":              signed(t, jose.RS256, rsaKey, map[string]any{"user": user}),
		"HS512":              signed(t, jose.HS512, []byte(s.key+s.key), map[string]any{"user": user}),
		"wrong key":          signed(t, jose.HS256, []byte("wrong-key-that-is-long-enough-to-sign"), map[string]any{"user": user}),
		"empty key":          signed(t, jose.HS256, make([]byte, 32), map[string]any{"user": user}),
		"another tenant's":   signed(t, jose.HS256, []byte(s.MustKey(other)), map[string]any{"user": user}),
		"a native key":       signed(t, jose.HS256, []byte(native), map[string]any{"user": user}),
		"a revoked key":      signed(t, jose.HS256, []byte(revokedKey), map[string]any{"user": user}),
		"another payload":    parts[0] + "." + b64([]byte(`{"user":{"id":"mike","accountId":"mike"}}`)) + "." + parts[2],
		"expired":            claims(map[string]any{"user": user, "exp": time.Now().Add(-time.Hour).Unix()}),
		"not valid yet":      claims(map[string]any{"user": user, "nbf": time.Now().Add(time.Hour).Unix()}),
		"exp is a text":      claims(map[string]any{"user": user, "exp": "tomorrow"}),
		"no user":            claims(map[string]any{"exp": time.Now().Add(time.Hour).Unix()}),
		"a user without ids": claims(map[string]any{"user": map[string]any{"email": "bob@example.com"}}),
		"a user of numbers":  claims(map[string]any{"user": map[string]any{"id": 1, "accountId": 2}}),
		"a list for a user":  claims(map[string]any{"user": []string{"bob"}}),
		"another's subject":  claims(map[string]any{"sub": "bob:bob@other:users"}),
		"colons in it":       claims(map[string]any{"sub": "bob:x:bob@acme:users"}),
		"a bare subject":     claims(map[string]any{"sub": "bob"}),
		"nothing":            "",
		"no token":           "x",
		"the key itself":     s.key,
		"JSON":               `{"payload":"e30","signature":"x","protected":"e30"}`,
		"long":               parts[0] + "." + strings.Repeat("A", 20000) + "." + parts[2],
		"four parts":         good + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range [][2]string{{http.MethodGet, "/open" + userPath("bob", "bob")}, {http.MethodPut, "/open" + userPath("new", "new")}, {http.MethodPost, "/graphql"}} {
				shown := s.callAs(userToken(text), r[0], r[1], "{}", http.StatusUnauthorized)
				if rs := shown["rsCode"]; rs != "RS032" {
					t.Errorf("%v", shown)
				}
			}
		})
	}
	s.callAs(userToken(good), http.MethodGet, "/open"+userPath("bob", "bob"), "", http.StatusOK)
	if got := s.Send(http.MethodGet, "/api/v1/other/open"+userPath("bob", "bob"), "", userToken(good)); got.Status != http.StatusUnauthorized {
		t.Errorf("at another tenant: %d %s", got.Status, got.Body)
	}
	if got := s.Send(http.MethodGet, "/api/v1/nobody/open"+userPath("bob", "bob"), "", userToken(good)); got.Status != http.StatusNotFound || !strings.Contains(got.Body, "TENANT_NOT_FOUND") {
		t.Errorf("at no tenant: %d %s", got.Status, got.Body)
	}
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
	if _, err := s.Tenants.Update(t.Context(), s.acme.ID, tenant.Patch{Dialects: &[]string{"standard"}}); err != nil {
		t.Fatal(err)
	}
	s.callAs(userToken(good), http.MethodGet, "/open"+userPath("bob", "bob"), "", http.StatusForbidden)
	s.callAs(nil, http.MethodGet, "/open/code/BOBTESTERSON", "", http.StatusForbidden)
}

func TestATokenHoldsAsLongAsTheKeyThatSignedIt(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	first, firstKey := s.MustNewKey(s.acme, tenant.NewKey{Dialect: "saasquatch", Value: "TEST_OF0TWENTY0CHARACTER"})
	token := macced(firstKey, `{"user":{"id":"bob","accountId":"bob"}}`)
	path := "/open" + userPath("bob", "bob")
	s.callAs(userToken(token), http.MethodGet, path, "", http.StatusOK)
	if _, _, err := s.Tenants.RollKey(t.Context(), s.acme.ID, first.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	s.callAs(userToken(token), http.MethodGet, path, "", http.StatusOK)
	if err := s.Tenants.RevokeKey(t.Context(), s.acme.ID, first.ID); err != nil {
		t.Fatal(err)
	}
	s.callAs(userToken(token), http.MethodGet, path, "", http.StatusUnauthorized)
}

func TestATokenIsWorthNoMoreThanTheKeyThatSignedIt(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.mustUser("bob", "Bob", "Testerson")
	own := userPath("bob", "bob")
	reads := [][3]string{
		{http.MethodGet, "/open" + own, ""},
		{http.MethodGet, "/open" + own + "/shareurls", ""},
		{http.MethodGet, "/open/referrals", ""},
		{http.MethodPut, "/widget" + own + "/render", ""},
		{http.MethodPost, "/graphql", `{"query":"{__typename}"}`},
	}
	writes := [][3]string{
		{http.MethodPut, "/open" + own, `{"locale":"de_DE"}`},
		{http.MethodPut, "/widget" + own + "/upsert", `{"locale":"de_DE"}`},
		{http.MethodPost, "/open" + own + "/events", `{"events":[{"key":"seen"}]}`},
		{http.MethodPost, "/open/code/" + mike + own, ""},
	}
	keys := []struct {
		scopes        []tenant.Scope
		reads, writes int // how many of each were answered
	}{
		{[]tenant.Scope{tenant.Read}, len(reads), 0},
		{[]tenant.Scope{tenant.Publish}, 0, len(writes)},
		{[]tenant.Scope{tenant.Manage}, 0, 0},
		{[]tenant.Scope{tenant.Publish, tenant.Read}, len(reads), len(writes)},
		{tenant.AllScopes(), len(reads), len(writes)},
	}
	texts := make([]string, len(keys)) // of all but the last, an older one in the end
	for i, k := range keys {
		texts[i] = s.MustKey(s.acme, k.scopes...)
	}
	for i, k := range keys {
		token := macced(texts[i], `{"user":{"id":"bob","accountId":"bob","locale":"de_DE"}}`)
		before := s.state()
		for _, auth := range []dialecttest.Auth{userToken(token), password(texts[i])} {
			if read, wrote := s.allowed(auth, reads), s.allowed(auth, writes); read != k.reads || wrote != k.writes {
				t.Errorf("%v: %d reads and %d writes were answered, want %d and %d", k.scopes, read, wrote, k.reads, k.writes)
			}
		}
		if k.writes == 0 && s.state() != before {
			t.Errorf("%v: what was refused left %s, before it was %s", k.scopes, s.state(), before)
		}
		s.callAs(userToken(token), http.MethodDelete, "/open"+own, "", http.StatusUnauthorized)
	}
}

// allowed makes calls and returns how many of them were answered; the others have to
// be refused with 403.
func (s *site) allowed(auth dialecttest.Auth, calls [][3]string) int {
	s.t.Helper()
	n := 0
	for _, c := range calls {
		got := s.Send(c[0], "/api/v1/acme"+c[1], c[2], auth)
		if got.Status == http.StatusOK {
			n++
			continue
		}
		wantRefused(s.t, c[0]+" "+c[1], got, http.StatusForbidden, "FORBIDDEN")
	}
	return n
}

// The newest key is known from memory and older ones are looked up.
func TestANewerKeyThatMayDoLessTakesNothingFromTheTokensOfAnOlderOne(t *testing.T) {
	s := mustSite(t)
	path := "/open" + userPath("bob", "bob")
	full := userToken(s.token("bob", nil))
	s.callAs(full, http.MethodPut, path, "{}", http.StatusOK)
	limited := s.MustKey(s.acme, tenant.Read)
	token := userToken(macced(limited, `{"user":{"id":"bob","accountId":"bob"}}`))
	s.callAs(token, http.MethodPut, path, "{}", http.StatusForbidden)
	s.callAs(full, http.MethodPut, path, "{}", http.StatusOK)
	s.MustKey(s.acme)
	s.callAs(token, http.MethodPut, path, "{}", http.StatusForbidden)
	s.callAs(token, http.MethodGet, path, "", http.StatusOK)
}

func TestAKeyThatCouldBeGuessedSignsNoTokensAndOpensEverythingElse(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	path := "/open" + userPath("bob", "bob")
	for _, text := range []string{"moved_here", "nineteen_characters"} { // the first is an older one in the end
		_, short := s.MustNewKey(s.acme, tenant.NewKey{Dialect: "saasquatch", Value: text})
		token := macced(short, `{"user":{"id":"bob","accountId":"bob"}}`)
		shown := s.callAs(userToken(token), http.MethodGet, path, "", http.StatusUnauthorized)
		s.wantAt(shown, map[string]string{"apiErrorCode": `"INVALID_TOKEN"`, "rsCode": `"RS032"`})
		s.callAs(dialecttest.Basic("", short), http.MethodGet, path, "", http.StatusOK)
	}
	_, long := s.MustNewKey(s.acme, tenant.NewKey{Dialect: "saasquatch", Value: "twenty_characters_20"})
	s.callAs(userToken(macced(long, `{"user":{"id":"bob","accountId":"bob"}}`)), http.MethodGet, path, "", http.StatusOK)
}

func TestByATokenOnlyWhatItSaysIsStored(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	path := "/open" + userPath("bob", "bob")
	full := userToken(s.token("bob", map[string]any{"firstName": "Bob", "email": "bob@example.com", "customFields": map[string]any{"b": 1, "a": "x"}}))
	shown := s.callAs(full, http.MethodPost, path,
		`{"id":"bob","firstName":"Bob","lastName":null,"customFields":{"a":"x","b":1},"locale":"de_DE","referredBy":{"code":"`+mike+`"}}`, http.StatusCreated)
	s.wantAt(shown, map[string]string{
		"firstName": `"Bob"`, "email": `"bob@example.com"`, "locale": `"de_DE"`, "referredBy.code": `"MIKEKEENERSON"`, "customFields": `{"a":"x","b":1}`,
	})
	if ip := s.call(http.MethodGet, userPath("bob", "bob"), "", http.StatusOK)["firstSeenIP"]; ip != "127.0.0.1" {
		t.Errorf("the browser's address is %v", ip)
	}
	before := s.state()
	bare := userToken(s.token("bob", nil))
	for name, body := range map[string]string{
		"another name":    `{"firstName":"Robert"}`,
		"another address": `{"email":"rob@example.com"}`,
		"custom fields":   `{"customFields":{"a":"x","b":2}}`,
		"a code":          `{"referralCode":"ROBERT"}`,
		"codes":           `{"referralCodes":{"classic":"ROBERT"}}`,
		"not referable":   `{"referable":false}`,
		"a country":       `{"countryCode":"CA"}`,
		"a picture":       `{"imageUrl":"https://example.com/x.png"}`,
		"a last name":     `{"lastName":"X"}`,
		"a conversion":    `{"referredBy":{"code":"` + mike + `","isConverted":true}}`,
	} {
		for _, auth := range []dialecttest.Auth{full, bare} {
			shown := s.callAs(auth, http.MethodPut, path, body, http.StatusForbidden)
			if shown["apiErrorCode"] != "FORBIDDEN" {
				t.Errorf("%s: %v", name, shown)
			}
		}
	}
	if s.state() != before {
		t.Errorf("what was refused left %s, before it was %s", s.state(), before)
	}
	s.callAs(bare, http.MethodPut, path, `{}`, http.StatusOK)
	s.callAs(userToken(s.token("bob", map[string]any{"email": "x"})), http.MethodPut, path, `{}`, http.StatusBadRequest)
}

func TestBrowsersOfAnyOriginMayMakeTheOpenCalls(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	path := "/api/v1/acme/open" + userPath("bob", "bob")
	origin := dialecttest.Header("Origin", "https://shop.example.com")
	allowed := func(a dialecttest.Answer) string {
		return a.Header.Get("Access-Control-Allow-Origin") + " " + a.Header.Get("Access-Control-Allow-Credentials")
	}
	const yes = "https://shop.example.com true"

	asked := s.Send(http.MethodOptions, path, "", origin, dialecttest.Header("Access-Control-Request-Method", "PUT"), dialecttest.Header("Access-Control-Request-Headers", "content-type, x-saasquatch-user-token"))
	if asked.Status != http.StatusNoContent || allowed(asked) != yes || asked.Body != "" || asked.Header.Get("Access-Control-Allow-Methods") != "PUT, POST, GET" ||
		asked.Header.Get("Access-Control-Allow-Headers") != "content-type, x-saasquatch-user-token" || asked.Header.Get("Vary") != "Origin" {
		t.Errorf("asked first: %d %v", asked.Status, asked.Header)
	}
	for name, c := range map[string]struct {
		method, path, body string
		auth               dialecttest.Auth
		status             int
		want               string
	}{
		"with a token":          {http.MethodGet, path, "", userToken(s.token("bob", nil)), 200, yes},
		"with a bad token":      {http.MethodGet, path, "", userToken("x"), 401, yes},
		"another's":             {http.MethodGet, path, "", userToken(s.token("mike", nil)), 403, yes},
		"without anything":      {http.MethodGet, path, "", nil, 401, yes},
		"what everybody may":    {http.MethodGet, "/a/acme/widgets/squatchcookiejson", "", nil, 200, yes},
		"with a key":            {http.MethodGet, path, "", password(s.key), 200, " "},
		"what servers may":      {http.MethodGet, "/api/v1/acme" + userPath("bob", "bob"), "", password(s.key), 200, " "},
		"what servers may, not": {http.MethodGet, "/api/v1/acme/users", "", nil, 401, " "},
	} {
		got := s.Send(c.method, c.path, c.body, c.auth, origin)
		if got.Status != c.status || allowed(got) != c.want {
			t.Errorf("%s: %d, allowed %q: %s", name, got.Status, allowed(got), got.Body)
		}
		if challenge := got.Header.Get("WWW-Authenticate"); got.Status == http.StatusUnauthorized && c.want == yes && challenge != "Bearer" {
			t.Errorf("%s: a browser would ask for a password: %q", name, challenge)
		}
	}
	if got := s.Send(http.MethodOptions, "/api/v1/acme/users", "", origin); got.Status != http.StatusMethodNotAllowed || allowed(got) != " " {
		t.Errorf("a server's call: %d %v", got.Status, got.Header)
	}
	if got := s.Send(http.MethodGet, path, "", userToken(s.token("bob", nil))); allowed(got) != " " {
		t.Errorf("without an origin: %v", got.Header)
	}
}

func TestAnAddressAsksWithoutAKeyOnlySoOften(t *testing.T) {
	s := mustSiteWith(t, func(o *dialect.Options) {
		o.Visits = dialect.NewVisitLimiter(dialect.Visits{CreationsADay: 2, OthersAnHour: 4})
	})
	create := func(user string) int {
		return s.Send(http.MethodPut, "/api/v1/acme/open"+userPath(user, user), "{}", userToken(s.token(user, nil))).Status
	}
	if got := []int{create("a"), create("b"), create("c")}; !slices.Equal(got, []int{200, 200, 429}) {
		t.Errorf("creations: %d", got)
	}
	if got := create("a"); got != 200 {
		t.Errorf("a change of one's own: %d", got)
	}
	var statuses []int
	for range 4 {
		statuses = append(statuses, s.Send(http.MethodGet, "/api/v1/acme/open/code/NOBODY", "").Status)
	}
	if !slices.Equal(statuses, []int{404, 404, 404, 429}) {
		t.Errorf("other calls: %d", statuses)
	}
	got := s.Send(http.MethodGet, "/api/v1/acme/open/code/NOBODY", "")
	wantError(t, got)
	if got.Header.Get("Retry-After") != "900" || !strings.Contains(got.Body, `"rsCode":"RS033"`) {
		t.Errorf("%v %s", got.Header, got.Body)
	}
	for range 6 {
		s.refused(http.MethodGet, "/open/code/NOBODY", "", http.StatusNotFound, "REFERRAL_CODE_NOT_FOUND", "RS034")
	}
	test, _, _, err := s.Tenants.Create(t.Context(), tenant.NewTenant{Alias: "test_acme"})
	if err != nil {
		t.Fatal(err)
	}
	s.MustProgram(test, "classic", "")
	for range 6 {
		if got := s.Send(http.MethodGet, "/api/v1/test_acme/open/code/NOBODY", ""); got.Status != http.StatusNotFound {
			t.Errorf("a test tenant: %d", got.Status)
		}
	}
}

func TestACallThatIsRefusedAnywayDoesNotCountAsCreating(t *testing.T) {
	s := mustSiteWith(t, func(o *dialect.Options) {
		o.Visits = dialect.NewVisitLimiter(dialect.Visits{CreationsADay: 1, OthersAnHour: 6})
	})
	s.mustUser("bob", "Bob", "Testerson")
	asEve := func(user string) int {
		return s.Send(http.MethodPut, "/api/v1/acme/open"+userPath(user, user), "{}", userToken(s.token("eve", nil))).Status
	}
	// Whether there is such a user makes no difference.
	if got := []int{asEve("none-1"), asEve("bob"), asEve("none-2"), asEve("bob")}; !slices.Equal(got, []int{403, 403, 403, 403}) {
		t.Errorf("others' users: %d", got)
	}
	if got := asEve("eve"); got != http.StatusOK {
		t.Errorf("her own: %d", got)
	}
	if got := []int{asEve("none-3"), asEve("bob"), asEve("none-4"), asEve("bob")}; !slices.Equal(got, []int{403, 403, 429, 429}) {
		t.Errorf("beyond the limit: %d", got)
	}
}

func TestAnAddressTriesKeysTokensAndTenantsOnlySoOftenAndIsLetInAllTheSame(t *testing.T) {
	s := mustSiteWith(t, func(o *dialect.Options) {
		o.Visits = dialect.NewVisitLimiter(dialect.Visits{CreationsADay: 50, OthersAnHour: 4})
	})
	s.mustUser("bob", "Bob", "Testerson")
	own := "/api/v1/acme/open" + userPath("bob", "bob")
	bad := []func() dialecttest.Answer{
		func() dialecttest.Answer { return s.Send(http.MethodGet, own, "", userToken("x.y.z")) },
		func() dialecttest.Answer {
			return s.Send(http.MethodGet, own, "", dialecttest.Basic("", "gvsq_live_none"))
		},
		func() dialecttest.Answer { return s.Send(http.MethodGet, "/api/v1/nobody/open/code/X", "") },
		func() dialecttest.Answer { return s.Send(http.MethodGet, own, "") },
	}
	var statuses []int
	for _, try := range slices.Concat(bad, bad) {
		statuses = append(statuses, try().Status)
	}
	if want := []int{401, 401, 404, 401, 429, 429, 429, 429}; !slices.Equal(statuses, want) {
		t.Errorf("they are answered %d, want %d", statuses, want)
	}
	got := bad[0]()
	wantError(t, got)
	if got.Header.Get("Retry-After") != "900" || !strings.Contains(got.Body, `"rsCode":"RS033"`) {
		t.Errorf("%v %s", got.Header, got.Body)
	}
	if got := s.Send(http.MethodGet, own, "", userToken(s.token("bob", nil))); got.Status != http.StatusOK {
		t.Errorf("a good token: %d %s", got.Status, got.Body)
	}
	s.call(http.MethodGet, "/open"+userPath("bob", "bob"), "", http.StatusOK)
	if got := s.Send(http.MethodGet, "/api/v1/acme/users", "", dialecttest.Basic("", "gvsq_live_none")); got.Status != http.StatusUnauthorized {
		t.Errorf("a server's call with a bad key: %d", got.Status)
	}
}
