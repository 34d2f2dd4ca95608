package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// searching is a filter that goes through all of a list of ones, n times.
func searching(n int) string {
	return `{"any":[` + strings.TrimSuffix(strings.Repeat(`{"contains":["data.a",2]},`, n), ",") + `]}`
}

// ones is data with a list of n ones.
func ones(n int) string { return `{"a":[` + strings.TrimSuffix(strings.Repeat("1,", n), ",") + `]}` }

func TestAnEventThatFiltersTakeTooLongForIsRefused(t *testing.T) {
	w := mustStarted(t)
	for i := range 40 {
		w.mustCreate(w.tenant, filtered(fmt.Sprintf(`{"any":[%s,{"eq":["data.b",%d]}]}`, searching(90), i), "a"))
	}
	plain := w.mustSubscribe("a")
	w.wantTo(webhook.Publication{Type: "a", Data: []byte(ones(100))}, plain)

	_, _, err := w.Publish(t.Context(), w.tenant, one("a", ones(120_000)))
	wantRefusedField(t, err, "data")
	p := batch(2, "a")
	p.Publications[1].Data = []byte(ones(120_000))
	_, _, err = w.Publish(t.Context(), w.tenant, p)
	wantRefusedField(t, err, "events[1].data")
	w.mustPublish(one("b", ones(120_000))) // which no filter is asked about
	w.wantRows(map[string]int{"event": 2})
}

func wantRefusedField(t *testing.T, err error, field string) {
	t.Helper()
	refusal, ok := errors.AsType[*problem.Error](err)
	if !ok || refusal.Code != problem.Invalid || len(refusal.Fields) != 1 || refusal.Fields[0].Name != field {
		t.Errorf("%s: the answer is %v", field, err)
	}
}

func TestWhoIsGoneHasNoFiltersAsked(t *testing.T) {
	w := mustStarted(t)
	w.mustCreate(w.tenant, filtered(searching(1), "a"))
	w.mustEvent("a") // so that the subscriptions are in memory
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.Publish(ctx, w.tenant, one("a", `{}`)); !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v", err)
	}
}

func TestAPublishWhoseSubscriptionsAlwaysChangeEndsWithAWord(t *testing.T) {
	for _, draft := range []webhook.Draft{draft("a"), filtered(searching(1), "a")} {
		w := mustStarted(t)
		w.mustCreate(w.tenant, draft)
		err := w.db.Write(t.Context(), func(tx *db.Tx) error { // each event is found out of date
			if !testkit.OnPostgres() {
				_, err := tx.Exec(`CREATE TRIGGER out_of_date BEFORE INSERT ON event BEGIN SELECT RAISE(IGNORE); END`)
				return err
			}
			for _, statement := range []string{ // the version is another one each time that it is read
				`ALTER TABLE subscription_version RENAME TO counted`,
				`CREATE VIEW subscription_version AS SELECT tenant_id, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS version FROM counted`,
			} {
				if _, err := tx.Exec(statement); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Publish(t.Context(), w.tenant, one("a", `{}`)); !problem.Unavailable.Has(err) {
			t.Errorf("the answer is %v", err)
		}
		w.wantRows(map[string]int{"event": 0, "delivery": 0})
	}
}
