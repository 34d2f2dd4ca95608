package program_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestSettingsThatCantBeReadAreRefusedWithThePathOfTheMistakeAndTheFieldsThatThereAre(t *testing.T) {
	type inner struct {
		Mode   string `json:"mode,omitempty"`
		Window string `json:"window,omitempty"`
	}
	type settings struct {
		LandingURL  string          `json:"landing_url,omitempty"`
		Attribution inner           `json:"attribution,omitzero"`
		Fraud       json.RawMessage `json:"fraud,omitempty"`

		unexported int
	}
	_ = settings{unexported: 1}
	for given, want := range map[string]string{
		`null`: "", ``: "",
		`{"landing_url":"x","attribution":{"mode":"a"},"fraud":{"anything":1}}`: "",
		`{"Landing_URL":"x","ATTRIBUTION":{"Mode":"a"}}`:                        "",
		`{"landing":"x"}`:                           "settings.landing: is not one of the fields: there are landing_url, attribution, fraud",
		`{"landingUrl":"x"}`:                        "settings.landingUrl: is not one of the fields: there are landing_url, attribution, fraud",
		`{"attribution":{"mode":"a","windw":"1d"}}`: "settings.attribution.windw: is not one of the fields: there are mode, window",
		`{"unexported":1}`:                          "settings.unexported: is not one of the fields: there are landing_url, attribution, fraud",
		`{"sk_live_4eC39HqLyjWDarjtT1":1}`:          "settings: has a field that is not one of landing_url, attribution, fraud",
		`{"` + strings.Repeat("a", 41) + `":1}`:     "settings: has a field that is not one of landing_url, attribution, fraud",
		`{"attribution":{"` + "\u202e" + `":1}}`:    "settings.attribution: has a field that is not one of mode, window",
		`{"attribution":{"mode":7}}`:                "settings.attribution.mode: must hold another type of value",
		`["landing_url"]`:                           "settings: must be a JSON object",
		`"landing_url"`:                             "settings: must be a JSON object",
	} {
		err := program.ReadSettings(json.RawMessage(given), new(settings))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", given, err)
			}
			continue
		}
		if !problem.Invalid.Has(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", given, err, want)
		}
	}
}
