package ledger_test

import (
	"flag"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// model is a wallet as the package's comments describe it, kept in a list.
type model struct {
	*book
	lots       []*modelLot // in the order of their making
	debt, owed int64
	opened     int // lots so far
}

type modelLot struct {
	id      id.ID
	amount  int64
	left    int64
	expired int64
	order   int // of its opening; 0: pending
	expires time.Time
	took    *modelTaken // by its revocation; nil: not revoked
}

// modelTaken is what a revocation took.
type modelTaken struct {
	from       map[*modelLot]int64
	debt, owed int64
}

func (m *model) available() int64 {
	sum := -m.debt
	for _, l := range m.lots {
		if l.order > 0 {
			sum += l.left
		}
	}
	return sum
}

// open returns the lots that have something left, in the order in which they are
// spent.
func (m *model) open() []*modelLot {
	var open []*modelLot
	for _, l := range m.lots {
		if l.left > 0 && l.order > 0 {
			open = append(open, l)
		}
	}
	slices.SortFunc(open, func(a, b *modelLot) int {
		switch {
		case a.expires.Equal(b.expires):
			return a.order - b.order
		case a.expires.IsZero():
			return 1
		case b.expires.IsZero():
			return -1
		}
		return a.expires.Compare(b.expires)
	})
	return open
}

// take takes up to so much from lots, and notes it.
func (m *model) take(most int64, from []*modelLot, note map[*modelLot]int64) int64 {
	taken := int64(0)
	for _, l := range from {
		part := min(l.left, most-taken)
		l.left -= part
		taken += part
		if note != nil {
			note[l] += part
		}
	}
	return taken
}

func (m *model) live() []*modelLot {
	return slices.DeleteFunc(m.open(), func(l *modelLot) bool { return !l.expires.IsZero() && !l.expires.After(m.now) })
}

// give opens a lot with what debt and offsets leave of an amount.
func (m *model) give(l *modelLot, amount int64) {
	m.opened++
	l.order = m.opened
	paid := min(m.debt, amount)
	kept := min(m.owed, amount-paid)
	m.debt -= paid
	m.owed -= kept
	l.left = amount - paid - kept
}

// run books an operation, again with the same reference, and demands that it had to
// be refused or not.
func (m *model) run(t *rapid.T, op operation, refused *problem.Code) {
	before := m.balance(t)
	e := m.entry()
	booked, err := m.book.book(e, op)
	if refused != nil {
		if !refused.Has(err) {
			t.Fatalf("booked %+v, %v; want it refused as %s", booked, err, refused.Name)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if c := booked.Change; c.Before != before.Available || c.After != m.available() || c.Version != before.Version+1 {
		t.Fatalf("the transaction says %+v; it was %+v and is %d", c, before, m.available())
	}
	again, err := m.book.book(e, op)
	if err != nil || !again.Replayed {
		t.Fatalf("the repeat: %+v, %v", again, err)
	}
	again.Replayed = false
	if diff := cmp.Diff(booked, again); diff != "" {
		t.Fatalf("the repeat (-first +second):\n%s", diff)
	}
}

func (m *model) expiry(t *rapid.T) time.Time {
	if days := rapid.IntRange(0, 4).Draw(t, "days"); days > 0 {
		return m.now.AddDate(0, 0, days)
	}
	return time.Time{}
}

func (m *model) amount(t *rapid.T) int64 { return rapid.Int64Range(1, 12).Draw(t, "amount") }

func (m *model) anyLot(t *rapid.T) *modelLot {
	if len(m.lots) == 0 {
		t.Skip("there is none")
	}
	return rapid.SampledFrom(m.lots).Draw(t, "lot")
}

func (m *model) award(t *rapid.T) {
	l := &modelLot{id: id.New(start), amount: m.amount(t), expires: m.expiry(t)}
	m.lots = append(m.lots, l)
	m.give(l, l.amount)
	m.run(t, award(m.grant(l.id, l.amount, l.expires)), nil)
}

func (m *model) promise(t *rapid.T) {
	l := &modelLot{id: id.New(start), amount: m.amount(t)}
	l.left = l.amount
	m.lots = append(m.lots, l)
	m.run(t, promise(m.grant(l.id, l.amount, time.Time{})), nil)
}

func (m *model) activate(t *rapid.T) {
	l, expires := m.anyLot(t), m.expiry(t)
	if l.order > 0 || l.took != nil {
		m.run(t, activate(l.id, expires), problem.Conflict)
		return
	}
	l.expires = expires
	m.give(l, l.left)
	m.run(t, activate(l.id, expires), nil)
}

// debit takes from the wallet as a whole.
func (m *model) debit(t *rapid.T, op func(amount int64) operation) {
	amount := m.amount(t)
	has := int64(0)
	for _, l := range m.live() {
		has += l.left
	}
	if has < amount || m.available() < amount {
		m.run(t, op(amount), problem.Conflict)
		return
	}
	m.take(amount, m.live(), nil)
	m.run(t, op(amount), nil)
}

func (m *model) spend(t *rapid.T) {
	m.debit(t, func(amount int64) operation { return spend(m.wallet, amount) })
}

// spendAll leaves nothing that could be taken back.
func (m *model) spendAll(t *rapid.T) {
	amount := int64(0)
	for _, l := range m.live() {
		amount += l.left
	}
	if amount == 0 {
		t.Skip("there is nothing")
	}
	m.take(amount, m.live(), nil)
	m.run(t, spend(m.wallet, amount), nil)
}

func (m *model) reduce(t *rapid.T) {
	m.debit(t, func(amount int64) operation { return adjust(m.wallet, -amount) })
}

func (m *model) redeem(t *rapid.T) {
	l, amount := m.anyLot(t), m.amount(t)
	if !slices.Contains(m.live(), l) || l.left < amount {
		m.run(t, redeem(l.id, amount), problem.Conflict)
		return
	}
	l.left -= amount
	m.run(t, redeem(l.id, amount), nil)
}

func (m *model) expire(t *rapid.T) {
	l := m.anyLot(t)
	if l.order > 0 {
		l.expired += l.left
		l.left = 0
	}
	m.run(t, expire(l.id), nil)
}

func (m *model) wait(t *rapid.T) {
	m.now = m.now.AddDate(0, 0, rapid.IntRange(1, 2).Draw(t, "days"))
}

func (m *model) revoke(t *rapid.T) {
	l, policy := m.anyLot(t), rapid.SampledFrom(ledger.Policies()).Draw(t, "policy")
	if l.took != nil {
		m.run(t, revoke(l.id, policy), problem.Conflict)
		return
	}
	spent := max(l.amount-l.left-l.expired, 0)
	l.took = &modelTaken{from: map[*modelLot]int64{l: l.left}}
	l.left = 0
	if l.order > 0 {
		switch policy {
		case ledger.Keep:
		case ledger.OffsetNext:
			l.took.owed = spent
		case ledger.ToZero:
			m.take(spent, m.open(), l.took.from)
		case ledger.Negative:
			l.took.debt = spent - m.take(spent, m.open(), l.took.from)
		}
	}
	m.debt += l.took.debt
	m.owed += l.took.owed
	m.run(t, revoke(l.id, policy), nil)
}

func (m *model) reinstate(t *rapid.T) {
	l := m.anyLot(t)
	if l.took == nil {
		m.run(t, reinstate(l.id), problem.Conflict)
		return
	}
	for from, amount := range l.took.from {
		from.left += amount
	}
	paid, kept := max(l.took.debt-m.debt, 0), max(l.took.owed-m.owed, 0)
	m.debt -= l.took.debt - paid
	m.owed -= l.took.owed - kept
	l.left += paid + kept
	l.took = nil
	m.payDebt()
	m.run(t, reinstate(l.id), nil)
}

// payDebt pays debt from whatever came back.
func (m *model) payDebt() {
	m.debt -= m.take(m.debt, m.open(), nil)
}

// revokeAndReinstate demands that the one undoes the other.
func (m *model) revokeAndReinstate(t *rapid.T) {
	l, policy := m.anyLot(t), rapid.SampledFrom(ledger.Policies()).Draw(t, "policy")
	if l.took != nil {
		t.Skip("it was revoked")
	}
	lots, held := m.book.lots(t), m.balance(t)
	for _, op := range []operation{revoke(l.id, policy), reinstate(l.id)} {
		if _, err := m.book.book(m.entry(), op); err != nil {
			t.Fatal(err)
		}
	}
	after := m.balance(t)
	if after.Stamp < held.Stamp+2 {
		t.Fatalf("the stamp went from %d to %d with two transactions", held.Stamp, after.Stamp)
	}
	held.Version, held.Stamp = held.Version+2, after.Stamp
	if diff := cmp.Diff(held, after); diff != "" {
		t.Fatalf("balance (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(lots, m.book.lots(t)); diff != "" {
		t.Fatalf("lots (-before +after):\n%s", diff)
	}
}

// agree compares the wallet with the model, and looks for faults in the books.
func (m *model) agree(t *rapid.T) {
	pending := int64(0)
	var want []left
	for _, l := range m.open() {
		want = append(want, left{l.id, l.left, l.expires, false})
	}
	for _, l := range m.lots {
		if l.order == 0 {
			pending += l.left
		}
	}
	var got []left
	for _, l := range m.book.lots(t) {
		if !l.Pending {
			got = append(got, l)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("lots (-want +got):\n%s", diff)
	}
	held := m.balance(t)
	if held.Available != m.available() || held.Pending != pending || held.Debt != m.debt || held.Owed != m.owed {
		t.Fatalf("the wallet holds %+v; want %d available, %d pending, %d debt, %d owed", held, m.available(), pending, m.debt, m.owed)
	}
	if faults := m.faults(t); len(faults) > 0 {
		t.Fatal(faults)
	}
}

func TestAnyHistoryLeavesWhatItsTransactionsSay(t *testing.T) {
	fewer(t)
	d := testkit.OpenDB(t, db.Options{})
	tb := t
	rapid.Check(t, func(t *rapid.T) {
		m := &model{book: newBook(tb, d)}
		for range 3 {
			m.award(t)
		}
		t.Repeat(map[string]func(*rapid.T){
			"award": m.award, "promise": m.promise, "activate": m.activate, "spend": m.spend, "spend all": m.spendAll,
			"reduce": m.reduce, "redeem": m.redeem, "expire": m.expire, "wait": m.wait,
			"revoke": m.revoke, "revoke another": m.revoke, "reinstate": m.reinstate, "revoke and reinstate": m.revokeAndReinstate,
			"": m.agree,
		})
	})
}

// fewer has a property be checked on fewer histories where each takes many times as
// long.
func fewer(t *testing.T) {
	t.Helper()
	if !testkit.RaceDetector {
		return
	}
	checks := flag.Lookup("rapid.checks")
	was := checks.Value.String()
	if err := checks.Value.Set("10"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = checks.Value.Set(was) })
}
