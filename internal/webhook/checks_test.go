package webhook_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// marker stands in every value that is refused, and in no message.
const marker = "hunter2"

func TestABadDraftIsRefusedByFieldAndNotRepeated(t *testing.T) {
	types := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("t%d", i)
		}
		return list
	}
	header := func(name, value string) webhook.Draft {
		return webhook.Draft{Headers: map[string]string{name: value}}
	}
	policy := func(p webhook.Policy) webhook.Draft { return webhook.Draft{Policy: p} }
	auth := func(a webhook.Auth) webhook.Draft { return webhook.Draft{Auth: a} }
	oauth := func(change func(a *webhook.Auth)) webhook.Draft {
		a := webhook.Auth{Type: webhook.OAuth2Auth, TokenURL: "https://example.com/token", ClientID: "x", ClientSecret: "long enough"}
		change(&a)
		return auth(a)
	}
	mtls := func(certificate, key string) webhook.Draft {
		return auth(webhook.Auth{Type: webhook.MTLSAuth, Certificate: certificate, PrivateKey: key})
	}
	authority := testkit.MustAuthority(t)
	certificate, key := authority.MustIssue(t, marker, time.Now().Add(time.Hour))
	expired, expiredKey := authority.MustIssue(t, marker, time.Now().Add(-time.Second))
	headers := make(map[string]string)
	for i := range 21 {
		headers[fmt.Sprintf("x-%d", i)] = marker
	}
	long := strings.Repeat(marker, 600)
	tests := map[string]struct {
		draft webhook.Draft
		field string
	}{
		"dialect": {webhook.Draft{Dialect: marker}, "dialect"},
		"url":     {webhook.Draft{URL: "http://" + marker}, "url"},

		"no types":             {webhook.Draft{EventTypes: []string{}}, "event_types"},
		"too many types":       {webhook.Draft{EventTypes: types(101)}, "event_types"},
		"a type of no form":    {webhook.Draft{EventTypes: []string{"a", marker + " b"}}, "event_types[1]"},
		"an empty type":        {webhook.Draft{EventTypes: []string{""}}, "event_types[0]"},
		"a type twice":         {webhook.Draft{EventTypes: []string{marker, "b", marker}}, "event_types[2]"},
		"all types and one":    {webhook.Draft{EventTypes: []string{"a", "*"}}, "event_types[1]"},
		"a type that is kept":  {webhook.Draft{EventTypes: []string{"webhook." + marker}}, "event_types[0]"},
		"a type in bad UTF-8":  {webhook.Draft{EventTypes: []string{marker + "\xff"}}, "event_types[0]"},
		"a pattern":            {webhook.Draft{EventTypes: []string{marker + "*"}}, "event_types[0]"},
		"a long description":   {webhook.Draft{Description: long}, "description"},
		"a line in it":         {webhook.Draft{Description: marker + "\n"}, "description"},
		"bad UTF-8 in it":      {webhook.Draft{Description: marker + "\xff"}, "description"},
		"too many headers":     {webhook.Draft{Headers: headers}, "headers"},
		"no header name":       {header("", marker), "headers"},
		"a name with a colon":  {header(marker+":", "x"), "headers"},
		"a name with a line":   {header("X-"+marker+"\r\nHost", "x"), "headers"},
		"a name of HTTP/2":     {header(":"+marker, "x"), "headers"},
		"a name not in ASCII":  {header("x-ü"+marker, "x"), "headers"},
		"a long name":          {header(strings.Repeat("x", 129), marker), "headers"},
		"the host":             {header("Host", marker), "headers.host"},
		"the length":           {header("content-LENGTH", marker), "headers.content-length"},
		"the type":             {header("Content-Type", marker), "headers.content-type"},
		"the coding":           {header("Transfer-Encoding", marker), "headers.transfer-encoding"},
		"the agent":            {header("User-Agent", marker), "headers.user-agent"},
		"the trace":            {header("Traceparent", marker), "headers.traceparent"},
		"the connection":       {header("Connection", marker), "headers.connection"},
		"the dialect's":        {header("Webhook-Signature", marker), "headers.webhook-signature"},
		"the dialect's older":  {header("svix-id", marker), "headers.svix-id"},
		"ours":                 {header("X-Grapevine-Event-Id", marker), "headers.x-grapevine-event-id"},
		"a proxy's":            {header("Proxy-Authorization", marker), "headers.proxy-authorization"},
		"a value with a line":  {header("X-A", marker+"\r\nX-B: 1"), "headers.x-a"},
		"a value with a zero":  {header("X-A", marker+"\x00"), "headers.x-a"},
		"a value in Latin-1":   {header("X-A", marker+"\xe9"), "headers.x-a"},
		"a value in UTF-8":     {header("X-A", marker+"é"), "headers.x-a"},
		"a value with a space": {header("X-A", " "+marker), "headers.x-a"},
		"a long value":         {header("X-A", long), "headers.x-a"},
		"a mask for a value":   {header("X-A", webhook.Masked), "headers.x-a"},

		"a name in two cases": {webhook.Draft{Headers: map[string]string{"X-A": marker, "x-a": marker}}, "headers.x-a"},
		"credentials twice": {webhook.Draft{
			Headers: map[string]string{"authorization": marker}, Auth: webhook.Auth{Type: webhook.BearerAuth, Token: marker},
		}, "headers.authorization"},

		"auth of no kind":       {auth(webhook.Auth{Token: marker}), "auth.type"},
		"auth of another kind":  {auth(webhook.Auth{Type: marker}), "auth.type"},
		"no user":               {auth(webhook.Auth{Type: webhook.BasicAuth, Password: marker}), "auth.username"},
		"no password":           {auth(webhook.Auth{Type: webhook.BasicAuth, Username: marker}), "auth.password"},
		"a colon in the user":   {auth(webhook.Auth{Type: webhook.BasicAuth, Username: marker + ":", Password: "x"}), "auth.username"},
		"a line in a password":  {auth(webhook.Auth{Type: webhook.BasicAuth, Username: "x", Password: marker + "\n"}), "auth.password"},
		"a password as bytes":   {auth(webhook.Auth{Type: webhook.BasicAuth, Username: "x", Password: marker + "\xff"}), "auth.password"},
		"a mask for a password": {auth(webhook.Auth{Type: webhook.BasicAuth, Username: "x", Password: webhook.Masked}), "auth.password"},
		"a token for basic":     {auth(webhook.Auth{Type: webhook.BasicAuth, Username: "x", Password: "x", Token: marker}), "auth.token"},
		"no token":              {auth(webhook.Auth{Type: webhook.BearerAuth}), "auth.token"},
		"a user for bearer":     {auth(webhook.Auth{Type: webhook.BearerAuth, Token: "x", Username: marker}), "auth.username"},
		"a long token":          {auth(webhook.Auth{Type: webhook.BearerAuth, Token: long}), "auth.token"},
		"a token not in ASCII":  {auth(webhook.Auth{Type: webhook.BearerAuth, Token: marker + "é"}), "auth.token"},
		"a mask for a token":    {auth(webhook.Auth{Type: webhook.BearerAuth, Token: webhook.Masked}), "auth.token"},

		"no token endpoint":       {oauth(func(a *webhook.Auth) { a.TokenURL = "" }), "auth.token_url"},
		"no client":               {oauth(func(a *webhook.Auth) { a.ClientID = "" }), "auth.client_id"},
		"no client's secret":      {oauth(func(a *webhook.Auth) { a.ClientSecret = "" }), "auth.client_secret"},
		"a client's short secret": {oauth(func(a *webhook.Auth) { a.ClientSecret = "7 bytes" }), "auth.client_secret"},
		"a mask for it":           {oauth(func(a *webhook.Auth) { a.ClientSecret = webhook.Masked }), "auth.client_secret"},
		"a bad token endpoint":    {oauth(func(a *webhook.Auth) { a.TokenURL = "ftp://" + marker }), "auth.token_url"},
		"a token as well":         {oauth(func(a *webhook.Auth) { a.Token = marker }), "auth.token"},
		"a scope with a quote":    {oauth(func(a *webhook.Auth) { a.Scope = "a " + marker + `"` }), "auth.scopes"},
		"a scope that is empty":   {oauth(func(a *webhook.Auth) { a.Scope = "a  " + marker }), "auth.scopes"},
		"too many scopes":         {oauth(func(a *webhook.Auth) { a.Scope = long }), "auth.scopes"},
		"another way to say it":   {oauth(func(a *webhook.Auth) { a.ClientAuth = marker }), "auth.client_auth"},
		"an audience with a line": {oauth(func(a *webhook.Auth) { a.Audience = marker + "\n" }), "auth.audience"},
		"a scope for a token":     {auth(webhook.Auth{Type: webhook.BearerAuth, Token: "x", Scope: marker}), "auth.scopes"},

		"no certificate":             {mtls("", key), "auth.certificate"},
		"no key":                     {mtls(certificate, ""), "auth.private_key"},
		"a certificate of no form":   {mtls(marker, key), "auth.certificate"},
		"a key for a certificate":    {mtls(key, key), "auth.certificate"},
		"a certificate cut off":      {mtls(certificate+certificate[:len(certificate)/2], key), "auth.certificate"},
		"a long chain":               {mtls(strings.Repeat(certificate, 11), key), "auth.certificate"},
		"a very long chain":          {mtls(strings.Repeat(certificate, 100), key), "auth.certificate"},
		"an expired certificate":     {mtls(expired, expiredKey), "auth.certificate"},
		"a key of no form":           {mtls(certificate, marker), "auth.private_key"},
		"a mask for a key":           {mtls(certificate, webhook.Masked), "auth.private_key"},
		"an encrypted key":           {mtls(certificate, strings.ReplaceAll(key, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY")), "auth.private_key"},
		"another's key":              {mtls(certificate, expiredKey), "auth.private_key"},
		"a small key":                {mtls(certificate, smallKey(t)), "auth.private_key"},
		"a certificate without type": {auth(webhook.Auth{Certificate: certificate, PrivateKey: key}), "auth.type"},
		"a certificate for a token":  {auth(webhook.Auth{Type: webhook.BearerAuth, Token: "x", Certificate: certificate}), "auth.certificate"},
		"an authority of no form":    {webhook.Draft{CA: marker}, "ca"},
		"a key for an authority":     {webhook.Draft{CA: key}, "ca"},
		"a very long authority":      {webhook.Draft{CA: strings.Repeat(certificate, 100)}, "ca"},
		"an authority for plain tokens": {webhook.Draft{CA: certificate, Auth: webhook.Auth{
			Type: webhook.OAuth2Auth, TokenURL: "http://example.com/", ClientID: "x", ClientSecret: "long enough",
		}}, "ca auth.token_url"},

		"a secret of no kind":    {webhook.Draft{Secret: marker}, "secret"},
		"a secret too short":     {webhook.Draft{Secret: "whsec_aHVudGVyMg=="}, "secret"},
		"a secret not in base64": {webhook.Draft{Secret: "whsec_" + strings.Repeat(marker+"!", 5)}, "secret"},
		"a public key":           {webhook.Draft{Secret: "whpk_" + strings.Repeat("A", 43) + "="}, "secret"},
		"a kind of no kind":      {webhook.Draft{Signature: marker}, "signature"},
		"a secret and a kind":    {webhook.Draft{Signature: "v1", Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}, "signature"},

		"a wait too short":       {policy(webhook.Policy{Schedule: []time.Duration{time.Hour, time.Millisecond}}), "policy.schedule[1]"},
		"a wait below nothing":   {policy(webhook.Policy{Schedule: []time.Duration{-time.Hour}}), "policy.schedule[0]"},
		"a wait too long":        {policy(webhook.Policy{Schedule: []time.Duration{math.MaxInt64}}), "policy.schedule[0]"},
		"too many waits":         {policy(webhook.Policy{Schedule: slices.Repeat([]time.Duration{time.Second}, 100)}), "policy.schedule"},
		"too many long waits":    {policy(webhook.Policy{Schedule: slices.Repeat([]time.Duration{30 * 24 * time.Hour}, 5000)}), "policy.schedule"},
		"too long in all":        {policy(webhook.Policy{Schedule: []time.Duration{20 * 24 * time.Hour, 11 * 24 * time.Hour}}), "policy.schedule"},
		"a timeout too short":    {policy(webhook.Policy{Timeout: time.Millisecond}), "policy.timeout"},
		"a timeout below zero":   {policy(webhook.Policy{Timeout: -time.Second}), "policy.timeout"},
		"a timeout too long":     {policy(webhook.Policy{Timeout: 61 * time.Second}), "policy.timeout"},
		"too many at once":       {policy(webhook.Policy{MaxInFlight: 129}), "policy.max_in_flight"},
		"fewer than none":        {policy(webhook.Policy{MaxInFlight: -1}), "policy.max_in_flight"},
		"a rate too high":        {policy(webhook.Policy{Rate: 10_001}), "policy.rate"},
		"a rate too low":         {policy(webhook.Policy{Rate: 0.0001}), "policy.rate"},
		"a rate below zero":      {policy(webhook.Policy{Rate: -1}), "policy.rate"},
		"a rate without end":     {policy(webhook.Policy{Rate: math.Inf(1)}), "policy.rate"},
		"a rate that is not one": {policy(webhook.Policy{Rate: math.NaN()}), "policy.rate"},
	}
	w := mustStarted(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := test.draft
			if d.URL == "" {
				d.URL = "https://receiver.example/" + marker
			}
			if d.EventTypes == nil {
				d.EventTypes = []string{"a"}
			}
			_, err := w.CreateSubscription(t.Context(), w.tenant, d)
			wantProblem(t, err, problem.Invalid, strings.Fields(test.field)...)
			refusal, _ := errors.AsType[*problem.Error](err)
			if refusal != nil && (strings.Contains(refusal.Detail, marker) || strings.Contains(refusal.Fields[0].Message, marker)) {
				t.Errorf("it repeats the value: %v", err)
			}
		})
	}
	if subs, _, err := w.Subscriptions(t.Context(), w.tenant, webhook.Page{Limit: 1}); err != nil || len(subs) != 0 {
		t.Errorf("%d were stored, %v", len(subs), err)
	}
}

