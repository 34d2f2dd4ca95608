package tenant_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

func MustUpdate(t testing.TB, s *tenant.Service, of id.ID, patch tenant.Patch) tenant.Tenant {
	t.Helper()
	changed, err := s.Update(t.Context(), of, patch)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

func MustSet(t testing.TB, s *tenant.Service, of id.ID, dialect string, chosen wire.Settings) {
	t.Helper()
	if err := s.SetSettings(t.Context(), of, dialect, chosen); err != nil {
		t.Fatal(err)
	}
}

func wantSettings(t testing.TB, s *tenant.Service, of id.ID, dialect string, want wire.Settings) {
	t.Helper()
	got, err := s.Settings(t.Context(), of, dialect)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings of %s (-want +got):\n%s", dialect, diff)
	}
}

func TestATenantSpeaksAllDialectsUnlessSomeAreNamed(t *testing.T) {
	s := newPolyglot(t)
	all := MustCreate(t, s, "all")
	some, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "some", Dialects: []string{"rehook", "standard", "rehook"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range spoken {
		if !all.Speaks(d.Name()) || some.Speaks(d.Name()) != (d.Name() == "rehook" || d.Name() == "standard") {
			t.Errorf("%s: one speaks it: %v, the other: %v", d.Name(), all.Speaks(d.Name()), some.Speaks(d.Name()))
		}
	}
	want := []string{"standard", "rehook"} // the server's order, each once
	got, err := s.Get(t.Context(), some.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{want, want}, [][]string{some.Dialects, got.Dialects}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestTheDialectsOfATenantCanBeChangedWithoutItsAlias(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	wantAccepted(t, s, a.plaintext, time.Now(), a)
	changed := MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{"saasquatch"}})
	if changed.Alias != "acme" || !changed.UpdatedAt.After(a.UpdatedAt) || !changed.Speaks("saasquatch") || changed.Speaks("standard") {
		t.Errorf("got %+v", changed)
	}
	wantAccepted(t, s, a.plaintext, time.Now(), made{Tenant: changed})
	if again := MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{"saasquatch", "saasquatch"}}); !again.UpdatedAt.Equal(changed.UpdatedAt) {
		t.Error("the same dialects count as a change")
	}
	if renamed := MustUpdate(t, s, a.ID, tenant.Patch{Alias: new("acme-eu")}); renamed.Speaks("standard") {
		t.Error("a new alias changes the dialects")
	}
	if back := MustUpdate(t, s, a.ID, tenant.Patch{Dialects: &[]string{}}); !back.Speaks("standard") {
		t.Error("no dialects are not all of them")
	}
	if got, err := s.Get(t.Context(), b.ID); err != nil || !cmp.Equal(got, b.Tenant) {
		t.Errorf("the other tenant has become %+v, %v", got, err)
	}
}

func TestADialectThatTheServerDoesNotSpeakIsRefused(t *testing.T) {
	s := newPolyglot(t)
	a := MustCreate(t, s, "acme")
	for _, name := range []string{"klingon", "", "Standard", "standard ", "standard rehook", "standard\x00", "\xff"} {
		named := []string{"standard", name}
		_, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "other", Dialects: named})
		wantFields(t, err, name, "dialects")
		_, err = s.Update(t.Context(), a.ID, tenant.Patch{Alias: new("other"), Dialects: &named})
		wantProblem(t, err, problem.Invalid)
		if !strings.Contains(err.Error(), "standard, saasquatch, referralloop, rehook, partnerstack") {
			t.Errorf("the refusal does not say what there is: %v", err)
		}
	}
	_, _, _, err := s.Create(t.Context(), tenant.NewTenant{Alias: "-", Dialects: []string{"klingon"}})
	wantFields(t, err, "klingon", "alias", "dialects")
	if got, err := s.Get(t.Context(), a.ID); err != nil || !cmp.Equal(got, a.Tenant) {
		t.Errorf("a refused change left %+v, %v", got, err)
	}
}

