package verify_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/grapevine-hq/grapevine/verify"
)

func TestEachHeaderHasToHaveOneOfItsCredentials(t *testing.T) {
	old, current := verify.Basic("hook", "old"), verify.Basic("hook", "new")
	team, token := verify.Header("X-Team", "growth"), verify.Bearer("t0ken")
	const oldText, newText = "Basic aG9vazpvbGQ=", "Basic aG9vazpuZXc="
	for name, c := range map[string]struct {
		all  []verify.Credential
		with http.Header
		want error
	}{
		"the right one":              {[]verify.Credential{current}, http.Header{"Authorization": {newText}}, nil},
		"its scheme in lower case":   {[]verify.Credential{current}, http.Header{"Authorization": {"basic aG9vazpuZXc="}}, nil},
		"the new one, both known":    {[]verify.Credential{current, old}, http.Header{"Authorization": {newText}}, nil},
		"the old one, both known":    {[]verify.Credential{current, old}, http.Header{"Authorization": {oldText}}, nil},
		"the old one, not known":     {[]verify.Credential{current}, http.Header{"Authorization": {oldText}}, verify.ErrCredentials},
		"another scheme":             {[]verify.Credential{token}, http.Header{"Authorization": {"Basic t0ken"}}, verify.ErrCredentials},
		"a scheme alone":             {[]verify.Credential{token}, http.Header{"Authorization": {"Bearer"}}, verify.ErrCredentials},
		"a token":                    {[]verify.Credential{token}, http.Header{"Authorization": {"Bearer t0ken"}}, nil},
		"a token or a password":      {[]verify.Credential{token, old}, http.Header{"Authorization": {oldText}}, nil},
		"two headers":                {[]verify.Credential{current, team}, http.Header{"Authorization": {newText}, "X-Team": {"growth"}}, nil},
		"one of two headers":         {[]verify.Credential{current, team}, http.Header{"Authorization": {newText}}, verify.ErrMissingHeader},
		"one of two headers is off":  {[]verify.Credential{current, team}, http.Header{"Authorization": {newText}, "X-Team": {"Growth"}}, verify.ErrCredentials},
		"none where one is expected": {[]verify.Credential{team}, http.Header{}, verify.ErrMissingHeader},
		"twice":                      {[]verify.Credential{team}, http.Header{"X-Team": {"growth", "growth"}}, verify.ErrInvalidHeader},
	} {
		for kind, v := range map[string]receiver{"rehook": must(verify.NewRehook(c.all...)), "partnerstack": must(verify.NewPartnerStack(c.all...))} {
			if _, err := v.Request(sent{c.with, "{}"}.request()); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", kind, name, err, c.want)
			}
		}
	}
}
