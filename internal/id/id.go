// Package id makes and reads the identifiers of everything that Grapevine
// stores.
//
// An ID has 96 bits: 48 of milliseconds since the Unix epoch and 48 random
// ones. IDs made later sort later, within one process even where they are made
// in the same millisecond; so tables and their indexes grow at the end, events
// stand in the order in which they were accepted, and no node has to ask another
// for a number. An ID does not say what it names; where people see one it stands
// behind a [Kind], as in "evt_019a9c1d2f3b5e8d7c6a4f10".
package id

import (
	"bytes"
	"crypto/rand"
	"database/sql/driver"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"time"
)

// ID is a time-ordered identifier. The zero ID names nothing.
type ID [12]byte

// maxStepBack is how far the clock may step back at once, in milliseconds, without
// IDs following it: they go on from the last one, so that what is accepted later
// still sorts later.
const maxStepBack = 60_000

// Sequence makes IDs that rise. It is the last one that was made, in its two
// halves, and the clock then. The zero Sequence is ready; its methods may be called
// concurrently.
type Sequence struct {
	mu    sync.Mutex
	clock uint64
	ms    uint64
	n     uint64 // 48 bits
}

var made Sequence

// New returns a fresh ID for something that came to be at now. It sorts after
// those that were made before, unless the clock was set back by more than a minute
// since.
func New(now time.Time) ID { return made.New(now) }

// After returns a fresh ID for something that came to be at now and follows what
// has the ID latest: it sorts after that too, whichever process made it and however
// much that one's clock is ahead of this one's. The zero ID precedes all.
func After(now time.Time, latest ID) ID { return made.After(now, latest) }

// New returns a fresh ID for something that came to be at now. It sorts after
// those of the sequence that were made before, unless the clock was set back by
// more than a minute since.
func (s *Sequence) New(now time.Time) ID {
	var random [8]byte
	_, _ = rand.Read(random[2:]) // never fails: the runtime ends the process first
	return s.next(millis(now), binary.BigEndian.Uint64(random[:]))
}

// After is the function After, by the IDs of the sequence. One that goes on from
// latest leaves the sequence where it was: a clock that is wrong moves what follows
// on what it dated, and nothing else.
func (s *Sequence) After(now time.Time, latest ID) ID {
	fresh := s.New(now)
	if bytes.Compare(fresh[:], latest[:]) > 0 {
		return fresh
	}
	ms, n := latest.halves()
	_, random := fresh.halves()
	n += 1 + random&(1<<32-1)
	return assemble(ms+n>>48, n&tail)
}

// tail is the half of an ID that is random at first.
const tail = 1<<48 - 1

// halves returns the milliseconds of an ID and the rest of it.
func (id ID) halves() (uint64, uint64) {
	var ms, n [8]byte
	copy(ms[2:], id[:6])
	copy(n[2:], id[6:])
	return binary.BigEndian.Uint64(ms[:]), binary.BigEndian.Uint64(n[:])
}

// next returns the next ID at ms, given 48 random bits. Where the last one was of
// the same time, or a later one, it goes on from that by up to 2^32: far enough
// that nobody guesses an ID from the one before, and 65,536 steps or more until
// they reach into the next millisecond.
func (s *Sequence) next(ms, random uint64) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	setBack := ms+maxStepBack < s.clock
	s.clock = ms
	if ms > s.ms || setBack {
		s.ms, s.n = ms, random
		return assemble(s.ms, s.n)
	}
	s.n += 1 + random&(1<<32-1)
	s.ms += s.n >> 48
	s.n &= tail
	return assemble(s.ms, s.n)
}

func assemble(ms, n uint64) ID {
	var id ID
	var half [8]byte
	binary.BigEndian.PutUint64(half[:], ms)
	copy(id[:6], half[2:])
	binary.BigEndian.PutUint64(half[:], n)
	copy(id[6:], half[2:])
	return id
}

// millis is t as IDs have it: not before 1970.
func millis(t time.Time) uint64 { return uint64(max(t.UnixMilli(), 0)) }

// First returns the smallest ID of the millisecond that t lies in: the bound
// for reading by time.
func First(t time.Time) ID { return assemble(millis(t), 0) }

// Last returns an ID that sorts after every one that is made: the bound for reading
// from the end.
func Last() ID { return ID{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// OrNull returns the ID as it is stored where it may be missing: nil for the zero ID.
func (id ID) OrNull() any {
	if id.IsZero() {
		return nil
	}
	return id
}

// Time returns when the ID was made, to the millisecond, in UTC.
func (id ID) Time() time.Time {
	ms, _ := id.halves()
	return time.UnixMilli(int64(ms)).UTC() //nolint:gosec // 48 bits fit
}

// IsZero reports whether the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// String returns the 24 hexadecimal digits of the ID, without a kind.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText writes the hexadecimal digits, as JSON documents have them.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return fmt.Errorf("id: expected %d hexadecimal digits", 2*len(id))
	}
	_, err := hex.Decode(id[:], text)
	return err
}

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
