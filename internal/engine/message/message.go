// Package message makes the e-mails of the programs, and keeps them.
//
// What they say is a tenant's theme: for each locale variables, such as the name
// of a product, and a template for each [Type] of message. The draft of a theme
// may be edited at any time. Publishing freezes the draft under a new version, and
// a job renders all of it with sample values; only if that succeeds does the
// version come into use. A version never changes, so its templates are parsed once
// and kept.
//
// A message is rendered with what it is about, and nothing else: see [Request].
// What neither the person's locale nor the tenant's own texts say is said by a
// built-in theme. So a theme can make a message look odd, but a program never fails
// because of it.
//
// Messages go out as events, and the tenant's mailer sends them. This package
// sends nothing.
package message

import (
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Type is what a message is about.
type Type string

// The types of messages.
const (
	ReferralStarted      Type = "referral_started"       // to the referrer: somebody came by the referral
	ReferralPaid         Type = "referral_paid"          // to the referrer: the referral has converted
	ReferredRewardEarned Type = "referred_reward_earned" // to the referred: a reward was earned
	RewardLimitReached   Type = "reward_limit_reached"   // to the referrer: there are no more rewards for referring
)

// Types lists the types of messages.
var Types = []Type{ReferralStarted, ReferralPaid, ReferredRewardEarned, RewardLimitReached}

// ParseType reads a type. The error names those that there are.
func ParseType(text string) (Type, error) {
	for _, t := range Types {
		if string(t) == text {
			return t, nil
		}
	}
	return "", problem.InvalidField("type", "must be one of %s, %s, %s and %s", Types[0], Types[1], Types[2], Types[3])
}

// Options are what a Service needs. All are required.
type Options struct {
	DB   *db.DB
	Log  *fact.Log
	Jobs *job.Runner // not yet started
}

// Service is the themes and messages of all tenants. All methods may be called
// concurrently.
type Service struct {
	db     *db.DB
	jobs   *job.Runner
	themes *cache
}

// New returns a service, and registers its job and its timer.
func New(opts Options) (*Service, error) {
	if opts.DB == nil || opts.Log == nil || opts.Jobs == nil {
		return nil, errors.New("message: there is no database, no log of facts, or no runner of jobs")
	}
	s := &Service{db: opts.DB, jobs: opts.Jobs, themes: newCache(maxCached)}
	opts.Log.Handle(publishedTimer, tellPublished)
	opts.Jobs.Register(job.Kind{Name: publishJob, Step: s.publishStep, NeverParked: true, Ended: endPublishing})
	return s, nil
}

// Message is a message that somebody was written.
type Message struct {
	ID        id.ID
	TenantID  id.ID
	PersonID  id.ID
	Type      Type
	Subject   string
	Message   string
	CreatedAt time.Time
	Cause     id.ID // the fact that led to it; zero: none
	// About is what it is about, such as a referral. A person is written one message of
	// a type about it; zero: there may be several.
	About id.ID
}

// Record keeps a message, and reports whether it is new: where the person was written
// one of the type about the same before, nothing is kept. It sets the ID, and CreatedAt
// where that is zero.
func Record(tx *db.Tx, m *Message) (bool, error) {
	if m.CreatedAt.IsZero() {
		m.CreatedAt = tx.Now()
	}
	m.ID = id.New(tx.Now())
	return insertMessage(tx, m)
}

// Page is a part of a list: up to Limit messages before one.
type Page struct {
	Before id.ID // the last message of the page before; zero: the newest come first
	Limit  int
}

// List returns what a person was written, the newest first.
func List(q db.Queryer, tenant, person id.ID, page Page) ([]Message, error) {
	if page.Before.IsZero() {
		for i := range page.Before {
			page.Before[i] = 0xff
		}
	}
	return selectMessages(q, tenant, person, page)
}

// Forget deletes some of what a person was written, limit at most, and returns the ids
// of those messages; none: there is nothing left.
func Forget(tx *db.Tx, tenant, person id.ID, limit int) ([]id.ID, error) {
	written, err := List(tx, tenant, person, Page{Limit: limit})
	if err != nil || len(written) == 0 {
		return nil, err
	}
	return idsOf(written), deleteMessages(tx, tenant, person, written[len(written)-1].ID)
}

// Blank removes what messages about something say, whoever they were written to, and
// returns their ids. That they were written stays, so that none is written again.
func Blank(tx *db.Tx, tenant, about id.ID) ([]id.ID, error) {
	written, err := selectAbout(tx, tenant, about)
	if err != nil {
		return nil, err
	}
	for _, m := range written {
		if err := blankMessage(tx, m); err != nil {
			return nil, err
		}
	}
	return idsOf(written), nil
}

func idsOf(messages []Message) []id.ID {
	ids := make([]id.ID, len(messages))
	for i, m := range messages {
		ids[i] = m.ID
	}
	return ids
}
