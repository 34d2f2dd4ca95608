package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// maxFirst is how many bytes of error, headers and body a first attempt may have
// to be kept in the row of its delivery. Lists of deliveries read these rows;
// above about 1,000 bytes in all SQLite would give each a further page.
const maxFirst = 512

// The parts of the statements that decide what becomes of a delivery: what they
// set, and that nobody has intervened. Their first arguments are those of
// Outcome.columns.
const (
	decide  = `UPDATE delivery SET status = $5, step = $6, next_at = $7, updated_at = $8, response_status = $9, reason = $10, attempts = `
	ofEpoch = ` WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND epoch = $4`
)

// recordAttempt counts an attempt, decides the delivery's fate unless somebody
// intervened since it began, and keeps what came of it.
func recordAttempt(tx *db.Tx, o *Outcome) error {
	j, a := &o.Job, &o.Attempt
	o.Superseded, a.Number = false, j.Attempts+1
	if recorded, err := recordFirst(tx, o); err != nil || recorded {
		return err
	}
	decided, err := tx.Exec(decide+`$11`+ofEpoch+` AND attempts = $11 - 1`, append(o.columns(tx), a.Number)...)
	if err != nil {
		return err
	}
	if decided == 0 {
		if known, err := countAttempt(tx, o); err != nil || !known {
			return err
		}
		if err := forgetEcho(tx, o); err != nil {
			return err
		}
	}
	return insertAttempt(tx, j, a)
}

// recordFirst does all that in one statement where the attempt is the first of
// its delivery, small, and not superseded: what came of it is kept in the
// delivery's row. It reports whether it did.
func recordFirst(tx *db.Tx, o *Outcome) (bool, error) {
	a := &o.Attempt
	if a.Number > 1 {
		return false, nil
	}
	headers := formatHeaders(a.Headers)
	if len(a.Error)+len(headers)+len(a.Body) > maxFirst {
		return false, nil
	}
	recorded, err := tx.Exec(decide+`1, first_response_status = $9, first_reason = $10,
			first_started_at = $11, first_timing = $12, first_verdict = $13, first_error = $14, first_headers = $15, first_body = $16`+
		ofEpoch+` AND attempts = 0`,
		append(o.columns(tx), db.Micro(a.StartedAt), formatTiming(a.Timing), string(a.Verdict), a.Error, headers, a.Body)...)
	return recorded == 1, err
}

// columns returns the first ten arguments of the statements that decide.
func (o *Outcome) columns(tx *db.Tx) []any {
	j, a := &o.Job, &o.Attempt
	var next any
	if o.Status == Retrying {
		next = db.Micro(o.NextAt)
	}
	return []any{
		j.TenantID[:], j.EventID[:], j.Sub.ID[:], j.Epoch, int(o.Status), j.Step + 1, next, db.Micro(tx.Now()), a.ResponseStatus, string(a.Reason),
	}
}

// countAttempt counts and decides where the row is not as the job left it:
// another attempt was recorded since, and this one gets the next number, or
// somebody intervened, and this one only counts. It reports whether there is
// still a delivery to count for.
func countAttempt(tx *db.Tx, o *Outcome) (bool, error) {
	j, a := &o.Job, &o.Attempt
	err := tx.QueryRow(decide+`attempts + 1`+ofEpoch+` RETURNING attempts`, o.columns(tx)...).Scan(&a.Number)
	if !errors.Is(err, db.ErrNoRows) {
		return true, err
	}
	o.Superseded = true
	err = tx.QueryRow(`UPDATE delivery SET attempts = attempts + 1, response_status = $4
		WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 RETURNING attempts`,
		j.TenantID[:], j.EventID[:], j.Sub.ID[:], a.ResponseStatus).Scan(&a.Number)
	if errors.Is(err, db.ErrNoRows) {
		return false, nil
	}
	return true, err
}

// forgetEcho drops what the receiver answered where the event's body was removed
// while the attempt was under way: the answer may repeat it.
func forgetEcho(tx *db.Tx, o *Outcome) error {
	gone, err := bodyIsGone(tx, o.Job.TenantID, o.Job.EventID)
	if gone {
		o.Attempt.Headers, o.Attempt.Body = nil, nil
	}
	return err
}

func insertAttempt(tx *db.Tx, j *Job, a *Attempt) error {
	_, err := tx.Exec(`INSERT INTO attempt (tenant_id, event_id, subscription_id, number, started_at, timing, response_status, verdict, reason, error, headers, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		j.TenantID[:], j.EventID[:], j.Sub.ID[:], a.Number, db.Micro(a.StartedAt), formatTiming(a.Timing), a.ResponseStatus,
		string(a.Verdict), string(a.Reason), a.Error, formatHeaders(a.Headers), a.Body)
	return err
}

// listAttempts returns the latest attempts in their order, as many as are shown.
func listAttempts(q db.Queryer, tenant, event, sub id.ID) ([]Attempt, error) {
	rows, err := q.Query(`SELECT number, started_at, timing, response_status, verdict, reason, error, headers, body FROM attempt
			WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3
		UNION ALL
		SELECT 1, first_started_at, first_timing, first_response_status, first_verdict, first_reason, first_error, first_headers, first_body FROM delivery
			WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND first_started_at IS NOT NULL
		ORDER BY number DESC LIMIT $4`, tenant[:], event[:], sub[:], maxAttemptsShown)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var attempts []Attempt
	for rows.Next() {
		var a Attempt
		var started int64
		var timing, headers string
		if err := rows.Scan(&a.Number, &started, &timing, &a.ResponseStatus, &a.Verdict, &a.Reason, &a.Error, &headers, &a.Body); err != nil {
			return nil, err
		}
		a.StartedAt, a.Timing = db.FromMicro(started), parseTiming(timing)
		if headers != "" {
			if err := json.Unmarshal([]byte(headers), &a.Headers); err != nil {
				return nil, fmt.Errorf("webhook: read the headers of an attempt: %w", err)
			}
		}
		attempts = append(attempts, a)
	}
	slices.Reverse(attempts)
	return attempts, rows.Err()
}

// formatHeaders writes headers as the JSON that a list of them is read from.
func formatHeaders(headers []wire.Header) string {
	if len(headers) == 0 {
		return ""
	}
	b := make([]byte, 0, 256)
	for _, h := range headers {
		b = append(b, `,{"Name":`...)
		b = wire.AppendQuoted(b, h.Name)
		b = append(b, `,"Value":`...)
		b = wire.AppendQuoted(b, h.Value)
		b = append(b, '}')
	}
	b[0] = '['
	return string(append(b, ']'))
}

// parts lists the parts of a timing in the order in which they are stored.
func (t *Timing) parts() []*time.Duration {
	return []*time.Duration{&t.DNS, &t.Connect, &t.TLS, &t.FirstByte, &t.Total}
}

func formatTiming(t Timing) string {
	b := make([]byte, 0, 32)
	for i, part := range t.parts() {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, part.Microseconds(), 10)
	}
	return string(b)
}

func parseTiming(text string) Timing {
	var t Timing
	parts := t.parts()
	for i, field := range strings.Fields(text) {
		if us, err := strconv.ParseInt(field, 10, 64); err == nil && i < len(parts) {
			*parts[i] = time.Duration(us) * time.Microsecond
		}
	}
	return t
}
