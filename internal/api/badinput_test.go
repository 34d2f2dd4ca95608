package api_test

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/api"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// poison marks what is submitted, so that an echo of it is found.
const poison = "pOiSoN"

// bad is a request that must be refused.
type bad struct {
	name, method, path, body string
	headers                  []string
	code                     *problem.Code
	fields                   []string
}

func types(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = strconv.Quote("t" + strconv.Itoa(i))
	}
	return "[" + strings.Join(list, ",") + "]"
}

func sub(fields string) string {
	return `{"url":"https://hooks.example.com","event_types":["a.b"],` + fields + `}`
}

func badEvents() []bad {
	const path, post = "/v1/events", http.MethodPost
	event := func(name, body string, code *problem.Code, fields ...string) bad {
		return bad{name: name, method: post, path: path, body: body, code: code, fields: fields}
	}
	ahead := time.Now().Add(25 * time.Hour).UTC().Format(time.RFC3339)
	return []bad{
		event("half a document", `{"type":"`+poison, problem.Malformed),
		event("two documents", `{"type":"a.b","data":{}} {"`+poison+`":1}`, problem.Malformed),
		event("a comma too many", `{"type":"a.b","data":{"`+poison+`":1,}}`, problem.Malformed),
		event("a byte order mark", "\uFEFF"+`{"type":"a.b","data":{}}`, problem.Malformed),
		event("no UTF-8", `{"type":"a.b","data":{"x":"`+poison+"\xff"+`"}}`, problem.Malformed),
		event("no UTF-8 in a name", `{"type":"a.b","data":{},"`+poison+"\xff"+`":1}`, problem.Malformed),
		event("an absurd depth", strings.Repeat(`{"data":`, 200_000/8)+"1", problem.Malformed),
		event("a depth that ends", `{"type":"a.b","data":`+strings.Repeat("[", 20_000)+strings.Repeat("]", 20_000)+`}`, problem.Malformed),
		event("a depth that nobody can read", `{"type":"a.b","data":{"x":`+strings.Repeat("[", 9_990)+strings.Repeat("]", 9_990)+`}}`, problem.Invalid, "data"),
		event("a level too much", `{"type":"a.b","data":`+strings.Repeat(`{"x":`, 500)+`{}`+strings.Repeat("}", 500)+`}`, problem.Invalid, "data"),
		event("white space only", "  \n ", problem.Malformed),
		event("a list", `["`+poison+`"]`, problem.Invalid, "body"),
		event("null", `null`, problem.Invalid, "body"),
		event("a string", `"`+poison+`"`, problem.Invalid, "body"),
		event("nothing in it", `{}`, problem.Invalid, "type", "data"),
		event("wrong types", `{"type":1,"data":{},"timestamp":2,"dialect":[]}`, problem.Invalid, "type", "timestamp", "dialect"),
		event("nulls", `{"type":null,"data":null,"timestamp":null,"dialect":null}`, problem.Invalid, "type", "timestamp", "dialect"),
		event("null data", `{"type":"a.b","data":null}`, problem.Invalid, "data"),
		event("data that is a list", `{"type":"a.b","data":["`+poison+`"]}`, problem.Invalid, "data"),
		event("data that is a string", `{"type":"a.b","data":"`+poison+`"}`, problem.Invalid, "data"),
		event("an unknown field", `{"type":"a.b","data":{},"fliter":"`+poison+`"}`, problem.Invalid, "fliter"),
		event("a field in capitals", `{"Type":"a.b","data":{}}`, problem.Invalid, "Type"),
		event("an unknown field with a long name", `{"type":"a.b","data":{},"`+strings.Repeat(poison, 20)+`":1}`, problem.Invalid, "body"),
		event("an unknown field with an odd name", `{"type":"a.b","data":{},"<`+poison+`>":1}`, problem.Invalid, "body"),
		event("hundreds of unknown fields", `{`+strings.Repeat(`"x":1,`, 900)+`"type":"a.b","data":{}}`, problem.Invalid, slices.Repeat([]string{"x"}, 20)...),
		event("a field twice", `{"type":"a.b","data":{},"type":"c.d"}`, problem.Invalid, "type"),
		event("a field twice, once escaped", `{"type":"a.b","data":{},"d\u0061ta":{}}`, problem.Invalid, "data"),
		event("an empty type", `{"type":"","data":{}}`, problem.Invalid, "type"),
		event("a type with spaces", `{"type":"`+poison+` x","data":{}}`, problem.Invalid, "type"),
		event("a type with half a character", `{"type":"\ud800","data":{}}`, problem.Invalid, "type"),
		event("a long type", `{"type":"`+strings.Repeat(poison, 30)+`","data":{}}`, problem.Invalid, "type"),
		event("a type of Grapevine's own", `{"type":"webhook.test","data":{}}`, problem.Invalid, "type"),
		event("an unknown dialect", `{"type":"a.b","data":{},"dialect":"`+poison+`"}`, problem.Invalid, "dialect"),
		event("an empty dialect", `{"type":"a.b","data":{},"dialect":""}`, problem.Invalid, "dialect"),
		event("a clock far ahead", `{"type":"a.b","data":{},"timestamp":"`+ahead+`"}`, problem.Invalid, "timestamp"),
		event("a clock that never was set", `{"type":"a.b","data":{},"timestamp":"0001-01-01T00:00:00Z"}`, problem.Invalid, "timestamp"),
		event("a clock before 1970", `{"type":"a.b","data":{},"timestamp":"1969-12-31T23:59:59Z"}`, problem.Invalid, "timestamp"),
		event("a time without a zone", `{"type":"a.b","data":{},"timestamp":"2026-01-01T00:00:00"}`, problem.Invalid, "timestamp"),
		event("a time that is none", `{"type":"a.b","data":{},"timestamp":"`+poison+`"}`, problem.Invalid, "timestamp"),
		event("data that is too large", `{"type":"a.b","data":{"x":"`+strings.Repeat("x", 257<<10)+`"}}`, problem.TooLarge, "data"),
		event("data that is too large among other mistakes", `{"type":1,"x":2,"data":{"x":"`+strings.Repeat("x", 257<<10)+`"}}`, problem.TooLarge, "data"),
		event("a body that is too large", `{"type":"a.b","data":{"x":"`+strings.Repeat("x", 300<<10)+`"}}`, problem.TooLarge, "data"),
		{name: "another content type", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"=Content-Type: text/" + poison}, code: problem.UnsupportedMediaType},
		{name: "a form", method: post, path: path, body: `type=a.b`, headers: []string{"=Content-Type: application/x-www-form-urlencoded"}, code: problem.UnsupportedMediaType},
		{name: "another charset", method: post, path: path, body: `{}`, headers: []string{"=Content-Type: application/json; charset=latin1"}, code: problem.UnsupportedMediaType},
		{name: "two content types", method: post, path: path, body: `{}`, headers: []string{"Content-Type: application/json"}, code: problem.UnsupportedMediaType},
		{name: "a compressed body", method: post, path: path, body: `{}`, headers: []string{"Content-Encoding: gzip"}, code: problem.UnsupportedMediaType},
		{name: "no body", method: post, path: path, code: problem.Malformed},
		{name: "a parameter", method: post, path: path + "?type=" + poison, body: `{"type":"a.b","data":{}}`, code: problem.Invalid, fields: []string{"query"}},
		{name: "two idempotency keys", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"Idempotency-Key: a", "Idempotency-Key: " + poison}, code: problem.Invalid, fields: []string{"Idempotency-Key"}},
		{name: "an empty idempotency key", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"Idempotency-Key: "}, code: problem.Invalid, fields: []string{"Idempotency-Key"}},
		{name: "a long idempotency key", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"Idempotency-Key: " + strings.Repeat(poison, 60)}, code: problem.Invalid, fields: []string{"Idempotency-Key"}},
		{name: "an idempotency key with a space", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"Idempotency-Key: a " + poison}, code: problem.Invalid, fields: []string{"Idempotency-Key"}},
		{name: "two Authorization headers", method: post, path: path, body: `{"type":"a.b","data":{}}`, headers: []string{"Authorization: Bearer " + poison}, code: problem.Unauthenticated},
	}
}

