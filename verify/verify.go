// Package verify is for whoever receives webhooks from Grapevine: it tells an
// authentic request from any other.
//
// A webhook is an HTTP request from a stranger. What makes it trustworthy is a
// signature over its id, its time and its exact body, made with a key that only
// the sender has (or that only sender and receiver share). [NewStandard] takes
// that key, [Standard.Handler] makes a receiver of it:
//
//	webhooks, err := verify.NewStandard(os.Getenv("WEBHOOK_SECRET"))
//	if err != nil {
//		return err
//	}
//	mux.Handle("POST /webhooks", webhooks.Handler(receive))
//
// where receive gets only verified requests. [Standard.Request] leaves the
// answer to the caller, and [Standard.Verify] works without net/http's server.
//
// Four things to know about a receiver:
//
//   - The signature is over the bytes that were sent. Verify them before they are
//     parsed; JSON that was parsed and written again is other bytes.
//   - A delivery is tried again unless its 2xx answer arrives, so the same message
//     can come twice: always with the same [Message.ID]. Record the id in the
//     transaction that does the work, and answer 2xx to one already known.
//   - Answer quickly, within seconds; do long work afterwards.
//   - The clock has to be right to a few minutes, or every request looks stale.
//
// There is one type for each way of signing. Standard is the first: Standard
// Webhooks 1.0.0, which is how Grapevine's own events are signed. They share
// [Message] and the errors.
package verify

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"time"
)

const defaultMaxBody = 1 << 20 // bytes

// The reasons for which a request is refused, to be told apart with
// [errors.Is]. What is returned may say more, but never contains a key, and
// never a signature that would have been right.
var (
	// ErrMissingHeader is returned where a header that the signature needs is
	// absent or empty.
	ErrMissingHeader = errors.New("verify: missing header")
	// ErrInvalidHeader is returned where such a header is there, but twice, or
	// with a value that no sender could mean.
	ErrInvalidHeader = errors.New("verify: invalid header")
	// ErrTimestamp is returned where the request is too old or too new for the
	// tolerance; the text says which, and by how much. It is found before the
	// signature is looked at, so it does not mean that the request is authentic.
	ErrTimestamp = errors.New("verify: timestamp out of tolerance")
	// ErrSignature is returned where no signature of the request was made with
	// any of the keys over this id, timestamp and body.
	ErrSignature = errors.New("verify: no valid signature")
	// ErrTooLarge is returned where the body is longer than allowed.
	ErrTooLarge = errors.New("verify: body too large")
)

// Message is a request that was verified.
type Message struct {
	// ID identifies the event. It is signed, and is the same however often the
	// event is delivered, so it is what to recognise duplicates by.
	ID string
	// Timestamp is when this attempt was made, in UTC, to the second. It is
	// signed. When the event itself happened is in the body.
	Timestamp time.Time
	// Body is the body that was verified, byte for byte. It is signed. It is the
	// slice that was given, not a copy.
	Body []byte

	// EventType and Attempt are NOT signed: anyone on the way can have changed
	// them. They are good for logs and metrics; decide by what is in the body.
	//
	// EventType is the X-Grapevine-Event-Type header, empty where there is none.
	EventType string
	// Attempt is the X-Grapevine-Attempt header, which counts from 1. It is 0
	// where there is none, or none that is a number.
	Attempt int
}

// addUnsigned fills in the fields that no signature covers.
func (m *Message) addUnsigned(header http.Header) {
	m.EventType = header.Get("X-Grapevine-Event-Type")
	if n, err := strconv.Atoi(header.Get("X-Grapevine-Attempt")); err == nil && n > 0 {
		m.Attempt = n
	}
}

// single returns the value of a header that has to be there exactly once.
func single(header http.Header, name string) (string, error) {
	values := header.Values(name)
	if len(values) > 1 {
		return "", fmt.Errorf("%w: %s is there %d times", ErrInvalidHeader, name, len(values))
	}
	if len(values) == 0 || values[0] == "" {
		return "", fmt.Errorf("%w: %s", ErrMissingHeader, name)
	}
	return values[0], nil
}

// readBody reads the whole body of r, at most limit bytes (zero or less: the
// default), and puts it back into r.Body for whoever reads that next.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if limit <= 0 {
		limit = defaultMaxBody
	}
	if r.Body == nil { // a request that no server made
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, fmt.Errorf("%w: %d bytes, allowed %d", ErrTooLarge, r.ContentLength, limit)
	}
	// One byte more than allowed tells a body that ends there from a longer one.
	body, err := io.ReadAll(io.LimitReader(r.Body, min(limit, math.MaxInt64-1)+1))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, fmt.Errorf("%w: %w", ErrTooLarge, err) // a limit set further out
	}
	if err != nil {
		return nil, fmt.Errorf("verify: read body: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, fmt.Errorf("%w: allowed %d bytes", ErrTooLarge, limit)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// refuse answers a request that failed with err. The sender shows the answer to
// its operator, so it says why; what is wrong with this side it keeps to itself.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, ErrSignature), errors.Is(err, ErrTimestamp):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrMissingHeader), errors.Is(err, ErrInvalidHeader):
		http.Error(w, err.Error(), http.StatusBadRequest)
	default:
		http.Error(w, "verify: the body could not be read", http.StatusBadRequest)
	}
}