func TestAllMistakesOfADraftAreNamedAtOnce(t *testing.T) {
	w := mustStarted(t)
	_, err := w.CreateSubscription(t.Context(), w.tenant, webhook.Draft{
		URL: "ftp://x", Description: "\x00", Headers: map[string]string{"Host": "x", "Cookie": "\n"}, Auth: webhook.Auth{Type: "x"},
		Policy: webhook.Policy{Schedule: []time.Duration{0}, Timeout: 1, MaxInFlight: 1000, Rate: -1}, Secret: "x",
	})
	wantProblem(t, err, problem.Invalid, "event_types", "description", "headers.cookie", "headers.host", "auth.type",
		"policy.schedule[0]", "policy.timeout", "policy.max_in_flight", "policy.rate", "secret", "url")
	_, err = w.CreateSubscription(t.Context(), w.tenant, webhook.Draft{URL: "https://interrupted.example", EventTypes: []string{"a"}})
	if !errors.Is(err, errLookup) {
		t.Errorf("a check that failed: %v", err)
	}
}

func TestADraftAtItsLimitsIsAccepted(t *testing.T) {
	w := mustStarted(t)
	d := draft()
	for i := range 100 {
		d.EventTypes = append(d.EventTypes, fmt.Sprintf("t%d", i))
	}
	d.Description = strings.Repeat("ü", 500)
	d.Headers = map[string]string{"!#$%&'*+-.^_`|~": strings.Repeat("x", 4096), "cookie": "a=b; c\t=d", "authorization": "custom"}
	for i := range 17 {
		d.Headers[fmt.Sprintf("x-%d", i)] = ""
	}
	d.Policy = webhook.Policy{
		Schedule: slices.Repeat([]time.Duration{30 * 24 * time.Hour / 99}, 99), Timeout: time.Minute, MaxInFlight: 128, Rate: 10_000,
	}
	w.mustCreate(w.tenant, d)
	d = draft("a")
	d.Policy = webhook.Policy{Schedule: []time.Duration{100 * time.Millisecond}, Timeout: time.Second, MaxInFlight: 1, Rate: 0.001}
	d.Signature = "v1a"
	d.Auth = webhook.Auth{Type: webhook.BasicAuth, Username: "ü", Password: "a:b ü"}
	w.mustCreate(w.tenant, d)
}

