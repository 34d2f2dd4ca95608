// Package wiretest is the conformance suite of the wire dialects: what every
// [wire.Dialect] has to keep for the sender to work, and for receivers to be
// able to verify what they get. A dialect has tests of its own besides, for what
// its source page fixes.
//
// A dialect's catalogue is checked against its own JSON Schemas with the small
// part of JSON Schema that schema.go knows; a schema that uses more fails the
// suite.
package wiretest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// marker stands in what is refused, and must be in no error.
const marker = "hunter2"

// at is the time of everything here; the dialects know no other.
var at = time.Date(2026, 2, 3, 4, 5, 6, 789_012_000, time.UTC)

// Run runs the suite over a dialect.
func Run(t *testing.T, d wire.Dialect) {
	t.Run("the name is a word", func(t *testing.T) { checkName(t, d) })
	t.Run("the samples of the catalogue are valid", func(t *testing.T) { checkCatalogue(t, d) })
	t.Run("the test event is of the catalogue and valid", func(t *testing.T) { checkTestEvent(t, d) })
	t.Run("an event type of no form is refused and not repeated", func(t *testing.T) { checkTypes(t, d) })
	t.Run("a body is stable compact JSON", func(t *testing.T) { checkBodies(t, d) })
	t.Run("a made secret signs", func(t *testing.T) { checkSecrets(t, d) })
	t.Run("a bad secret is refused and not repeated", func(t *testing.T) { checkBadSecrets(t, d) })
	t.Run("a signature covers the body and is made with the secret", func(t *testing.T) { checkSignatures(t, d) })
	t.Run("the reserved headers are those that are set", func(t *testing.T) { checkHeaders(t, d) })
	t.Run("every answer has a verdict", func(t *testing.T) { checkJudge(t, d) })
	t.Run("the schedule and the timeout are within bounds", func(t *testing.T) { checkSchedule(t, d) })
}

func checkName(t *testing.T, d wire.Dialect) {
	if name := d.Name(); name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		t.Errorf("the name is %q", name)
	}
}

func checkCatalogue(t *testing.T, d wire.Dialect) {
	seen := make(map[string]bool)
	for _, e := range d.Catalogue() {
		if e.Name == "" || seen[e.Name] {
			t.Errorf("%q is there twice, or nothing", e.Name)
		}
		seen[e.Name] = true
		if e.Description == "" {
			t.Errorf("%s is not described", e.Name)
		}
		wantValid(t, e.Name, e.Schema, e.Sample)
	}
	if len(seen) == 0 {
		t.Error("the catalogue is empty")
	}
}

func checkTestEvent(t *testing.T, d wire.Dialect) {
	name, data := d.TestEvent()
	i := slices.IndexFunc(d.Catalogue(), func(e wire.EventType) bool { return e.Name == name })
	if i < 0 {
		t.Fatalf("%q is not in the catalogue", name)
	}
	wantValid(t, name, d.Catalogue()[i].Schema, data)
	if compact, err := wire.Compact(data); err != nil || !bytes.Equal(compact, data) {
		t.Errorf("its data is not compact: %v", err)
	}
}

func checkTypes(t *testing.T, d wire.Dialect) {
	for _, bad := range []string{
		"", "*", marker + ".*", marker + " x", marker + "\n", marker + "\r\nx: y", marker + "\x00", marker + "\xff", marker + "é", marker + ",b",
		strings.Repeat(marker, 1000),
	} {
		err := d.CheckType(bad)
		if err == nil {
			t.Errorf("%.20q is accepted", bad)
			continue
		}
		if strings.Contains(err.Error(), marker) {
			t.Errorf("the error repeats the type: %.80v", err)
		}
	}
}

// data are events' data that are hard to write the same way twice. Numbers are
// as JavaScript writes them, and no key is one.
var data = []string{
	`{}`,
	`{"z":1,"a":{"b":[1,2.5,-3,1e+21,true,false,null,[],{}]}}`,
	`{"text":"<p>&amp; 'x' / \\ \" \b\f\n\r\t \u0000\u001f"}`,
	"{\"separators\":\"\u2028\u2029\u0085\u00a0\ufeff\u007f\",\"ü\":\"😀\"}",
	`{"half":"\ud83d","half again":"\udc00 \udbff"}`,
	`{"":"` + strings.Repeat("long ", 20_000) + `"}`,
	`{"__proto__x":{"constructor":1}}`,
}

// eventTypes are a type of the catalogue and, where publishers may have their
// own, one of those.
func eventTypes(d wire.Dialect) []string {
	types := []string{d.Catalogue()[0].Name}
	if d.CheckType("conformance.suite") == nil {
		types = append(types, "conformance.suite")
	}
	return types
}

