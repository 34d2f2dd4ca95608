package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/netguard"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// How access tokens are got and kept.
const (
	tokenTimeout   = 10 * time.Second // of asking for one
	maxTokenAnswer = 64 << 10
	maxToken       = 8 << 10 // bytes; longer ones fit into no server's headers

	defaultLife = 5 * time.Minute // where the answer does not say how long it is valid
	longestLife = 24 * time.Hour
	// earlier is by how much a token is replaced before it expires, so that it is
	// still valid when it arrives; at most a quarter of its life.
	earlier = 30 * time.Second

	// calm is for how long a token endpoint is left alone after it gave none, or
	// after one that it gave in place of a refused one.
	calm = 5 * time.Second

	maxTokens = 16_384 // kept at most
)

// tokens gets the access tokens of subscriptions and keeps each until shortly
// before it expires. Whoever needs one that is being asked for waits for it.
type tokens struct {
	userAgent string

	mu     sync.Mutex
	held   map[id.ID]*grant // by subscription
	tidyAt int              // how many are held when those that are over are dropped
}

func newTokens(userAgent string) *tokens {
	return &tokens{userAgent: userAgent, held: make(map[id.ID]*grant), tidyAt: 64}
}

// grant is what a token endpoint gave to a subscription, or its refusal.
type grant struct {
	auth     webhook.Auth // what it was asked with
	ca       string
	replaces time.Time // when it was asked for in place of a refused one; zero: it was not

	done chan struct{} // closed once the rest is known
	// The mutex of tokens guards these until then; they do not change after.
	token string
	err   error
	until time.Time // until when it is used
}

// get returns an access token of the subscription. It is another one than
// refused, which the endpoint has said is not valid, unless that has only just
// come in place of one that was refused before. The error holds no secret.
func (t *tokens) get(ctx context.Context, via http.RoundTripper, sub *webhook.Subscription, refused string) (string, error) {
	g := t.grant(via, sub, refused)
	select {
	case <-g.done:
		return g.token, g.err
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return "", errors.New("the token endpoint took too long")
		}
		return "", ctx.Err()
	}
}

// grant returns what is held for the subscription, or begins to ask. An attempt
// that ends before the answer comes leaves it to the next one.
func (t *tokens) grant(via http.RoundTripper, sub *webhook.Subscription, refused string) *grant {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if g, ok := t.held[sub.ID]; ok && g.serves(sub, refused, now) {
		return g
	}
	g := &grant{auth: sub.Auth, ca: sub.CA, done: make(chan struct{})}
	if refused != "" {
		g.replaces = now
	}
	if !sub.ID.IsZero() { // one that is not saved is tested once
		t.tidy(now)
		t.held[sub.ID] = g
	}
	go t.fetch(g, via)
	return g
}

// serves reports whether a grant is of the subscription as it is, and still to
// be used.
func (g *grant) serves(sub *webhook.Subscription, refused string, now time.Time) bool {
	switch {
	case g.auth != sub.Auth || g.ca != sub.CA:
		return false
	case g.until.IsZero(): // it is being asked for
		return true
	case refused != "" && g.token == refused:
		return now.Sub(g.replaces) < calm
	default:
		return now.Before(g.until)
	}
}

// tidy makes room for one more.
func (t *tokens) tidy(now time.Time) {
	if len(t.held) < t.tidyAt {
		return
	}
	maps.DeleteFunc(t.held, func(_ id.ID, g *grant) bool { return !g.until.IsZero() && !now.Before(g.until) })
	for sub := range t.held { // any will do: it is asked for again
		if len(t.held) < maxTokens*3/4 {
			break
		}
		delete(t.held, sub)
	}
	t.tidyAt = min(max(64, 2*len(t.held)), maxTokens)
}

// fetch asks for a token and tells those who wait. Its time is its own, since
// they may have less.
func (t *tokens) fetch(g *grant, via http.RoundTripper) {
	ctx, cancel := context.WithTimeout(context.Background(), tokenTimeout)
	defer cancel()
	token, life, err := t.ask(ctx, via, g.auth)
	t.mu.Lock()
	defer t.mu.Unlock()
	g.token, g.err = token, err
	if err != nil {
		life = calm
	}
	g.until = time.Now().Add(life)
	close(g.done)
}

// ask makes the request for an access token (RFC 6749 §4.4) and returns it with
// how long to use it.
func (t *tokens) ask(ctx context.Context, via http.RoundTripper, auth webhook.Auth) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if auth.Scope != "" {
		form.Set("scope", auth.Scope)
	}
	if auth.Audience != "" {
		form.Set("audience", auth.Audience)
	}
	if auth.ClientAuth == webhook.ByBody {
		form.Set("client_id", auth.ClientID)
		form.Set("client_secret", auth.ClientSecret)
	}
	req, err := netguard.NewRequest(ctx, auth.TokenURL, []byte(form.Encode()))
	if err != nil {
		return "", 0, errors.New("the token endpoint's URL can't be requested")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("User-Agent", t.userAgent)
	if auth.ClientAuth == webhook.ByBasic {
		req.SetBasicAuth(url.QueryEscape(auth.ClientID), url.QueryEscape(auth.ClientSecret))
	}
	resp, err := via.RoundTrip(req)
	if err != nil {
		return "", 0, fmt.Errorf("asking the token endpoint: %s: %s", netguard.Classify(err), netguard.Redact(err))
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	switch {
	case resp.StatusCode/100 != 2:
		return "", 0, fmt.Errorf("the token endpoint answered with status %d", resp.StatusCode)
	case err != nil:
		return "", 0, fmt.Errorf("reading the token endpoint's answer: %s: %s", netguard.Classify(err), netguard.Redact(err))
	case len(body) > maxTokenAnswer:
		return "", 0, fmt.Errorf("the token endpoint's answer has more than %d bytes", maxTokenAnswer)
	}
	return readToken(body)
}

// readToken reads the answer of a token endpoint (RFC 6749 §5.1).
func readToken(body []byte) (string, time.Duration, error) {
	var answer struct {
		AccessToken string      `json:"access_token"`
		TokenType   string      `json:"token_type"`
		ExpiresIn   json.Number `json:"expires_in"` // seconds; some write them as text
	}
	if json.Unmarshal(body, &answer) != nil {
		return "", 0, errors.New("the token endpoint's answer is not the JSON that OAuth 2 asks for")
	}
	switch {
	case answer.AccessToken == "":
		return "", 0, errors.New("the token endpoint's answer has no access_token")
	case len(answer.AccessToken) < webhook.LeastHidden:
		return "", 0, fmt.Errorf("the token endpoint's access_token has less than %d characters", webhook.LeastHidden)
	case len(answer.AccessToken) > maxToken || strings.ContainsFunc(answer.AccessToken, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "", 0, errors.New("the token endpoint's access_token is too long or has characters that a header can't hold")
	case !strings.EqualFold(answer.TokenType, "Bearer"):
		return "", 0, errors.New("the token endpoint's token_type is not Bearer")
	}
	seconds, err := answer.ExpiresIn.Float64()
	if err != nil && answer.ExpiresIn != "" {
		return "", 0, errors.New("the token endpoint's expires_in is out of range")
	}
	life := time.Duration(max(0, min(seconds, longestLife.Seconds())) * float64(time.Second))
	if answer.ExpiresIn == "" {
		life = defaultLife
	}
	return answer.AccessToken, life - min(earlier, life/4), nil
}
