package saasquatch_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

// giveAndGet gives the referrer 20 and the friend 10 % when the friend buys.
const giveAndGet = `[
	{"key":"advocate","on":"purchase","actor":"referred","to":"referrer","once":true,"convert":true,
	 "give":{"kind":"credit","amount":2000,"unit":"cents"}},
	{"key":"friend","on":"purchase","actor":"referred","to":"referred","once":true,
	 "give":{"kind":"percent","amount":1000}}
]`

const baseURL = "https://go.example.com"

// site is a tenant with a program and a key.
type site struct {
	*dialecttest.World

	t    *testing.T
	acme tenant.Tenant
	key  string
}

// visits reads the cookie that tests put on requests for what share links leave.
func visits(r *http.Request, _ tenant.Tenant) attribution.Cookie {
	kept, err := r.Cookie("gv")
	if err != nil {
		return attribution.Cookie{}
	}
	return attribution.ParseCookie(kept.Value)
}

func mustSite(t *testing.T) *site {
	t.Helper()
	return mustSiteWith(t, nil)
}

func mustSiteWith(t *testing.T, change func(*dialect.Options)) *site {
	t.Helper()
	w := dialecttest.NewProgramWorld(t, func(w *dialecttest.World) dialect.API {
		return saasquatch.New(saasquatch.Services{
			Tenants: w.Tenants, Webhooks: w.Webhooks, Programs: w.Programs, Referrals: w.Referrals, BaseURL: baseURL + "/", Visits: visits,
		})
	}, change)
	s := &site{World: w, t: t, acme: w.MustTenant("acme")}
	s.key = w.MustKey(s.acme)
	w.MustProgram(s.acme, "classic", giveAndGet)
	return s
}

// call makes a request with the key, below the tenant's root, and returns the JSON of
// the answer, which has to have the status.
func (s *site) call(method, path, body string, status int) map[string]any {
	s.t.Helper()
	return s.callAs(password(s.key), method, path, body, status)
}

func (s *site) callAs(auth dialecttest.Auth, method, path, body string, status int) map[string]any {
	s.t.Helper()
	if !strings.HasPrefix(path, "/a/") {
		path = "/api/v1/acme" + path
	}
	got := s.Send(method, path, body, auth)
	if got.Status != status {
		s.t.Errorf("%s %s: %d %s, want %d", method, path, got.Status, got.Body, status)
	}
	if status >= 400 {
		wantError(s.t, got)
	}
	shown := map[string]any{}
	if got.Body != "" {
		if err := json.Unmarshal([]byte(got.Body), &shown); err != nil {
			s.t.Errorf("%s %s: %v: %s", method, path, err, got.Body)
		}
	}
	return shown
}

// refused demands a refusal with a code and a number of the vendor's; "": none.
func (s *site) refused(method, path, body string, status int, code, rs string) {
	s.t.Helper()
	shown := s.call(method, path, body, status)
	number, _ := shown["rsCode"].(string)
	if shown["apiErrorCode"] != code || number != rs {
		s.t.Errorf("%s %s: %v %q, want %s %q", method, path, shown["apiErrorCode"], number, code, rs)
	}
}

// at returns what stands at a path of names.
func at(of map[string]any, path string) any {
	var value any = of
	for name := range strings.SplitSeq(path, ".") {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// wantAt demands values at paths, as JSON.
func (s *site) wantAt(of map[string]any, want map[string]string) {
	s.t.Helper()
	for path, value := range want {
		if got, _ := json.Marshal(at(of, path)); string(got) != value {
			s.t.Errorf("%s is %s, want %s", path, got, value)
		}
	}
}

func userPath(account, user string) string {
	return "/account/" + url.PathEscape(account) + "/user/" + url.PathEscape(user)
}

// mustUser stores a user whose account is called as it is, and returns its code.
func (s *site) mustUser(id, first, last string) string {
	s.t.Helper()
	shown := s.call(http.MethodPut, "/open"+userPath(id, id), fmt.Sprintf(`{"id":%q,"accountId":%q,"firstName":%q,"lastName":%q}`, id, id, first, last), http.StatusOK)
	code, _ := shown["referralCode"].(string)
	return code
}

// state is what there is in all: people, and what was told and tracked of them.
func (s *site) state() string {
	s.t.Helper()
	people, n, err := s.Referrals.People(s.t.Context(), s.acme.ID, referral.Query{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	text := fmt.Sprint(n)
	for _, p := range people {
		text += fmt.Sprintf("; %s %s v%d %v %d", p.Key, p.Account, p.Version, p.Codes, len(p.Referrals))
		for _, r := range p.Referrals {
			text += fmt.Sprintf(" %s v%d", r.State, r.Version)
		}
	}
	return text
}

func keysOf(t *testing.T, text string) []string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	var keys []string
	depth := 0
	for {
		tok, err := dec.Token()
		if err != nil {
			return keys
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			continue
		}
		if key, ok := tok.(string); ok && depth == 1 && !slices.Contains(keys, key) {
			keys = append(keys, key)
			var value json.RawMessage
			if err := dec.Decode(&value); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// clientCookie is what the vendor's client keeps, with the times until which codes
// count.
func clientCookie(t *testing.T, alias string, until map[string]int64) string {
	t.Helper()
	codes := map[string]string{}
	for code := range until {
		codes["program-"+code] = code
	}
	raw, err := json.Marshal(map[string]any{"app.referralsaasquatch.com": map[string]any{alias + "_CODE": map[string]any{"codes": codes, "codesExp": until}}})
	if err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// activities is how many activities a user has.
func (s *site) activities(user string) int {
	s.t.Helper()
	p, err := s.Referrals.Person(s.t.Context(), s.acme.ID, person.Identity{Scheme: "saasquatch", Key: user + "/" + user})
	if err != nil {
		s.t.Fatal(err)
	}
	n := 0
	err = s.Database.Read(s.t.Context(), func(q db.Queryer) error {
		all, err := activity.Latest(q, s.acme.ID, p.ID, id.ID{}, 100)
		n = len(all)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}
