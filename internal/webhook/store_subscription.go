package webhook

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// The states of a subscription as they are stored.
const (
	enabled  = "enabled"
	disabled = "disabled"
)

// status is the state of a subscription as it is stored.
func (s *Subscription) status() string {
	if s.Enabled {
		return enabled
	}
	return disabled
}

// sealed is what is encrypted of a subscription.
type sealed struct {
	Secrets []Secret      `json:"secrets"`
	Headers []wire.Header `json:"headers,omitempty"`
	Auth    Auth          `json:"auth,omitzero"`
	CA      string        `json:"ca,omitempty"`
	// Handshake is no secret, but who can write to the database must not be able to
	// say that an endpoint has confirmed something.
	Handshake Handshake `json:"handshake,omitempty"`
}

const subscriptionColumns = `id, tenant_id, dialect, url, event_types, filter, description, policy, sealed, status, reason, created_at, updated_at, deleted_at`

// subscriptionFields are what scanSubscription reads.
const subscriptionFields = subscriptionColumns + `, generation, version,
	coalesce((SELECT health FROM endpoint_health WHERE subscription_id = id), '')`

// columns returns the values of all columns but the last, deleted_at.
func (s *Service) columns(sub *Subscription) ([]any, error) {
	types, err := json.Marshal(sub.EventTypes)
	if err != nil {
		return nil, err
	}
	policy, err := json.Marshal(sub.Policy)
	if err != nil {
		return nil, err
	}
	plain, err := json.Marshal(sealed{sub.Secrets, sub.Headers, sub.Auth, sub.CA, sub.Handshake})
	if err != nil {
		return nil, err
	}
	box, err := s.box.Seal(plain, sub.ID)
	if err != nil {
		return nil, err
	}
	return []any{
		sub.ID[:], sub.TenantID[:], sub.Dialect.Name(), sub.URL, string(types), sub.Filter.stored(), sub.Description, string(policy),
		box, sub.status(), sub.Reason, db.Micro(sub.CreatedAt), db.Micro(sub.UpdatedAt),
	}, nil
}

// insertSubscription stores a new subscription and counts the change.
func (s *Service) insertSubscription(tx *db.Tx, sub *Subscription) error {
	values, err := s.columns(sub)
	if err != nil {
		return err
	}
	if sub.Version, err = bumpVersion(tx, sub.TenantID); err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO subscription (`+subscriptionColumns+`, cancelling, operational, version)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, NULL, $14, $15, $16)`,
		append(values, false, sub.isOperational(), sub.Version)...)
	return err
}

// updateSubscription stores a subscription as it is now and counts the change.
func (s *Service) updateSubscription(tx *db.Tx, sub *Subscription) error {
	values, err := s.columns(sub)
	if err != nil {
		return err
	}
	if sub.Version, err = bumpVersion(tx, sub.TenantID); err != nil {
		return err
	}
	var deleted any
	if !sub.DeletedAt.IsZero() {
		deleted = db.Micro(sub.DeletedAt)
		if err := deleteHealth(tx, sub.ID); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE subscription SET dialect = $3, url = $4, event_types = $5, filter = $6, description = $7, policy = $8,
		sealed = $9, status = $10, reason = $11, created_at = $12, updated_at = $13, deleted_at = $14, operational = $15, version = $16
		WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL`, append(values, deleted, sub.isOperational(), sub.Version)...)
	return err
}

func (s *Service) selectSubscription(q db.Queryer, tenant, sub id.ID) (*Subscription, error) {
	found, err := s.scanSubscription(q.QueryRow(`SELECT `+subscriptionFields+` FROM subscription
		WHERE id = $1 AND tenant_id = $2 AND deleted_at IS NULL`, sub[:], tenant[:]))
	if errors.Is(err, db.ErrNoRows) {
		return nil, problem.NotFound.New("there is no such subscription")
	}
	return found, err
}

// listSubscriptions returns the subscriptions after the given one in the order
// of their ids; a negative limit stands for all.
func (s *Service) listSubscriptions(q db.Queryer, tenant, after id.ID, limit int) ([]*Subscription, error) {
	if limit < 0 {
		limit = 1 << 30
	}
	return s.collectSubscriptions(q.Query(`SELECT `+subscriptionFields+` FROM subscription
		WHERE tenant_id = $1 AND id > $2 AND deleted_at IS NULL ORDER BY id LIMIT $3`, tenant[:], after[:], limit))
}

func (s *Service) listDialect(q db.Queryer, tenant id.ID, dialect string) ([]*Subscription, error) {
	return s.collectSubscriptions(q.Query(`SELECT `+subscriptionFields+` FROM subscription
		WHERE tenant_id = $1 AND dialect = $2 AND deleted_at IS NULL ORDER BY id`, tenant[:], dialect))
}

