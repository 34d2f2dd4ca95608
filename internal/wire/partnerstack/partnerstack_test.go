package partnerstack_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/partnerstack"
)

func TestABodyIsTheDataAndNothingElse(t *testing.T) {
	for _, data := range []string{
		`{}`, `{"z":1,"event":"of ours","a":{"event":null}}`, `[1,{"event":"x"}]`, `"event"`, `null`,
	} {
		for eventType, settings := range map[string]wire.Settings{
			"transaction.created":       nil,
			"transaction.updated":       {"literal_slips": "off"},
			"training.course_completed": {"payload_version": "2020"},
			"customer.created":          slips,
			"deal.updated":              slips,
			"webhook.test":              slips,
		} {
			e := wire.Event{Type: eventType, OccurredAt: time.Unix(1, 0), Data: []byte(data), Tenant: wire.Tenant{Alias: "acme", Settings: settings}}
			if got := (partnerstack.Dialect{}).Encode(e); string(got) != data {
				t.Errorf("%s of %s became %s", eventType, data, got)
			}
		}
	}
}

func TestThePagesSlipsReplaceTheEventOfTheBodyAlone(t *testing.T) {
	for eventType, slip := range map[string]string{
		"transaction.created":              `"transaction_polled"`,
		"transaction.updated":              `"transaction_polled"`,
		"training.course_completed":        `"partnership_created"`,
		"training.learning_path_completed": `"partnership_created"`,
	} {
		for data, want := range map[string]string{
			`{"event":"transaction_created"}`:                                        `{"event":SLIP}`,
			`{"event":"transaction_polled","a":1}`:                                   `{"event":SLIP,"a":1}`,
			`{"a":1e21,"event":"","z":[]}`:                                           `{"a":1e21,"event":SLIP,"z":[]}`,
			`{"a":"\\","b":"\\\"","event":"\\\""}`:                                   `{"a":"\\","b":"\\\"","event":SLIP}`,
			`{"event":{"event":[1,"}"]},"z":{}}`:                                     `{"event":SLIP,"z":{}}`,
			`{"a":{"event":"in"},"b":[{"event":1}],"event":null}`:                    `{"a":{"event":"in"},"b":[{"event":1}],"event":SLIP}`,
			`{"a":"\"event\":\"x\",","Event":1,"event ":2,"event":"y"}`:              `{"a":"\"event\":\"x\",","Event":1,"event ":2,"event":SLIP}`,
			"{\"é\u2028\":\"\\ud83d <>&\",\"event\":-0.5}":                           "{\"é\u2028\":\"\\ud83d <>&\",\"event\":SLIP}",
			`{"a":"` + strings.Repeat("long ", 5000) + `","event":true,"z":"event"}`: `{"a":"` + strings.Repeat("long ", 5000) + `","event":SLIP,"z":"event"}`,

			`{}`:                             `{}`,
			`{"Event":1,"a":{"event":"in"}}`: `{"Event":1,"a":{"event":"in"}}`,
			`[{"event":"x"}]`:                `[{"event":"x"}]`,
			`"event"`:                        `"event"`,
			`null`:                           `null`,
		} {
			given := []byte(data)
			got := partnerstack.Dialect{}.Encode(wire.Event{Type: eventType, Data: given, Tenant: wire.Tenant{Settings: slips}})
			if diff := cmp.Diff(strings.ReplaceAll(want, "SLIP", slip), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", eventType, diff)
			}
			if string(given) != data {
				t.Errorf("%s: Encode changed what it was given", eventType)
			}
		}
	}
}

func TestABodySharesNoMemoryWithTheData(t *testing.T) {
	for _, settings := range []wire.Settings{nil, slips} {
		e := wire.Event{Type: "transaction.created", Data: []byte(`{"event":"transaction_created","id":1}`), Tenant: wire.Tenant{Settings: settings}}
		got := partnerstack.Dialect{}.Encode(e)
		kept := bytes.Clone(got)
		clear(e.Data)
		if !bytes.Equal(kept, got) {
			t.Errorf("with %v the body has become %q", settings, got)
		}
	}
}

