package verify_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/partnerstack"
	"github.com/grapevine-hq/grapevine/internal/wire/referralloop"
	"github.com/grapevine-hq/grapevine/internal/wire/rehook"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
	"github.com/grapevine-hq/grapevine/verify"
)

const (
	apiKey     = "LIVE_0123456789abcdef"
	loopSecret = "rlsec_0123456789abcdefghijklmnopqrstuvwxyz"
	waitlist   = "123e4567-e89b-12d3-a456-426614174000"
)

// eventID and sentAt are of every delivery that the tests send.
var (
	eventID = mustID("evt_019a9c1d2f3b5e8d7c6a4f10")
	sentAt  = time.Unix(testUnix, 0).UTC()
)

func mustID(text string) id.ID {
	of, err := id.Event.Parse(text)
	if err != nil {
		panic(err)
	}
	return of
}

// sent is a delivery as Grapevine makes it.
type sent struct {
	header http.Header
	body   string
}

// mustSend encodes and signs an event and sets the headers that every dialect has.
func mustSend(t testing.TB, d wire.Dialect, e wire.Event, keys wire.Keys) sent {
	t.Helper()
	signer, err := d.NewSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	e.ID, e.OccurredAt = eventID, sentAt
	if keys.Identity != nil {
		e.Tenant = keys.Identity.Tenant
	}
	if e.Data, err = d.Compact(e.Data); err != nil {
		t.Fatal(err)
	}
	m := wire.Message{EventID: eventID, Type: e.Type, Body: d.Encode(e), SentAt: sentAt, Attempt: 2, Version: 7}
	header := http.Header{
		"X-Grapevine-Event-Id":        {id.Event.Format(eventID)},
		"X-Grapevine-Event-Type":      {e.Type},
		"X-Grapevine-Attempt":         {"2"},
		"X-Grapevine-Subject-Version": {"7"},
	}
	for _, h := range signer.Sign(m) {
		header.Set(h.Name, h.Value)
	}
	return sent{header, string(m.Body)}
}

// scheme is a way to prove who sends: a genuine delivery, its verifier, and what
// that makes of it.
type scheme struct {
	name      string
	delivery  sent
	verifier  receiver
	signature string   // the header that proves it; empty: none does
	signed    bool     // the body is covered
	malformed []string // values of that header that no sender could mean
	want      verify.Message
}

