package attribution

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

const touchColumns = `tenant_id, id, short, program_id, membership_id, method, engagement, share, cookie_id, ip, user_agent, url, at, person_id`

func insertTouch(tx *db.Tx, t Touch) error {
	ip := ""
	if t.IP.IsValid() {
		ip = t.IP.String()
	}
	_, err := tx.Exec(`INSERT INTO touch (`+touchColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		t.TenantID, t.ID, t.Short, t.ProgramID, t.MembershipID, string(t.Method), string(t.Link.Engagement), string(t.Link.Share),
		t.CookieID, ip, t.UserAgent, t.URL, db.Micro(t.At), nullID{t.PersonID})
	return wrapped("store a touch", err)
}

// maxIdentified is how many touches of a browser become a person's at once.
const maxIdentified = 200

const identify = `UPDATE touch SET person_id = $3 WHERE tenant_id = $1 AND person_id IS NULL AND id IN (
	SELECT id FROM touch WHERE tenant_id = $1 AND cookie_id = $2 AND cookie_id <> '' ORDER BY at DESC LIMIT $4)`

func updatePerson(tx *db.Tx, tenant id.ID, cookie string, person id.ID) error {
	_, err := tx.Exec(identify, tenant, cookie, person, maxIdentified)
	return wrapped("note whose a browser is", err)
}

// keepTouch makes the touch that has the credit the person's, unless it is
// somebody's: it is never pruned then.
func keepTouch(tx *db.Tx, a Attribution) error {
	_, err := tx.Exec(`UPDATE touch SET person_id = $3 WHERE tenant_id = $1 AND id = $2 AND person_id IS NULL`,
		a.TenantID, a.TouchID, a.PersonID)
	return wrapped("keep a touch", err)
}

// What is forgotten is found by an index of its own first: SQLite would read all touches
// of the tenant rather than go by it to their rows.
const forgetOwn = `UPDATE touch SET cookie_id = '', ip = '', user_agent = '', url = '' WHERE tenant_id = $1 AND id IN (
	SELECT id FROM touch WHERE tenant_id = $1 AND person_id = $2 ORDER BY at DESC LIMIT $3)`

const forgetNobodys = `UPDATE touch SET cookie_id = '', ip = '', user_agent = '', url = '' WHERE tenant_id = $1 AND person_id IS NULL AND id IN (
	SELECT id FROM touch WHERE tenant_id = $1 AND cookie_id = $2 AND cookie_id <> '' ORDER BY at DESC LIMIT $3)`

// maxForgotten is how many touches of a person, and of each browser, are forgotten: more
// than anybody makes who is not a machine.
const maxForgotten = 10_000

func forgetPerson(tx *db.Tx, tenant, person id.ID) error {
	_, err := tx.Exec(forgetOwn, tenant, person, maxForgotten)
	return wrapped("forget whose touches they are", err)
}

func forgetBrowser(tx *db.Tx, tenant id.ID, cookie string) error {
	_, err := tx.Exec(forgetNobodys, tenant, cookie, maxForgotten)
	return wrapped("forget touches of somebody's browser", err)
}

// selectTouch returns a touch, or an error that matches db.ErrNoRows.
func selectTouch(q db.Queryer, tenant, touch id.ID) (Touch, error) {
	return scanTouch(q.QueryRow(`SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND id = $2`, tenant, touch))
}

func selectOfCookie(q db.Queryer, tenant id.ID, cookie string, p Page) ([]Touch, error) {
	before, last, limit := p.bounds()
	return list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND cookie_id = $2 AND cookie_id <> '' AND (at, id) < ($3, $4)
		ORDER BY at DESC, id DESC LIMIT $5`, tenant, cookie, before, last, limit)
}

func selectOfPerson(q db.Queryer, tenant, person id.ID, p Page) ([]Touch, error) {
	before, last, limit := p.bounds()
	return list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND person_id = $2 AND (at, id) < ($3, $4)
		ORDER BY at DESC, id DESC LIMIT $5`, tenant, person, before, last, limit)
}

// selectLatest sorts all touches of a person, who has few, by their ids: the index
// has them by time, which nothing else needs otherwise.
func selectLatest(q db.Queryer, tenant, person, before id.ID, limit int) ([]Touch, error) {
	return list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND person_id = $2 AND id < $3 ORDER BY id DESC LIMIT $4`,
		tenant, person, before, limit)
}

// maxEvidence is how many touches are looked at from either end.
const maxEvidence = 100

// selectPersons returns the touches of a person in the program of a question: the
// newest ones, and the oldest ones since a time. Some are twice among them.
func selectPersons(q db.Queryer, ask Question, since time.Time) ([]Touch, error) {
	newest, err := list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND person_id = $2 AND program_id = $3
		ORDER BY at DESC LIMIT $4`, ask.TenantID, ask.PersonID, ask.ProgramID, maxEvidence)
	if err != nil || len(newest) < maxEvidence {
		return newest, err
	}
	oldest, err := list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND person_id = $2 AND program_id = $3 AND at >= $4
		ORDER BY at LIMIT $5`, ask.TenantID, ask.PersonID, ask.ProgramID, db.Micro(since), maxEvidence)
	return append(newest, oldest...), err
}

// selectCookies is selectPersons for the touches of a browser.
func selectCookies(q db.Queryer, ask Question, cookie string, since time.Time) ([]Touch, error) {
	newest, err := list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND cookie_id = $2 AND cookie_id <> '' AND program_id = $3
		ORDER BY at DESC LIMIT $4`, ask.TenantID, cookie, ask.ProgramID, maxEvidence)
	if err != nil || len(newest) < maxEvidence {
		return newest, err
	}
	oldest, err := list(q, `SELECT `+touchColumns+` FROM touch WHERE tenant_id = $1 AND cookie_id = $2 AND cookie_id <> '' AND program_id = $3 AND at >= $4
		ORDER BY at LIMIT $5`, ask.TenantID, cookie, ask.ProgramID, db.Micro(since), maxEvidence)
	return append(newest, oldest...), err
}

