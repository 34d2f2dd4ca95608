package secret_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func MustDB(t testing.TB, url string) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func MustBox(t testing.TB, d *db.DB, key secret.Key) *secret.Box {
	t.Helper()
	box, err := secret.Open(t.Context(), d, key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

func MustSeal(t testing.TB, box *secret.Box, plain []byte, row id.ID) []byte {
	t.Helper()
	sealed, err := box.Seal(plain, row)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestWhatWasSealedOpensAfterARestart(t *testing.T) {
	url, key, row := testkit.DatabaseURL(t), secret.NewKey(), id.New(time.Now())
	d := MustDB(t, url)
	sealed := MustSeal(t, MustBox(t, d, key), []byte("whsec_secret"), row)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	plain, err := MustBox(t, MustDB(t, url), key).Open(sealed, row)
	if err != nil || string(plain) != "whsec_secret" {
		t.Fatalf("%q, %v", plain, err)
	}
}

func TestOfServersThatStartTogetherWithOtherKeysOneDecides(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	keys := make([]secret.Key, 8)
	errs := make([]error, len(keys))
	var starting sync.WaitGroup
	for i := range keys {
		keys[i] = secret.NewKey()
		starting.Go(func() { _, errs[i] = secret.Open(t.Context(), d, keys[i]) })
	}
	starting.Wait()
	opened := 0
	for i, key := range keys {
		_, again := secret.Open(t.Context(), d, key)
		switch {
		case errs[i] == nil && again == nil:
			opened++
		case !errors.Is(errs[i], secret.ErrWrongKey) || !errors.Is(again, secret.ErrWrongKey):
			t.Errorf("server %d: %v, and later %v", i, errs[i], again)
		}
	}
	if opened != 1 {
		t.Errorf("%d of them have the master key", opened)
	}
}

func TestAnotherMasterKeyIsRefusedAndChangesNothing(t *testing.T) {
	d, key := testkit.OpenDB(t, db.Options{}), secret.NewKey()
	MustBox(t, d, key)
	for range 2 {
		if _, err := secret.Open(t.Context(), d, secret.NewKey()); !errors.Is(err, secret.ErrWrongKey) {
			t.Fatalf("got %v, want ErrWrongKey", err)
		}
	}
	MustBox(t, d, key)
}

func TestServersThatStartTogetherAgreeOnOneKey(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	errs := make([]error, 8)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = secret.Open(t.Context(), d, secret.NewKey()) })
	}
	wg.Wait()
	opened := 0
	for _, err := range errs {
		switch {
		case err == nil:
			opened++
		case !errors.Is(err, secret.ErrWrongKey):
			t.Error(err)
		}
	}
	if opened != 1 {
		t.Errorf("%d keys were accepted", opened)
	}
}

func TestAVerifierThatWasDamagedOrComesFromANewerProgramIsRefused(t *testing.T) {
	for name, verifier := range map[string][]byte{"empty": {}, "cut": {1, 2, 3}, "newer": {2, 2, 3}} {
		d := testkit.OpenDB(t, db.Options{})
		key := secret.NewKey()
		MustBox(t, d, key)
		err := d.Write(t.Context(), func(tx *db.Tx) error {
			_, err := tx.Exec(`UPDATE master_key SET verifier = $1`, verifier)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = secret.Open(t.Context(), d, key)
		if err == nil || errors.Is(err, secret.ErrWrongKey) == (name == "newer") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWithoutAKeyOrADatabaseThereIsNoBox(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	if _, err := secret.Open(t.Context(), d, secret.Key{}); err == nil || errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("the zero key: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := secret.Open(ctx, d, secret.NewKey()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	d.Close()
	if _, err := secret.Open(t.Context(), d, secret.NewKey()); !errors.Is(err, db.ErrUnavailable) {
		t.Errorf("closed: %v", err)
	}
}

func TestAnyValueComesBackAsItWasSealed(t *testing.T) {
	box, row := MustBox(t, testkit.OpenDB(t, db.Options{}), secret.NewKey()), id.New(time.Now())
	rapid.Check(t, func(t *rapid.T) {
		plain := rapid.SliceOf(rapid.Byte()).Draw(t, "plain")
		sealed, err := box.Seal(plain, row)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != len(plain)+29 {
			t.Fatalf("%d bytes sealed into %d", len(plain), len(sealed))
		}
		if got, err := box.Open(sealed, row); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%x, %v; want %x", got, err, plain)
		}
	})
}

func TestASealedValueShowsNothingOfItself(t *testing.T) {
	box, row := MustBox(t, testkit.OpenDB(t, db.Options{}), secret.NewKey()), id.New(time.Now())
	plain := []byte("a secret that is long enough to be found")
	one, two := MustSeal(t, box, plain, row), MustSeal(t, box, plain, row)
	if bytes.Contains(one, plain[:4]) {
		t.Error("the value is in the sealed bytes")
	}
	if bytes.Equal(one[1:13], two[1:13]) || bytes.Equal(one[13:], two[13:]) {
		t.Error("the same value sealed twice can be told to be the same")
	}
}

func TestASealedValueOpensOnlyUnchangedInItsRowAndWithItsKey(t *testing.T) {
	box, row := MustBox(t, testkit.OpenDB(t, db.Options{}), secret.NewKey()), id.New(time.Now())
	sealed := MustSeal(t, box, []byte("secret"), row)
	if _, err := box.Open(sealed, id.New(time.Now())); err == nil {
		t.Error("it opens in another row")
	}
	other := MustBox(t, testkit.OpenDB(t, db.Options{}), secret.NewKey())
	if _, err := other.Open(sealed, row); err == nil {
		t.Error("it opens with another key")
	}
	for i := range sealed {
		for bit := range 8 {
			changed := bytes.Clone(sealed)
			changed[i] ^= 1 << bit
			if _, err := box.Open(changed, row); err == nil {
				t.Errorf("it opens with bit %d of byte %d changed", bit, i)
			}
		}
		if _, err := box.Open(sealed[:i], row); err == nil {
			t.Errorf("its first %d bytes open", i)
		}
	}
	if _, err := box.Open(append(bytes.Clone(sealed), 0), row); err == nil {
		t.Error("it opens with a byte more")
	}
	if _, err := box.Open(nil, row); err == nil {
		t.Error("nothing opens")
	}
}

func TestNothingIsSealedForNoRow(t *testing.T) {
	box := MustBox(t, testkit.OpenDB(t, db.Options{}), secret.NewKey())
	if _, err := box.Seal([]byte("secret"), id.ID{}); err == nil {
		t.Error("sealed for the zero ID")
	}
	if _, err := box.Open(MustSeal(t, box, []byte("secret"), id.New(time.Now())), id.ID{}); err == nil {
		t.Error("opened for the zero ID")
	}
}
