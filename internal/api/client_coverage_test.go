package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/engine/export"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// recorder notes which operations of the API are called with success, and the
// latest answer.
type recorder struct {
	next   http.RoundTripper
	mux    *http.ServeMux // knows the operations by their paths
	called map[string]bool
	answer []byte
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	_, operation := r.mux.Handler(req)
	resp, err := r.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if r.answer, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(r.answer))
	if resp.StatusCode < 300 {
		r.called[operation] = true
	}
	return resp, nil
}

// operations returns a mux that knows the operations of the document by their
// methods and paths, and the set of them.
func (d document) operations() (*http.ServeMux, map[string]bool) {
	mux, all := http.NewServeMux(), make(map[string]bool)
	for path, operations := range d.Paths {
		for method := range operations {
			operation := strings.ToUpper(method) + " " + path
			mux.Handle(operation, http.NotFoundHandler())
			all[operation] = true
		}
	}
	return mux, all
}

// same demands that what a method returned says all that the answer did, in the
// same shape: what a program writes as JSON is then what the API sends.
func (r *recorder) same(t *testing.T, method string, result any, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	written, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := json.Unmarshal(r.answer, &want); err != nil {
		t.Fatalf("%s: %v in %s", method, err, r.answer)
	}
	if err := json.Unmarshal(written, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-answer +client):\n%s", method, diff)
	}
}

// done demands a call without an answer.
func done(t *testing.T, method string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", method, err)
	}
}