// selectByURL returns the oldest subscription with the tenant, the dialect and
// the URL of another, or db.ErrNoRows.
func (s *Service) selectByURL(q db.Queryer, like *Subscription) (*Subscription, error) {
	return s.scanSubscription(q.QueryRow(`SELECT `+subscriptionFields+` FROM subscription
		WHERE tenant_id = $1 AND dialect = $2 AND url = $3 AND deleted_at IS NULL ORDER BY id LIMIT 1`,
		like.TenantID[:], like.Dialect.Name(), like.URL))
}

func (s *Service) listWaiting(q db.Queryer) ([]*Subscription, error) {
	return s.collectSubscriptions(q.Query(`SELECT ` + subscriptionFields + ` FROM subscription s
		WHERE deleted_at IS NULL AND status = 'enabled'
		AND (EXISTS (SELECT 1 FROM delivery d WHERE d.subscription_id = s.id AND d.status <= 1)
			OR EXISTS (SELECT 1 FROM endpoint_health h WHERE h.subscription_id = s.id))`))
}

func (s *Service) collectSubscriptions(rows *sql.Rows, err error) ([]*Subscription, error) {
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var subs []*Subscription
	for rows.Next() {
		sub, err := s.scanSubscription(rows)
		if err != nil {
			return nil, err
		}
		subs = append(subs, sub)
	}
	return subs, rows.Err()
}

// scanner is a row.
type scanner interface{ Scan(dest ...any) error }

func (s *Service) scanSubscription(row scanner) (*Subscription, error) {
	var sub Subscription
	var dialect, types, filter, policy, status, health string
	var box []byte
	var created, updated int64
	var deleted db.NullMicro
	err := row.Scan(&sub.ID, &sub.TenantID, &dialect, &sub.URL, &types, &filter, &sub.Description, &policy, &box, &status,
		&sub.Reason, &created, &updated, &deleted, &sub.Generation, &sub.Version, &health)
	if err != nil {
		return nil, err
	}
	known, ok := dialects.Get(dialect)
	if !ok {
		return nil, fmt.Errorf("webhook: subscription %s speaks %q, which this program does not know", sub.ID, dialect)
	}
	plain, err := s.box.Open(box, sub.ID)
	if err != nil {
		return nil, fmt.Errorf("webhook: open the secrets of subscription %s: %w", sub.ID, err)
	}
	var opened sealed
	if json.Unmarshal([]byte(types), &sub.EventTypes) != nil || json.Unmarshal([]byte(policy), &sub.Policy) != nil ||
		json.Unmarshal(plain, &opened) != nil {
		return nil, fmt.Errorf("webhook: read subscription %s: a stored document is damaged", sub.ID)
	}
	if sub.Filter, err = readFilter(filter); err != nil {
		return nil, fmt.Errorf("webhook: read the filter of subscription %s: %w", sub.ID, err)
	}
	if sub.Health, err = readHealth(health); err != nil {
		return nil, err
	}
	sub.Dialect, sub.Secrets, sub.Headers, sub.Auth = known, opened.Secrets, opened.Headers, opened.Auth
	sub.CA, sub.Handshake = opened.CA, opened.Handshake
	sub.Enabled, sub.CreatedAt, sub.UpdatedAt, sub.DeletedAt = status == enabled, db.FromMicro(created), db.FromMicro(updated), deleted.Time
	return &sub, nil
}