func badBatches() []bad {
	batch := func(name, body string, code *problem.Code, fields ...string) bad {
		return bad{name: "batch: " + name, method: http.MethodPost, path: "/v1/events/batch", body: body, code: code, fields: fields}
	}
	return []bad{
		batch("no list", `{}`, problem.Invalid, "events"),
		batch("null", `{"events":null}`, problem.Invalid, "events"),
		batch("an object", `{"events":{}}`, problem.Invalid, "events"),
		batch("a list without an object around it", `[{"type":"a.b","data":{}}]`, problem.Invalid, "body"),
		batch("an empty list", `{"events":[]}`, problem.Invalid, "events"),
		batch("a list twice", `{"events":[{"type":"a.b","data":{}}],"events":[]}`, problem.Invalid, "events"),
		batch("an unknown field", `{"events":[{"type":"a.b","data":{}}],"`+"mode"+`":"`+poison+`"}`, problem.Invalid, "mode"),
		batch("items of other kinds", `{"events":[{"type":"a.b","data":{}},"`+poison+`",null,[]]}`, problem.Invalid, "events[1]", "events[2]", "events[3]"),
		batch("one bad item", `{"events":[{"type":"a.b","data":{}},{"type":"`+poison+` !","data":{}}]}`, problem.Invalid, "events[1].type"),
		batch("one item with an unknown field", `{"events":[{"type":"a.b","data":{}},{"type":"a.b","data":{},"x":1}]}`, problem.Invalid, "events[1].x"),
		batch("too many", `{"events":[`+strings.Repeat(`{"type":"a.b","data":{}},`, 1000)+`{"type":"a.b","data":{}}]}`, problem.Invalid, "events"),
		batch("one item that is too large", `{"events":[{"type":"a.b","data":{}},{"type":1,"data":{"x":"`+strings.Repeat("x", 257<<10)+`"}}]}`, problem.TooLarge, "events[1].data"),
		batch("too large", `{"events":["`+strings.Repeat("x", 5<<20)+`"]}`, problem.TooLarge),
	}
}