// programs calls everything about programs.
func (r *recorder) programs(t *testing.T, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	settings, rules := json.RawMessage(`{"moderation":{"referrer":"pending"},"fraud":{"name":{"action":"flag"}}}`), json.RawMessage(giveAndGet)
	program, err := c.CreateProgram(ctx, client.NewProgram{
		Key: "give-and-get", Name: "n", StartsAt: time.Now().Add(-time.Hour), EndsAt: time.Now().Add(time.Hour), TimeZone: "Europe/Berlin", Unit: "cents",
		Settings: settings, Rules: rules,
	})
	r.same(t, "CreateProgram", program, err)
	program, err = c.UpdateProgram(ctx, program.Key, client.ProgramChange{Name: new("m"), StartsAt: &time.Time{}, TimeZone: new("UTC"), Unit: new("")})
	r.same(t, "UpdateProgram", program, err)
	program, err = c.Program(ctx, program.ID)
	r.same(t, "Program", program, err)
	programs, err := c.Programs(ctx)
	r.same(t, "Programs", map[string]any{"data": programs}, err)
	checked, err := c.ValidateRules(ctx, program.ID, json.RawMessage(`[{}]`))
	r.same(t, "ValidateRules", checked, err)
	set, err := c.SetRules(ctx, program.ID, rules)
	r.same(t, "SetRules", set, err)
	set, err = c.Rules(ctx, program.ID, 1)
	r.same(t, "Rules", set, err)
	sets, err := c.RuleVersions(ctx, program.ID)
	r.same(t, "RuleVersions", map[string]any{"data": sets}, err)

	full := client.PersonReport{
		Account: new("acme"), Email: new("anna@example.com"), FirstName: new("Anna"), LastName: new("Adams"), Locale: new("de_DE"), Country: new("DE"),
		ImageURL: new("https://www.example.com/a.png"), Fields: json.RawMessage(`{"plan":"gold"}`), Device: "d1", IP: "192.0.2.7",
		Codes: map[string]string{"give-and-get": "ANNA"},
	}
	anna, err := c.ReportPerson(ctx, "anna", full)
	r.same(t, "ReportPerson", anna, err)
	full.Codes, full.ReferredBy, full.Account = nil, []string{"ANNA"}, new("other")
	bert, err := c.ReportPerson(ctx, "bert/1", full)
	r.same(t, "ReportPerson", bert, err)
	if len(bert.Referrals) != 1 || len(bert.Referrals[0].Signals) == 0 {
		t.Fatalf("who is so alike raises no suspicion: %+v", bert)
	}
	carl, err := c.ReportPerson(ctx, "carl", client.PersonReport{Unreferable: new(true)})
	r.same(t, "ReportPerson", carl, err)
	dora, err := c.ReportPerson(ctx, "dora", client.PersonReport{})
	r.same(t, "ReportPerson", dora, err)
	referred, err := c.ReferPerson(ctx, "dora", "ANNA")
	r.same(t, "ReferPerson", referred, err)
	anna, err = c.Person(ctx, anna.ID)
	r.same(t, "Person", anna, err)
	people, err := c.People(ctx, "", client.Page{Limit: 2})
	r.same(t, "People", people, err)
	account, err := c.SetAccount(ctx, "acme", client.AccountReport{State: client.AccountTrial, Currency: "EUR", Details: json.RawMessage(`{"x":1}`)})
	r.same(t, "SetAccount", account, err)
	with, err := c.Account(ctx, "acme")
	r.same(t, "Account", with, err)
	owner, err := c.Code(ctx, "anna")
	r.same(t, "Code", owner, err)
	owner, err = c.DisableCode(ctx, "anna")
	r.same(t, "DisableCode", owner, err)
	owner, err = c.EnableCode(ctx, "anna")
	r.same(t, "EnableCode", owner, err)
	names, err := c.AddIdentity(ctx, "anna", client.Identity{Scheme: "native", Key: "anna/2"})
	r.same(t, "AddIdentity", map[string]any{"identities": names}, err)
	names, err = c.Identities(ctx, "anna")
	r.same(t, "Identities", map[string]any{"identities": names}, err)
	if err := c.RemoveIdentity(ctx, "anna", names[1]); err != nil {
		t.Fatal(err)
	}
	links, err := c.Links(ctx, "anna", "")
	r.same(t, "Links", map[string]any{"links": links}, err)

	tried, err := c.DryRunRules(ctx, program.Key, client.DryRun{Rules: rules, Activity: &client.DryRunActivity{Person: "bert/1", Type: "purchase", Fields: json.RawMessage(`{"amount":1}`), OccurredAt: time.Now()}})
	r.same(t, "DryRunRules", map[string]any{"results": tried}, err)
	reported, err := c.ReportActivities(ctx, "bert/1", []client.NewActivity{{Key: "k", Type: "purchase", Fields: json.RawMessage(`{"amount":9000}`), OccurredAt: time.Now().Add(-time.Minute)}})
	r.same(t, "ReportActivities", map[string]any{"activities": reported}, err)
	tried, err = c.DryRunRules(ctx, program.Key, client.DryRun{ActivityID: reported[0].ID})
	r.same(t, "DryRunRules", map[string]any{"results": tried}, err)
	tried, err = c.DryRunRules(ctx, program.Key, client.DryRun{
		Activity: &client.DryRunActivity{Person: "bert/1", Type: "x"},
		Rules:    json.RawMessage(`[{"key":"a","on":"x","unless":{"event":"y","within":"1d"},"give":{"kind":"credit","amount":5,"unit":"cents","name":"n","pending":"1d","expires":"2d"}}]`),
	})
	r.same(t, "DryRunRules", map[string]any{"results": tried}, err)
	activities, err := c.Activities(ctx, bert.ID, client.Page{})
	r.same(t, "Activities", activities, err)
	referrals, err := c.Referrals(ctx, client.ReferralFilter{Referrer: "anna"}, client.Page{Limit: 1})
	r.same(t, "Referrals", referrals, err)
	moderated, err := c.ModerateReferrals(ctx, []client.ModerationAction{{ReferralID: bert.Referrals[0].ID, To: client.ModerationApproved}})
	r.same(t, "ModerateReferrals", map[string]any{"referrals": moderated}, err)
	converted, err := c.ConvertReferral(ctx, referred.ID)
	r.same(t, "ConvertReferral", converted, err)
	converted, err = c.EndReferral(ctx, referred.ID)
	r.same(t, "EndReferral", converted, err)
	whole, err := c.Referral(ctx, bert.Referrals[0].ID)
	r.same(t, "Referral", whole, err)

	given, err := c.GiveReward(ctx, "dora", client.NewReward{
		Key: "g", Kind: "credit", Amount: 500, Unit: "cents", Name: "n", Source: "s", DueAt: time.Now().Add(time.Hour), ExpiresAt: time.Now().Add(48 * time.Hour), Details: json.RawMessage(`{"n":1}`),
	})
	r.same(t, "GiveReward", given, err)
	given, err = c.CancelReward(ctx, given.ID)
	r.same(t, "CancelReward", given, err)
	rewards, err := c.Rewards(ctx, client.RewardFilter{Person: "bert/1"}, client.Page{})
	r.same(t, "Rewards", rewards, err)
	reward, err := c.Reward(ctx, rewards.Data[0].ID)
	r.same(t, "Reward", reward, err)
	reward, err = c.RedeemReward(ctx, reward.ID, client.Redemption{Key: "r", Amount: 100, Unit: "cents"})
	r.same(t, "RedeemReward", reward, err)
	spent, err := c.Spend(ctx, "bert/1", client.Spending{Key: "s", Amount: 100, Unit: "cents"})
	r.same(t, "Spend", spent, err)
	balances, err := c.Balances(ctx, "bert/1")
	r.same(t, "Balances", map[string]any{"balances": balances}, err)
	for who, q := range map[string]client.WhyQuestion{"bert/1": {}, "anna": {Program: program.Key, Rule: "advocate", Referral: bert.Referrals[0].ID}, "dora": {}} {
		why, err := c.ExplainPerson(ctx, who, q)
		r.same(t, "ExplainPerson", why, err)
	}
	messages, err := c.Messages(ctx, "anna", client.Page{Limit: 1})
	r.same(t, "Messages", messages, err)
	if len(messages.Data) == 0 || messages.NextCursor == "" {
		t.Fatalf("Anna was written nothing: %+v", messages)
	}
	added, err := c.AddCodes(ctx, "shop", []string{"A", "B", "A"})
	r.same(t, "AddCodes", added, err)
	pools, err := c.Pools(ctx)
	r.same(t, "Pools", map[string]any{"data": pools}, err)
	pool, err := c.Pool(ctx, "shop")
	r.same(t, "Pool", pool, err)
	listed, err := c.AddBlocklistEntry(ctx, client.NewBlocklistEntry{Kind: client.BlocklistIP, Value: "192.0.2.0/24", Reason: "r", ExpiresAt: time.Now().Add(time.Hour)})
	r.same(t, "AddBlocklistEntry", listed, err)
	judged, err := c.ReportPerson(ctx, "emil", client.PersonReport{IP: "192.0.2.8", ReferredBy: []string{"ANNA"}})
	r.same(t, "ReportPerson", judged, err)
	listed, err = c.BlocklistEntry(ctx, listed.ID)
	r.same(t, "BlocklistEntry", listed, err)
	entries, err := c.Blocklist(ctx, client.BlocklistFilter{Kind: client.BlocklistIP}, client.Page{})
	r.same(t, "Blocklist", entries, err)
	done(t, "RemoveBlocklistEntry", c.RemoveBlocklistEntry(ctx, listed.ID))
	story, err := c.Story(ctx, "bert/1", client.Page{})
	r.same(t, "Story", story, err)
	facts, err := c.Facts(ctx, "", client.Page{Limit: 250})
	r.same(t, "Facts", facts, err)
	trace, err := c.Fact(ctx, reported[0].FactID)
	r.same(t, "Fact", trace, err)
	undone, err := c.UndoFact(ctx, trace.ID, client.Undoing{Reason: "r", Depth: 5})
	r.same(t, "UndoFact", undone, err)
	blocked, err := c.BlockPerson(ctx, "bert/1")
	r.same(t, "BlockPerson", blocked, err)
	blocked, err = c.UnblockPerson(ctx, "bert/1")
	r.same(t, "UnblockPerson", blocked, err)
	done(t, "DeletePerson", c.DeletePerson(ctx, "dora"))
	done(t, "ForgetPersonForEver", c.ForgetPersonForEver(ctx, "carl"))
	facts, err = c.Facts(ctx, dora.ID, client.Page{})
	r.same(t, "Facts", facts, err)
}