// ownsSubscription reports whether a subscription is the tenant's, also if it was
// deleted. The zero ID, which chooses nothing, is everybody's.
func ownsSubscription(q db.Queryer, tenant, sub id.ID) (bool, error) {
	if sub.IsZero() {
		return true, nil
	}
	own := false
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM subscription WHERE id = $1 AND tenant_id = $2)`, sub[:], tenant[:]).Scan(&own)
	return own, err
}

// countSubscriptions returns how many living subscriptions a tenant has.
func countSubscriptions(q db.Queryer, tenant id.ID) (int, error) {
	n := 0
	err := q.QueryRow(`SELECT count(*) FROM subscription WHERE tenant_id = $1 AND deleted_at IS NULL`, tenant[:]).Scan(&n)
	return n, err
}

func selectVersion(q db.Queryer, tenant id.ID) (int64, error) {
	var version int64
	err := q.QueryRow(versionOf, tenant[:]).Scan(&version)
	return version, err
}

const versionOf = `SELECT coalesce((SELECT version FROM subscription_version WHERE tenant_id = $1), 0)`

// bumpVersion counts a change of the tenant's subscriptions and returns how many
// there have been. It waits for whoever publishes by the earlier ones. Events that
// this transaction has left for later are of the version before, and come first.
func bumpVersion(tx *db.Tx, tenant id.ID) (int64, error) {
	if err := tx.Flush(); err != nil {
		return 0, err
	}
	if err := tx.Lock(subscriptionsOf(tenant)); err != nil {
		return 0, err
	}
	var version int64
	err := tx.QueryRow(`INSERT INTO subscription_version (tenant_id, version) VALUES ($1, 1)
		ON CONFLICT (tenant_id) DO UPDATE SET version = subscription_version.version + 1 RETURNING version`, tenant[:]).Scan(&version)
	return version, err
}

// holdVersion returns the version of the tenant's subscriptions and lets nobody
// change them until the transaction, of a lane, has ended. Where nobody else writes
// it returns nothing.
func holdVersion(tx *db.Tx, tenant id.ID) (int64, error) {
	if !tx.Shared() {
		return 0, nil
	}
	type held struct{ tenant id.ID }
	return db.Once(tx, held{tenant}, func() (int64, error) {
		if err := tx.ShareLock(subscriptionsOf(tenant)); err != nil {
			return 0, err
		}
		var version int64
		err := tx.Get(versionOf, []any{tenant[:]}, &version)
		return version, err
	})
}

// confirmVersion calls check, at once or before tx ends, with 1 if the tenant's
// subscriptions have the version in what tx sees, and with 0 if they do not.
func confirmVersion(tx *db.Tx, tenant id.ID, version int64, check func(rows int64) error) error {
	if tx.Shared() {
		return tx.Later(`SELECT 1 WHERE (`+versionOf+`) = $2`, []any{tenant[:], version}, check)
	}
	current, err := selectVersion(tx, tenant)
	if err != nil {
		return err
	}
	if current != version {
		return check(0)
	}
	return check(1)
}

// keepVersion is confirmVersion, and nobody changes the subscriptions until tx, of
// DB.Write, has ended. What such a transaction sees was committed before it began,
// and the subscriptions may have changed since; the lock that holdVersion takes would
// not show that. One on the row does: then the transaction has to run again.
func keepVersion(tx *db.Tx, tenant id.ID, version int64, check func(rows int64) error) error {
	if !tx.Shared() {
		return confirmVersion(tx, tenant, version, check)
	}
	return tx.Later(`SELECT 1 FROM subscription_version WHERE tenant_id = $1 AND version = $2 FOR SHARE`, []any{tenant[:], version}, check)
}

// subscriptionsOf is what is locked by those who change a tenant's subscriptions,
// and shared by those who publish by them.
func subscriptionsOf(tenant id.ID) string { return "subscriptions " + tenant.String() }

// selectChanged returns the subscriptions of a tenant that have changed after a
// version, deleted ones included.
func (s *Service) selectChanged(q db.Queryer, tenant id.ID, after int64) ([]*Subscription, error) {
	return s.collectSubscriptions(q.Query(`SELECT `+subscriptionFields+` FROM subscription
		WHERE tenant_id = $1 AND version > $2 ORDER BY version`, tenant[:], after))
}

func setCancelling(tx *db.Tx, sub id.ID, cancelling bool) error {
	_, err := tx.Exec(`UPDATE subscription SET cancelling = $2 WHERE id = $1`, sub[:], cancelling)
	return err
}

// nextCancelling returns a subscription whose deliveries are still to be
// cancelled, or db.ErrNoRows.
func nextCancelling(q db.Queryer) (id.ID, error) {
	var sub id.ID
	err := q.QueryRow(`SELECT id FROM subscription WHERE cancelling LIMIT 1`).Scan(&sub)
	return sub, err
}

func selectCancelling(q db.Queryer, sub id.ID) (string, bool, error) {
	var reason string
	var cancelling bool
	err := q.QueryRow(`SELECT reason, cancelling FROM subscription WHERE id = $1`, sub[:]).Scan(&reason, &cancelling)
	return reason, cancelling, err
}

// cancelSome cancels at most limit deliveries that wait for the subscription
// and returns how many it found. What is held is cancelled too where it can't be
// recovered any more.
func cancelSome(tx *db.Tx, sub id.ID, reason string, limit int) (int, error) {
	const cancel = `UPDATE delivery SET status = 4, epoch = epoch + 1, next_at = NULL, updated_at = $2, reason = $3
		WHERE (tenant_id, event_id, subscription_id) IN (
			SELECT tenant_id, event_id, subscription_id FROM delivery WHERE subscription_id = $1 AND `
	n, err := tx.Exec(cancel+`status <= 1 LIMIT $4)`, sub[:], db.Micro(tx.Now()), reason, limit)
	if err != nil || reason != ReasonSubscriptionDeleted || int(n) == limit {
		return int(n), err
	}
	held, err := tx.Exec(cancel+`status = 5 LIMIT $4)`, sub[:], db.Micro(tx.Now()), reason, limit-int(n))
	return int(n + held), err
}
