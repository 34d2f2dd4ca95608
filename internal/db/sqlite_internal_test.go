package db

import "testing"

func TestParametersThatStandOnceAndInOrderAreBoundByPosition(t *testing.T) {
	for query, want := range map[string]string{
		`INSERT INTO t (a, b) VALUES ($1, $2)`:                   `INSERT INTO t (a, b) VALUES (?, ?)`,
		`VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`:  `VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		`SELECT a FROM t WHERE a=$1 AND b <> '' AND c < $2`:      `SELECT a FROM t WHERE a=? AND b <> '' AND c < ?`,
		`SELECT '$2''$9', "$1" FROM t WHERE a = $1 LIMIT $2 + 0`: `SELECT '$2''$9', "$1" FROM t WHERE a = ? LIMIT ? + 0`,
		`SELECT '-- /* ?' FROM t WHERE a IN ($1, $2)`:            `SELECT '-- /* ?' FROM t WHERE a IN (?, ?)`,
		`UPDATE t SET a = (SELECT $1) WHERE b = -$2`:             `UPDATE t SET a = (SELECT ?) WHERE b = -?`,
		`SELECT 1`: `SELECT 1`,
	} {
		if got := positional(query); got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", query, got, want)
		}
	}
}

func TestAStatementWithOtherParametersIsLeftAsItIs(t *testing.T) {
	for _, query := range []string{
		`UPDATE t SET a = $2 WHERE b = $1`,
		`INSERT INTO t (a) VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $2, c = $1`,
		`SELECT a FROM t WHERE a = $2`,
		`SELECT a FROM t WHERE a = $1 AND b = $3`,
		`SELECT a FROM t WHERE a = $01`,
		`SELECT a FROM t WHERE a = $1 AND b = ?`,
		`SELECT a FROM t WHERE a = $1 AND b = :b`,
		`SELECT a FROM t WHERE a = $1 AND b = @b`,
		`SELECT a FROM t WHERE a = $1::bigint`,
		`SELECT a FROM t WHERE a = $1(2)`,
		`SELECT a FROM t WHERE a = $1a`,
		`SELECT a$1 FROM t WHERE a = $1`,
		`SELECT é$1 FROM t WHERE a = $1`,
		`SELECT [$1] FROM t WHERE a = $1`,
		"SELECT `$1` FROM t WHERE a = $1",
		"SELECT a FROM t -- $1\nWHERE a = $1",
		"SELECT a /* ' */ FROM t WHERE a = $1 AND b = '$2'",
	} {
		if got := positional(query); got != query {
			t.Errorf("%s\nbecomes %s", query, got)
		}
	}
}
