// Package person keeps the people that a tenant knows, by whatever names others
// have for them.
//
// A person is known by identities: a scheme and a key in it, such as the native
// API's external id, or SaaSquatch's account and user. Two identities are one
// person only where somebody said so; nobody is merged because of an e-mail
// address. A person may belong to an account, whose state programs look at.
//
// Save is for whoever reports on people and repeats what they said before: it
// changes what differs, and what does not differ leaves neither a fact nor a new
// version.
package person

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// Kind stands before the ids of people.
const Kind id.Kind = "per"

// Subject is the kind of what facts about people are about.
const Subject = "person"

// The facts about people. Their data is a *Person, as it is after the change.
const (
	Created   = "person.created"
	Updated   = "person.updated"
	Blocked   = "person.blocked"
	Unblocked = "person.unblocked"
	Deleted   = "person.deleted"
)

// Native is the scheme of the identities that the native API knows. Each dialect has
// its own scheme, under its name.
const Native = "native"

// Identity is a name that somebody has for a person. A tenant has each one once.
type Identity struct {
	Scheme string `json:"scheme"`
	Key    string `json:"key"`
}

// Person is a person as it stands.
type Person struct {
	ID       id.ID `json:"id"`
	TenantID id.ID `json:"-"`
	Version  int64 `json:"version"`
	Identity       // by which it was first known
	// Linked are the further names that somebody said the person has, the earliest
	// first.
	Linked  []Identity `json:"linked,omitempty"`
	Account string     `json:"account,omitempty"` // "": none

	Email     string `json:"email,omitempty"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Locale    string `json:"locale,omitempty"`
	Country   string `json:"country,omitempty"` // ISO 3166-1, two letters
	ImageURL  string `json:"image_url,omitempty"`
	// Fields are whatever else the tenant keeps of the person: a JSON object.
	Fields json.RawMessage `json:"fields,omitempty"`

	FirstIP string `json:"first_ip,omitempty"` // seen at the person's own requests
	LastIP  string `json:"last_ip,omitempty"`
	Device  string `json:"device,omitempty"` // the cookie of the browser last seen
	// PastDevices are those of the browsers before, the latest first: nine at most.
	PastDevices []string `json:"past_devices,omitempty"`

	// Unreferable says that the person takes part in no program.
	Unreferable bool `json:"unreferable,omitempty"`

	BlockedAt time.Time `json:"blocked_at,omitzero"`
	DeletedAt time.Time `json:"deleted_at,omitzero"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Name is the person's name as people write it; "": it is not known.
func (p *Person) Name() string {
	switch {
	case p.FirstName == "":
		return p.LastName
	case p.LastName == "":
		return p.FirstName
	default:
		return p.FirstName + " " + p.LastName
	}
}

// Identities are all the names that the person has, the first one first.
func (p *Person) Identities() []Identity { return append([]Identity{p.Identity}, p.Linked...) }

// KnownIn returns by what the person is known in a scheme, and whether it is: the
// earliest name of several.
func (p *Person) KnownIn(scheme string) (Identity, bool) {
	for _, as := range p.Identities() {
		if as.Scheme == scheme {
			return as, true
		}
	}
	return Identity{}, false
}

// Devices are the cookies of the person's browsers, the latest first: ten at most.
func (p *Person) Devices() []string {
	if p.Device == "" {
		return nil
	}
	return append([]string{p.Device}, p.PastDevices...)
}

// LatestIP is where the person was seen last; "": nowhere.
func (p *Person) LatestIP() string { return cmp.Or(p.LastIP, p.FirstIP) }

// IsBlocked reports whether the person takes part in nothing for now.
func (p *Person) IsBlocked() bool { return !p.BlockedAt.IsZero() }

// IsDeleted reports whether the person was to be forgotten.
func (p *Person) IsDeleted() bool { return !p.DeletedAt.IsZero() }

// Patch is what is said about a person. What is nil stays as it is.
type Patch struct {
	Account     *string
	Email       *string
	FirstName   *string
	LastName    *string
	Locale      *string
	Country     *string
	ImageURL    *string
	Unreferable *bool
	// Fields takes the place of those that there are. Of a field that is to stay
	// the caller repeats the value.
	Fields *json.RawMessage
	// Revise returns the fields that the person is to have in place of those that
	// there are; nil: Fields says. It may be called again where the command is.
	Revise func(fields json.RawMessage) (json.RawMessage, error)

	// What is known of the person's own request; "": it is not one.
	IP     string
	Device string
}

// State is where an account stands with the tenant.
type State string

// The states of accounts.
const (
	Trial     State = "trial"
	Free      State = "free"
	Paid      State = "paid"
	Cancelled State = "cancelled"
)

// States lists them.
var States = []State{Trial, Free, Paid, Cancelled}

// Account is what people of one customer have in common. One of which nothing was
// said but its key has no state.
type Account struct {
	ID       id.ID           `json:"id"`
	TenantID id.ID           `json:"-"`
	Key      string          `json:"key"`
	State    State           `json:"state"`
	Currency string          `json:"currency,omitempty"`
	Details  json.RawMessage `json:"details,omitempty"` // of its subscription, as the tenant gave them
	// ReferredBy is the code by which its people came; "": none was said.
	ReferredBy string    `json:"-"` // in no fact: it is made of a name
	Version    int64     `json:"version"`
	CreatedAt  time.Time `json:"created_at"`
	UpdatedAt  time.Time `json:"updated_at"`
}

// AccountChanged is the fact that an account has a state, or another one. Its data
// is an *Account.
const AccountChanged = "account.changed"

// AccountSubject is the kind of what it is about.
const AccountSubject = "account"
