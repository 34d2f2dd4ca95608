package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"
)

// Server is a Postgres server by an account that may create databases.
type Server struct{ url *url.URL }

// At returns the server that a URL names, such as postgres://user@host/database.
// It does not ask the server. The error does not repeat the URL, which may have a
// password.
func At(text string) (Server, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Host == "" {
		return Server{}, errors.New("pgcluster: a server must be given as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	return Server{u}, nil
}

// URL returns the URL of a database of the server, the account and its password
// included.
func (s Server) URL(database string) string {
	u := *s.url
	u.Path, u.RawPath = "/"+database, "/"+url.PathEscape(database)
	return u.String()
}

// Create makes an empty database.
func (s Server) Create(ctx context.Context, name string) error {
	return s.exec(ctx, "CREATE DATABASE "+quoted(name))
}

// Copy makes a database that is a copy of another one, which nobody may use
// meanwhile.
func (s Server) Copy(ctx context.Context, name, from string) error {
	return s.exec(ctx, "CREATE DATABASE "+quoted(name)+" TEMPLATE "+quoted(from))
}

// Drop removes a database, if there is one, and ends the sessions that use it.
func (s Server) Drop(ctx context.Context, name string) error {
	return s.exec(ctx, "DROP DATABASE IF EXISTS "+quoted(name)+" WITH (FORCE)")
}

func (s Server) ping(ctx context.Context) error {
	return s.session(ctx, func(conn *pgx.Conn) error { return conn.Ping(ctx) })
}

// exec runs a statement outside of transactions, as these have to.
func (s Server) exec(ctx context.Context, statement string) error {
	return s.session(ctx, func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("pgcluster: %s: %w", statement, err)
		}
		return nil
	})
}

// session runs fn with a connection to the database that the server's URL names.
func (s Server) session(ctx context.Context, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.url.String())
	if err != nil {
		return fmt.Errorf("pgcluster: connect: %w", err) // pgx names no password
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return fn(conn)
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }
