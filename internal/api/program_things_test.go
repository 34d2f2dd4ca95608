package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
)

func badOthers() []bad {
	send := func(method, path, body string, fields ...string) bad {
		return bad{name: method + " " + path + " " + body[:min(40, len(body))], method: method, path: path, body: body, code: problem.Invalid, fields: fields}
	}
	const paid, put, post, get = "/v1/theme/templates/referral_paid", http.MethodPut, http.MethodPost, http.MethodGet
	deep := strings.Repeat(`{"x":`, 501) + `{}` + strings.Repeat("}", 501)
	return []bad{
		send(get, "/v1/people/anna/explain?program="+poison, "", "query.program"),
		send(get, "/v1/people/anna/explain?referral="+poison, "", "query.referral"),
		send(get, "/v1/people/anna/messages?cursor="+poison, "", "query.cursor"),
		send(post, "/v1/pools/%20/codes", `{"codes":["a"]}`, "path.key"),
		send(post, "/v1/pools/p/codes", `{"codes":[]}`, "codes"),
		send(post, "/v1/pools/p/codes", `{"codes":["a","`+poison+`\u0000"]}`, "codes[1]"),
		send(post, "/v1/pools/p/codes", `{"codes":["a",7]}`, "codes[1]"),
		send(post, "/v1/blocklist", `{}`, "kind", "value"),
		send(post, "/v1/blocklist", `{"kind":"`+poison+`","value":"a@example.com"}`, "kind"),
		send(post, "/v1/blocklist", `{"kind":"email","value":"`+poison+`"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"email","value":"*@`+poison+`"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"domain","value":"a@`+poison+`.example"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"domain","value":"*.`+poison+`.example"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"203.0.113.0/33"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"0.0.0.0/0"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"::/15"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"fe80::1%`+poison+`"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"device","value":"`+poison+`\u0000"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"device","value":"`+strings.Repeat(poison, 22)+`"}`, "value"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"`+poison+`","reason":"\u0000","expires_at":"10000-01-01T00:00:00Z"}`, "expires_at"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"`+poison+`","reason":"`+poison+`\u0000"}`, "value", "reason"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"192.0.2.1","reason":"`+strings.Repeat("ö", 251)+`"}`, "reason"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"192.0.2.1","expires_at":"2020-01-01T00:00:00Z"}`, "expires_at"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"192.0.2.1","expires_at":"0001-01-01T00:00:00Z"}`, "expires_at"),
		send(post, "/v1/blocklist", `{"kind":"ip","value":"192.0.2.1","expires_at":"9999-12-31T23:59:59-01:00"}`, "expires_at"),
		send(get, "/v1/blocklist?kind="+poison, "", "query.kind"),
		send(get, "/v1/blocklist?value="+poison, "", "query.kind"),
		send(get, "/v1/blocklist?kind=ip&value="+poison, "", "query.value"),
		send(get, "/v1/blocklist?cursor="+poison, "", "query.cursor"),
		send(post, "/v1/exports", `{}`, "type"),
		send(post, "/v1/exports", `{"type":"`+poison+`","created_since":"`+poison+`"}`, "created_since"),
		send(post, "/v1/exports", `{"type":"`+poison+`"}`, "type"),
		send(post, "/v1/exports", `{"type":"REFERRAL","program":"`+poison+`"}`, "program"),
		send(post, "/v1/exports", `{"type":"REWARD_BALANCE","program":"here"}`, "program"),
		send(get, "/v1/exports?cursor="+poison, "", "query.cursor"),
		send(get, "/v1/timers?parked="+poison, "", "query.parked"),
		send(get, "/v1/timers?cursor="+poison, "", "query.cursor"),
		send(get, "/v1/timers?cursor=7."+poison, "", "query.cursor"),
		send(get, "/v1/theme/variables?locale="+poison+"!", "", "query.locale"),
		send(put, "/v1/theme/variables?locale="+poison+"!", `{"variables":{}}`, "query.locale"),
		send(put, "/v1/theme/variables", `{"variables":["`+poison+`"]}`, "variables"),
		send(put, "/v1/theme/variables", `{"variables":null}`, "variables"),
		send(put, "/v1/theme/variables", `{"variables":`+deep+`}`, "variables"),
		send(http.MethodPatch, "/v1/theme/variables", `{}`, "variables"),
		send(http.MethodDelete, "/v1/theme/variables", "", "query.locale"),
		send(put, "/v1/theme/schema", `{"schema":"`+poison+`"}`, "schema"),
		send(put, "/v1/theme/schema", `{"schema":`+deep+`}`, "schema"),
		send(put, paid, `{"subject":"","message":"m","format":"`+poison+`"}`, "format"),
		send(put, paid, `{"subject":" ","message":"m"}`, "subject"),
		send(put, paid, `{"subject":"s","message":"{{if}}"}`, "message"),
		send(put, paid+"?locale=!", `{"subject":"s","message":"m"}`, "query.locale"),
		{name: "a template of no type", method: get, path: "/v1/theme/templates/" + poison, code: problem.NotFound},
	}
}

func TestAFileIsTakenWholeByWhoMayReadAndThatIsOnRecord(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	made, err := a.CreateExport(t.Context(), client.NewExport{Type: "USER"})
	if err != nil {
		t.Fatal(err)
	}
	file := "/v1/exports/" + made.ID + "/file"
	w.send(http.MethodGet, file, a.Key, "").problem(t, problem.Conflict)
	w.MustWork(export.Written)
	key, reader, err := w.tenants.CreateKey(t.Context(), a.tenant.ID, tenant.NewKey{Scopes: []tenant.Scope{tenant.Read}})
	if err != nil {
		t.Fatal(err)
	}
	got := w.send(http.MethodGet, file, reader, "")
	if got.status != http.StatusOK || got.header.Get("Content-Type") != "text/csv; charset=utf-8" || !strings.HasSuffix(got.header.Get("Content-Disposition"), made.ID+`.csv"`) {
		t.Errorf("%d %v", got.status, got.header)
	}
	if lines := strings.Split(got.body, "\r\n"); len(lines) != 4 || !strings.HasPrefix(lines[0], "id,accountId,") || !strings.HasPrefix(lines[1], "anna,") {
		t.Errorf("the file: %q", lines)
	}
	entries := w.MustAudit(audit.Filter{Action: audit.ExportDownloaded})
	if len(entries) != 1 || entries[0].ObjectID != made.ID || entries[0].Actor.KeyID != key.ID || entries[0].Actor.RequestID == "" {
		t.Errorf("entries: %+v", entries)
	}
	w.send(http.MethodGet, file+"?x=1", reader, "").problem(t, problem.Invalid)
	w.send(http.MethodPost, "/v1/exports/"+made.ID+"/cancel", a.Key, "").problem(t, problem.Conflict)
}

