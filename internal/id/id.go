// Package id makes and reads the identifiers of everything that Grapevine
// stores.
//
// An ID has 96 bits: 48 of milliseconds since the Unix epoch and 48 random
// ones. IDs made later sort later, so tables and their indexes grow at the end,
// and no node has to ask another for a number. An ID does not say what it
// names; where people see one it stands behind a [Kind], as in
// "evt_019a9c1d2f3b5e8d7c6a4f10".
package id

import (
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID is a time-ordered identifier. The zero ID names nothing.
type ID [12]byte

// New returns a fresh ID for something that came to be at now.
func New(now time.Time) ID {
	var id ID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(now.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	_, _ = rand.Read(id[6:]) // never fails: the runtime ends the process first
	return id
}

// First returns the smallest ID of the millisecond that t lies in: the bound
// for reading by time.
func First(t time.Time) ID {
	id := New(t)
	clear(id[6:])
	return id
}

// Time returns when the ID was made, to the millisecond, in UTC.
func (id ID) Time() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:]))).UTC() //nolint:gosec // 48 bits fit
}

// IsZero reports whether the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the 24 hexadecimal digits of the ID, without a kind.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Value stores the ID as its 12 bytes.
func (id ID) Value() (driver.Value, error) { return id[:], nil }

// Scan reads the 12 bytes of a stored ID.
func (id *ID) Scan(src any) error {
	b, ok := src.([]byte)
	if !ok || len(b) != len(id) {
		return fmt.Errorf("id: cannot read %T of the wrong shape as an ID", src)
	}
	copy(id[:], b)
	return nil
}

// Kind is the prefix that says what an ID names.
type Kind string

// The kinds of things that are named natively.
const (
	Tenant       Kind = "ten"
	Key          Kind = "key"
	Event        Kind = "evt"
	Subscription Kind = "sub"
	Delivery     Kind = "dlv"
	Job          Kind = "job"
)

// Format writes ids behind the kind: one ID for most kinds, two for a
// delivery, which is named by its event and its subscription.
func (k Kind) Format(ids ...ID) string {
	b := make([]byte, 0, len(k)+1+24*len(ids))
	b = append(b, k...)
	b = append(b, '_')
	for _, id := range ids {
		b = hex.AppendEncode(b, id[:])
	}
	return string(b)
}

// Parse reads what Format wrote for one ID. It accepts that spelling only, so
// that two texts never name one thing. The error does not repeat s.
func (k Kind) Parse(s string) (ID, error) {
	var id ID
	if err := k.parse(s, id[:]); err != nil {
		return ID{}, err
	}
	return id, nil
}

// ParsePair reads what Format wrote for two IDs.
func (k Kind) ParsePair(s string) (ID, ID, error) {
	var pair [24]byte
	if err := k.parse(s, pair[:]); err != nil {
		return ID{}, ID{}, err
	}
	return ID(pair[:12]), ID(pair[12:]), nil
}

func (k Kind) parse(s string, into []byte) error {
	digits, ok := strings.CutPrefix(s, string(k)+"_")
	if !ok || len(digits) != 2*len(into) || strings.ToLower(digits) != digits {
		return k.malformed(len(into))
	}
	if _, err := hex.Decode(into, []byte(digits)); err != nil {
		return k.malformed(len(into))
	}
	return nil
}

func (k Kind) malformed(n int) error {
	return fmt.Errorf("id: expected %q and %d lower-case hexadecimal digits", string(k)+"_", 2*n)
}