const prune = `DELETE FROM touch WHERE tenant_id = $1 AND id IN (
	SELECT id FROM touch WHERE tenant_id = $1 AND person_id IS NULL AND at < $2 ORDER BY at LIMIT $3)`

func deleteNobodys(tx *db.Tx, tenant id.ID, before time.Time, most int) (int64, error) {
	n, err := tx.Exec(prune, tenant, db.Micro(before), most)
	return n, wrapped("remove touches", err)
}

const nextTenant = `SELECT tenant_id FROM touch WHERE tenant_id > $1 AND person_id IS NULL ORDER BY tenant_id LIMIT 1`

// selectNextTenant returns a tenant, or an error that matches db.ErrNoRows.
func selectNextTenant(q db.Queryer, after id.ID) (id.ID, error) {
	var next id.ID
	err := q.QueryRow(nextTenant, after).Scan(&next)
	return next, wrapped("look for touches that are nobody's", err)
}

func list(q db.Queryer, query string, args ...any) ([]Touch, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, wrapped("ask for touches", err)
	}
	defer rows.Close()
	var touches []Touch
	for rows.Next() {
		t, err := scanTouch(rows)
		if err != nil {
			return nil, err
		}
		touches = append(touches, t)
	}
	return touches, wrapped("read touches", rows.Err())
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scanTouch(row scanner) (Touch, error) {
	var t Touch
	var ip string
	var at int64
	var person nullID
	err := row.Scan(&t.TenantID, &t.ID, &t.Short, &t.ProgramID, &t.MembershipID, &t.Method, &t.Link.Engagement, &t.Link.Share,
		&t.CookieID, &ip, &t.UserAgent, &t.URL, &at, &person)
	if err != nil {
		return Touch{}, wrapped("read a touch", err)
	}
	if ip != "" {
		if t.IP, err = netip.ParseAddr(ip); err != nil {
			return Touch{}, wrapped("read the address of the touch "+t.ID.String(), err)
		}
	}
	t.At, t.PersonID = db.FromMicro(at), person.ID
	return t, nil
}

const columns = `tenant_id, program_id, person_id, membership_id, method, touch_id, policy, at`

// upsert stores who has the credit for a person, whoever had it.
func upsert(tx *db.Tx, a Attribution) error {
	policy, err := a.Policy.text()
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO attribution (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (tenant_id, program_id, person_id) DO UPDATE SET membership_id = excluded.membership_id,
			method = excluded.method, touch_id = excluded.touch_id, policy = excluded.policy, at = excluded.at`,
		a.TenantID, a.ProgramID, a.PersonID, a.MembershipID, string(a.Method), a.TouchID, policy, db.Micro(a.At))
	return wrapped("store an attribution", err)
}

// selectAttribution returns an attribution, or an error that matches db.ErrNoRows.
func selectAttribution(q db.Queryer, tenant, program, person id.ID) (*Attribution, error) {
	var a Attribution
	var policy string
	var at int64
	err := q.QueryRow(`SELECT `+columns+` FROM attribution WHERE tenant_id = $1 AND program_id = $2 AND person_id = $3`, tenant, program, person).
		Scan(&a.TenantID, &a.ProgramID, &a.PersonID, &a.MembershipID, &a.Method, &a.TouchID, &policy, &at)
	if err != nil {
		return nil, wrapped("read an attribution", err)
	}
	if err := json.Unmarshal([]byte(policy), &a.Policy); err != nil {
		return nil, wrapped("read the policy of an attribution", err)
	}
	a.At = db.FromMicro(at)
	return &a, nil
}

// nullID stores an ID that may be missing: the zero ID as NULL.
type nullID struct{ id.ID }

// Scan reads a stored ID or NULL.
func (n *nullID) Scan(src any) error {
	if src == nil {
		n.ID = id.ID{}
		return nil
	}
	return n.ID.Scan(src)
}

// Value is what is stored: the ID's bytes, or NULL for the zero ID.
func (n nullID) Value() (driver.Value, error) {
	if n.IsZero() {
		return nil, nil
	}
	return n.ID.Value()
}

func wrapped(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("attribution: %s: %w", doing, err)
}
