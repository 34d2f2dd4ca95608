package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"grapevine": func() { os.Exit(Run(os.Args[1:], "v0.0.0-test", os.Stdout, os.Stderr)) },
	})
}

func TestCommands(t *testing.T) {
	certificate, key := testkit.MustAuthority(t).MustIssue(t, "grapevine test", time.Now().Add(time.Hour))
	postgres := ""
	if testkit.OnPostgres() {
		postgres = testkit.BlankDatabaseURL(t)
	}
	onPostgres := func(condition string) (bool, error) {
		if condition != "postgres" {
			return false, fmt.Errorf("there is no condition %q", condition)
		}
		return postgres != "", nil
	}
	testscript.Run(t, testscript.Params{Dir: "testdata", UpdateScripts: *update, Cmds: scriptCommands, Condition: onPostgres, Setup: func(env *testscript.Env) error {
		env.Setenv("POSTGRES", postgres)
		return errors.Join(
			os.WriteFile(filepath.Join(env.WorkDir, "cert.pem"), []byte(certificate), 0o600),
			os.WriteFile(filepath.Join(env.WorkDir, "key.pem"), []byte(key), 0o600),
		)
	}})
}

// TestConfigurationReferenceIsCurrent compares docs/configuration.md with the
// settings' own words.
func TestConfigurationReferenceIsCurrent(t *testing.T) {
	const path = "../../docs/configuration.md"
	var doc bytes.Buffer
	doc.WriteString("# Configuration\n\n<!-- Generated from internal/config by `make goldens`. -->\n\n" +
		"The settings of `grapevine serve`. A flag wins over its environment variable. A flag that is repeatable takes several values separated by commas as a variable. `grapevine config` shows what is in force.\n\n" +
		"| flag | variable | default | meaning |\n|---|---|---|---|\n")
	serve := mustModel(t).Children[0]
	if serve.Name != "serve" {
		t.Fatalf("the first command is %s", serve.Name)
	}
	for _, f := range serve.Flags {
		if f.Name == "help" || f.Hidden {
			continue
		}
		name := "--" + f.Name
		if !f.IsBool() {
			name += " " + f.FormatPlaceHolder()
		}
		fmt.Fprintf(&doc, "| `%s` | `%s` | %s | %s |\n", name, strings.Join(f.Envs, ", "), code(f.Default), f.Help)
	}
	fmt.Fprintf(&doc, "\nSecrets are variables only, since everybody on a machine sees its command lines.\n\n| variable | meaning |\n|---|---|\n")
	fmt.Fprintf(&doc, "| `%s` | The operator's key: `gv_admin_` and at least 24 further characters. While it is set, no other one is accepted. Without it the first start makes one and shows it once. |\n", config.AdminKeyVariable)
	fmt.Fprintf(&doc, "| `%s` | 32 bytes in base64, or 64 hexadecimal digits, that the secrets in the database are encrypted with. Without it the first start makes one in a file beside the database, with the suffix `.key`. With Postgres there is no such file: it has to be set, the same for every node; `openssl rand -hex 32` makes one. Keep a copy: a database and its key belong together. |\n", config.MasterKeyVariable)
	if *update {
		if err := os.WriteFile(path, doc.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	golden, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(golden), doc.String()); diff != "" {
		t.Errorf("run 'make goldens' (-file +settings):\n%s", diff)
	}
}

func code(text string) string {
	if text == "" {
		return ""
	}
	return "`" + text + "`"
}

// TestEveryFlagIsListedByTheCommandConfig keeps Effective whole.
func TestEveryFlagIsListedByTheCommandConfig(t *testing.T) {
	listed := make(map[string]bool)
	for _, s := range new(config.Server).Effective() {
		listed[s.Name] = true
	}
	for _, f := range mustModel(t).Children[0].Flags {
		if f.Name != "help" && !listed[f.Name] {
			t.Errorf("--%s is not listed", f.Name)
		}
	}
	if fields := reflect.TypeFor[config.Server]().NumField(); len(listed) != fields {
		t.Errorf("%d settings are listed and there are %d", len(listed), fields)
	}
}

// mustModel returns the grammar of the command line.
func mustModel(t *testing.T) *kong.Application {
	t.Helper()
	parser, err := kong.New(&commands{}, options(nil, nil, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

func TestEveryCommandCanBeRun(t *testing.T) {
	for _, leaf := range mustModel(t).Leaves(false) {
		if _, ok := reflect.TypeAssert[command](leaf.Target.Addr()); !ok {
			t.Errorf("%s has no Run that takes the environment alone", leaf.FullPath())
		}
	}
}
