package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/jwks"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// resealers seal anew what each package keeps sealed.
var resealers = []func(tx *db.Tx, from, to *secret.Box) error{webhook.Reseal, tenant.Reseal, jwks.Reseal}

// KeyRotation is what RotateMasterKey has to do.
type KeyRotation struct {
	Database  string // the URL that the server is started with
	MasterKey string // the present key; "": the one in the file beside the database, which only SQLite has
	NewKey    string // "": the one in NewKeyFile
	// NewKeyFile has the new key, for its owner alone. "": one is made, if the
	// present one is in the file beside the database.
	NewKeyFile string

	reached func(step string) // tells a test how far it has come; nil: nobody asks
}

// The moments at which a rotation that is killed leaves other things behind.
const (
	stepOpened    = "opened"
	stepStored    = "the new one is on disk"
	stepCommitted = "committed"
	stepAdopted   = "the key file is replaced"
)

// KeyRotated is what RotateMasterKey has done.
type KeyRotated struct {
	File string // where the new key is; "": where the caller has it
	Kept string // where the old one is; "": where the caller has it
}

// RotateMasterKey encrypts all secrets of a database that no server runs on with
// another master key, in one transaction. Where the present key is in the file
// beside the database, the new one takes its place. An error means that nothing
// has changed, unless it says so. A kill at any moment leaves a database that the
// next start opens, with one of the two keys where they are not in files.
func RotateMasterKey(ctx context.Context, r KeyRotation) (KeyRotated, error) {
	if err := r.check(); err != nil {
		return KeyRotated{}, err
	}
	next, err := r.next()
	if err != nil {
		return KeyRotated{}, err
	}
	d, err := db.Open(ctx, r.Database, db.Options{})
	if errors.Is(err, db.ErrUnavailable) && !config.IsPostgres(r.Database) {
		return KeyRotated{}, fmt.Errorf("app: stop the server first: %w", err)
	}
	if err != nil {
		return KeyRotated{}, err
	}
	err = r.reseal(ctx, d, next)
	if err = errors.Join(err, d.Close()); err != nil {
		return KeyRotated{}, err
	}
	r.reach(stepCommitted)
	if r.MasterKey != "" {
		return KeyRotated{}, nil
	}
	file := keyFile(r.Database)
	kept, err := secret.AdoptNextKeyFile(file, time.Now())
	if err != nil {
		return KeyRotated{}, fmt.Errorf("app: everything is encrypted with the new key, which is in %s.new: start the server, which puts it in place: %w", file, err)
	}
	r.reach(stepAdopted)
	return KeyRotated{File: file, Kept: kept}, nil
}

// check refuses what names no database with secrets, before anything is opened,
// which would make one.
func (r KeyRotation) check() error {
	if err := config.CheckDatabase(r.Database); err != nil {
		return fmt.Errorf("app: the database %w", err)
	}
	if config.IsPostgres(r.Database) {
		if r.MasterKey == "" {
			return fmt.Errorf("app: give the present key as %s, as the servers have it: with Postgres there is no file for it", config.MasterKeyVariable)
		}
		return nil
	}
	if _, err := os.Stat(strings.TrimPrefix(r.Database, "sqlite:")); err != nil {
		return fmt.Errorf("app: there is no database to encrypt anew: %w", err)
	}
	return nil
}

func (r KeyRotation) reach(step string) {
	if r.reached != nil {
		r.reached(step)
	}
}

// next returns the new key.
func (r KeyRotation) next() (secret.Key, error) {
	switch {
	case r.NewKey != "" && r.NewKeyFile != "":
		return secret.Key{}, fmt.Errorf("app: there are two new keys: give %s or a file", config.NewMasterKeyVariable)
	case r.NewKey != "":
		key, err := secret.ParseKey(r.NewKey)
		if err != nil {
			return secret.Key{}, fmt.Errorf("app: %s: %w", config.NewMasterKeyVariable, err)
		}
		return key, nil
	case r.NewKeyFile != "":
		return secret.ReadKeyFile(r.NewKeyFile)
	case r.MasterKey != "":
		return secret.Key{}, fmt.Errorf("app: the present key is in %s, so the new one has to come from you: give it as %s or in a file, and start the server with it afterwards",
			config.MasterKeyVariable, config.NewMasterKeyVariable)
	default:
		return secret.NewKey(), nil
	}
}