// receiver is what all verifiers can do.
type receiver interface {
	Request(r *http.Request) (verify.Message, error)
	Handler(next func(http.ResponseWriter, *http.Request, verify.Message)) http.Handler
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// schemes returns a genuine delivery of each way. At most maxBody bytes of a
// body are read; zero stands for the default.
func schemes(t testing.TB, maxBody int64) []scheme {
	t.Helper()
	const data = `{"text":"<p> & \u2028 é 😀</p>","n":1}`
	const evt, hex = "evt_019a9c1d2f3b5e8d7c6a4f10", "019a9c1d2f3b5e8d7c6a4f10"
	as := func(s wire.Settings) *wire.Identity {
		return &wire.Identity{Tenant: wire.Tenant{Alias: "acme", Live: true, Settings: s}, Key: apiKey, RSA: serverKey(t)}
	}
	squatch := func(s wire.Settings) sent {
		return mustSend(t, saasquatch.Dialect{}, wire.Event{Type: "user.created", Data: []byte(data)}, wire.Keys{Identity: as(s)})
	}
	loop := mustSend(t, referralloop.Dialect{}, wire.Event{
		Type: "signup.created", Data: []byte(data), Fields: map[string]string{"waitlist_id": waitlist},
	}, wire.Keys{Secrets: []string{loopSecret}})
	hook := mustSend(t, rehook.Dialect{}, wire.Event{
		Type: "customer.referral.successful.friend", Data: []byte(data), Fields: map[string]string{"source_id": "c-1"},
	}, wire.Keys{})
	hook.header.Set("Authorization", "Basic aG9vazpwYXNz")
	hook.header.Set("X-Team", "growth")
	stack := mustSend(t, partnerstack.Dialect{}, wire.Event{Type: "deal.created", Data: []byte(data)}, wire.Keys{})
	own := mustSend(t, standard.Dialect{}, wire.Event{Type: "invoice.paid", Data: []byte(data)}, wire.Keys{Secrets: []string{"whsec_" + testSecret}})

	native := newStandard(t, "whsec_"+testSecret)
	mac, ring := must(verify.NewSaaSquatch(apiKey)), must(verify.NewSaaSquatchJWS(must(verify.ParseJWKS(serverSet(t))), ""))
	referral := must(verify.NewReferralLoop(loopSecret))
	credentials := must(verify.NewRehook(verify.Basic("hook", "pass"), verify.Header("x-team", "growth")))
	partner := must(verify.NewPartnerStack())
	native.MaxBody, mac.MaxBody, ring.MaxBody, referral.MaxBody, credentials.MaxBody, partner.MaxBody = maxBody, maxBody, maxBody, maxBody, maxBody, maxBody

	base64, hexadecimal, jws := squatch(nil), squatch(wire.Settings{"signature_encoding": "hex"}), squatch(wire.Settings{"jws": "on"})
	shortMACs := []string{"x", "AAAA", strings.Repeat("A", 27), strings.Repeat("A", 28), strings.Repeat("0", 39), strings.Repeat("0", 42), strings.Repeat("g", 40), strings.Repeat("0", 64)}
	return []scheme{
		{"standard", own, native, "Webhook-Signature", true, nil, verify.Message{ID: evt, Type: "invoice.paid", Timestamp: sentAt}},
		{"saasquatch, base64", base64, mac, "X-Hook-Signature", true, shortMACs, verify.Message{ID: hex, Type: "user.created"}},
		{"saasquatch, hexadecimal", hexadecimal, mac, "X-Hook-Signature", true, nil, verify.Message{ID: hex, Type: "user.created"}},
		{"saasquatch, JWS", jws, ring, "X-Hook-Jws-Rfc-7797", true, nil, verify.Message{ID: hex, Type: "user.created"}},
		{
			"referralloop", loop, referral, "X-Webhook-Signature", true,
			[]string{"x", "sha256=", "sha1=" + strings.Repeat("0", 64), strings.Repeat("0", 64), "SHA256=" + strings.Repeat("0", 64), "sha256=" + strings.Repeat("0", 63), "sha256=" + strings.Repeat("0", 66), "sha256=" + strings.Repeat("g", 64), "sha256= " + strings.Repeat("0", 64)},
			verify.Message{ID: evt, Type: "signup.created"},
		},
		{"rehook", hook, credentials, "Authorization", false, nil, verify.Message{ID: evt, Type: "customer.referral.successfull.friend"}},
		{"partnerstack", stack, partner, "", false, nil, verify.Message{ID: evt, Type: "deal.created"}},
	}
}

// request returns the delivery as it arrives.
func (s sent) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks", strings.NewReader(s.body))
	r.Header = s.header.Clone()
	return r
}

