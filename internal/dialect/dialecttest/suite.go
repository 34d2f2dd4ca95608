package dialecttest

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Suite is what the suite needs to know of an API.
type Suite struct {
	New  NewFunc
	Auth func(key string) Auth

	// Refusal fails the test unless the answer is a refusal in the product's form.
	Refusal func(t *testing.T, a Answer)

	List   Request // asks for the list of subscriptions
	Create Request // subscribes https://hooks.example.com/in

	// One are the calls that concern one subscription; "{id}" in their paths
	// stands for what ID returns.
	One []Request
	ID  func(s *webhook.Subscription) string
}

// Request is a call; "{tenant}" in its path stands for the tenant's alias.
type Request struct {
	Method string
	Path   string
	Body   string
}

func (r Request) of(t tenant.Tenant, id string) Request {
	r.Path = strings.NewReplacer("{tenant}", t.Alias, "{id}", id).Replace(r.Path)
	return r
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Run("every problem has a refusal", s.everyProblemHasARefusal)
	t.Run("who has no valid key is refused", s.invalidKeys)
	t.Run("a key does only what its scopes say", s.scopes)
	t.Run("a key that is revoked meanwhile changes nothing", s.revokedMeanwhile)
	t.Run("what is not a call is refused", s.unknownCalls)
	t.Run("a body that can't be read changes nothing", s.badBodies)
	t.Run("another's subscription is not found", s.isolation)
	t.Run("a change is on record with who made it", s.audit)
	t.Run("a key that asks too often has to wait", s.rate)
	t.Run("what goes wrong inside shows nothing of itself", s.failures)
}

// account is a tenant with a key of the API.
type account struct {
	tenant.Tenant

	key string
}

func (s Suite) world(t *testing.T, change func(*dialect.Options)) (*World, account) {
	t.Helper()
	w := NewWorld(t, s.New, change)
	a := account{Tenant: w.MustTenant("acme")}
	a.key = w.MustKey(a.Tenant)
	return w, a
}

func (w *World) send(r Request, auth ...Auth) Answer {
	return w.Send(r.Method, r.Path, r.Body, auth...)
}

// refused fails the test unless the answer is the product's refusal for the code.
func (s Suite) refused(t *testing.T, w *World, a Answer, code *problem.Code) {
	t.Helper()
	if want := w.API.Refusals().Codes[code].Status; a.Status != want {
		t.Errorf("status %d, want %d for %s: %s", a.Status, want, code.Name, a.Body)
		return
	}
	s.Refusal(t, a)
	if a.Header.Get("Content-Type") != "application/json" || a.Header.Get(edge.RequestIDHeader) == "" {
		t.Errorf("headers: %v", a.Header)
	}
	if a.Status == http.StatusUnauthorized && a.Header.Get("WWW-Authenticate") == "" {
		t.Error("a 401 without a challenge")
	}
}

func (s Suite) everyProblemHasARefusal(t *testing.T) {
	table := NewWorld(t, s.New, nil).API.Refusals()
	for _, code := range problem.Codes {
		if table.Codes[code].Status < 400 {
			t.Errorf("%s has none", code.Name)
		}
	}
	if r := table.Codes[problem.Internal]; r.Status != http.StatusInternalServerError || r.Message == "" {
		t.Errorf("an internal error is shown as %+v", r)
	}
}

func (s Suite) invalidKeys(t *testing.T) {
	w, a := s.world(t, nil)
	other := w.MustTenant("other")
	revoked, revokedKey := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: w.API.Name()})
	if got := w.send(s.List.of(a.Tenant, ""), s.Auth(revokedKey)); got.Status != http.StatusOK {
		t.Fatalf("before it is revoked: %d %s", got.Status, got.Body)
	}
	if err := w.Tenants.RevokeKey(t.Context(), a.ID, revoked.ID); err != nil {
		t.Fatal(err)
	}
	_, native := w.MustNewKey(a.Tenant, tenant.NewKey{})
	keys := map[string][]Auth{
		"none":                  nil,
		"revoked":               {s.Auth(revokedKey)},
		"native":                {s.Auth(native)},
		"native, as a bearer":   {Bearer(native)},
		"native, as a password": {Basic("", native)},
		"unknown":               {s.Auth(a.key + "x")},
		"long":                  {s.Auth(strings.Repeat("k", 8000))},
		"not printable":         {Header("Authorization", "Basic a\u00e9")},
		"two headers":           {s.Auth(a.key), Header("Authorization", "Basic Og==")},
		"an unknown scheme":     {Header("Authorization", "Digest "+a.key)},
		"nothing but a scheme":  {Header("Authorization", "Basic")},
		"not base64":            {Header("Authorization", "Basic ***")},
	}
	for _, name := range []string{"saasquatch", "referralloop", "rehook", "partnerstack"} {
		if name != w.API.Name() {
			_, key := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: name})
			keys["of "+name] = []Auth{s.Auth(key)}
		}
	}
	for name, auth := range keys {
		t.Run(name, func(t *testing.T) {
			s.refused(t, w, w.send(s.List.of(a.Tenant, ""), auth...), problem.Unauthenticated)
			s.refused(t, w, w.send(s.Create.of(a.Tenant, ""), auth...), problem.Unauthenticated)
		})
	}
	if strings.Contains(s.List.Path, "{tenant}") {
		s.refused(t, w, w.send(s.List.of(other, ""), s.Auth(a.key)), problem.Unauthenticated)
	}
	s.nothingIsThere(t, w, a.Tenant)

	if _, err := w.Tenants.Update(t.Context(), a.ID, tenant.Patch{Dialects: &[]string{"standard"}}); err != nil {
		t.Fatal(err)
	}
	s.refused(t, w, w.send(s.List.of(a.Tenant, ""), s.Auth(a.key)), problem.Forbidden)
}

// nothingIsThere fails the test if the tenant has a subscription.
func (s Suite) nothingIsThere(t *testing.T, w *World, of tenant.Tenant) {
	t.Helper()
	subs, _, err := w.Webhooks.Subscriptions(t.Context(), of.ID, webhook.Page{Limit: 1})
	if err != nil || len(subs) > 0 {
		t.Errorf("%d subscriptions, %v", len(subs), err)
	}
}

