// Package verify is for whoever receives webhooks from Grapevine: it tells an
// authentic request from any other.
//
// A webhook is an HTTP request from a stranger. What makes it trustworthy is a
// signature over its exact body, made with a key that only the sender has (or
// that only sender and receiver share). A verifier takes that key, and its
// Handler makes a receiver of it:
//
//	webhooks, err := verify.NewStandard(os.Getenv("WEBHOOK_SECRET"))
//	if err != nil {
//		return err
//	}
//	mux.Handle("POST /webhooks", webhooks.Handler(receive))
//
// where receive gets only verified requests. Request leaves the answer to the
// caller, and Verify works without net/http's server.
//
// There is a verifier for each way in which Grapevine's dialects prove who sends:
//
//   - [Standard]: Standard Webhooks 1.0.0, as Grapevine's own events have it.
//   - [SaaSquatch]: X-Hook-Signature, made with the tenant's API key.
//   - [SaaSquatchJWS]: X-Hook-JWS-RFC-7797, made with a key of the server, whose
//     public half is at its /.well-known/jwks.json.
//   - [ReferralLoop]: X-Webhook-Signature, made with the subscription's secret.
//   - [Rehook] and [PartnerStack]: nothing is signed. What can be checked is the
//     credentials that the subscription sends.
//
// They share [Message] and the errors.
//
// Five things to know about a receiver:
//
//   - The signature is over the bytes that were sent. Verify them before they are
//     parsed; JSON that was parsed and written again may be other bytes.
//   - A delivery is tried again unless its answer arrives in time, so the same
//     message can come twice: always with the same [Message.ID]. Record the id in
//     the transaction that does the work, and answer one already known like the
//     first.
//   - Answer quickly, within seconds; do long work afterwards.
//   - Only Standard signs the time of the attempt: there the clock has to be right
//     to a few minutes, or every request looks stale. With the others, whoever has
//     recorded a request can play it back for ever. Receive over https.
//   - What a dialect does not sign, anyone on the way can have changed. [Message]
//     says what that is.
package verify

import (
	"bytes"
	"context"
	"encoding/json"
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
	// any of the keys over what it came with.
	ErrSignature = errors.New("verify: no valid signature")
	// ErrCredentials is returned where the request, of a dialect that signs
	// nothing, has other credentials than those expected.
	ErrCredentials = errors.New("verify: wrong credentials")
	// ErrTenant is returned where the signature is the server's, and the event
	// another tenant's than the one expected.
	ErrTenant = errors.New("verify: the event of another tenant")
	// ErrKeys is returned where the sender's public keys could not be had. It says
	// nothing of the request, which is worth another attempt.
	ErrKeys = errors.New("verify: the sender's public keys could not be fetched")
	// ErrTooLarge is returned where the body is longer than allowed.
	ErrTooLarge = errors.New("verify: body too large")
)

// Message is a request that was verified. What of it is signed depends on the
// dialect, since only some write it into the body:
//
//	               ID       Type          Timestamp
//	Standard       signed   signed        signed
//	SaaSquatch     signed   signed        none
//	ReferralLoop   header   signed        none
//	Rehook         header   unsigned      none
//	PartnerStack   header   header        none
//
// "signed" is covered by the signature, "unsigned" is in a body that none covers.
// "header" stands for X-Grapevine-Event-Id and X-Grapevine-Event-Type, which no
// signature covers: anyone on the way can have changed them. Requests by another
// sender than Grapevine do not have them.
type Message struct {
	// ID identifies the event and is the same however often the event is
	// delivered, so it is what to recognise duplicates by. It is empty where the
	// request says none.
	ID string
	// Type says what happened: what the body has, or else the header. Standard
	// Webhooks recommends, but does not demand, that the body has it.
	Type string
	// Timestamp is when this attempt was made, in UTC, to the second; zero where
	// the dialect signs none. When the event itself happened is in the body.
	Timestamp time.Time
	// Body is the body that was verified, byte for byte. It is the slice that was
	// given, not a copy.
	Body []byte

	// Attempt and SubjectVersion are never signed. They are good for logs, metrics
	// and for telling which of two events about the same thing is the later one.
	//
	// Attempt is the X-Grapevine-Attempt header, which counts from 1. It is 0
	// where there is none, or none that is a number.
	Attempt int
	// SubjectVersion is the X-Grapevine-Subject-Version header: how often what the
	// event is about had changed. It is 0 where there is none, or none that is a
	// number.
	SubjectVersion int64
}

// The headers that every dialect has, and none signs.
const (
	headerEventID        = "X-Grapevine-Event-Id"
	headerEventType      = "X-Grapevine-Event-Type"
	headerAttempt        = "X-Grapevine-Attempt"
	headerSubjectVersion = "X-Grapevine-Subject-Version"
)

// newMessage returns a message with what the unsigned headers say. It refuses an
// id that is there twice, since one of two would hide a duplicate.
func newMessage(header http.Header, body []byte) (Message, error) {
	if n := len(header.Values(headerEventID)); n > 1 {
		return Message{}, fmt.Errorf("%w: %s is there %d times", ErrInvalidHeader, headerEventID, n)
	}
	m := Message{ID: header.Get(headerEventID), Type: header.Get(headerEventType), Body: body}
	if n, err := strconv.Atoi(header.Get(headerAttempt)); err == nil && n > 0 {
		m.Attempt = n
	}
	if n, err := strconv.ParseInt(header.Get(headerSubjectVersion), 10, 64); err == nil && n > 0 {
		m.SubjectVersion = n
	}
	return m, nil
}

// member returns the text that the body, a JSON object, has under a name. It is
// empty where there is none. Unlike a struct's fields, names are told apart by
// their case.
func member(body []byte, name string) string {
	d := json.NewDecoder(bytes.NewReader(body))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return ""
		}
		if key == name {
			var text string
			_ = json.Unmarshal(value, &text) // leaves it empty where it is no text
			return text
		}
	}
	return ""
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

// verifier is what the dialects' verifiers have in common.
type verifier interface {
	// checkHeader finds what can be told without the body.
	checkHeader(header http.Header) error
	// verify is the whole check.
	verify(ctx context.Context, header http.Header, body []byte) (Message, error)
}

// request reads the body of r and verifies it. What the header alone rules out
// is refused without reading.
func request(v verifier, r *http.Request, maxBody int64) (Message, error) {
	if err := v.checkHeader(r.Header); err != nil {
		return Message{}, err
	}
	body, err := readBody(r, maxBody)
	if err != nil {
		return Message{}, err
	}
	return v.verify(r.Context(), r.Header, body)
}

// handler calls next for verified requests, and answers the others.
func handler(verified func(*http.Request) (Message, error), next func(http.ResponseWriter, *http.Request, Message)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m, err := verified(r)
		if err != nil {
			refuse(w, err)
			return
		}
		next(w, r, m)
	})
}

// refuse answers a request that failed with err. The sender shows the answer to
// its operator, so it says why; what is wrong with this side it keeps to itself.
func refuse(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, ErrTooLarge):
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
	case errors.Is(err, ErrSignature), errors.Is(err, ErrTimestamp), errors.Is(err, ErrCredentials), errors.Is(err, ErrTenant):
		http.Error(w, err.Error(), http.StatusUnauthorized)
	case errors.Is(err, ErrMissingHeader), errors.Is(err, ErrInvalidHeader):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case errors.Is(err, ErrKeys):
		http.Error(w, ErrKeys.Error(), http.StatusServiceUnavailable)
	default:
		http.Error(w, "verify: the body could not be read", http.StatusBadRequest)
	}
}
