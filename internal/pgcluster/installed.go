package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrNotInstalled is what the error of Start matches where no server of a version
// that Grapevine works with is installed.
var ErrNotInstalled = errors.New("pgcluster: no Postgres server is installed, of version 15 or newer (on Debian: apt-get install postgresql)")

const oldestVersion = 15

// usualFolders are where packages put the server's binaries outside of PATH:
// Debian, Red Hat, Alpine, Homebrew.
var usualFolders = []string{
	"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/libexec/postgresql*",
	"/opt/homebrew/opt/postgresql@*/bin", "/usr/local/opt/postgresql@*/bin",
}

// findServer returns the folder of the newest binaries that are installed, or the
// one given if it has them.
func findServer(ctx context.Context, given string) (string, error) {
	if given != "" {
		version, err := versionIn(ctx, given)
		if err != nil {
			return "", fmt.Errorf("pgcluster: look for a server in %s: %w", given, err)
		}
		if version < oldestVersion {
			return "", fmt.Errorf("%w: in %s is version %d", ErrNotInstalled, given, version)
		}
		return given, nil
	}
	newest, best := "", oldestVersion-1
	for _, folder := range candidates() {
		if version, err := versionIn(ctx, folder); err == nil && version > best {
			newest, best = folder, version
		}
	}
	if newest == "" {
		return "", ErrNotInstalled
	}
	return newest, nil
}

// candidates are the folders that may have the binaries, those in PATH first.
func candidates() []string {
	var folders []string
	if file, err := exec.LookPath("postgres"); err == nil {
		folders = append(folders, filepath.Dir(file))
	}
	for _, pattern := range usualFolders {
		found, _ := filepath.Glob(pattern) // fails for a malformed pattern only
		folders = append(folders, found...)
	}
	return folders
}

// versionIn asks the binaries in a folder, initdb and postgres, for their version.
func versionIn(ctx context.Context, folder string) (int, error) {
	var versions [2]int
	for i, name := range []string{"initdb", "postgres"} {
		output, err := exec.CommandContext(ctx, filepath.Join(folder, name), "--version").Output() //nolint:gosec // what the caller or the system names
		if err != nil {
			return 0, err
		}
		if versions[i], err = majorVersion(string(output)); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
	}
	if versions[0] != versions[1] {
		return 0, fmt.Errorf("initdb has version %d and postgres %d", versions[0], versions[1])
	}
	return versions[0], nil
}

// majorVersion reads what the binaries say, such as "postgres (PostgreSQL) 16.4
// (Debian 16.4-1)" or "initdb (PostgreSQL) 19devel".
func majorVersion(text string) (int, error) {
	_, version, found := strings.Cut(text, "(PostgreSQL) ")
	digits := strings.IndexFunc(version+".", func(r rune) bool { return r < '0' || r > '9' })
	if !found || digits == 0 {
		return 0, fmt.Errorf("%q names no version", strings.TrimSpace(text))
	}
	return strconv.Atoi(version[:digits])
}