// theme calls everything about messages, but for those that were written.
func (r *recorder) theme(t *testing.T, w *world, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	schema, err := c.ThemeSchema(ctx)
	r.same(t, "ThemeSchema", map[string]any{"schema": schema}, err)
	schema, err = c.SetThemeSchema(ctx, schema)
	r.same(t, "SetThemeSchema", map[string]any{"schema": schema}, err)
	variables, err := c.SetThemeVariables(ctx, "", json.RawMessage(`{"companyName":"Acme"}`))
	r.same(t, "SetThemeVariables", map[string]any{"variables": variables}, err)
	variables, err = c.ChangeThemeVariables(ctx, "de", json.RawMessage(`{"companyName":"Gipfel"}`))
	r.same(t, "ChangeThemeVariables", map[string]any{"variables": variables}, err)
	variables, err = c.ThemeVariables(ctx, "de")
	r.same(t, "ThemeVariables", map[string]any{"variables": variables}, err)
	set, err := c.SetTemplate(ctx, "referral_paid", "de", client.Template{Subject: "Hallo", Message: "{{.variables.companyName}}", Format: "text"})
	r.same(t, "SetTemplate", set, err)
	set, err = c.Template(ctx, "referral_paid", "de")
	r.same(t, "Template", set, err)
	preview, err := c.PreviewTemplate(ctx, "referral_paid", "de")
	r.same(t, "PreviewTemplate", preview, err)
	version, err := c.PublishTheme(ctx)
	r.same(t, "PublishTheme", map[string]any{"version": version}, err)
	w.MustWork(message.Published)
	status, err := c.ThemeStatus(ctx)
	r.same(t, "ThemeStatus", status, err)
	if preview.Message != "Gipfel" || status.Version != version {
		t.Errorf("%+v, %+v", preview, status)
	}
	done(t, "ResetTemplate", c.ResetTemplate(ctx, "referral_paid", "de"))
	done(t, "DeleteThemeLocale", c.DeleteThemeLocale(ctx, "de"))
}

