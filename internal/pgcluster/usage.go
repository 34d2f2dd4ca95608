package pgcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// WAL returns how many bytes the server has written into its log so far, in all
// its databases, whether they are on the disk yet or not.
func (s Server) WAL(ctx context.Context) (int64, error) {
	return s.number(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`)
}

// Size returns how many bytes a database takes on the disk: indexes and free space
// included, the log not.
func (s Server) Size(ctx context.Context, database string) (int64, error) {
	return s.number(ctx, `SELECT pg_database_size($1)`, database)
}

// number asks for one number.
func (s Server) number(ctx context.Context, query string, args ...any) (int64, error) {
	var n int64
	err := s.session(ctx, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, query, args...).Scan(&n); err != nil {
			return fmt.Errorf("pgcluster: %s: %w", query, err)
		}
		return nil
	})
	return n, err
}

// CPU returns the CPU time that all the server's processes have used since its last
// start, and zero where this system does not tell. It fails while the server is
// down.
func (c *Cluster) CPU() (time.Duration, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.postmaster == nil {
		return 0, errors.New("pgcluster: the server does not run")
	}
	return cpuOf(c.postmaster.cmd.Process.Pid)
}

// Version returns the version that the server says it has, such as 17.2.
func (s Server) Version(ctx context.Context) (string, error) {
	var version string
	err := s.session(ctx, func(conn *pgx.Conn) error {
		if err := conn.QueryRow(ctx, `SHOW server_version`).Scan(&version); err != nil {
			return fmt.Errorf("pgcluster: ask for the version: %w", err)
		}
		return nil
	})
	return version, err
}
