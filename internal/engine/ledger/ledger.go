// Package ledger keeps the wallets of people by double entry.
//
// A wallet belongs to one person and holds one unit, in two accounts: what is
// available and what is pending. Everything else that value comes from or goes to is
// a system account, which has no balance: a program's source, use, expiry,
// adjustment. Each operation is one transaction on one wallet, and its postings add
// up to zero.
//
// A credit opens a lot: so much, from there, until then. A debit burns lots, those
// first that expire first, then the older ones; lots that never expire come last. A
// lot whose time is over is not spent any more, even while its expiry has not been
// booked. What is available is what the open lots have left, less the debt. Debt
// arises only where value is taken back that was spent already, and only under the
// policy [Negative]; while there is debt no lot has anything left, and the next
// credits pay it first.
//
// Every operation has a reference, which is unique in its tenant for ever. To repeat
// it changes nothing and returns the first transaction. Every transaction names the
// fact that caused it, and says what it did to the balance; the version of the wallet
// puts them in order.
//
// Operations run in a transaction of [db.DB.Write]. What they store may reach the
// database only with the next read or the end: functions of this package see all of
// it. Two that change one wallet at once never both succeed on the same state.
package ledger

import (
	"errors"
	"fmt"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// TxnID is the kind of a transaction's id.
const TxnID id.Kind = "txn"

// ErrInsufficient is what errors match that refuse to take more than is there. They
// are of the code problem.Conflict.
var ErrInsufficient = errors.New("ledger: insufficient funds")

func insufficient(detail string) error {
	return fmt.Errorf("%w: %w", ErrInsufficient, problem.Conflict.New("%s", detail))
}

// Account is where value is posted.
type Account string

// The accounts of a tenant as a whole.
const (
	Use        Account = "use" // spent and redeemed
	Expiry     Account = "exp"
	Adjustment Account = "adj" // by hand
)

// Available is the account of what a person can spend from a wallet.
func Available(person id.ID, wallet string) Account {
	return Account("w:" + person.String() + ":" + wallet)
}

// Pending is the account of what a wallet will hold once it is activated.
func Pending(person id.ID, wallet string) Account {
	return Account("p:" + person.String() + ":" + wallet)
}

// Source is the account that a program's awards come from.
func Source(program id.ID) Account { return Account("src:" + program.String()) }

// Wallet names a wallet. It comes to be with the first credit, and keeps its unit.
type Wallet struct {
	Person id.ID
	Name   string // "": as the unit
	Unit   string // "cents", "points"
}

// MaxName is how many bytes the name of a wallet or of a unit may have.
const MaxName = 64

func (w Wallet) named() (Wallet, error) {
	if w.Name == "" {
		w.Name = w.Unit
	}
	var c problem.Checks
	if w.Person.IsZero() {
		c.Add("person", "must be given")
	}
	if w.Unit == "" || len(w.Unit) > MaxName {
		c.Add("unit", "must have 1 to %d bytes", MaxName)
	}
	if len(w.Name) > MaxName {
		c.Add("wallet", "must have at most %d bytes", MaxName)
	}
	return w, c.Err()
}

// Entry is what every operation has to be told.
type Entry struct {
	Tenant id.ID
	// Ref is what the transaction is for, by a name that says it in full, such as the
	// key of an effect. It is never used for anything else.
	Ref   string
	Cause id.ID     // the fact that led to it; zero: none
	At    time.Time // when it takes effect
	// Fresh says that whoever books knows that the reference is new, for example by
	// the version of something that the transaction changes. It is not looked for then,
	// and if it was used all the same the transaction fails.
	Fresh bool
}

// MaxRef is how many bytes a reference may have.
const MaxRef = 255

func (e Entry) check() error {
	var c problem.Checks
	if e.Tenant.IsZero() {
		c.Add("tenant", "must be given")
	}
	if e.Ref == "" || len(e.Ref) > MaxRef {
		c.Add("ref", "must have 1 to %d bytes", MaxRef)
	}
	if e.At.IsZero() {
		c.Add("at", "must be given")
	}
	return c.Err()
}

// Kind is which operation a transaction is.
type Kind string

// The kinds of transactions.
const (
	Awarded    Kind = "award"
	Promised   Kind = "promise" // an award that is pending
	Activated  Kind = "activate"
	Spent      Kind = "spend"
	Redeemed   Kind = "redeem"
	Expired    Kind = "expire"
	Revoked    Kind = "revoke"
	Reinstated Kind = "reinstate"
	Adjusted   Kind = "adjust"
)

// Txn is a transaction that was booked.
type Txn struct {
	ID     id.ID
	Ref    string
	Kind   Kind
	Cause  id.ID
	At     time.Time
	Wallet Wallet
	Change Change
	Lots   []Part // what it did to open lots, in the order of its postings
	Owed   int64  // by how much it changed what is withheld from later credits

	// Replayed says that the reference was booked before: this is what was booked
	// then, and nothing was changed now.
	Replayed bool
}

// Change is what a transaction did to what is available. Before and After are equal
// where only the pending part changed.
type Change struct {
	Account Account
	Unit    string
	Before  int64
	After   int64
	Version int64 // of the wallet, after it: each transaction counts

	// Stamp is the time of the change in milliseconds since 1970, or, where the
	// wallet has that already, by whatever clock, the one that follows on the wallet's
	// last: it grows with each change. 0: it was booked before stamps were noted.
	Stamp int64
}

// Part is how much a lot gained or, below zero, lost of what can be spent.
type Part struct {
	Lot     id.ID
	Amount  int64
	Expires time.Time // zero: never
}

func checkAmount(amount int64) error {
	if amount <= 0 {
		return problem.InvalidField("amount", "must be more than 0")
	}
	return nil
}
