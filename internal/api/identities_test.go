package api_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestAPersonIsKnownByFurtherNamesUntilTheyAreRemoved(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, second := w.MustRun()
	added := client.Identity{Scheme: "native", Key: "customer 7"}
	for range 2 {
		all, err := a.AddIdentity(t.Context(), "anna", added)
		if err != nil || !slices.Equal(all, []client.Identity{{Scheme: "native", Key: "anna"}, added}) {
			t.Fatalf("%v, %v", all, err)
		}
	}
	if found, err := a.Person(t.Context(), added.Key); err != nil || found.ID != first.ID {
		t.Errorf("%+v, %v", found, err)
	}
	if changed, err := a.ReportPerson(t.Context(), added.Key, client.PersonReport{Locale: new("de")}); err != nil || changed.ID != first.ID {
		t.Errorf("%+v, %v", changed, err)
	}
	_, err := a.AddIdentity(t.Context(), "bert", added)
	wantCode(t, err, problem.Conflict)
	wantCode(t, a.RemoveIdentity(t.Context(), second.ID, added), problem.NotFound)
	wantCode(t, a.RemoveIdentity(t.Context(), "anna", client.Identity{Scheme: "native", Key: "anna"}), problem.Conflict)
	if err := a.RemoveIdentity(t.Context(), "anna", added); err != nil {
		t.Fatal(err)
	}
	_, err = a.Person(t.Context(), added.Key)
	wantCode(t, err, problem.NotFound)
	if _, err := a.AddIdentity(t.Context(), "bert", added); err != nil {
		t.Error(err)
	}
}

func TestANameThatIsNoneOfItsSchemeIsRefused(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	for body, field := range map[string]string{
		`{"scheme":"hosted_form","key":"x"}`: "scheme",
		`{"scheme":"native","key":"per_x"}`:  "key",
		`{"scheme":"hosted","key":"x"}`:      "key",
		`{"scheme":"native"}`:                "key",
	} {
		p := w.send(http.MethodPost, "/v1/people/anna/identities", a.Key, body).problem(t, problem.Invalid)
		if !slices.Equal(p.fields(), []string{field}) {
			t.Errorf("%s: %q", body, p.fields())
		}
	}
}

func TestAWholeCookieIsTakenForItsBrowserAndItsCodes(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, _ := w.MustRun()
	cookie := attribution.Cookie{}.Visit("ANNAADAMS", first.CreatedAt)
	carl, err := a.ReportPerson(t.Context(), "carl", client.PersonReport{Device: cookie.Value()})
	if err != nil || len(carl.Referrals) != 1 || carl.Referrals[0].ReferrerID != first.ID || carl.Referrals[0].Method != "cookie" {
		t.Errorf("%+v, %v", carl.Referrals, err)
	}
}

func TestADisabledCodeBringsNobodyUntilItIsEnabled(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, first, _ := w.MustRun()
	by := client.PersonReport{ReferredBy: []string{"ANNAADAMS"}}
	if owner, err := a.DisableCode(t.Context(), "annaadams"); err != nil || !owner.Disabled || owner.Person.ID != first.ID {
		t.Fatalf("%+v, %v", owner, err)
	}
	_, err := a.ReportPerson(t.Context(), "carl", by)
	wantCode(t, err, problem.Invalid)
	if owner, err := a.EnableCode(t.Context(), "annaadams"); err != nil || owner.Disabled {
		t.Fatalf("%+v, %v", owner, err)
	}
	if carl, err := a.ReportPerson(t.Context(), "carl", by); err != nil || len(carl.Referrals) != 1 {
		t.Errorf("%+v, %v", carl, err)
	}
	_, err = a.DisableCode(t.Context(), "nobodys")
	wantCode(t, err, problem.NotFound)
}

func TestACodeOfAPoolIsGivenByHand(t *testing.T) {
	w := MustWorld(t, nil)
	a, _, _, _ := w.MustRun()
	if got := w.send(http.MethodPost, "/v1/pools/gifts/codes", a.Key, `{"codes":["GIFT-1"]}`); got.status >= 300 {
		t.Fatal(got.body)
	}
	r, err := a.GiveReward(t.Context(), "anna", client.NewReward{Kind: "code_pool", Def: "gifts"})
	if err != nil || r.Code != "GIFT-1" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = a.GiveReward(t.Context(), "anna", client.NewReward{Kind: "code_pool"})
	wantCode(t, err, problem.Invalid)
}
