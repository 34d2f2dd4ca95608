package dispatch

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// handshakeHeader carries a handshake's secret there and back.
const handshakeHeader = "X-Hook-Secret"

var _ webhook.HandshakeFunc = (*Attempter)(nil).Handshake

// Handshake sends an endpoint a secret that was made for this purpose alone, and
// reports whether a 2xx brings it back. The request has the subscription's
// headers and credentials, no body, and no signature: before its first handshake
// is over, nobody has been told the secret that would verify it.
func (a *Attempter) Handshake(ctx context.Context, sub *webhook.Subscription) webhook.Attempt {
	secret := rand.Text()
	x := &exchange{sub: sub, result: webhook.Attempt{Number: 1, StartedAt: time.Now()}, hidden: []string{secret}}
	x.build = func(ctx context.Context) (*http.Request, error) {
		req, err := netguard.NewRequest(ctx, sub.URL, nil)
		if err != nil {
			return nil, errors.New("the subscription's URL can't be requested")
		}
		for _, own := range sub.Headers {
			req.Header.Set(own.Name, own.Value)
		}
		req.Header.Set("User-Agent", a.userAgent)
		req.Header.Set(handshakeHeader, secret)
		return req, nil
	}
	answer := a.exchange(ctx, x)
	if answer == nil {
		return x.result
	}
	// What a success is follows the standard: a handshake is no dialect's.
	j := dialects.All[0].Judge(wire.Answer{Status: x.result.ResponseStatus, At: time.Now()})
	x.result.Verdict, x.result.Reason = j.Verdict, j.Reason
	if j.Verdict == wire.Delivered && subtle.ConstantTimeCompare([]byte(answer.Get(handshakeHeader)), []byte(secret)) != 1 {
		x.result.Verdict, x.result.Reason = wire.Retry, webhook.ReasonHandshake
	}
	return x.result
}
