package dispatch

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// What is taken of a response's body.
const (
	keptBody    = 16 << 10 // stored with the attempt
	drainedBody = 64 << 10 // read at most, so that the connection can be used again

	longestSecret = 12 << 10 // more than any credential has, however it is encoded
)

// Attempter makes requests to endpoints. Its methods may be called concurrently.
type Attempter struct {
	// An attempt is one round trip. A client would read the place of a redirect,
	// and where there is none that can be read, hide the answer.
	transport http.RoundTripper
	identify  webhook.IdentifyFunc
	userAgent string
	signing   chan struct{} // places for those who sign with a key
	tokens    *tokens
}

var _ webhook.Attempter = (*Attempter)(nil)

// NewAttempter returns an Attempter that sends through the guarded client and
// signs as the tenants are identified.
func NewAttempter(client *http.Client, identify webhook.IdentifyFunc, version string) *Attempter {
	userAgent := "Grapevine/" + version
	return &Attempter{
		transport: client.Transport, identify: identify, userAgent: userAgent,
		signing: make(chan struct{}, runtime.GOMAXPROCS(0)), tokens: newTokens(userAgent),
	}
}

// Attempt makes one request, bounded by the subscription's timeout, the
// response's body included. Where the request can't be made with everything
// that the subscription asks for, it is not made. Where the endpoint answers 401
// to an access token, the request is made once more with a new one.
func (a *Attempter) Attempt(ctx context.Context, sub *webhook.Subscription, msg wire.Message, traceparent string) webhook.Attempt {
	x := &exchange{sub: sub, result: webhook.Attempt{Number: msg.Attempt, StartedAt: msg.SentAt}}
	x.build = func(ctx context.Context) (*http.Request, error) { return a.request(ctx, sub, msg, traceparent) }
	answer := a.exchange(ctx, x)
	if answer == nil {
		return x.result
	}
	j := sub.Judge(wire.Answer{Status: x.result.ResponseStatus, RetryAfter: answer.Get("Retry-After"), At: time.Now()})
	x.result.Verdict, x.result.Reason, x.result.Wait = j.Verdict, j.Reason, j.Wait
	return x.result
}

// Reasons of attempts that no answer and no network explain.
const (
	reasonConfiguration wire.Reason = "configuration" // what the subscription asks for can't be applied
	reasonInternal      wire.Reason = "internal"
	// reasonUnread says that the database could not be asked for the tenant's keys:
	// nothing is known of the endpoint, and the attempt does not count.
	reasonUnread wire.Reason = "keys_unread"
)

var errUnread = errors.New("the tenant's keys can't be read now")

// request builds the signed request, without what authenticates it.
func (a *Attempter) request(ctx context.Context, sub *webhook.Subscription, msg wire.Message, traceparent string) (*http.Request, error) {
	signer, err := a.signer(ctx, sub, msg.SentAt)
	if err != nil {
		return nil, err
	}
	req, err := netguard.NewRequest(ctx, sub.URL, msg.Body)
	if err != nil {
		return nil, errors.New("the subscription's URL can't be requested")
	}
	signed := a.sign(sub, signer, msg)
	h := newHeaders(len(sub.Headers) + len(signed) + 8) // as many as are set at most
	req.Header = h.header
	for _, own := range sub.Headers {
		h.set(own.Name, own.Value)
	}
	for _, signature := range signed {
		h.set(signature.Name, signature.Value)
	}
	h.set("Content-Type", "application/json")
	h.set("User-Agent", a.userAgent)
	h.set("X-Grapevine-Event-Id", id.Event.Format(msg.EventID))
	h.set("X-Grapevine-Event-Type", msg.Type)
	h.set("X-Grapevine-Attempt", strconv.Itoa(msg.Attempt))
	if msg.Version > 0 {
		h.set("X-Grapevine-Subject-Version", strconv.FormatInt(msg.Version, 10))
	}
	if traceparent != "" {
		h.set("Traceparent", traceparent)
	}
	return req, nil
}

// signer returns what signs for the subscription at now. Where the dialect signs
// with what the tenant has, that is asked for at each attempt.
func (a *Attempter) signer(ctx context.Context, sub *webhook.Subscription, now time.Time) (wire.Signer, error) {
	if sub.Dialect.Signing() == wire.BySecret {
		signer, err := sub.Signer(now, nil)
		if err != nil {
			return nil, errors.New("the subscription has no secret that can sign")
		}
		return signer, nil
	}
	as, err := a.identify(ctx, sub.TenantID, sub.Dialect.Name())
	if webhook.Unavailable(err) || ctx.Err() != nil {
		return nil, errUnread
	}
	if err != nil {
		return nil, errors.New("the tenant's keys can't be read, or it does not speak the dialect any more")
	}
	signer, err := sub.Signer(now, as)
	if err != nil {
		return nil, errors.New("the tenant has no key of the dialect that can sign: create one")
	}
	return signer, nil
}

// sign signs a message. A signature with a private key takes about a millisecond
// of a processor: no more are made at once than there are processors, since all
// of a queue's attempts together would keep publishers waiting behind them.
func (a *Attempter) sign(sub *webhook.Subscription, signer wire.Signer, msg wire.Message) []wire.Header {
	if sub.Dialect.Signing() == wire.ByKey {
		a.signing <- struct{}{}
		defer func() { <-a.signing }()
	}
	return signer.Sign(msg)
}

// headers fills an [http.Header] of one value for each name, all of which stand
// in one slice instead of one each.
type headers struct {
	header http.Header
	values []string
}

func newHeaders(most int) *headers {
	return &headers{header: make(http.Header, most), values: make([]string, 0, most)}
}

// set takes the name in its canonical form.
func (h *headers) set(name, value string) {
	n := len(h.values)
	h.values = append(h.values, value)
	h.header[name] = h.values[n : n+1 : n+1]
}

// readBody keeps the beginning of a body, longer than it is stored so that a
// secret across the cut is found, and reads a little further, so that the
// connection can be used again; a longer body costs the connection.
func readBody(resp *http.Response) ([]byte, error) {
	defer resp.Body.Close()
	if resp.Body == http.NoBody {
		return nil, nil
	}
	kept, err := io.ReadAll(io.LimitReader(resp.Body, keptBody+longestSecret))
	if err == nil && len(kept) == keptBody+longestSecret {
		_, err = io.CopyN(io.Discard, resp.Body, drainedBody-int64(len(kept)))
		if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if len(kept) == 0 {
		kept = nil
	}
	return kept, err
}

// maxKeptHeaders bounds the headers that are stored, in bytes. That secrets are
// masked in them makes them no longer.
const maxKeptHeaders = 8 << 10

// responseHeaders returns the headers worth keeping, in the order of their
// names. Cookies are not: they are secrets of the receiver's.
func responseHeaders(h http.Header) []wire.Header {
	kept := make([]wire.Header, 0, len(h))
	size := 0
	var room [24]string
	names := room[:0]
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if name == "Set-Cookie" || name == "Set-Cookie2" {
			continue
		}
		for _, value := range h[name] {
			if takes := len(name) + len(value); size+takes <= maxKeptHeaders {
				size += takes
				kept = append(kept, wire.Header{Name: name, Value: value})
			}
		}
	}
	return kept
}
