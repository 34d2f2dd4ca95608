package bench

import (
	"slices"
	"strings"
	"testing"
)

func TestEachKindOfLookUpIsMadeSoOftenAndOnOneConnection(t *testing.T) {
	var server squatchServer
	to := server.start(t)
	people, _ := mustFill(t, to, 40)
	server.forgetConnections()
	v := mustVisitor(t, to, people)
	const n = 10
	got, err := v.look(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for i, took := range got.took {
		if len(took) != n {
			t.Errorf("%s: %d requests", v.kinds[i].name, len(took))
		}
	}
	if got.wrong != 0 || server.opened != 1 {
		t.Errorf("%d answers were wrong, on %d connections", got.wrong, server.opened)
	}
	if !slices.ContainsFunc(v.kinds, func(k lookUp) bool { return k.path == nil }) {
		t.Error("there is no control")
	}
}

func TestAnAnswerAboutSomebodyElseIsWrong(t *testing.T) {
	var server squatchServer
	to := server.start(t)
	people, _ := mustFill(t, to, 40)
	for code := range server.codes {
		server.codes[code] = "u99999999"
	}
	got, err := mustVisitor(t, to, people).look(t.Context(), 10)
	if err != nil {
		t.Fatal(err)
	}
	if got.wrong != 20 { // those by code, and those that search
		t.Errorf("%d answers were wrong", got.wrong)
	}
}

// mustVisitor looks up those who have signed up.
func mustVisitor(t *testing.T, to squatch, people *crowd) visitor {
	t.Helper()
	v := visitor{
		client: oneConnection(), to: to, control: strings.TrimSuffix(to.base, "/api") + "/healthz",
		kinds: lookUpsOf(len(people.known)), some: people.sample(len(people.known)),
	}
	t.Cleanup(v.client.CloseIdleConnections)
	return v
}
