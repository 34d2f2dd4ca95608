package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
)

// The variables that make the test's binary rotate the key of a database, and
// kill itself at a step.
const (
	rotateVariable = "GRAPEVINE_TEST_ROTATE"
	killAtVariable = "GRAPEVINE_TEST_KILL_AT"
)

func TestMain(m *testing.M) {
	if database := os.Getenv(rotateVariable); database != "" {
		_, err := RotateMasterKey(context.Background(), KeyRotation{Database: database, reached: func(step string) {
			if step == os.Getenv(killAtVariable) {
				if self, err := os.FindProcess(os.Getpid()); err == nil {
					_ = self.Kill()
				}
				select {}
			}
		}})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
	os.Exit(m.Run())
}

const operatorKey = "gv_admin_0123456789abcdefghijABCDEFGHIJ"

// vault is a database with secrets of all kinds that are sealed.
type vault struct {
	path   string
	tenant string // its key
	sub    string
	secret string // of the subscription
}

func (v *vault) url() string { return "sqlite:" + v.path }

func (v *vault) settings(masterKey string) config.Server {
	return config.Server{
		Database: v.url(), Listen: "127.0.0.1:0", AdminKey: operatorKey, MasterKey: masterKey,
		AllowNetwork: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true,
	}
}

// run does something with a server on the vault.
func (v *vault) run(t *testing.T, masterKey string, do func(url string)) error {
	t.Helper()
	a, err := New(t.Context(), v.settings(masterKey), Options{Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		return err
	}
	defer a.Stop(context.Background())
	do(a.URL())
	return nil
}

// must fails the test that it is given if a call failed.
func must[T any](value T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func mustVault(t *testing.T, masterKey string) *vault {
	t.Helper()
	v := &vault{path: filepath.Join(t.TempDir(), "grapevine.db")}
	err := v.run(t, masterKey, func(url string) {
		operator := must(client.New(url, operatorKey))(t)
		made := must(operator.CreateTenant(t.Context(), client.NewTenant{Alias: "acme"}))(t)
		v.tenant = made.APIKey
		must(operator.CreateKey(t.Context(), made.ID, client.NewKey{
			Dialect: "saasquatch", Scopes: []client.Scope{client.ScopeRead},
		}))(t)
		must(operator.RotateSigningKey(t.Context()))(t)
		tenant := must(client.New(url, v.tenant))(t)
		sub := must(tenant.CreateSubscription(t.Context(), client.NewSubscription{
			URL: "http://127.0.0.1:1/", EventTypes: []string{"*"},
		}))(t)
		v.sub, v.secret = sub.ID, sub.Secret
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantReadable fails the test unless a server opens the vault and all that is
// sealed in it.
func (v *vault) wantReadable(t *testing.T, masterKey string) {
	t.Helper()
	err := v.run(t, masterKey, func(url string) {
		tenant := must(client.New(url, v.tenant))(t)
		shown := must(tenant.RevealSecrets(t.Context(), v.sub))(t)
		if len(shown.Secrets) == 0 || shown.Secrets[0].Secret != v.secret {
			t.Error("the subscription has another secret")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	key := must(readMasterKey(v, masterKey))(t)
	v.eachSealed(t, key, func(table string, row id.ID, err error) {
		if err != nil {
			t.Errorf("row %s of %s does not open: %v", row, table, err)
		}
	})
}

func readMasterKey(v *vault, masterKey string) (secret.Key, error) {
	if masterKey != "" {
		return secret.ParseKey(masterKey)
	}
	return secret.ReadKeyFile(keyFile(v.url()))
}

// eachSealed opens each value of each column that is called sealed, so that none
// is forgotten that is added later.
func (v *vault) eachSealed(t *testing.T, key secret.Key, opened func(table string, row id.ID, err error)) {
	t.Helper()
	d := must(db.Open(t.Context(), v.url(), db.Options{}))(t)
	defer d.Close()
	box := must(secret.NewBox(key))(t)
	var tables []string
	err := d.Read(t.Context(), func(q db.Queryer) error {
		rows, err := q.Query(`SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'sealed'`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var table string
			if err := rows.Scan(&table); err != nil {
				return err
			}
			tables = append(tables, table)
		}
		return rows.Err()
	})
	if err != nil || len(tables) < 3 {
		t.Fatalf("%d tables with sealed values, %v", len(tables), err)
	}
	for _, table := range tables {
		n := 0
		err := d.Read(t.Context(), func(q db.Queryer) error {
			rows, err := q.Query(`SELECT id, sealed FROM ` + table + ` WHERE sealed IS NOT NULL`)
			if err != nil {
				return err
			}
			defer rows.Close()
			for rows.Next() {
				var row id.ID
				var sealed []byte
				if err := rows.Scan(&row, &sealed); err != nil {
					return err
				}
				_, err := box.Open(sealed, row)
				opened(table, row, err)
				n++
			}
			return rows.Err()
		})
		if err != nil || n == 0 {
			t.Errorf("%s: %d sealed values, %v", table, n, err)
		}
	}
}

func TestARotatedMasterKeyOpensEverythingAndTheOldOneNothing(t *testing.T) {
	v := mustVault(t, "")
	old := must(readMasterKey(v, ""))(t)
	done, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url()})
	if err != nil {
		t.Fatal(err)
	}
	if kept, err := secret.ReadKeyFile(done.Kept); err != nil || kept != old {
		t.Errorf("the old key is not kept: %v", err)
	}
	v.wantReadable(t, "")
	v.eachSealed(t, old, func(table string, row id.ID, err error) {
		if err == nil {
			t.Errorf("row %s of %s opens with the old key", row, table)
		}
	})
	if err := v.run(t, oldText(t, done.Kept), func(string) {}); !errors.Is(err, secret.ErrWrongKey) {
		t.Errorf("a server with the old key: %v", err)
	}
}

func oldText(t *testing.T, file string) string {
	t.Helper()
	return string(must(os.ReadFile(file))(t))
}

func TestAMasterKeyThatIsGivenIsReplacedByOneThatIsGiven(t *testing.T) {
	first, second, third := strings.Repeat("1a", 32), strings.Repeat("2b", 32), strings.Repeat("3c", 32)
	v := mustVault(t, first)
	done, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url(), MasterKey: first, NewKey: second})
	if err != nil || done != (KeyRotated{}) {
		t.Fatalf("%+v, %v", done, err)
	}
	v.wantReadable(t, second)
	file := filepath.Join(t.TempDir(), "next")
	if err := os.WriteFile(file, []byte(third), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url(), MasterKey: second, NewKeyFile: file}); err != nil {
		t.Fatal(err)
	}
	v.wantReadable(t, third)
	files, _ := filepath.Glob(v.path + ".key*")
	if len(files) > 0 {
		t.Errorf("a key was written to %v", files)
	}
}

func TestWhatCanNotBeRotatedIsRefusedAndChangesNothing(t *testing.T) {
	right := strings.Repeat("1a", 32)
	for name, test := range map[string]struct {
		rotation KeyRotation
		says     string
	}{
		"a wrong present key":     {KeyRotation{MasterKey: strings.Repeat("9f", 32), NewKey: strings.Repeat("2b", 32)}, "does not fit the database"},
		"a new key too short":     {KeyRotation{MasterKey: right, NewKey: "2b2b"}, "GRAPEVINE_NEW_MASTER_KEY: secret: a master key is 64"},
		"the present key again":   {KeyRotation{MasterKey: right, NewKey: right}, "is the present one"},
		"no new key":              {KeyRotation{MasterKey: right}, "has to come from you"},
		"two new keys":            {KeyRotation{MasterKey: right, NewKey: strings.Repeat("2b", 32), NewKeyFile: "x"}, "two new keys"},
		"a new key's file amiss":  {KeyRotation{MasterKey: right, NewKeyFile: "/nonexistent/key"}, "open the key file"},
		"a database that is none": {KeyRotation{Database: "sqlite:/nonexistent/x.db", MasterKey: right, NewKey: strings.Repeat("2b", 32)}, "there is no database"},
		"another kind":            {KeyRotation{Database: "mysql://h/g", NewKey: right}, "sqlite:"},
		"Postgres, from no file":  {KeyRotation{Database: "postgres://h/g", NewKey: right}, "give the present key as GRAPEVINE_MASTER_KEY"},
	} {
		t.Run(name, func(t *testing.T) {
			v := mustVault(t, right)
			if test.rotation.Database == "" {
				test.rotation.Database = v.url()
			}
			if _, err := RotateMasterKey(t.Context(), test.rotation); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v", err)
			}
			v.wantReadable(t, right)
		})
	}
	t.Run("while a server runs", func(t *testing.T) {
		v := mustVault(t, "")
		err := v.run(t, "", func(string) {
			if _, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url()}); err == nil || !strings.Contains(err.Error(), "stop the server") {
				t.Errorf("got %v", err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		v.wantReadable(t, "")
	})
	t.Run("where the new key can't be written", func(t *testing.T) {
		v := mustVault(t, "")
		if err := os.Mkdir(v.path+".key.new", 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(v.path+".key.new/in the way", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url()}); err == nil {
			t.Error("accepted")
		}
		if err := os.RemoveAll(v.path + ".key.new"); err != nil {
			t.Fatal(err)
		}
		v.wantReadable(t, "")
	})
}

func TestARotationThatIsKilledLeavesADatabaseThatOpens(t *testing.T) {
	for _, step := range []string{stepOpened, stepStored, stepCommitted, stepAdopted} {
		t.Run(step, func(t *testing.T) {
			v := mustVault(t, "")
			old := must(readMasterKey(v, ""))(t)
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), rotateVariable+"="+v.url(), killAtVariable+"="+step)
			child.Stderr = t.Output()
			err := child.Run()
			exit, ok := errors.AsType[*exec.ExitError](err)
			if !ok || exit.ExitCode() != -1 {
				t.Fatalf("the child was not killed: %v", err)
			}
			v.wantReadable(t, "")
			committed := slices.Contains([]string{stepCommitted, stepAdopted}, step)
			if now := must(readMasterKey(v, ""))(t); (now != old) != committed {
				t.Errorf("the key is another one: %t, and committed: %t", now != old, committed)
			}
			if left, _ := filepath.Glob(v.path + ".key.*n*w"); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			kept, _ := filepath.Glob(v.path + ".key.before-*")
			if (len(kept) == 1) != committed {
				t.Errorf("%d old keys are kept", len(kept))
			}
			if _, err := RotateMasterKey(t.Context(), KeyRotation{Database: v.url()}); err != nil {
				t.Errorf("and again: %v", err)
			}
			v.wantReadable(t, "")
		})
	}
}
