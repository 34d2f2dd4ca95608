package fraud_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// marker stands in what is refused, and must be in no error.
const marker = "hunter2"

func TestMistakesInSettingsAreNamedByTheirPaths(t *testing.T) {
	many := func(n int, entry string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`"`+entry+`",`, n), ",") + "]"
	}
	for about, c := range map[string]struct {
		raw  string
		want []string
	}{
		"not JSON":                        {`{hunter2`, []string{"fraud"}},
		"a list":                          {`["hunter2"]`, []string{"fraud"}},
		"an unknown kind":                 {`{"hunter2":{}}`, []string{"fraud"}},
		"an unknown member":               {`{"rate":{"hunter2":1}}`, []string{"fraud.rate"}},
		"a knob of another kind":          {`{"email":{"threshold":80}}`, []string{"fraud.email"}},
		"a rule that is text":             {`{"rate":"hunter2"}`, []string{"fraud.rate"}},
		"text for a number":               {`{"rate":{"count":"hunter2"}}`, []string{"fraud.rate.count"}},
		"a broken number":                 {`{"rate":{"window":1.5}}`, []string{"fraud.rate.window"}},
		"text for a list":                 {`{"ip":{"allowed":"hunter2"}}`, []string{"fraud.ip.allowed"}},
		"an unknown action":               {`{"name":{"action":"hunter2"}}`, []string{"fraud.name.action"}},
		"a window below a minute":         {`{"rate":{"window":59}}`, []string{"fraud.rate.window"}},
		"a window above ninety days":      {`{"ip":{"window":7776001}}`, []string{"fraud.ip.window"}},
		"a window below zero":             {`{"rate":{"window":-1}}`, []string{"fraud.rate.window"}},
		"a count above what is known":     {`{"rate":{"count":51}}`, []string{"fraud.rate.count"}},
		"a threshold above a hundred":     {`{"name":{"threshold":101}}`, []string{"fraud.name.threshold"}},
		"a threshold below fifty":         {`{"name":{"threshold":49}}`, []string{"fraud.name.threshold"}},
		"too few bits":                    {`{"ip":{"ipv4_bits":7,"ipv6_bits":15}}`, []string{"fraud.ip.ipv4_bits", "fraud.ip.ipv6_bits"}},
		"no network":                      {`{"ip":{"allowed":["203.0.113.0/24","hunter2"]}}`, []string{"fraud.ip.allowed[1]"}},
		"no domain":                       {`{"domain":{"allowed":["hunter2"]}}`, []string{"fraud.domain.allowed[0]"}},
		"too many domains":                {`{"disposable":{"domains":` + many(1001, "a.example") + `}}`, []string{"fraud.disposable.domains"}},
		"too many networks":               {`{"ip":{"allowed":` + many(101, "192.0.2.1") + `}}`, []string{"fraud.ip.allowed"}},
		"several mistakes, named at once": {`{"self":{"action":"hunter2"},"rate":{"count":-1},"hunter2":1}`, []string{"fraud", "fraud.rate.count", "fraud.self.action"}},
	} {
		t.Run(about, func(t *testing.T) {
			_, err := fraud.Parse("fraud", []byte(c.raw))
			refusal, ok := errors.AsType[*problem.Error](err)
			if !ok {
				t.Fatalf("error is %v, want a problem", err)
			}
			var got []string
			for _, f := range refusal.Fields {
				got = append(got, f.Name)
			}
			slices.Sort(got)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("fields (-want +got):\n%s", diff)
			}
			if text := fmt.Sprint(refusal.Detail, refusal.Fields); strings.Contains(text, marker) {
				t.Errorf("the error repeats what was given: %s", text)
			}
		})
	}
}

func TestSettingsAtTheirBoundsAreTaken(t *testing.T) {
	for _, raw := range []string{
		``, `null`, `{}`, `{"name":null}`,
		`{"name":{"threshold":50},"rate":{"count":50,"window":60}}`,
		`{"name":{"threshold":100},"rate":{"count":1,"window":7776000}}`,
		`{"ip":{"allowed":["2001:db8::/32","203.0.113.7"],"ipv4_bits":8,"ipv6_bits":128}}`,
	} {
		if _, err := fraud.Parse("fraud", []byte(raw)); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestDomainsInSettingsAreBroughtToTheirNormalForm(t *testing.T) {
	s, err := fraud.Parse("fraud", []byte(`{"disposable":{"domains":["Bücher.Example."]},"domain":{"allowed":["ACME.example"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := fraud.Settings{
		Disposable: fraud.DisposableRule{Domains: []string{"xn--bcher-kva.example"}},
		Domain:     fraud.DomainRule{Allowed: []string{"acme.example"}},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}

func TestByDefaultWhoIsListedIsBlockedAndEveryOtherSignalIsFlagged(t *testing.T) {
	s := fraud.Settings{}.WithDefaults()
	if s.Listed.Action != fraud.Block {
		t.Errorf("the action of %q is %q, want block", fraud.OnList, s.Listed.Action)
	}
	for kind, action := range map[fraud.Kind]fraud.Action{
		fraud.Self: s.Self.Action, fraud.Ring: s.Ring.Action, fraud.SameEmail: s.Email.Action, fraud.SameDevice: s.Device.Action,
		fraud.Disposable: s.Disposable.Action, fraud.Sequential: s.Sequential.Action, fraud.SimilarName: s.Name.Action,
		fraud.SameIP: s.IP.Action, fraud.Rate: s.Rate.Action, fraud.SameDomain: s.Domain.Action,
	} {
		if action != fraud.Flag {
			t.Errorf("the action of %q is %q, want flag", kind, action)
		}
	}
	if err := s.Validate("fraud"); err != nil {
		t.Errorf("the defaults are not valid: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"rate":{"action":"hold","count":5,"window":3600},"ip":{"allowed":["::1/0"]},"domain":{"allowed":["a.b"]}}`))
	f.Add([]byte(`{"name":1e400}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := fraud.Parse("fraud", raw)
		if err != nil {
			return
		}
		if err := s.Validate("fraud"); err != nil {
			t.Errorf("what was parsed is not valid: %v", err)
		}
		fraud.Evaluate(honest(), s, now)
	})
}
