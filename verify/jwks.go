package verify

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// What a set of keys may be like, and how it is fetched.
const (
	maxSet      = 256 << 10 // bytes
	maxSetKeys  = 100
	minModulus  = 2048 // bits
	maxModulus  = 8192 // bits; larger ones only cost time
	maxExponent = 1<<31 - 1

	fetchTime  = 10 * time.Second
	fetchPause = 10 * time.Second // from one fetch to the next
	freshTime  = time.Hour
	staleTime  = 24 * time.Hour
)

// JWKS is a sender's public RSA keys, a JSON Web Key Set (RFC 7517). It can be
// used concurrently.
type JWKS struct {
	url    string // empty: the keys were given
	client *http.Client

	mu      sync.Mutex
	keys    keySet
	fetched time.Time     // when the keys came
	tried   time.Time     // when they were asked for last
	failed  bool          // they did not come then
	under   chan struct{} // closed when the fetch that is under way ends; nil: none is
}

// keySet is public keys by their id; "" for one without.
type keySet map[string]*rsa.PublicKey

// ParseJWKS reads a set of keys that never changes. Keys of other kinds than RSA,
// and those that are not for RS256 signatures, are passed over. It fails where
// none remains, where two have the same id, and where a key is malformed or
// shorter than 2,048 bits.
func ParseJWKS(set []byte) (*JWKS, error) {
	keys, err := parseKeys(set)
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	return &JWKS{keys: keys}, nil
}

// FetchJWKS returns a set of keys that is fetched when it is first needed, such
// as https://grapevine.example.com/.well-known/jwks.json. It is kept and looked
// up by id, and fetched again for an id that it does not have and after an hour,
// but never more often than every ten seconds, whatever forged requests ask for.
// Where it can't be fetched, what was fetched serves for a day.
//
// The URL has to be https, since who is on the way could put keys of their own
// into the set; http is accepted for this machine alone. The client fetches;
// nil stands for one that follows no redirects and gives up after ten seconds.
func FetchJWKS(from string, client *http.Client) (*JWKS, error) {
	u, err := url.Parse(from)
	if err != nil || u.Host == "" {
		return nil, errors.New("verify: the URL of the keys is not a URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("verify: the URL of the keys must begin with https:// (http:// is for this machine alone)")
	}
	if client == nil {
		client = &http.Client{
			Timeout:       fetchTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &JWKS{url: from, client: client}, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// key returns the key with the id, which is empty where the signature names
// none. It fetches the set if need be, and waits for that where it has to. Its
// errors are ErrSignature, for an id that the set does not have, and ErrKeys, also
// where the set may have got the id since it was fetched last.
func (s *JWKS) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key, age := s.keys.find(id), time.Since(s.fetched)
	switch {
	case s.url == "", key != nil && age < freshTime:
		return keyOr(key, ErrSignature)
	case key != nil && age < staleTime:
		s.refetch() // for the next one
		return key, nil
	}
	fetch := s.refetch()
	s.mu.Unlock()
	select {
	case <-fetch:
	case <-ctx.Done():
	}
	s.mu.Lock()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %w", ErrKeys, ctx.Err())
	case time.Since(s.fetched) >= staleTime: // also if they never came
		return nil, ErrKeys
	case s.failed && s.keys.find(id) == nil:
		return nil, ErrKeys
	}
	return keyOr(s.keys.find(id), ErrSignature)
}

func keyOr(key *rsa.PublicKey, err error) (*rsa.PublicKey, error) {
	if key == nil {
		return nil, err
	}
	return key, nil
}

// find returns the key with the id. A signature may leave the id out where there
// is one key only.
func (s keySet) find(id string) *rsa.PublicKey {
	if id == "" && len(s) == 1 {
		for _, only := range s {
			return only
		}
	}
	if id == "" {
		return nil
	}
	return s[id]
}

// refetch begins to fetch the set, unless that is under way or was done just now.
// The channel is closed when there is nothing to wait for any more.
func (s *JWKS) refetch() <-chan struct{} {
	if s.under != nil {
		return s.under
	}
	done := make(chan struct{})
	if !s.tried.IsZero() && time.Since(s.tried) < fetchPause {
		close(done)
		return done
	}
	s.tried, s.under = time.Now(), done
	go func() {
		// Not in the context of one request, since others wait as well.
		ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
		defer cancel()
		keys, err := s.fetch(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.failed = err != nil; !s.failed {
			s.keys, s.fetched = keys, time.Now()
		}
		s.under = nil
		close(done)
	}()
	return done
}

func (s *JWKS) fetch(ctx context.Context) (keySet, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil) //nolint:gosec // the receiver's operator names the URL
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req) //nolint:gosec // the same
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("answered %d", resp.StatusCode)
	}
	set, err := io.ReadAll(io.LimitReader(resp.Body, maxSet+1))
	if err != nil {
		return nil, err
	}
	return parseKeys(set)
}

// jwk is a key as it is written. Members that are not here are passed over.
type jwk struct {
	Type     string `json:"kty"`
	Modulus  string `json:"n"`
	Exponent string `json:"e"`
	ID       string `json:"kid"`
	Use      string `json:"use"`
	Alg      string `json:"alg"`
}

func parseKeys(text []byte) (keySet, error) {
	if len(text) > maxSet {
		return nil, fmt.Errorf("the set of keys has more than %d bytes", maxSet)
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the set of keys is not a JSON Web Key Set")
	}
	if len(set.Keys) > maxSetKeys {
		return nil, fmt.Errorf("the set has more than %d keys", maxSetKeys)
	}
	keys := make(keySet)
	for i, k := range set.Keys {
		if k.Type != "RSA" || k.Alg != "" && k.Alg != algRS256 || k.Use != "" && k.Use != "sig" {
			continue
		}
		key, err := k.public()
		if err != nil {
			return nil, fmt.Errorf("key %d of the set: %w", i+1, err)
		}
		if keys[k.ID] != nil {
			return nil, fmt.Errorf("key %d of the set: has the id of another", i+1)
		}
		keys[k.ID] = key
	}
	if len(keys) == 0 {
		return nil, errors.New("the set has no RSA key for RS256")
	}
	return keys, nil
}

func (k jwk) public() (*rsa.PublicKey, error) {
	modulus, err := base64.RawURLEncoding.DecodeString(k.Modulus)
	if err != nil {
		return nil, errors.New("has a modulus that is not base64url")
	}
	exponent, err := base64.RawURLEncoding.DecodeString(k.Exponent)
	if err != nil {
		return nil, errors.New("has an exponent that is not base64url")
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < minModulus || n.BitLen() > maxModulus || n.Bit(0) == 0 {
		return nil, fmt.Errorf("has a modulus of %d bits, or an even one", n.BitLen())
	}
	if !e.IsInt64() || e.Int64() < 3 || e.Int64() > maxExponent || e.Bit(0) == 0 {
		return nil, errors.New("has an exponent that RSA can't have")
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}