func TestSettingsAreReplacedAsAWhole(t *testing.T) {
	s := newPolyglot(t)
	a, b := MustCreate(t, s, "acme"), MustCreate(t, s, "zenith")
	wantSettings(t, s, a.ID, "saasquatch", wire.Settings{})
	chosen := wire.Settings{"payload_version": "2020", "jws": "off"}
	MustSet(t, s, a.ID, "saasquatch", chosen)
	MustSet(t, s, a.ID, "partnerstack", wire.Settings{"literal_slips": "on"})
	wantSettings(t, s, a.ID, "saasquatch", chosen)
	MustSet(t, s, a.ID, "saasquatch", wire.Settings{"jws": "off"})
	wantSettings(t, s, a.ID, "saasquatch", wire.Settings{"jws": "off"})
	MustSet(t, s, a.ID, "saasquatch", nil)
	wantSettings(t, s, a.ID, "saasquatch", wire.Settings{})
	wantSettings(t, s, a.ID, "partnerstack", wire.Settings{"literal_slips": "on"})
	wantSettings(t, s, b.ID, "partnerstack", wire.Settings{})
	MustSet(t, s, a.ID, "standard", wire.Settings{})
	wantSettings(t, s, a.ID, "standard", wire.Settings{})
}

func TestASettingThatTheDialectDoesNotHaveIsRefusedByItsField(t *testing.T) {
	s := newPolyglot(t)
	a := MustCreate(t, s, "acme")
	MustSet(t, s, a.ID, "saasquatch", wire.Settings{"payload_version": "2020"})
	for name, tt := range map[string]struct {
		dialect string
		chosen  wire.Settings
		value   string
		fields  []string
	}{
		"an unknown value":              {"saasquatch", wire.Settings{"payload_version": "2021!"}, "2021!", []string{"settings.payload_version"}},
		"an empty value":                {"saasquatch", wire.Settings{"payload_version": ""}, "", []string{"settings.payload_version"}},
		"another setting's value":       {"saasquatch", wire.Settings{"payload_version": "on", "jws": "2016"}, "", []string{"settings.jws", "settings.payload_version"}},
		"an unknown name":               {"saasquatch", wire.Settings{"warp\x1b[31m": "9"}, "warp", []string{"settings"}},
		"another dialect's name":        {"saasquatch", wire.Settings{"literal_slips": "on"}, "literal_slips", []string{"settings"}},
		"a name in capitals":            {"saasquatch", wire.Settings{"JWS": "off"}, "", []string{"settings"}},
		"a good one beside a bad one":   {"saasquatch", wire.Settings{"jws": "off", "payload_version": "x"}, "", []string{"settings.payload_version"}},
		"any, where there is none":      {"standard", wire.Settings{"warp": "9"}, "warp", []string{"settings"}},
		"a bad name beside a bad value": {"partnerstack", wire.Settings{"literal_slips": "maybe", "warp": "9"}, "maybe", []string{"settings.literal_slips", "settings"}},
	} {
		t.Run(name, func(t *testing.T) {
			wantFields(t, s.SetSettings(t.Context(), a.ID, tt.dialect, tt.chosen), tt.value, tt.fields...)
		})
	}
	wantSettings(t, s, a.ID, "saasquatch", wire.Settings{"payload_version": "2020"})
}

func TestSettingsOfWhatIsNotThereAreNotFound(t *testing.T) {
	s := newPolyglot(t)
	a, gone := MustCreate(t, s, "acme"), MustCreate(t, s, "gone")
	MustSet(t, s, gone.ID, "partnerstack", wire.Settings{"literal_slips": "on"})
	if err := s.Delete(t.Context(), gone.ID); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		of      id.ID
		dialect string
	}{
		"a deleted tenant":   {gone.ID, "partnerstack"},
		"no tenant":          {id.ID{}, "partnerstack"},
		"an unknown dialect": {a.ID, "klingon"},
		"no dialect":         {a.ID, ""},
	} {
		_, err := s.Settings(t.Context(), tt.of, tt.dialect)
		wantProblem(t, err, problem.NotFound)
		if err := s.SetSettings(t.Context(), tt.of, tt.dialect, nil); !problem.NotFound.Has(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
