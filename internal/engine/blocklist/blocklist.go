// Package blocklist keeps whom a tenant does not want to be referred, or to refer:
// e-mail addresses, domains, network addresses and devices.
//
// An entry says nothing of its own accord. Whoever judges a referral asks [Find]
// which entries the two people are on, and decides what that means. So an entry that
// is added, removed or has expired changes nothing that was judged before.
//
// Entries are kept in a normal form, so that looking for them is a few exact keys,
// however long the list is. What there is to look for, [Find] learns from one short
// row for each shape that the tenant has entries of: it asks for no prefix that no
// network has, and for nothing at all where there is no list.
//
// Entries are the tenant's own. Forgetting a person removes none.
package blocklist

import (
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/job"
)

// EntryID stands before the ids of entries.
const EntryID id.Kind = "blk"

// Kind is what an entry lists. The words are stable.
type Kind string

// The kinds of entries.
const (
	Email  Kind = "email"  // one mailbox, however its address is written
	Domain Kind = "domain" // e-mail at a domain, and at those below it
	IP     Kind = "ip"     // a network address, or a network
	Device Kind = "device" // a browser's cookie, or a device's id
)

// The bounds of a list.
const (
	maxEntries = 100_000 // of a tenant, those included that expired within the last hour or so
	maxReason  = 500     // bytes
	maxDevice  = 128     // bytes; longer ones are not known of anybody
	maxYear    = 9999    // that a time can be written of
)

// Entry is somebody, or something, that is listed.
type Entry struct {
	ID        id.ID
	Kind      Kind
	Value     string // in its normal form
	Reason    string // "": none was given
	CreatedAt time.Time
	ExpiresAt time.Time // from then on it counts no more; zero: never
}

// counts reports whether an entry has not expired.
func (e Entry) counts(now time.Time) bool { return e.ExpiresAt.IsZero() || e.ExpiresAt.After(now) }

// Options are what a Service needs. All are required.
type Options struct {
	DB   *db.DB
	Jobs *job.Runner // not yet started
}

// Service keeps the lists of all tenants. Its methods may be called concurrently.
type Service struct {
	db   *db.DB
	jobs *job.Runner
}

// New returns a Service.
func New(opts Options) *Service {
	opts.Jobs.Register(job.Kind{Name: deleteAllJob, Step: deleteAllStep, NeverParked: true})
	return &Service{opts.DB, opts.Jobs}
}
