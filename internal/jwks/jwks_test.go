package jwks_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/jwks"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const day = 24 * time.Hour

func MustDB(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func MustService(t testing.TB, d *db.DB, key secret.Key) *jwks.Service {
	t.Helper()
	box, err := secret.Open(t.Context(), d, key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jwks.New(d, jwks.Options{Box: box})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newService(t testing.TB) *jwks.Service {
	t.Helper()
	return MustService(t, testkit.OpenDB(t, db.Options{}), secret.NewKey())
}

func MustCurrent(t testing.TB, s *jwks.Service) *wire.RSAKey {
	t.Helper()
	key, err := s.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func MustRotate(t testing.TB, s *jwks.Service) *wire.RSAKey {
	t.Helper()
	key, err := s.Rotate(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// MustSet reads the set as a receiver does: strictly, and into keys by which it
// verifies.
func MustSet(t testing.TB, s *jwks.Service, now time.Time) ([]string, map[string]*rsa.PublicKey) {
	t.Helper()
	text, err := s.Set(t.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	var set struct {
		Keys []struct{ Kty, N, E, Kid, Use, Alg string }
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&set); err != nil {
		t.Fatal(err)
	}
	var order []string
	keys := make(map[string]*rsa.PublicKey)
	for _, k := range set.Keys {
		n, errN := base64.RawURLEncoding.DecodeString(k.N)
		e, errE := base64.RawURLEncoding.DecodeString(k.E)
		if err := errors.Join(errN, errE); err != nil || k.Kty != "RSA" || k.Use != "sig" || k.Alg != "RS256" || len(n) != 256 || k.E != "AQAB" {
			t.Fatalf("not a signing key of 2048 bits: %v in %s", err, text)
		}
		order = append(order, k.Kid)
		keys[k.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	if len(keys) != len(order) {
		t.Fatalf("two keys with one id: %q", order)
	}
	return order, keys
}

// wantVerified demands that receivers can verify what the key signs.
func wantVerified(t testing.TB, key *wire.RSAKey, public map[string]*rsa.PublicKey) {
	t.Helper()
	digest := sha256.Sum256([]byte("body"))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.Private, crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	of, ok := public[key.ID]
	if !ok {
		t.Fatal("the key is not in the set")
	}
	if err := rsa.VerifyPKCS1v15(of, crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

func TestTheSetHasTheKeyThatSigns(t *testing.T) {
	s := newService(t)
	_, public := MustSet(t, s, time.Now()) // asked first, it makes the key
	key := MustCurrent(t, s)
	wantVerified(t, key, public)
	if MustCurrent(t, s) != key {
		t.Error("the key is another one each time")
	}
}

func TestAKeyOutlivesTheProcess(t *testing.T) {
	url, master := testkit.DatabaseURL(t), secret.NewKey()
	d := MustDB(t, url)
	s := MustService(t, d, master)
	old := MustCurrent(t, s)
	key := MustRotate(t, s)
	before, err := s.Set(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	s = MustService(t, MustDB(t, url), master)
	if again := MustCurrent(t, s); again.ID != key.ID || !again.Private.Equal(key.Private) {
		t.Error("another key signs")
	}
	after, err := s.Set(t.Context(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("the set (-before +after):\n%s", diff)
	}
	order, public := MustSet(t, s, time.Now())
	if diff := cmp.Diff([]string{key.ID, old.ID}, order); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	wantVerified(t, old, public) // what was signed before can still be verified
}

func TestARotationSignsAtOnceAndPublishesTheOldKeyForThirtyDays(t *testing.T) {
	s := newService(t)
	first := MustCurrent(t, s)
	second := MustRotate(t, s)
	third := MustRotate(t, s)
	rotated := time.Now()
	if MustCurrent(t, s) != third || third.ID == second.ID || third.Private.Equal(second.Private) {
		t.Error("a rotated key goes on signing")
	}
	for _, tt := range []struct {
		at   time.Time
		want []string
	}{
		{rotated, []string{third.ID, second.ID, first.ID}},
		{rotated.Add(30*day - time.Minute), []string{third.ID, second.ID, first.ID}},
		{rotated.Add(30 * day), []string{third.ID}},
		{rotated.Add(3000 * day), []string{third.ID}},
	} {
		order, _ := MustSet(t, s, tt.at)
		if diff := cmp.Diff(tt.want, order); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", tt.at.Sub(rotated), diff)
		}
	}
}

func TestOfManyWhoAskFirstAllGetOneKey(t *testing.T) {
	s := newService(t)
	got := make([]*wire.RSAKey, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = s.Current(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, key := range got {
		if key == nil || key != got[0] {
			t.Fatal("not all have the same key")
		}
	}
	if order, _ := MustSet(t, s, time.Now()); len(order) != 1 {
		t.Errorf("%d keys were made", len(order))
	}
}

func TestRotationsAtTheSameTimeLeaveOneCurrentKey(t *testing.T) {
	s := newService(t)
	rotated := make([]*wire.RSAKey, 3)
	var wg sync.WaitGroup
	for i := range rotated {
		wg.Go(func() {
			var err error
			if rotated[i], err = s.Rotate(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	order, public := MustSet(t, s, time.Now())
	if len(order) != len(rotated) || order[0] != MustCurrent(t, s).ID {
		t.Errorf("the set is %q", order)
	}
	for _, key := range rotated {
		wantVerified(t, key, public)
	}
}

func TestPrivateHalvesAreSealedAndForgottenWhenTheyAreRetired(t *testing.T) {
	url := testkit.DatabaseURL(t)
	dir := filepath.Dir(testkit.DatabasePath(t, url))
	d := MustDB(t, url)
	s := MustService(t, d, secret.NewKey())
	old, key := MustCurrent(t, s), MustRotate(t, s)
	var stored []byte
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, content...)
	}
	for _, k := range []*wire.RSAKey{old, key} {
		if !bytes.Contains(stored, x509.MarshalPKCS1PublicKey(&k.Private.PublicKey)) {
			t.Fatal("what is stored was not read")
		}
		for _, secret := range [][]byte{k.Private.D.Bytes(), k.Private.Primes[0].Bytes(), k.Private.Primes[1].Bytes()} {
			if bytes.Contains(stored, secret[:32]) {
				t.Error("a private half is stored in the open")
			}
		}
	}
	var kept int
	err = d.Read(t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT count(*) FROM jwk WHERE sealed IS NOT NULL`).Scan(&kept)
	})
	if err != nil || kept != 1 {
		t.Errorf("%d private halves are kept, %v", kept, err)
	}
}

func TestWhatCanNotBeStoredDoesNotSign(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	s := MustService(t, d, secret.NewKey())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Current(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	key := MustCurrent(t, s)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Rotate(t.Context()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if MustCurrent(t, s) != key {
		t.Error("a key that was not stored signs")
	}
}

func TestAServiceNeedsADatabaseAndABox(t *testing.T) {
	if _, err := jwks.New(nil, jwks.Options{}); err == nil {
		t.Error("made from nothing")
	}
	if _, err := jwks.New(testkit.OpenDB(t, db.Options{}), jwks.Options{}); err == nil {
		t.Error("made without a box")
	}
}
