package saasquatch_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
)

var newKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

// mustKey returns the server's key, which is the same in all tests.
func mustKey(t testing.TB) *wire.RSAKey {
	t.Helper()
	key, err := newKey()
	if err != nil {
		t.Fatal(err)
	}
	return &wire.RSAKey{ID: "key-1", Private: key}
}

func mustSigner(t testing.TB, identity wire.Identity) wire.Signer {
	t.Helper()
	signer, err := saasquatch.Dialect{}.NewSigner(wire.Keys{Identity: &identity})
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

// with returns an identity that signs with "TEST_key" by these settings.
func with(key *wire.RSAKey, settings wire.Settings) wire.Identity {
	return wire.Identity{Tenant: wire.Tenant{Alias: "test_acme", Settings: settings}, Key: "TEST_key", RSA: key}
}

var (
	hexadecimal = wire.Settings{"signature_encoding": "hex"}
	jwsOn       = wire.Settings{"jws": "on"}
)

func TestTheSignatureIsTheHMACOfTheBodyThatOpenSSLComputes(t *testing.T) {
	m := wire.Message{EventID: someID, Type: "test", Body: []byte(`{"id":"577303ece4b066c5cb171835","type":"test"}`), SentAt: someTime, Attempt: 1}
	for encoded, settings := range map[string]wire.Settings{"ToG66LRDiR/9AE7DclebYFeajHU=": nil, "4e81bae8b443891ffd004ec372579b60579a8c75": hexadecimal} {
		want := []wire.Header{{Name: "X-Hook-Signature", Value: encoded}}
		if diff := cmp.Diff(want, mustSigner(t, with(nil, settings)).Sign(m)); diff != "" {
			t.Errorf("headers (-want +got):\n%s", diff)
		}
	}
}

// hmacSHA1 is HMAC as RFC 2104 writes it, for keys of a block at most.
func hmacSHA1(key string, body []byte) []byte {
	pad := func(with byte) []byte {
		block := bytes.Repeat([]byte{with}, sha1.BlockSize)
		for i := range len(key) {
			block[i] ^= key[i]
		}
		return block
	}
	inner := sha1.Sum(append(pad(0x36), body...))
	outer := sha1.Sum(append(pad(0x5c), inner[:]...))
	return outer[:]
}

func TestEveryBodyIsSignedWithTheKeyOfNow(t *testing.T) {
	for _, key := range []string{"k", "TEST_key", "LIVE_" + strings.Repeat("x", sha1.BlockSize-5)} {
		identity := with(nil, nil)
		identity.Key = key
		signer := mustSigner(t, identity)
		for _, e := range (saasquatch.Dialect{}).Catalogue(nil) {
			body := saasquatch.Dialect{}.Encode(wire.Event{ID: someID, Type: e.Name, OccurredAt: someTime, Data: e.Sample})
			want := base64.StdEncoding.EncodeToString(hmacSHA1(key, body))
			if got := signer.Sign(wire.Message{Body: body})[0].Value; got != want {
				t.Errorf("%s with %s: %s, want %s", e.Name, key, got, want)
			}
		}
	}
}

// detached returns the JWS of a body.
func detached(t testing.TB, signer wire.Signer, body []byte) string {
	t.Helper()
	headers := signer.Sign(wire.Message{EventID: someID, Body: body, SentAt: someTime, Attempt: 1})
	if len(headers) != 2 || headers[0].Name != "X-Hook-Signature" || headers[1].Name != "X-Hook-Jws-Rfc-7797" {
		t.Fatalf("headers: %v", headers)
	}
	return headers[1].Value
}

// bodies are bodies of all lengths that base64 pads differently, and a long one.
var bodies = []string{"", "{}", `{"a":1}`, `{"ab":1}`, `{"text":"<p>\u2028é😀"}`, `{"long":"` + strings.Repeat("long ", 10_000) + `"}`}

func TestTheJWSVerifiesAsReceiversDo(t *testing.T) {
	key := mustKey(t)
	signer := mustSigner(t, with(key, jwsOn))
	for _, body := range bodies {
		value := detached(t, signer, []byte(body))
		whole := strings.Replace(value, "..", "."+base64.RawURLEncoding.EncodeToString([]byte(body))+".", 1)
		parsed, err := jose.ParseSignedCompact(whole, []jose.SignatureAlgorithm{jose.RS256})
		if err != nil {
			t.Fatal(err)
		}
		payload, err := parsed.Verify(&key.Private.PublicKey)
		if err != nil || string(payload) != body {
			t.Errorf("%.20s: go-jose reads %.20s: %v", body, payload, err)
		}
		if h := parsed.Signatures[0].Header; h.KeyID != "key-1" || h.ExtraHeaders["typ"] != "JWT" {
			t.Errorf("the header is %+v", h)
		}

		header, encoded, _ := strings.Cut(value, "..")
		signature, err := base64.RawURLEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		digest := sha256.Sum256([]byte(header + "." + base64.RawURLEncoding.EncodeToString([]byte(body))))
		if err := rsa.VerifyPKCS1v15(&key.Private.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			t.Errorf("%.20s: %v", body, err)
		}
		text, err := base64.RawURLEncoding.DecodeString(header)
		if want := `{"alg":"RS256","typ":"JWT","kid":"key-1"}`; err != nil || string(text) != want {
			t.Errorf("the header is %s, want %s: %v", text, want, err)
		}
	}
}

func TestAnotherBodyOrKeyHasAnotherJWS(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	key := mustKey(t)
	signer := mustSigner(t, with(key, jwsOn))
	seen := map[string]string{}
	for name, value := range map[string]string{
		"the first":   detached(t, signer, []byte("{}")),
		"another":     detached(t, signer, []byte("{ }")),
		"another key": detached(t, mustSigner(t, with(&wire.RSAKey{ID: "key-1", Private: other}, jwsOn)), []byte("{}")),
		"another kid": detached(t, mustSigner(t, with(&wire.RSAKey{ID: "key-2", Private: key.Private}, jwsOn)), []byte("{}")),
	} {
		if twin, ok := seen[value]; ok {
			t.Errorf("%s has the signature of %s", name, twin)
		}
		seen[value] = name
	}
}

func TestSignersOfCopiesOfOneKeyAgree(t *testing.T) {
	key := mustKey(t)
	want := detached(t, mustSigner(t, with(key, jwsOn)), []byte("{}"))
	copied := *key.Private
	var wg sync.WaitGroup
	for range 4 {
		signer := mustSigner(t, with(&wire.RSAKey{ID: key.ID, Private: &copied}, jwsOn))
		wg.Go(func() {
			for n := range 5 {
				_ = signer.Sign(wire.Message{Body: fmt.Append(nil, n)})
				if got := signer.Sign(wire.Message{Body: []byte("{}")}); got[1].Value != want {
					t.Errorf("got %v", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestThePublicKeyIsTheOneThatVerifies(t *testing.T) {
	key := mustKey(t)
	if keys := mustSigner(t, with(key, nil)).PublicKeys(); len(keys) != 0 {
		t.Errorf("without a JWS there is %v", keys)
	}
	keys := mustSigner(t, with(key, jwsOn)).PublicKeys()
	if len(keys) != 1 {
		t.Fatalf("there are %d keys", len(keys))
	}
	var read jose.JSONWebKey
	if err := json.Unmarshal([]byte(keys[0]), &read); err != nil {
		t.Fatal(err)
	}
	if !read.IsPublic() || read.KeyID != "key-1" || read.Algorithm != "RS256" || read.Use != "sig" || !key.Private.PublicKey.Equal(read.Key) {
		t.Errorf("the key is %s", keys[0])
	}
}

func TestASignerIsRefusedRatherThanMadeWithLess(t *testing.T) {
	good := mustKey(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	broken := *good.Private
	broken.D = small.D
	keyless := with(good, nil)
	keyless.Key = ""
	for name, test := range map[string]struct {
		identity wire.Identity
		says     string
	}{
		"no API key":           {keyless, "API key"},
		"no RSA key":           {with(nil, jwsOn), "jws is on"},
		"an empty RSA key":     {with(&wire.RSAKey{ID: "key-1"}, jwsOn), "jws is on"},
		"an RSA key of no id":  {with(&wire.RSAKey{Private: good.Private}, jwsOn), "jws is on"},
		"a zero RSA key":       {with(&wire.RSAKey{ID: "key-1", Private: new(rsa.PrivateKey)}, jwsOn), "broken"},
		"a broken RSA key":     {with(&wire.RSAKey{ID: "key-1", Private: &broken}, jwsOn), "broken"},
		"a small RSA key":      {with(&wire.RSAKey{ID: "key-1", Private: small}, jwsOn), "2,048 bits"},
		"an unknown encoding":  {with(good, wire.Settings{"signature_encoding": "hunter2"}), "signature_encoding"},
		"an unknown JWS":       {with(good, wire.Settings{"jws": "hunter2"}), "jws must be"},
		"an empty JWS setting": {with(good, wire.Settings{"jws": ""}), "jws must be"},
	} {
		signer, err := saasquatch.Dialect{}.NewSigner(wire.Keys{Identity: &test.identity})
		if err == nil || signer != nil {
			t.Errorf("%s: there is a signer", name)
			continue
		}
		if !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "TEST_key") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if signer, err := (saasquatch.Dialect{}).NewSigner(wire.Keys{Secrets: []string{"secret"}}); err == nil || signer != nil {
		t.Error("a secret makes a signer")
	}
}

func TestThereAreNoSecrets(t *testing.T) {
	d := saasquatch.Dialect{}
	if d.Signing() != wire.ByKey {
		t.Errorf("signing is by %s", d.Signing())
	}
	if secret, err := d.NewSecret(""); err == nil || secret != "" {
		t.Error("a secret was made")
	}
	if secret, err := d.NewSecretLike("x"); err == nil || secret != "" {
		t.Error("a secret was made like another")
	}
}

func TestWhatIsSetIsReserved(t *testing.T) {
	settings := maps.Clone(jwsOn)
	maps.Copy(settings, hexadecimal)
	var set []string
	for _, h := range mustSigner(t, with(mustKey(t), settings)).Sign(wire.Message{}) {
		set = append(set, strings.ToLower(h.Name))
	}
	if diff := cmp.Diff(saasquatch.Dialect{}.ReservedHeaders(), set); diff != "" {
		t.Errorf("headers (-reserved +set):\n%s", diff)
	}
}

func BenchmarkSign(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	for name, settings := range map[string]wire.Settings{"HMAC": nil, "JWS of one event": jwsOn} {
		signer := mustSigner(b, with(mustKey(b), settings))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				signer.Sign(wire.Message{Body: body})
			}
		})
	}
	b.Run("JWS of many events", func(b *testing.B) {
		signer := mustSigner(b, with(mustKey(b), jwsOn))
		for n := 0; b.Loop(); n++ {
			signer.Sign(wire.Message{Body: fmt.Append(body, n)})
		}
	})
}
