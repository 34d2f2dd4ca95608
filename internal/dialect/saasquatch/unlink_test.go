package saasquatch_test

import (
	"net/http"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/dialect/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func vendors(key string) person.Identity { return person.Identity{Scheme: "saasquatch", Key: key} }

// mustKnow has the tenant know somebody who did not come by this API.
func (w *restWorld) mustKnow(of person.Identity, patch person.Patch) *person.Person {
	w.t.Helper()
	done, err := w.referrals.Register(w.t.Context(), w.acme.ID, referral.Registration{Identity: of, Patch: patch})
	w.must(err)
	return done.Person
}

func (w *restWorld) mustPut(account, user string) {
	w.t.Helper()
	if got := w.ask(http.MethodPut, "/open"+userPath(account, user), `{}`); got.Status != http.StatusOK {
		w.t.Fatalf("%s/%s: %d %s", account, user, got.Status, got.Body)
	}
}

func (w *restWorld) mustUnlink(of *person.Person, keys ...string) {
	w.t.Helper()
	for _, key := range keys {
		_, err := w.referrals.RemoveIdentity(w.t.Context(), w.acme.ID, of.ID, vendors(key))
		w.must(err)
	}
}

// wantShown demands how a person is shown, that the person is found so, and that
// nobody is by the other names.
func (w *restWorld) wantShown(of *person.Person, account, user string, others ...string) {
	w.t.Helper()
	p, err := w.referrals.PersonByID(w.t.Context(), w.acme.ID, of.ID)
	w.must(err)
	if a, u := saasquatch.NameOf(p.Person); a != account || u != user {
		w.t.Errorf("shown as %s/%s, want %s/%s", a, u, account, user)
	}
	found := mustDecode[struct{ ID, AccountID string }](w.t, w.ask(http.MethodGet, userPath(account, user), ""), http.StatusOK)
	if found.ID != user || found.AccountID != account {
		w.t.Errorf("%s/%s is found as %+v", account, user, found)
	}
	for _, other := range others {
		wantRefused(w.t, other, w.ask(http.MethodGet, userPath(other, other), ""), http.StatusNotFound, "USER_NOT_FOUND")
	}
}

func TestAPersonIsNotMeantByANameThatWasTakenAway(t *testing.T) {
	anna := person.Identity{Scheme: person.Native, Key: "anna"}
	t.Run("that is the tenant's id", func(t *testing.T) {
		w := mustRESTWorld(t)
		p := w.mustKnow(anna, person.Patch{})
		w.mustPut("anna", "anna") // by which anna is shown
		w.mustUnlink(p, "anna/anna")
		own := p.ID.String()
		w.wantShown(p, "anna", own, "anna") // of the account anna since the request
		w.mustPut("anna", "anna")           // somebody else
		if _, n, err := w.referrals.People(t.Context(), w.acme.ID, referral.Query{Limit: 1}); err != nil || n != 2 {
			t.Errorf("%d people, %v", n, err)
		}
		w.wantShown(p, "anna", own)
		if again, err := w.referrals.Person(t.Context(), w.acme.ID, anna); err != nil || again.ID != p.ID {
			t.Errorf("natively anna is %+v, %v", again, err)
		}
	})
	t.Run("while there is another name", func(t *testing.T) {
		w := mustRESTWorld(t)
		p := w.mustKnow(anna, person.Patch{})
		for _, key := range []string{"anna/anna", "shop/u7"} {
			_, err := w.referrals.AddIdentity(t.Context(), w.acme.ID, p.ID, vendors(key))
			w.must(err)
		}
		w.wantShown(p, "anna", "anna")
		w.mustUnlink(p, "anna/anna")
		w.wantShown(p, "shop", "u7", "anna")
	})
	t.Run("and has it again once it is added", func(t *testing.T) {
		w := mustRESTWorld(t)
		p := w.mustKnow(anna, person.Patch{})
		w.mustPut("anna", "anna")
		w.mustUnlink(p, "anna/anna")
		_, err := w.referrals.AddIdentity(t.Context(), w.acme.ID, p.ID, vendors("anna/anna"))
		w.must(err)
		w.mustUnlink(p, "anna/"+p.ID.String())
		w.wantShown(p, "anna", "anna", p.ID.String())
	})
	t.Run("but by our own id always", func(t *testing.T) {
		w := mustRESTWorld(t)
		p := w.mustKnow(person.Identity{Scheme: referral.Hosted, Key: "carl@example.com"}, person.Patch{})
		own := p.ID.String()
		w.mustPut(own, own)
		if _, err := w.referrals.RemoveIdentity(t.Context(), w.acme.ID, p.ID, vendors(own+"/"+own)); !problem.Conflict.Has(err) {
			t.Errorf("got %v", err)
		}
		w.wantShown(p, own, own)
		_, err := w.referrals.AddIdentity(t.Context(), w.acme.ID, p.ID, vendors("shop/u7"))
		w.must(err)
		w.mustUnlink(p, own+"/"+own)
		w.wantShown(p, "shop", "u7")
	})
	t.Run("as it was before where it only was linked", func(t *testing.T) {
		w := mustRESTWorld(t)
		p := w.mustKnow(anna, person.Patch{})
		_, err := w.referrals.AddIdentity(t.Context(), w.acme.ID, p.ID, vendors("shop/shop"))
		w.must(err)
		w.mustUnlink(p, "shop/shop")
		w.wantShown(p, "anna", "anna", "shop")
	})
}
