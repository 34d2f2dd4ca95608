package wiretest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// server is the server's own key, made once.
var server = sync.OnceValue(func() *wire.RSAKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return &wire.RSAKey{ID: "conformance", Private: private}
})

// message is a message of the test event, in a tenant's name.
func message(d wire.Dialect, tenant wire.Tenant) wire.Message {
	e := d.TestEvent(wire.Endpoint{URL: "https://example.com/hooks", Name: "invoices"})
	e.ID, e.OccurredAt, e.Tenant = id.First(at), at, tenant
	return wire.Message{EventID: e.ID, Type: e.Type, Body: d.Encode(e), SentAt: at.Add(time.Minute), Attempt: 1}
}

func mustSigner(t testing.TB, d wire.Dialect, keys wire.Keys) wire.Signer {
	t.Helper()
	signer, err := d.NewSigner(keys)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func mustSecret(t testing.TB, d wire.Dialect) string {
	t.Helper()
	secret, err := d.NewSecret("")
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// keys returns what a subscription of the tenant may be signed with. No two calls
// return the same secret or key.
func keys(t testing.TB, d wire.Dialect, tenant wire.Tenant) wire.Keys {
	t.Helper()
	if d.Signing() == wire.BySecret {
		return wire.Keys{Secrets: []string{mustSecret(t, d)}}
	}
	return wire.Keys{Identity: &wire.Identity{Tenant: tenant, Key: "key_" + rand.Text(), RSA: server()}}
}

// checkSignatures is for all that sign, and for what the others set.
func checkSignatures(t testing.TB, d wire.Dialect) {
	for _, tenant := range tenants(d) {
		m, one := message(d, tenant), keys(t, d, tenant)
		signed := mustSigner(t, d, one).Sign(m)
		wantSteady(t, mustSigner(t, d, one), m, signed)
		if d.Signing() == wire.Unsigned {
			continue
		}
		if slices.Equal(signed, mustSigner(t, d, keys(t, d, tenant)).Sign(m)) {
			t.Errorf("%+v: another secret or key makes the same headers", tenant)
		}
		changed := m
		changed.Body = append(bytes.Clone(m.Body), ' ')
		if slices.Equal(signed, mustSigner(t, d, one).Sign(changed)) {
			t.Errorf("%+v: another body has the same headers", tenant)
		}
	}
}

// wantSteady fails the test unless the signer, called concurrently, signs the
// message as it was signed.
func wantSteady(t testing.TB, s wire.Signer, m wire.Message, want []wire.Header) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				if got := s.Sign(m); !slices.Equal(want, got) {
					t.Errorf("the same message is signed otherwise: %v", got)
					return
				}
			}
		})
	}
	wg.Wait()
}

// wantHidden fails the test if a secret, or what follows its prefix, is in a
// header in any of the usual spellings.
func wantHidden(t testing.TB, headers []wire.Header, secret string) {
	t.Helper()
	spellings := []string{
		secret, base64.StdEncoding.EncodeToString([]byte(secret)), base64.RawURLEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
	}
	if _, value, ok := strings.Cut(secret, "_"); ok && value != "" {
		spellings = append(spellings, value)
	}
	for _, h := range headers {
		for _, spelling := range spellings {
			if strings.Contains(h.Value, spelling) {
				t.Errorf("%s has a secret in it", h.Name)
			}
		}
	}
}

func checkSecrets(t testing.TB, d wire.Dialect) {
	one, two := mustSecret(t, d), mustSecret(t, d)
	like, err := d.NewSecretLike(one)
	if err != nil {
		t.Fatal(err)
	}
	if one == two || one == like {
		t.Error("two secrets are the same")
	}
	for _, secret := range []string{one, two, like} {
		if len(secret) < 16 || strings.ContainsFunc(secret, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Error("a secret is short, or can't be pasted")
		}
	}
	public := func(secret string) []string {
		return mustSigner(t, d, wire.Keys{Secrets: []string{secret}}).PublicKeys()
	}
	if a, b := public(one), public(like); len(a) != len(b) {
		t.Errorf("a secret like one with %d public keys has %d", len(a), len(b))
	}
	if secret, err := d.NewSecret(marker); err == nil || secret != "" || strings.Contains(err.Error(), marker) {
		t.Errorf("a secret of an unknown kind: %v", err)
	}
}

func checkBadSecrets(t testing.TB, d wire.Dialect) {
	good := mustSecret(t, d)
	prefix, _, _ := strings.Cut(good, "_")
	for _, bad := range [][]string{
		nil, {""}, {marker}, {prefix + "_" + marker}, {good, marker}, {marker, good}, {good + "\n"}, {" " + good}, {good[:len(good)/2] + "\r\n" + good[len(good)/2:]},
	} {
		wantNoSigner(t, d, wire.Keys{Secrets: bad})
	}
}

