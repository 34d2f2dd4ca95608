package referral

import (
	"encoding/json"

	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/code"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// Who is forgotten leaves behind that something happened, and what it led to for
// others: ids, times, types, amounts. What says who it was goes:
//
//   - what the person did keeps neither its fields nor its key, of which a hash stays,
//     so that it counts once for ever;
//   - codes, which are made of names, stand for nobody any more; a hash of each stays,
//     so that nobody else gets it;
//   - messages to the person go, and those to others that name the person are emptied;
//   - referrals keep what was decided about them, but not by which code of the person
//     they came to be, nor from which address and browser;
//   - touches keep neither address nor browser.
//
// Events that were published stay as long as events do.

// forgetTimer goes on with what was too much for one command.
const forgetTimer = "referral.forget"

// maxForgotten is how many records of people one command forgets, some milliseconds'
// work: nobody else writes meanwhile.
const maxForgotten = 500

// erasure is how far the forgetting of a person has come.
type erasure struct {
	Stage int   `json:"stage"`
	After id.ID `json:"after,omitzero"` // the last record of the stage that was forgotten
}

// stages are what of a person there may be any number of. Each forgets some records,
// limit at most, and returns how many, and the last of them where it goes by that.
var stages = []func(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error){
	forgetMessages, forgetActivities, forgetRewards, forgetSent, forgetCodes,
}

// forgotten removes what is known of somebody beside the person.
func (s *Service) forgotten(c *fact.Command, of id.ID) error {
	if err := c.Tx().Flush(); err != nil { // also from the facts of this command
		return err
	}
	if err := code.Retire(c.Tx(), c.Tenant(), of); err != nil {
		return err
	}
	referred, err := OfReferred(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	for _, r := range referred {
		if err := forgetReferred(c, r); err != nil {
			return err
		}
	}
	if err := attribution.Forget(c.Tx(), c.Tenant(), of); err != nil {
		return err
	}
	if err := deletePageLink(c.Tx(), c.Tenant(), of); err != nil {
		return err
	}
	return s.forgetFrom(c, of, erasure{})
}

// forgetDue goes on with forgetting somebody.
func (s *Service) forgetDue(c *fact.Command, t timer.Timer) error {
	var from erasure
	if err := json.Unmarshal(t.Data, &from); err != nil {
		return err
	}
	if err := c.Tx().Flush(); err != nil { // also from the facts of the timers before
		return err
	}
	return s.forgetFrom(c, t.Ref, from)
}

// erased is under what a command keeps how many records it has forgotten.
type erased struct{}

// forgetFrom goes through the stages, and leaves what is too much for the command to
// the next one.
func (s *Service) forgetFrom(c *fact.Command, of id.ID, at erasure) error {
	for at.Stage < len(stages) {
		done, _ := c.Tx().Kept(erased{}).(int)
		if done >= maxForgotten {
			return goOn(c, of, at)
		}
		limit := maxForgotten - done
		n, last, err := stages[at.Stage](c, of, fact.Page{Before: at.After, Limit: limit})
		if err != nil {
			return err
		}
		c.Tx().Keep(erased{}, done+n)
		at.After = last
		if n < limit {
			at = erasure{Stage: at.Stage + 1}
		}
	}
	return nil
}

func goOn(c *fact.Command, of id.ID, at erasure) error {
	data, err := json.Marshal(at)
	if err != nil {
		return err
	}
	_, err = timer.Set(c.Tx(), timer.Timer{TenantID: c.Tenant(), Kind: forgetTimer, DueAt: c.Tx().Now(), Ref: of, Data: data})
	return err
}

func forgetMessages(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error) {
	gone, err := message.Forget(c.Tx(), c.Tenant(), of, p.Limit)
	if err != nil {
		return 0, id.ID{}, err
	}
	return len(gone), id.ID{}, redactAll(c, gone)
}

func forgetActivities(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error) {
	gone, err := activity.Forget(c.Tx(), c.Tenant(), of, activity.Page{After: p.Before, Limit: p.Limit})
	if err != nil || len(gone) == 0 {
		return 0, id.ID{}, err
	}
	return len(gone), gone[len(gone)-1], redactAll(c, gone)
}

func redactAll(c *fact.Command, subjects []id.ID) error {
	for _, of := range subjects {
		if err := fact.Redact(c.Tx(), c.Tenant(), of); err != nil {
			return err
		}
	}
	return nil
}

func forgetRewards(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error) {
	gone, err := reward.Forget(c.Tx(), c.Tenant(), of, p.Limit)
	if err != nil {
		return 0, id.ID{}, err
	}
	for _, r := range gone {
		err := fact.Rewrite(c.Tx(), c.Tenant(), r, func(data map[string]json.RawMessage) error {
			delete(data, "details")
			return nil
		})
		if err != nil {
			return 0, id.ID{}, err
		}
	}
	return len(gone), id.ID{}, nil
}

// forgetSent forgets whose code others came by.
func forgetSent(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error) {
	sent, err := OfReferrer(c.Tx(), c.Tenant(), of, Page{Before: p.Before, Limit: p.Limit})
	if err != nil || len(sent) == 0 {
		return 0, id.ID{}, err
	}
	for _, r := range sent {
		r.Code = ""
		r.anonymise()
		if err := update(c.Tx(), r); err != nil {
			return 0, id.ID{}, err
		}
		err := fact.Rewrite(c.Tx(), c.Tenant(), r.ID, func(data map[string]json.RawMessage) error {
			delete(data, "code")
			return anonymous(data)
		})
		if err != nil {
			return 0, id.ID{}, err
		}
		if err := forgetLetters(c, r); err != nil {
			return 0, id.ID{}, err
		}
	}
	return len(sent), sent[len(sent)-1].ID, nil
}

// forgetLetters empties what the referred person was written of their rewards, which may
// name the referrer. What the referrer was written is gone.
func forgetLetters(c *fact.Command, r *Referral) error {
	rewards, err := reward.OfReferralTo(c.Tx(), c.Tenant(), r.ID, r.ReferredID)
	if err != nil {
		return err
	}
	for _, about := range rewards {
		if err := blank(c, about); err != nil {
			return err
		}
	}
	return nil
}

// blank empties the messages about something, and their facts.
func blank(c *fact.Command, about id.ID) error {
	emptied, err := message.Blank(c.Tx(), c.Tenant(), about)
	if err != nil {
		return err
	}
	return redactAll(c, emptied)
}

// forgetCodes forgets the codes of a person, each after the facts that name it.
func forgetCodes(c *fact.Command, of id.ID, p fact.Page) (int, id.ID, error) {
	codes, err := code.Known(c.Tx(), c.Tenant(), of, p.Limit)
	if err != nil {
		return 0, id.ID{}, err
	}
	for _, known := range codes {
		if err := fact.Redact(c.Tx(), c.Tenant(), known.MembershipID); err != nil {
			return 0, id.ID{}, err
		}
		if err := person.ForgetCode(c, known.Text); err != nil {
			return 0, id.ID{}, err
		}
		if err := code.Forget(c.Tx(), known); err != nil {
			return 0, id.ID{}, err
		}
	}
	return len(codes), id.ID{}, nil
}

// forgetReferred forgets who was referred: also what the referrer was written of it.
func forgetReferred(c *fact.Command, r *Referral) error {
	r.ip, r.device, r.email = "", "", ""
	r.anonymise()
	if err := update(c.Tx(), r); err != nil {
		return err
	}
	if err := fact.Rewrite(c.Tx(), c.Tenant(), r.ID, anonymous); err != nil {
		return err
	}
	return blank(c, r.ID)
}

// anonymise removes from the signals what says something of people beside their ids.
func (r *Referral) anonymise() { r.Signals = anonymousSignals(r.Signals) }

func anonymousSignals(signals []fraud.Signal) []fraud.Signal {
	var kept []fraud.Signal
	for _, signal := range signals {
		signal.Details.Domain = ""
		signal.Details.Entry = id.ID{} // it says the address, to who may read the list
		kept = append(kept, signal)
	}
	return kept
}

// anonymous does to the data of a fact about a referral what anonymise does to the
// referral.
func anonymous(data map[string]json.RawMessage) error {
	raw, ok := data["signals"]
	if !ok {
		return nil
	}
	var signals []fraud.Signal
	if err := json.Unmarshal(raw, &signals); err != nil {
		return err
	}
	var err error
	data["signals"], err = json.Marshal(anonymousSignals(signals))
	return err
}
