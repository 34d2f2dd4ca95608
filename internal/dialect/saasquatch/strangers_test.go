package saasquatch_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestNobodyReportsWhatHappensHere(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	for _, key := range []string{"referral.converted", "account.paid", "person.created", "reward.available"} {
		s.refused(http.MethodPost, "/open/account/bob/user/bob/events", fmt.Sprintf(`{"events":[{"key":%q}]}`, key), http.StatusBadRequest, "VALIDATION_FAILED", "")
	}
	s.call(http.MethodPost, "/open/account/bob/user/bob/events", `{"events":[{"key":"referrals.seen"},{"key":"purchase"}]}`, http.StatusOK)
}

func TestTheKeyOfAnotherUsersEventsIsFree(t *testing.T) {
	s := mustSite(t)
	s.mustUser("bob", "Bob", "Testerson")
	s.mustUser("eve", "Eve", "Testerson")
	const body = `{"idempotencyKey":"order-10024","events":[{"key":"purchase"}]}`
	s.call(http.MethodPost, "/open/account/eve/user/eve/events", body, http.StatusOK)
	s.call(http.MethodPost, "/open/account/bob/user/bob/events", body, http.StatusOK)
	s.call(http.MethodPost, "/open/account/bob/user/bob/events", body, http.StatusConflict)
}

func TestTheAddressOfSomebodyWhoseNameItIsIsNotShownForTheirCode(t *testing.T) {
	s := mustSite(t)
	const address = "anna@example.com"
	done, err := s.Referrals.Register(t.Context(), s.acme.ID, referral.Registration{
		Identity: person.Identity{Scheme: referral.Hosted, Key: address}, Patch: person.Patch{FirstName: new("Anna")},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/open/user?referralCode=", "/open/code/"} {
		shown := fmt.Sprint(s.call(http.MethodGet, path+done.Codes[0].Text, "", http.StatusOK))
		if strings.Contains(shown, address) || !strings.Contains(shown, "Anna") {
			t.Errorf("%s shows %s", path, shown)
		}
	}
}
