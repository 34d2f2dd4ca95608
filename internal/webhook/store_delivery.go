package webhook

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// The columns of a new event and their values.
const (
	newEvent       = `INSERT INTO event (tenant_id, id, dialect, type, occurred_at, traceparent, body, subject_version) `
	newEventValues = `$1, $2, $3, $4, $5, $6, $7, $8`
)

// insertEvents stores events if the tenant's subscriptions still have the version. If
// they don't the transaction fails with errStale. Where others commit meanwhile the
// version is held; see holdVersion.
func insertEvents(tx *db.Tx, tenant id.ID, what storing, version int64) error {
	rows := make([][]any, len(what.events))
	for i := range what.events {
		e := &what.events[i].event
		rows[i] = []any{tenant[:], e.ID[:], e.Dialect, e.Type, db.Micro(e.OccurredAt), what.traceparent, e.Body, e.SubjectVersion}
	}
	if !tx.Shared() && !what.confirmed && len(rows) > 0 { // by the time of the others it can't have changed
		err := tx.Later(newEvent+`SELECT `+newEventValues+`
			WHERE coalesce((SELECT version FROM subscription_version WHERE tenant_id = $1), 0) = $9`, append(rows[0], version), notStale)
		if err != nil {
			return err
		}
		rows = rows[1:]
	}
	return tx.Insert(newEvent+`VALUES (`+newEventValues+`)`, rows)
}

func notStale(rows int64) error {
	if rows == 0 {
		return errStale
	}
	return nil
}

// newDelivery inserts one row as deliveryRow returns it.
const newDelivery = `INSERT INTO delivery (tenant_id, event_id, subscription_id, status, attempts, step, epoch, next_at, updated_at, response_status, reason, owner)
	VALUES ($1, $2, $3, $4, 0, 0, 0, $5, $6, 0, $7, $8)`

func deliveryRow(tx *db.Tx, j *Job) []any {
	status, next, reason := Pending, any(db.Micro(j.DueAt)), ""
	if !j.Sub.Enabled {
		status, next, reason = Held, nil, ReasonDisabled
	}
	return []any{j.TenantID[:], j.EventID[:], j.Sub.ID[:], int(status), next, db.Micro(tx.Now()), reason, j.Owner}
}

// answerBytes is how long an answer is as it is stored with an idempotency key:
// the event's id and the number of its deliveries.
const answerBytes = len(id.ID{}) + 4

// selectIdempotencyKey returns the fingerprint and the answers of a key, or nil
// if it is new, or one of its events is no longer kept.
func selectIdempotencyKey(q db.Queryer, tenant id.ID, key string) ([]byte, []Published, error) {
	var print, packed []byte
	err := q.QueryRow(`SELECT fingerprint, answers FROM idempotency_key WHERE tenant_id = $1 AND key = $2`, tenant[:], key).Scan(&print, &packed)
	if errors.Is(err, db.ErrNoRows) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	answers := make([]Published, 0, len(packed)/answerBytes)
	for ; len(packed) >= answerBytes; packed = packed[answerBytes:] {
		event := id.ID(packed[:len(id.ID{})])
		e, err := selectEvent(q, tenant, event)
		if problem.NotFound.Has(err) { // a key is forgotten with the first of its events that goes
			return nil, nil, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("webhook: read a published event: %w", err)
		}
		answers = append(answers, Published{
			ID: event, Type: e.Type, OccurredAt: e.OccurredAt, Deliveries: int(binary.BigEndian.Uint32(packed[len(id.ID{}):])),
		})
	}
	return print, answers, nil
}

// insertIdempotencyKey stores a key that is new or forgotten.
func insertIdempotencyKey(tx *db.Tx, tenant id.ID, key string, print []byte, answers []Published) error {
	packed := make([]byte, 0, len(answers)*answerBytes)
	for _, a := range answers {
		packed = append(packed, a.ID[:]...)
		packed = binary.BigEndian.AppendUint32(packed, uint32(a.Deliveries)) //nolint:gosec // not negative, and far fewer
	}
	return tx.Later(`INSERT INTO idempotency_key (tenant_id, key, event_id, fingerprint, answers) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (tenant_id, key) DO UPDATE SET event_id = excluded.event_id, fingerprint = excluded.fingerprint, answers = excluded.answers`,
		[]any{tenant[:], key, answers[0].ID[:], print, packed}, nil)
}

// lockIdempotencyKey lets nobody else publish with the key meanwhile, and has what
// was published with it before in this transaction stored, so that it is found.
func lockIdempotencyKey(tx *db.Tx, tenant id.ID, key string) error {
	type used struct {
		tenant id.ID
		key    string
	}
	if err := tx.Lock("idempotency " + tenant.String() + key); err != nil {
		return err
	}
	first := false
	if _, err := db.Once(tx, used{tenant, key}, func() (bool, error) { first = true; return true, nil }); err != nil || first {
		return err
	}
	return tx.Flush()
}

