package ledger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
)

func TestWhatIsReadAheadIsNeverBehindWhatWasBookedSince(t *testing.T) {
	run := func(t *testing.T, ahead func(tx *db.Tx, tenant id.ID, lots []id.ID) error) (ledger.Balance, []int64) {
		b := openBook(t)
		open, pending, other := b.award(500), id.New(start), b.award(300)
		b.must(promise(b.grant(pending, 200, time.Time{})))
		lots := []id.ID{open, pending, other, id.New(start)}
		if err := b.d.Write(t.Context(), func(tx *db.Tx) error {
			if err := ahead(tx, b.tenant, lots); err != nil {
				return err
			}
			for _, op := range []operation{
				redeem(open, 100), activate(pending, start.Add(time.Hour)), spend(b.wallet, 350), revoke(open, ledger.Negative),
				redeem(other, 50), reinstate(open), expire(pending), redeem(other, 20), spend(b.wallet, 10),
			} {
				e := b.entry()
				e.Fresh = true
				if _, err := op(tx, e); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		var left []int64
		for _, l := range b.lots(t) {
			left = append(left, l.Amount)
		}
		if faults := b.faults(t); len(faults) > 0 {
			t.Errorf("faults: %v", faults)
		}
		held := b.balance(t)
		if held.Stamp < time.Now().UnixMilli()-time.Minute.Milliseconds() {
			t.Errorf("the stamp is %d", held.Stamp)
		}
		held.Wallet, held.Stamp = ledger.Wallet{}, 0 // each run has its own
		return held, left
	}
	wantHeld, wantLeft := run(t, func(*db.Tx, id.ID, []id.ID) error { return nil })
	held, left := run(t, ledger.Ahead)
	if diff := cmp.Diff(wantHeld, held) + cmp.Diff(wantLeft, left); diff != "" {
		t.Errorf("read one by one (-), and ahead (+):\n%s", diff)
	}
}

func TestAReferenceThatIsSaidToBeFreshAndIsNotFailsTheTransaction(t *testing.T) {
	b := openBook(t)
	lot := b.award(500)
	e := b.entry()
	e.Fresh = true
	if _, err := b.book(e, redeem(lot, 100)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.book(e, redeem(lot, 100)); err == nil {
		t.Error("it was booked twice")
	}
	b.isRight(400, 0, 0, 0)
}
