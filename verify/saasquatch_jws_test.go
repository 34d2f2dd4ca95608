package verify_test

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/verify"
)

// The server's key, made once, and another one.
var (
	makeServerKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
	makeOtherKey  = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })
)

const (
	serverKid = "019a9c1d2f3b5e8d7c6a4f10"
	otherKid  = "019a9c1d2f3b5e8d7c6a4f11"
)

func serverKey(testing.TB) *wire.RSAKey {
	return &wire.RSAKey{ID: serverKid, Private: must(makeServerKey())}
}

func serverSet(t testing.TB) []byte {
	return set(publicJWK(serverKid, &serverKey(t).Private.PublicKey))
}

// publicJWK returns a key as it is published.
func publicJWK(kid string, key *rsa.PublicKey) map[string]any {
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "RSA", "n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()), "kid": kid, "use": "sig", "alg": "RS256"}
}

func set(keys ...map[string]any) []byte { return must(json.Marshal(map[string]any{"keys": keys})) }

// with returns a copy of the key in which a member differs; nil removes it.
func with(key map[string]any, name string, value any) map[string]any {
	other := make(map[string]any, len(key))
	maps.Copy(other, key)
	if other[name] = value; value == nil {
		delete(other, name)
	}
	return other
}

// hexOf reports whether the first is the hexadecimal form of the second, which is
// in base64.
func hexOf(digits, text string) bool {
	a, err := hex.DecodeString(digits)
	b, err2 := base64.StdEncoding.DecodeString(text)
	return err == nil && err2 == nil && string(a) == string(b)
}

const jwsBody = `{"id":"1","type":"test"}`

// signJWS makes a detached signature as RFC 7515 says, over the body in
// base64url, with a header of the test's choice.
func signJWS(header, body string, sign func(content []byte) []byte) string {
	head := base64.RawURLEncoding.EncodeToString([]byte(header))
	content := head + "." + base64.RawURLEncoding.EncodeToString([]byte(body))
	return head + ".." + base64.RawURLEncoding.EncodeToString(sign([]byte(content)))
}

func rs256(key *rsa.PrivateKey) func([]byte) []byte {
	return func(content []byte) []byte {
		digest := sha256.Sum256(content)
		return must(rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:]))
	}
}

func hs256(key []byte) func([]byte) []byte {
	return func(content []byte) []byte {
		mac := hmac.New(sha256.New, key)
		mac.Write(content)
		return mac.Sum(nil)
	}
}

