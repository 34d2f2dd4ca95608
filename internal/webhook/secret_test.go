package webhook_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

const (
	secretA = "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="
	secretB = "whsec_QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkI="
)

// signatures returns the signatures of a message at now, one for each secret.
func signatures(t testing.TB, sub *webhook.Subscription, now time.Time) []string {
	t.Helper()
	signer, err := sub.Signer(now, nil)
	if err != nil {
		t.Fatal(err)
	}
	return parts(t, signer.Sign(wire.Message{EventID: id.ID{1}, Body: []byte("{}"), SentAt: time.Unix(0, 0)}))
}

func parts(t testing.TB, headers []wire.Header) []string {
	t.Helper()
	i := slices.IndexFunc(headers, func(h wire.Header) bool { return h.Name == "Webhook-Signature" })
	if i < 0 {
		t.Fatalf("no signature in %v", headers)
	}
	return strings.Fields(headers[i].Value)
}

// signedWith returns the signatures that these secrets make.
func signedWith(t testing.TB, secrets ...string) []string {
	t.Helper()
	var list []string
	for _, s := range secrets {
		list = append(list, signatures(t, &webhook.Subscription{Dialect: dialects.All[0], Secrets: []webhook.Secret{{Value: s}}}, time.Now())...)
	}
	return list
}

func (w *world) mustRotate(sub *webhook.Subscription, to string, overlap time.Duration) *webhook.Subscription {
	w.t.Helper()
	rotated, err := w.RotateSecret(w.t.Context(), w.tenant, sub.ID, to, overlap)
	return mustDo(w.t, rotated, err)
}

func TestARotatedSecretSignsBesideTheNewOneUntilItsOverlapIsOver(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Secret = secretA
	sub := w.mustCreate(w.tenant, d)
	before := time.Now()
	rotated := w.mustRotate(sub, secretB, time.Hour)
	if told := w.sent.last(changes); told == nil || len(told.Secrets) != 2 {
		t.Error("the sender was not told")
	}
	for name, s := range map[string]*webhook.Subscription{"answered": rotated, "stored": w.mustGet(sub)} {
		if len(s.Secrets) != 2 {
			t.Fatalf("%s: %d secrets", name, len(s.Secrets))
		}
		end := s.Secrets[1].ExpiresAt
		if end.Before(before.Add(time.Hour).Truncate(time.Microsecond)) || end.After(time.Now().Add(time.Hour)) {
			t.Errorf("%s: the overlap ends at %v", name, end)
		}
		for _, moment := range []struct {
			now  time.Time
			want []string
		}{
			{time.Now(), []string{secretB, secretA}},
			{end.Add(-time.Microsecond), []string{secretB, secretA}},
			{end, []string{secretB}},
			{end.AddDate(1, 0, 0), []string{secretB}},
		} {
			if diff := cmp.Diff(signedWith(t, moment.want...), signatures(t, s, moment.now)); diff != "" {
				t.Errorf("%s, at %v (-want +got):\n%s", name, moment.now, diff)
			}
		}
		secrets, keys, err := w.RevealSecrets(t.Context(), w.tenant, sub.ID, end)
		if err != nil || len(secrets) != 1 || secrets[0].Value != secretB || len(keys) != 0 {
			t.Errorf("%s: revealed after the overlap: %d secrets, %v, %v", name, len(secrets), keys, err)
		}
	}
}

func TestARotationWithoutOverlapEndsTheOldSecretAtOnce(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Secret = secretA
	sub := w.mustRotate(w.mustCreate(w.tenant, d), "", 0)
	if len(sub.Secrets) != 1 || sub.Secrets[0].Value == secretA || !strings.HasPrefix(sub.Secrets[0].Value, "whsec_") {
		t.Errorf("%d secrets", len(sub.Secrets))
	}
}

func TestALaterRotationNeverProlongsAnOlderSecret(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Secret = secretA
	sub := w.mustRotate(w.mustCreate(w.tenant, d), secretB, time.Hour)
	end := sub.Secrets[1].ExpiresAt
	sub = w.mustRotate(sub, "", 24*time.Hour)
	if len(sub.Secrets) != 3 || !sub.Secrets[2].ExpiresAt.Equal(end) || !sub.Secrets[1].ExpiresAt.After(end) {
		t.Errorf("the secrets are %d, the first ends at %v, want %v", len(sub.Secrets), sub.Secrets[2].ExpiresAt, end)
	}
	sub = w.mustRotate(sub, "", time.Minute)
	for _, s := range sub.Secrets[1:] {
		if s.ExpiresAt.After(time.Now().Add(time.Minute)) {
			t.Errorf("a shorter overlap leaves a secret until %v", s.ExpiresAt)
		}
	}
}

func TestRotatingToASecretThatIsThereAlreadyKeepsOneOfIt(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Secret = secretA
	sub := w.mustRotate(w.mustCreate(w.tenant, d), secretB, time.Hour)
	back := w.mustRotate(sub, secretA, time.Hour)
	if len(back.Secrets) != 2 || back.Secrets[0].Value != secretA || !back.Secrets[0].ExpiresAt.IsZero() || back.Secrets[1].Value != secretB {
		t.Errorf("%d secrets", len(back.Secrets))
	}
	same := w.mustRotate(back, secretA, time.Hour)
	if diff := cmp.Diff(signedWith(t, secretA, secretB), signatures(t, same, time.Now())); diff != "" {
		t.Errorf("signed by (-want +got):\n%s", diff)
	}
}