func TestAnExportHasTheRowsThatAreChosen(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, second := w.MustRun()
	if _, err := a.CreateProgram(t.Context(), client.NewProgram{Key: "other"}); err != nil {
		t.Fatal(err)
	}
	for n, c := range []struct {
		of   client.ExportChoice
		rows int64
	}{
		{client.ExportChoice{Program: second.Referrals[0].ProgramID}, 1},
		{client.ExportChoice{Program: "other"}, 0},
		{client.ExportChoice{CreatedSince: time.Now().Add(time.Hour)}, 0},
		{client.ExportChoice{CreatedBefore: time.Now().Add(time.Hour)}, 1},
	} {
		made, err := a.CreateExport(t.Context(), client.NewExport{Type: "USER_REFERRAL", ExportChoice: c.of})
		if err != nil {
			t.Fatal(err)
		}
		w.MustWork(export.Written)
		if got, err := a.Export(t.Context(), made.ID); err != nil || got.Rows != c.rows {
			t.Errorf("choice %d: %+v, %v", n, got, err)
		}
	}
}

func TestAFactOfAnExportIsShownAsTheExportIs(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	made, err := a.CreateExport(t.Context(), client.NewExport{Type: "USER", ExportChoice: client.ExportChoice{CreatedSince: time.Now().Add(-time.Hour)}})
	if err != nil {
		t.Fatal(err)
	}
	facts, err := a.Facts(t.Context(), made.ID, client.Page{})
	if err != nil || len(facts.Data) != 1 || facts.Data[0].Subject.ID != made.ID {
		t.Fatalf("%+v, %v", facts, err)
	}
	var told client.Export
	if err := json.Unmarshal(facts.Data[0].Data, &told); err != nil || told != made {
		t.Errorf("%s, %v", facts.Data[0].Data, err)
	}
}

