package person

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Bounds of what is kept of a person, in characters.
const (
	maxKey    = 512
	maxText   = 256
	maxURL    = 2048
	maxFields = 16 << 10 // bytes
	// How many of them.
	maxDevices = 10
	maxLinked  = 20
)

// ErrForgotten is the error of somebody who was to be forgotten for good, for those
// who tell it apart from other conflicts. It is a problem.Conflict besides.
var ErrForgotten = errors.New("person: to be forgotten")

// Saved is what became of what was said about a person.
type Saved struct {
	Person  *Person
	Created bool
	Changed []string // the names of the fields that are others now
}

// Save stores what is said about the person that is known by the identity, who is
// created if nobody is. It appends the fact of it, if anything is new. It returns
// problem.Invalid for what can't be stored, with the names of the fields as Person
// has them.
func Save(c *fact.Command, of Identity, patch Patch) (Saved, error) {
	holder, err := Holder(c.Tx(), c.Tenant(), of)
	if err != nil {
		return Saved{}, err
	}
	return SaveHolder(c, holder, of, patch)
}

// SaveHolder is Save for who knows already whose the identity is (see Holder).
func SaveHolder(c *fact.Command, holder id.ID, of Identity, patch Patch) (Saved, error) {
	if err := check(of, &patch); err != nil {
		return Saved{}, err
	}
	if holder.IsZero() {
		return create(c, of, patch)
	}
	p, err := selectPerson(c.Tx(), c.Tenant(), holder)
	if err != nil {
		return Saved{}, err
	}
	if p.IsDeleted() {
		return Saved{}, errors.Join(ErrForgotten, problem.Conflict.New("who is known by this identity was to be forgotten, for good"))
	}
	if err := patch.revise(p.Fields); err != nil {
		return Saved{}, err
	}
	changed := p.apply(patch)
	seen := p.see(patch)
	switch {
	case len(changed) == 0 && !seen:
		return Saved{Person: p}, nil
	case len(changed) == 0:
		return Saved{Person: p}, update(c.Tx(), p)
	}
	p.Version++
	p.UpdatedAt = c.Now()
	if err := update(c.Tx(), p); err != nil {
		return Saved{}, err
	}
	return Saved{Person: p, Changed: changed}, told(c, Updated, p)
}

func create(c *fact.Command, of Identity, patch Patch) (Saved, error) {
	p := &Person{ID: id.New(c.Tx().Now()), TenantID: c.Tenant(), Version: 1, Identity: of, CreatedAt: c.Now(), UpdatedAt: c.Now()}
	if err := patch.revise(nil); err != nil {
		return Saved{}, err
	}
	p.apply(patch)
	p.see(patch)
	if err := insert(c.Tx(), p); err != nil {
		return Saved{}, err
	}
	if err := count(c.Tx(), p, 1); err != nil {
		return Saved{}, err
	}
	return Saved{Person: p, Created: true}, told(c, Created, p)
}

// revise has Fields be what Revise makes of those that there are.
func (p *Patch) revise(fields json.RawMessage) error {
	if p.Revise == nil {
		return nil
	}
	revised, err := p.Revise(fields)
	if err != nil {
		return err
	}
	compact, err := checkFields(revised)
	if err != nil {
		return problem.InvalidField("fields", "%s", err)
	}
	p.Fields = &compact
	return nil
}

// told appends a fact about a person, with a copy of it.
func told(c *fact.Command, what string, p *Person) error {
	now := *p
	_, err := c.Append(fact.Fact{Type: what, Subject: fact.Ref{Kind: Subject, ID: p.ID}, Version: p.Version, Data: &now})
	return err
}

// apply changes the person and returns the names of what differs.
func (p *Person) apply(patch Patch) []string {
	var changed []string
	set := func(name string, to *string, at *string) {
		if to != nil && *to != *at {
			*at, changed = *to, append(changed, name)
		}
	}
	set("account", patch.Account, &p.Account)
	set("email", patch.Email, &p.Email)
	set("first_name", patch.FirstName, &p.FirstName)
	set("last_name", patch.LastName, &p.LastName)
	set("locale", patch.Locale, &p.Locale)
	set("country", patch.Country, &p.Country)
	set("image_url", patch.ImageURL, &p.ImageURL)
	if patch.Unreferable != nil && *patch.Unreferable != p.Unreferable {
		p.Unreferable, changed = *patch.Unreferable, append(changed, "unreferable")
	}
	if patch.Fields != nil && !bytes.Equal(*patch.Fields, p.Fields) {
		p.Fields, changed = *patch.Fields, append(changed, "fields")
	}
	return changed
}