// reseal seals all that is sealed with the new key, once that can't be lost.
func (r KeyRotation) reseal(ctx context.Context, d *db.DB, next secret.Key) error {
	chosen, err := secret.Chosen(ctx, d)
	if err != nil {
		return err
	}
	if !chosen {
		return errors.New("app: no server has run on this database, so nothing in it is encrypted: start one with the new key")
	}
	from, err := openBox(ctx, d, config.Server{Database: r.Database, MasterKey: r.MasterKey})
	if err != nil {
		return err
	}
	inForce := func(q db.Queryer) error { return secret.Check(q, next) }
	err = d.Read(ctx, inForce)
	if err == nil {
		return errors.New("app: the new key is the present one")
	}
	if !errors.Is(err, secret.ErrWrongKey) {
		return err
	}
	to, err := secret.NewBox(next)
	if err != nil {
		return err
	}
	r.reach(stepOpened)
	if r.MasterKey == "" {
		if err := secret.WriteNextKeyFile(keyFile(r.Database), next); err != nil {
			return err
		}
	}
	r.reach(stepStored)
	err = d.Write(ctx, func(tx *db.Tx) error {
		if err := refuseLiving(tx); err != nil {
			return err
		}
		for _, reseal := range resealers {
			if err := reseal(tx, from, to); err != nil {
				return err
			}
		}
		return secret.ReplaceVerifier(tx, to)
	})
	if err != nil && d.Read(ctx, inForce) == nil { // it was committed, and the connection broke before the answer came
		return nil
	}
	return err
}

// refuseLiving returns an error that names the servers that use the database: they
// would go on to seal with the old key.
func refuseLiving(tx *db.Tx) error {
	living, err := node.Living(tx)
	if err != nil {
		return err
	}
	if len(living) == 0 {
		return node.BuryAll(tx) // one that comes back looks at the key anew
	}
	return fmt.Errorf("app: servers run on this database (%s): stop them first; one that was killed counts until its lease has run out",
		strings.Join(living, ", "))
}

// checkMasterKey demands the key of a Postgres database. A file beside it is
// nowhere, and its nodes, each on a machine of its own perhaps, need the same one.
func checkMasterKey(database, key string) error {
	if key != "" || !config.IsPostgres(database) {
		return nil
	}
	return fmt.Errorf("app: with Postgres there is no file for the master key: make one with 'openssl rand -hex 32', keep a copy of it, and start every node with it as %s", config.MasterKeyVariable)
}

// openBox takes the master key from the settings, or from the file beside the
// database, which the first start makes.
func openBox(ctx context.Context, d *db.DB, cfg config.Server) (*secret.Box, error) {
	if cfg.MasterKey != "" {
		key, err := secret.ParseKey(cfg.MasterKey)
		if err != nil {
			return nil, fmt.Errorf("app: %s: %w", config.MasterKeyVariable, err)
		}
		box, err := secret.Open(ctx, d, key)
		return box, wrongKey(err, config.MasterKeyVariable)
	}
	path := keyFile(cfg.Database)
	chosen, err := secret.Chosen(ctx, d)
	if err != nil {
		return nil, err
	}
	if _, missing := os.Stat(path); chosen && errors.Is(missing, fs.ErrNotExist) {
		return nil, fmt.Errorf("app: the master key's file %s is missing: restore it, or give the key as %s; without it the secrets in the database can't be read",
			path, config.MasterKeyVariable)
	}
	return openBoxOfFile(ctx, d, path)
}

// keyFile is where the master key of an SQLite database is, unless a variable has it.
func keyFile(database string) string { return strings.TrimPrefix(database, "sqlite:") + ".key" }

// openBoxOfFile opens the box with the key in the file at path. Where a rotation
// was killed, it puts the key in place that fits the database, or removes the one
// that was to and does not.
func openBoxOfFile(ctx context.Context, d *db.DB, path string) (*secret.Box, error) {
	key, _, err := secret.ReadOrCreateKeyFile(path)
	if err != nil {
		return nil, err
	}
	box, err := secret.Open(ctx, d, key)
	if err == nil {
		return box, secret.DropNextKeyFile(path)
	}
	if !errors.Is(err, secret.ErrWrongKey) {
		return nil, err
	}
	next, missing := secret.ReadNextKeyFile(path)
	if missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return nil, missing
	}
	if missing == nil {
		box, err = secret.Open(ctx, d, next)
	}
	if err != nil {
		return nil, wrongKey(err, path)
	}
	_, err = secret.AdoptNextKeyFile(path, time.Now())
	return box, err
}

// wrongKey says what to do about a key that does not fit.
func wrongKey(err error, from string) error {
	if !errors.Is(err, secret.ErrWrongKey) {
		return err
	}
	return fmt.Errorf("app: the master key from %s does not fit the database: restore the key that the database was made with, or that it was given last: %w", from, err)
}
