package edge

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
)

// Writer remembers what became of an answer.
type Writer struct {
	http.ResponseWriter
	Status int  // zero: not begun
	Failed bool // a write failed: the caller has gone
}

// WriteHeader begins the answer.
func (w *Writer) WriteHeader(status int) {
	if w.Status == 0 {
		w.Status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write writes a part of the answer.
func (w *Writer) Write(b []byte) (int, error) {
	if w.Status == 0 {
		w.Status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(b)
	w.Failed = w.Failed || err != nil && !errors.Is(err, http.ErrBodyNotAllowed)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *Writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Encoder is a value that writes itself as Marshal would write it, which spares what
// encoding/json does with a MarshalJSON: to read all of what that has written.
type Encoder interface {
	// EncodeJSON appends the value to a buffer, in compact form and without a newline.
	EncodeJSON(to *bytes.Buffer) error
}

// Marshal writes JSON as all answers have it, with a newline at its end.
func Marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	if itself, ok := v.(Encoder); ok {
		err := itself.EncodeJSON(&buf)
		buf.WriteByte('\n')
		return buf.Bytes(), err
	}
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return buf.Bytes(), err
}