// see notes where the person's own request came from. That is no change that
// anybody is told of.
func (p *Person) see(patch Patch) bool {
	before := *p
	if patch.IP != "" {
		if p.FirstIP == "" {
			p.FirstIP = patch.IP
		} else {
			p.LastIP = patch.IP
		}
	}
	if patch.Device != "" && patch.Device != p.Device {
		past := slices.DeleteFunc(p.Devices(), func(d string) bool { return d == patch.Device })
		p.Device, p.PastDevices = patch.Device, past[:min(len(past), maxDevices-1)]
	}
	return p.FirstIP != before.FirstIP || p.LastIP != before.LastIP || p.Device != before.Device
}

func check(of Identity, patch *Patch) error {
	var checks problem.Checks
	checks.AddError("key", checkIdentity(of))
	text := func(name string, value *string, most int) {
		if value != nil {
			checks.AddError(name, checkText(*value, most))
		}
	}
	text("account", patch.Account, maxKey)
	text("first_name", patch.FirstName, maxText)
	text("last_name", patch.LastName, maxText)
	text("locale", patch.Locale, 35)
	text("image_url", patch.ImageURL, maxURL)
	if patch.ImageURL != nil && *patch.ImageURL != "" {
		if u, err := url.Parse(*patch.ImageURL); err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
			checks.Add("image_url", "must be a URL with https or http")
		}
	}
	if patch.Email != nil && *patch.Email != "" {
		checks.AddError("email", checkEmail(*patch.Email))
	}
	if patch.Country != nil && *patch.Country != "" {
		code := strings.ToUpper(*patch.Country)
		if len(code) != 2 || strings.Trim(code, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			checks.Add("country", "must be two letters, as in ISO 3166-1")
		}
		patch.Country = &code
	}
	if patch.Fields != nil {
		compact, err := checkFields(*patch.Fields)
		checks.AddError("fields", err)
		patch.Fields = &compact
	}
	if strings.ContainsFunc(patch.Device, unicode.IsControl) {
		checks.Add("device", "has control characters")
	}
	patch.IP, patch.Device = cut(patch.IP, 64), cut(patch.Device, 128)
	return checks.Err()
}

func checkIdentity(of Identity) error {
	switch {
	case of.Key == "":
		return errors.New("is required")
	case of.Scheme == "":
		return errors.New("belongs to no scheme")
	}
	return checkText(of.Key, maxKey)
}

// checkText refuses what is too long or has characters that nobody sees.
func checkText(text string, most int) error {
	switch {
	case !utf8.ValidString(text):
		return errors.New("is not valid UTF-8")
	case utf8.RuneCountInString(text) > most:
		return fmt.Errorf("has more than %d characters", most)
	case strings.ContainsFunc(text, unicode.IsControl):
		return errors.New("has control characters")
	}
	return nil
}

// checkEmail asks for no more than that there is something on both sides of an @:
// what is an address only its receiver knows.
func checkEmail(address string) error {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || local == "" || domain == "" || strings.Contains(domain, "@") || strings.ContainsFunc(address, unicode.IsSpace) {
		return errors.New("must be an e-mail address")
	}
	return checkText(address, 254)
}

// checkFields returns a JSON object in compact form.
func checkFields(raw json.RawMessage) (json.RawMessage, error) {
	var compact bytes.Buffer
	switch {
	case len(raw) > maxFields:
		return nil, fmt.Errorf("has more than %d bytes", maxFields)
	case json.Compact(&compact, raw) != nil || compact.Len() == 0 || compact.Bytes()[0] != '{':
		return nil, errors.New("must be a JSON object")
	case bytes.Contains(raw, []byte(`\u0000`)):
		return nil, errors.New("has the character NUL")
	}
	return compact.Bytes(), nil
}

func cut(text string, most int) string {
	if len(text) <= most {
		return db.Storable(text)
	}
	return strings.ToValidUTF8(db.Storable(text)[:most], "")
}