func TestAKeyPairIsRotatedToAKeyPair(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Signature = "v1a"
	sub := w.mustCreate(w.tenant, d)
	first, err := sub.PublicKeys(time.Now())
	if err != nil || len(first) != 1 || !strings.HasPrefix(first[0], "whpk_") {
		t.Fatalf("%v, %v", first, err)
	}
	rotated := w.mustRotate(sub, "", time.Hour)
	secrets, keys, err := w.RevealSecrets(t.Context(), w.tenant, sub.ID, time.Now())
	if err != nil || len(keys) != 2 || keys[1] != first[0] || len(secrets) != 2 {
		t.Errorf("revealed %v, %v", keys, err)
	}
	for _, s := range rotated.Secrets {
		if !strings.HasPrefix(s.Value, "whsk_") {
			t.Error("a secret is of another kind")
		}
	}
}

func TestABadRotationIsRefusedAndChangesNothing(t *testing.T) {
	w := mustStarted(t)
	d := draft("a")
	d.Secret = secretA
	sub := w.mustCreate(w.tenant, d)
	for name, test := range map[string]struct {
		secret  string
		overlap time.Duration
		field   string
	}{
		"overlap below zero": {"", -time.Second, "overlap"},
		"overlap too long":   {"", 7*24*time.Hour + 1, "overlap"},
		"secret":             {marker, 0, "secret"},
		"secret in lines":    {strings.Replace(secretB, "QkJC", "QkJC\n", 1), 0, "secret"},
	} {
		_, err := w.RotateSecret(t.Context(), w.tenant, sub.ID, test.secret, test.overlap)
		t.Log(name)
		wantProblem(t, err, problem.Invalid, test.field)
		if err != nil && strings.Contains(err.Error(), marker) {
			t.Errorf("%s: it repeats the value: %v", name, err)
		}
	}
	for range 7 {
		w.mustRotate(sub, "", 7*24*time.Hour)
	}
	_, err := w.RotateSecret(t.Context(), w.tenant, sub.ID, "", time.Hour)
	wantProblem(t, err, problem.Conflict)
	if n := len(w.mustGet(sub).Secrets); n != 8 {
		t.Errorf("there are %d secrets", n)
	}
	if n := len(w.mustRotate(sub, "", 0).Secrets); n != 1 {
		t.Errorf("without an overlap there are %d", n)
	}
}

func TestNoSecretIsInTheFilesOfTheDatabase(t *testing.T) {
	testkit.NeedsSQLite(t, "it looks at the database's file")
	w := mustStarted(t)
	const value, password, token = "a-header-value-to-find", "a-password-to-find", "a-token-to-find"
	d := draft("a")
	d.Secret = secretA
	d.Headers = map[string]string{"X-Api-Key": value}
	d.Auth = webhook.Auth{Type: webhook.BasicAuth, Username: "a-user-to-find", Password: password}
	sub := w.mustCreate(w.tenant, d)
	d.Secret, d.Signature, d.Auth = "", "v1a", webhook.Auth{Type: webhook.BearerAuth, Token: token}
	pair := w.mustCreate(w.tenant, d)
	certificate, key := testkit.MustAuthority(t).MustIssue(t, "ann", time.Now().Add(time.Hour))
	d.Auth = webhook.Auth{
		Type: webhook.OAuth2Auth, TokenURL: "https://login.example/", ClientID: "a-client-to-find", ClientSecret: "a-client-secret-to-find",
		Certificate: certificate, PrivateKey: key,
	}
	w.mustCreate(w.tenant, d)
	rotated := w.mustRotate(sub, secretB, time.Hour)
	if _, err := w.UpdateSubscription(t.Context(), w.tenant, sub.ID, webhook.Patch{Description: new("changed")}); err != nil {
		t.Fatal(err)
	}
	hidden := [][]byte{[]byte(value), []byte(password), []byte("a-user-to-find"), []byte(token), []byte("a-client-to-find"), []byte("a-client-secret-to-find"), []byte(key[30:90])}
	for _, s := range slices.Concat(rotated.Secrets, pair.Secrets) {
		_, encoded, _ := strings.Cut(s.Value, "_")
		raw, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		hidden = append(hidden, []byte(encoded), raw)
	}
	w.wantNotOnDisk(hidden...)
	w.reopen() // the log is moved into the database file
	w.wantNotOnDisk(hidden...)
}

func TestAnotherMasterKeyOpensNoSubscription(t *testing.T) {
	w := mustStarted(t)
	sub := w.mustSubscribe("a")
	w.close()
	w.key = secret.NewKey()
	d, err := db.Open(t.Context(), w.url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.db = d
	other := testkit.OpenDB(t, db.Options{})
	box, err := secret.Open(t.Context(), other, w.key)
	if err != nil {
		t.Fatal(err)
	}
	w.Service = webhook.New(webhook.Options{DB: d, Box: box, CheckURL: checkURL, Identify: testkit.Identify, Attempter: w.tries})
	if _, err := w.Subscription(t.Context(), w.tenant, sub.ID); err == nil || problem.NotFound.Has(err) {
		t.Errorf("got %v", err)
	}
	if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{}`)); err == nil {
		t.Error("an event was accepted whose subscriptions can't be read")
	}
}