func selectEvent(q db.Queryer, tenant, event id.ID) (Event, error) {
	e := Event{ID: event}
	var occurred int64
	err := q.QueryRow(`SELECT dialect, type, occurred_at, subject_version, body FROM event WHERE tenant_id = $1 AND id = $2`,
		tenant[:], event[:]).Scan(&e.Dialect, &e.Type, &occurred, &e.SubjectVersion, &e.Body)
	if errors.Is(err, db.ErrNoRows) {
		return Event{}, problem.NotFound.New("there is no such event")
	}
	e.OccurredAt = db.FromMicro(occurred)
	return e, err
}

// conditions collects the parts of a WHERE clause and their arguments.
type conditions struct {
	text []string
	args []any
}

// place adds an argument and returns where it stands.
func (c *conditions) place(arg any) string {
	c.args = append(c.args, arg)
	return "$" + strconv.Itoa(len(c.args))
}

// add adds a condition in which %s stands for the arguments' places.
func (c *conditions) add(format string, args ...any) {
	places := make([]any, len(args))
	for i, arg := range args {
		places[i] = c.place(arg)
	}
	c.text = append(c.text, fmt.Sprintf(format, places...))
}

// between restricts an event's id to those made from since until before until.
func (c *conditions) between(column string, since, until time.Time) {
	if !since.IsZero() {
		first := id.First(since)
		c.add(column+" >= %s", first[:])
	}
	if !until.IsZero() {
		first := id.First(until)
		c.add(column+" < %s", first[:])
	}
}

// status restricts the state of a delivery. It names the states as literals, so
// that the planner can see which partial index holds them. An unknown word
// chooses nothing.
func (c *conditions) status(word string) {
	text := map[string]string{
		"":          "1 = 1",
		"pending":   "d.status <= 1",
		"delivered": "d.status = 2",
		"failed":    "d.status = 3 AND d.status > 2",
		"cancelled": "d.status = 4 AND d.status > 2",
		"held":      "d.status = 5 AND d.status > 2",
	}[word]
	if text == "" {
		text = "1 = 0"
	}
	c.text = append(c.text, text)
}

// deliveries restricts deliveries to those of a tenant that a filter chooses.
//
// Without statistics the planner prefers to read all of a tenant's deliveries.
// Where another index holds fewer the tenant is compared as an expression, which
// leaves it that index alone.
func (c *conditions) deliveries(tenant id.ID, filter DeliveryFilter) {
	const anywhere = "coalesce(d.tenant_id, d.tenant_id) = %s"
	switch bySub := !filter.SubscriptionID.IsZero(); {
	case !filter.EventID.IsZero():
		c.add("d.tenant_id = %s AND d.event_id = %s", tenant[:], filter.EventID[:])
		if bySub {
			c.add("d.subscription_id = %s", filter.SubscriptionID[:])
		}
	case filter.Status == "pending" && bySub:
		c.add(anywhere, tenant[:])
		c.add("d.subscription_id IN (SELECT id FROM subscription WHERE id = %s)", filter.SubscriptionID[:])
	case filter.Status == "pending":
		c.add(anywhere, tenant[:])
		c.add("d.subscription_id IN (SELECT id FROM subscription WHERE tenant_id = %s AND deleted_at IS NULL)", tenant[:])
	case bySub && (filter.Status == "" || filter.Status == "delivered"):
		c.add(anywhere+" AND d.subscription_id = %s", tenant[:], filter.SubscriptionID[:])
	case bySub:
		c.add("d.tenant_id = %s AND d.subscription_id = %s", tenant[:], filter.SubscriptionID[:])
	default:
		c.add("d.tenant_id = %s", tenant[:])
	}
	c.status(filter.Status)
	c.outcome(filter)
	if filter.EventType != "" {
		c.add("EXISTS (SELECT 1 FROM event t WHERE t.tenant_id = %s AND t.id = d.event_id AND t.type = %s)", tenant[:], filter.EventType)
	}
	c.between("d.event_id", filter.Since, filter.Until)
}

