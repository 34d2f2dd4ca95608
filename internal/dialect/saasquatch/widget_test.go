package saasquatch_test

import (
	"net/http"
	"strings"
	"testing"
)

func TestAWidgetShowsTheLinkAndTheRewards(t *testing.T) {
	s := mustSite(t)
	mike := s.mustUser("mike", "Mike", "Keenerson")
	s.call(http.MethodPut, "/open"+userPath("bob", "bob"), `{"referredBy":{"code":"`+mike+`"}}`, http.StatusOK)
	s.call(http.MethodPost, "/open"+userPath("bob", "bob")+"/events", `{"events":[{"key":"purchase"}]}`, http.StatusOK)
	shown := s.call(http.MethodPut, "/widget"+userPath("mike", "mike")+"/upsert?widgetType=REFERRER_WIDGET&engagementMedium=EMBED&locale=en_US",
		`{"id":"mike","accountId":"mike","firstName":"</script><b>"}`, http.StatusOK)
	page, _ := shown["template"].(string)
	for _, want := range []string{`value="` + baseURL + `/r/`, "MIKEKEENERSON", "<li>20</li>", `"userId":"mike"`, `class="squatch-container"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the widget has no %s:\n%s", want, page)
		}
	}
	if strings.Contains(page, "</script><b>") {
		t.Error("a name is markup in the widget")
	}
	s.wantAt(shown, map[string]string{"user.id": `"mike"`, "jsOptions.widget.defaultWidgetType": `"REFERRER_WIDGET"`})
	shown = s.call(http.MethodPut, "/widget"+userPath("bob", "bob")+"/render?widgetType=CONVERSION_WIDGET", "", http.StatusOK)
	if page, _ := shown["template"].(string); !strings.Contains(page, "<li>10 %</li>") || !strings.Contains(page, "You came by the code <strong>MIKEKEENERSON</strong>") {
		t.Errorf("the friend's widget is %s", page)
	}
	before := s.state()
	for query, rs := range map[string]string{"widgetType=OTHER": "RS036", "engagementMedium=POSTER": "RS037", "locale=English": "RS039"} {
		s.refused(http.MethodPut, "/widget"+userPath("new", "new")+"/upsert?"+query, `{}`, http.StatusBadRequest, "VALIDATION_FAILED", rs)
	}
	if s.state() != before {
		t.Error("what was refused has left something")
	}
	s.refused(http.MethodPut, "/widget"+userPath("new", "new")+"/render", "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
}

func TestWhatAWidgetReportsIsTaken(t *testing.T) {
	s := mustSite(t)
	for _, what := range []string{"loaded", "shared"} {
		s.callAs(nil, http.MethodPost, "/a/acme/widgets/analytics/"+what+"?externalAccountId=a&externalUserId=u&engagementMedium=POPUP&shareMedium=EMAIL", "{}", http.StatusNoContent)
		s.callAs(nil, http.MethodPost, "/a/acme/widgets/analytics/"+what+"?externalAccountId=a", "{}", http.StatusBadRequest)
	}
	got := s.Send(http.MethodPost, "/a/nobody/widgets/analytics/loaded?externalAccountId=a&externalUserId=u", "{}")
	if got.Status != http.StatusNotFound || !strings.Contains(got.Body, "TENANT_NOT_FOUND") {
		t.Errorf("of no tenant: %d %s", got.Status, got.Body)
	}
}
