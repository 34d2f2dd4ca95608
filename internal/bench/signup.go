package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// signUp is one upsert by which somebody has signed up. Times are nanoseconds of
// the wall clock.
type signUp struct {
	member

	referrer string // the user who brought them; "": nobody
	posted   int64
	answered int64
	again    int // how often it was posted once more, since the server was busy
}

// squatch is SaaSquatch's API of one tenant, as a client calls it.
type squatch struct {
	base string // with the tenant's alias, without a slash at the end
	key  string
}

// request is a call of the API. A body is JSON; nil: there is none.
func (s squatch) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.SetBasicAuth("", s.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// answered makes a request and returns the body of the answer, which has to have
// the status 200.
func answered(client *http.Client, req *http.Request) ([]byte, error) {
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, badAnswer{resp.StatusCode, fmt.Sprintf("bench: %s %s was answered with %d: %.300s", req.Method, req.URL.Path, resp.StatusCode, body)}
	}
	return body, nil
}

// badAnswer is an answer with another status than 200.
type badAnswer struct {
	status int
	says   string
}

// Error says what was asked, and what was answered.
func (b badAnswer) Error() string { return b.says }

func isBusy(err error) bool {
	answer, ok := errors.AsType[badAnswer](err)
	return ok && answer.status == http.StatusServiceUnavailable
}

// signUp has one newcomer sign up by the code of a referrer; zero: of nobody. Where
// the server says that it was too busy and stored nothing, it is asked again, as a
// client would: whoever is known already does not sign up twice.
func (s squatch) signUp(ctx context.Context, client *http.Client, n newcomer, by member) (signUp, error) {
	body, err := n.body(by.code)
	if err != nil {
		return signUp{}, err
	}
	begun := time.Now()
	done := signUp{member: member{newcomer: n}, posted: begun.UnixNano()}
	if by.code != "" {
		done.referrer = by.user()
	}
	for {
		answer, err := s.put(ctx, client, n, body)
		if err == nil {
			done.answered = time.Now().UnixNano()
			done.code, err = codeOf(answer)
			return done, err
		}
		if !isBusy(err) || time.Since(begun) > patience || !sleep(ctx, insistAfter) {
			return done, err
		}
		done.again++
	}
}

func (s squatch) put(ctx context.Context, client *http.Client, n newcomer, body []byte) ([]byte, error) {
	req, err := s.request(ctx, http.MethodPut, "/open/account/"+n.account()+"/user/"+n.user(), body)
	if err != nil {
		return nil, err
	}
	return answered(client, req)
}

// codeOf cuts the referral code out of a user.
func codeOf(answer []byte) (string, error) {
	if code, found := textAfter(answer, `"referralCode":"`); found && code != "" {
		return code, nil
	}
	return "", errors.New("bench: the answer to an upsert has no referral code")
}

// textAfter cuts out a text without escapes that begins after a mark.
func textAfter(body []byte, mark string) (string, bool) {
	_, rest, found := bytes.Cut(body, []byte(mark))
	if !found {
		return "", false
	}
	text, _, found := bytes.Cut(rest, []byte{'"'})
	return string(text), found
}

// rush is a number of newcomers who sign up as fast as they are answered.
type rush struct {
	to          squatch
	crowd       *crowd
	connections int
	n           int
	referEvery  int // one of so many newcomers has a referrer, as soon as there is anybody
	show        func(signedUp int)
}

// signUpAll has all of them sign up, and returns what came of them in the order of
// their numbers. It ends with the first error.
func (l *load) signUpAll(ctx context.Context, r rush) ([]signUp, error) {
	first := l.take(r.n)
	done := make([]signUp, r.n)
	var next atomic.Int64
	var showing sync.Mutex
	return done, inParallel(ctx, r.connections, func(ctx context.Context, worker int) error {
		chance := dice(uint64(first + worker)) //nolint:gosec // it is not negative
		for {
			i := int(next.Add(1)) - 1
			if i >= r.n {
				return nil
			}
			var by member
			if i%r.referEvery == 0 {
				by = r.crowd.referrer(chance)
			}
			var err error
			if done[i], err = r.to.signUp(ctx, l.client, newcomer(first+i), by); err != nil {
				return err
			}
			if known := r.crowd.join(done[i].member); known%1000 == 0 {
				showing.Lock()
				r.show(known)
				showing.Unlock()
			}
		}
	})
}
