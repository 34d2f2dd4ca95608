package partnerstack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/dialect/dialecttest"
	"github.com/grapevine-hq/grapevine/internal/dialect/partnerstack"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	wire "github.com/grapevine-hq/grapevine/internal/wire/partnerstack"
)

const hooks = "/api/v2/webhooks"

const body = `{"target_url":"https://hooks.example.com/in","events":["customer.created"]}`

// refusal is an error, strictly read.
type refusal struct {
	Message string `json:"message"`
	Status  int    `json:"status"`
}

func TestItPassesTheSuite(t *testing.T) {
	dialecttest.Run(t, dialecttest.Suite{
		New:  partnerstack.New,
		Auth: auth,
		Refusal: func(t *testing.T, a dialecttest.Answer) {
			t.Helper()
			if r := mustRead[refusal](t, a.Body); r.Message == "" || r.Status != a.Status {
				t.Errorf("the answer is %s", a.Body)
			}
		},
		List:   dialecttest.Request{Method: http.MethodGet, Path: hooks},
		Create: dialecttest.Request{Method: http.MethodPost, Path: hooks, Body: body},
		One: []dialecttest.Request{
			{Method: http.MethodGet, Path: hooks + "/{id}"},
			{Method: http.MethodPatch, Path: hooks + "/{id}", Body: body},
			{Method: http.MethodDelete, Path: hooks + "/{id}"},
		},
		ID: func(sub *webhook.Subscription) string { return "hook_" + sub.ID.String() },
	})
}

// auth splits a key into its public and its private half.
func auth(key string) dialecttest.Auth {
	public, private, _ := strings.Cut(key, ":")
	return dialecttest.Basic(public, private)
}

// mustRead reads JSON that has no other fields than T.
func mustRead[T any](t testing.TB, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

// client is a tenant with a key of the API.
type client struct {
	*dialecttest.World
	tenant.Tenant

	t   testing.TB
	key string
}

func newClient(t testing.TB) client {
	t.Helper()
	c := client{World: dialecttest.NewWorld(t, partnerstack.New, nil), t: t}
	c.Tenant = c.MustTenant("acme")
	c.key = c.MustKey(c.Tenant)
	return c
}

func (c client) send(method, path, body string) dialecttest.Answer {
	c.t.Helper()
	return c.Send(method, path, body, auth(c.key))
}

// hook is a webhook, strictly read.
type hook struct {
	Key       string   `json:"key"`
	TargetURL string   `json:"target_url"`
	Events    []string `json:"events"`
	CreatedAt int64    `json:"created_at"`
	UpdatedAt int64    `json:"updated_at"`
}

type envelope[T any] struct {
	Data    T      `json:"data"`
	Message string `json:"message"`
	Status  int    `json:"status"`
}

// must demands a success and returns its data.
func must[T any](t testing.TB, a dialecttest.Answer) T {
	t.Helper()
	e := mustRead[envelope[T]](t, a.Body)
	if a.Status != http.StatusOK || e.Status != http.StatusOK || e.Message == "" {
		t.Fatalf("status %d: %s", a.Status, a.Body)
	}
	return e.Data
}

// mustRefuse demands a refusal of the status that says all of the words.
func mustRefuse(t testing.TB, a dialecttest.Answer, status int, words ...string) {
	t.Helper()
	r := mustRead[refusal](t, a.Body)
	if a.Status != status || r.Status != status {
		t.Errorf("status %d, want %d: %s", a.Status, status, a.Body)
	}
	for _, w := range words {
		if !strings.Contains(r.Message, w) {
			t.Errorf("the message lacks %q: %s", w, r.Message)
		}
	}
}

func TestASubscriberGetsWhatIsPublishedUntilItArchives(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", hooks, body))
	if !strings.HasPrefix(made.Key, "hook_") || made.TargetURL != "https://hooks.example.com/in" ||
		!slices.Equal(made.Events, []string{"customer.created"}) || made.CreatedAt == 0 || made.UpdatedAt != made.CreatedAt {
		t.Errorf("made %+v", made)
	}
	pub := sample(t, "customer.created")
	if n := c.MustPublish(c.Tenant, pub); n != 1 {
		t.Fatalf("%d deliveries", n)
	}
	got := c.MustReceive()
	if got.URL != made.TargetURL || got.Body != string(pub.Data) || got.Header.Get("X-Grapevine-Event-Type") != "customer.created" {
		t.Errorf("received %+v", got)
	}
	if n := c.MustPublish(c.Tenant, sample(t, "customer.deleted")); n != 0 {
		t.Errorf("%d deliveries of an event that nobody subscribed to", n)
	}

	if a := c.send("DELETE", hooks+"/"+made.Key, ""); a.Status != http.StatusOK || a.Body != `{"message":"Webhook archived successfully","status":200}`+"\n" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if n := c.MustPublish(c.Tenant, pub); n != 0 {
		t.Errorf("%d deliveries after it was archived", n)
	}
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		mustRefuse(t, c.send(method, hooks+"/"+made.Key, body), http.StatusNotFound)
	}
	if l := must[list](t, c.send("GET", hooks, "")); len(l.Items) != 0 || l.HasMore {
		t.Errorf("listed %+v", l)
	}
}

