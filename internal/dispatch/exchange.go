package dispatch

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// exchange is one attempt's dealings with an endpoint: a request, or two where
// the first has an access token that is not valid any more.
type exchange struct {
	sub    *webhook.Subscription
	result webhook.Attempt                                  // its number and start are set
	build  func(ctx context.Context) (*http.Request, error) // all but what authenticates the request
	hidden []string                                         // secrets of this attempt alone

	via   http.RoundTripper
	began time.Time
}

// exchange makes the request with all that the subscription asks for, notes what
// came of it, and returns the headers of the answer; or nil, when there is none
// to judge, and its result says why.
func (a *Attempter) exchange(ctx context.Context, x *exchange) http.Header {
	ctx, cancel := context.WithTimeout(ctx, x.sub.Timeout())
	defer cancel()
	var err error
	if x.via, err = a.via(x.sub, x.result.StartedAt); err != nil {
		x.refuse(reasonConfiguration, err)
		return nil
	}
	if x.sub.Auth.Type == webhook.OAuth2Auth {
		return a.authorised(ctx, x)
	}
	return x.round(ctx, "")
}

// via returns what the subscription's requests go through.
func (a *Attempter) via(sub *webhook.Subscription, now time.Time) (http.RoundTripper, error) {
	credentials, err := sub.Connection(now)
	if err != nil || credentials == nil {
		return a.transport, err
	}
	guarded, ok := a.transport.(interface {
		With(c *netguard.Credentials) http.RoundTripper
	})
	if !ok {
		return nil, errors.New("no request can be made with the subscription's certificate or authority")
	}
	return guarded.With(credentials), nil
}

// authorised makes the request with an access token, and once more with another
// where the endpoint says that the first is not valid. Where there is no other,
// that answer is what came of the attempt.
func (a *Attempter) authorised(ctx context.Context, x *exchange) http.Header {
	x.began = time.Now()
	token, err := a.tokens.get(ctx, x.via, x.sub, "")
	if err != nil {
		x.refuse(webhook.ReasonUngranted, err)
		return nil
	}
	answer := x.round(ctx, token)
	if answer == nil || x.result.ResponseStatus != http.StatusUnauthorized {
		return answer
	}
	fresh, err := a.tokens.get(ctx, x.via, x.sub, token)
	if err != nil {
		x.result.Error = "no new access token: " + err.Error()
		return answer
	}
	if fresh == token {
		return answer
	}
	return x.round(ctx, fresh)
}

// round makes one request and notes what came of it, in place of what came of
// the one before.
func (x *exchange) round(ctx context.Context, token string) http.Header {
	x.result = webhook.Attempt{Number: x.result.Number, StartedAt: x.result.StartedAt}
	var timing netguard.Timing
	req, err := x.build(netguard.WithTiming(ctx, &timing))
	if err == nil {
		err = authenticate(req, x.sub.Auth, token)
	}
	if err != nil {
		reason := reasonConfiguration
		if errors.Is(err, errUnread) {
			reason = reasonUnread
		}
		x.refuse(reason, err)
		return nil
	}
	if token != "" {
		x.hidden = append(x.hidden, token)
	}
	if x.began.IsZero() {
		x.began = time.Now()
	}
	resp, err := x.via.RoundTrip(req)
	if err == nil {
		x.result.ResponseStatus = resp.StatusCode
		x.result.Headers = responseHeaders(resp.Header)
		x.result.Body, err = readBody(resp)
	}
	x.result.Timing = webhook.Timing{
		DNS: timing.DNS, Connect: timing.Connect, TLS: timing.TLS, FirstByte: timing.FirstByte, Total: time.Since(x.began),
	}
	hideSecrets(&x.result, x.sub, x.hidden)
	if err != nil {
		class := netguard.Classify(err)
		x.result.Verdict, x.result.Reason, x.result.Error = wire.Retry, wire.Reason(class), netguard.Redact(err)
		if class == netguard.ClassBlocked {
			x.result.Verdict = wire.Refused
		}
		return nil
	}
	return resp.Header
}

// refuse notes why nothing was sent.
func (x *exchange) refuse(reason wire.Reason, err error) {
	x.result.Verdict, x.result.Reason, x.result.Error = wire.Refused, reason, err.Error()
	if !x.began.IsZero() {
		x.result.Timing.Total = time.Since(x.began)
	}
}

// authenticate adds what proves who sends the request. What is sent in the
// connection instead was seen to by whoever made that.
func authenticate(req *http.Request, auth webhook.Auth, token string) error {
	switch auth.Type {
	case webhook.NoAuth, webhook.MTLSAuth:
		return nil
	case webhook.BasicAuth:
		if auth.Username == "" || auth.Password == "" {
			return errors.New("the subscription has no user name or no password")
		}
		req.SetBasicAuth(auth.Username, auth.Password)
		return nil
	case webhook.BearerAuth:
		token = auth.Token
	case webhook.OAuth2Auth:
	default:
		return errors.New("the subscription's kind of authentication is not known")
	}
	if token == "" {
		return errors.New("the subscription has no token")
	}
	req.Header["Authorization"] = []string{"Bearer " + token}
	return nil
}