func (s Suite) scopes(t *testing.T) {
	w, a := s.world(t, nil)
	readOnly, manageOnly := w.MustKey(a.Tenant, tenant.Read), w.MustKey(a.Tenant, tenant.Manage)
	s.refused(t, w, w.send(s.Create.of(a.Tenant, ""), s.Auth(readOnly)), problem.Forbidden)
	s.refused(t, w, w.send(s.List.of(a.Tenant, ""), s.Auth(manageOnly)), problem.Forbidden)
	s.nothingIsThere(t, w, a.Tenant)
	if got := w.send(s.Create.of(a.Tenant, ""), s.Auth(manageOnly)); got.Status >= 300 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := w.send(s.List.of(a.Tenant, ""), s.Auth(readOnly)); got.Status != http.StatusOK {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	sub := s.only(t, w, a.Tenant)
	for _, one := range s.One {
		key := readOnly
		if one.Method == http.MethodGet {
			key = manageOnly
		}
		s.refused(t, w, w.send(one.of(a.Tenant, s.ID(sub)), s.Auth(key)), problem.Forbidden)
	}
}

// revokedMeanwhile revokes the key after it was accepted: while the body arrives,
// and while the URL is looked up.
func (s Suite) revokedMeanwhile(t *testing.T) {
	t.Run("while the body arrives", func(t *testing.T) {
		w, a := s.world(t, nil)
		key, plaintext := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: w.API.Name()})
		api := &interrupted{API: w.API, after: 1, by: func() { w.revoke(a.Tenant, key) }}
		s.refused(t, w, s.serve(t, dialect.New(api, dialect.Options{}), s.Create.of(a.Tenant, ""), s.Auth(plaintext)), problem.Unauthenticated)
		s.nothingIsThere(t, w, a.Tenant)
	})
	t.Run("while the URL is looked up", func(t *testing.T) {
		w, a := s.world(t, nil)
		key, plaintext := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: w.API.Name()})
		lookedUp := false
		w.LookedUp = func() { lookedUp = true; w.revoke(a.Tenant, key) }
		s.refused(t, w, s.serve(t, dialect.New(w.API, dialect.Options{}), s.Create.of(a.Tenant, ""), s.Auth(plaintext)), problem.Unauthenticated)
		s.nothingIsThere(t, w, a.Tenant)
		if !lookedUp {
			t.Error("the URL was not looked up")
		}
	})
	for _, change := range s.One {
		if !strings.Contains(change.Body, "https://") {
			continue
		}
		t.Run("while the URL of a change is looked up", func(t *testing.T) {
			w, a := s.world(t, nil)
			key, plaintext := w.MustNewKey(a.Tenant, tenant.NewKey{Dialect: w.API.Name()})
			sub := w.MustSubscribe(a.Tenant, webhook.Draft{Dialect: w.API.Name(), URL: "https://before.example.com/x", EventTypes: []string{webhook.AllTypes}})
			w.LookedUp = func() { w.revoke(a.Tenant, key) }
			s.refused(t, w, s.serve(t, dialect.New(w.API, dialect.Options{}), change.of(a.Tenant, s.ID(sub)), s.Auth(plaintext)), problem.Unauthenticated)
			if kept := s.only(t, w, a.Tenant); kept.URL != sub.URL || !kept.UpdatedAt.Equal(sub.UpdatedAt) {
				t.Errorf("it was changed to %s", kept.URL)
			}
		})
	}
}

// serve has a handler answer a request.
func (s Suite) serve(t *testing.T, h http.Handler, r Request, auth ...Auth) Answer {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), r.Method, r.Path, strings.NewReader(r.Body))
	for _, put := range auth {
		put(req)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, req)
	return Answer{rec.Code, rec.Header(), rec.Body.String()}
}

// only returns the one subscription that the tenant has.
func (s Suite) only(t *testing.T, w *World, of tenant.Tenant) *webhook.Subscription {
	t.Helper()
	subs, _, err := w.Webhooks.Subscriptions(t.Context(), of.ID, webhook.Page{Limit: 10})
	if err != nil || len(subs) != 1 {
		t.Fatalf("%d subscriptions, %v", len(subs), err)
	}
	return subs[0]
}

func (s Suite) unknownCalls(t *testing.T) {
	w, a := s.world(t, nil)
	auth := s.Auth(a.key)
	list := s.List.of(a.Tenant, "").Path
	for _, path := range []string{"/", list + "x", "/x" + list, list + "/../x/y/z", list + "%2F..%2Fx%2Fy", strings.Replace(list, "/", "%2F", 1), "/.", "/%00", "/v1/subscriptions"} {
		if path[0] != '/' {
			path = "/" + path
		}
		got := w.Send(http.MethodGet, path, "", auth)
		if got.Status != http.StatusMethodNotAllowed {
			s.refused(t, w, got, problem.NotFound)
		}
	}
	for _, method := range []string{http.MethodOptions, http.MethodPut, http.MethodTrace, "PROPFIND", "get"} {
		got := w.Send(method, list, "", auth)
		s.refused(t, w, got, problem.MethodNotAllowed)
		if !strings.Contains(got.Header.Get("Allow"), "GET, HEAD") {
			t.Errorf("%s: Allow is %q", method, got.Header.Get("Allow"))
		}
	}
	get, head := w.Send(http.MethodGet, list, "", auth), w.Send(http.MethodHead, list, "", auth)
	if head.Status != http.StatusOK || head.Body != "" || head.Header.Get("Content-Length") != get.Header.Get("Content-Length") {
		t.Errorf("HEAD: %d %v %q", head.Status, head.Header, head.Body)
	}
	if slashed := w.Send(http.MethodGet, list+"/", "", auth); slashed.Body != get.Body {
		t.Errorf("with a slash at its end: %d %s", slashed.Status, slashed.Body)
	}
	given := w.Send(http.MethodGet, list, "", auth, Header(edge.RequestIDHeader, "mine-1"))
	if id := given.Header.Get(edge.RequestIDHeader); id != "mine-1" {
		t.Errorf("the request's id is %q", id)
	}
}