// sample is an event as the catalogue has it.
func sample(t testing.TB, eventType string) webhook.Publication {
	t.Helper()
	for _, known := range (wire.Dialect{}).Catalogue(nil) {
		if known.Name == eventType {
			return webhook.Publication{Type: eventType, Data: known.Sample}
		}
	}
	t.Fatalf("there is no %s", eventType)
	return webhook.Publication{}
}

func TestBothBaseURLsAreServed(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", "/v2/webhooks", body))
	for _, base := range []string{"/v2/webhooks/", "/api/v2/webhooks/"} {
		if got := must[hook](t, c.send("GET", base+made.Key, "")); !cmp.Equal(got, made) {
			t.Errorf("%s: %s", base, cmp.Diff(made, got))
		}
	}
}

func TestATargetIsATargetURL(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", hooks, `{"target":"https://hooks.example.com/in","events":["deal.created"]}`))
	if made.TargetURL != "https://hooks.example.com/in" {
		t.Errorf("it leads to %s", made.TargetURL)
	}
	same := `{"target":"https://hooks.example.com/two","target_url":"https://hooks.example.com/two","events":["deal.created"]}`
	must[hook](t, c.send("POST", hooks, same))
	mustRefuse(t, c.send("POST", hooks, strings.Replace(same, "two", "one", 1)), http.StatusBadRequest, "target: ")
	mustRefuse(t, c.send("PATCH", hooks+"/"+made.Key, strings.Replace(same, "two", "one", 1)), http.StatusBadRequest, "target: ")
}

func TestAChangeKeepsWhatItDoesNotName(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", hooks, body))
	path := hooks + "/" + made.Key
	want := made
	for _, step := range []struct {
		body   string
		change func()
	}{
		{`{}`, func() {}},
		{`{"events":null,"target_url":null}`, func() {}},
		{`{"events":["deal.created","deal.updated"]}`, func() { want.Events = []string{"deal.created", "deal.updated"} }},
		{`{"target_url":"https://two.example.com/"}`, func() { want.TargetURL = "https://two.example.com/" }},
		{`{"target":"https://three.example.com/","events":["*"]}`, func() { want.TargetURL, want.Events = "https://three.example.com/", []string{"*"} }},
	} {
		step.change()
		got := must[hook](t, c.send("PATCH", path, step.body))
		if got.UpdatedAt < want.UpdatedAt {
			t.Errorf("%s: updated at %d, before %d", step.body, got.UpdatedAt, want.UpdatedAt)
		}
		want.UpdatedAt = got.UpdatedAt
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", step.body, diff)
		}
		if diff := cmp.Diff(want, must[hook](t, c.send("GET", path, ""))); diff != "" {
			t.Errorf("%s, read again: %s", step.body, diff)
		}
	}
}

