package app

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/referral"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// vendorWorld is a server with a tenant that SaaSquatch's clients speak to.
type vendorWorld struct {
	*App

	t      *testing.T
	alias  string
	tenant id.ID
	key    string
}

func mustVendorWorld(t *testing.T) *vendorWorld {
	t.Helper()
	a, err := New(t.Context(), config.Server{
		Database: testkit.DatabaseURL(t), Listen: "127.0.0.1:0", AdminKey: operatorKey, MasterKey: strings.Repeat("1a", 32),
		MaxInFlight: 16, MaxEventBytes: 256 << 10,
	}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		a.Stop(ctx)
	})
	return (&vendorWorld{App: a, t: t}).mustJoin("acme")
}

// mustJoin returns the server with another tenant.
func (w *vendorWorld) mustJoin(alias string) *vendorWorld {
	w.t.Helper()
	joined := &vendorWorld{App: w.App, t: w.t, alias: alias}
	operator := func(path, body string) map[string]any {
		var answer map[string]any
		status, text := w.ask(http.MethodPost, w.URL()+path, body, func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+operatorKey) })
		if err := json.Unmarshal([]byte(text), &answer); err != nil || status != http.StatusCreated {
			w.t.Fatalf("%s: %d %s", path, status, text)
		}
		return answer
	}
	made := operator("/v1/tenants", `{"alias":"`+alias+`","live":true}`)
	var err error
	if joined.tenant, err = id.Tenant.Parse(made["id"].(string)); err != nil {
		w.t.Fatal(err)
	}
	joined.key = operator("/v1/tenants/"+made["id"].(string)+"/keys", `{"dialect":"saasquatch","scopes":["read","manage"]}`)["api_key"].(string)
	return joined
}

func (w *vendorWorld) ask(method, url, body string, change func(*http.Request)) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	change(r)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// call makes a call of the vendor's API.
func (w *vendorWorld) call(method, path, body string) (int, string) {
	w.t.Helper()
	return w.ask(method, w.URL()+"/saasquatch/api/v1/"+w.alias+path, body, func(r *http.Request) { r.SetBasicAuth("", w.key) })
}

func (w *vendorWorld) want(method, path, body string, status int, has string) string {
	w.t.Helper()
	got, text := w.call(method, path, body)
	if got != status || !strings.Contains(text, has) {
		w.t.Fatalf("%s %s: %d %s, want %d with %s", method, path, got, text, status, has)
	}
	return text
}

// wantSoon asks until the answer has a text.
func (w *vendorWorld) wantSoon(path, has string) string {
	w.t.Helper()
	text := ""
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, text = w.call(http.MethodGet, path, ""); strings.Contains(text, has) {
			return text
		}
	}
	w.t.Fatalf("%s says %s, want %s", path, text, has)
	return ""
}

