// Package session keeps who has signed in to the console, and the one-time links
// that sign somebody in.
//
// A random token of 256 bits stands for each of them. The database has its
// SHA-256 only, so that nobody who reads the table, or a backup, can take
// somebody's place. Sessions and links are good at every server of the database,
// and a link is used up at all of them at once.
//
// A session names the key that it began with. Whether that still holds is for the
// caller to ask at each request.
package session

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	idle = 12 * time.Hour // a session ends that was not used for so long
	// precision is how exactly the last use of a session is known: noting each would
	// cost every page a commit.
	precision = time.Minute
	maxOfKey  = 64 // sessions of one key; the operator's count as one
	linkLife  = 15 * time.Minute
	maxLinks  = 64
)

// NewToken returns 256 random bits as text.
func NewToken() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails: the runtime ends the process first
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// hashed is the SHA-256 of a token.
type hashed [sha256.Size]byte

func hashOf(token string) hashed { return sha256.Sum256([]byte(token)) }

// Holder is who has signed in.
type Holder struct {
	Tenant, Key id.ID // zero: the operator
	// Proof is anything that only the holder's key and the session's token lead to, so
	// that who has another key can be told apart. It may be empty.
	Proof []byte
}

// Operator reports whether it is the operator, who belongs to no tenant.
func (h Holder) Operator() bool { return h.Tenant.IsZero() }

// ProvenBy reports whether the proof is this one.
func (h Holder) ProvenBy(proof []byte) bool {
	return subtle.ConstantTimeCompare(h.Proof, proof) == 1
}

// Session is a session as it was read.
type Session struct {
	Holder

	hash   hashed
	usedAt time.Time

	unseen   id.ID // what was made, and is to be shown once; zero: nothing
	notice   string
	noticeOf id.ID // what the notice is about
}

// Service is the sessions and links of one database. All methods may be called
// concurrently.
type Service struct{ db *db.DB }

// New returns the service of d.
func New(d *db.DB) (*Service, error) {
	if d == nil {
		return nil, errors.New("session: there is no database")
	}
	return &Service{d}, nil
}

// Begin opens a session for which the token stands. A key has at most 64 of them:
// the one that has rested longest ends for one too many.
func (s *Service) Begin(ctx context.Context, token string, h Holder) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		if err := endIdle(tx, tx.Now().Add(-idle)); err != nil {
			return err
		}
		if err := endOldest(tx, h, maxOfKey-1); err != nil {
			return err
		}
		return insert(tx, hashOf(token), h)
	})
}

// Find returns the session for which the token stands at now, or
// problem.Unauthenticated.
func (s *Service) Find(ctx context.Context, token string, now time.Time) (*Session, error) {
	var found *Session
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = selectSession(q, hashOf(token))
		return err
	})
	if errors.Is(err, db.ErrNoRows) || err == nil && now.Sub(found.usedAt) >= idle {
		return nil, problem.Unauthenticated.New("there is no such session")
	}
	return found, err
}

// Touch notes that the session was used at now, to the minute.
func (s *Service) Touch(ctx context.Context, used *Session, now time.Time) error {
	if now.Sub(used.usedAt) < precision {
		return nil
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return updateUsed(tx, used.hash, now) })
}

// End closes the session for which the token stands, if there is one.
func (s *Service) End(ctx context.Context, token string) error {
	if token == "" {
		return nil
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return remove(tx, hashOf(token)) })
}

// Made notes that something was made that is to be shown once.
func (s *Service) Made(ctx context.Context, in *Session, what id.ID) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return updateUnseen(tx, in.hash, what) })
}

// TakeUnseen reports whether this is what was made, the first time that it is
// asked.
func (s *Service) TakeUnseen(ctx context.Context, in *Session, what id.ID) (bool, error) {
	if in.unseen.IsZero() || in.unseen != what {
		return false, nil
	}
	taken := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		taken, err = takeUnseen(tx, in.hash, what)
		return err
	})
	return taken && err == nil, err
}

// Leave keeps what the next page of a thing says.
func (s *Service) Leave(ctx context.Context, in *Session, of id.ID, notice string) error {
	return s.db.Write(ctx, func(tx *db.Tx) error { return updateNotice(tx, in.hash, of, notice) })
}

// TakeNotice returns what is to be said on the page of a thing, once.
func (s *Service) TakeNotice(ctx context.Context, in *Session, of id.ID) (string, error) {
	if in.notice == "" || in.noticeOf != of {
		return "", nil
	}
	taken := false
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		taken, err = takeNotice(tx, in.hash, of)
		return err
	})
	if err != nil || !taken {
		return "", err
	}
	return in.notice, nil
}

// NewLink returns the token of a link that is good once and within 15 minutes.
// There are at most 64: the oldest ends for one too many.
func (s *Service) NewLink(ctx context.Context) (string, error) {
	token := NewToken()
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		if err := endLinks(tx, maxLinks-1); err != nil {
			return err
		}
		return insertLink(tx, hashOf(token), tx.Now().Add(linkLife))
	})
	return token, err
}

// Redeem uses a link up, and reports whether it was good. Tokens have 256 random
// bits, so guesses need no limit.
func (s *Service) Redeem(ctx context.Context, token string) (bool, error) {
	good := false
	err := s.db.Read(ctx, func(q db.Queryer) error { // anybody may ask, and writing is dear
		var err error
		good, err = hasLink(q, hashOf(token))
		return err
	})
	if err != nil || !good {
		return false, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		var err error
		good, err = removeLink(tx, hashOf(token))
		return err
	})
	return good && err == nil, err
}
