package api

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/audit"
	"github.com/grapevine-hq/grapevine/internal/edge"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

const (
	fileType     = "application/octet-stream"
	digestHeader = "Content-Digest" // RFC 9530
	// backupPart is what is sent at a time, and backupStall how long the caller
	// may take to receive it.
	backupPart  = 256 << 10
	backupStall = time.Minute
)

// backups serves copies of the database, one at a time: each takes as much room
// on the disk as the database does.
type backups struct {
	*server
	route route
	busy  atomic.Bool
}

func (s *server) backupRoutes() {
	b := &backups{server: s, route: route{
		id: "backup", method: http.MethodPost, path: "/v1/backup", tag: tagOperation, access: operatorOnly,
		summary: "Make a backup", errors: []*problem.Code{problem.Conflict},
		description: "The answer is a copy of the whole database, of all tenants, made while the server goes on: an SQLite file with all that was accepted before the request. " +
			"It begins when the copy is made. There is one at a time. The master key is not in it: keep that elsewhere. " +
			"A server on Postgres makes none, since that has tools of its own.",
	}}
	op := s.operation(b.route)
	s.describeBackup(&op)
	s.mux.HandleFunc(b.route.method+" "+b.route.path, func(w http.ResponseWriter, r *http.Request) {
		if err := b.serve(w, r); err != nil {
			s.refuse(w, r, err)
		}
	})
}

// describeBackup documents the answer and the refusals.
func (s *server) describeBackup(op *huma.Operation) {
	op.Responses = map[string]*huma.Response{"200": {
		Description: "The copy",
		Content:     map[string]*huma.MediaType{fileType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}},
	}}
	s.describeRefusals(op)
	s.huma.OpenAPI().AddOperation(op)
}

// serve answers with a copy. An error means that the answer has not begun.
func (b *backups) serve(w http.ResponseWriter, r *http.Request) error {
	ctx, c := r.Context(), callOf(r.Context())
	if err := b.prepare(w, r, b.route); err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		return problem.InvalidField("query", "this call takes no parameters")
	}
	if err := b.fillBody(nil, &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false}, c, new(none)); err != nil {
		return err
	}
	if b.opts.Backup == nil {
		return problem.Conflict.New("this server keeps everything in Postgres: back that up with its own tools, such as pg_dump, or with those of its provider")
	}
	if !b.busy.CompareAndSwap(false, true) {
		return problem.Conflict.New("a backup is being made already: wait until it has ended")
	}
	defer b.busy.Store(false)

	// How long it takes depends on the database. The caller may hang up at any
	// time, which ends ctx.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("api: lift the deadline: %w", err)
	}
	started := time.Now()
	copied, err := b.opts.Backup(ctx)
	if err != nil {
		return err
	}
	defer copied.Close()
	digest, size, err := digestOf(ctx, copied)
	if err != nil {
		return err
	}
	// Who has a copy is on record before anybody has one.
	taken := audit.Change{Action: audit.BackupMade, ObjectID: hex.EncodeToString(digest)}
	if err := b.opts.Audit.Record(audit.WithActor(ctx, c.actor()), taken); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", fileType)
	h.Set("Content-Length", strconv.FormatInt(size, 10))
	h.Set(digestHeader, "sha-256=:"+base64.StdEncoding.EncodeToString(digest)+":")
	w.WriteHeader(http.StatusOK)
	made := time.Since(started)
	err = sendFile(w, copied)
	attrs := []slog.Attr{
		slog.Int64("bytes", size), slog.Float64("making_ms", edge.Milliseconds(made)), slog.Float64("sending_ms", edge.Milliseconds(time.Since(started)-made)),
		slog.String("request_id", c.requestID),
	}
	if err != nil {
		b.log.LogAttrs(ctx, slog.LevelWarn, "backup_not_sent", append(attrs, slog.String("error", err.Error()))...)
		panic(http.ErrAbortHandler) // so that nobody takes it for a whole one
	}
	b.log.LogAttrs(ctx, slog.LevelInfo, "backup_sent", attrs...)
	return nil
}

// digestOf reads a file to its end, and goes back to its beginning.
func digestOf(ctx context.Context, f *os.File) ([]byte, int64, error) {
	sum := sha256.New()
	size, part := int64(0), make([]byte, backupPart)
	for {
		n, err := f.Read(part)
		sum.Write(part[:n])
		size += int64(n)
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, 0, fmt.Errorf("api: read the copy: %w", err)
		}
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, 0, fmt.Errorf("api: go back in the copy: %w", err)
	}
	return sum.Sum(nil), size, nil
}

// sendFile sends a file as long as the caller goes on receiving it.
func sendFile(w http.ResponseWriter, f *os.File) error {
	controller := http.NewResponseController(w)
	part := make([]byte, backupPart)
	for {
		n, err := f.Read(part)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("api: read the copy: %w", err)
		}
		if err := controller.SetWriteDeadline(time.Now().Add(backupStall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return fmt.Errorf("api: set a deadline: %w", err)
		}
		if _, err := w.Write(part[:n]); err != nil {
			return fmt.Errorf("api: send the copy: %w", err)
		}
	}
}