func badSubscriptions() []bad {
	create := func(name, body string, fields ...string) bad {
		return bad{name: "subscription: " + name, method: http.MethodPost, path: "/v1/subscriptions", body: body, code: problem.Invalid, fields: fields}
	}
	url := func(name, url string) bad {
		return create(name, `{"url":"`+url+`","event_types":["*"]}`, "url")
	}
	return []bad{
		{name: "subscription: no JSON", method: http.MethodPost, path: "/v1/subscriptions", body: `{"url":` + poison, code: problem.Malformed},
		{name: "subscription: no UTF-8", method: http.MethodPost, path: "/v1/subscriptions", body: `{"url":"` + "\xff" + `"}`, code: problem.Malformed},
		{name: "subscription: no body", method: http.MethodPost, path: "/v1/subscriptions", code: problem.Malformed},
		{name: "subscription: too large", method: http.MethodPost, path: "/v1/subscriptions", body: `{"url":"` + strings.Repeat("x", 257<<10) + `"}`, code: problem.TooLarge},
		create("a list", `[]`, "body"),
		create("nothing in it", `{}`, "url", "event_types"),
		create("wrong types", `{"url":1,"event_types":"`+poison+`","headers":[],"policy":"`+poison+`","auth":true,"description":{"x":["`+poison+`"]}}`,
			"url", "event_types", "headers", "policy", "auth", "description"),
		create("nulls", `{"url":null,"event_types":null,"headers":null,"policy":null,"auth":null,"description":null,"secret":null,"dialect":null}`,
			"url", "event_types", "headers", "policy", "auth", "description", "secret", "dialect"),
		create("an unknown field", sub(`"fliter":{"`+poison+`":1}`), "fliter"),
		create("a part of a policy that there is not", sub(`"policy":{"order":true}`), "policy.order"),
		create("several at once in order", sub(`"policy":{"ordered":true,"max_in_flight":4}`), "policy.max_in_flight"),
		create("a field in capitals", sub(`"Secret":"`+poison+`"`), "Secret"),
		create("a field twice", sub(`"url":"https://`+poison+`.example.com"`), "url"),
		create("a header twice", sub(`"headers":{"X-A":"`+poison+`","X-A":"2"}`), "headers.X-A"),
		create("a header twice in other letters", sub(`"headers":{"X-A":"`+poison+`","x-a":"2"}`), "headers.x-a"),
		url("no URL", ""), url("half a URL", "https://"), url("no scheme", poison), url("a file", "file:///etc/"+poison),
		url("http", "http://hooks.example.com/"+poison), url("another scheme", "gopher://hooks.example.com/"+poison),
		url("credentials", "https://"+poison+":pw@hooks.example.com"), url("loopback", "https://127.0.0.1/"+poison),
		url("loopback by name", "https://localhost/"+poison), url("a decimal address", "https://2130706433/"+poison),
		url("a hexadecimal address", "https://0x7f000001/"+poison), url("an octal address", "https://0177.0.0.1/"+poison),
		url("a short address", "https://127.1/"+poison), url("an IPv6 loopback", "https://[::1]/"+poison),
		url("a mapped address", "https://[::ffff:127.0.0.1]/"+poison), url("metadata", "https://169.254.169.254/"+poison),
		url("a private address", "https://10.0.0.1/"+poison), url("a long URL", "https://hooks.example.com/"+strings.Repeat(poison, 1000)),
		create("no event types", `{"url":"https://hooks.example.com","event_types":[]}`, "event_types"),
		create("thousands of event types", `{"url":"https://hooks.example.com","event_types":`+types(5000)+`}`, "event_types"),
		create("event types of other kinds", `{"url":"https://hooks.example.com","event_types":["a",1,null,{"`+poison+`":[]}]}`, "event_types[1]", "event_types[2]", "event_types[3]"),
		create("a bad event type", `{"url":"https://hooks.example.com","event_types":["a","`+poison+` "]}`, "event_types[1]"),
		create("all and one", `{"url":"https://hooks.example.com","event_types":["a","*"]}`, "event_types[1]"),
		create("an event type twice", `{"url":"https://hooks.example.com","event_types":["`+poison+`","`+poison+`"]}`, "event_types[1]"),
		create("a reserved header", sub(`"headers":{"Webhook-Signature":"`+poison+`"}`), "headers.webhook-signature"),
		create("the transport's header", sub(`"headers":{"Content-Length":"`+poison+`"}`), "headers.content-length"),
		create("a header that injects another", sub(`"headers":{"X-A":"1\r\nX-B: `+poison+`"}`), "headers.x-a"),
		create("a header with a bad name", sub(`"headers":{"X A: `+poison+`\r\n":"1"}`), "headers"),
		create("a header that is a number", sub(`"headers":{"X-A":1}`), "headers.X-A"),
		create("the mask as a header", sub(`"headers":{"X-A":"`+masked+`"}`), "headers.x-a"),
		create("an unknown kind of auth", sub(`"auth":{"type":"`+poison+`"}`), "auth.type"),
		create("auth without a type", sub(`"auth":{"token":"`+poison+`"}`), "auth.type"),
		create("auth that mixes kinds", sub(`"auth":{"type":"bearer","token":"t","password":"`+poison+`"}`), "auth.password"),
		create("auth with an unknown field", sub(`"auth":{"type":"bearer","token":"t","realm":"`+poison+`"}`), "auth.realm"),
		create("a token that injects", sub(`"auth":{"type":"bearer","token":"`+poison+`\nx"}`), "auth.token"),
		create("a scope with a quote", sub(`"auth":{"type":"oauth2","token_url":"https://l.example.com","client_id":"c","client_secret":"s3cret-value","scopes":["`+poison+`\""]}`), "auth.scopes"),
		create("tokens from a bad place", sub(`"auth":{"type":"oauth2","token_url":"http://`+poison+`.example.com","client_id":"c","client_secret":"s3cret-value"}`), "auth.token_url"),
		create("another way for the client", sub(`"auth":{"type":"oauth2","token_url":"https://l.example.com","client_id":"c","client_secret":"s3cret-value","client_auth":"`+poison+`"}`), "auth.client_auth"),
		create("a certificate that is none", sub(`"auth":{"type":"mtls","certificate":"`+poison+`","private_key":"`+poison+`"}`), "auth.certificate"),
		create("an authority that is none", sub(`"ca":"`+poison+`"`), "ca"),
		create("a handshake of another kind", sub(`"handshake":"`+poison+`"`), "handshake"),
		create("a bad secret", sub(`"secret":"whsec_`+poison+`"`), "secret"),
		create("an empty secret", sub(`"secret":""`), "secret"),
		create("an unknown signature", sub(`"signature":"`+poison+`"`), "signature"),
		create("an unknown dialect", sub(`"dialect":"`+poison+`"`), "dialect"),
		create("a control character", sub(`"description":"`+poison+`\u0000"`), "description"),
		create("waits of other kinds", sub(`"policy":{"schedule":["`+poison+`",null]}`), "policy.schedule[0]", "policy.schedule[1]"),
		create("a negative wait", sub(`"policy":{"schedule":[-1]}`), "policy.schedule[0]"),
		create("an endless wait", sub(`"policy":{"schedule":[1e300]}`), "policy.schedule[0]"),
		create("a number that is none", sub(`"policy":{"timeout":1e999}`), "policy.timeout"),
		create("too many waits", sub(`"policy":{"schedule":[`+strings.Repeat("1,", 200)+`1]}`), "policy.schedule"),
		create("no time", sub(`"policy":{"timeout":0}`), "policy.timeout"),
		create("a long time", sub(`"policy":{"timeout":61}`), "policy.timeout"),
		create("half a request in flight", sub(`"policy":{"max_in_flight":1.5}`), "policy.max_in_flight"),
		create("no request in flight", sub(`"policy":{"max_in_flight":0}`), "policy.max_in_flight"),
		create("a huge number in flight", sub(`"policy":{"max_in_flight":99999999999999999999}`), "policy.max_in_flight"),
		create("no rate", sub(`"policy":{"rate":0}`), "policy.rate"),
	}
}

