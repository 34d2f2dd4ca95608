package webhook

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// Handshake says whether an endpoint has confirmed that it wants what a
// subscription sends. Who asks for it can't be made to send to somebody else by
// mistake or on purpose.
type Handshake string

// The states of a handshake. Due, the subscription is never enabled.
const (
	NoHandshake   Handshake = ""     // none is asked for
	HandshakeDue  Handshake = "due"  // the endpoint at the URL has not confirmed it yet
	HandshakeDone Handshake = "done" // it has
)

// HandshakeFunc sends an endpoint a secret and waits for it to come back. The
// verdict is wire.Delivered if it did. It returns within the subscription's
// timeout, and says nothing of the secret.
type HandshakeFunc func(ctx context.Context, sub *Subscription) Attempt

// shakeHands asks the endpoint of a subscription, as it is or would be, to
// confirm it. It counts as a test does, since it sends a request for a caller.
func (s *Service) shakeHands(ctx context.Context, sub *Subscription) (Attempt, error) {
	if s.handshake == nil {
		return Attempt{}, problem.Conflict.New("this server makes no handshakes")
	}
	end, err := s.tests.begin(sub.TenantID)
	if err != nil {
		return Attempt{}, err
	}
	defer end()
	answer := s.handshake(ctx, sub)
	return answer, ctx.Err() // given up by the caller: nothing is known of the endpoint
}

// confirmNew asks the endpoint of a new subscription, and leaves it disabled if
// that does not confirm it.
func (s *Service) confirmNew(ctx context.Context, sub *Subscription, draft Draft) error {
	answer, err := s.shakeHands(ctx, sub.with()) // its connections are kept under its id, which it has not got yet
	if err != nil {
		return err
	}
	if answer.Verdict == wire.Delivered {
		sub.Handshake = HandshakeDone
	} else {
		sub.Enabled, sub.Reason = false, ReasonHandshake
	}
	if draft.Answered != nil {
		draft.Answered(answer)
	}
	return draft.Confirm.ask(ctx)
}

// confirmMoved asks the endpoint that a patch sends a subscription to, if it has
// to confirm it before anything is sent there. It returns the URL that was
// confirmed, or "". A disabled subscription moves without: its endpoint is asked
// when it is enabled.
func (s *Service) confirmMoved(ctx context.Context, sub *Subscription, patch Patch) (string, error) {
	if patch.URL == nil || *patch.URL == sub.URL || sub.Handshake == NoHandshake || !sub.Enabled {
		return "", nil
	}
	moved, err := patch.apply(sub).build()
	if err != nil {
		return "", err
	}
	moved.ID, moved.TenantID, moved.Secrets = sub.ID, sub.TenantID, sub.Secrets
	answer, err := s.shakeHands(ctx, moved)
	if err != nil {
		return "", err
	}
	if err := refusal(answer); err != nil {
		return "", err
	}
	return moved.URL, patch.Confirm.ask(ctx)
}

// handshakeAfter says how the handshake stands once a subscription was changed,
// after the endpoint at the URL confirmed has confirmed it.
func handshakeAfter(old, changed *Subscription, confirmed string) (Handshake, error) {
	switch {
	case old.Handshake == NoHandshake || changed.URL == old.URL:
		return old.Handshake, nil
	case changed.URL == confirmed:
		return HandshakeDone, nil
	case old.Enabled: // it was disabled, or had this URL, when its endpoint was to be asked
		return "", problem.Conflict.New("the subscription was changed meanwhile")
	default:
		return HandshakeDue, nil
	}
}

// ConfirmSubscription asks the endpoint of a subscription for the handshake that
// is due, if there is one. Its error is problem.HandshakeFailed if the endpoint
// does not confirm it.
func (s *Service) ConfirmSubscription(ctx context.Context, tenant, sub id.ID, confirm ConfirmFunc) error {
	found, err := s.Subscription(ctx, tenant, sub)
	if err != nil || found.Handshake != HandshakeDue {
		return err
	}
	answer, err := s.shakeHands(ctx, found)
	if err != nil {
		return err
	}
	if err := refusal(answer); err != nil {
		return err
	}
	if err := confirm.ask(ctx); err != nil {
		return err
	}
	_, err = s.change(ctx, tenant, sub, func(_ *db.Tx, old *Subscription) (*Subscription, error) {
		if old.URL != found.URL {
			return nil, problem.Conflict.New("the subscription's URL was changed meanwhile")
		}
		changed := old.with()
		changed.Handshake = HandshakeDone
		return changed, nil
	})
	return err
}

// refusal is the problem of an endpoint that did not confirm a subscription.
func refusal(answer Attempt) error {
	switch {
	case answer.Verdict == wire.Delivered:
		return nil
	case answer.ResponseStatus == 0:
		return problem.HandshakeFailed.New("the endpoint could not be asked (%s): %s", answer.Reason, answer.Error)
	case answer.ResponseStatus/100 != 2:
		return problem.HandshakeFailed.New("the endpoint answered with status %d", answer.ResponseStatus)
	default:
		return problem.HandshakeFailed.New("the endpoint answered with status %d, but not with the header X-Hook-Secret as it was sent", answer.ResponseStatus)
	}
}
