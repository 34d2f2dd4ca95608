package secret_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/secret"
)

// keyBytes has bytes that the two alphabets of base64 spell differently.
var keyBytes = bytes.Repeat([]byte{0xfb, 0xff, 0x3e, 0x91}, 8)

func TestEverySpellingOfAKeyIsTheSameKey(t *testing.T) {
	want, err := secret.ParseKey(hex.EncodeToString(keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"upper-case digits":    strings.ToUpper(hex.EncodeToString(keyBytes)),
		"base64":               base64.StdEncoding.EncodeToString(keyBytes),
		"base64 unpadded":      base64.RawStdEncoding.EncodeToString(keyBytes),
		"base64 for URLs":      base64.URLEncoding.EncodeToString(keyBytes),
		"the same, unpadded":   base64.RawURLEncoding.EncodeToString(keyBytes),
		"with a newline after": hex.EncodeToString(keyBytes) + "\r\n",
	} {
		if got, err := secret.ParseKey(text); err != nil || got != want {
			t.Errorf("%s: another key, or the error %v", name, err)
		}
	}
}

func TestWhatIsNoKeyIsRefusedWithoutRepeatingIt(t *testing.T) {
	digits := hex.EncodeToString(keyBytes)
	for name, text := range map[string]string{
		"nothing":              "",
		"space":                " \n",
		"a digit too few":      digits[1:],
		"a digit too many":     digits + "0",
		"no hexadecimal digit": "qz" + digits[2:],
		"31 bytes":             base64.StdEncoding.EncodeToString(keyBytes[1:]),
		"33 bytes":             base64.StdEncoding.EncodeToString(append([]byte{1}, keyBytes...)),
		"no base64":            "?" + base64.StdEncoding.EncodeToString(keyBytes)[1:],
		"all zeros":            strings.Repeat("0", 64),
		"a passphrase":         "correct horse battery staple",
		"a megabyte":           strings.Repeat("ab", 1<<19),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secret.ParseKey(text)
			if err == nil {
				t.Fatal("accepted")
			}
			if len(err.Error()) > 100 || len(text) > 8 && strings.Contains(err.Error(), text[:8]) {
				t.Errorf("the error repeats the key: %.200s", err)
			}
		})
	}
}

func TestAKeyNeverShows(t *testing.T) {
	key, err := secret.ParseKey(hex.EncodeToString(keyBytes))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%t"} {
		fmt.Fprintf(&out, verb+" "+verb+" "+verb+"\n", key, &key, struct{ Key secret.Key }{key})
	}
	log := slog.New(slog.NewTextHandler(&out, nil))
	log.Info("starting", slog.Any("key", key), slog.Any("pointer", &key))
	slog.New(slog.NewJSONHandler(&out, nil)).Info("starting", slog.Any("key", key), slog.Any("in", struct{ Key secret.Key }{key}))
	out.WriteString(key.String())
	for _, shape := range []string{"%x", "%X", "%d", "%o", "%s", "%q"} {
		trimmed := strings.Trim(fmt.Sprintf(shape, keyBytes[:4]), "[]\"")
		if strings.Contains(out.String(), trimmed) {
			t.Errorf("the key shows as %s in\n%s", shape, out.String())
		}
	}
	if !strings.Contains(out.String(), "[master key]") {
		t.Errorf("no mask in\n%s", out.String())
	}
}

func TestNewKeysDiffer(t *testing.T) {
	if a, b := secret.NewKey(), secret.NewKey(); a == b {
		t.Fatal("twice the same key")
	}
}

func TestAKeyFileIsMadeOnceAndReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	made, created, err := secret.ReadOrCreateKeyFile(path)
	if err != nil || !created {
		t.Fatalf("created %v, %v", created, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	read, created, err := secret.ReadOrCreateKeyFile(path)
	if err != nil || created || read != made {
		t.Fatalf("another key, or created %v, %v", created, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := secret.ParseKey(string(text)); err != nil || parsed != made {
		t.Errorf("what the file holds can't be given as the key: %v", err)
	}
	if files, _ := os.ReadDir(filepath.Dir(path)); len(files) != 1 {
		t.Errorf("%d files in the folder, want the key file alone", len(files))
	}
}

func TestProcessesThatStartTogetherReadTheSameKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	keys := make([]secret.Key, 8)
	created := make([]bool, len(keys))
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			var err error
			if keys[i], created[i], err = secret.ReadOrCreateKeyFile(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	makers := 0
	for i := range keys {
		if keys[i] != keys[0] {
			t.Error("two keys")
		}
		if created[i] {
			makers++
		}
	}
	if makers != 1 {
		t.Errorf("%d created the file", makers)
	}
}

func TestAKeyFileThatOthersCanUseIsRefused(t *testing.T) {
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666} {
		path := filepath.Join(t.TempDir(), "master.key")
		if _, _, err := secret.ReadOrCreateKeyFile(path); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := secret.ReadOrCreateKeyFile(path)
		if err == nil || !strings.Contains(err.Error(), "chmod 600") || !strings.Contains(err.Error(), path) {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
}

func TestAFileThatHoldsNoKeyIsRefusedAndKept(t *testing.T) {
	for name, content := range map[string]string{
		"empty": "", "half a key": hex.EncodeToString(keyBytes)[:32], "binary": string(keyBytes), "two keys": strings.Repeat(hex.EncodeToString(keyBytes)+"\n", 2),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "master.key")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, created, err := secret.ReadOrCreateKeyFile(path)
			if err == nil || created || !strings.Contains(err.Error(), path) {
				t.Fatalf("created %v, %v", created, err)
			}
			if content != "" && strings.Contains(err.Error(), content[:4]) {
				t.Errorf("the error repeats the file: %v", err)
			}
			if kept, err := os.ReadFile(path); err != nil || string(kept) != content {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

func TestAPlaceWhereNoKeyFileCanBeIsAnError(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"a folder":            dir,
		"in no folder":        filepath.Join(dir, "missing", "master.key"),
		"an endless device":   "/dev/zero",
		"below another file":  filepath.Join("/dev/null", "master.key"),
		"a name with a NUL":   filepath.Join(dir, "master\x00key"),
		"a name far too long": filepath.Join(dir, strings.Repeat("k", 300)),
	} {
		if _, created, err := secret.ReadOrCreateKeyFile(path); err == nil || created {
			t.Errorf("%s: created %v, %v", name, created, err)
		}
	}
}