func TestAChangeThatIsRefusedChangesNothing(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", hooks, body))
	path := hooks + "/" + made.Key
	for name, bad := range map[string]struct{ body, field string }{
		"an unknown event":        {`{"events":["customer.created","customer.poked"]}`, "events[1]"},
		"no events":               {`{"events":[],"target_url":"https://two.example.com/"}`, "events"},
		"events that are a word":  {`{"events":"customer.created"}`, "events"},
		"events that are numbers": {`{"events":[1]}`, "events"},
		"an event twice":          {`{"events":["deal.created","deal.created"]}`, "events[1]"},
		"all and one":             {`{"events":["*","deal.created"]}`, "events[0]"},
		"an underscore":           {`{"events":["customer_created"]}`, "events[0]"},
		"a good event, a bad URL": {`{"events":["deal.created"],"target_url":"http://two.example.com/"}`, "target_url"},
		"a private address":       {`{"target_url":"https://private.example.com/"}`, "target_url"},
		"a URL that is a number":  {`{"target_url":7}`, "target_url"},
		"a target that is a list": {`{"target":[]}`, "target"},
		"an empty URL":            {`{"target_url":""}`, "target_url"},
		"two that differ":         {`{"target_url":"","target":"https://two.example.com/"}`, "target"},
	} {
		t.Run(name, func(t *testing.T) {
			mustRefuse(t, c.send("PATCH", path, bad.body), http.StatusBadRequest, bad.field+": ")
			if diff := cmp.Diff(made, must[hook](t, c.send("GET", path, ""))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAKeyThatIsNoneIsNotFound(t *testing.T) {
	c := newClient(t)
	made := must[hook](t, c.send("POST", hooks, body))
	digits := strings.TrimPrefix(made.Key, "hook_")
	for _, key := range []string{
		digits, "sub_" + digits, "hook_", made.Key + "0", made.Key[:len(made.Key)-1], strings.ToUpper(made.Key), "hook_" + strings.ToUpper(digits) + "A",
		"%68ook_" + digits + "%00", "..", "..%2Fwebhooks%2F" + made.Key, made.Key + "%2F", made.Key + "%252F", "hook_zzzzzzzzzzzzzzzzzzzzzzzz", strings.Repeat("a", 3000), "%3Cscript%3E",
	} {
		for _, method := range []string{"GET", "PATCH", "DELETE"} {
			mustRefuse(t, c.send(method, hooks+"/"+key, body), http.StatusNotFound)
		}
	}
	if got := must[hook](t, c.send("GET", hooks+"/"+url.PathEscape(made.Key)+"/", "")); got.Key != made.Key {
		t.Errorf("got %+v", got)
	}
}

func TestTheHalvesOfAKeyHaveTheirSlots(t *testing.T) {
	c := newClient(t)
	public, private, _ := strings.Cut(c.key, ":")
	for name, auth := range map[string]dialecttest.Auth{
		"swapped":               dialecttest.Basic(private, public),
		"the private one alone": dialecttest.Basic("", private),
		"the public one alone":  dialecttest.Basic(public, ""),
		"both as the user":      dialecttest.Basic(c.key, ""),
		"both as the password":  dialecttest.Basic("", c.key),
		"as a bearer":           dialecttest.Bearer(c.key),
		"another's public one":  dialecttest.Basic(strings.Split(c.MustKey(c.MustTenant("other")), ":")[0], private),
	} {
		a := c.Send("POST", hooks, body, auth)
		mustRefuse(t, a, http.StatusUnauthorized)
		if !strings.HasPrefix(a.Header.Get("WWW-Authenticate"), "Basic ") {
			t.Errorf("%s: challenged by %q", name, a.Header.Get("WWW-Authenticate"))
		}
	}
	if l := must[list](t, c.send("GET", hooks, "")); len(l.Items) != 0 {
		t.Errorf("made %+v", l.Items)
	}
}

type list struct {
	Items   []hook `json:"items"`
	HasMore bool   `json:"has_more"`
}

// mustSubscribe makes n subscriptions and returns their keys, the newest first.
func (c client) mustSubscribe(n int) []string {
	c.t.Helper()
	var subs []*webhook.Subscription
	for range n {
		subs = append(subs, c.MustSubscribe(c.Tenant, webhook.Draft{Dialect: "partnerstack", URL: "https://hooks.example.com/in", EventTypes: []string{"*"}}))
	}
	slices.SortFunc(subs, func(a, b *webhook.Subscription) int { return strings.Compare(b.ID.String(), a.ID.String()) })
	keys := make([]string, n)
	for i, sub := range subs {
		keys[i] = "hook_" + sub.ID.String()
	}
	return keys
}

// listed returns the keys of a page and whether there are more.
func (c client) listed(query string) ([]string, bool) {
	c.t.Helper()
	l := must[list](c.t, c.send("GET", hooks+query, ""))
	keys := []string{}
	for _, item := range l.Items {
		keys = append(keys, item.Key)
	}
	return keys, l.HasMore
}

func TestAListIsReadInPages(t *testing.T) {
	c := newClient(t)
	all := c.mustSubscribe(12)
	oldest := slices.Clone(all)
	slices.Reverse(oldest)
	for name, page := range map[string]struct {
		query string
		want  []string
		more  bool
	}{
		"the first ten":                {"", all[:10], true},
		"empty parameters":             {"?limit=&starting_after=&ending_before=&order_by=&min_created=", all[:10], true},
		"what is not known":            {"?include_archived=true&x=1", all[:10], true},
		"all":                          {"?limit=250", all, false},
		"exactly as many as there are": {"?limit=12", all, false},
		"one":                          {"?limit=1", all[:1], true},
		"after the first ten":          {"?starting_after=" + all[9], all[10:], false},
		"after the last":               {"?starting_after=" + all[11], []string{}, false},
		"before the first":             {"?ending_before=" + all[0], []string{}, false},
		"before the third":             {"?ending_before=" + all[2], all[:2], false},
		"just before the last":         {"?limit=3&ending_before=" + all[11], all[8:11], true},
		"the oldest first":             {"?limit=3&order_by=created_at", oldest[:3], true},
		"the oldest first, further":    {"?limit=3&order_by=created_at&starting_after=" + oldest[2], oldest[3:6], true},
		"the oldest first, backwards":  {"?limit=3&order_by=created_at&ending_before=" + oldest[2], oldest[:2], false},
		"the newest first, by name":    {"?limit=3&order_by=-created_at", all[:3], true},
		"a key of nobody's":            {"?starting_after=hook_000000000000000000000000", []string{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, more := c.listed(page.query)
			if diff := cmp.Diff(page.want, got); diff != "" || more != page.more {
				t.Errorf("more is %v: %s", more, diff)
			}
		})
	}
}

func TestAClientThatPagesUntilNothingIsLeftSeesEachOnce(t *testing.T) {
	c := newClient(t)
	all := c.mustSubscribe(7)
	for _, limit := range []int{1, 2, 3, 7, 8} {
		var seen []string
		after := ""
		for more := true; more; {
			var page []string
			page, more = c.listed(fmt.Sprintf("?limit=%d&starting_after=%s", limit, after))
			if more && len(page) != limit || len(page) == 0 || len(seen) > len(all) {
				t.Fatalf("a page of %d with %d after %d", limit, len(page), len(seen))
			}
			seen, after = append(seen, page...), page[len(page)-1]
		}
		if diff := cmp.Diff(all, seen); diff != "" {
			t.Errorf("in pages of %d: %s", limit, diff)
		}
	}
}

func TestAClientThatArchivesWhatItListsGetsToTheEnd(t *testing.T) {
	c := newClient(t)
	all := c.mustSubscribe(5)
	var seen []string
	after := ""
	for more := true; more; {
		var page []string
		if page, more = c.listed("?limit=2&starting_after=" + after); len(page) == 0 || len(seen) > len(all) {
			t.Fatalf("a page of %d after %d", len(page), len(seen))
		}
		for _, key := range page {
			c.send("DELETE", hooks+"/"+key, "")
		}
		seen, after = append(seen, page...), page[len(page)-1]
	}
	if diff := cmp.Diff(all, seen); diff != "" {
		t.Error(diff)
	}
}

func TestAListIsRestrictedByTimes(t *testing.T) {
	c := newClient(t)
	keys := c.mustSubscribe(2)
	sub := must[hook](t, c.send("GET", hooks+"/"+keys[0], ""))
	updated := must[hook](t, c.send("PATCH", hooks+"/"+keys[0], `{"events":["deal.created"]}`)).UpdatedAt
	at := func(ms int64) string { return strconv.FormatInt(ms, 10) }
	for query, want := range map[string]bool{
		"?min_created=" + at(sub.CreatedAt):                              true,
		"?min_created=" + at(sub.CreatedAt+3_600_000):                    false,
		"?max_created=" + at(sub.CreatedAt):                              true,
		"?max_created=" + at(sub.CreatedAt-3_600_000):                    false,
		"?min_updated=" + at(updated) + "&max_updated=" + at(updated):    true,
		"?min_updated=" + at(updated+1):                                  false,
		"?max_updated=" + at(sub.CreatedAt-1):                            false,
		"?min_created=-1&max_created=" + strconv.Itoa(9_000_000_000_000): true,
	} {
		if got, _ := c.listed(query); slices.Contains(got, keys[0]) != want {
			t.Errorf("%s lists %v", query, got)
		}
	}
}

func TestAListThatIsAskedForBadlyIsRefused(t *testing.T) {
	c := newClient(t)
	key := "hook_" + id.ID{1}.String()
	for query, words := range map[string][]string{
		"?limit=0":                    {"limit: ", "1 to 250"},
		"?limit=251":                  {"limit: "},
		"?limit=-1":                   {"limit: "},
		"?limit=ten":                  {"limit: "},
		"?limit=1.5":                  {"limit: "},
		"?limit=99999999999999999999": {"limit: "},
		"?starting_after=hunter2":     {"starting_after: "},
		"?ending_before=sub_" + key:   {"ending_before: "},
		"?starting_after=" + key + "&ending_before=" + key: {"ending_before: "},
		"?order_by=updated_at":                             {"order_by: "},
		"?min_created=yesterday":                           {"min_created: "},
		"?max_created=1e3":                                 {"max_created: "},
		"?limit=0&order_by=hunter2&max_updated=x":          {"limit: ", "order_by: ", "max_updated: "},
		"?limit=%zz":                                       {"query"},
		"?limit=1;starting_after=x":                        {"query"},
	} {
		a := c.send("GET", hooks+query, "")
		mustRefuse(t, a, http.StatusBadRequest, words...)
		if strings.Contains(a.Body, "hunter2") {
			t.Errorf("%s is repeated: %s", query, a.Body)
		}
	}
}

func TestAWebhookThatWasMadeNativelyKeepsWhatCannotBeSaidHere(t *testing.T) {
	c := newClient(t)
	sub := c.MustSubscribe(c.Tenant, webhook.Draft{
		Dialect: "partnerstack", URL: "https://hooks.example.com/in", EventTypes: []string{"*"}, Description: "secret", Headers: map[string]string{"X-Token": "hunter2hunter2"},
	})
	a := c.send("GET", hooks, "")
	if got := must[list](t, a).Items; len(got) != 1 || got[0].Key != "hook_"+sub.ID.String() || !slices.Equal(got[0].Events, []string{"*"}) {
		t.Errorf("listed %+v", got)
	}
	must[hook](t, c.send("PATCH", hooks+"/hook_"+sub.ID.String(), `{"events":["deal.created"]}`))
	kept, err := c.Webhooks.Subscription(t.Context(), c.ID, sub.ID)
	if err != nil || kept.Description != sub.Description || len(kept.Headers) != 1 || kept.Headers[0].Value != "hunter2hunter2" {
		t.Errorf("%+v, %v", kept, err)
	}
}
