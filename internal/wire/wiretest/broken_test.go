package wiretest

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// broken is a dialect whose methods can be replaced.
type broken struct {
	wire.Dialect
	catalogue func(s wire.Settings) []wire.EventType
	resolve   func(eventType string) (string, error)
	fields    func() []wire.Field
	compact   func(data []byte) ([]byte, error)
	testEvent func(to wire.Endpoint) wire.Event
	encode    func(e wire.Event) []byte
	newSigner func(keys wire.Keys) (wire.Signer, error)
}

func newBroken(d wire.Dialect) *broken {
	return &broken{d, d.Catalogue, d.Resolve, d.Fields, d.Compact, d.TestEvent, d.Encode, d.NewSigner}
}

func (b *broken) Catalogue(s wire.Settings) []wire.EventType    { return b.catalogue(s) }
func (b *broken) Resolve(eventType string) (string, error)      { return b.resolve(eventType) }
func (b *broken) Fields() []wire.Field                          { return b.fields() }
func (b *broken) Compact(data []byte) ([]byte, error)           { return b.compact(data) }
func (b *broken) TestEvent(to wire.Endpoint) wire.Event         { return b.testEvent(to) }
func (b *broken) Encode(e wire.Event) []byte                    { return b.encode(e) }
func (b *broken) NewSigner(keys wire.Keys) (wire.Signer, error) { return b.newSigner(keys) }

// entry changes the only entry of the catalogue.
func (b *broken) entry(change func(e *wire.EventType)) {
	list := b.Dialect.Catalogue(nil)
	change(&list[0])
	b.catalogue = func(wire.Settings) []wire.EventType { return list }
}

// field changes the check of the only field.
func (b *broken) field(check func(value string) error) {
	list := b.Dialect.Fields()
	list[0].Check = check
	b.fields = func() []wire.Field { return list }
}

// test changes the test event.
func (b *broken) test(change func(e *wire.Event)) {
	b.testEvent = func(to wire.Endpoint) wire.Event {
		e := b.Dialect.TestEvent(to)
		change(&e)
		return e
	}
}

// header adds a header to what is signed.
func (b *broken) header(value func(keys wire.Keys, m wire.Message) string) {
	b.newSigner = func(keys wire.Keys) (wire.Signer, error) {
		s, err := b.Dialect.NewSigner(keys)
		if err != nil {
			return nil, err
		}
		return extended{s, func(m wire.Message) string { return value(keys, m) }}, nil
	}
}

type extended struct {
	wire.Signer
	value func(m wire.Message) string
}

func (e extended) Sign(m wire.Message) []wire.Header {
	signed := e.Signer.Sign(m)
	if value := e.value(m); value != "" {
		signed = append(signed, wire.Header{Name: "X-More", Value: value})
	}
	return signed
}

// constant signs everything alike.
func constant(wire.Keys) (wire.Signer, error) {
	return extended{keyedSigner{}, func(wire.Message) string { return "constant" }}, nil
}

// breach is what a dialect can get wrong, and the check that finds it.
type breach struct {
	name  string
	check func(t testing.TB, d wire.Dialect)
	plant func(b *broken)
}

