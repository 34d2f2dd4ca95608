package node

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// keepLeft is how long the row of a life that has ended is kept, for people.
const keepLeft = 24 * time.Hour

// member is a life that has not ended.
type member struct {
	number  int64
	name    string
	lease   time.Duration
	expires time.Time // by the database's clock
}

// enter stores a new life and returns its number: one more than the highest that is
// committed, so numbers rise in the order of commits. Where two do so at once only
// one of them commits, and the other one is run again.
func enter(tx *db.Tx, m member, now time.Time) (int64, error) {
	highest, err := selectLatest(tx)
	if err != nil {
		return 0, err
	}
	if _, err := tx.Exec(`DELETE FROM node WHERE left_at < $1 AND id < $2`, db.Micro(now.Add(-keepLeft)), highest); err != nil {
		return 0, err
	}
	number := highest + 1
	_, err = tx.Exec(`INSERT INTO node (id, name, lease, joined_at, expires_at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
		number, m.name, m.lease.Microseconds(), db.Micro(now), db.Micro(now.Add(m.lease)))
	return number, err
}

// extend has a lease end at expires, and reports whether the life had not ended.
func extend(tx *db.Tx, number int64, expires time.Time) (bool, error) {
	rows, err := tx.Exec(`UPDATE node SET expires_at = $2 WHERE id = $1 AND left_at IS NULL`, number, db.Micro(expires))
	return rows == 1, err
}

// end ends a life whatever its lease.
func end(tx *db.Tx, number int64, now time.Time) error {
	_, err := tx.Exec(`UPDATE node SET left_at = $2 WHERE id = $1 AND left_at IS NULL`, number, db.Micro(now))
	return err
}

// bury ends a life whose lease has run out, and reports whether it was this call
// that did.
func bury(tx *db.Tx, number int64, now time.Time) (bool, error) {
	rows, err := tx.Exec(`UPDATE node SET left_at = $2 WHERE id = $1 AND left_at IS NULL AND expires_at <= $2`, number, db.Micro(now))
	return rows == 1, err
}

// shorten has a lease end no later than it could if it had been renewed just now.
// One that ends later was renewed before the database's clock was set back.
func shorten(tx *db.Tx, m member, now time.Time) error {
	_, err := tx.Exec(`UPDATE node SET expires_at = $2 WHERE id = $1 AND left_at IS NULL AND expires_at > $2`,
		m.number, db.Micro(now.Add(m.lease)))
	return err
}

// selectMembers returns the lives that have not ended, by their numbers.
func selectMembers(q db.Queryer) ([]member, error) {
	rows, err := q.Query(`SELECT id, name, lease, expires_at FROM node WHERE left_at IS NULL ORDER BY id`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var members []member
	for rows.Next() {
		var m member
		var lease, expires int64
		if err := rows.Scan(&m.number, &m.name, &lease, &expires); err != nil {
			return nil, err
		}
		m.lease, m.expires = time.Duration(lease)*time.Microsecond, db.FromMicro(expires)
		members = append(members, m)
	}
	return members, rows.Err()
}

// Living returns the names of the nodes whose leases last.
func Living(tx *db.Tx) ([]string, error) {
	now, err := tx.ServerTime()
	if err != nil {
		return nil, err
	}
	members, err := selectMembers(tx)
	var names []string
	for _, m := range members {
		if m.expires.After(now) {
			names = append(names, m.name)
		}
	}
	return names, err
}

// BuryAll ends the lives of all nodes, whatever their leases say.
func BuryAll(tx *db.Tx) error {
	now, err := tx.ServerTime()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE node SET left_at = $1 WHERE left_at IS NULL`, db.Micro(now))
	return err
}

// selectLatest returns the highest number that was given.
func selectLatest(q db.Queryer) (int64, error) {
	var highest int64
	err := q.QueryRow(`SELECT coalesce(max(id), 0) FROM node`).Scan(&highest)
	return highest, err
}

// revision is how often a thing has changed.
type revision struct {
	of     subject
	number int64
}

// subject is what changes: what a topic says of a tenant, or of none.
type subject struct {
	topic  string
	tenant id.ID
}

// countUp notes a change and returns its number.
func countUp(tx *db.Tx, of subject, now time.Time) (int64, error) {
	var number int64
	err := tx.QueryRow(`INSERT INTO revision (topic, tenant_id, number, changed_at) VALUES ($1, $2, 1, $3)
		ON CONFLICT (topic, tenant_id) DO UPDATE SET number = revision.number + 1, changed_at = excluded.changed_at
		RETURNING number`, of.topic, of.tenant, db.Micro(now)).Scan(&number)
	return number, err
}

// selectRevisions returns the revisions of what has changed since a time.
func selectRevisions(q db.Queryer, since time.Time) ([]revision, error) {
	rows, err := q.Query(`SELECT topic, tenant_id, number FROM revision WHERE changed_at >= $1`, db.Micro(since))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []revision
	for rows.Next() {
		var r revision
		if err := rows.Scan(&r.of.topic, &r.of.tenant, &r.number); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, rows.Err()
}