func badQueries() []bad {
	get := func(path string, fields ...string) bad {
		return bad{name: "query: " + path, method: http.MethodGet, path: path, code: problem.Invalid, fields: fields}
	}
	return []bad{
		get("/v1/events?limit=0", "query.limit"), get("/v1/events?limit=251", "query.limit"), get("/v1/events?limit="+poison, "query.limit"),
		get("/v1/events?limit=", "query.limit"), get("/v1/events?limit=1&limit=2", "query.limit"), get("/v1/events?limit=99999999999999999999", "query.limit"),
		get("/v1/events?cursor="+poison, "query.cursor"), get("/v1/events?cursor="+strings.Repeat("A", 300), "query.cursor"),
		get("/v1/subscriptions?cursor="+poison, "query.cursor"), get("/v1/deliveries?cursor="+poison, "query.cursor"),
		get("/v1/events?status="+poison, "query.status"), get("/v1/events?since="+poison, "query.since"), get("/v1/events?until=yesterday", "query.until"),
		get("/v1/events?colour="+poison, "query.colour"), get("/v1/events?%3C"+poison+"%3E=1", "query"), get("/v1/events?type=%ff", "query.type"),
		get("/v1/events?type="+strings.Repeat(poison, 30), "query.type"),
		get("/v1/deliveries?response_status=99", "query.response_status"), get("/v1/deliveries?response_status=abc", "query.response_status"),
		get("/v1/deliveries?subscription_id="+poison, "query.subscription_id"), get("/v1/deliveries?event_id="+poison, "query.event_id"),
		get("/v1/event-types?dialect="+poison, "query.dialect"), get("/v1/event-types?cursor="+poison, "query.cursor"), get("/v1/event-types?limit=0", "query.limit"),
		{name: "query: not well-formed", method: http.MethodGet, path: "/v1/events?type=%zz" + poison, code: problem.Malformed},
		{name: "query: a semicolon", method: http.MethodGet, path: "/v1/events?a;" + poison, code: problem.Malformed},
	}
}