// Block has a person take part in nothing, until Unblock. Repeating it changes
// nothing.
func Block(c *fact.Command, of id.ID) (*Person, error) {
	return change(c, of, Blocked, func(p *Person) bool {
		if p.IsBlocked() {
			return false
		}
		p.BlockedAt = c.Now()
		return true
	})
}

// Unblock takes Block back.
func Unblock(c *fact.Command, of id.ID) (*Person, error) {
	return change(c, of, Unblocked, func(p *Person) bool {
		if !p.IsBlocked() {
			return false
		}
		p.BlockedAt = time.Time{}
		return true
	})
}

func change(c *fact.Command, of id.ID, what string, fn func(p *Person) bool) (*Person, error) {
	p, err := selectPerson(c.Tx(), c.Tenant(), of)
	if err != nil {
		return nil, err
	}
	if p.IsDeleted() {
		return nil, errNoPerson
	}
	if !fn(p) {
		return p, nil
	}
	p.Version++
	p.UpdatedAt = c.Now()
	if err := update(c.Tx(), p); err != nil {
		return nil, err
	}
	return p, told(c, what, p)
}

// Deletion says how a person is to be forgotten.
type Deletion struct {
	// Remember keeps the identities, so that nobody is known by them again:
	// Save refuses them with problem.Conflict.
	Remember bool
}

// Delete forgets a person: what was known of it is removed, from the facts as well.
// That it was there, and what it led to, stays.
func Delete(c *fact.Command, of id.ID, how Deletion) error {
	p, err := selectPerson(c.Tx(), c.Tenant(), of)
	if err != nil {
		return err
	}
	if p.IsDeleted() {
		return errNoPerson
	}
	gone := &Person{
		ID: p.ID, TenantID: p.TenantID, Version: p.Version + 1, Identity: p.Identity, Account: p.Account,
		BlockedAt: p.BlockedAt, DeletedAt: c.Now(), CreatedAt: p.CreatedAt, UpdatedAt: c.Now(),
	}
	if !how.Remember { // a name may be an e-mail address
		gone.Key, gone.Account = p.ID.String(), ""
	}
	if err := update(c.Tx(), gone); err != nil {
		return err
	}
	if !how.Remember {
		if err := removeIdentities(c.Tx(), p); err != nil {
			return err
		}
	}
	if err := count(c.Tx(), p, -1); err != nil {
		return err
	}
	if err := told(c, Deleted, gone); err != nil {
		return err
	}
	if err := c.Tx().Flush(); err != nil {
		return err
	}
	return fact.Redact(c.Tx(), c.Tenant(), p.ID)
}

// AccountPatch is what is said about an account.
type AccountPatch struct {
	Key        string
	State      State
	Currency   string
	Details    json.RawMessage
	ReferredBy string // "": as it was
}

// SetAccount says where an account stands. It appends the fact of it if the state
// is another one.
func SetAccount(c *fact.Command, patch AccountPatch) (*Account, error) {
	if patch.Key == "" {
		return nil, problem.InvalidField("account", "is required")
	}
	if err := checkText(patch.Key, maxKey); err != nil {
		return nil, problem.InvalidField("account", "%s", err)
	}
	if !slices.Contains(States, patch.State) {
		return nil, problem.InvalidField("state", "must be trial, free, paid or cancelled")
	}
	a, err := selectAccount(c.Tx(), c.Tenant(), patch.Key)
	if problem.NotFound.Has(err) {
		a, err = &Account{ID: id.New(c.Tx().Now()), TenantID: c.Tenant(), Key: patch.Key, CreatedAt: c.Now()}, nil
	}
	if err != nil {
		return nil, err
	}
	code := cmp.Or(patch.ReferredBy, a.ReferredBy)
	differs := a.State != patch.State
	if !differs && a.Currency == patch.Currency && a.ReferredBy == code && bytes.Equal(a.Details, patch.Details) {
		return a, nil
	}
	a.State, a.Currency, a.Details, a.ReferredBy, a.UpdatedAt = patch.State, patch.Currency, patch.Details, code, c.Now()
	if differs {
		a.Version++
	}
	if err := upsertAccount(c.Tx(), a); err != nil || !differs {
		return a, err
	}
	now := *a
	_, err = c.Append(fact.Fact{Type: AccountChanged, Subject: fact.Ref{Kind: AccountSubject, ID: a.ID}, Version: a.Version, Data: &now})
	return a, err
}