func checkBodies(t *testing.T, d wire.Dialect) {
	for _, eventType := range eventTypes(d) {
		for _, text := range data {
			if compact, err := wire.Compact([]byte(text)); err != nil || string(compact) != text {
				t.Fatalf("the suite's own data is not compact: %.40q, %v", text, err)
			}
			given := []byte(text)
			e := wire.Event{ID: id.First(at), Type: eventType, OccurredAt: at, Data: given}
			body := d.Encode(e)
			if string(given) != text {
				t.Fatal("Encode changed what it was given")
			}
			kept := bytes.Clone(body)
			clear(given)
			if !bytes.Equal(kept, body) {
				t.Fatal("the body shares memory with the data")
			}
			e.Data, e.OccurredAt = []byte(text), at.In(time.FixedZone("", 5400))
			if again := d.Encode(e); !bytes.Equal(kept, again) {
				t.Errorf("the same event has another body in another time zone:\n%.200s\n%.200s", kept, again)
			}
			compact, err := wire.Compact(body)
			if err != nil || !bytes.Equal(compact, body) {
				t.Errorf("the body is not compact JSON: %v: %.200s", err, body)
			}
			if again, err := reserialise(body); err != nil || !bytes.Equal(again, body) {
				t.Errorf("a receiver in JavaScript would verify another body (%v):\n%.200s\n%.200s", err, body, again)
			}
		}
	}
}

// message is a message of the test event.
func message(d wire.Dialect) wire.Message {
	name, data := d.TestEvent()
	e := wire.Event{ID: id.First(at), Type: name, OccurredAt: at, Data: data}
	return wire.Message{EventID: e.ID, Type: name, Body: d.Encode(e), SentAt: at.Add(time.Minute), Attempt: 1}
}

func mustSigner(t *testing.T, d wire.Dialect, secrets ...string) wire.Signer {
	t.Helper()
	signer, err := d.NewSigner(secrets)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func mustSecret(t *testing.T, d wire.Dialect) string {
	t.Helper()
	secret, err := d.NewSecret("")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func checkSecrets(t *testing.T, d wire.Dialect) {
	one, two := mustSecret(t, d), mustSecret(t, d)
	like, err := d.NewSecretLike(one)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || one == like {
		t.Error("two secrets are the same")
	}
	for _, secret := range []string{one, two, like} {
		if len(secret) < 16 || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Error("a secret is short, or can't be pasted")
		}
		mustSigner(t, d, secret)
	}
	if a, b := mustSigner(t, d, one).PublicKeys(), mustSigner(t, d, like).PublicKeys(); len(a) != len(b) {
		t.Errorf("a secret like one with %d public keys has %d", len(a), len(b))
	}
	if secret, err := d.NewSecret(marker); err == nil || secret != "" || strings.Contains(err.Error(), marker) {
		t.Errorf("a secret of an unknown kind: %v", err)
	}
}

func checkBadSecrets(t *testing.T, d wire.Dialect) {
	good := mustSecret(t, d)
	prefix, _, _ := strings.Cut(good, "_")
	for _, bad := range [][]string{
		nil, {""}, {marker}, {prefix + "_" + marker}, {good, marker}, {marker, good}, {good + "\n"}, {" " + good}, {good[:len(good)/2] + "\r\n" + good[len(good)/2:]},
	} {
		signer, err := d.NewSigner(bad)
		if err == nil || signer != nil {
			t.Errorf("%d secrets are accepted, one of which is bad", len(bad))
			continue
		}
		if strings.Contains(err.Error(), marker) || strings.Contains(err.Error(), good) {
			t.Error("the error repeats a secret")
		}
	}
}

func checkSignatures(t *testing.T, d wire.Dialect) {
	one, two := mustSecret(t, d), mustSecret(t, d)
	m := message(d)
	signed := mustSigner(t, d, one).Sign(m)
	if slices.Equal(signed, mustSigner(t, d, two).Sign(m)) {
		t.Error("another secret makes the same headers")
	}
	changed := m
	changed.Body = append(bytes.Clone(m.Body), ' ')
	if slices.Equal(signed, mustSigner(t, d, one).Sign(changed)) {
		t.Error("another body has the same headers")
	}
	both := mustSigner(t, d, one, two)
	var wg sync.WaitGroup
	want := both.Sign(m)
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := both.Sign(m); !slices.Equal(want, got) {
					t.Errorf("the same message is signed otherwise: %v", got)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, h := range want {
		for _, secret := range []string{one, two} {
			if _, value, _ := strings.Cut(secret, "_"); strings.Contains(h.Value, secret) || value != "" && strings.Contains(h.Value, value) {
				t.Errorf("%s has a secret in it", h.Name)
			}
		}
	}
}

func checkHeaders(t *testing.T, d wire.Dialect) {
	reserved := d.ReservedHeaders()
	for i, name := range reserved {
		if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			t.Errorf("%q is not a header's name in lower case", name)
		}
		if slices.Contains(reserved[:i], name) {
			t.Errorf("%q is there twice", name)
		}
	}
	set := mustSigner(t, d, mustSecret(t, d)).Sign(message(d))
	if len(set) == 0 {
		t.Error("nothing is set")
	}
	seen := make(map[string]bool)
	for _, h := range set {
		lower := strings.ToLower(h.Name)
		if !slices.Contains(reserved, lower) {
			t.Errorf("%s is set and not reserved", h.Name)
		}
		if seen[lower] {
			t.Errorf("%s is set twice", h.Name)
		}
		seen[lower] = true
		if h.Name != canonical(h.Name) {
			t.Errorf("%s is not in the spelling of Go's headers", h.Name)
		}
		if h.Value == "" || strings.TrimSpace(h.Value) != h.Value || strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s can't hold %q", h.Name, h.Value)
		}
	}
}

