package api_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

func TestWhoIsListedIsDeniedAndShownWithTheEntry(t *testing.T) {
	cookie := attribution.Cookie{}.Visit("ANNA", time.Now())
	for kind, c := range map[client.BlocklistKind]struct {
		listed string
		bert   client.PersonReport
	}{
		client.BlocklistEmail:  {"Bert+news@B.example", client.PersonReport{Email: new("bert@b.example")}},
		client.BlocklistDomain: {"B.example", client.PersonReport{Email: new("bert@mail.b.example")}},
		client.BlocklistIP:     {"2001:db8::/48", client.PersonReport{IP: "2001:db8::17"}},
		client.BlocklistDevice: {cookie.Value(), client.PersonReport{Device: cookie.Visit("OTHER", time.Now()).Value()}},
	} {
		t.Run(string(kind), func(t *testing.T) {
			w := MustWorld(t, nil)
			a := w.MustAccount("acme")
			if _, err := a.CreateProgram(t.Context(), client.NewProgram{Key: "give-and-get", Rules: json.RawMessage(giveAndGet)}); err != nil {
				t.Fatal(err)
			}
			first, err := a.ReportPerson(t.Context(), "anna", client.PersonReport{Codes: map[string]string{"give-and-get": "ANNA"}})
			if err != nil {
				t.Fatal(err)
			}
			entry, err := a.AddBlocklistEntry(t.Context(), client.NewBlocklistEntry{Kind: kind, Value: c.listed, Reason: "unpaid"})
			if err != nil {
				t.Fatal(err)
			}
			c.bert.ReferredBy = []string{first.Codes[0].Text}
			bert, err := a.ReportPerson(t.Context(), "bert", c.bert)
			if err != nil {
				t.Fatal(err)
			}
			r := bert.Referrals[0]
			want := client.Evidence{People: []string{bert.ID}, Entry: entry.ID, EntryKind: string(kind), Side: "referred"}
			i := slices.IndexFunc(r.Signals, func(s client.Signal) bool { return s.Name == "listed" })
			if i < 0 || r.Moderation.Referrer != client.ModerationDenied || r.Moderation.Referred != client.ModerationDenied {
				t.Fatalf("%+v with %+v", r.Moderation, r.Signals)
			}
			if diff := cmp.Diff(want, r.Signals[i].Evidence); diff != "" || r.Signals[i].Action != "block" {
				t.Errorf("%+v (-want +got):\n%s", r.Signals[i], diff)
			}
		})
	}
}

func TestAnEntryIsMadeOnceFoundInAnyFormAndRemoved(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	made := w.send(http.MethodPost, "/v1/blocklist", a.Key, `{"kind":"email","value":"Ada@example.com","reason":"first"}`)
	again := w.send(http.MethodPost, "/v1/blocklist", a.Key, `{"kind":"email","value":"ada+2@EXAMPLE.com","reason":"second"}`)
	if made.status != http.StatusCreated || again.status != http.StatusOK || made.body != again.body {
		t.Errorf("made: %d %s, again: %d %s", made.status, made.body, again.status, again.body)
	}
	found, err := a.Blocklist(t.Context(), client.BlocklistFilter{Kind: client.BlocklistEmail, Value: "ADA@example.com"}, client.Page{})
	if err != nil || len(found.Data) != 1 || found.Data[0].Value != "ada@example.com" || found.Data[0].Reason != "first" {
		t.Fatalf("%+v, %v", found, err)
	}
	of := found.Data[0].ID
	if err := a.RemoveBlocklistEntry(t.Context(), of); err != nil {
		t.Fatal(err)
	}
	wantCode(t, a.RemoveBlocklistEntry(t.Context(), of), problem.NotFound)
	_, err = a.BlocklistEntry(t.Context(), of)
	wantCode(t, err, problem.NotFound)
	for action, want := range map[audit.Action][]audit.Field{
		audit.BlocklistAdded: {{Name: "kind", After: "email"}}, audit.BlocklistRemoved: {{Name: "kind", Before: "email"}},
	} {
		if diff := cmp.Diff(want, w.fieldsOf(of, action)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", action, diff)
		}
	}
}
