package ledger_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

func TestWhatExpiresFirstIsSpentFirst(t *testing.T) {
	b := openBook(t)
	last := b.award(10)
	second := b.awardUntil(10, start.AddDate(0, 0, 9))
	third := b.awardUntil(10, start.AddDate(0, 0, 9)) // as the second, and younger
	first := b.awardUntil(10, start.AddDate(0, 0, 1))
	spent := b.must(spend(b.wallet, 34))
	want := []ledger.Part{
		{Lot: first, Amount: -10, Expires: start.AddDate(0, 0, 1)},
		{Lot: second, Amount: -10, Expires: start.AddDate(0, 0, 9)},
		{Lot: third, Amount: -10, Expires: start.AddDate(0, 0, 9)},
		{Lot: last, Amount: -4},
	}
	if diff := cmp.Diff(want, spent.Lots); diff != "" {
		t.Errorf("lots (-want +got):\n%s", diff)
	}
	if c := spent.Change; c.Before != 40 || c.After != 6 || c.Version != 5 || c.Unit != "cents" {
		t.Errorf("change: %+v", c)
	}
	b.isRight(6, 0, 0, 0)
}

func TestALotWhoseTimeIsOverIsNotSpentThoughItsExpiryIsNotBooked(t *testing.T) {
	b := openBook(t)
	over := b.awardUntil(10, start.Add(time.Hour))
	b.award(5)
	b.now = start.Add(time.Hour)
	if _, err := b.book(b.entry(), spend(b.wallet, 6)); !errors.Is(err, ledger.ErrInsufficient) || !problem.Conflict.Has(err) {
		t.Errorf("it was spent: %v", err)
	}
	if _, err := b.book(b.entry(), redeem(over, 1)); !errors.Is(err, ledger.ErrInsufficient) {
		t.Errorf("it was redeemed: %v", err)
	}
	b.must(spend(b.wallet, 5))
	b.isRight(10, 0, 0, 0)
	if gone := b.must(expire(over)); gone.Change.After != 0 || gone.Lots[0].Amount != -10 {
		t.Errorf("expiry: %+v", gone)
	}
	b.isRight(0, 0, 0, 0)
}

func TestAPromiseIsSpentOnlyOnceItIsActivated(t *testing.T) {
	b := openBook(t)
	lot := id.New(start)
	if c := b.must(promise(b.grant(lot, 10, time.Time{}))).Change; c.Before != 0 || c.After != 0 || c.Version != 1 {
		t.Errorf("the promise changed what is available: %+v", c)
	}
	b.isRight(0, 10, 0, 0)
	if _, err := b.book(b.entry(), redeem(lot, 1)); !problem.Conflict.Has(err) {
		t.Errorf("a pending lot was redeemed: %v", err)
	}
	b.must(expire(lot))
	b.isRight(0, 10, 0, 0)
	if c := b.must(activate(lot, start.Add(time.Hour))).Change; c.Before != 0 || c.After != 10 {
		t.Errorf("activation: %+v", c)
	}
	if _, err := b.book(b.entry(), activate(lot, time.Time{})); !problem.Conflict.Has(err) {
		t.Errorf("a lot was activated twice: %v", err)
	}
	b.isRight(10, 0, 0, 0)
	if want := []left{{lot, 10, start.Add(time.Hour), false}}; !cmp.Equal(want, b.lots(t)) {
		t.Errorf("lots: %v", b.lots(t))
	}
}

func TestARedemptionTakesFromItsLotAlone(t *testing.T) {
	b := openBook(t)
	b.awardUntil(10, start.Add(time.Hour))
	mine := b.award(10)
	b.must(redeem(mine, 4))
	b.must(redeem(mine, 6))
	if _, err := b.book(b.entry(), redeem(mine, 1)); !errors.Is(err, ledger.ErrInsufficient) {
		t.Errorf("an empty lot was redeemed: %v", err)
	}
	b.isRight(10, 0, 0, 0)
}

// Each case awards 10, spends 8 of it, and awards 5 more before the first is revoked.
func TestWhatWasSpentIsTakenBackAsThePolicySays(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	for policy, want := range map[ledger.Policy]struct {
		other                  int64 // awarded besides
		available, debt, owed  int64 // after the revocation
		next, debtNow, owedNow int64 // after another 6
	}{
		ledger.Keep:       {5, 5, 0, 0, 11, 0, 0},
		ledger.ToZero:     {5, 0, 0, 0, 6, 0, 0},
		ledger.Negative:   {5, -3, 3, 0, 3, 0, 0},
		ledger.OffsetNext: {5, 5, 0, 8, 5, 0, 2},
	} {
		t.Run(string(policy), func(t *testing.T) {
			b := newBook(t, d)
			revoked := b.award(10)
			b.must(spend(b.wallet, 8))
			b.award(want.other)
			c := b.must(revoke(revoked, policy)).Change
			if c.Before != 7 || c.After != want.available {
				t.Errorf("change: %+v", c)
			}
			b.isRight(want.available, 0, want.debt, want.owed)
			b.award(6)
			b.isRight(want.next, 0, want.debtNow, want.owedNow)
			b.must(reinstate(revoked))
			b.isRight(13, 0, 0, 0) // 10 - 8 + 5 + 6
		})
	}
}

