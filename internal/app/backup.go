package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// backup returns what copies the database, or nil where that is not for a server to
// do: Postgres has tools of its own.
func (a *App) backup(database string) func(ctx context.Context) (*os.File, error) {
	if config.IsPostgres(database) {
		return nil
	}
	return a.db.OpenBackup
}

// Contents is what a copy of a database holds.
type Contents struct {
	SchemaVersion int
	Tenants       int
	Subscriptions int
	Events        int
	Pending       int       // deliveries that are not ended
	Due           int       // of those, the ones that a server would send at once
	Newest        time.Time // when the newest event was published; zero: there is none
}

// CheckBackup reads the whole copy at path and returns what it holds. It returns
// an error unless the copy is whole and this program can use it.
func CheckBackup(ctx context.Context, path string) (Contents, error) {
	c, err := db.OpenCopy(ctx, path)
	if err != nil {
		return Contents{}, err
	}
	contents, err := contentsOf(ctx, c)
	return contents, errors.Join(err, c.Close())
}

func contentsOf(ctx context.Context, c *db.Copy) (Contents, error) {
	contents := Contents{SchemaVersion: c.Version()}
	err := c.Read(ctx, func(q db.Queryer) error {
		var err error
		if contents.Tenants, err = tenant.Count(q); err != nil {
			return err
		}
		counts, err := webhook.Count(q, time.Now())
		contents.Subscriptions, contents.Events = counts.Subscriptions, counts.Events
		contents.Pending, contents.Due, contents.Newest = counts.Pending, counts.Due, counts.Newest
		return err
	})
	return contents, err
}

// Restoring is what Restore has to do.
type Restoring struct {
	From      string // the copy's path
	Database  string // the URL that the server is started with
	MasterKey string // "": the one in the file beside the database, if there is one
	Replace   bool   // a database that is there already

	// Progress is told how many bytes of how many are copied; nil: nobody is.
	Progress func(done, total int64)
}

// Restored is what Restore has put in place.
type Restored struct {
	Contents
	SHA256 string // of the copy, hexadecimal
	Kept   string // where the database that was there is now; "": there was none
	// MissingKey is the file that the copy's master key has to be put into before
	// a server can start; "": the key is there and fits.
	MissingKey string
}

// Restore puts a copy into the place of a database that no server runs on. It
// changes nothing unless the copy is whole, can be used by this program, and was
// encrypted with the master key that is there, if one is. The database that was
// there is kept under another name. A crash at any moment leaves either the old
// database or the new one, after the next start.
func Restore(ctx context.Context, r Restoring) (Restored, error) {
	path, ok := strings.CutPrefix(r.Database, "sqlite:")
	if !ok || path == "" {
		return Restored{}, errors.New("app: only an SQLite database, sqlite: and the path of a file, is restored so: Postgres has tools of its own, such as pg_restore")
	}
	key, err := findKey(path+".key", r.MasterKey)
	if err != nil {
		return Restored{}, err
	}
	var restored Restored
	done, err := db.Restore(ctx, r.Database, db.Restoring{
		From: r.From, Replace: r.Replace, Progress: r.Progress,
		Check: func(c *db.Copy) error {
			if restored.MissingKey, err = key.check(ctx, c); err != nil {
				return err
			}
			restored.Contents, err = contentsOf(ctx, c)
			return err
		},
	})
	if errors.Is(err, db.ErrExists) {
		return Restored{}, fmt.Errorf("app: %w: to replace it, and keep it under another name, say --force", err)
	}
	if errors.Is(err, db.ErrUnavailable) {
		return Restored{}, fmt.Errorf("app: stop the server first: %w", err)
	}
	restored.SHA256, restored.Kept = hex.EncodeToString(done.SHA256[:]), done.Kept
	return restored, err
}

// foundKey is the master key that a server would start with.
type foundKey struct {
	key  secret.Key // zero: there is none
	from string     // where it is
	file string     // where it is or would be, if no variable holds it
}

func findKey(file, given string) (foundKey, error) {
	if given != "" {
		key, err := secret.ParseKey(given)
		if err != nil {
			return foundKey{}, fmt.Errorf("app: %s: %w", config.MasterKeyVariable, err)
		}
		return foundKey{key, config.MasterKeyVariable, file}, nil
	}
	key, err := secret.ReadKeyFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return foundKey{}, err
	}
	return foundKey{key, file, file}, nil
}

// check returns an error if the key does not fit the copy, and the name of its
// file if the copy needs one and there is none.
func (k foundKey) check(ctx context.Context, c *db.Copy) (string, error) {
	missing := ""
	err := c.Read(ctx, func(q db.Queryer) error {
		if k.key != (secret.Key{}) {
			return secret.Check(q, k.key)
		}
		needed, err := secret.HasKey(q)
		if needed {
			missing = k.file
		}
		return err
	})
	if errors.Is(err, secret.ErrWrongKey) {
		return "", fmt.Errorf("app: the master key from %s does not fit this copy: give the key of the database that the copy was made of, as %s or in the file %s (keep the one that is there under another name): %w",
			k.from, config.MasterKeyVariable, k.file, err)
	}
	return missing, err
}