func (w *vendorWorld) mustRegister(key string) {
	w.t.Helper()
	_, err := w.programs.referrals.Register(w.t.Context(), w.tenant, referral.Registration{
		Identity: person.Identity{Scheme: "saasquatch", Key: "a%2Fb/" + key}, Patch: person.Patch{FirstName: new("=1+1"), LastName: new(key)},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestAnExportIsOrderedAwaitedAndDownloaded(t *testing.T) {
	w := mustVendorWorld(t)
	if _, err := w.programs.kinds.Create(t.Context(), w.tenant, program.New{Key: "referral", Kind: referral.KindName}); err != nil {
		t.Fatal(err)
	}
	for n := range 5 {
		w.mustRegister(fmt.Sprint("u", n))
	}
	text := w.want(http.MethodPost, "/export", `{"type":"USER","format":"CSV","name":"People","params":{"createdOrUpdatedSince":"2016-06-29T18:08:58Z"}}`,
		http.StatusCreated, `"status":"PENDING"`)
	var ordered struct{ ID, Requester string }
	if err := json.Unmarshal([]byte(text), &ordered); err != nil || ordered.Requester != "API" {
		t.Fatalf("%v: %s", err, text)
	}
	of := "/export/" + ordered.ID
	if done := w.wantSoon(of, `"status":"COMPLETED"`); !strings.Contains(done, `"createdOrUpdatedSince":1467223738000`) {
		t.Errorf("it is %s", done)
	}
	w.want(http.MethodGet, "/export/history/list?limit=1", "", http.StatusOK, `"count":1,"totalCount":1}`)
	w.want(http.MethodGet, "/export/history/list?offset=1", "", http.StatusOK, `{"data":[],"count":0,"totalCount":1}`)
	rows, err := csv.NewReader(strings.NewReader(w.want(http.MethodGet, of+"/download", "", http.StatusOK, ""))).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	link := rows[1][slices.Index(rows[0], "shareLink")]
	if rows[1][0] != "u0" || rows[1][1] != "a/b" || rows[1][3] != "'=1+1" || !strings.HasPrefix(link, w.URL()+"/r/") {
		t.Errorf("the first row is %q", rows[1])
	}

	other := w.mustJoin("umbrella")
	for _, path := range []string{of, of + "/download", "/export/000000000000000000000000", "/export/nothing"} {
		other.want(http.MethodGet, path, "", http.StatusNotFound, `"apiErrorCode":"NOT_FOUND"`)
	}
	for _, body := range []string{
		`{"type":"COW"}`, `{}`, `{"type":"USER","format":"XLSX"}`, `{"type":"USER","params":{"createdSince":"soon"}}`, `{"type":"USER","params":[]}`,
		`{"type":"USER","params":{"filter":{"a":1}}}`, `{"type":"USER","name":7}`,
	} {
		w.want(http.MethodPost, "/export", body, http.StatusBadRequest, `"apiErrorCode":"VALIDATION_FAILED"`)
	}
	w.want(http.MethodGet, "/export/history/list?limit=0", "", http.StatusOK, `"data":[],"count":0`)
	w.want(http.MethodGet, "/export/history/list?limit=many", "", http.StatusBadRequest, `limit`)
}

func TestAThemeIsEditedPreviewedAndPublished(t *testing.T) {
	w := mustVendorWorld(t)
	const general, local = "/theme/variables/instance", "/theme/de/variables/instance"
	w.want(http.MethodGet, "/theme/variables/schema", "", http.StatusOK, `"referredPays"`)
	w.want(http.MethodGet, general, "", http.StatusOK, `{}`)
	w.want(http.MethodPut, general, `{"referredPays":"gold"}`, http.StatusNoContent, "")
	w.want(http.MethodGet, general, "", http.StatusOK, `{"referredPays":"gold"}`)
	w.want(http.MethodPatch, general, `{"referredPays":"silver"}`, http.StatusOK, `{"referredPays":"silver"}`)
	w.want(http.MethodGet, local, "", http.StatusNotFound, `"apiErrorCode":"NOT_FOUND"`)
	w.want(http.MethodPut, local, `{"referredPays":"Gold"}`, http.StatusNoContent, "")
	w.want(http.MethodDelete, local, "", http.StatusOK, `{"referredPays":"silver"}`)
	w.want(http.MethodDelete, local, "", http.StatusNotFound, "")
	w.want(http.MethodPut, general, `{"referredPays":7}`, http.StatusBadRequest, `"validationErrors":["referredPays: must`)
	w.want(http.MethodPut, general, `[]`, http.StatusBadRequest, `"apiErrorCode":"BAD_REQUEST"`)
	w.want(http.MethodPut, "/theme/nowhere/variables/instance", `{}`, http.StatusBadRequest, `locale`)

	w.want(http.MethodPost, "/theme/email/email.referral.started/preview?locale=de", "", http.StatusOK, "<")
	w.want(http.MethodPost, "/theme/email/referral_paid/preview", "{}", http.StatusOK, "<")
	for _, of := range []string{"REFERRAL_STARTED", "REFERRAL_CONVERTED", "REFERRER_REWARD_LIMIT_REACHED"} {
		w.want(http.MethodPost, "/theme/email/"+of+"/preview", "", http.StatusOK, "")
	}
	w.want(http.MethodPost, "/theme/email/REFERRAL_STARTED/preview?locale=nowhere!", "", http.StatusBadRequest, `"rsCode":"RS039"`)
	w.want(http.MethodPost, "/theme/email/cow/preview", "", http.StatusBadRequest, `"message":"type: must be one of`)
	w.want(http.MethodPost, "/theme/email/referral_paid/preview?sendTo=a@example.com", "", http.StatusBadRequest, "sendTo")

	w.want(http.MethodGet, "/theme/publish_status", "", http.StatusOK, `{"log":[]}`)
	w.want(http.MethodPost, "/theme/publish", `{}`, http.StatusAccepted, "")
	w.wantSoon("/theme/publish_status", `"message":"PUBLISH COMPLETED"}]}`)
}

func TestTheTimersOfADeletedTenantDoNothing(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	tenants, err := tenant.New(d, tenant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPrograms(programsOptions{DB: d, Jobs: job.NewRunner(job.Options{DB: d}), Tenants: tenants})
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(time.Hour)
	states := map[string]reward.State{"living": reward.IsAvailable, "deleted": reward.IsPending}
	given := make(map[string]*reward.Reward)
	for alias := range states {
		of, _, _, err := tenants.Create(t.Context(), tenant.NewTenant{Alias: alias})
		if err != nil {
			t.Fatal(err)
		}
		who, err := p.referrals.Register(t.Context(), of.ID, referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "anna"}})
		if err != nil {
			t.Fatal(err)
		}
		given[alias], err = p.referrals.GiveReward(t.Context(), of.ID, reward.Award{
			PersonID: who.Person.ID, Kind: rule.Credit, Amount: 100, Unit: "cents", DueAt: due,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tenants.Delete(t.Context(), given["deleted"].TenantID); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{2, 0} {
		if n, err := p.timers.RunDue(t.Context(), due.Add(time.Minute)); n != want || err != nil {
			t.Errorf("%d timers were taken, %v; want %d", n, err, want)
		}
	}
	for alias, r := range given {
		got, err := p.referrals.Reward(t.Context(), r.TenantID, r.ID)
		if err != nil || got.State != states[alias] {
			t.Errorf("the reward of the %s tenant: %+v, %v", alias, got, err)
		}
	}
}