func TestARewardTakesACodeThatWasAddedAndThoseThatThePoolHasArePassedOver(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	rules := `[{"key":"coupon","on":"purchase","give":{"kind":"code_pool","def":"shop"}}]`
	if _, err := a.CreateProgram(t.Context(), client.NewProgram{Key: "p", Rules: json.RawMessage(rules)}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReportPerson(t.Context(), "anna", client.PersonReport{}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AddCodes(t.Context(), "shop", []string{"FIRST", "SECOND"}); err != nil {
		t.Fatal(err)
	}
	a.MustReport(t, "anna", purchase("order-1", `{}`))
	added, err := a.AddCodes(t.Context(), "shop", []string{"FIRST", "THIRD"})
	if err != nil || added.Added != 1 || len(added.Duplicates) != 1 || added.Pool.Added != 3 || added.Pool.Given != 1 || added.Pool.Left != 2 {
		t.Errorf("%+v, %v", added, err)
	}
	rewards, err := a.Rewards(t.Context(), client.RewardFilter{}, client.Page{})
	if err != nil || len(rewards.Data) != 1 || rewards.Data[0].Code != "FIRST" {
		t.Errorf("%+v, %v", rewards, err)
	}
}

func TestAsManyCodesAsMayBeFitIntoOneCall(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	codes := make([]string, 10_000)
	for i := range codes {
		codes[i] = strings.Repeat("x", 188) + id.New(time.Now()).String()[12:]
	}
	if added, err := a.AddCodes(t.Context(), "shop", codes); err != nil || added.Added+len(added.Duplicates) != len(codes) {
		t.Errorf("%d were added: %v", added.Added, err)
	}
	_, err := a.AddCodes(t.Context(), "shop", slices.Concat(codes, []string{"one more"}))
	wantCode(t, err, problem.Invalid)
}

func TestWhatFailedInsideOfTheServerIsForTheOperatorToSee(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	parked := w.MustParked(a)
	operator := w.MustClient(adminKey, client.WithTenant("acme"))
	for name, c := range map[string]struct {
		api  *client.Client
		want string
	}{"the operator": {operator, "it is broken"}, "the tenant": {a.Client, ""}} {
		got, err := c.api.ParkedTimers(t.Context(), client.Page{})
		if err != nil || len(got.Data) != 1 || got.Data[0].ID != parked || got.Data[0].Failures != 20 || got.Data[0].Error != c.want {
			t.Errorf("%s sees %+v, %v", name, got, err)
		}
	}
	if err := operator.ResumeTimer(t.Context(), parked); err != nil {
		t.Fatal(err)
	}
	wantCode(t, operator.ResumeTimer(t.Context(), parked), problem.NotFound)
	if got, err := a.ParkedTimers(t.Context(), client.Page{}); err != nil || len(got.Data) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	entries := w.MustAudit(audit.Filter{Action: audit.TimerResumed})
	if len(entries) != 1 || entries[0].ObjectID != parked || entries[0].Actor.Kind != audit.Operator || entries[0].TenantID != a.tenant.ID {
		t.Errorf("entries: %+v", entries)
	}
}

func TestTheListOfTimersGoesOnWhereItWas(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	if _, err := a.ReportPerson(t.Context(), "anna", client.PersonReport{}); err != nil {
		t.Fatal(err)
	}
	var dues []time.Time
	for _, days := range []int{3, 1, 2} {
		due := time.Now().Add(time.Duration(days) * 24 * time.Hour)
		if _, err := a.GiveReward(t.Context(), "anna", client.NewReward{Kind: "points", Amount: 1, Unit: "p", ExpiresAt: due}); err != nil {
			t.Fatal(err)
		}
		dues = append(dues, due)
	}
	want := []time.Time{dues[1], dues[2], dues[0]}
	var page client.Page
	for n := range want {
		part, err := a.Timers(t.Context(), client.Page{Limit: 1, Cursor: page.Cursor})
		if err != nil || len(part.Data) != 1 || part.Data[0].DueAt.Sub(want[n]).Abs() > time.Second || (part.NextCursor == "") != (n == 2) {
			t.Fatalf("part %d: %+v, %v", n, part, err)
		}
		page.Cursor = part.NextCursor
	}
}

func TestWhyNamesThingsAsTheRestOfTheAPIDoes(t *testing.T) {
	w := MustWorld(t, nil)
	a, p, first, second := w.MustRun()
	reported := a.MustReport(t, "bert", purchase("order-1", `{"amount":6000}`))
	why, err := a.ExplainPerson(t.Context(), "anna", client.WhyQuestion{Program: p.Key, Rule: "advocate"})
	if err != nil || why.PersonID != first.ID || len(why.Programs) != 1 || len(why.Programs[0].Referrals) != 1 {
		t.Fatalf("%+v, %v", why, err)
	}
	r := why.Programs[0].Referrals[0]
	if why.Programs[0].ID != p.ID || r.ID != second.Referrals[0].ID || r.ReferredID != second.ID || !strings.Contains(r.Sentence, second.ID) {
		t.Errorf("%+v", r)
	}
	if len(r.Rules) != 1 || r.Rules[0].Verdict != "given" || len(r.Rules[0].Outcomes) != 1 {
		t.Fatalf("%+v", r.Rules)
	}
	given := r.Rules[0].Outcomes[0]
	if given.On == nil || given.On.ActivityID != reported[0].ID || given.Reward == nil || len(given.Facts) == 0 || given.Facts[0].ID != reported[0].FactID {
		t.Errorf("%+v", given)
	}
	if reward, err := a.Reward(t.Context(), given.Reward.ID); err != nil || reward.PersonID != first.ID {
		t.Errorf("%+v, %v", reward, err)
	}
	_, err = a.ExplainPerson(t.Context(), "anna", client.WhyQuestion{Referral: "ref_019a9c1d2f3b5e8d7c6a4f10"})
	wantCode(t, err, problem.NotFound)
}

func TestAMessageNamesTheFactThatLedToIt(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, _ := w.MustRun()
	messages, err := a.Messages(t.Context(), first.ID, client.Page{})
	if err != nil || len(messages.Data) != 1 || messages.Data[0].Type != "referral_started" || messages.Data[0].PersonID != first.ID {
		t.Fatalf("%+v, %v", messages, err)
	}
	if cause, err := a.Fact(t.Context(), messages.Data[0].Cause); err != nil || cause.Type != "referral.started" {
		t.Errorf("%+v, %v", cause, err)
	}
}

func TestAThemeIsChangedTriedAndTakenBack(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	const of = "referral_paid"
	builtIn, err := a.Template(t.Context(), of, "de")
	if err != nil || builtIn.Format != "html" {
		t.Fatalf("%+v, %v", builtIn, err)
	}
	if _, err := a.SetTemplate(t.Context(), of, "de", client.Template{Subject: "Hallo {{.user.firstName}}", Message: "{{.variables.companyName}} & Co"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ChangeThemeVariables(t.Context(), "de", json.RawMessage(`{"companyName":"Ä<b>"}`)); err != nil {
		t.Fatal(err)
	}
	made, err := a.PreviewTemplate(t.Context(), of, "de")
	if err != nil || !strings.HasPrefix(made.Message, "Ä&lt;b&gt;") || !strings.HasPrefix(made.Subject, "Hallo ") {
		t.Errorf("%+v, %v", made, err)
	}
	if err := a.ResetTemplate(t.Context(), of, "de"); err != nil {
		t.Fatal(err)
	}
	if again, err := a.Template(t.Context(), of, "de"); err != nil || again != builtIn {
		t.Errorf("%+v, %v", again, err)
	}
	wantCode(t, a.ResetTemplate(t.Context(), of, "de"), problem.NotFound)
	if err := a.DeleteThemeLocale(t.Context(), "de"); err != nil {
		t.Fatal(err)
	}
	_, err = a.ThemeVariables(t.Context(), "de")
	wantCode(t, err, problem.NotFound)
}