// canonical writes a header's name as net/http does.
func canonical(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}

func checkJudge(t *testing.T, d wire.Dialect) {
	verdicts := []wire.Verdict{wire.Delivered, wire.Retry, wire.Busy, wire.Throttled, wire.Gone}
	for status := 100; status <= 599; status++ {
		for _, after := range []string{
			"", "0", "1", " 120 ", "-1", "1.5", "soon", "99999999999999999999999999", at.Add(time.Hour).Format("Mon, 02 Jan 2006 15:04:05 GMT"),
			"Wed, 21 Oct 2015 07:28:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", strings.Repeat("9", 10_000), "\x00",
		} {
			j := d.Judge(wire.Answer{Status: status, RetryAfter: after, At: at})
			if !slices.Contains(verdicts, j.Verdict) {
				t.Fatalf("%d with %.20q: the verdict is %q", status, after, j.Verdict)
			}
			if j.Reason == "" || strings.Trim(string(j.Reason), "abcdefghijklmnopqrstuvwxyz_") != "" {
				t.Errorf("%d: the reason is %q", status, j.Reason)
			}
			if j.Verdict == wire.Delivered != (j.Reason == wire.ReasonOK) {
				t.Errorf("%d: %s because of %s", status, j.Verdict, j.Reason)
			}
			if j.Verdict == wire.Delivered && (status < 200 || status > 299) {
				t.Errorf("%d is delivered", status)
			}
			if j.Wait < 0 || j.Wait > 24*time.Hour || j.Wait > 0 && j.Verdict != wire.Throttled {
				t.Errorf("%d with %.20q: %s waits %v", status, after, j.Verdict, j.Wait)
			}
		}
	}
	if j := d.Judge(wire.Answer{Status: 200, At: at}); j.Verdict != wire.Delivered {
		t.Errorf("200 is %s", j.Verdict)
	}
}

func checkSchedule(t *testing.T, d wire.Dialect) {
	s := d.Schedule()
	if s.Jitter < 0 || s.Jitter >= 1 {
		t.Errorf("the jitter is %v", s.Jitter)
	}
	if len(s.Delays) > 99 {
		t.Errorf("there are %d waits", len(s.Delays))
	}
	var period time.Duration
	for i, delay := range s.Delays {
		if delay < 100*time.Millisecond {
			t.Errorf("wait %d is %v", i, delay)
		}
		period += delay
		for _, chance := range []float64{0, 0.5, 0.999999} {
			got, ok := s.Next(i+1, chance)
			if least, most := float64(delay)*(1-s.Jitter)-1, float64(delay)*(1+s.Jitter)+1; !ok || float64(got) < least || float64(got) > most {
				t.Errorf("after %d attempts: %v, %t", i+1, got, ok)
			}
		}
	}
	if period > 30*24*time.Hour {
		t.Errorf("it takes %v", period)
	}
	for _, failed := range []int{-1, 0, len(s.Delays) + 1} {
		if got, ok := s.Next(failed, 0.5); ok {
			t.Errorf("after %d attempts there is another in %v", failed, got)
		}
	}
	if len(s.Delays) > 0 {
		s.Delays[0] = -1
		if again := d.Schedule(); again.Delays[0] == -1 {
			t.Error("who changes the schedule changes everybody's")
		}
	}
	if timeout := d.Timeout(); timeout < time.Second || timeout > time.Minute {
		t.Errorf("the timeout is %v", timeout)
	}
}

// wantValid fails the test unless the value is JSON that the schema accepts.
func wantValid(t *testing.T, name string, schema, value []byte) {
	t.Helper()
	var s, v any
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Errorf("%s: the schema: %v", name, err)
		return
	}
	if err := json.Unmarshal(value, &v); err != nil {
		t.Errorf("%s: the value: %v", name, err)
		return
	}
	if _, ok := v.(map[string]any); !ok {
		t.Errorf("%s: the value is not an object", name)
	}
	for _, mistake := range validate("", s, v) {
		t.Errorf("%s: %s", name, mistake)
	}
}