func TestWhatExpiredIsNotTakenBack(t *testing.T) {
	b := openBook(t)
	lot := b.awardUntil(10, start.Add(time.Hour))
	b.must(redeem(lot, 3))
	b.must(expire(lot))
	b.must(revoke(lot, ledger.Negative))
	b.isRight(-3, 0, 3, 0)
}

func TestDebtIsPaidByWhateverIsCreditedNext(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	for name, credit := range map[string]func(b *book){
		"an award": func(b *book) { b.award(10) },
		"an activation": func(b *book) {
			lot := id.New(start)
			b.must(promise(b.grant(lot, 10, time.Time{})))
			b.isRight(-4, 10, 4, 0)
			b.must(activate(lot, time.Time{}))
		},
		"an adjustment": func(b *book) { b.must(adjust(b.wallet, 10)) },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, d)
			lot := b.award(4)
			b.must(spend(b.wallet, 4))
			b.must(revoke(lot, ledger.Negative))
			if _, err := b.book(b.entry(), spend(b.wallet, 1)); !errors.Is(err, ledger.ErrInsufficient) {
				t.Errorf("spent below zero: %v", err)
			}
			credit(b)
			b.isRight(6, 0, 0, 0)
			b.must(spend(b.wallet, 6))
			b.isRight(0, 0, 0, 0)
		})
	}
}

func TestDebtIsPaidBeforeWhatIsOwedIsKeptBack(t *testing.T) {
	b := openBook(t)
	first, second := b.award(10), b.award(10)
	b.must(spend(b.wallet, 20))
	b.must(revoke(first, ledger.OffsetNext))
	b.must(revoke(second, ledger.Negative))
	b.isRight(-10, 0, 10, 10)
	b.award(12)
	b.isRight(0, 0, 0, 8)
	if c := b.must(award(b.grant(id.New(start), 5, time.Time{}))).Change; c.Before != 0 || c.After != 0 {
		t.Errorf("an award that was kept back whole: %+v", c)
	}
	b.isRight(0, 0, 0, 3)
	b.must(reinstate(second)) // the 10 that were paid since come back, what is owed stays
	b.isRight(10, 0, 0, 3)
	b.must(reinstate(first)) // of 10 that were to be kept back, 7 were
	b.isRight(17, 0, 0, 0)
}

func TestARevokedPromiseComesBackAsAPromise(t *testing.T) {
	b := openBook(t)
	lot := id.New(start)
	b.must(promise(b.grant(lot, 10, time.Time{})))
	b.must(revoke(lot, ledger.Negative))
	b.isRight(0, 0, 0, 0)
	if _, err := b.book(b.entry(), activate(lot, time.Time{})); !problem.Conflict.Has(err) {
		t.Errorf("a revoked promise was activated: %v", err)
	}
	b.must(reinstate(lot))
	b.isRight(0, 10, 0, 0)
	b.must(activate(lot, time.Time{}))
	b.isRight(10, 0, 0, 0)
}

func TestALotIsRevokedOnceUntilItIsReinstated(t *testing.T) {
	b := openBook(t)
	lot := b.award(10)
	if _, err := b.book(b.entry(), reinstate(lot)); !problem.Conflict.Has(err) {
		t.Errorf("what was not revoked was reinstated: %v", err)
	}
	for range 2 {
		b.must(revoke(lot, ledger.Keep))
		if _, err := b.book(b.entry(), revoke(lot, ledger.Keep)); !problem.Conflict.Has(err) {
			t.Errorf("revoked twice: %v", err)
		}
		b.isRight(0, 0, 0, 0)
		back := b.must(reinstate(lot))
		if want := []ledger.Part{{Lot: lot, Amount: 10}}; !cmp.Equal(want, back.Lots) {
			t.Errorf("what came back: %v", back.Lots)
		}
		b.isRight(10, 0, 0, 0)
	}
}

func TestWhatComesBackPaysTheDebtThatArose(t *testing.T) {
	b := openBook(t)
	lot := b.award(10)
	other := b.awardUntil(10, start.Add(time.Hour))
	b.must(spend(b.wallet, 10)) // all of the other
	b.must(revoke(lot, ledger.Keep))
	b.must(revoke(other, ledger.Negative))
	b.isRight(-10, 0, 10, 0)
	b.must(reinstate(lot))
	b.isRight(0, 0, 0, 0)
	b.must(reinstate(other))
	b.isRight(10, 0, 0, 0)
}

