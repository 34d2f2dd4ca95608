package saasquatch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
)

// clientsQuery is what the vendor's JavaScript client sends.
const clientsQuery = `
  query renderWidget ($user: UserIdInput, $engagementMedium: UserEngagementMedium, $widgetType: WidgetType, $locale: RSLocale) {
    renderWidget(user: $user, engagementMedium: $engagementMedium, widgetType: $widgetType, locale: $locale) {
      template
      user {
        id
        accountId
      }
      jsOptions
      widgetConfig {
        values
      }
    }
  }
`

// ask sends a query, and returns data and errors.
func (s *site) ask(auth dialecttest.Auth, query string, variables map[string]any) (map[string]any, string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		s.t.Fatal(err)
	}
	shown := s.callAs(auth, http.MethodPost, "/graphql", string(body), http.StatusOK)
	failed, _ := json.Marshal(shown["errors"])
	data, _ := shown["data"].(map[string]any)
	return data, string(failed)
}

func TestTheClientsQueryRendersAWidget(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob@example.com", "Bob", "Testerson")
	token := userToken(s.token("bob@example.com", nil))
	escaped := map[string]any{"id": "bob%40example.com", "accountId": "bob%40example.com"}
	for name, c := range map[string]struct {
		auth dialecttest.Auth
		user any
	}{
		"with a token":                    {token, map[string]any{"id": "bob@example.com", "accountId": "bob@example.com"}},
		"with a token, as the client has": {token, escaped},
		"who the token names":             {token, nil},
		"with a key":                      {password(s.key), escaped},
	} {
		data, failed := s.ask(c.auth, clientsQuery, map[string]any{"user": c.user, "engagementMedium": "POPUP", "widgetType": "p/classic/w/referrerWidget", "locale": "en_US"})
		if failed != "null" {
			t.Errorf("%s: %s", name, failed)
			continue
		}
		s.wantAt(data, map[string]string{"renderWidget.user": `{"accountId":"bob@example.com","id":"bob@example.com"}`, "renderWidget.widgetConfig": `{"values":{}}`})
		if page, _ := at(data, "renderWidget.template").(string); !strings.Contains(page, baseURL+"/r/") {
			t.Errorf("%s: %q", name, page)
		}
	}
}

func TestATokenOfNobodyOpensNobodysWidget(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob@example.com", "Bob", "Testerson")
	token := userToken(s.token("bob%40example.com", nil))
	data, failed := s.ask(token, clientsQuery, map[string]any{"user": map[string]any{"id": "bob%40example.com", "accountId": "bob%40example.com"}})
	if data["renderWidget"] != nil || !strings.Contains(failed, "USER_NOT_FOUND") {
		t.Errorf("%v %s", data, failed)
	}
}

func TestAQueryGetsWhatItAsksFor(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	token := userToken(s.token("bob", nil))
	data, failed := s.ask(token, `query Q($no: Boolean = false) {
		who: renderWidget { ...names __typename user { code: referralCode lastName @include(if: $no) } }
	} fragment names on RenderWidgetResult { user { firstName } }`, nil)
	if got, _ := json.Marshal(data); string(got) != `{"who":{"__typename":"RenderWidgetResult","user":{"code":"BOBTESTERSON","firstName":"Bob"}}}` || failed != "null" {
		t.Errorf("%s %s", got, failed)
	}
}

func TestAQueryForAnythingElseGetsAnErrorThatRepeatsNothing(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	s.mustUser("mike", "Mike", "Keenerson")
	token := userToken(s.token("bob", nil))
	before := s.state()
	deep := "query {" + strings.Repeat("a{", 400) + strings.Repeat("}", 400) + "}"
	var many strings.Builder
	for i := range 11 {
		fmt.Fprintf(&many, "a%d: renderWidget { template } ", i)
	}
	bomb := "query { renderWidget { ...f0 } }"
	for i := range 30 {
		bomb += fmt.Sprintf(" fragment f%d on RenderWidgetResult { ...f%d ...f%d }", i, i+1, i+1)
	}
	bomb += " fragment f30 on RenderWidgetResult { template }"
	for name, query := range map[string]string{
		"no query":         "",
		"not a query":      "hunter2 {",
		"an unknown field": "query { hunter2 }",
		"a mutation":       `mutation { upsertUser(userInput: {id: "hunter2"}) { id } }`,
		"a subscription":   "subscription { hunter2 }",
		"no fields":        "query { renderWidget }",
		"a wrong medium":   "query { renderWidget(engagementMedium: HUNTER2) { template } }",
		"a wrong user":     `query { renderWidget(user: {id: "hunter2"}) { template } }`,
		"the schema":       "query { __schema { types { name } } }",
		"a cycle":          "query { renderWidget { ...f } } fragment f on RenderWidgetResult { ...f }",
		"deep":             deep,
		"many":             "query {" + many.String() + "}",
		"two operations":   "query a { renderWidget { template } } query b { renderWidget { template } }",
		"another's widget": `query { renderWidget(user: {id: "mike", accountId: "mike"}) { template } }`,
		"a wrong widget":   `query { renderWidget(widgetType: "hunter2") { template } }`,
	} {
		data, failed := s.ask(token, query, nil)
		if failed == "null" || strings.Contains(strings.ToLower(failed), "hunter2") || !strings.Contains(failed, "apiErrorCode") || data["renderWidget"] != nil {
			t.Errorf("%s: %v %s", name, data, failed)
		}
	}
	if data, failed := s.ask(token, bomb, nil); failed != "null" || at(data, "renderWidget.template") == nil {
		t.Errorf("fragments within fragments: %s", failed)
	}
	if _, failed := s.ask(password(s.key), "query { renderWidget { template } }", nil); !strings.Contains(failed, "VALIDATION_FAILED") {
		t.Errorf("without a user: %s", failed)
	}
	if _, failed := s.ask(password(s.key), `query { renderWidget(user: {id: "no", accountId: "no"}) { template } }`, nil); !strings.Contains(failed, "USER_NOT_FOUND") {
		t.Errorf("of nobody: %s", failed)
	}
	s.callAs(nil, http.MethodPost, "/graphql", `{"query":"query { __typename }"}`, http.StatusUnauthorized)
	for _, body := range []string{"", "[]", `"x"`, `{"query":7}`, `{"query":"query { __typename }","variables":[]}`} {
		s.callAs(token, http.MethodPost, "/graphql", body, http.StatusBadRequest)
	}
	if s.state() != before {
		t.Error("something has changed")
	}
}
