package saasquatch_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

func TestAUserHasTheKeysOfThePagesSample(t *testing.T) {
	s := mustSite(t)
	s.mustUser("mike", "Mike", "Keenerson")
	got := s.Send(http.MethodGet, "/api/v1/acme"+userPath("mike", "mike"), "", password(s.key))
	page, err := os.ReadFile("../../wire/saasquatch/testdata/page/user.created.json")
	if err != nil {
		t.Fatal(err)
	}
	var sample struct{ Data json.RawMessage }
	if err := json.Unmarshal(page, &sample); err != nil {
		t.Fatal(err)
	}
	if has, want := keysOf(t, got.Body), keysOf(t, string(sample.Data)); !slices.Equal(has, want) {
		t.Errorf("keys %q, want %q", has, want)
	}
	var links, wanted struct{ ShareLinks json.RawMessage }
	_ = json.Unmarshal([]byte(got.Body), &links)
	_ = json.Unmarshal(sample.Data, &wanted)
	if has, want := keysOf(t, string(links.ShareLinks)), keysOf(t, string(wanted.ShareLinks)); !slices.Equal(has, want) {
		t.Errorf("links %q, want %q", has, want)
	}
	if n := strings.Count(string(links.ShareLinks), baseURL+"/r/"); n != 34 {
		t.Errorf("%d links: %s", n, links.ShareLinks)
	}
}

