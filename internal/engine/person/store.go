package person

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const columns = `p.tenant_id, p.id, p.version, p.scheme, p.key, p.account, p.email, p.first_name, p.last_name, p.locale, p.country,
	p.image_url, p.fields, p.first_ip, p.last_ip, p.device, p.unreferable, p.blocked_at, p.deleted_at, p.created_at, p.updated_at,
	p.linked, p.devices`

var errNoPerson = problem.NotFound.New("there is no such person")

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func scan(row scanner) (*Person, error) {
	var p Person
	var fields, linked, devices string
	var blocked, deleted db.NullMicro
	var created, updated int64
	err := row.Scan(&p.TenantID, &p.ID, &p.Version, &p.Scheme, &p.Key, &p.Account, &p.Email, &p.FirstName, &p.LastName, &p.Locale, &p.Country,
		&p.ImageURL, &fields, &p.FirstIP, &p.LastIP, &p.Device, &p.Unreferable, &blocked, &deleted, &created, &updated,
		&linked, &devices)
	if errors.Is(err, db.ErrNoRows) {
		return nil, errNoPerson
	}
	if err != nil {
		return nil, fmt.Errorf("person: read a person: %w", err)
	}
	if fields != "" {
		p.Fields = json.RawMessage(fields)
	}
	if err := errors.Join(readList(linked, &p.Linked), readList(devices, &p.PastDevices)); err != nil {
		return nil, fmt.Errorf("person: read a person: %w", err)
	}
	p.BlockedAt, p.DeletedAt = blocked.Time, deleted.Time
	p.CreatedAt, p.UpdatedAt = db.FromMicro(created), db.FromMicro(updated)
	return &p, nil
}

// listText is a list as it is stored: JSON, and nothing for an empty one.
func listText[T any](list []T) string {
	if len(list) == 0 {
		return ""
	}
	text, _ := json.Marshal(list) //nolint:errchkjson // texts always can be written
	return string(text)
}

func readList[T any](text string, into *[]T) error {
	if text == "" {
		return nil
	}
	return json.Unmarshal([]byte(text), into)
}

func collect(q db.Queryer, query string, args ...any) ([]*Person, error) {
	rows, err := q.Query(query, args...)
	if err != nil {
		return nil, fmt.Errorf("person: read people: %w", err)
	}
	defer rows.Close()
	var people []*Person
	for rows.Next() {
		p, err := scan(rows)
		if err != nil {
			return nil, err
		}
		people = append(people, p)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("person: read people: %w", err)
	}
	return people, nil
}

