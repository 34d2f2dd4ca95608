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
// set, and that nobody has intervened or taken it over. Their first arguments are
// those of Outcome.columns.
const (
	decide = `UPDATE delivery SET owner = 0, status = $5, step = $6, next_at = $7, updated_at = $8, response_status = $9, reason = $10, attempts = `
	ofJob  = ` WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND epoch = $4 AND owner = $11`
)

// recordAttempts counts attempts, decides their deliveries' fates unless somebody
// intervened since they began, and keeps what came of them, in their order.
func recordAttempts(tx *db.Tx, outcomes []Outcome) error {
	type delivery struct{ event, sub id.ID }
	from, decided := 0, make(map[delivery]bool)
	for i := range outcomes {
		o := &outcomes[i]
		of := delivery{o.Job.EventID, o.Job.Sub.ID}
		// What Later does for several is known when they all are decided; of two
		// attempts of one delivery the first has to be kept before.
		if !tx.Shared() || decided[of] {
			if err := keepAttempts(tx, outcomes[from:i]); err != nil {
				return err
			}
			from = i
			clear(decided)
		}
		if err := decideOutcome(tx, o); err != nil {
			return err
		}
		if tx.Shared() {
			decided[of] = true
		}
	}
	return keepAttempts(tx, outcomes[from:])
}

// keepAttempts keeps what came of attempts whose deliveries are decided, or can't be.
func keepAttempts(tx *db.Tx, outcomes []Outcome) error {
	if err := tx.Flush(); err != nil {
		return err
	}
	for i := range outcomes {
		o := &outcomes[i]
		if !o.decided {
			if err := recordLate(tx, o); err != nil {
				return err
			}
		}
		if o.inRow {
			continue
		}
		if err := insertAttempt(tx, &o.Job, &o.Attempt); err != nil {
			return err
		}
	}
	return nil
}

// decideOutcome decides a delivery that is as its job left it. Where the attempt is
// the first and small, what came of it is kept in the delivery's row.
func decideOutcome(tx *db.Tx, o *Outcome) error {
	a := &o.Attempt
	a.Number, a.Error = o.Job.Attempts+1, db.Storable(a.Error)
	o.Superseded, o.decided, o.inRow = false, false, false
	headers := formatHeaders(a.Headers)
	if a.Number > 1 || len(a.Error)+len(headers)+len(a.Body) > maxFirst {
		return tx.Later(decide+`$12`+ofJob+` AND attempts = $12 - 1`, append(o.columns(tx), a.Number), func(rows int64) error {
			o.decided = rows == 1
			return nil
		})
	}
	return tx.Later(decide+`1, first_response_status = $9, first_reason = $10,
			first_started_at = $12, first_timing = $13, first_verdict = $14, first_error = $15, first_headers = $16, first_body = $17`+
		ofJob+` AND attempts = 0`,
		append(o.columns(tx), db.Micro(a.StartedAt), formatTiming(a.Timing), string(a.Verdict), a.Error, headers, a.Body),
		func(rows int64) error {
			o.decided, o.inRow = rows == 1, rows == 1
			return nil
		})
}

// recordLate counts an attempt whose delivery is not as its job left it.
func recordLate(tx *db.Tx, o *Outcome) error {
	if o.repeated {
		before, err := recordedBefore(tx, o)
		if before || err != nil {
			o.inRow, o.Superseded = before, before // what followed from it has followed
			return err
		}
	}
	known, err := countAttempt(tx, o)
	if o.inRow = !known; !known || err != nil {
		return err
	}
	return forgetEcho(tx, o)
}

// recordedBefore reports whether an attempt is on record already: the commit that
// put it there took place, and its answer was lost.
func recordedBefore(q db.Queryer, o *Outcome) (bool, error) {
	before := false
	err := q.QueryRow(`SELECT EXISTS (SELECT 1 FROM delivery WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND first_started_at = $4)
		OR EXISTS (SELECT 1 FROM attempt WHERE tenant_id = $1 AND event_id = $2 AND subscription_id = $3 AND started_at = $4)`,
		o.Job.TenantID[:], o.Job.EventID[:], o.Job.Sub.ID[:], db.Micro(o.Attempt.StartedAt)).Scan(&before)
	return before, err
}

// columns returns the first eleven arguments of the statements that decide.
func (o *Outcome) columns(tx *db.Tx) []any {
	j, a := &o.Job, &o.Attempt
	var next any
	if o.Status == Retrying {
		next = db.Micro(o.NextAt)
	}
	return []any{
		j.TenantID[:], j.EventID[:], j.Sub.ID[:], j.Epoch, int(o.Status), j.Step + 1, next, db.Micro(tx.Now()), a.ResponseStatus, string(a.Reason), j.Owner,
	}
}

// countAttempt counts and decides where the row is not as the job left it:
// another attempt was recorded since, and this one gets the next number, or
// somebody intervened, and this one only counts. It reports whether there is
// still a delivery to count for.
func countAttempt(tx *db.Tx, o *Outcome) (bool, error) {
	j, a := &o.Job, &o.Attempt
	err := tx.QueryRow(decide+`attempts + 1`+ofJob+` RETURNING attempts`, o.columns(tx)...).Scan(&a.Number)
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
	return tx.Later(`INSERT INTO attempt (tenant_id, event_id, subscription_id, number, started_at, timing, response_status, verdict, reason, error, headers, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		[]any{
			j.TenantID[:], j.EventID[:], j.Sub.ID[:], a.Number, db.Micro(a.StartedAt), formatTiming(a.Timing), a.ResponseStatus,
			string(a.Verdict), string(a.Reason), a.Error, formatHeaders(a.Headers), a.Body,
		}, nil)
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
