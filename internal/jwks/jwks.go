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
// answered from memory; the memory is this process's own.
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
	"sync/atomic"
	"time"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

const (
	bits = 2048
	// published is how long a retired key stays in the set.
	published = 30 * 24 * time.Hour
)

// Service is the keys of one database. All methods may be called concurrently.
type Service struct {
	db  *db.DB
	box *secret.Box

	turn chan struct{}        // whose turn it is to read or change the table
	keys atomic.Pointer[ring] // nil: not read yet
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

// New returns the keys of d, sealed with box.
func New(d *db.DB, box *secret.Box) (*Service, error) {
	if d == nil || box == nil {
		return nil, errors.New("jwks: there is no database, or no box")
	}
	return &Service{db: d, box: box, turn: make(chan struct{}, 1)}, nil
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
	keys, err := s.replace(ctx, audit.SigningKeyRotated)
	if err != nil {
		return nil, err
	}
	return keys.current, nil
}

// ring returns the keys, with a current one.
func (s *Service) ring(ctx context.Context) (*ring, error) {
	if keys := s.keys.Load(); keys != nil {
		return keys, nil
	}
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.giveBack()
	if keys := s.keys.Load(); keys != nil { // somebody else was first
		return keys, nil
	}
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
		return s.replace(ctx, audit.SigningKeyCreated)
	}
	s.keys.Store(keys)
	return keys, nil
}

// take waits until it is the caller's turn. The table has no other readers and
// writers: a database belongs to one process.
func (s *Service) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Service) giveBack() { <-s.turn }

// replace makes a key and puts it in the place of the current one, if there is
// one. It is the caller's turn, who says which of the two it is.
func (s *Service) replace(ctx context.Context, action audit.Action) (*ring, error) {
	// This takes up to a second: not inside the transaction, which holds up all
	// others.
	private, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return nil, fmt.Errorf("jwks: make a key: %w", err)
	}
	made := id.New(time.Now())
	row, err := s.sealed(made, private)
	if err != nil {
		return nil, err
	}
	var keys *ring
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if err := retire(tx, tx.Now().Add(-published)); err != nil {
			return err
		}
		if err := insert(tx, row); err != nil {
			return err
		}
		if err := audit.Write(ctx, tx, audit.Change{Action: action, ObjectID: made.String()}); err != nil {
			return err
		}
		public, err := publicKeys(tx)
		if err != nil {
			return err
		}
		keys = &ring{current: &wire.RSAKey{ID: made.String(), Private: private}, public: public}
		tx.After(func() { s.keys.Store(keys) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, nil
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