func TestAUserIsStoredShownChangedAndForgotten(t *testing.T) {
	s := mustSite(t)
	path := "/open" + userPath("ac/me 1", "mike@example.com")
	shown := s.call(http.MethodPost, path, `{"id":"mike@example.com","accountId":"ac/me 1","firstName":"Mike","lastName":"Keenerson",
		"email":"mike@example.com","locale":"en_US","countryCode":"us","imageUrl":"https://example.com/m.png","customFields":{"plan":"Pro+"},"unheard":[1]}`, http.StatusCreated)
	s.wantAt(shown, map[string]string{
		"id": `"mike@example.com"`, "accountId": `"ac/me 1"`, "firstName": `"Mike"`, "lastName": `"Keenerson"`, "email": `"mike@example.com"`,
		"locale": `"en_US"`, "countryCode": `"US"`, "imageUrl": `"https://example.com/m.png"`, "customFields": `{"plan":"Pro+"}`,
		"referralCode": `"MIKEKEENERSON"`, "referralCodes": `{"classic":"MIKEKEENERSON"}`, "referable": "true", "referredBy": "null",
		"referredByCodes": "[]", "segments": "[]",
	})
	s.refused(http.MethodPost, path, `{}`, http.StatusBadRequest, "USER_ALREADY_EXISTS", "RS048")
	shown = s.call(http.MethodPut, path, `{"firstName":"Michael","email":null}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"firstName": `"Michael"`, "lastName": `"Keenerson"`, "email": `"mike@example.com"`, "referralCode": `"MIKEKEENERSON"`})

	shown = s.call(http.MethodGet, path+"?fields=firstName,dateBlocked&fields=lastInitial", "", http.StatusOK)
	if len(shown) != 3 || shown["firstName"] != "Michael" || shown["lastInitial"] != "K" {
		t.Errorf("of the fields that were asked for: %v", shown)
	}
	shown = s.call(http.MethodGet, path+"?extraFields=emailHash", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"firstName": `"Michael"`, "emailHash": `"791214eb452bf4de30e957d65a0234d4"`})
	shown = s.call(http.MethodGet, userPath("ac/me 1", "mike@example.com")+"/pii", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"email": `"mike@example.com"`, "lastInitial": `"K"`, "customFields": `{"plan":"Pro+"}`, "referable": "true", "firstSeenIP": "null"})

	s.call(http.MethodDelete, path, "", http.StatusNoContent)
	s.refused(http.MethodGet, path, "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	s.refused(http.MethodDelete, path, "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	s.call(http.MethodPost, path, `{"firstName":"Mike"}`, http.StatusCreated)
	s.call(http.MethodDelete, path+"?doNotTrack=true", "", http.StatusNoContent)
	s.refused(http.MethodPut, path, `{"firstName":"Mike"}`, http.StatusForbidden, "DO_NOT_TRACK", "RS050")
}

func TestTheClassicUpsertTakesTheIdsFromTheBody(t *testing.T) {
	s := mustSite(t)
	shown := s.call(http.MethodPost, "/user", `{"id":"u1","accountId":"a1","firstName":"Bob","lastName":"Testerson","referralCode":"BOBSCODE","email":"bob@example.com"}`, http.StatusOK)
	s.wantAt(shown, map[string]string{"id": `"u1"`, "accountId": `"a1"`, "referralCode": `"BOBSCODE"`, "imageUrl": `""`, "lastSeenIP": "null"})
	shown = s.call(http.MethodGet, "/user?referralCode=bobscode", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"id": `"u1"`, "email": `"bob@example.com"`})
	s.refused(http.MethodPost, "/user", `{"id":"u1"}`, http.StatusBadRequest, "VALIDATION_FAILED", "RS044")
	s.refused(http.MethodPost, "/user", `{"accountId":"a1"}`, http.StatusBadRequest, "VALIDATION_FAILED", "RS043")
}

func TestUsersAreListedAndFound(t *testing.T) {
	s := mustSite(t)
	for i := range 12 {
		s.mustUser(fmt.Sprintf("u%d", i), "First", fmt.Sprintf("Last%d", i))
	}
	shown := s.call(http.MethodGet, "/users", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"count": "10", "totalCount": "12"})
	shown = s.call(http.MethodGet, "/users?limit=5&offset=10", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"count": "2", "totalCount": "12"})
	shown = s.call(http.MethodGet, "/users?query=last11", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"count": "1", "totalCount": "1"})
	for _, query := range []string{"%00", "%25", "'", strings.Repeat("x", 3000), "nobody"} {
		shown = s.call(http.MethodGet, "/users?query="+query, "", http.StatusOK)
		s.wantAt(shown, map[string]string{"users": "[]", "count": "0"})
	}
	shown = s.call(http.MethodGet, "/users?limit=1000&offset=1000000", "", http.StatusOK)
	s.wantAt(shown, map[string]string{"users": "[]", "count": "0", "totalCount": "12"})
	for _, query := range []string{"limit=-1", "limit=x", "limit=1001", "offset=-1", "offset=1000001", "offset=99999999999"} {
		s.refused(http.MethodGet, "/users?"+query, "", http.StatusBadRequest, "VALIDATION_FAILED", "")
		s.refused(http.MethodGet, "/referrals?"+query, "", http.StatusBadRequest, "VALIDATION_FAILED", "")
	}
}

func TestAnAccountHasAThousandUsersAtMost(t *testing.T) {
	s := mustSite(t)
	account := "full"
	var registering sync.WaitGroup
	for part := range 20 {
		registering.Go(func() {
			for i := range 50 {
				as := person.Identity{Scheme: "saasquatch", Key: fmt.Sprintf("full/u%d", part*50+i)}
				r := referral.Registration{Identity: as, Patch: person.Patch{Account: &account, Unreferable: new(true)}}
				if _, err := s.Referrals.Register(t.Context(), s.acme.ID, r); err != nil {
					t.Error(err)
				}
			}
		})
	}
	registering.Wait()
	s.refused(http.MethodPut, "/open"+userPath("full", "another"), "{}", http.StatusBadRequest, "ACCOUNT_USER_LIMIT", "RS013")
	s.call(http.MethodPut, "/open"+userPath("full", "u7"), `{"firstName":"Seven"}`, http.StatusOK)
	_, n, err := s.Referrals.People(t.Context(), s.acme.ID, referral.Query{Limit: 1})
	if err != nil || n != 1000 {
		t.Errorf("%d people, %v", n, err)
	}
	s.mustUser("besides", "Fulla", "Fuller") // behind a thousand others
	s.wantAt(s.call(http.MethodGet, "/users?query=full&limit=10&offset=995", "", http.StatusOK), map[string]string{"count": "5", "totalCount": "1000"})
}

func TestAUserIsBlockedAndUnblocked(t *testing.T) {
	s := mustSite(t)
	s.mustUser("mike", "Mike", "Keenerson")
	path := userPath("mike", "mike")
	s.refused(http.MethodPost, path+"/unblock", "", http.StatusForbidden, "FORBIDDEN", "")
	s.call(http.MethodPost, path+"/block", "", http.StatusOK)
	s.refused(http.MethodPost, path+"/block", "", http.StatusForbidden, "FORBIDDEN", "")
	if shown := s.call(http.MethodGet, "/open"+path+"?fields=dateBlocked", "", http.StatusOK); shown["dateBlocked"] == nil {
		t.Error("it is not blocked")
	}
	s.call(http.MethodPost, path+"/unblock", "", http.StatusOK)
	for _, what := range []string{"/block", "/unblock"} {
		s.refused(http.MethodPost, userPath("mike", "nobody")+what, "", http.StatusNotFound, "USER_NOT_FOUND", "RS042")
	}
}

func TestUpsertsAtOnceMakeOneUser(t *testing.T) {
	s := mustSite(t)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() { s.mustUser("bob", "Bob", "Testerson") })
	}
	asking.Wait()
	_, n, err := s.Referrals.People(t.Context(), s.acme.ID, referral.Query{Limit: 10})
	if err != nil || n != 1 {
		t.Errorf("%d people, %v", n, err)
	}
}
