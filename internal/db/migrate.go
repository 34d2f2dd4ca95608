package db

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"time"
)

//go:embed migrations/*.sql
var embedded embed.FS

// flavor is how a database spells what the two spell differently.
type flavor struct {
	tokens map[string]string // in migrations
	lock   string            // the statement that has a transaction wait for others that migrate; "": there are none
}

// migration is a step of the schema. Steps are numbered from 1, without gaps.
type migration struct {
	name string // 0001_core.sql
	text string
}

// readMigrations returns the files of a folder named migrations, in order, with
// the words of the database in the place of the tokens.
func readMigrations(files fs.FS, tokens map[string]string) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(names))
	for i, file := range names {
		name := path.Base(file)
		if want := fmt.Sprintf("%04d_", i+1); !strings.HasPrefix(name, want) {
			return nil, fmt.Errorf("db: migration %s: its name should begin with %s", name, want)
		}
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		m := migration{name: name, text: expand(string(text), tokens)}
		if _, rest, found := strings.Cut(m.text, "{{"); found {
			token, _, _ := strings.Cut(rest, "}}")
			return nil, fmt.Errorf("db: migration %s: no word for {{%s}}", name, token)
		}
		all = append(all, m)
	}
	return all, nil
}

// migrate runs the migrations that the database has not seen, each in a
// transaction of its own. A database that has seen one that this program does
// not know is refused: it belongs to a newer program.
func migrate(ctx context.Context, pool *sql.DB, how flavor, opts Options) error {
	all, err := readMigrations(opts.migrations, how.tokens)
	if err != nil {
		return err
	}
	at, err := version(ctx, pool)
	if err != nil { // as a rule there is no table yet
		if err := locked(ctx, pool, how, func(tx *sql.Tx) error { return makeTable(ctx, tx, how) }); err != nil {
			return classify(fmt.Errorf("db: make the table of migrations: %w", err))
		}
		if at, err = version(ctx, pool); err != nil {
			return classify(fmt.Errorf("db: read the schema's version: %w", err))
		}
	}
	if at > len(all) {
		return fmt.Errorf("db: the schema has version %d and this program knows %d: it needs a newer program", at, len(all))
	}
	for i, m := range all[at:] {
		number, applied := at+i+1, false
		err := locked(ctx, pool, how, func(tx *sql.Tx) error {
			// Another process may have been first.
			if now, err := version(ctx, tx); err != nil || now >= number {
				return err
			}
			applied = true
			return apply(ctx, tx, number, m)
		})
		if err != nil {
			return classify(fmt.Errorf("db: migration %s: %w", m.name, err))
		}
		if applied {
			opts.Logger.InfoContext(ctx, "migrated", slog.Int("version", number), slog.String("name", m.name))
		}
	}
	return nil
}

// locked runs fn in a transaction while no other process migrates.
func locked(ctx context.Context, pool *sql.DB, how flavor, fn func(tx *sql.Tx) error) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing to do about it
	if how.lock != "" {
		if _, err := tx.ExecContext(ctx, how.lock); err != nil {
			return err
		}
	}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.Commit()
}

func makeTable(ctx context.Context, tx *sql.Tx, how flavor) error {
	_, err := tx.ExecContext(ctx, expand(`CREATE TABLE IF NOT EXISTS migration (
		version {{bigint}} PRIMARY KEY, name TEXT NOT NULL, applied_at {{bigint}} NOT NULL){{strict}}`, how.tokens))
	return err
}

// asker is a pool or a transaction.
type asker interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// version returns the number of the last migration that the database has seen.
func version(ctx context.Context, from asker) (int, error) {
	at := 0
	err := from.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migration`).Scan(&at)
	return at, err
}

func apply(ctx context.Context, tx *sql.Tx, number int, m migration) error {
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO migration (version, name, applied_at) VALUES ($1, $2, $3)`, number, m.name, Micro(time.Now()))
	return err
}

func expand(text string, tokens map[string]string) string {
	for token, word := range tokens {
		text = strings.ReplaceAll(text, token, word)
	}
	return text
}
