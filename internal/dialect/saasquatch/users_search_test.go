package saasquatch_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/referral"
)

// found returns the ids of the users that a query finds, with what else is asked for.
func (s *site) found(query, page string) []string {
	s.t.Helper()
	list := s.call(http.MethodGet, "/users?query="+url.QueryEscape(query)+page, "", http.StatusOK)
	users, _ := list["users"].([]any)
	ids := make([]string, len(users))
	for i, u := range users {
		one, _ := u.(map[string]any)
		ids[i] = fmt.Sprint(one["id"])
	}
	return ids
}

func TestUsersAreFoundByWhatTheyAreCalled(t *testing.T) {
	s := mustSite(t)
	code := s.mustUser("u-17", "Anna Maria", "van Dyk")
	s.call(http.MethodPut, "/open"+userPath("team", "u-18"), `{"firstName":"Bob","lastName":"Testerson","email":"bob@example.com"}`, http.StatusOK)
	s.call(http.MethodPut, "/open"+userPath("solo", "u-20"), `{"firstName":"Élodie"}`, http.StatusOK)
	for query, want := range map[string]string{
		code: "u-17", "BOB@": "u-18", "van dyk anna": "u-17", "van": "u-17", "Testerson": "u-18", "TEST": "u-18",
		"bob": "u-18", " aNNa  maria ": "u-17", "Anna Maria van Dyk": "u-17", "Bob Tes": "u-18", "ÉLO": "u-20",
	} {
		if got := s.found(query, ""); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %s", query, got, want)
		}
	}
	for _, query := range []string{"nobody at all", "Maria", "Dyk", "Bob van", "ob"} {
		if got := s.found(query, ""); len(got) > 0 {
			t.Errorf("%s: %q", query, got)
		}
	}
	s.call(http.MethodPut, "/open"+userPath("team", "u-18"), `{"firstName":"Rob","lastName":"Olsen"}`, http.StatusOK)
	if by := slices.Concat(s.found("bob t", ""), s.found("test", "")); len(by) > 0 {
		t.Errorf("by the name of before: %q", by)
	}
	if got := slices.Concat(s.found("rob o", ""), s.found("ols", "")); !slices.Equal(got, []string{"u-18", "u-18"}) {
		t.Errorf("by the name of now: %q", got)
	}
}

func TestUsersAreFoundByTheirIdsInWhateverAccount(t *testing.T) {
	s := mustSite(t)
	s.mustUser("u-17", "Anna", "Adams")
	for _, path := range []string{userPath("team", "u-18"), userPath("north", "u/19 ü"), userPath("south", "u/19 ü")} {
		s.call(http.MethodPut, "/open"+path, `{}`, http.StatusOK)
	}
	known := s.mustKnow(referral.Registration{Identity: person.Identity{Scheme: person.Native, Key: "own-20"}, Patch: person.Patch{Account: new("west")}})
	paged := s.mustKnow(referral.Registration{Identity: person.Identity{Scheme: referral.Hosted, Key: "carl@example.com"}})
	for query, want := range map[string][]string{
		"u-17": {"u-17"}, "team": {"u-18"}, "team/u-18": {"u-18"}, "u-18": {"u-18"}, "u/19 ü": {"u/19 ü", "u/19 ü"},
		"own-20": {"own-20"}, "west": {"own-20"}, known.ID.String(): {"own-20"}, paged.ID.String(): {paged.ID.String()},
		"u-1": {}, "U-18": {}, "eam/u-18": {},
	} {
		if got := s.found(query, ""); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	s.call(http.MethodDelete, "/open"+userPath("team", "u-18")+"?doNotTrack=true", "", http.StatusNoContent)
	if got := s.found("u-18", ""); len(got) > 0 {
		t.Errorf("who was forgotten is found: %q", got)
	}
}

func TestWhatAQueryFindsInSeveralWaysIsOnItsPagesOnce(t *testing.T) {
	s := mustSite(t)
	for i, body := range []string{
		`{"firstName":"Kim","lastName":"Kimball","email":"kim@example.com"}`, `{"firstName":"Kim","lastName":"Adams"}`,
		`{"firstName":"Ada","lastName":"Kimura"}`, `{"email":"kimberly@example.com"}`, `{"lastName":"Kim"}`, `{"firstName":"Kimo"}`,
	} {
		s.call(http.MethodPut, "/open"+userPath(fmt.Sprintf("u%d", i), fmt.Sprintf("u%d", i)), body, http.StatusOK)
	}
	s.call(http.MethodPut, "/open"+userPath("other", "kim"), `{"firstName":"Kim","lastName":"Zorn"}`, http.StatusOK)
	want := []string{"u4", "kim", "u0", "u3", "u5", "u2", "u1"} // by code, by id, by address, by the last name, by the first
	var pages []string
	for offset := range 8 {
		pages = append(pages, s.found("kim", fmt.Sprintf("&limit=1&offset=%d", offset))...)
	}
	if all := s.found("kim", ""); !slices.Equal(all, want) || !slices.Equal(pages, want) {
		t.Errorf("%q, and in pages %q", all, pages)
	}
	list := s.call(http.MethodGet, "/users?query=kim&limit=2", "", http.StatusOK)
	s.wantAt(list, map[string]string{"count": "2", "totalCount": "7"})
}