func TestAnAdjustmentGoesBothWays(t *testing.T) {
	b := openBook(t)
	lot := b.must(adjust(b.wallet, 10)).ID
	b.must(adjust(b.wallet, -4))
	if _, err := b.book(b.entry(), adjust(b.wallet, -7)); !errors.Is(err, ledger.ErrInsufficient) {
		t.Errorf("adjusted below zero: %v", err)
	}
	b.isRight(6, 0, 0, 0)
	b.must(revoke(lot, ledger.Keep))
	b.isRight(0, 0, 0, 0)
}

func TestOneTransactionSeesWhatItHasBooked(t *testing.T) {
	b := openBook(t)
	first, second := id.New(start), id.New(start)
	err := b.d.Write(t.Context(), func(tx *db.Tx) error {
		for _, op := range []operation{
			award(b.grant(first, 10, start.Add(time.Hour))), promise(b.grant(second, 5, time.Time{})), activate(second, time.Time{}),
			spend(b.wallet, 12), revoke(first, ledger.Negative), reinstate(first),
		} {
			if _, err := op(tx, b.entry()); err != nil {
				return err
			}
		}
		held, err := ledger.ReadBalance(tx, b.tenant, b.wallet)
		if held.Available != 3 || held.Version != 6 {
			t.Errorf("the transaction sees %+v", held)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.isRight(3, 0, 0, 0)
}

func TestTheHistoryOfAWalletIsReadInPagesFromTheNewest(t *testing.T) {
	b := openBook(t)
	other := newBook(t, b.d)
	other.tenant, other.refs = b.tenant, 100
	var booked []id.ID
	for i := range 5 {
		other.must(award(other.grant(id.New(start), 1, time.Time{})))
		booked = append(booked, b.must(award(b.grant(id.New(start), int64(i+1), time.Time{}))).ID)
	}
	var read []id.ID
	page := ledger.Page{Limit: 2}
	for {
		var txns []ledger.Txn
		b.read(t, func(q db.Queryer) error {
			var err error
			txns, err = ledger.History(q, b.tenant, b.wallet, page)
			return err
		})
		if len(txns) == 0 {
			break
		}
		for _, txn := range txns {
			read = append([]id.ID{txn.ID}, read...)
			page.Before = txn.Change.Version
		}
	}
	if diff := cmp.Diff(booked, read); diff != "" {
		t.Errorf("history (-booked +read):\n%s", diff)
	}
}

func TestAPersonHasSeveralWallets(t *testing.T) {
	b := openBook(t)
	b.award(7)
	cents := b.wallet
	for _, w := range []ledger.Wallet{{Person: cents.Person, Unit: "points"}, {Person: cents.Person, Name: "travel", Unit: "cents"}} {
		b.wallet = w
		b.award(3)
	}
	var got []string
	b.read(t, func(q db.Queryer) error {
		all, err := ledger.Balances(q, b.tenant, cents.Person)
		for _, held := range all {
			got = append(got, fmt.Sprintln(held.Wallet.Name, held.Wallet.Unit, held.Available))
		}
		return err
	})
	if want := "cents cents 7\npoints points 3\ntravel cents 3\n"; strings.Join(got, "") != want {
		t.Errorf("balances: %q", got)
	}
	if faults := b.faults(t); len(faults) > 0 {
		t.Error(faults)
	}
}

func TestBadInputIsRefusedAndChangesNothing(t *testing.T) {
	b := openBook(t)
	lot := b.award(10)
	known := b.entry()
	if _, err := b.book(known, spend(b.wallet, 1)); err != nil {
		t.Fatal(err)
	}
	at := func(change func(e *ledger.Entry)) ledger.Entry {
		e := b.entry()
		change(&e)
		return e
	}
	foreign := at(func(e *ledger.Entry) { e.Tenant = id.New(start) })
	points, long := b.wallet, strings.Repeat("x", 300)
	points.Unit = "points"
	stranger := ledger.Wallet{Person: id.New(start), Unit: "cents"}
	for name, c := range map[string]struct {
		e    ledger.Entry
		op   operation
		want *problem.Code
	}{
		"nothing awarded":           {b.entry(), award(b.grant(id.New(start), 0, start)), problem.Invalid},
		"less than nothing spent":   {b.entry(), spend(b.wallet, -1), problem.Invalid},
		"less than nothing back":    {b.entry(), redeem(lot, math.MinInt64), problem.Invalid},
		"no adjustment":             {b.entry(), adjust(b.wallet, 0), problem.Invalid},
		"all the adjustment":        {b.entry(), adjust(b.wallet, math.MinInt64), problem.Conflict},
		"more than fits":            {b.entry(), award(b.grant(id.New(start), math.MaxInt64, start)), problem.Invalid},
		"no lot":                    {b.entry(), award(b.grant(id.ID{}, 1, start)), problem.Invalid},
		"the lot of another award":  {b.entry(), award(b.grant(lot, 1, start)), problem.Conflict},
		"no person":                 {b.entry(), spend(ledger.Wallet{Unit: "cents"}, 1), problem.Invalid},
		"no unit":                   {b.entry(), spend(ledger.Wallet{Person: b.wallet.Person}, 1), problem.Invalid},
		"a long unit":               {b.entry(), spend(ledger.Wallet{Person: b.wallet.Person, Unit: long}, 1), problem.Invalid},
		"another unit":              {b.entry(), adjust(points, 1), problem.Conflict},
		"no policy":                 {b.entry(), revoke(lot, "some"), problem.Invalid},
		"no reference":              {at(func(e *ledger.Entry) { e.Ref = "" }), spend(b.wallet, 1), problem.Invalid},
		"a long reference":          {at(func(e *ledger.Entry) { e.Ref = long }), spend(b.wallet, 1), problem.Invalid},
		"no time":                   {at(func(e *ledger.Entry) { e.At = time.Time{} }), spend(b.wallet, 1), problem.Invalid},
		"an unknown lot":            {b.entry(), expire(id.New(start)), problem.NotFound},
		"a lot of another tenant":   {foreign, redeem(lot, 1), problem.NotFound},
		"a wallet that has nothing": {b.entry(), spend(stranger, 1), problem.Conflict},
		"a reference of a spending": {known, adjust(b.wallet, 1), problem.Conflict},
		"a reference of a wallet":   {known, spend(stranger, 1), problem.Conflict},
	} {
		if booked, err := b.book(c.e, c.op); !c.want.Has(err) {
			t.Errorf("%s: %v, %v; want %s", name, booked, err, c.want.Name)
		}
	}
	b.isRight(9, 0, 0, 0)
}

func TestFiftyWhoSpendAtOnceDoNotOverdraw(t *testing.T) {
	b := openBook(t)
	for range 10 {
		b.award(10)
	}
	var spent, refused atomic.Int64
	var running sync.WaitGroup
	for range 50 {
		e := b.entry()
		running.Go(func() {
			_, err := b.book(e, spend(b.wallet, 7))
			switch {
			case err == nil:
				spent.Add(1)
			case errors.Is(err, ledger.ErrInsufficient):
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	running.Wait()
	if spent.Load() != 14 || refused.Load() != 36 {
		t.Errorf("%d have spent, %d were refused", spent.Load(), refused.Load())
	}
	b.isRight(2, 0, 0, 0)
}

func TestARepeatInTheSameInstantBooksOnce(t *testing.T) {
	b := openBook(t)
	b.award(100)
	e := b.entry()
	var running sync.WaitGroup
	var fresh atomic.Int64
	for range 20 {
		running.Go(func() {
			booked, err := b.book(e, spend(b.wallet, 10))
			if err != nil {
				t.Error(err)
				return
			}
			if !booked.Replayed {
				fresh.Add(1)
			}
		})
	}
	running.Wait()
	if fresh.Load() != 1 {
		t.Errorf("booked %d times", fresh.Load())
	}
	b.isRight(90, 0, 0, 0)
}

func TestTheAuditFindsWhatIsWrongInTheBooks(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	for name, c := range map[string]struct{ query, want string }{
		"a posting":        {`UPDATE ledger_posting SET amount = amount + 1 WHERE account = 'use'`, "add up to 1"},
		"a posting gone":   {`DELETE FROM ledger_posting WHERE account = 'use'`, "add up to -4"},
		"a change":         {`UPDATE ledger_txn SET available_after = 7 WHERE kind = 'spend'`, "otherwise than its postings"},
		"a transaction":    {`DELETE FROM ledger_txn WHERE kind = 'spend'`, "does not follow"},
		"a lot":            {`UPDATE ledger_lot SET remaining = remaining + 1`, "its postings"},
		"a lot emptied":    {`UPDATE ledger_lot SET remaining = 0`, "has nothing left"},
		"a balance":        {`UPDATE ledger_balance SET available = available + 1`, "the wallet holds"},
		"a pending amount": {`UPDATE ledger_balance SET pending = 1`, "the wallet holds"},
		"an offset":        {`UPDATE ledger_balance SET owed = 3`, "the wallet holds"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t, d)
			b.award(10)
			b.must(spend(b.wallet, 4))
			b.award(1)
			b.isRight(7, 0, 0, 0)
			err := b.d.Write(t.Context(), func(tx *db.Tx) error {
				_, err := tx.Exec(c.query)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			if faults := b.faults(t); !strings.Contains(fmt.Sprint(faults), c.want) {
				t.Errorf("faults: %v; want one with %q", faults, c.want)
			}
		})
	}
}