// smallKey returns an RSA key that nobody should trust any more.
func smallKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
}

// inForm returns a key and a certificate for it, the key as the function writes it.
func inForm(t *testing.T, key crypto.Signer, kind string, der []byte) (string, string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})), string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestKeysInEveryCommonFormAreAccepted(t *testing.T) {
	w := mustStarted(t)
	create := func(certificate, key string) {
		t.Helper()
		d := draft("a")
		d.Auth = webhook.Auth{Type: webhook.MTLSAuth, Certificate: certificate, PrivateKey: key}
		sub := w.mustCreate(w.tenant, d)
		if credentials, err := sub.Connection(time.Now()); err != nil || credentials == nil {
			t.Errorf("%v", err)
		}
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	create(inForm(t, rsaKey, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)))
	curve, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalECPrivateKey(curve)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key := inForm(t, curve, "EC PRIVATE KEY", der)
	create(certificate, "-----BEGIN EC PARAMETERS-----\nBgUrgQQAIg==\n-----END EC PARAMETERS-----\n"+key)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKCS8PrivateKey(edwards); err != nil {
		t.Fatal(err)
	}
	certificate, key = inForm(t, edwards, "PRIVATE KEY", der)
	create("what openssl says of it\n"+certificate+testkit.MustAuthority(t).PEM, key)
}

func TestACertificateThatExpiresLaterStandsInTheWayOfNoOtherChange(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		w := mustStarted(t)
		d := draft("a")
		d.Auth.Type = webhook.MTLSAuth
		d.Auth.Certificate, d.Auth.PrivateKey = testkit.MustAuthority(t).MustIssue(t, "ann", time.Now().Add(time.Hour))
		sub := w.mustCreate(w.tenant, d)
		time.Sleep(time.Hour)
		changed, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Description: new("later")})
		if err != nil || changed.Description != "later" {
			t.Errorf("%v", err)
		}
		_, err = w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Auth: &d.Auth})
		wantProblem(t, err, problem.Invalid, "auth.certificate")
		_, err = w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{CA: &d.Auth.Certificate, URL: new("http://plain.example")})
		wantProblem(t, err, problem.Invalid, "ca", "url")
	})
}
