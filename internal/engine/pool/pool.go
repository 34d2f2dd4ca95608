// Package pool keeps supplies of codes, such as those of a shop's coupons, that
// tenants upload and rewards give away.
//
// A code is given once, to one reward, for good: one whose reward is taken back is
// not given to somebody else, who might find it used. They are given in the order in
// which they were uploaded.
//
// A pool that is empty, or that nobody has filled yet, is a state and no error. A
// reward that finds it so waits, and so does one that comes while others wait. When
// codes are added a timer is set ([FilledTimer]) by which those that wait get them,
// the earliest reward first. So where there are codes and somebody waits, there is
// such a timer.
package pool

import (
	"context"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/timer"
)

// PoolID stands before the ids of pools.
const PoolID id.Kind = "pool"

// FilledTimer is the kind of the timer that is set when codes were added. Its data
// is the pool's key.
const FilledTimer = "pool.filled"

const (
	maxCodes = 10_000 // that are added at once
	maxCode  = 200    // bytes
	maxPools = 1000   // of a tenant
)

// Pool is a supply of codes.
type Pool struct {
	ID        id.ID
	Key       string
	Added     int64 // how many codes it ever had
	Given     int64 // how many of them somebody has
	CreatedAt time.Time

	numbered int64 // the largest ordinal that was tried
	reached  int64 // the ordinal of the last code that was given
}

// Left is how many codes can still be given.
func (p Pool) Left() int64 { return p.Added - p.Given }

// Service fills pools. Its methods may be called concurrently.
type Service struct{ db *db.DB }

// New returns a Service.
func New(d *db.DB) *Service { return &Service{d} }

// Added is what came of adding codes.
type Added struct {
	Pool
	Count      int      // of the codes that are new
	Duplicates []string // what the pool had before, or stood there twice
}

// Add adds codes to a pool, which it makes if there is none with the key. Codes are
// compared as they are, but for spaces around them. What the pool has or ever had is
// passed over and returned, so that an upload that was broken off can be repeated.
func (s *Service) Add(ctx context.Context, tenant id.ID, key string, codes []string) (Added, error) {
	trimmed, err := check(key, codes)
	if err != nil {
		return Added{}, err
	}
	var done Added
	err = s.db.WriteKey(ctx, tenant.String()+"/pool/"+key, func(tx *db.Tx) error {
		done = Added{}
		p, err := open(tx, tenant, key)
		if err != nil {
			return err
		}
		for _, code := range trimmed {
			p.numbered++
			err := insertCode(tx, newCode{tenant, key, p.numbered, code}, func(isNew bool) {
				if isNew {
					done.Count++
				} else {
					done.Duplicates = append(done.Duplicates, code)
				}
			})
			if err != nil {
				return err
			}
		}
		if err := tx.Flush(); err != nil {
			return err
		}
		p.Added += int64(done.Count)
		done.Pool = p
		return filled(ctx, tx, tenant, done)
	})
	return done, err
}

// open returns a pool, which it makes if there is none.
func open(tx *db.Tx, tenant id.ID, key string) (Pool, error) {
	p, err := selectPool(tx, tenant, key)
	if !problem.NotFound.Has(err) {
		return p, err
	}
	n, err := countPools(tx, tenant)
	if err != nil {
		return Pool{}, err
	}
	if n >= maxPools {
		return Pool{}, problem.Conflict.New("the tenant has %d pools, which is as many as there may be", n)
	}
	return Pool{ID: id.New(tx.Now()), Key: key, CreatedAt: tx.Now()}, nil
}

// filled stores a pool that has new codes, and has those that wait get them.
func filled(ctx context.Context, tx *db.Tx, tenant id.ID, done Added) error {
	if err := upsertPool(tx, tenant, done.Pool); err != nil || done.Count == 0 {
		return err
	}
	if err := SetFilled(tx, tenant, done.Pool, tx.Now()); err != nil {
		return err
	}
	return audit.Write(ctx, tx, audit.Change{
		TenantID: tenant, Action: audit.PoolFilled, ObjectID: PoolID.Format(done.ID),
		Fields: []audit.Field{{Name: "key", After: done.Key}, {Name: "codes", After: strconv.Itoa(done.Count)}},
	})
}

// SetFilled sets the timer by which those that wait get codes.
func SetFilled(tx *db.Tx, tenant id.ID, p Pool, at time.Time) error {
	_, err := timer.Set(tx, timer.Timer{TenantID: tenant, Kind: FilledTimer, DueAt: at, Ref: p.ID, Data: []byte(p.Key)})
	return err
}

var keyFormat = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// check returns the codes without spaces around them, or problem.Invalid.
func check(key string, codes []string) ([]string, error) {
	var checks problem.Checks
	if !keyFormat.MatchString(key) {
		checks.Add("pool", "must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '-' and '_'")
	}
	if len(codes) == 0 || len(codes) > maxCodes {
		checks.Add("codes", "must be 1 to %d codes: add more by another request", maxCodes)
		return nil, checks.Err()
	}
	trimmed := make([]string, len(codes))
	for i, code := range codes {
		trimmed[i] = strings.TrimSpace(code)
		if !isCode(trimmed[i]) {
			checks.Add("codes["+strconv.Itoa(i)+"]", "must have 1 to %d bytes that can be seen", maxCode)
			break // one of them says enough
		}
	}
	return trimmed, checks.Err()
}

func isCode(text string) bool {
	return text != "" && len(text) <= maxCode && db.Storable(text) == text && !strings.ContainsFunc(text, unicode.IsControl)
}

// Get returns one of the tenant's pools, or problem.NotFound.
func (s *Service) Get(ctx context.Context, tenant id.ID, key string) (Pool, error) {
	var p Pool
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		p, err = selectPool(q, tenant, key)
		return err
	})
	return p, err
}

// List returns the tenant's pools, of which there are a thousand at most, in the
// order of their keys.
func (s *Service) List(ctx context.Context, tenant id.ID) ([]Pool, error) {
	var pools []Pool
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		pools, err = selectPools(q, tenant)
		return err
	})
	return pools, err
}
