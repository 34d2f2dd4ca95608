package db

import (
	"hash/fnv"
	"time"
)

// Tx is a transaction under way. It is valid only inside the closure that got
// it, and for one goroutine.
type Tx struct {
	scope
	now   time.Time
	undo  []func()
	after []func()
	board *board      // of the database
	kept  map[any]any // see Keep

	gathered gathered // on SQLite
}

// gathered is rows that one statement is to insert.
type gathered struct {
	query string
	rows  [][]any
}

// sharing is what belongs to a transaction of a server and not to one of its
// closures.
type sharing struct {
	first []statement // to be sent before anything else is: the beginning, and locks
	later []statement // to be sent before the end
	known map[any]any
	locks map[int64]bool // that the transaction holds, and whether alone
}

// statement is one that is to be run, and who wants to know what it did.
type statement struct {
	query string
	args  []any
	check func(rows int64) error
	dest  []any // what its one row is scanned into; nil: it returns none
}

var _ Queryer = (*Tx)(nil)

// Now is the one time of the transaction: UTC, whole microseconds.
func (tx *Tx) Now() time.Time { return tx.now }

// Shared reports whether other processes, or other closures of this one, may
// commit while this transaction is under way.
func (tx *Tx) Shared() bool { return tx.shared != nil }

// ServerTime is the time now by the clock of the database, which all processes
// that share it see alike. On SQLite it is Now.
func (tx *Tx) ServerTime() (time.Time, error) {
	if tx.shared == nil {
		return tx.now, nil
	}
	var us int64
	err := tx.QueryRow(`SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint`).Scan(&us)
	return FromMicro(us), err
}

// Exec runs a statement and returns how many rows it concerned.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	return tx.exec(query, args)
}

// Later runs a statement before the transaction ends, and calls check, unless it
// is nil, with how many rows it concerned; an error of check fails the closure. On
// Postgres the statements of all closures of a lane's transaction go to the server
// together, in their order, after the closures have run: no statement that returns
// something sees what they do. On SQLite it runs at once.
func (tx *Tx) Later(query string, args []any, check func(rows int64) error) error {
	if tx.shared == nil {
		n, err := tx.exec(query, args)
		if err != nil || check == nil {
			return err
		}
		return check(n)
	}
	if tx.err != nil {
		return tx.err
	}
	if err := checkText(query, args); err != nil {
		return tx.fail(err)
	}
	tx.wrote = true
	tx.shared.later = append(tx.shared.later, statement{query: query, args: args, check: check})
	return nil
}

// Insert inserts rows by the text that inserts one of them, INSERT INTO … VALUES (…)
// and no more, as [Tx.Later] would each of them. It takes few statements for many rows.
func (tx *Tx) Insert(query string, rows [][]any) error {
	if tx.shared == nil && len(rows) == 1 {
		_, err := tx.exec(query, rows[0])
		return err
	}
	if tx.shared == nil {
		for _, st := range inserts(query, rows) {
			if _, err := tx.exec(st.query, st.args); err != nil {
				return err
			}
		}
		return nil
	}
	for _, row := range rows {
		if err := tx.Later(query, row, nil); err != nil {
			return err
		}
	}
	return nil
}

// Gather inserts a row before the transaction ends, by the text that inserts one, as
// for [Tx.Insert]. Rows of one text that follow each other go together: no statement that
// returns something sees them before [Tx.Flush], on SQLite as on Postgres.
func (tx *Tx) Gather(query string, row []any) error {
	if tx.shared != nil {
		return tx.Later(query, row, nil)
	}
	if tx.gathered.query != query {
		if err := tx.Flush(); err != nil {
			return err
		}
		tx.gathered.query = query
	}
	tx.gathered.rows = append(tx.gathered.rows, row)
	return nil
}

