package dialect

import (
	"errors"
	"iter"
	"net/http"
	"strconv"
	"time"
)

// File is a body that is no JSON and is sent as it is, a piece after the other: a
// large one is never in memory as a whole.
type File struct {
	Type   string // its Content-Type
	Name   string // under which it is saved; "": it is shown
	Bytes  int64  // of all pieces
	Pieces iter.Seq2[[]byte, error]
}

// OnePiece is a file of a text that is there already.
func OnePiece(contentType, text string) *File {
	return &File{Type: contentType, Bytes: int64(len(text)), Pieces: func(yield func([]byte, error) bool) { yield([]byte(text), nil) }}
}

// stall is how long a caller may take for one piece.
const stall = time.Minute

// send answers with a file. One that breaks off ends the connection, so that nobody
// takes it for a whole one.
func (h *handler) send(w http.ResponseWriter, c *Call, a Answer) {
	head := w.Header()
	head.Set("Content-Type", a.File.Type)
	head.Set("Content-Length", strconv.FormatInt(a.File.Bytes, 10))
	if a.File.Name != "" {
		head.Set("Content-Disposition", `attachment; filename="`+a.File.Name+`"`)
	}
	w.WriteHeader(a.Status)
	if c.Request.Method == http.MethodHead {
		return
	}
	controller := http.NewResponseController(w)
	for piece, err := range a.File.Pieces {
		if err != nil {
			h.brokenOff(c, err)
		}
		if err := controller.SetWriteDeadline(time.Now().Add(stall)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			panic(http.ErrAbortHandler)
		}
		if _, err := w.Write(piece); err != nil { // the caller has gone
			return
		}
	}
}

// brokenOff ends the connection. Nobody has to look into it where the caller has
// gone, or where a refusal says why.
func (h *handler) brokenOff(c *Call, err error) {
	ctx := c.Request.Context()
	if _, said := h.refusals.Tell(err); !said && ctx.Err() == nil {
		h.log.ErrorContext(ctx, "request_failed", "request_id", c.RequestID, "error", err.Error())
	}
	panic(http.ErrAbortHandler)
}