// exports calls everything about exports.
func (r *recorder) exports(t *testing.T, w *world, c *client.Client) {
	t.Helper()
	ctx := t.Context()
	made, err := c.CreateExport(ctx, client.NewExport{Type: "REFERRAL", Name: "n", ExportChoice: client.ExportChoice{
		Program: "give-and-get", CreatedSince: time.Now().Add(-time.Hour), CreatedBefore: time.Now().Add(time.Hour), UpdatedSince: time.Now().Add(-time.Hour),
		UpdatedBefore: time.Now().Add(time.Hour), CreatedOrUpdatedSince: time.Now().Add(-time.Hour), CreatedOrUpdatedBefore: time.Now().Add(time.Hour),
	}})
	r.same(t, "CreateExport", made, err)
	w.MustWork(export.Written)
	got, err := c.Export(ctx, made.ID)
	r.same(t, "Export", got, err)
	file, err := c.DownloadExport(ctx, made.ID)
	done(t, "DownloadExport", err)
	text, err := io.ReadAll(file)
	done(t, "DownloadExport", errors.Join(err, file.Close()))
	if got.Status != client.ExportCompleted || int64(len(text)) != got.Bytes || !bytes.Equal(text, r.answer) {
		t.Errorf("%+v: %s", got, text)
	}
	w.jobs.Stop()
	other, err := c.CreateExport(ctx, client.NewExport{Type: "USER"})
	r.same(t, "CreateExport", other, err)
	other, err = c.CancelExport(ctx, other.ID)
	r.same(t, "CancelExport", other, err)
	exports, err := c.Exports(ctx, client.Page{Limit: 1})
	r.same(t, "Exports", exports, err)
	if len(exports.Data) != 1 || exports.Data[0].ID != other.ID || exports.NextCursor == "" {
		t.Errorf("%+v", exports)
	}
}

