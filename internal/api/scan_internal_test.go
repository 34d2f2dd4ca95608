package api

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/wire"
)

// FuzzPublicationIsReadAsTheStandardLibraryReadsIt holds the scanner against
// encoding/json: the two agree on every valid document.
func FuzzPublicationIsReadAsTheStandardLibraryReadsIt(f *testing.F) {
	for _, seed := range []string{
		`{"type":"a.b","data":{"x":[1,{"y":"}]\\\""}]}}`,
		` { "type" : "a.\u0062" , "data" : { } , "timestamp" : "2026-01-31T15:04:05Z" , "dialect" : "standard" } `,
		`{"data":{"a":"\\"},"type":"\"\ud83d\ude00"}`,
		`{"type":"a","type":"b"}`, `{"t\u0079pe":"a","data":1e5}`, `{}`, `[]`, `null`, `"x"`, `12`, `{"x":true,"data":null}`,
		`{"type":"a","data":[[[{}]],"]"]}`, `{"type":"\\","data":{"\\\"":"\\"}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		body, err := wire.Compact(body)
		if err != nil {
			return // readBody refuses it
		}
		var errs fieldErrors
		p := publication(body, "", &errs)
		publications(body, &fieldErrors{}) // does not fail on what it does not expect

		var want struct {
			Type    string          `json:"type"`
			Data    json.RawMessage `json:"data"`
			Dialect string          `json:"dialect"`
		}
		var names map[string]json.RawMessage
		if errs.err() != nil {
			return
		}
		if err := json.Unmarshal(body, &names); err != nil {
			t.Fatalf("read %q, which is no object", body)
		}
		for name := range names {
			switch name {
			case "type", "data", "dialect", "timestamp":
			default:
				t.Fatalf("read %q with the unknown field %q", body, name)
			}
		}
		delete(names, "timestamp")
		rest, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(rest, &want); err != nil {
			t.Fatalf("read %q, which the library does not: %v", body, err)
		}
		var a, b any
		if len(p.Data) > 0 && (json.Unmarshal(p.Data, &a) != nil || json.Unmarshal(want.Data, &b) != nil) {
			t.Fatalf("data of %q is read as %q", body, p.Data)
		}
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		if p.Type != want.Type || p.Dialect != want.Dialect || !bytes.Equal(x, y) {
			t.Errorf("%q: got %q %q %s, want %q %q %s", body, p.Type, p.Dialect, x, want.Type, want.Dialect, y)
		}
	})
}
