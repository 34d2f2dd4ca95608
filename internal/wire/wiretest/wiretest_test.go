package wiretest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// keyed is a dialect with settings, fields and variants, closed, signed by the
// tenant's key; and, without a key, unsigned.
type keyed struct {
	standard.Dialect
	signing wire.Signing
}

var shape = wire.Setting{Name: "shape", Description: "How bodies look.", Values: []string{"narrow", "wide"}}

const keyedSchema = `{
	"$schema": "https://json-schema.org/draft/2020-12/schema",
	"type": "object", "required": ["n"], "additionalProperties": false,
	"properties": {"n": {"oneOf": [{"$ref": "#/$defs/count"}, {"type": "null"}]}},
	"$defs": {"count": {"type": "integer", "minimum": 0}}
}`

func (keyed) Name() string             { return "keyed" }
func (k keyed) Signing() wire.Signing  { return k.signing }
func (keyed) Settings() []wire.Setting { return []wire.Setting{shape} }

func (keyed) Catalogue(wire.Settings) []wire.EventType {
	return []wire.EventType{{
		Name: "thing.made", Description: "Sent when a thing is made.", Source: "This test",
		Schema: []byte(keyedSchema), Sample: []byte(`{"n":1}`), Variants: []wire.Sample{{Name: "unknown", Data: []byte(`{"n":null}`)}},
		Remarks: []wire.Remark{{Kind: wire.Ours, Text: "All of it is."}},
	}}
}

func (keyed) Resolve(eventType string) (string, error) {
	if eventType == "thing.made" || eventType == "thing_made" {
		return "thing.made", nil
	}
	return "", errors.New("must be thing.made")
}

func (keyed) Fields() []wire.Field {
	return []wire.Field{{Name: "place", Description: "Where.", Required: true, Check: func(value string) error {
		if value == "" || len(value) > 100 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == '\x7f' || r == '\ufffd' }) {
			return errors.New("must be a place")
		}
		return nil
	}}}
}

func (keyed) Compact(data []byte) ([]byte, error) { return wire.JavaScript(data) }

func (keyed) TestEvent(wire.Endpoint) wire.Event {
	return wire.Event{Type: "thing.made", Data: []byte(`{"n":0}`), Fields: map[string]string{"place": "here"}}
}

func (keyed) Encode(e wire.Event) []byte {
	b := wire.AppendQuoted([]byte(`{"place":`), e.Fields["place"])
	if e.Tenant.Settings.Of(shape) == "wide" {
		b = wire.AppendQuoted(append(b, `,"tenant":`...), e.Tenant.Alias)
	}
	return append(append(append(b, `,"data":`...), e.Data...), '}')
}

func (keyed) Decode(body []byte) ([]byte, map[string]string, error) {
	return wire.DecodeMembers(body, "data", "place")
}

func (keyed) ReservedHeaders() []string { return []string{"x-signature"} }

func (k keyed) NewSigner(keys wire.Keys) (wire.Signer, error) {
	if k.signing == wire.Unsigned {
		return keyedSigner{}, nil
	}
	if keys.Identity == nil || keys.Identity.Key == "" {
		return nil, errors.New("needs the tenant's key")
	}
	return keyedSigner{keys.Identity.Key}, nil
}

type keyedSigner struct{ key string }

func (s keyedSigner) Sign(m wire.Message) []wire.Header {
	if s.key == "" {
		return nil
	}
	h := hmac.New(sha256.New, []byte(s.key))
	h.Write(m.Body)
	return []wire.Header{{Name: "X-Signature", Value: hex.EncodeToString(h.Sum(nil))}}
}

func (keyedSigner) PublicKeys() []string { return nil }

func TestDialectsOfEachKindOfSigningConform(t *testing.T) {
	for _, d := range []wire.Dialect{standard.Dialect{}, keyed{signing: wire.ByKey}, keyed{signing: wire.Unsigned}} {
		t.Run(fmt.Sprint(d.Name(), " by ", d.Signing()), func(t *testing.T) { Run(t, d) })
	}
}

func TestASchemaIsOfTheDraftAndHasNoUnknownWord(t *testing.T) {
	for text, good := range map[string]bool{
		`{"type":"object"}`: true,
		`{"$ref":"#/$defs/a","$defs":{"a":{"type":"object","properties":{"b":{"pattern":"^x"}}}}}`: true,

		`{"type":"object","required":"a"}`:                                      false,
		`{"type":"object","properties":{"a":{"type":"text"}}}`:                  false,
		`{"type":"object","properties":{"a":{"patern":"x"}}}`:                   false,
		`{"type":"object","requierd":["a"]}`:                                    false,
		`{"type":"object","properties":{"a":{"pattern":"("}}}`:                  false,
		`{"type":"object","$ref":"#/$defs/none"}`:                               false,
		`{"type":"object","$ref":"https://example.com/schema"}`:                 false,
		`{"type":"object","$ref":"file:///etc/hostname"}`:                       false,
		`{"type":"object","$schema":"http://json-schema.org/draft-07/schema#"}`: false,
		`{"properties":{"a":{"type":"string"}}}`:                                false, // accepts what is no object
		`{"type":"object"`:                                                      false,
		`[]`:                                                                    false,
	} {
		if _, err := compileData([]byte(text)); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestAnErrorSaysWhereAValueIsWrong(t *testing.T) {
	schema, err := compileData([]byte(`{"type":"object","properties":{"a":{"items":{"properties":{"b":{"type":"string","format":"uuid"}},"additionalProperties":false}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for value, place := range map[string]string{
		`{"a":[{},{"b":1}]}`:      "/a/1/b",
		`{"a":[{"b":"no uuid"}]}`: "/a/0/b",
		`{"a":[{"c":1}]}`:         "/a/0",
	} {
		if err := validate(schema, []byte(value)); err == nil || !strings.Contains(err.Error(), "'"+place+"'") {
			t.Errorf("%s: %v", value, err)
		}
	}
	if err := validate(schema, []byte(`{`)); err == nil {
		t.Error("half an object is valid")
	}
}