func TestAJWSOfAnyOtherKindIsRefused(t *testing.T) {
	key, other := must(makeServerKey()), must(makeOtherKey())
	public := must(x509.MarshalPKIXPublicKey(&key.PublicKey))
	inPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	const good = `{"alg":"RS256","typ":"JWT","kid":"` + serverKid + `"}`
	genuine := signJWS(good, jwsBody, rs256(key))
	head, signature, _ := strings.Cut(genuine, "..")
	rs512 := func(content []byte) []byte {
		digest := sha512.Sum512(content)
		return must(rsa.SignPKCS1v15(nil, key, crypto.SHA512, digest[:]))
	}
	pss := func(content []byte) []byte {
		digest := sha256.Sum256(content)
		return must(rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], nil))
	}
	plain := func([]byte) []byte { return rs256(key)([]byte(head + "." + jwsBody)) } // RFC 7797
	nothing := func([]byte) []byte { return nil }
	wide := func(mac []byte) []byte { return append(mac, make([]byte, 256-len(mac))...) }
	tests := []struct {
		name, jws string
		want      error
	}{
		{"genuine", genuine, nil},
		{"without typ", signJWS(`{"alg":"RS256","kid":"`+serverKid+`"}`, jwsBody, rs256(key)), nil},
		{"without kid, where there is one key", signJWS(`{"alg":"RS256"}`, jwsBody, rs256(key)), nil},
		{"alg none", signJWS(`{"alg":"none","kid":"`+serverKid+`"}`, jwsBody, nothing), verify.ErrInvalidHeader},
		{"alg none with a signature", signJWS(`{"alg":"none"}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"HS256 with the public key", signJWS(`{"alg":"HS256"}`, jwsBody, hs256(inPEM)), verify.ErrInvalidHeader},
		{"HS256 with the public key, as long as RSA", signJWS(`{"alg":"HS256"}`, jwsBody, func(c []byte) []byte { return wide(hs256(public)(c)) }), verify.ErrInvalidHeader},
		{"HS256 that says RS256", signJWS(good, jwsBody, func(c []byte) []byte { return wide(hs256(inPEM)(c)) }), verify.ErrSignature},
		{"RS512", signJWS(`{"alg":"RS512"}`, jwsBody, rs512), verify.ErrInvalidHeader},
		{"RS512 that says RS256", signJWS(good, jwsBody, rs512), verify.ErrSignature},
		{"PS256", signJWS(`{"alg":"PS256"}`, jwsBody, pss), verify.ErrInvalidHeader},
		{"PS256 that says RS256", signJWS(good, jwsBody, pss), verify.ErrSignature},
		{"alg in lower case", signJWS(`{"alg":"rs256"}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"alg under another name", signJWS(`{"ALG":"RS256"}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"no alg", signJWS(`{"kid":"`+serverKid+`"}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"alg that is no text", signJWS(`{"alg":["RS256"]}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"critical members", signJWS(`{"alg":"RS256","crit":["b64"],"b64":false}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"b64", signJWS(`{"alg":"RS256","b64":true}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"a kid that is no text", signJWS(`{"alg":"RS256","kid":1}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"a kid that is empty", signJWS(`{"alg":"RS256","kid":""}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"a kid that is not known", signJWS(`{"alg":"RS256","kid":"k"}`, jwsBody, rs256(key)), verify.ErrSignature},
		{"a key of its own", signJWS(`{"alg":"RS256","jwk":{"kty":"RSA"}}`, jwsBody, rs256(other)), verify.ErrSignature},
		{"another's key", signJWS(good, jwsBody, rs256(other)), verify.ErrSignature},
		{"another body", signJWS(good, jwsBody+" ", rs256(key)), verify.ErrSignature},
		{"the plain body signed", signJWS(good, jwsBody, plain), verify.ErrSignature},
		{"not detached", strings.Replace(genuine, "..", "."+base64.RawURLEncoding.EncodeToString([]byte(jwsBody))+".", 1), verify.ErrInvalidHeader},
		{"three full stops", strings.Replace(genuine, "..", "...", 1), verify.ErrInvalidHeader},
		{"four parts", genuine + ".x", verify.ErrInvalidHeader},
		{"one part", head, verify.ErrInvalidHeader},
		{"no header", ".." + signature, verify.ErrInvalidHeader},
		{"no signature", head + "..", verify.ErrInvalidHeader},
		{"a short signature", head + ".." + signature[:340], verify.ErrInvalidHeader},
		{"a long signature", head + ".." + strings.Repeat(signature, 5), verify.ErrInvalidHeader},
		{"padding", genuine + "==", verify.ErrInvalidHeader},
		{"a signature in plain base64", head + ".." + strings.Repeat("+/", 171), verify.ErrInvalidHeader},
		{"a header that is no object", signJWS(`null`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"a header that is no JSON", signJWS(`{`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
		{"a header that is too long", signJWS(`{"alg":"RS256","x":"`+strings.Repeat("x", 4<<10)+`"}`, jwsBody, rs256(key)), verify.ErrInvalidHeader},
	}
	v := must(verify.NewSaaSquatchJWS(must(verify.ParseJWKS(serverSet(t))), ""))
	for _, test := range tests {
		if _, err := v.Verify(t.Context(), http.Header{"X-Hook-Jws-Rfc-7797": {test.jws}}, []byte(jwsBody)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestWhereThereAreSeveralKeysTheJWSHasToNameOne(t *testing.T) {
	key, other := must(makeServerKey()), must(makeOtherKey())
	v := must(verify.NewSaaSquatchJWS(must(verify.ParseJWKS(set(publicJWK(serverKid, &key.PublicKey), publicJWK(otherKid, &other.PublicKey)))), ""))
	for _, test := range []struct {
		name, kid string
		key       *rsa.PrivateKey
		want      error
	}{
		{"the first", serverKid, key, nil},
		{"the second", otherKid, other, nil},
		{"the first key under the second's name", otherKid, key, verify.ErrSignature},
		{"none", "", key, verify.ErrSignature},
	} {
		if _, err := v.Verify(t.Context(), jwsHeader(test.kid, test.key), []byte(jwsBody)); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestTheServersSignatureOverAnotherTenantsEventIsRefused(t *testing.T) {
	v := must(verify.NewSaaSquatchJWS(must(verify.ParseJWKS(serverSet(t))), "acme"))
	for body, want := range map[string]error{
		`{"id":"1","type":"test","tenantAlias":"acme","data":{}}`:                      nil,
		`{"id":"1","type":"test","tenantAlias":"other","data":{"tenantAlias":"acme"}}`: verify.ErrTenant,
		`{"id":"1","type":"test","tenantAlias":"Acme","TenantAlias":"acme","data":{}}`: verify.ErrTenant,
		`{"id":"1","type":"test","tenantAlias":["acme"],"data":{}}`:                    verify.ErrTenant,
		`{"id":"1","type":"test","data":{}}`:                                           verify.ErrTenant,
	} {
		jws := signJWS(`{"alg":"RS256","kid":"`+serverKid+`"}`, body, rs256(must(makeServerKey())))
		if _, err := v.Verify(t.Context(), http.Header{"X-Hook-Jws-Rfc-7797": {jws}}, []byte(body)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
}

// jwsHeader returns the header of a request with jwsBody; without a kid where
// that is empty.
func jwsHeader(kid string, key *rsa.PrivateKey) http.Header {
	header := `{"alg":"RS256","kid":"` + kid + `"}`
	if kid == "" {
		header = `{"alg":"RS256"}`
	}
	return http.Header{"X-Hook-Jws-Rfc-7797": {signJWS(header, jwsBody, rs256(key))}}
}

func TestASetOfKeysIsReadStrictly(t *testing.T) {
	key := must(makeServerKey())
	jwk := publicJWK(serverKid, &key.PublicKey)
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	for _, test := range []struct {
		name, want string
		set        []byte
	}{
		{"one key", "", set(jwk)},
		{"without use and alg", "", set(with(with(jwk, "use", nil), "alg", nil))},
		{"beside other kinds", "", set(map[string]any{"kty": "EC", "kid": "e"}, with(jwk, "alg", "PS256"), with(jwk, "use", "enc"), jwk)},
		{"no JSON", "not a JSON Web Key Set", []byte("<html>")},
		{"empty", "no RSA key", []byte("{}")},
		{"only other kinds", "no RSA key", set(with(jwk, "kty", "oct"))},
		{"two of one id", "has the id of another", set(jwk, jwk)},
		{"too many", "more than 100 keys", set(make([]map[string]any, 101)...)},
		{"too long", "more than 262144 bytes", make([]byte, 256<<10+1)},
		{"a short key", "modulus of 1024 bits", set(publicJWK("s", &short.PublicKey))},
		{"a huge key", "modulus of 16384 bits", set(with(jwk, "n", base64.RawURLEncoding.EncodeToString(append([]byte{0xff}, make([]byte, 2047)...))))},
		{"an even modulus", "even one", set(with(jwk, "n", base64.RawURLEncoding.EncodeToString(append([]byte{0xff}, make([]byte, 255)...))))},
		{"no modulus", "modulus of 0 bits", set(with(jwk, "n", nil))},
		{"a modulus with padding", "not base64url", set(with(jwk, "n", "AAAA=="))},
		{"an exponent of one", "exponent", set(with(jwk, "e", "AQ"))},
		{"an even exponent", "exponent", set(with(jwk, "e", "BA"))},
		{"a huge exponent", "exponent", set(with(jwk, "e", "AQAAAAAB"))},
		{"no exponent", "exponent", set(with(jwk, "e", nil))},
		{"an exponent that is not base64url", "not base64url", set(with(jwk, "e", "?"))},
	} {
		_, err := verify.ParseJWKS(test.set)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}

func TestKeysAreFetchedFromASafeURLOnly(t *testing.T) {
	for url, safe := range map[string]bool{
		"https://grapevine.example.com/.well-known/jwks.json": true, "http://127.0.0.1:8080/jwks.json": true, "http://[::1]/j": true, "http://localhost:1/j": true,
		"http://grapevine.example.com/j": false, "http://127.0.0.1.example.com/j": false, "http://10.0.0.1/j": false,
		"file:///etc/keys": false, "https:///j": false, "jwks.json": false, "": false, "https://%zz/": false,
	} {
		if _, err := verify.FetchJWKS(url, nil); (err == nil) != safe {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// keyServer answers in the place of a server, within a bubble of virtual time.
type keyServer struct {
	answer atomic.Pointer[func() (*http.Response, error)]
	asked  atomic.Int32
}

func (k *keyServer) RoundTrip(*http.Request) (*http.Response, error) {
	k.asked.Add(1)
	return (*k.answer.Load())()
}

// publish has the server answer with the set from now on.
func (k *keyServer) publish(status int, text []byte) {
	answer := func() (*http.Response, error) {
		return &http.Response{StatusCode: status, Header: http.Header{"Location": {"https://other.example.com/"}}, Body: io.NopCloser(strings.NewReader(string(text)))}, nil
	}
	k.answer.Store(&answer)
}

// fetching returns a verifier that asks the server for keys.
func fetching(k *keyServer) *verify.SaaSquatchJWS {
	client := &http.Client{Transport: k, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return must(verify.NewSaaSquatchJWS(must(verify.FetchJWKS("https://grapevine.example.com/.well-known/jwks.json", client)), ""))
}

func TestKeysAreFetchedOnceAndAgainForANewOne(t *testing.T) {
	key, other := must(makeServerKey()), must(makeOtherKey())
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		v := fetching(server)
		check := func(what string, header http.Header, want error, asked int32) {
			t.Helper()
			if _, err := v.Verify(t.Context(), header, []byte(jwsBody)); !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
			synctest.Wait()
			if got := server.asked.Load(); got != asked {
				t.Errorf("%s: the server was asked %d times, want %d", what, got, asked)
			}
		}
		first, second := jwsHeader(serverKid, key), jwsHeader(otherKid, other)
		forged := func(n string) http.Header { return jwsHeader("forged-"+n, other) }

		server.publish(http.StatusOK, set(publicJWK(serverKid, &key.PublicKey)))
		check("the first request", first, nil, 1)
		check("the second", first, nil, 1)
		check("a forgery, too soon", forged("1"), verify.ErrSignature, 1)
		time.Sleep(10 * time.Second)
		check("a forgery", forged("2"), verify.ErrSignature, 2)
		check("another one", forged("3"), verify.ErrSignature, 2)

		time.Sleep(10 * time.Second)
		server.publish(http.StatusOK, set(publicJWK(otherKid, &other.PublicKey), publicJWK(serverKid, &key.PublicKey)))
		check("a new key", second, nil, 3)
		check("the old one beside it", first, nil, 3)

		// A key that is withdrawn is out when the set has been fetched again, an hour
		// later at most.
		server.publish(http.StatusOK, set(publicJWK(otherKid, &other.PublicKey)))
		time.Sleep(time.Hour)
		check("what has the set fetched again", second, nil, 4)
		check("the withdrawn key", first, verify.ErrSignature, 4)

		// While the server is down, what it said serves for a day.
		server.publish(http.StatusInternalServerError, nil)
		time.Sleep(2 * time.Hour)
		check("an old set", second, nil, 5)
		check("a key that may be new, too soon", first, verify.ErrKeys, 5)
		time.Sleep(21*time.Hour + 59*time.Minute)
		check("a set of nearly a day", second, nil, 6)
		time.Sleep(time.Minute)
		check("a set of a day", second, verify.ErrKeys, 7)
		server.publish(http.StatusOK, set(publicJWK(otherKid, &other.PublicKey)))
		time.Sleep(10 * time.Second)
		check("when it is back", second, nil, 8)
		check("a forgery then", forged("4"), verify.ErrSignature, 8)
	})
}

func TestWithoutKeysTheRequestIsWorthAnotherAttempt(t *testing.T) {
	key := must(makeServerKey())
	for name, answer := range map[string]struct {
		status int
		text   string
	}{
		"an error":   {http.StatusServiceUnavailable, string(serverSet(t))},
		"a redirect": {http.StatusFound, string(serverSet(t))},
		"no set":     {http.StatusOK, "<html>"},
		"no end":     {http.StatusOK, strings.Repeat(" ", 1<<20)},
		"no keys":    {http.StatusOK, `{"keys":[]}`},
	} {
		server := &keyServer{}
		server.publish(answer.status, []byte(answer.text))
		v := fetching(server)
		called := false
		handler := v.Handler(func(http.ResponseWriter, *http.Request, verify.Message) { called = true })
		if code := answered(handler, sent{jwsHeader(serverKid, key), jwsBody}.request()); code != http.StatusServiceUnavailable || called {
			t.Errorf("%s: answered %d", name, code)
		}
		if server.asked.Load() != 1 {
			t.Errorf("%s: asked %d times", name, server.asked.Load())
		}
	}
}

func TestManyRequestsWaitForOneFetchAndGiveUpWithTheirSenders(t *testing.T) {
	key := must(makeServerKey())
	header := jwsHeader(serverKid, key)
	synctest.Test(t, func(t *testing.T) {
		server := &keyServer{}
		answer := func() (*http.Response, error) {
			time.Sleep(5 * time.Second)
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(set(publicJWK(serverKid, &key.PublicKey)))))}, nil
		}
		server.answer.Store(&answer)
		v := fetching(server)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := v.Verify(t.Context(), header, []byte(jwsBody)); err != nil {
					t.Errorf("one that waited: %v", err)
				}
			})
		}
		hurried, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := v.Verify(hurried, header, []byte(jwsBody)); !errors.Is(err, verify.ErrKeys) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one that did not wait: %v", err)
		}
		wg.Wait()
		if got := server.asked.Load(); got != 1 {
			t.Errorf("the server was asked %d times", got)
		}
	})
}