func selectPerson(q db.Queryer, tenant, of id.ID) (*Person, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM person p WHERE p.tenant_id = $1 AND p.id = $2`, tenant, of))
}

func selectByIdentity(q db.Queryer, tenant id.ID, of Identity) (*Person, error) {
	return scan(q.QueryRow(`SELECT `+columns+` FROM identity i JOIN person p ON p.tenant_id = i.tenant_id AND p.id = i.person_id
		WHERE i.tenant_id = $1 AND i.scheme = $2 AND i.key = $3`, tenant, of.Scheme, of.Key))
}

// selectHolder returns whose an identity is; zero: nobody's. It reads the one column:
// most who sign up are nobody yet, and a read costs by its columns, found or not.
func selectHolder(q db.Queryer, tenant id.ID, of Identity) (id.ID, error) {
	var holder id.ID
	err := q.QueryRow(`SELECT person_id FROM identity WHERE tenant_id = $1 AND scheme = $2 AND key = $3`, tenant, of.Scheme, of.Key).Scan(&holder)
	if err != nil && !errors.Is(err, db.ErrNoRows) {
		return id.ID{}, fmt.Errorf("person: read an identity: %w", err)
	}
	return holder, nil
}

func (p *Person) args() []any {
	turned, called := p.foldedNames()
	return []any{
		p.TenantID, p.ID, p.Version, p.Scheme, p.Key, p.Account, p.Email, p.FirstName, p.LastName, p.Locale, p.Country,
		p.ImageURL, string(p.Fields), p.FirstIP, p.LastIP, p.Device, p.Unreferable,
		db.NullMicro{Time: p.BlockedAt},
		db.NullMicro{Time: p.DeletedAt},
		db.Micro(p.CreatedAt), db.Micro(p.UpdatedAt), folded(p.Email), turned,
		listText(p.Linked), listText(p.PastDevices), called,
	}
}

// insert stores a new person with its identity. Where somebody else has the
// identity by now, which is seen only where others write too, the statement fails
// and the command is run again.
func insert(tx *db.Tx, p *Person) error {
	err := tx.Later(`INSERT INTO person (tenant_id, id, version, scheme, key, account, email, first_name, last_name, locale, country,
		image_url, fields, first_ip, last_ip, device, unreferable, blocked_at, deleted_at, created_at, updated_at, email_folded, name_folded,
		linked, devices, called_folded)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)`, p.args(), nil)
	if err != nil {
		return fmt.Errorf("person: store a person: %w", err)
	}
	return insertIdentity(tx, p, p.Identity)
}

func insertIdentity(tx *db.Tx, p *Person, as Identity) error {
	err := tx.Later(`INSERT INTO identity (tenant_id, scheme, key, person_id, in_account) VALUES ($1, $2, $3, $4, $5)`,
		[]any{p.TenantID, as.Scheme, as.Key, p.ID, inAccount(as.Key)}, nil)
	if err != nil {
		return fmt.Errorf("person: store an identity: %w", err)
	}
	return nil
}

func update(tx *db.Tx, p *Person) error {
	_, err := tx.Exec(`UPDATE person SET version = $3, scheme = $4, key = $5, account = $6, email = $7, first_name = $8, last_name = $9,
		locale = $10, country = $11, image_url = $12, fields = $13, first_ip = $14, last_ip = $15, device = $16, unreferable = $17,
		blocked_at = $18, deleted_at = $19, created_at = $20, updated_at = $21, email_folded = $22, name_folded = $23,
		linked = $24, devices = $25, called_folded = $26
		WHERE tenant_id = $1 AND id = $2`, p.args()...)
	if err != nil {
		return fmt.Errorf("person: change a person: %w", err)
	}
	return nil
}

const deleteIdentity = `DELETE FROM identity WHERE tenant_id = $1 AND scheme = $2 AND key = $3 AND person_id = $4`

func removeIdentity(tx *db.Tx, p *Person, as Identity) error {
	if _, err := tx.Exec(deleteIdentity, p.TenantID, as.Scheme, as.Key, p.ID); err != nil {
		return fmt.Errorf("person: remove an identity: %w", err)
	}
	return nil
}

const deleteIdentities = `DELETE FROM identity WHERE tenant_id = $1 AND person_id = $2`

func removeIdentities(tx *db.Tx, p *Person) error {
	if _, err := tx.Exec(deleteIdentities, p.TenantID, p.ID); err != nil {
		return fmt.Errorf("person: forget an identity: %w", err)
	}
	return nil
}

// shards is over how many rows a tenant's people are counted, so that those who
// create them do not wait for each other.
const shards = 16

func count(tx *db.Tx, p *Person, by int) error {
	shard := int(p.ID[len(p.ID)-1]) % shards
	err := tx.Later(`INSERT INTO person_count (tenant_id, shard, people) VALUES ($1, $2, $3)
		ON CONFLICT (tenant_id, shard) DO UPDATE SET people = person_count.people + excluded.people`, []any{p.TenantID, shard, by}, nil)
	if err != nil {
		return fmt.Errorf("person: count people: %w", err)
	}
	return nil
}

func selectCount(q db.Queryer, tenant id.ID) (int64, error) {
	var n int64
	err := q.QueryRow(`SELECT CAST(coalesce(sum(people), 0) AS BIGINT) FROM person_count WHERE tenant_id = $1`, tenant).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("person: count people: %w", err)
	}
	return n, nil
}

func selectAccountCount(q db.Queryer, tenant id.ID, account string, most int) (int, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM person WHERE tenant_id = $1 AND account = $2 AND account <> ''
		AND deleted_at IS NULL LIMIT $3 + 0) counted`, tenant, account, most).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("person: count the people of an account: %w", err)
	}
	return n, nil
}

func selectAccount(q db.Queryer, tenant id.ID, key string) (*Account, error) {
	a := Account{TenantID: tenant, Key: key}
	var details string
	var created, updated int64
	err := q.QueryRow(`SELECT id, state, currency, details, code, version, created_at, updated_at FROM account WHERE tenant_id = $1 AND key = $2`, tenant, key).
		Scan(&a.ID, &a.State, &a.Currency, &details, &a.ReferredBy, &a.Version, &created, &updated)
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such account")
	}
	if err != nil {
		return nil, fmt.Errorf("person: read an account: %w", err)
	}
	if details != "" {
		a.Details = json.RawMessage(details)
	}
	a.CreatedAt, a.UpdatedAt = db.FromMicro(created), db.FromMicro(updated)
	return &a, nil
}

func upsertAccount(tx *db.Tx, a *Account) error {
	_, err := tx.Exec(`INSERT INTO account (tenant_id, key, id, state, currency, details, code, version, created_at, updated_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (tenant_id, key) DO UPDATE SET state = excluded.state,
		currency = excluded.currency, details = excluded.details, code = excluded.code, version = excluded.version, updated_at = excluded.updated_at`,
		a.TenantID, a.Key, a.ID, string(a.State), a.Currency, string(a.Details), a.ReferredBy, a.Version, db.Micro(a.CreatedAt), db.Micro(a.UpdatedAt))
	if err != nil {
		return fmt.Errorf("person: store an account: %w", err)
	}
	return nil
}

// forgetCode removes a code from the accounts of which it was said.
func forgetCode(tx *db.Tx, tenant id.ID, text string) error {
	_, err := tx.Exec(`UPDATE account SET code = '' WHERE tenant_id = $1 AND code = $2 AND code <> ''`, tenant, text)
	if err != nil {
		return fmt.Errorf("person: forget the code of accounts: %w", err)
	}
	return nil
}

func removeAccount(tx *db.Tx, tenant id.ID, key string) (bool, error) {
	n, err := tx.Exec(`DELETE FROM account WHERE tenant_id = $1 AND key = $2`, tenant, key)
	if err != nil {
		return false, fmt.Errorf("person: remove an account: %w", err)
	}
	return n > 0, nil
}