// wantNoSigner fails the test unless the keys are refused, with an error that
// repeats no secret.
func wantNoSigner(t testing.TB, d wire.Dialect, bad wire.Keys) {
	t.Helper()
	signer, err := d.NewSigner(bad)
	if err == nil || signer != nil {
		t.Errorf("%d secrets and the identity %t are accepted", len(bad.Secrets), bad.Identity != nil)
		return
	}
	for _, secret := range bad.Secrets {
		if len(secret) >= len(marker) && strings.Contains(err.Error(), strings.TrimSpace(secret)) {
			t.Error("the error repeats a secret")
		}
	}
	if strings.Contains(err.Error(), marker) {
		t.Error("the error repeats a part of a secret")
	}
}

func checkRotation(t testing.TB, d wire.Dialect) {
	m := message(d, wire.Tenant{})
	one, two := mustSecret(t, d), mustSecret(t, d)
	signer := mustSigner(t, d, wire.Keys{Secrets: []string{one, two}})
	signed := signer.Sign(m)
	wantSteady(t, signer, m, signed)
	if slices.Equal(signed, mustSigner(t, d, wire.Keys{Secrets: []string{two}}).Sign(m)) {
		t.Error("the newest secret does not sign")
	}
	for _, secret := range []string{one, two} {
		wantHidden(t, signed, secret)
	}
}

func checkKeys(t testing.TB, d wire.Dialect) {
	for _, tenant := range tenants(d) {
		m, whole := message(d, tenant), keys(t, d, tenant)
		signed := mustSigner(t, d, whole).Sign(m)
		wantHidden(t, signed, whole.Identity.Key)

		bare := *whole.Identity
		bare.RSA = nil
		signer, err := d.NewSigner(wire.Keys{Identity: &bare})
		if err != nil {
			continue // the tenant chose what needs the server's key
		}
		if got := signer.Sign(m); len(got) != len(signed) {
			t.Errorf("%+v: without the server's key there are %d headers and not %d", tenant, len(got), len(signed))
		}
	}
}

func checkNoKey(t testing.TB, d wire.Dialect) {
	wantNoSigner(t, d, wire.Keys{})
	wantNoSigner(t, d, wire.Keys{Secrets: []string{"whsec_" + marker}})
	for _, tenant := range tenants(d) {
		wantNoSigner(t, d, wire.Keys{Identity: &wire.Identity{}})
		wantNoSigner(t, d, wire.Keys{Identity: &wire.Identity{Tenant: tenant, RSA: server()}})
	}
}

func checkUnsigned(t testing.TB, d wire.Dialect) {
	m := message(d, wire.Tenant{})
	signed := mustSigner(t, d, wire.Keys{}).Sign(m)
	for _, tenant := range tenants(d) {
		for _, k := range []wire.Keys{{Identity: &wire.Identity{}}, {Identity: &wire.Identity{Tenant: tenant}}, keys(t, d, tenant)} {
			signer := mustSigner(t, d, k)
			if len(signer.PublicKeys()) > 0 {
				t.Error("what does not sign has a public key")
			}
			if !slices.Equal(signed, signer.Sign(m)) {
				t.Error("what does not sign depends on a key")
			}
		}
	}
}

func checkHeaders(t testing.TB, d wire.Dialect) {
	reserved := d.ReservedHeaders()
	for i, name := range reserved {
		if !isOf(name, lowerCase+digits+"-") {
			t.Errorf("%q is not a header's name in lower case", name)
		}
		if slices.Contains(reserved[:i], name) {
			t.Errorf("%q is there twice", name)
		}
	}
	for _, tenant := range tenants(d) {
		set := mustSigner(t, d, keys(t, d, tenant)).Sign(message(d, tenant))
		if len(set) == 0 && d.Signing() != wire.Unsigned {
			t.Errorf("%+v: nothing is set", tenant)
		}
		seen := make(map[string]bool)
		for _, h := range set {
			lower := strings.ToLower(h.Name)
			if !slices.Contains(reserved, lower) {
				t.Errorf("%s is set and not reserved", h.Name)
			}
			if seen[lower] {
				t.Errorf("%s is set twice", h.Name)
			}
			seen[lower] = true
			if h.Name != canonical(h.Name) {
				t.Errorf("%s is not in the spelling of Go's headers", h.Name)
			}
			if h.Value == "" || strings.TrimSpace(h.Value) != h.Value || strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%s can't hold %q", h.Name, h.Value)
			}
		}
	}
}

// canonical writes a header's name as net/http does.
func canonical(name string) string {
	words := strings.Split(strings.ToLower(name), "-")
	for i, word := range words {
		if word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "-")
}
