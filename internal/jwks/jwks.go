// Package jwks keeps the server's own RSA keys, by which receivers can verify a
// webhook without sharing a secret: they find the public halves in a JSON Web Key
// Set (RFC 7517), each under its id.
//
// One key is current and signs. The first one is made when it is first asked
// for. [Service.Rotate] puts another one in its place: that signs at once, and
// the old one stays in the set for 30 days, for receivers that verify late. Its
// private half is forgotten at once.
//
// Private halves are sealed with the master key. All that is asked for often is
// answered from memory; the memory is this process's own, and what other processes
// change it is told of. Of several that make the first key at once one does, and
// the others use that.
package jwks

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const (
	bits = 2048
	// topic is that of the keys.
	topic = "jwks"
	// published is how long a retired key stays in the set.
	published = 30 * 24 * time.Hour
)

// Options are what a Service needs besides its database.
type Options struct {
	Box  *secret.Box // seals the private halves; required
	Feed db.Feed     // tells of what other processes change; nil: there are none
}

// Service is the keys of one database. All methods may be called concurrently.
type Service struct {
	db   *db.DB
	box  *secret.Box
	feed db.Feed // nil: nobody else changes the database

	turn chan struct{} // whose turn it is in this process to read or change the table
	keys memory
}

// memory is the keys as they were last read. What was read while they changed is
// not kept.
type memory struct {
	mu         sync.RWMutex
	ring       *ring // nil: not read yet, or changed since
	generation uint64
}

func (m *memory) get() (*ring, uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.ring, m.generation
}

// keep keeps what was read, or made, since get returned the generation.
func (m *memory) keep(r *ring, since uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.generation == since {
		m.ring = r
	}
}

func (m *memory) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.generation++
	m.ring = nil
}

// ring is the keys as the table has them.
type ring struct {
	current *wire.RSAKey // nil: none was made yet
	public  []publicKey  // the current one first, then the one retired last
}

type publicKey struct {
	id        id.ID
	key       *rsa.PublicKey
	retiredAt time.Time // zero: it is the current one
}

// New returns the keys of d.
func New(d *db.DB, opts Options) (*Service, error) {
	if d == nil || opts.Box == nil {
		return nil, errors.New("jwks: there is no database, or no box")
	}
	s := &Service{db: d, box: opts.Box, feed: opts.Feed, turn: make(chan struct{}, 1)}
	if s.feed != nil {
		s.feed.Watch(topic, func(context.Context, id.ID) { s.keys.forget() })
	}
	return s, nil
}

// Current returns the key that signs now, the same pointer until it is another
// key. The first call for a database makes it, which takes a moment.
func (s *Service) Current(ctx context.Context) (*wire.RSAKey, error) {
	keys, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	return keys.current, nil
}

// Set returns the document in which receivers find the public halves: that of
// the current key, which is made if there is none, and those of the keys that
// were retired in the 30 days before now.
func (s *Service) Set(ctx context.Context, now time.Time) ([]byte, error) {
	keys, err := s.ring(ctx)
	if err != nil {
		return nil, err
	}
	type jwk struct {
		KeyType  string `json:"kty"`
		Modulus  string `json:"n"`
		Exponent string `json:"e"`
		ID       string `json:"kid"`
		Use      string `json:"use"`
		Method   string `json:"alg"`
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, k := range keys.public {
		if !k.retiredAt.IsZero() && !now.Before(k.retiredAt.Add(published)) {
			continue
		}
		set.Keys = append(set.Keys, jwk{
			KeyType:  "RSA",
			Modulus:  base64.RawURLEncoding.EncodeToString(k.key.N.Bytes()),
			Exponent: base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.key.E)).Bytes()),
			ID:       k.id.String(),
			Use:      "sig",
			Method:   "RS256",
		})
	}
	return json.Marshal(set)
}

// Rotate retires the current key, makes another one and returns it.
func (s *Service) Rotate(ctx context.Context) (*wire.RSAKey, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.giveBack()
	made, err := s.generate()
	if err != nil {
		return nil, err
	}
	keys, err := s.change(ctx, func(tx *db.Tx) (*ring, error) { return s.replace(ctx, tx, made, audit.SigningKeyRotated) })
	if err != nil {
		return nil, err
	}
	return keys.current, nil
}