func TestWhatEachDialectSignsIsVerifiedAndRead(t *testing.T) {
	for _, s := range schemes(t, 0) {
		got, err := s.verifier.Request(s.delivery.request())
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		s.want.Body, s.want.Attempt, s.want.SubjectVersion = []byte(s.delivery.body), 2, 7
		if diff := cmp.Diff(s.want, got); diff != "" {
			t.Errorf("%s: message (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestAnyChangedByteIsRefused(t *testing.T) {
	for _, s := range schemes(t, 0) {
		if s.signature == "" {
			continue
		}
		value := s.delivery.header.Get(s.signature)
		for i := range len(value) {
			for _, flip := range []byte{1, 1 << 6} {
				changed := []byte(value)
				changed[i] ^= flip
				r := s.delivery.request()
				r.Header.Set(s.signature, string(changed))
				if bytes.EqualFold(changed, []byte(value)) && s.signature == "Authorization" {
					continue // the name of a scheme may be in any case
				}
				if _, err := s.verifier.Request(r); err == nil {
					t.Errorf("%s: accepted with the signature %q", s.name, changed)
				}
			}
		}
		if !s.signed {
			continue
		}
		for i := range len(s.delivery.body) {
			changed := []byte(s.delivery.body)
			changed[i] ^= 1
			if _, err := s.verifier.Request(sent{s.delivery.header, string(changed)}.request()); !errors.Is(err, verify.ErrSignature) {
				t.Errorf("%s: with byte %d of the body changed: %v", s.name, i, err)
			}
		}
		for name, body := range map[string]string{"nothing": "", "less": s.delivery.body[1:], "more": s.delivery.body + "\n"} {
			if _, err := s.verifier.Request(sent{s.delivery.header, body}.request()); !errors.Is(err, verify.ErrSignature) {
				t.Errorf("%s: with %s as the body: %v", s.name, name, err)
			}
		}
	}
}

func TestASignatureThatIsMissingDoubledOrMalformedIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	for _, s := range schemes(t, 0) {
		if s.signature == "" {
			continue
		}
		value := s.delivery.header.Get(s.signature)
		cases := map[string]struct {
			values []string
			want   error
		}{
			"none":              {nil, verify.ErrMissingHeader},
			"empty":             {[]string{""}, verify.ErrMissingHeader},
			"twice":             {[]string{value, value}, verify.ErrInvalidHeader},
			"a wrong one added": {[]string{value, "x"}, verify.ErrInvalidHeader},
		}
		for i, text := range s.malformed {
			cases[fmt.Sprint("malformed ", i)] = struct {
				values []string
				want   error
			}{[]string{text}, verify.ErrInvalidHeader}
		}
		for name, c := range cases {
			r := s.delivery.request()
			r.Header[s.signature] = c.values
			r.Body = unread{t}
			if _, err := s.verifier.Request(r); !errors.Is(err, c.want) {
				t.Errorf("%s, %s: %v, want %v", s.name, name, err, c.want)
			}
		}
	}
}

// unread is a body that must not be read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("unread")
}

func (unread) Close() error { return nil }

func TestEveryVerifierReadsNoMoreThanAllowed(t *testing.T) {
	for _, s := range schemes(t, 16) {
		if _, err := s.verifier.Request(s.delivery.request()); !errors.Is(err, verify.ErrTooLarge) {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

func TestTheHandlerHandsOnWhatIsVerifiedAndAnswersTheRest(t *testing.T) {
	for _, s := range schemes(t, 0) {
		var got []string
		handler := s.verifier.Handler(func(w http.ResponseWriter, _ *http.Request, m verify.Message) {
			got = append(got, m.Type)
			w.WriteHeader(http.StatusAccepted)
		})
		if code := answered(handler, s.delivery.request()); code != http.StatusAccepted {
			t.Errorf("%s: a genuine request is answered %d", s.name, code)
		}
		if s.signed {
			if code := answered(handler, sent{s.delivery.header, "{}"}.request()); code != http.StatusUnauthorized {
				t.Errorf("%s: a forged body is answered %d", s.name, code)
			}
		}
		if s.signature != "" {
			r := s.delivery.request()
			r.Header.Del(s.signature)
			if code := answered(handler, r); code != http.StatusBadRequest {
				t.Errorf("%s: without %s: %d", s.name, s.signature, code)
			}
		}
		if diff := cmp.Diff([]string{s.want.Type}, got); diff != "" {
			t.Errorf("%s: handed on (-want +got):\n%s", s.name, diff)
		}
	}
}

func TestWhatIsNotSignedIsReadAsItCame(t *testing.T) {
	for _, s := range schemes(t, 0) {
		for attempt, want := range map[string]int{"1": 1, "10": 10, "": 0, "0": 0, "-3": 0, "many": 0, "99999999999999999999": 0} {
			r := s.delivery.request()
			r.Header.Set("X-Grapevine-Attempt", attempt)
			r.Header.Set("X-Grapevine-Subject-Version", attempt)
			m, err := s.verifier.Request(r)
			if err != nil {
				t.Fatal(err)
			}
			if m.Attempt != want || m.SubjectVersion != int64(want) {
				t.Errorf("%s: %q is read as attempt %d, version %d", s.name, attempt, m.Attempt, m.SubjectVersion)
			}
		}
		twice := s.delivery.request()
		twice.Header.Add("X-Grapevine-Event-Id", "evt_2")
		if _, err := s.verifier.Request(twice); !errors.Is(err, verify.ErrInvalidHeader) {
			t.Errorf("%s: with two ids: %v", s.name, err)
		}
		foreign := s.delivery.request() // as the vendor itself would send it
		for name := range foreign.Header {
			if strings.HasPrefix(name, "X-Grapevine-") {
				foreign.Header.Del(name)
			}
		}
		m, err := s.verifier.Request(foreign)
		if err != nil {
			t.Errorf("%s: without any header of ours: %v", s.name, err)
		}
		inBody := map[string]string{"standard": s.want.Type, "partnerstack": "", "saasquatch": s.want.Type, "referralloop": s.want.Type, "rehook": s.want.Type}
		if name, _, _ := strings.Cut(s.name, ","); m.Type != inBody[name] {
			t.Errorf("%s: without any header of ours the type is %q", s.name, m.Type)
		}
	}
}

func TestATypeInTheBodyIsBelievedBeforeTheHeader(t *testing.T) {
	for _, s := range schemes(t, 0) {
		r := s.delivery.request()
		r.Header.Set("X-Grapevine-Event-Type", "account.deleted")
		m, err := s.verifier.Request(r)
		if err != nil {
			t.Fatal(err)
		}
		if fooled := m.Type == "account.deleted"; fooled != (s.name == "partnerstack") {
			t.Errorf("%s: the type is %q", s.name, m.Type)
		}
	}
}

func TestABodyThatSaysNoTypeIsVerifiedAllTheSame(t *testing.T) {
	for _, body := range []string{"", "null", "[]", `"type"`, `{"type":`, `{"type":7}`, `{"Type":"a","data":{"type":"b"}}`, `{"data":[{"type":"b"}]`, "\xff"} {
		header := signedHeader(testID, testTimestamp, body, signV1(testSecret))
		m, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(body))
		if err != nil || m.Type != "" {
			t.Errorf("%q: type %q, %v", body, m.Type, err)
		}
	}
	const late = `{"data":{"type":"no"},"n":[1,{"type":"no"}],"type":"yes"}`
	header := signedHeader(testID, testTimestamp, late, signV1(testSecret))
	if m, err := newStandard(t, "whsec_"+testSecret).Verify(header, []byte(late)); err != nil || m.Type != "yes" {
		t.Errorf("%q, %v", m.Type, err)
	}
}

func TestAnotherKeyDoesNotVerifyAndOneOfSeveralDoes(t *testing.T) {
	const other = "another-key-of-enough-characters"
	for _, s := range schemes(t, 0) {
		var others, both receiver
		switch {
		case strings.HasPrefix(s.name, "saasquatch") && s.signature == "X-Hook-Signature":
			others, both = must(verify.NewSaaSquatch(other)), must(verify.NewSaaSquatch(other, apiKey+"\n"))
		case s.name == "referralloop":
			others, both = must(verify.NewReferralLoop(other)), must(verify.NewReferralLoop(other, loopSecret+"\n"))
		default:
			continue
		}
		if _, err := others.Request(s.delivery.request()); !errors.Is(err, verify.ErrSignature) {
			t.Errorf("%s: with another key: %v", s.name, err)
		}
		if _, err := both.Request(s.delivery.request()); err != nil {
			t.Errorf("%s: with both keys: %v", s.name, err)
		}
	}
}

func TestZeroValuesBelieveNobodyButPartnerStacks(t *testing.T) {
	zero := map[string]receiver{
		"standard": &verify.Standard{Now: func() time.Time { return sentAt }}, "saasquatch, base64": &verify.SaaSquatch{}, "saasquatch, hexadecimal": &verify.SaaSquatch{},
		"saasquatch, JWS": &verify.SaaSquatchJWS{}, "referralloop": &verify.ReferralLoop{}, "rehook": &verify.Rehook{}, "partnerstack": &verify.PartnerStack{},
	}
	for _, s := range schemes(t, 0) {
		_, err := zero[s.name].Request(s.delivery.request())
		if believes := s.name == "partnerstack"; (err == nil) != believes {
			t.Errorf("%s: %v", s.name, err)
		}
	}
}

func TestKeysThatNobodyCouldSignWithAreRefusedAndNotRepeated(t *testing.T) {
	long := strings.Repeat("k", 300)
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no API key":               {second(verify.NewSaaSquatch()), "no API key given"},
		"an empty API key":         {second(verify.NewSaaSquatch(apiKey, " ")), "API key 2 of 2: is empty"},
		"a short API key":          {second(verify.NewSaaSquatch("kkkkkkk")), "has 7 characters, not 8 to 200"},
		"a long API key":           {second(verify.NewSaaSquatch(long)), "has 300 characters"},
		"an API key with a space":  {second(verify.NewSaaSquatch("kkkk kkkk")), "has a space"},
		"an API key in two lines":  {second(verify.NewSaaSquatch("kkkk\nkkkk")), "has a space"},
		"an API key with accents":  {second(verify.NewSaaSquatch("kkkkkkké")), "not printable ASCII"},
		"no secret":                {second(verify.NewReferralLoop()), "no secret given"},
		"a short secret":           {second(verify.NewReferralLoop("kkkkkkkkkkkkkkk")), "has 15 characters, not 16 to 256"},
		"no credential":            {second(verify.NewRehook()), "no credential given"},
		"an empty credential":      {second(verify.NewRehook(verify.Credential{})), "credential 1 of 1: is empty"},
		"no password":              {second(verify.NewRehook(verify.Basic("kkkk", ""))), "has no password"},
		"a user name with a colon": {second(verify.NewRehook(verify.Basic("kk:kk", "kkkk"))), "a colon"},
		"no token":                 {second(verify.NewPartnerStack(verify.Bearer("t"), verify.Bearer(""))), "credential 2 of 2: has no token"},
		"no header":                {second(verify.NewPartnerStack(verify.Header("", "kkkk"))), "has no header"},
		"no value":                 {second(verify.NewPartnerStack(verify.Header("kkkk", ""))), "without a value"},
		"no keys":                  {second(verify.NewSaaSquatchJWS(nil, "acme")), "no keys"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "kk") {
			t.Errorf("%s: %v, want %q in it", name, c.err, c.want)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestPrintingAVerifierShowsNoSecret(t *testing.T) {
	for name, v := range map[string]any{
		"saasquatch":   must(verify.NewSaaSquatch(apiKey)),
		"referralloop": must(verify.NewReferralLoop(loopSecret)),
		"rehook":       must(verify.NewRehook(verify.Basic("hook", apiKey), verify.Header("X-Key", loopSecret))),
		"a credential": verify.Header("X-Key", apiKey),
	} {
		printed := fmt.Sprintf("%v %+v %#v", v, v, v)
		for _, leak := range []string{apiKey, loopSecret, strings.Trim(fmt.Sprint([]byte(apiKey)), "[]"), fmt.Sprintf("%x", apiKey)} {
			if strings.Contains(printed, leak) {
				t.Errorf("%s: %s", name, printed)
			}
		}
	}
}

// FuzzDialects sends any signature and body to the verifiers, and then the right
// signature over that body. Only the second may be accepted.
func FuzzDialects(f *testing.F) {
	squatch, loop := must(verify.NewSaaSquatch(apiKey)), must(verify.NewReferralLoop(loopSecret))
	ring := must(verify.NewSaaSquatchJWS(must(verify.ParseJWKS(serverSet(f))), ""))
	as := &wire.Identity{Tenant: wire.Tenant{Settings: wire.Settings{"jws": "on"}}, Key: apiKey, RSA: serverKey(f)}
	squatchSigner := must(saasquatch.Dialect{}.NewSigner(wire.Keys{Identity: as}))
	loopSigner := must(referralloop.Dialect{}.NewSigner(wire.Keys{Secrets: []string{loopSecret}}))

	for _, s := range schemes(f, 0) {
		f.Add(s.delivery.header.Get(s.signature), []byte(s.delivery.body))
	}
	f.Add("sha256="+strconv.Itoa(0), []byte{0xff})
	f.Add("eyJhbGciOiJub25lIn0..", []byte("{}"))
	f.Fuzz(func(t *testing.T, signature string, body []byte) {
		right := make(http.Header)
		for _, signer := range []wire.Signer{squatchSigner, loopSigner} {
			for _, h := range signer.Sign(wire.Message{Body: body}) {
				right.Set(h.Name, h.Value)
			}
		}
		for name, check := range map[string]func(http.Header) (verify.Message, error){
			"X-Hook-Signature":    func(h http.Header) (verify.Message, error) { return squatch.Verify(h, body) },
			"X-Webhook-Signature": func(h http.Header) (verify.Message, error) { return loop.Verify(h, body) },
			"X-Hook-Jws-Rfc-7797": func(h http.Header) (verify.Message, error) { return ring.Verify(context.Background(), h, body) },
		} {
			m, err := check(http.Header{name: {signature}})
			if err == nil && !strings.EqualFold(signature, right.Get(name)) && !hexOf(signature, right.Get(name)) {
				t.Errorf("%s: accepted %q", name, signature)
			}
			if m, err = check(right); err != nil || !bytes.Equal(m.Body, body) {
				t.Errorf("%s: refused what is right: %v", name, err)
			}
		}
	})
}