func TestOnlyTheTypesOfThePageAreKnown(t *testing.T) {
	for _, on := range page {
		if got, err := (partnerstack.Dialect{}).Resolve(on.eventType); err != nil || got != on.eventType {
			t.Errorf("%s: %q, %v", on.eventType, got, err)
		}
	}
	for _, bad := range []string{
		"customer", "customer.", "customer.create", "Customer.Created", "customer_created", "transaction_polled", " customer.created",
		"customer.created\n", "customer.*", "*", "partner_team_member.created", "group.updated", strings.Repeat("x", 100_000), "\xff",
	} {
		got, err := partnerstack.Dialect{}.Resolve(bad)
		if err == nil || got != "" {
			t.Errorf("%.40q is accepted as %.40q", bad, got)
			continue
		}
		if text := err.Error(); !strings.Contains(text, "partner_team.member_removed") || len(text) > 600 {
			t.Errorf("%.40q: %.700s", bad, text)
		}
	}
	for _, bad := range []string{"", "webhook.test"} {
		if _, err := (partnerstack.Dialect{}).Resolve(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestTheOneSettingIsOffByDefault(t *testing.T) {
	settings := partnerstack.Dialect{}.Settings()
	if len(settings) != 1 || settings[0].Name != "literal_slips" || settings[0].Description == "" {
		t.Fatalf("the settings are %+v", settings)
	}
	if diff := cmp.Diff([]string{"off", "on"}, settings[0].Values); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestAnEndpointIsTestedWithAnEventThatNoneOfThePageIs(t *testing.T) {
	e := partnerstack.Dialect{}.TestEvent(wire.Endpoint{URL: "https://example.com/hooks", Name: "CRM"})
	e.Tenant.Settings = slips
	const want = `{"message":"This is a test of your webhook. Nothing has happened.","event":"webhook_test"}`
	if got := string((partnerstack.Dialect{}).Encode(e)); e.Type != "webhook.test" || got != want {
		t.Errorf("%s: %s", e.Type, got)
	}
}

func TestRequestsAreNotSigned(t *testing.T) {
	d := partnerstack.Dialect{}
	if d.Signing() != wire.Unsigned {
		t.Errorf("signed by %s", d.Signing())
	}
	for _, keys := range []wire.Keys{{}, {Identity: &wire.Identity{Key: "hunter2"}}} {
		signer, err := d.NewSigner(keys)
		if err != nil {
			t.Fatal(err)
		}
		if h, p := signer.Sign(wire.Message{Type: "deal.created", Body: []byte(`{}`), Attempt: 1}), signer.PublicKeys(); len(h) != 0 || len(p) != 0 {
			t.Errorf("headers %v, public keys %v", h, p)
		}
	}
	if len(d.ReservedHeaders()) != 0 || len(d.Fields()) != 0 {
		t.Errorf("headers %v, fields %v", d.ReservedHeaders(), d.Fields())
	}
	for _, kind := range []string{"", "v1", "hunter2"} {
		one, err := d.NewSecret(kind)
		like, errLike := d.NewSecretLike(kind)
		if err == nil || errLike == nil || one != "" || like != "" || strings.Contains(err.Error()+errLike.Error(), "hunter2") {
			t.Errorf("%q: %q, %v; %q, %v", kind, one, err, like, errLike)
		}
	}
}

func TestAnAnswerIsJudgedAsInTheStandardDialect(t *testing.T) {
	for _, test := range []struct {
		status int
		after  string
		want   wire.Judgement
	}{
		{200, "", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{202, "", wire.Judgement{Verdict: wire.Delivered, Reason: wire.ReasonOK}},
		{302, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonRedirect}},
		{404, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonClientError}},
		{410, "", wire.Judgement{Verdict: wire.Gone, Reason: wire.ReasonGone}},
		{429, "120", wire.Judgement{Verdict: wire.Throttled, Reason: wire.ReasonThrottled, Wait: 2 * time.Minute}},
		{500, "", wire.Judgement{Verdict: wire.Retry, Reason: wire.ReasonServerError}},
		{503, "", wire.Judgement{Verdict: wire.Busy, Reason: wire.ReasonUnavailable}},
	} {
		got := partnerstack.Dialect{}.Judge(wire.Answer{Status: test.status, RetryAfter: test.after, At: time.Unix(1_700_000_000, 0)})
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%d with %q (-want +got):\n%s", test.status, test.after, diff)
		}
	}
}

func TestAnEventIsTriedTenTimesInAboutThreeDays(t *testing.T) {
	want := wire.Schedule{
		Delays: []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour,
			10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		},
		Jitter: 0.1,
	}
	got := partnerstack.Dialect{}.Schedule()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("schedule (-want +got):\n%s", diff)
	}
	if delay, ok := got.Next(10, 0.5); ok {
		t.Errorf("after ten attempts there is another in %v", delay)
	}
	if timeout := (partnerstack.Dialect{}).Timeout(); timeout != 15*time.Second {
		t.Errorf("the timeout is %v", timeout)
	}
}

func BenchmarkEncode(b *testing.B) {
	for name, settings := range map[string]wire.Settings{"right": nil, "slip": slips} {
		e := mustType(b, nil, "transaction.created")
		event := wire.Event{Type: e.Name, Data: e.Sample, Tenant: wire.Tenant{Settings: settings}}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				partnerstack.Dialect{}.Encode(event)
			}
		})
	}
}