// outcome restricts what the last attempt came to. Deliveries that ended badly have
// an index of their own. It does not hold these columns; named directly they would
// make the planner read all of a tenant's deliveries instead.
func (c *conditions) outcome(filter DeliveryFilter) {
	from := "d.%s"
	switch filter.Status {
	case "failed", "cancelled", "held":
		from = "(SELECT o.%s FROM delivery o WHERE o.tenant_id = d.tenant_id AND o.event_id = d.event_id AND o.subscription_id = d.subscription_id)"
	}
	status, reason := fmt.Sprintf(from, "response_status"), fmt.Sprintf(from, "reason")
	if filter.ResponseStatus != 0 {
		c.add(status+" = %s", filter.ResponseStatus)
	}
	if filter.ResponseClass != 0 {
		c.add(status+" BETWEEN %s AND %s", filter.ResponseClass*100, filter.ResponseClass*100+99)
	}
	if filter.Reason != "" {
		c.add(reason+" = %s", filter.Reason)
	}
}

func listEvents(q db.Queryer, tenant id.ID, filter EventFilter, before id.ID, limit int) ([]Event, error) {
	var where conditions
	// Where deliveries decide they come first: the ids of their events stand in
	// the order of the list in their index.
	chosen, key := `SELECT e.id FROM event e WHERE `, "e.id"
	if filter.DeliveryStatus == "" {
		where.add("e.tenant_id = %s", tenant[:])
		where.between(key, filter.Since, filter.Until)
	} else {
		// The event's tenant is compared with the argument: compared with the
		// delivery's, and with a bound on its id, the planner would read the
		// tenant's whole history for each delivery.
		chosen = `SELECT DISTINCT d.event_id AS id FROM delivery d JOIN event e ON e.tenant_id = ` + where.place(tenant[:]) + ` AND e.id = d.event_id WHERE `
		key = "d.event_id"
		where.deliveries(tenant, DeliveryFilter{Status: filter.DeliveryStatus, Since: filter.Since, Until: filter.Until})
	}
	if !before.IsZero() {
		where.add(key+" < %s", before[:])
	}
	if filter.Type != "" {
		where.add("e.type = %s", filter.Type)
	}
	rows, err := q.Query(`SELECT e.id, e.dialect, e.type, e.occurred_at
		FROM (`+chosen+strings.Join(where.text, " AND ")+`
			ORDER BY 1 DESC LIMIT `+where.place(limit)+`) k
		JOIN event e ON e.tenant_id = `+where.place(tenant[:])+` AND e.id = k.id
		ORDER BY k.id DESC`, where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []Event
	for rows.Next() {
		var e Event
		var occurred int64
		if err := rows.Scan(&e.ID, &e.Dialect, &e.Type, &occurred); err != nil {
			return nil, err
		}
		e.OccurredAt = db.FromMicro(occurred)
		events = append(events, e)
	}
	return events, rows.Err()
}

// waitingSubscriptions returns the living subscriptions that the event is still
// to be sent to.
func waitingSubscriptions(q db.Queryer, tenant, event id.ID) ([]id.ID, error) {
	rows, err := q.Query(`SELECT d.subscription_id FROM delivery d JOIN subscription s ON s.id = d.subscription_id
		WHERE d.tenant_id = $1 AND d.event_id = $2 AND d.status IN (0, 1) AND s.deleted_at IS NULL`, tenant[:], event[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var subs []id.ID
	for rows.Next() {
		var sub id.ID
		if err := rows.Scan(&sub); err != nil {
			return nil, err
		}
		subs = append(subs, sub)
	}
	return subs, rows.Err()
}

// expungeBody overwrites the body and cancels what waited to be sent.
func expungeBody(tx *db.Tx, tenant, event id.ID) error {
	if _, err := tx.Exec(`UPDATE event SET body = NULL WHERE tenant_id = $1 AND id = $2`, tenant[:], event[:]); err != nil {
		return err
	}
	// Of those that have ended an attempt may still be under way: it decides nothing
	// either, and what the receiver answers is dropped.
	_, err := tx.Exec(`UPDATE delivery SET epoch = epoch + 1 WHERE tenant_id = $1 AND event_id = $2`, tenant[:], event[:])
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE delivery SET status = 4, next_at = NULL, updated_at = $3, reason = $4
		WHERE tenant_id = $1 AND event_id = $2 AND status IN (0, 1, 5)`, tenant[:], event[:], db.Micro(tx.Now()), ReasonBodyExpunged)
	return err
}

const deliveryColumns = `d.event_id, d.subscription_id, e.type, d.status, d.attempts, d.next_at, d.updated_at, d.response_status, d.reason
	FROM delivery d JOIN event e ON e.tenant_id = d.tenant_id AND e.id = d.event_id`

func scanDelivery(row scanner) (Delivery, error) {
	var d Delivery
	var next db.NullMicro
	var updated int64
	err := row.Scan(&d.EventID, &d.SubscriptionID, &d.EventType, &d.Status, &d.Attempts, &next, &updated, &d.ResponseStatus, &d.Reason)
	d.NextAt, d.UpdatedAt = next.Time, db.FromMicro(updated)
	return d, err
}

func selectDelivery(q db.Queryer, tenant, event, sub id.ID) (Delivery, error) {
	d, err := scanDelivery(q.QueryRow(`SELECT `+deliveryColumns+` WHERE d.tenant_id = $1 AND d.event_id = $2 AND d.subscription_id = $3`,
		tenant[:], event[:], sub[:]))
	if errors.Is(err, db.ErrNoRows) {
		return Delivery{}, problem.NotFound.New("there is no such delivery")
	}
	return d, err
}

func listDeliveries(q db.Queryer, tenant id.ID, filter DeliveryFilter, beforeEvent, beforeSub id.ID, limit int) ([]Delivery, error) {
	var where conditions
	where.deliveries(tenant, filter)
	if !beforeEvent.IsZero() {
		where.add("(d.event_id, d.subscription_id) < (%s, %s)", beforeEvent[:], beforeSub[:])
	}
	// First the keys, which the indexes hold; the rows only of those that are
	// listed.
	rows, err := q.Query(`SELECT `+deliveryColumns+`
		JOIN (SELECT d.tenant_id, d.event_id, d.subscription_id FROM delivery d WHERE `+strings.Join(where.text, " AND ")+`
			ORDER BY d.event_id DESC, d.subscription_id DESC LIMIT `+where.place(limit)+`) k
		ON d.tenant_id = k.tenant_id AND d.event_id = k.event_id AND d.subscription_id = k.subscription_id
		ORDER BY k.event_id DESC, k.subscription_id DESC`, where.args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var deliveries []Delivery
	for rows.Next() {
		d, err := scanDelivery(rows)
		if err != nil {
			return nil, err
		}
		deliveries = append(deliveries, d)
	}
	return deliveries, rows.Err()
}

// restartDelivery makes a delivery due now, with its schedule from the beginning.
func restartDelivery(tx *db.Tx, tenant, event, sub id.ID) error {
	_, err := tx.Exec(`UPDATE delivery SET status = 0, step = 0, epoch = epoch + 1, owner = 0, next_at = $4, updated_at = $4,
		reason = CASE WHEN status IN (4, 5) THEN '' ELSE reason END
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3`, tenant[:], event[:], sub[:], db.Micro(tx.Now()))
	return err
}

// selectDue reads in the order of the index delivery_due, so that it touches no
// more rows than it returns. What is to be sent is not read yet.
func selectDue(q db.Queryer, query DueQuery) ([]Job, error) {
	rows, err := q.Query(`SELECT `+jobColumns+` FROM delivery
		WHERE subscription_id = $1 AND status = $2 AND status <= 1 AND next_at <= $3
		ORDER BY next_at, tenant_id, event_id LIMIT $4`, query.Sub.ID[:], int(query.Lane), db.Micro(query.Now), query.Limit)
	if err != nil {
		return nil, err
	}
	return collectJobs(rows, query.Sub)
}

// selectMessage reads what a job sends.
func selectMessage(q db.Queryer, j *Job) error {
	err := q.QueryRow(`SELECT type, traceparent, subject_version, body FROM event WHERE tenant_id = $1 AND id = $2`, j.TenantID[:], j.EventID[:]).
		Scan(&j.Type, &j.Traceparent, &j.Version, &j.Body)
	if err != nil {
		return fmt.Errorf("webhook: read the event %s: %w", j.EventID, err)
	}
	return nil
}

func selectNextDue(q db.Queryer, query DueQuery) (time.Time, error) {
	var next db.NullMicro
	err := q.QueryRow(`SELECT min(next_at) FROM delivery WHERE subscription_id = $1 AND status = $2 AND status <= 1 AND next_at > $3`,
		query.Sub.ID[:], int(query.Lane), db.Micro(query.Now)).Scan(&next)
	return next.Time, err
}

// selectDepths counts what waits for subscriptions that are sent to.
func selectDepths(q db.Queryer) ([]depth, error) {
	depths := []depth{{status: Pending}, {status: Retrying}}
	for i := range depths {
		var oldest db.NullMicro
		err := q.QueryRow(`SELECT coalesce(sum(waits.n), 0), min(waits.oldest) FROM (
				SELECT subscription_id, count(*) AS n, min(next_at) AS oldest FROM delivery
				WHERE status = `+strconv.Itoa(int(depths[i].status))+` AND status <= 1 GROUP BY subscription_id) waits
			JOIN subscription s ON s.id = waits.subscription_id WHERE s.status = 'enabled' AND s.deleted_at IS NULL`).
			Scan(&depths[i].count, &oldest)
		if err != nil {
			return nil, err
		}
		depths[i].oldest = oldest.Time
	}
	return depths, nil
}
