package dialects_test

import (
	"testing"

	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
	"github.com/grapevine-hq/grapevine/internal/wire/wiretest"
)

func TestEveryDialectConforms(t *testing.T) {
	for _, d := range dialects.All {
		t.Run(d.Name(), func(t *testing.T) { wiretest.Run(t, d) })
	}
}

func TestADialectIsFoundByItsNameAlone(t *testing.T) {
	seen := make(map[string]bool)
	for _, d := range dialects.All {
		if seen[d.Name()] {
			t.Errorf("two dialects are called %s", d.Name())
		}
		seen[d.Name()] = true
		if got, ok := dialects.Get(d.Name()); !ok || got != d {
			t.Errorf("%s is not found", d.Name())
		}
	}
	if got, ok := dialects.Get("klingon"); ok || got != nil {
		t.Errorf("found %v", got)
	}
	if dialects.All[0].Name() != "standard" {
		t.Error("the default is not the standard one")
	}
}

func TestTheNamesStandInTheOrderOfAll(t *testing.T) {
	if got, want := dialects.Names(), "standard, saasquatch, referralloop, rehook, partnerstack"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
