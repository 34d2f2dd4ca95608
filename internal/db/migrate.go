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
func migrate(ctx context.Context, pool *sql.DB, files fs.FS, tokens map[string]string, log *slog.Logger) error {
	all, err := readMigrations(files, tokens)
	if err != nil {
		return err
	}
	if _, err := pool.ExecContext(ctx, expand(`CREATE TABLE IF NOT EXISTS migration (
		version {{bigint}} PRIMARY KEY, name TEXT NOT NULL, applied_at {{bigint}} NOT NULL){{strict}}`, tokens)); err != nil {
		return classify(fmt.Errorf("db: make the table of migrations: %w", err))
	}
	var at int
	if err := pool.QueryRowContext(ctx, `SELECT coalesce(max(version), 0) FROM migration`).Scan(&at); err != nil {
		return classify(fmt.Errorf("db: read the schema's version: %w", err))
	}
	if at > len(all) {
		return fmt.Errorf("db: the schema has version %d and this program knows %d: it needs a newer program", at, len(all))
	}
	for i, m := range all[at:] {
		version := at + i + 1
		if err := apply(ctx, pool, version, m); err != nil {
			return classify(fmt.Errorf("db: migration %s: %w", m.name, err))
		}
		log.InfoContext(ctx, "migrated", slog.Int("version", version), slog.String("name", m.name))
	}
	return nil
}

func apply(ctx context.Context, pool *sql.DB, version int, m migration) error {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // nothing to do about it
	if _, err := tx.ExecContext(ctx, m.text); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO migration (version, name, applied_at) VALUES ($1, $2, $3)`,
		version, m.name, Micro(time.Now())); err != nil {
		return err
	}
	return tx.Commit()
}

func expand(text string, tokens map[string]string) string {
	for token, word := range tokens {
		text = strings.ReplaceAll(text, token, word)
	}
	return text
}