// timers calls everything about timers.
func (r *recorder) timers(t *testing.T, a account, w *world) {
	t.Helper()
	w.timers.Stop()
	parked := w.MustParked(a)
	timers, err := a.ParkedTimers(t.Context(), client.Page{})
	r.same(t, "ParkedTimers", timers, err)
	done(t, "ResumeTimer", a.ResumeTimer(t.Context(), parked))
	timers, err = a.Timers(t.Context(), client.Page{Limit: 1})
	r.same(t, "Timers", timers, err)
	if len(timers.Data) != 1 || timers.Data[0].ID != parked {
		t.Errorf("%+v", timers)
	}
}

func TestTheClientReachesEveryOperationAndReadsEveryAnswerWhole(t *testing.T) {
	w := MustWorld(t, nil)
	failure := webhook.Attempt{
		StartedAt: time.Now(), Timing: webhook.Timing{Connect: time.Millisecond, Total: time.Second}, ResponseStatus: http.StatusInternalServerError,
		Verdict: wire.Retry, Reason: wire.ReasonServerError, Headers: []wire.Header{{Name: "Retry-After", Value: "7"}}, Body: []byte("<no>"),
	}
	w.receiver.attempt = failure
	mux, all := w.MustDocument().operations()
	r := &recorder{next: w.server.Client().Transport, mux: mux, called: make(map[string]bool)}
	through := client.WithHTTPClient(&http.Client{Transport: r})
	operator := w.MustClient(adminKey, through)

	made, err := operator.CreateTenant(t.Context(), client.NewTenant{Alias: "acme", Live: true, Dialects: []string{"standard", "saasquatch", "rehook"}})
	r.same(t, "CreateTenant", made, err)
	tenants, err := operator.Tenants(t.Context(), client.Page{})
	r.same(t, "Tenants", tenants, err)
	tenant, err := operator.Tenant(t.Context(), made.ID)
	r.same(t, "Tenant", tenant, err)
	tenant, err = operator.UpdateTenant(t.Context(), made.ID, client.TenantChange{Alias: new("acme-eu"), Dialects: &[]string{}})
	r.same(t, "UpdateTenant", tenant, err)
	key, err := operator.CreateKey(t.Context(), made.ID, client.NewKey{Dialect: "rehook", Value: "public:secret", Name: "n", Scopes: []client.Scope{client.ScopeRead}, ExpiresAt: time.Now().Add(time.Hour)})
	r.same(t, "CreateKey", key, err)
	key, err = operator.RollKey(t.Context(), made.ID, key.ID, nil)
	r.same(t, "RollKey", key, err)
	done(t, "RevokeKey", operator.RevokeKey(t.Context(), made.ID, key.ID))
	keys, err := operator.Keys(t.Context(), made.ID, client.Page{})
	r.same(t, "Keys", keys, err)

	c := w.MustClient(made.APIKey, through)
	full := client.NewSubscription{
		URL: "https://hooks.example.com/in", EventTypes: []string{"*"}, Description: "d", Headers: map[string]string{"X-Team": "t"},
		Auth:   &client.Auth{Type: "basic", Username: "u", Password: "p"},
		Policy: &client.Policy{Schedule: []float64{}, Timeout: 5, MaxInFlight: 2, Rate: 1.5},
		Filter: &client.Filter{Any: []client.Filter{{Not: &client.Filter{Exists: client.Operands{"data.gone"}}}, {Gte: client.Operands{"data.n", json.Number("9007199254740993")}}}},
	}
	full.CA = testkit.MustAuthority(t).PEM
	full.Auth.Certificate, full.Auth.PrivateKey = testkit.MustAuthority(t).MustIssue(t, "ann", time.Now().Add(time.Hour))
	tested, err := c.TestDraft(t.Context(), full)
	r.same(t, "TestDraft", tested, err)
	created, err := c.CreateSubscription(t.Context(), full)
	r.same(t, "CreateSubscription", created, err)
	asked := full
	asked.Handshake, asked.EventTypes = true, []string{"never.sent"}
	asked.Auth = &client.Auth{
		Type: "oauth2", TokenURL: "https://login.example.com/token", ClientID: "c", ClientSecret: "s3cret-value", Scopes: []string{"a", "b"}, Audience: "x", ClientAuth: "body",
	}
	shaken, err := c.CreateSubscription(t.Context(), asked)
	r.same(t, "CreateSubscription", shaken, err)
	bare, err := c.CreateSubscription(t.Context(), client.NewSubscription{URL: "https://hooks.example.com/in", EventTypes: []string{"a.b"}, Signature: "v1a"})
	r.same(t, "CreateSubscription", bare, err)
	subs, err := c.Subscriptions(t.Context(), client.Page{Limit: 1})
	r.same(t, "Subscriptions", subs, err)
	sub, err := c.Subscription(t.Context(), created.ID)
	r.same(t, "Subscription", sub, err)
	sub, err = c.UpdateSubscription(t.Context(), created.ID, client.SubscriptionChange{RemoveAuth: true, CA: new("")})
	r.same(t, "UpdateSubscription", sub, err)
	tested, err = c.TestSubscription(t.Context(), created.ID)
	r.same(t, "TestSubscription", tested, err)
	created, err = c.RotateSecret(t.Context(), created.ID, client.Rotation{})
	r.same(t, "RotateSecret", created, err)
	secrets, err := c.RevealSecrets(t.Context(), created.ID)
	r.same(t, "RevealSecrets", secrets, err)
	sub, err = c.DisableSubscription(t.Context(), created.ID)
	r.same(t, "DisableSubscription", sub, err)
	enabled, err := c.EnableSubscription(t.Context(), created.ID)
	r.same(t, "EnableSubscription", enabled, err)

	published, err := c.Publish(t.Context(), client.Publication{Type: "a.b", Data: json.RawMessage(`{"n":12345678901234567890}`)})
	r.same(t, "Publish", published, err)
	batch, err := c.PublishBatch(t.Context(), []client.Publication{{Type: "a.b", Data: struct{}{}}, {Type: "a.c", Data: struct{}{}}})
	r.same(t, "PublishBatch", map[string]any{"events": batch}, err)
	acme, err := w.tenants.ByAlias(t.Context(), tenant.Alias)
	if err != nil {
		t.Fatal(err)
	}
	w.record(account{tenant: acme}, created.ID, failure, webhook.Failed)
	events, err := c.Events(t.Context(), client.EventFilter{}, client.Page{Limit: 2})
	r.same(t, "Events", events, err)
	event, err := c.Event(t.Context(), published.ID)
	r.same(t, "Event", event, err)
	deliveries, err := c.Deliveries(t.Context(), client.DeliveryFilter{EventID: published.ID}, client.Page{})
	r.same(t, "Deliveries", deliveries, err)
	for _, d := range deliveries.Data {
		delivery, err := c.Delivery(t.Context(), d.ID)
		r.same(t, "Delivery", delivery, err)
		retried, err := c.RetryDelivery(t.Context(), d.ID)
		r.same(t, "RetryDelivery", retried, err)
	}
	choice := client.NewReplay{
		SubscriptionID: created.ID, EventTypes: []string{"a.b"}, Status: []client.DeliveryStatus{client.Failed},
		Since: time.Now().Add(-time.Hour), Until: time.Now().Add(time.Hour),
	}
	count, err := c.PreviewReplay(t.Context(), choice)
	r.same(t, "PreviewReplay", count, err)
	replay, err := c.CreateReplay(t.Context(), choice)
	r.same(t, "CreateReplay", replay, err)
	replay, err = c.RecoverSubscription(t.Context(), created.ID, time.Now().Add(-time.Hour), time.Time{})
	r.same(t, "RecoverSubscription", replay, err)
	enabled, err = c.EnableAndRecover(t.Context(), created.ID, time.Now().Add(-time.Hour))
	r.same(t, "EnableAndRecover", enabled, err)
	replays, err := c.Replays(t.Context(), client.Page{Limit: 2})
	r.same(t, "Replays", replays, err)
	for _, steer := range []func(context.Context, string) (client.Replay, error){c.PauseReplay, c.ResumeReplay, c.Replay, c.CancelReplay} {
		replay, err = steer(t.Context(), replay.ID)
		r.same(t, "a replay", replay, err)
	}
	done(t, "ExpungeEvent", c.ExpungeEvent(t.Context(), published.ID))
	event, err = c.Event(t.Context(), published.ID)
	r.same(t, "Event", event, err)
	explained, err := c.Explain(t.Context(), bare.ID, client.Question{EventID: published.ID})
	r.same(t, "Explain", explained, err)
	schema := json.RawMessage(`{"type":"object","required":["n"],"properties":{"n":{"type":"integer"}}}`)
	registered, err := c.RegisterEventType(t.Context(), client.NewEventType{Name: "a.b", Description: "d", Schema: schema, Sample: json.RawMessage(`{"n":1}`)})
	r.same(t, "RegisterEventType", registered, err)
	versions, err := c.EventType(t.Context(), "a.b")
	r.same(t, "EventType", versions, err)
	types, err := c.EventTypes(t.Context(), "")
	r.same(t, "EventTypes", map[string]any{"data": types}, err)
	done(t, "ArchiveEventType", c.ArchiveEventType(t.Context(), "a.b"))
	versions, err = c.EventType(t.Context(), "a.b")
	r.same(t, "EventType", versions, err)
	dialects, err := c.Dialects(t.Context())
	r.same(t, "Dialects", map[string]any{"data": dialects}, err)
	settings, err := c.SetDialectSettings(t.Context(), "saasquatch", map[string]string{"payload_version": "2020"})
	r.same(t, "SetDialectSettings", settings, err)
	settings, err = c.DialectSettings(t.Context(), "saasquatch")
	r.same(t, "DialectSettings", settings, err)
	r.programs(t, c)
	r.theme(t, w, c)
	r.exports(t, w, c)
	r.timers(t, account{Client: c, tenant: acme}, w)
	done(t, "DeleteSubscription", c.DeleteSubscription(t.Context(), created.ID))
	_, err = c.Subscription(t.Context(), created.ID)
	wantCode(t, err, problem.NotFound)
	done(t, "DeleteTenant", operator.DeleteTenant(t.Context(), made.ID))

	entries, err := operator.Audit(t.Context(), client.AuditFilter{TenantID: made.ID, ObjectID: created.ID}, client.Page{Limit: 3})
	r.same(t, "Audit", entries, err)

	signing, err := operator.RotateSigningKey(t.Context())
	r.same(t, "RotateSigningKey", signing, err)
	backup, err := operator.Backup(t.Context())
	if testkit.OnPostgres() {
		wantCode(t, err, problem.Conflict)
		delete(all, "POST /v1/backup") // there is no answer to read
	} else {
		if err == nil {
			_, err = io.Copy(io.Discard, backup)
			err = errors.Join(err, backup.Close())
		}
		done(t, "Backup", err)
	}

	if diff := cmp.Diff(slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(r.called))); diff != "" {
		t.Errorf("operations (-of the document +called):\n%s", diff)
	}
}