// ring returns the keys, with a current one.
func (s *Service) ring(ctx context.Context) (*ring, error) {
	if keys := s.known(); keys != nil {
		return keys, nil
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.giveBack()
	if keys := s.known(); keys != nil { // somebody else was first
		return keys, nil
	}
	_, began := s.keys.get()
	var keys *ring
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		keys, err = s.read(q)
		return err
	})
	if err != nil {
		return nil, err
	}
	if keys.current == nil {
		return s.first(ctx)
	}
	s.keys.keep(keys, began)
	return keys, nil
}

// known returns the keys from memory, or nil if they have to be read.
func (s *Service) known() *ring {
	if s.feed != nil && !s.feed.Alive() {
		return nil
	}
	keys, _ := s.keys.get()
	return keys
}

// take waits until it is the caller's turn, so that a process neither reads nor
// makes a key twice at once. Between processes the database decides.
func (s *Service) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) giveBack() { <-s.turn }

// generated is a key that is to become the current one.
type generated struct {
	row
	key *wire.RSAKey
}

// generate makes a key. This takes up to a second: not inside a transaction, which
// holds up others.
func (s *Service) generate() (generated, error) {
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return generated{}, fmt.Errorf("jwks: make a key: %w", err)
	}
	made := id.New(time.Now())
	row, err := s.sealed(made, private)
	return generated{row, &wire.RSAKey{ID: made.String(), Private: private}}, err
}

// first makes the first key, unless another process has done so meanwhile. It is
// the caller's turn.
func (s *Service) first(ctx context.Context) (*ring, error) {
	made, err := s.generate()
	if err != nil {
		return nil, err
	}
	return s.change(ctx, func(tx *db.Tx) (*ring, error) {
		keys, err := s.read(tx)
		if err != nil || keys.current != nil {
			return keys, err
		}
		return s.replace(ctx, tx, made, audit.SigningKeyCreated)
	})
}

// change runs fn in a transaction and keeps the keys that it returns. It is the
// caller's turn.
func (s *Service) change(ctx context.Context, fn func(tx *db.Tx) (*ring, error)) (*ring, error) {
	_, began := s.keys.get()
	var keys *ring
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		if keys, err = fn(tx); err != nil {
			return err
		}
		tx.After(func() { s.keys.keep(keys, began) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
}

// replace puts a key in the place of the current one, if there is one. The caller
// says which of the two it is.
func (s *Service) replace(ctx context.Context, tx *db.Tx, made generated, action audit.Action) (*ring, error) {
	if err := retire(tx, tx.Now().Add(-published)); err != nil {
		return nil, err
	}
	if err := insert(tx, made.row); err != nil {
		return nil, err
	}
	if s.feed != nil {
		if err := s.feed.Changed(tx, topic, id.ID{}); err != nil {
			return nil, err
		}
	}
	if err := audit.Write(ctx, tx, audit.Change{Action: action, ObjectID: made.key.ID}); err != nil {
		return nil, err
	}
	public, err := publicKeys(tx)
	if err != nil {
		return nil, err
	}
	return &ring{current: made.key, public: public}, nil
}

func (s *Service) sealed(of id.ID, private *rsa.PrivateKey) (row, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return row{}, fmt.Errorf("jwks: encode a key: %w", err)
	}
	sealed, err := s.box.Seal(der, of)
	if err != nil {
		return row{}, err
	}
	return row{id: of, sealed: sealed, public: x509.MarshalPKCS1PublicKey(&private.PublicKey)}, nil
}

// read returns what the table has.
func (s *Service) read(q db.Queryer) (*ring, error) {
	public, err := publicKeys(q)
	if err != nil {
		return nil, err
	}
	current, sealed, err := currentKey(q)
	if errors.Is(err, db.ErrNoRows) {
		return &ring{public: public}, nil
	}
	if err != nil {
		return nil, err
	}
	der, err := s.box.Open(sealed, current)
	if err != nil {
		return nil, fmt.Errorf("jwks: open the key %s: %w", current, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("jwks: read the key %s: %w", current, err)
	}
	private, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("jwks: the key %s is not an RSA key", current)
	}
	return &ring{current: &wire.RSAKey{ID: current.String(), Private: private}, public: public}, nil
}
