package dispatch_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing/synctest"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// sendAgain replays what has ended of a subscription, or recovers it. As nothing
// else goes on, all of it is made due in the instant in which it is asked for.
func (w *world) sendAgain() {
	sub := w.pick()
	if !sub.Enabled {
		return
	}
	filter := webhook.ReplayFilter{SubscriptionID: sub.ID, Statuses: []string{"failed", "held"}, Since: time.Now().Add(-time.Duration(w.rng.Int64N(int64(48 * time.Hour))))}
	recovers := w.rng.IntN(2) == 0
	if !recovers {
		filter.Statuses = [][]string{{"delivered"}, {"cancelled", "failed"}, {"delivered", "failed", "held", "cancelled"}}[w.rng.IntN(3)]
	}
	chosen := w.chosen(sub, filter)
	for _, key := range chosen {
		w.notes.restarted(key)
	}
	var r webhook.Replay
	var err error
	if recovers {
		w.notes.renewed(sub.ID)
		r, err = w.s.Webhooks.Recover(w.t.Context(), w.s.Tenant, sub.ID, filter.Since, time.Time{})
		w.notes.renewed(sub.ID)
	} else {
		r, err = w.s.Webhooks.StartReplay(w.t.Context(), w.s.Tenant, filter)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
	r = must[webhook.Replay](w.t)(w.s.Webhooks.Replay(w.t.Context(), w.s.Tenant, r.ID))
	if r.State != "completed" || r.Done != int64(len(chosen)) {
		w.t.Errorf("the replay is %s after %d of %d deliveries", r.State, r.Done, len(chosen))
	}
	for _, key := range chosen { // from now on, since a recovery lets the endpoint go on before they are due
		if d, _ := w.s.MustDelivery(w.t, key.event, sub); d.Status == webhook.Retrying {
			w.notes.waits(key)
		}
	}
}

// chosen returns the deliveries that a replay makes due.
func (w *world) chosen(sub *webhook.Subscription, filter webhook.ReplayFilter) []deliveryKey {
	var keys []deliveryKey
	page := webhook.Page{Limit: 250}
	for {
		deliveries, next, err := w.s.Webhooks.Deliveries(w.t.Context(), w.s.Tenant, webhook.DeliveryFilter{SubscriptionID: sub.ID, Since: filter.Since}, page)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, d := range deliveries {
			if slices.Contains(filter.Statuses, d.Status.String()) && !w.expunged[d.EventID] {
				keys = append(keys, deliveryKey{d.EventID, sub.ID})
			}
		}
		if page.Cursor = next; next == "" {
			return keys
		}
	}
}

// setClock restarts with a clock that was set meanwhile, up to two hours forth or
// back: to the next run all times on disk lie as much earlier or later.
func (w *world) setClock() {
	w.stop()
	by := time.Duration(w.rng.Int64N(int64(4*time.Hour))) - 2*time.Hour
	w.notes.shift(by)
	disk, err := db.Open(w.t.Context(), w.s.URL, db.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	err = disk.Write(w.t.Context(), func(tx *db.Tx) error {
		if _, err := tx.Exec(`UPDATE delivery SET next_at = next_at + $1 WHERE next_at IS NOT NULL`, by.Microseconds()); err != nil {
			return err
		}
		return shiftHealth(tx, by)
	})
	if err := errors.Join(err, disk.Close()); err != nil {
		w.t.Fatal(err)
	}
	w.s.MustStart(w.t, w.options())
}

// shiftHealth moves the times in the health of all endpoints.
func shiftHealth(tx *db.Tx, by time.Duration) error {
	rows, err := tx.Query(`SELECT subscription_id, health FROM endpoint_health`)
	if err != nil {
		return err
	}
	defer rows.Close()
	moved := make(map[id.ID][]byte)
	for rows.Next() {
		var sub id.ID
		var text []byte
		var h webhook.Health
		if err := rows.Scan(&sub, &text); err != nil {
			return err
		}
		if err := json.Unmarshal(text, &h); err != nil {
			return err
		}
		for _, at := range []*time.Time{&h.Since, &h.FailingSince, &h.Pause.Until} {
			if !at.IsZero() {
				*at = at.Add(by)
			}
		}
		if moved[sub], err = json.Marshal(h); err != nil {
			return err
		}
	}
	for sub, text := range moved {
		if _, err := tx.Exec(`UPDATE endpoint_health SET health = $2 WHERE subscription_id = $1`, sub[:], string(text)); err != nil {
			return err
		}
	}
	return rows.Err()
}
