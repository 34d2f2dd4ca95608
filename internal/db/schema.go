package db

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const codeNotAllowed = "42501"

// Schema is an empty schema in a Postgres database, for tables that nobody wants
// to keep. They are in nobody's way there, and nobody's are in theirs.
type Schema struct {
	Name string
	URL  string // what Open takes

	database string
}

// CreateSchema makes a schema in the Postgres database that url names. name is
// small letters, digits and _.
func CreateSchema(ctx context.Context, url, name string) (*Schema, error) {
	err := runAt(ctx, url, "CREATE SCHEMA "+pgx.Identifier{name}.Sanitize())
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == codeNotAllowed {
		return nil, fmt.Errorf("db: make a schema: %w: let its role do so, with GRANT CREATE ON DATABASE … TO …", err)
	}
	if err != nil {
		return nil, fmt.Errorf("db: make a schema: %w", classify(err))
	}
	separator := "?"
	if strings.Contains(url, "?") {
		separator = "&"
	}
	return &Schema{Name: name, URL: url + separator + "search_path=" + name, database: url}, nil
}

// Drop removes the schema with all that is in it. Nobody may use it any more.
func (s *Schema) Drop(ctx context.Context) error {
	if err := runAt(ctx, s.database, "DROP SCHEMA "+pgx.Identifier{s.Name}.Sanitize()+" CASCADE"); err != nil {
		return fmt.Errorf("db: remove the schema %s: %w", s.Name, classify(err))
	}
	return nil
}

// runAt runs one statement on a connection of its own.
func runAt(ctx context.Context, url, statement string) error {
	config, err := parsePostgres(url)
	if err != nil {
		return err
	}
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return err
	}
	_, err = c.Exec(ctx, statement)
	return errors.Join(err, c.Close(ctx))
}
