package app_test

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheConsoleStandsBesideTheAPI(t *testing.T) {
	a := mustStart(t, settings(filepath.Join(t.TempDir(), "grapevine.db")))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/console":          {http.StatusPermanentRedirect, ""},
		"/console/sign-in":  {http.StatusOK, "<title>Sign in"},
		"/console/nowhere":  {http.StatusSeeOther, ""}, // to the sign-in
		"/consoles":         {http.StatusNotFound, `"code":"not_found"`},
		"/v1//events":       {http.StatusNotFound, `"code":"not_found"`},
		"/v1/subscriptions": {http.StatusUnauthorized, `"code":"unauthenticated"`},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want.status || !strings.Contains(string(body), want.text) {
			t.Errorf("%s: %d %.200s", path, resp.StatusCode, body)
		}
	}
	if link, err := a.SignInLink(t.Context()); err != nil || !strings.HasPrefix(link, a.URL()+"/console/sign-in?token=") {
		t.Errorf("the link is %s, %v", link, err)
	}
}
