package app

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"

	"github.com/grapevine-hq/grapevine/internal/config"
	"github.com/grapevine-hq/grapevine/internal/db"
)

// Scratch is an empty database for a server whose data nobody wants to keep.
type Scratch struct {
	Database  string // the URL that the server is started with
	MasterKey string // the key that it is started with; "": it makes a file
	Place     string // what it is, for a person

	remove func(ctx context.Context) error
}

// NewScratch makes a database in a temporary folder, or, if the URL of a Postgres
// database is given, in a schema of its own in that, which disturbs nothing else
// there.
func NewScratch(ctx context.Context, postgres string) (*Scratch, error) {
	if postgres == "" {
		return newScratchFolder()
	}
	schema, err := db.CreateSchema(ctx, postgres, "grapevine_"+random(6))
	if err != nil {
		return nil, err
	}
	return &Scratch{
		Database: schema.URL, MasterKey: random(32),
		Place: "the schema " + schema.Name + " of " + config.Redacted(postgres), remove: schema.Drop,
	}, nil
}

func newScratchFolder() (*Scratch, error) {
	folder, err := os.MkdirTemp("", "grapevine-demo-")
	if err != nil {
		return nil, err
	}
	return &Scratch{
		Database: "sqlite:" + filepath.Join(folder, "grapevine.db"), Place: folder,
		remove: func(context.Context) error { return os.RemoveAll(folder) },
	}, nil
}

// Remove removes all of it. No server may run on it any more.
func (s *Scratch) Remove(ctx context.Context) error { return s.remove(ctx) }

// random returns so many random bytes in hexadecimal.
func random(bytes int) string {
	text := make([]byte, bytes)
	_, _ = rand.Read(text) // never fails: the runtime ends the process first
	return hex.EncodeToString(text)
}
