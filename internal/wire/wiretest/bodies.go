package wiretest

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// data are events' data that are hard to write the same way twice, as JavaScript
// writes them.
var data = []string{
	`{}`,
	`{"z":1,"a":{"b":[1,2.5,-3,1e+21,true,false,null,[],{}]}}`,
	`{"7":1,"10":{"0":2},"07":3,"text":"<p>&amp; 'x' / \\ \" \b\f\n\r\t \u0000\u001f"}`,
	"{\"separators\":\"\u2028\u2029\u0085\u00a0\ufeff\u007f\",\"ü\":\"😀\"}",
	`{"half":"\ud83d","half again":"\udc00 \udbff"}`,
	`{"":"` + strings.Repeat("long ", 4_000) + `"}`,
	`{"__proto__":{"constructor":1},"__proto__x":null}`,
}

// tenants are a test tenant and a live one with each choice of settings.
func tenants(d wire.Dialect) []wire.Tenant {
	var list []wire.Tenant
	for _, chosen := range choices(d) {
		list = append(
			list,
			wire.Tenant{Alias: "test_a1b2c3", Settings: chosen},
			wire.Tenant{Alias: "acme", Live: true, Settings: chosen},
		)
	}
	return list
}

func checkCompact(t testing.TB, d wire.Dialect) {
	for _, text := range data {
		if compact, err := d.Compact([]byte(text)); err != nil || string(compact) != text {
			t.Errorf("%.40q became %.40q: %v", text, compact, err)
		}
	}
	const text = ` { "b" : [ 1.50 , 1E3 , -0 , 1e-7 ] ,` + "\n" + ` "10" : { } , "9" : "\u0041\/\u00e9" } `
	given := []byte(text)
	once, err := d.Compact(given)
	if err != nil || string(given) != text {
		t.Fatalf("%s became %s, and the result is %s: %v", text, given, once, err)
	}
	if s := string(once); s != `{"b":[1.50,1E3,-0,1e-7],"10":{},"9":"A/é"}` && s != `{"9":"A/é","10":{},"b":[1.5,1000,0,1e-7]}` {
		t.Errorf("%s is neither compact nor as JavaScript writes it: %s", text, once)
	}
	if twice, err := d.Compact(once); err != nil || !bytes.Equal(once, twice) {
		t.Errorf("%s became %s: %v", once, twice, err)
	}
	for _, bad := range []string{"", marker, `{"a":"` + marker, `{"a":"` + marker + `"}{}`, "{\"a\":\"" + marker + "\xff\"}", `{"a":"` + marker + `",}`, strings.Repeat(`{"a":`, 20_000)} {
		compact, err := d.Compact([]byte(bad))
		if err == nil {
			t.Errorf("%.20q became %.20q", bad, compact)
		} else if strings.Contains(err.Error(), marker) {
			t.Errorf("the error repeats the data: %.80v", err)
		}
	}
}

// events are those that the suite has a dialect encode: for each tenant, the
// suite's own data under a type of the catalogue and, where publishers may have
// their own, one of those; and everything in the catalogue.
func events(d wire.Dialect) []wire.Event {
	var list []wire.Event
	for _, tenant := range tenants(d) {
		catalogue := d.Catalogue(tenant.Settings)
		types := []string{catalogue[0].Name}
		if _, err := d.Resolve(ownType); err == nil {
			types = append(types, ownType)
		}
		for i, said := range fields(d) {
			e := wire.Event{ID: id.First(at.Add(time.Duration(i) * time.Hour)), OccurredAt: at, Tenant: tenant, Fields: said}
			for _, e.Type = range types {
				for _, text := range data {
					e.Data = []byte(text)
					list = append(list, e)
				}
			}
		}
		e := wire.Event{ID: id.First(at), OccurredAt: at, Tenant: tenant, Fields: d.TestEvent(wire.Endpoint{}).Fields}
		for _, known := range catalogue {
			e.Type = known.Name
			for _, sample := range samples(known) {
				e.Data = sample.Data
				list = append(list, e)
			}
		}
	}
	return list
}

func checkBodies(t testing.TB, d wire.Dialect) {
	for _, e := range events(d) {
		text := string(e.Data)
		given := []byte(text)
		e.Data = given
		body := d.Encode(e)
		if string(given) != text {
			t.Fatalf("%s: Encode changed what it was given", e.Type)
		}
		kept := bytes.Clone(body)
		clear(given)
		if !bytes.Equal(kept, body) {
			t.Fatalf("%s: the body shares memory with the data", e.Type)
		}
		e.Data, e.OccurredAt = []byte(text), at.In(time.FixedZone("", 5400))
		if again := d.Encode(e); !bytes.Equal(kept, again) {
			t.Errorf("the same event has another body in another time zone:\n%.200s\n%.200s", kept, again)
		}
		if compact, err := wire.Compact(body); err != nil || !bytes.Equal(compact, body) {
			t.Errorf("the body is not compact JSON: %v: %.200s", err, body)
		}
	}
}

func checkJavaScript(t testing.TB, d wire.Dialect) {
	var bodies [][]byte
	for _, e := range events(d) {
		bodies = append(bodies, d.Encode(e))
	}
	for i, written := range MustStringify(t, bodies) {
		if written != string(bodies[i]) {
			t.Errorf("a receiver in JavaScript would verify another body:\n%.200s\n%.200s", bodies[i], written)
		}
	}
}

// checkDecode demands the data and the fields back. A setting may have bodies say
// otherwise what the data says; then it is the fields alone.
func checkDecode(t testing.TB, d wire.Dialect) {
	for _, e := range events(d) {
		data, fields, err := d.Decode(d.Encode(e))
		if err != nil {
			t.Errorf("%s: the body can't be read: %v", e.Type, err)
			continue
		}
		if len(e.Tenant.Settings) == 0 && !bytes.Equal(data, e.Data) {
			t.Errorf("%s: the data is %.200s, want %.200s", e.Type, data, e.Data)
		}
		if !maps.Equal(fields, e.Fields) {
			t.Errorf("%s: the fields are %q, want %q", e.Type, fields, e.Fields)
		}
	}
}