func badPrograms() []bad {
	program := func(name, body string, fields ...string) bad {
		return bad{name: "program: " + name, method: http.MethodPost, path: "/v1/programs", body: body, code: problem.Invalid, fields: fields}
	}
	send := func(method, path, body string, fields ...string) bad {
		return bad{name: method + " " + path + " " + body[:min(40, len(body))], method: method, path: path, body: body, code: problem.Invalid, fields: fields}
	}
	const here = "/v1/programs/here"
	return []bad{
		program("nothing in it", `{}`, "key"),
		program("nulls", `{"key":null,"settings":null,"rules":null,"ends_at":null}`, "key", "settings", "rules", "ends_at"),
		program("everything wrong at once", `{"key":"`+poison+` !","kind":"`+poison+`","time_zone":"`+poison+`","starts_at":"2026-01-02T00:00:00Z","ends_at":"2026-01-01T00:00:00Z","unit":"`+strings.Repeat("u", 33)+`"}`,
			"key", "kind", "time_zone", "ends_at", "unit"),
		program("a status that there is not", `{"key":"a","status":"`+poison+`"}`, "status"),
		program("settings that are none", `{"key":"a","settings":"`+poison+`"}`, "settings"),
		program("a setting that there is not", `{"key":"a","settings":{"`+poison+`":1}}`, "settings"),
		program("settings with mistakes", `{"key":"a","settings":{"landing_url":"javascript:`+poison+`","moderation":{"referrer":"`+poison+`"},"accounts":"`+poison+`"}}`,
			"settings.landing_url", "settings.moderation.referrer", "settings.accounts"),
		program("rules that are no list", `{"key":"a","rules":{"`+poison+`":1}}`, "rules"),
		program("a rule with mistakes", `{"key":"a","rules":[{"key":"`+poison+` ","on":7,"give":{"kind":"`+poison+`"}}]}`, "rules[0].key", "rules[0].on", "rules[0].give.kind"),
		send(http.MethodPatch, here, `{"key":"other"}`, "key"),
		send(http.MethodPatch, here, `{"status":null,"starts_at":7}`, "status", "starts_at"),
		send(http.MethodPut, here+"/rules", `{}`, "rules"),
		send(http.MethodGet, here+"/rules?version=0", "", "query.version"),
		send(http.MethodPost, here+"/rules/dry-run", `{}`, "activity"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity_id":"act_x","activity":{"person":"anna","type":"a"}}`, "activity"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity_id":"`+poison+`"}`, "activity_id"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity_id":"act_000000000000000000000000"}`, "activity_id"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity":{"person":"`+poison+`","type":"a"}}`, "activity.person"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity":{"person":"anna","type":"`+poison+` !","fields":[]}}`, "activity.type", "activity.fields"),
		send(http.MethodPost, here+"/rules/dry-run", `{"activity":{"person":"anna","type":"a"},"rules":[{"`+poison+`":1}]}`, "rules[0]", "rules[0].key", "rules[0].on", "rules[0]"),
	}
}

func badPeople() []bad {
	send := func(method, path, body string, fields ...string) bad {
		return bad{name: method + " " + path + " " + body[:min(40, len(body))], method: method, path: path, body: body, code: problem.Invalid, fields: fields}
	}
	deep := strings.Repeat(`{"x":`, 501) + `{}` + strings.Repeat("}", 501)
	const anna, put, post, get = "/v1/people/anna", http.MethodPut, http.MethodPost, http.MethodGet
	return []bad{
		send(put, anna, `{"email":"`+poison+`","country":"`+poison+`","image_url":"`+poison+`","locale":"`+strings.Repeat("l", 36)+`","fields":[]}`, "locale", "image_url", "email", "country", "fields"),
		send(put, anna, `{"first_name":null,"codes":{"x":1},"referred_by":"`+poison+`","external_id":"x"}`, "first_name", "codes.x", "referred_by", "external_id"),
		send(put, anna, `{"fields":`+deep+`}`, "fields"),
		send(post, anna+"/activities", `{"activities":[{"type":"a","fields":`+deep+`}]}`, "activities[0].fields"),
		send(put, "/v1/accounts/acme", `{"state":"paid","details":`+deep+`}`, "details"),
		send(put, anna, `{"ip":"`+poison+`"}`, "ip"),
		send(put, anna, `{"referred_by":["`+poison+`"]}`, "referred_by"),
		send(put, anna, `{"codes":{"nowhere":"`+poison+`"}}`, "codes"),
		send(put, anna, `{"referred_by":`+types(21)+`}`, "referred_by"),
		send(put, "/v1/people/a\x07b", `{}`, "id"),
		send(get, "/v1/people?cursor="+poison, "", "query.cursor"),
		send(get, "/v1/people?search=a&cursor="+poison, "", "query.cursor"),
		send(post, anna+"/activities", `{"activities":[]}`, "activities"),
		send(post, anna+"/activities", `{"activities":[`+strings.Repeat(`{"type":"a"},`, 100)+`{"type":"a"}]}`, "activities"),
		send(post, anna+"/activities", `{"activities":[{"type":"a"},{"type":"`+poison+` !","key":"a\u0007","fields":"`+poison+`"}]}`, "activities[1].type", "activities[1].key", "activities[1].fields"),
		send(post, anna+"/activities", `{"activities":[{"type":"a","occurred_at":"1969-01-01T00:00:00Z"}]}`, "activities[0].occurred_at"),
		send(post, anna+"/referral", `{"code":"`+poison+`"}`, "code"),
		send(post, anna+"/rewards", `{"kind":"gold","amount":1}`, "kind"),
		send(post, anna+"/rewards", `{"kind":"credit","amount":0}`, "amount", "unit"),
		send(post, anna+"/rewards", `{"kind":"percent","amount":10001}`, "amount"),
		send(post, anna+"/rewards", `{"kind":"points","amount":1,"unit":"p","details":"`+poison+`"}`, "details"),
		send(post, anna+"/rewards", `{"kind":"points","amount":1,"unit":"p","expires_at":"2020-01-01T00:00:00Z"}`, "expires_at"),
		send(post, anna+"/spend", `{"amount":0,"unit":""}`, "amount", "unit"),
		send(put, "/v1/accounts/acme", `{"state":"`+poison+`"}`, "state"),
		send(put, "/v1/accounts/acme", `{"state":"paid","details":[1]}`, "details"),
		send(get, "/v1/referrals?state="+poison, "", "query.state"),
		send(get, "/v1/referrals?referrer="+poison, "", "query.referrer"),
		send(get, "/v1/referrals?program="+poison, "", "query.program"),
		send(get, "/v1/referrals?cursor="+poison, "", "query.cursor"),
		send(get, "/v1/rewards?person="+poison, "", "query.person"),
		send(get, "/v1/facts?subject="+poison, "", "query.subject"),
		send(get, "/v1/facts?subject=per_000000000000000000000000", "", "query.subject"),
		send(get, "/v1/facts?subject=per_"+poison, "", "query.subject"),
		send(post, "/v1/referrals/moderate", `{"actions":[]}`, "actions"),
		send(post, "/v1/referrals/moderate", `{"actions":[{"referral_id":"x","to":"`+poison+`","side":"`+poison+`"}]}`, "actions[0].to", "actions[0].side"),
	}
}

func TestBadInputOfProgramsIsRefusedByFieldAndNeverRepeatedOrStored(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	if _, err := a.CreateProgram(t.Context(), client.NewProgram{Key: "here"}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.ReportPerson(t.Context(), "anna", client.PersonReport{}); err != nil {
		t.Fatal(err)
	}
	w.refusesAll(t, a, slices.Concat(badPrograms(), badPeople(), badOthers()))
}

func TestBadInputIsRefusedByFieldAndNeverRepeatedOrStored(t *testing.T) {
	w := MustWorld(t, nil)
	w.refusesAll(t, w.MustAccount("acme"), slices.Concat(badEvents(), badBatches(), badSubscriptions(), badQueries()))
}

// refusesAll demands that each request is refused, by the fields that are wrong, and
// that it leaves nothing behind.
func (w *world) refusesAll(t *testing.T, a account, all []bad) {
	t.Helper()
	before := w.MustCount()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			got := w.send(c.method, c.path, a.Key, c.body, c.headers...)
			p := got.problem(t, c.code)
			if diff := cmp.Diff(c.fields, p.fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%s", diff, got.body)
			}
			if strings.Contains(strings.ToLower(got.body), strings.ToLower(poison)) {
				t.Errorf("the answer repeats what was submitted: %s", got.body)
			}
			if diff := cmp.Diff(before, w.MustCount()); diff != "" {
				t.Errorf("something was stored (-before +after):\n%s", diff)
			}
		})
	}
	if logged := w.log.String(); strings.Contains(strings.ToLower(logged), strings.ToLower(poison)) || strings.Contains(logged, "level=ERROR") {
		t.Error("the log repeats what was submitted, or has an error")
	}
}

// MustCount counts the rows of the tables.
func (w *world) MustCount() map[string]int {
	w.t.Helper()
	counts := make(map[string]int)
	err := w.db.Read(w.t.Context(), func(q db.Queryer) error {
		for _, table := range []string{
			"tenant", "api_key", "event", "subscription", "delivery", "attempt", "idempotency_key", "audit_entry",
			"program", "rule_set", "person", "account", "activity", "referral", "reward", "fact", "code", "touch",
			"pool", "pool_code", "blocklist", "blocklist_shape", "export", "timer", "theme", "theme_draft",
		} {
			var n int
			if err := q.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
				return err
			}
			counts[table] = n
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return counts
}

func TestBadInputOfTheOperatorIsRefusedByField(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	keys := "/v1/tenants/" + a.ID + "/keys"
	list, err := w.MustClient(adminKey).Keys(t.Context(), a.ID, client.Page{})
	if err != nil {
		t.Fatal(err)
	}
	key := keys + "/" + list.Data[0].ID
	for name, c := range map[string]struct {
		method, path, body string
		fields             []string
	}{
		"no alias":               {http.MethodPost, "/v1/tenants", `{}`, []string{"alias"}},
		"a bad alias":            {http.MethodPost, "/v1/tenants", `{"alias":"` + poison + `"}`, []string{"alias"}},
		"live as a text":         {http.MethodPost, "/v1/tenants", `{"alias":"b","live":"` + poison + `"}`, []string{"live"}},
		"a field to come":        {http.MethodPost, "/v1/tenants", `{"alias":"b","currency":"` + poison + `"}`, []string{"currency"}},
		"live can't change":      {http.MethodPatch, "/v1/tenants/" + a.ID, `{"live":false}`, []string{"live"}},
		"null":                   {http.MethodPatch, "/v1/tenants/" + a.ID, `{"alias":null}`, []string{"alias"}},
		"a cursor":               {http.MethodGet, "/v1/tenants?cursor=" + poison, ``, []string{"query.cursor"}},
		"a cursor of keys":       {http.MethodGet, keys + "?cursor=" + poison, ``, []string{"query.cursor"}},
		"no scopes":              {http.MethodPost, keys, `{"name":"x"}`, []string{"scopes"}},
		"an empty list":          {http.MethodPost, keys, `{"scopes":[]}`, []string{"scopes"}},
		"an unknown scope":       {http.MethodPost, keys, `{"scopes":["read","` + poison + `"]}`, []string{"scopes[1]"}},
		"a time that is none":    {http.MethodPost, keys, `{"scopes":["read"],"expires_at":"` + poison + `"}`, []string{"expires_at"}},
		"a time that has passed": {http.MethodPost, keys, `{"scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"}`, []string{"expires_at"}},
		"a long name":            {http.MethodPost, keys, `{"scopes":["read"],"name":"` + strings.Repeat(poison, 20) + `"}`, []string{"name"}},
		"a negative overlap":     {http.MethodPost, key + "/roll", `{"overlap":-1}`, []string{"overlap"}},
		"a long overlap":         {http.MethodPost, key + "/roll", `{"overlap":604801}`, []string{"overlap"}},
		"an overlap of text":     {http.MethodPost, key + "/roll", `{"overlap":"` + poison + `"}`, []string{"overlap"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := w.MustCount()
			got := w.send(c.method, c.path, adminKey, c.body)
			if diff := cmp.Diff(c.fields, got.problem(t, problem.Invalid).fields()); diff != "" {
				t.Errorf("fields (-want +got):\n%s\n%s", diff, got.body)
			}
			if strings.Contains(strings.ToLower(got.body), strings.ToLower(poison)) {
				t.Errorf("the answer repeats what was submitted: %s", got.body)
			}
			if diff := cmp.Diff(before, w.MustCount()); diff != "" {
				t.Errorf("something was stored (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAnActionTakesNoFields(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	sub := a.MustSubscription(t, "*")
	for _, action := range []string{"/disable", "/enable", "/test", "/secret"} {
		path := "/v1/subscriptions/" + sub.ID + action
		p := w.send(http.MethodPost, path, a.Key, `{"until":"tomorrow"}`).problem(t, problem.Invalid)
		if diff := cmp.Diff([]string{"until"}, p.fields()); diff != "" {
			t.Errorf("%s: %s", action, diff)
		}
		for _, body := range []string{"", "{}"} {
			if got := w.send(http.MethodPost, path, a.Key, body); got.status != http.StatusOK {
				t.Errorf("%s with %q: %d %s", action, body, got.status, got.body)
			}
		}
	}
}

func TestNamesInsideDataMayBeRepeatedSinceTheyAreThePublishers(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	if got := w.send(http.MethodPost, "/v1/events", a.Key, `{"type":"a.b","data":{"x":1,"x":{"type":"y","deep":[[{}]]}}}`); got.status != http.StatusAccepted {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestDataAsDeepAsAllowedIsStoredAndShown(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	for name, data := range map[string]string{
		"deep":                 strings.Repeat(`{"x":`, 499) + `{}` + strings.Repeat("}", 499),
		"wide":                 `{"x":[` + strings.Repeat(`[],`, 5000) + `{}]}`,
		"brackets in a string": `{"x":"` + strings.Repeat(`[{\"`, 5000) + `"}`,
	} {
		made := w.send(http.MethodPost, "/v1/events", a.Key, `{"type":"a.b","data":`+data+`}`)
		if made.status != http.StatusAccepted {
			t.Fatalf("%s: %d %s", name, made.status, made.body)
		}
		e := w.send(http.MethodGet, "/v1/events/"+made.body[len(`{"id":"`):][:28], a.Key, "")
		if e.status != http.StatusOK || !strings.Contains(e.body, data) {
			t.Errorf("%s: %d %.200s", name, e.status, e.body)
		}
	}
}

func TestTheLimitOfAnEventIsASetting(t *testing.T) {
	w := MustWorld(t, func(o *api.Options) { o.MaxEventBytes = 1000 })
	a := w.MustAccount("acme")
	data := func(n int) string {
		return `{"type":"a.b","data":{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}}`
	}
	if got := w.send(http.MethodPost, "/v1/events", a.Key, data(1000)); got.status != http.StatusAccepted {
		t.Errorf("as much as allowed: %d %s", got.status, got.body)
	}
	// The caller hears of the setting, whether its body was read or not.
	for name, c := range map[string]struct{ path, body, field, bytes string }{
		"a byte too much":     {"/v1/events", data(1001), "data", "1000"},
		"a body too long":     {"/v1/events", data(6000), "data", "1000"},
		"in a batch":          {"/v1/events/batch", `{"events":[` + data(6000) + `]}`, "events[0].data", "1000"},
		"a batch that is one": {"/v1/events/batch", `{"events":["` + strings.Repeat("x", 5<<20) + `"]}`, "", "5242880"},
	} {
		p := w.send(http.MethodPost, c.path, a.Key, c.body).problem(t, problem.TooLarge)
		if got := strings.Join(p.fields(), " "); got != c.field || !strings.Contains(p.Detail, c.bytes) {
			t.Errorf("%s: field %q, %q", name, got, p.Detail)
		}
	}
}

func TestABodyOfUnknownLengthIsReadNoFurtherThanItsLimit(t *testing.T) {
	w := MustWorld(t, nil)
	a := w.MustAccount("acme")
	var taken atomic.Int64
	endless := io.NopCloser(zeros{&taken})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/v1/events", endless)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.Key)
	resp, err := w.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("status %d", resp.StatusCode)
	}
	if n := taken.Load(); n > 1<<29 {
		t.Errorf("%d bytes were taken", n)
	}
}

// zeros is a body without end, or nearly so: a server that takes all of it is
// found out. It counts what was taken, while the client may still be sending.
type zeros struct{ taken *atomic.Int64 }

func (z zeros) Read(b []byte) (int, error) {
	if z.taken.Add(int64(len(b))) > 1<<30 {
		return 0, io.EOF
	}
	clear(b)
	return len(b), nil
}