// Flush runs now what was left for later.
func (tx *Tx) Flush() error {
	if tx.shared == nil {
		rows := tx.gathered.rows
		tx.gathered.rows = nil
		if len(rows) == 0 {
			return nil
		}
		return tx.Insert(tx.gathered.query, rows)
	}
	later := tx.shared.later
	tx.shared.later = nil
	return tx.runAll(later)
}

// Get runs a statement that returns one row, and scans it into dest. On Postgres it
// takes one exchange with the server together with what has to be run before it.
func (tx *Tx) Get(query string, args []any, dest ...any) error {
	if tx.shared == nil {
		return tx.QueryRow(query, args...).Scan(dest...)
	}
	return tx.runAll([]statement{{query: query, args: args, dest: dest}})
}

// Once returns what find returned the first time that it was asked for the key in
// this transaction of a lane, which many closures share; on SQLite it asks each
// time. What it finds must not change while the transaction is under way: there has
// to be a lock for it, or nobody who changes it.
func Once[T any](tx *Tx, key any, find func() (T, error)) (T, error) {
	if tx.shared == nil {
		return find()
	}
	if known, ok := tx.shared.known[key]; ok {
		return known.(T), nil //nolint:forcetypeassert // a key has one type
	}
	found, err := find()
	if err == nil {
		tx.shared.known[key] = found
	}
	return found, err
}

// Lock has the transaction wait, with its next statement, until no other one holds
// the key, and holds it alone until the end. What was committed by those that held it before is seen by
// the statements that follow in a lane; a transaction of DB.Write sees what was
// there when it began, and is run again if it would have to see more. On SQLite
// nobody else is under way.
func (tx *Tx) Lock(key string) error { return tx.lock(key, true) }

// ShareLock is Lock, but others may hold the key in the same way.
func (tx *Tx) ShareLock(key string) error { return tx.lock(key, false) }

func (tx *Tx) lock(key string, alone bool) error {
	if tx.shared == nil {
		return nil
	}
	number := lockNumber(key)
	if held, ok := tx.shared.locks[number]; ok && (held || !alone) {
		return nil
	}
	query := `SELECT pg_advisory_xact_lock_shared($1)`
	if alone {
		query = `SELECT pg_advisory_xact_lock($1)`
	}
	if tx.err != nil {
		return tx.err
	}
	// It takes effect before the next statement, which is the first that could see
	// a difference.
	tx.shared.first = append(tx.shared.first, statement{query: query, args: []any{number}})
	tx.shared.locks[number] = alone
	return nil
}

// TryLock is Lock, but does not wait; it reports whether the transaction has the
// key.
func (tx *Tx) TryLock(key string) (bool, error) {
	if tx.shared == nil {
		return true, nil
	}
	got := false
	err := tx.QueryRow(`SELECT pg_try_advisory_xact_lock($1)`, lockNumber(key)).Scan(&got)
	return got, err
}

// lockNumber is what Postgres knows a key by. Two keys that share a number wait
// for each other without need.
func lockNumber(key string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key))
	return int64(h.Sum64()) //nolint:gosec // any number will do
}

// SkipLocked is what a SELECT ends with that takes rows for this transaction and
// passes over those that another one has.
func (tx *Tx) SkipLocked() string {
	if tx.shared == nil {
		return ""
	}
	return " FOR UPDATE SKIP LOCKED"
}

// Undo notes how to take back a change to memory that the closure made. It runs
// if the transaction does not commit, the last noted first.
func (tx *Tx) Undo(fn func()) { tx.undo = append(tx.undo, fn) }

// After notes what to do once the transaction is committed, before Write returns.
// It must not block and must not write. On SQLite what several transactions note
// runs in the order of their commits, before any later transaction begins. On
// Postgres that is so for a lane alone: what a transaction of DB.Write notes may
// run after what a later one does, and other processes hear of neither. So what is
// copied to memory carries a version.
func (tx *Tx) After(fn func()) { tx.after = append(tx.after, fn) }
