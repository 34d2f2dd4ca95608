package session

import (
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// selectSession returns a session, or an error that matches db.ErrNoRows.
func selectSession(q db.Queryer, of hashed) (*Session, error) {
	s := Session{hash: of}
	var used int64
	err := q.QueryRow(`SELECT tenant_id, key_id, proof, used_at, unseen, notice, notice_of FROM console_session WHERE hash = $1`, of[:]).
		Scan(&s.Tenant, &s.Key, &s.Proof, &used, &s.unseen, &s.notice, &s.noticeOf)
	if err != nil {
		return nil, wrapped("read a session", err)
	}
	s.usedAt = db.FromMicro(used)
	return &s, nil
}

func insert(tx *db.Tx, of hashed, h Holder) error {
	proof := h.Proof
	if proof == nil {
		proof = []byte{}
	}
	_, err := tx.Exec(`INSERT INTO console_session (hash, tenant_id, key_id, proof, used_at, unseen, notice, notice_of)
		VALUES ($1, $2, $3, $4, $5, $6, '', $6)`, of[:], h.Tenant, h.Key, proof, db.Micro(tx.Now()), id.ID{})
	return wrapped("store a session", err)
}

// endIdle removes the sessions that were last used at a time or before it.
func endIdle(tx *db.Tx, until time.Time) error {
	_, err := tx.Exec(`DELETE FROM console_session WHERE used_at <= $1`, db.Micro(until))
	return wrapped("end sessions", err)
}

// all is more rows than there are: SQLite knows no OFFSET without LIMIT.
const all = 1 << 30

// endOldest removes the sessions of a key but for those that were used last.
func endOldest(tx *db.Tx, of Holder, keep int) error {
	_, err := tx.Exec(`DELETE FROM console_session WHERE hash IN (
		SELECT hash FROM console_session WHERE tenant_id = $1 AND key_id = $2 ORDER BY used_at DESC, hash LIMIT $3 OFFSET $4)`,
		of.Tenant, of.Key, all, keep)
	return wrapped("end sessions", err)
}

func updateUsed(tx *db.Tx, of hashed, now time.Time) error {
	_, err := tx.Exec(`UPDATE console_session SET used_at = $2 WHERE hash = $1 AND used_at < $2`, of[:], db.Micro(now))
	return wrapped("note that a session was used", err)
}

func remove(tx *db.Tx, of hashed) error {
	_, err := tx.Exec(`DELETE FROM console_session WHERE hash = $1`, of[:])
	return wrapped("end a session", err)
}

func updateUnseen(tx *db.Tx, of hashed, what id.ID) error {
	_, err := tx.Exec(`UPDATE console_session SET unseen = $2 WHERE hash = $1`, of[:], what)
	return wrapped("note what was made", err)
}

func takeUnseen(tx *db.Tx, of hashed, what id.ID) (bool, error) {
	n, err := tx.Exec(`UPDATE console_session SET unseen = $3 WHERE hash = $1 AND unseen = $2`, of[:], what, id.ID{})
	return n == 1, wrapped("take what was made", err)
}

func updateNotice(tx *db.Tx, of hashed, about id.ID, notice string) error {
	_, err := tx.Exec(`UPDATE console_session SET notice = $3, notice_of = $2 WHERE hash = $1`, of[:], about, notice)
	return wrapped("leave a notice", err)
}

func takeNotice(tx *db.Tx, of hashed, about id.ID) (bool, error) {
	n, err := tx.Exec(`UPDATE console_session SET notice = '', notice_of = $3 WHERE hash = $1 AND notice_of = $2`, of[:], about, id.ID{})
	return n == 1, wrapped("take a notice", err)
}

func insertLink(tx *db.Tx, of hashed, until time.Time) error {
	_, err := tx.Exec(`INSERT INTO console_link (hash, good_until) VALUES ($1, $2)`, of[:], db.Micro(until))
	return wrapped("store a link", err)
}

// endLinks removes the links that are good no more, and the oldest beyond those to
// keep.
func endLinks(tx *db.Tx, keep int) error {
	_, err := tx.Exec(`DELETE FROM console_link WHERE good_until <= $1 OR hash IN (
		SELECT hash FROM console_link ORDER BY good_until DESC, hash LIMIT $2 OFFSET $3)`, db.Micro(tx.Now()), all, keep)
	return wrapped("end links", err)
}

// hasLink reports whether there is such a link, good or not any more.
func hasLink(q db.Queryer, of hashed) (bool, error) {
	has := false
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM console_link WHERE hash = $1)`, of[:]).Scan(&has)
	return has, wrapped("look for a link", err)
}

// removeLink reports whether there was such a link, and it was still good.
func removeLink(tx *db.Tx, of hashed) (bool, error) {
	n, err := tx.Exec(`DELETE FROM console_link WHERE hash = $1 AND good_until > $2`, of[:], db.Micro(tx.Now()))
	return n == 1, wrapped("use a link up", err)
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("session: %s: %w", doing, err)
}
