package reward

import (
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/ledger"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

var noTime time.Time

func (s *Service) entry(c *fact.Command, ref string) ledger.Entry {
	return ledger.Entry{Tenant: c.Tenant(), Ref: ref, Cause: c.Cause(), At: c.Now()}
}

// fresh is the entry of something that a reward's version makes new.
func (s *Service) fresh(c *fact.Command, ref string) ledger.Entry {
	e := s.entry(c, ref)
	e.Fresh = true
	return e
}

// ref names what is booked of a reward. Its version makes it another one each time
// that the reward is taken back and reinstated.
func (r *Reward) ref(what string) string {
	return what + ":" + r.ID.String() + ":" + strconv.FormatInt(r.Version, 10)
}

// lotState is what the ledger has of a reward.
type lotState string

const (
	noLot    lotState = ""
	promised lotState = "promised" // it can't be spent yet
	open     lotState = "open"
	closed   lotState = "closed" // its time is over
	revoked  lotState = "revoked"
	recalled lotState = "recalled" // revoked before it was open
)

// wallet is where a reward is booked.
func (r *Reward) wallet() ledger.Wallet { return ledger.Wallet{Person: r.PersonID, Unit: r.Unit} }

// book brings the ledger to where the reward is. What is redeemed is booked by who
// redeems it.
func (s *Service) book(c *fact.Command, r *Reward) error {
	if !r.Spendable() {
		return nil
	}
	if r.State == IsCancelled || r.State == IsRefused {
		return s.bookBack(c, r)
	}
	if r.lot == revoked || r.lot == recalled {
		txn, err := ledger.Reinstate(c.Tx(), s.fresh(c, r.ref("reinstate")), r.ID)
		if err := s.booked(c, r, txn, err); err != nil {
			return err
		}
		r.lot = map[lotState]lotState{revoked: open, recalled: promised}[r.lot]
	}
	grant := ledger.Grant{Wallet: r.wallet(), Amount: r.Amount, Lot: r.ID, Program: r.ProgramID, Expires: r.ExpiresAt}
	var txn *ledger.Txn
	var err error
	switch {
	case r.State == IsPending && r.lot == noLot:
		txn, err = ledger.Promise(c.Tx(), s.fresh(c, r.ref("award")), grant)
		r.lot = promised
	case r.State == IsAvailable && r.lot == noLot:
		txn, err = ledger.Award(c.Tx(), s.fresh(c, r.ref("award")), grant)
		r.lot = open
	case r.State == IsAvailable && r.lot == promised:
		txn, err = ledger.Activate(c.Tx(), s.fresh(c, r.ref("activate")), r.ID, r.ExpiresAt)
		r.lot = open
	case r.State == IsExpired && r.lot == open:
		txn, err = ledger.Expire(c.Tx(), s.fresh(c, r.ref("expire")), r.ID)
		r.lot = closed
	default:
		return nil
	}
	return s.booked(c, r, txn, err)
}

// bookBack takes out of the ledger what nobody is to have.
func (s *Service) bookBack(c *fact.Command, r *Reward) error {
	next := revoked
	switch r.lot {
	case noLot, revoked, recalled:
		return nil
	case promised:
		next = recalled
	case open, closed:
	}
	txn, err := ledger.Revoke(c.Tx(), s.fresh(c, r.ref("revoke")), r.ID, r.clawback)
	r.lot = next
	return s.booked(c, r, txn, err)
}

func (s *Service) booked(c *fact.Command, r *Reward, txn *ledger.Txn, err error) error {
	if err != nil || txn.Replayed {
		return err
	}
	r.offset(txn)
	if err := s.setOff(c, r.ID, txn); err != nil {
		return err
	}
	return s.tellWallet(c, r.PersonID, r.ID, txn)
}

// tellWallet tells of a transaction that changed what is available.
func (s *Service) tellWallet(c *fact.Command, person, of id.ID, txn *ledger.Txn) error {
	change := txn.Change.After - txn.Change.Before
	if change == 0 || txn.Replayed {
		return nil
	}
	how := Credited
	if change < 0 {
		how = Debited
	}
	_, err := c.Append(fact.Fact{
		Type: how, Subject: fact.Ref{Kind: WalletSubject, ID: person}, Version: txn.Change.Version,
		Data: &WalletChange{
			PersonID: person, Unit: txn.Change.Unit, Change: change, Balance: txn.Change.After, TransactionID: txn.ID, RewardID: of,
			Reason: string(txn.Kind), Version: txn.Change.Version, Stamp: txn.Change.Stamp,
		},
	})
	return err
}
