package dispatch

import (
	"bytes"
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// hideSecrets masks the credentials of the request in what came back, and cuts
// the body to what is stored. Some receivers send back what they were sent, and
// no secret is stored with an attempt. The extra ones are of this attempt alone,
// and have at least [webhook.LeastHidden] bytes too.
func hideSecrets(a *webhook.Attempt, sub *webhook.Subscription, extra []string) {
	secrets := slices.Concat(extra, sub.Credentials())
	a.Body = masked(a.Body, secrets, keptBody)
	for i := range a.Headers {
		value := &a.Headers[i].Value
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(*value, secret) }) {
			*value = string(masked([]byte(*value), secrets, len(*value)))
		}
	}
}

// masked returns the first bytes of a text, as many as are kept, with a mask for
// each place that a secret covers. Secrets that overlap have one mask, so that
// nothing is left of either. A secret that begins in what is kept is masked also
// where it goes on behind it.
//
// No secret is shorter than the mask: the result is no longer than what is kept.
func masked(text []byte, secrets []string, kept int) []byte {
	kept = min(kept, len(text))
	places := findAll(text, secrets)
	var out []byte
	done := 0 // how much of the text is out, or masked
	for p := first(places); p != nil && p.start < kept; p = first(places) {
		if p.start >= done {
			if out == nil {
				out = make([]byte, 0, kept)
			}
			out = append(append(out, text[done:p.start]...), webhook.Masked...)
		}
		done = max(done, p.start+len(p.secret))
		p.next(text)
	}
	if done < kept {
		if out == nil {
			return text[:kept]
		}
		out = append(out, text[done:kept]...)
	}
	return out[:min(len(out), kept)]
}

// place is where a text has a secret.
type place struct {
	secret []byte
	start  int // -1: nowhere any more
}

// findAll returns the first place of each secret that the text has.
func findAll(text []byte, secrets []string) []place {
	var places []place
	for _, secret := range secrets {
		s := []byte(secret)
		if start := bytes.Index(text, s); start >= 0 {
			places = append(places, place{s, start})
		}
	}
	return places
}

// first returns the place that comes first; nil if there is none any more.
func first(places []place) *place {
	var found *place
	for i := range places {
		if p := &places[i]; p.start >= 0 && (found == nil || p.start < found.start) {
			found = p
		}
	}
	return found
}

// next moves on to where the text has the secret again.
func (p *place) next(text []byte) {
	from := p.start + len(p.secret)
	p.start = bytes.Index(text[from:], p.secret)
	if p.start >= 0 {
		p.start += from
	}
}