var ofAll = []breach{
	{"a catalogue that the defaults change", checkSettings, func(b *broken) {
		b.catalogue = func(s wire.Settings) []wire.EventType { return b.Dialect.Catalogue(s)[:1-min(len(s), 1)] }
	}},
	{"no source", checkCatalogue, func(b *broken) { b.entry(func(e *wire.EventType) { e.Source = "" }) }},
	{"a remark of no kind", checkCatalogue, func(b *broken) { b.entry(func(e *wire.EventType) { e.Remarks[0].Kind = "so" }) }},
	{"two of a name", checkCatalogue, func(b *broken) {
		b.catalogue = func(s wire.Settings) []wire.EventType { return slices.Repeat(b.Dialect.Catalogue(s), 2) }
	}},
	{"an invalid sample", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Sample = []byte(`{"n":-1}`) }) }},
	{"an invalid variant", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Variants[0].Data = []byte(`{"n":"1"}`) }) }},
	{"a variant without a name", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Variants[0].Name = "" }) }},
	{"a sample with a space", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Sample = []byte(`{"n": 1}`) }) }},
	{"a sample that the dialect spells otherwise", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Sample = []byte(`{"n":1.0}`) }) }},
	{"a schema of no known type", checkSamples, func(b *broken) { b.entry(func(e *wire.EventType) { e.Schema = []byte(`{"type":"thing"}`) }) }},
	{"a field that accepts everything", checkFields, func(b *broken) { b.field(func(string) error { return nil }) }},
	{"a field that accepts nothing", checkFields, func(b *broken) { b.field(func(string) error { return io.EOF }) }},
	{"a field that repeats", checkFields, func(b *broken) { b.field(func(value string) error { return errors.New(value) }) }},
	{"a test event of no type", checkTestEvent, func(b *broken) { b.test(func(e *wire.Event) { e.Type = "test" }) }},
	{"a test event without its field", checkTestEvent, func(b *broken) { b.test(func(e *wire.Event) { e.Fields = nil }) }},
	{"a test event with a field of none", checkTestEvent, func(b *broken) { b.test(func(e *wire.Event) { e.Fields["x"] = "y" }) }},
	{"a test event that is invalid", checkTestEvent, func(b *broken) { b.test(func(e *wire.Event) { e.Data = []byte(`{}`) }) }},
	{"a test event with a time", checkTestEvent, func(b *broken) { b.test(func(e *wire.Event) { e.OccurredAt = at }) }},
	{"an alias of an alias", checkResolve, func(b *broken) { b.resolve = func(s string) (string, error) { return s + "_", nil } }},
	{"a name that is refused", checkResolve, func(b *broken) {
		b.resolve = func(string) (string, error) { return "", io.EOF }
		b.test(func(e *wire.Event) { e.Type = "another" })
	}},
	{"an alias of nothing", checkResolve, func(b *broken) {
		b.resolve = func(s string) (string, error) {
			if s == "thing_made" || s == "thing_lost" {
				return "thing_lost", nil
			}
			return b.Dialect.Resolve(s)
		}
	}},
	{"a type that is repeated", checkBadTypes, func(b *broken) { b.resolve = func(s string) (string, error) { return "", errors.New(s) } }},
	{"a type that is trimmed", checkBadTypes, func(b *broken) {
		b.resolve = func(s string) (string, error) { return b.Dialect.Resolve(strings.TrimSpace(s)) }
	}},
	{"data that is repeated", checkCompact, func(b *broken) {
		b.compact = func(data []byte) ([]byte, error) {
			if _, err := wire.Compact(data); err != nil {
				return nil, fmt.Errorf("%q: %w", data, err)
			}
			return wire.Compact(data)
		}
	}},
	{"data that is not checked", checkCompact, func(b *broken) { b.compact = func(data []byte) ([]byte, error) { return data, nil } }},
	{"a body that is the data", checkBodies, func(b *broken) { b.encode = func(e wire.Event) []byte { return e.Data } }},
	{"a body that ends a line", checkBodies, func(b *broken) { b.encode = func(e wire.Event) []byte { return append(b.Dialect.Encode(e), '\n') } }},
	{"a body in a time zone", checkBodies, func(b *broken) {
		b.encode = func(e wire.Event) []byte { return e.OccurredAt.AppendFormat(nil, `"`+time.RFC3339+`"`) }
	}},
	{"a body with a field as it is", checkBodies, func(b *broken) {
		b.encode = func(e wire.Event) []byte { return []byte(`"` + e.Fields["place"] + `"`) }
	}},
	{"a body without its data", checkDecode, func(b *broken) {
		b.encode = func(e wire.Event) []byte { e.Data = []byte(`{}`); return b.Dialect.Encode(e) }
	}},
	{"a body that can't be taken apart", checkDecode, func(b *broken) { b.encode = func(wire.Event) []byte { return []byte(`{}`) } }},
	{"a body with an index", checkJavaScript, func(b *broken) { b.encode = func(wire.Event) []byte { return []byte(`{"a":1,"1":2}`) } }},
	{"a body with a float", checkJavaScript, func(b *broken) { b.encode = func(wire.Event) []byte { return []byte(`{"a":1.0}`) } }},
	{"a header that is not reserved", checkHeaders, func(b *broken) { b.newSigner = constant }},
	{"another signature each time", checkSignatures, func(b *broken) {
		var signed atomic.Int64
		b.header(func(wire.Keys, wire.Message) string { return fmt.Sprint("x", signed.Add(1)) })
	}},
}

