package ledger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// BenchmarkAward awards to a thousand new people in each transaction, so that the
// commit counts for little.
func BenchmarkAward(b *testing.B) {
	book := openBook(b)
	const many = 1000
	for done := 0; b.Loop(); done += many {
		err := book.d.Write(b.Context(), func(tx *db.Tx) error {
			for i := range many {
				g := book.grant(id.New(start), 100, time.Time{})
				g.Wallet.Person = id.New(start)
				e := ledger.Entry{Tenant: book.tenant, Ref: fmt.Sprint("award ", done+i), At: start}
				if _, err := ledger.Award(tx, e, g); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*many), "µs/award")
}