func (s Suite) badBodies(t *testing.T) {
	w, a := s.world(t, nil)
	const hostile = "hunter2"
	bodies := map[string]struct {
		body string
		code *problem.Code
	}{
		"empty":          {"", problem.Malformed},
		"not JSON":       {"<" + hostile + ">", problem.Malformed},
		"cut off":        {s.Create.Body[:len(s.Create.Body)-1], problem.Malformed},
		"two documents":  {s.Create.Body + s.Create.Body, problem.Malformed},
		"a list":         {"[" + s.Create.Body + "]", problem.Malformed},
		"null":           {"null", problem.Malformed},
		"a string":       {`"` + hostile + `"`, problem.Malformed},
		"a form":         {"url=https%3A%2F%2Fhooks.example.com&x=" + hostile, problem.Malformed},
		"not UTF-8":      {strings.Replace(s.Create.Body, "hooks", "\xff"+hostile, 1), problem.Malformed},
		"deep":           {`{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}", problem.Malformed},
		"nothing in it":  {"{}", problem.Invalid},
		"long":           {`{"x":"` + strings.Repeat("a", edge.MaxBody) + `"}`, problem.TooLarge},
		"http":           {strings.Replace(s.Create.Body, "https:", "http:", 1), problem.Invalid},
		"private":        {strings.Replace(s.Create.Body, "hooks.", "private.", 1), problem.Invalid},
		"unknown host":   {strings.Replace(s.Create.Body, "hooks.example.com", hostile+".invalid", 1), problem.Invalid},
		"user in URL":    {strings.Replace(s.Create.Body, "hooks.", "user:"+hostile+"@hooks.", 1), problem.Invalid},
		"fragment":       {strings.Replace(s.Create.Body, "/in", "/in#"+hostile, 1), problem.Invalid},
		"long URL":       {strings.Replace(s.Create.Body, "/in", "/"+strings.Repeat("a", 3000), 1), problem.Invalid},
		"relative URL":   {strings.Replace(s.Create.Body, "https://hooks.example.com", hostile, 1), problem.Invalid},
		"javascript URL": {strings.Replace(s.Create.Body, "https://hooks.example.com", "javascript:"+hostile, 1), problem.Invalid},
		"number for URL": {strings.Replace(s.Create.Body, `"https://hooks.example.com/in"`, "42", 1), problem.Invalid},
		"object for URL": {strings.Replace(s.Create.Body, `"https://hooks.example.com/in"`, `{"x":"`+hostile+`"}`, 1), problem.Invalid},
		"null for URL":   {strings.Replace(s.Create.Body, `"https://hooks.example.com/in"`, "null", 1), problem.Invalid},
	}
	for name, c := range bodies {
		t.Run(name, func(t *testing.T) {
			got := w.Send(s.Create.Method, s.Create.of(a.Tenant, "").Path, c.body, s.Auth(a.key))
			s.refused(t, w, got, c.code)
			if strings.Contains(got.Body, hostile) {
				t.Errorf("what was sent is repeated: %s", got.Body)
			}
		})
	}
	t.Run("compressed", func(t *testing.T) {
		s.refused(t, w, w.send(s.Create.of(a.Tenant, ""), s.Auth(a.key), Header("Content-Encoding", "gzip")), problem.UnsupportedMediaType)
	})
	s.nothingIsThere(t, w, a.Tenant)
	t.Run("an unknown field is ignored", func(t *testing.T) {
		body := `{"unknown":{"x":[1]},` + s.Create.Body[1:]
		if got := w.Send(s.Create.Method, s.Create.of(a.Tenant, "").Path, body, s.Auth(a.key)); got.Status >= 300 {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	})
}

func (s Suite) isolation(t *testing.T) {
	w, a := s.world(t, nil)
	other := w.MustTenant("other")
	hidden := []*webhook.Subscription{
		w.MustSubscribe(other, webhook.Draft{Dialect: w.API.Name(), URL: "https://others.example.com/x", EventTypes: []string{webhook.AllTypes}}),
		w.MustSubscribe(a.Tenant, webhook.Draft{URL: "https://native.example.com/x", EventTypes: []string{webhook.AllTypes}}),
	}
	before := w.send(s.List.of(a.Tenant, ""), s.Auth(a.key))
	for _, sub := range hidden {
		if strings.Contains(before.Body, sub.URL) || before.Status != http.StatusOK {
			t.Errorf("%d, the list has %s: %s", before.Status, sub.URL, before.Body)
		}
		for _, one := range s.One {
			s.refused(t, w, w.send(one.of(a.Tenant, s.ID(sub)), s.Auth(a.key)), problem.NotFound)
		}
		if kept, err := w.Webhooks.Subscription(t.Context(), sub.TenantID, sub.ID); err != nil || !kept.UpdatedAt.Equal(sub.UpdatedAt) {
			t.Errorf("%s was touched: %v", sub.URL, err)
		}
	}
	select {
	case got := <-w.Received:
		t.Errorf("something was sent to %s", got.URL)
	default:
	}
}

func (s Suite) rate(t *testing.T) {
	w, a := s.world(t, func(o *dialect.Options) { o.Limiter = edge.NewLimiter(0.01) })
	first := w.send(s.List.of(a.Tenant, ""), s.Auth(a.key))
	if h := first.Header; first.Status != http.StatusOK || h.Get("X-RateLimit-Limit") != "1" || h.Get("X-RateLimit-Remaining") != "0" || h.Get("X-RateLimit-Reset") == "" {
		t.Errorf("%d %v", first.Status, h)
	}
	second := w.send(s.List.of(a.Tenant, ""), s.Auth(a.key))
	s.refused(t, w, second, problem.RateLimited)
	if wait, err := time.ParseDuration(second.Header.Get("Retry-After") + "s"); err != nil || wait < time.Second || wait > 100*time.Second {
		t.Errorf("Retry-After is %q", second.Header.Get("Retry-After"))
	}
	if other := w.send(s.List.of(a.Tenant, ""), s.Auth(w.MustKey(a.Tenant))); other.Status != http.StatusOK {
		t.Errorf("another key: %d", other.Status)
	}
}

func (s Suite) failures(t *testing.T) {
	w, a := s.world(t, nil)
	down := func(error) bool { return true }
	for name, c := range map[string]struct {
		opts dialect.Options
		code *problem.Code
	}{
		"panic":       {dialect.Options{}, problem.Internal},
		"error":       {dialect.Options{}, problem.Internal},
		"unavailable": {dialect.Options{Unavailable: down}, problem.Unavailable},
	} {
		got := s.serve(t, dialect.New(failing{w.API, name == "panic"}, c.opts), s.List.of(a.Tenant, ""), s.Auth(a.key))
		s.refused(t, w, got, c.code)
		if strings.Contains(got.Body, "hunter2") {
			t.Errorf("%s: it shows %s", name, got.Body)
		}
		if wait := got.Header.Get("Retry-After"); (wait != "") != (got.Status == http.StatusServiceUnavailable) {
			t.Errorf("%s: Retry-After is %q", name, wait)
		}
	}
}