var ofTheSigned = []breach{
	{"a signature of no key and no body", checkSignatures, func(b *broken) { b.newSigner = constant }},
	{"a body that is not signed", checkSignatures, func(b *broken) {
		b.newSigner = func(keys wire.Keys) (wire.Signer, error) {
			s, err := b.Dialect.NewSigner(keys)
			return bodiless{s}, err
		}
	}},
}

// bodiless signs without the body.
type bodiless struct{ wire.Signer }

func (b bodiless) Sign(m wire.Message) []wire.Header {
	m.Body = nil
	return b.Signer.Sign(m)
}

var ofThoseBySecret = []breach{
	{"secrets that nobody reads", checkBadSecrets, func(b *broken) { b.newSigner = constant }},
	{"an error with a secret", checkBadSecrets, func(b *broken) {
		b.newSigner = func(keys wire.Keys) (wire.Signer, error) { return nil, errors.New(strings.Join(keys.Secrets, ",")) }
	}},
	{"a rotation in which the oldest signs", checkRotation, func(b *broken) {
		b.newSigner = func(keys wire.Keys) (wire.Signer, error) {
			keys.Secrets = keys.Secrets[len(keys.Secrets)-1:]
			return b.Dialect.NewSigner(keys)
		}
	}},
	{"a secret in a header", checkRotation, func(b *broken) {
		b.header(func(keys wire.Keys, _ wire.Message) string { return keys.Secrets[0] })
	}},
}

var ofThoseByKey = []breach{
	{"a signer without a key", checkNoKey, func(b *broken) { b.newSigner = constant }},
	{"a key in a header", checkKeys, func(b *broken) {
		b.header(func(keys wire.Keys, _ wire.Message) string { return keys.Identity.Key })
	}},
	{"less without the server's key", checkKeys, func(b *broken) {
		b.header(func(keys wire.Keys, _ wire.Message) string { return strings.Repeat("x", len(serverID(keys))) })
	}},
}

func serverID(keys wire.Keys) string {
	if keys.Identity.RSA == nil {
		return ""
	}
	return keys.Identity.RSA.ID
}

var ofTheUnsigned = []breach{
	{"a key that is demanded", checkUnsigned, func(b *broken) { b.newSigner = keyed{signing: wire.ByKey}.NewSigner }},
	{"a header that is the key", checkUnsigned, func(b *broken) {
		b.header(func(keys wire.Keys, _ wire.Message) string {
			if keys.Identity == nil {
				return ""
			}
			return keys.Identity.Key
		})
	}},
}

func TestTheSuiteFindsWhatADialectGetsWrong(t *testing.T) {
	byKey, unsigned := keyed{signing: wire.ByKey}, keyed{signing: wire.Unsigned}
	for _, group := range []struct {
		of       wire.Dialect
		breaches []breach
	}{
		{byKey, ofAll}, {unsigned, ofAll}, {byKey, ofTheSigned}, {standard.Dialect{}, ofTheSigned}, {standard.Dialect{}, ofThoseBySecret}, {byKey, ofThoseByKey}, {unsigned, ofTheUnsigned},
	} {
		for _, breach := range group.breaches {
			t.Run(fmt.Sprintf("by %s: %s", group.of.Signing(), breach.name), func(t *testing.T) {
				d := newBroken(group.of)
				if !passes(t, breach.check, d) {
					t.Fatal("the check fails before anything is wrong")
				}
				breach.plant(d)
				if passes(t, breach.check, d) {
					t.Error("it is not found")
				}
			})
		}
	}
}

// passes reports whether a dialect passes a check.
func passes(t *testing.T, check func(t testing.TB, d wire.Dialect), d wire.Dialect) bool {
	verdict := &silent{TB: t}
	done := make(chan struct{})
	go func() { // which Fatal ends
		defer close(done)
		check(verdict, d)
	}()
	<-done
	if verdict.skipped.Load() {
		t.Skip("the check can't be made here")
	}
	return !verdict.failed.Load()
}

// silent notes that a test failed, and does not fail it.
type silent struct {
	testing.TB
	failed  atomic.Bool
	skipped atomic.Bool
}

func (s *silent) Error(...any)          { s.failed.Store(true) }
func (s *silent) Errorf(string, ...any) { s.failed.Store(true) }

func (s *silent) Fatal(...any) {
	s.failed.Store(true)
	runtime.Goexit()
}

func (s *silent) Fatalf(string, ...any) {
	s.failed.Store(true)
	runtime.Goexit()
}

func (s *silent) Skipf(string, ...any) {
	s.skipped.Store(true)
	runtime.Goexit()
}
