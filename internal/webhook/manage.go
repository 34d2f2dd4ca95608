package webhook

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// Patch is a change to a subscription. What is nil stays.
type Patch struct {
	URL         *string
	EventTypes  *[]string
	Filter      **Filter // to nil: every event of the types
	Description *string
	Headers     *map[string]string
	Auth        *Auth
	CA          *string // "": the system's authorities
	Policy      *Policy

	Confirm ConfirmFunc
}

// ConfirmFunc says whether the caller may still do what it asked for: looking up
// a URL can take seconds, and the caller's key may be revoked meanwhile. It is
// asked before anything is stored; nil stands for yes.
type ConfirmFunc func(ctx context.Context) error

func (confirm ConfirmFunc) ask(ctx context.Context) error {
	if confirm == nil {
		return nil
	}
	return confirm(ctx)
}

// CreateSubscription stores a subscription. Events that are published after it
// returned reach it. See Draft.OncePerURL for when it returns one that is there
// already. With a handshake, the endpoint is asked to confirm the subscription
// before it is stored; one that is not confirmed is disabled with the reason
// ReasonHandshake, and can be enabled once its endpoint confirms it.
func (s *Service) CreateSubscription(ctx context.Context, tenant id.ID, draft Draft) (*Subscription, error) {
	sub, err := s.prepare(ctx, tenant, draft)
	if err != nil {
		return nil, err
	}
	sub.TenantID = tenant
	if draft.Handshake {
		if err := s.confirmNew(ctx, sub, draft); err != nil {
			return nil, err
		}
	}
	var created *Subscription
	err = s.db.WriteKey(ctx, subscriptionsOf(tenant), func(tx *db.Tx) error {
		created = sub
		if draft.OncePerURL {
			same, err := s.selectByURL(tx, sub)
			if err == nil {
				if created, err = s.rename(tx, same, sub.Description); err != nil {
					return err
				}
				return auditSubscription(ctx, tx, same, created)
			}
			if !errors.Is(err, db.ErrNoRows) {
				return err
			}
		}
		n, err := countSubscriptions(tx, tenant)
		if err != nil {
			return err
		}
		if n >= maxPerTenant {
			return problem.Conflict.New("the tenant has %d subscriptions, which is as many as it may have", n)
		}
		sub.ID, sub.CreatedAt, sub.UpdatedAt = id.New(tx.Now()), tx.Now(), tx.Now()
		if err := s.insertSubscription(tx, sub); err != nil {
			return err
		}
		if err := auditSubscription(ctx, tx, nil, sub); err != nil {
			return err
		}
		if err := s.announceSubscription(tx, sub, standard.SubscriptionCreated); err != nil {
			return err
		}
		return s.changed(tx, sub)
	})
	if err != nil {
		return nil, err
	}
	return created, nil
}

// rename gives a subscription another description, unless that is empty or the
// same, and returns what it then is.
func (s *Service) rename(tx *db.Tx, sub *Subscription, description string) (*Subscription, error) {
	if description == "" || description == sub.Description {
		return sub, nil
	}
	renamed := sub.with()
	renamed.Description, renamed.UpdatedAt = description, tx.Now()
	if err := s.updateSubscription(tx, renamed); err != nil {
		return nil, err
	}
	if err := s.announceSubscription(tx, renamed, standard.SubscriptionUpdated); err != nil {
		return nil, err
	}
	return renamed, s.changed(tx, renamed)
}

// prepare checks a draft, whether the tenant speaks its dialect, and where its URL
// leads.
func (s *Service) prepare(ctx context.Context, tenant id.ID, draft Draft) (*Subscription, error) {
	sub, err := draft.build()
	if sub != nil {
		if _, err := s.identify(ctx, tenant, sub.Dialect.Name()); err != nil {
			return nil, err
		}
	}
	var checks problem.Checks
	checks.AddError("", err)
	checkValidity(&checks, draft.Auth, time.Now())
	if err := s.checkPlace(ctx, &checks, "url", draft.URL); err != nil {
		return nil, err
	}
	if draft.Auth.Type == OAuth2Auth && draft.Auth.TokenURL != "" {
		if err := s.checkPlace(ctx, &checks, "auth.token_url", draft.Auth.TokenURL); err != nil {
			return nil, err
		}
	}
	if err := checks.Err(); err != nil {
		return nil, err
	}
	return sub, draft.Confirm.ask(ctx)
}

// Subscription returns one of the tenant's subscriptions.
func (s *Service) Subscription(ctx context.Context, tenant, sub id.ID) (*Subscription, error) {
	var found *Subscription
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		found, err = s.selectSubscription(q, tenant, sub)
		return err
	})
	return found, err
}

// Subscriptions lists the tenant's subscriptions, the oldest first.
func (s *Service) Subscriptions(ctx context.Context, tenant id.ID, page Page) ([]*Subscription, string, error) {
	after, err := page.after(1)
	if err != nil {
		return nil, "", err
	}
	var subs []*Subscription
	err = s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		subs, err = s.listSubscriptions(q, tenant, after[0], page.Limit+1)
		return err
	})
	subs, next := cut(subs, page, func(sub *Subscription) []id.ID { return []id.ID{sub.ID} })
	return subs, next, err
}

// SubscriptionsOf lists the tenant's subscriptions of one dialect, the oldest
// first: all of them, which are at most 2,000.
func (s *Service) SubscriptionsOf(ctx context.Context, tenant id.ID, dialect string) ([]*Subscription, error) {
	var subs []*Subscription
	err := s.db.Read(ctx, func(q db.Queryer) error {
		var err error
		subs, err = s.listDialect(q, tenant, dialect)
		return err
	})
	return subs, err
}

// UpdateSubscription changes a subscription. Attempts that begin after it
// returned follow the change. Where it has a handshake and is enabled, another
// URL is its own only once the endpoint there has confirmed it; if that does not,
// nothing changes and the error is problem.HandshakeFailed.
func (s *Service) UpdateSubscription(ctx context.Context, tenant, sub id.ID, patch Patch) (*Subscription, error) {
	seen, err := s.look(ctx, tenant, sub, patch)
	if err != nil {
		return nil, err
	}
	return s.change(ctx, tenant, sub, func(tx *db.Tx, old *Subscription) (*Subscription, error) {
		changed, err := patch.apply(old).build()
		var checks problem.Checks
		checks.AddError("", err)
		checks.AddError("", seen.refused)
		if patch.Auth != nil {
			checkValidity(&checks, *patch.Auth, tx.Now())
		}
		if err := checks.Err(); err != nil {
			return nil, err
		}
		changed.ID, changed.TenantID = old.ID, old.TenantID
		changed.Secrets, changed.Enabled, changed.Reason = old.Secrets, old.Enabled, old.Reason
		changed.Handshake, err = handshakeAfter(old, changed, seen.confirmed)
		if err != nil {
			return nil, err
		}
		return changed, cmp.Or(s.carryHealth(tx, old, changed), s.announceSubscription(tx, changed, standard.SubscriptionUpdated))
	})
}

// draft is what the subscription would have been created from.
func (s *Subscription) draft() Draft {
	d := Draft{
		Dialect: s.Dialect.Name(), URL: s.URL, EventTypes: s.EventTypes, Filter: s.Filter, Description: s.Description,
		Headers: make(map[string]string, len(s.Headers)), Auth: s.Auth, CA: s.CA, Policy: s.Policy, Secret: s.CurrentSecret(),
	}
	for _, h := range s.Headers {
		d.Headers[h.Name] = h.Value
	}
	return d
}

// CurrentSecret returns the secret that signs, whatever others do as well; empty
// where the dialect does not sign with secrets.
func (s *Subscription) CurrentSecret() string {
	if len(s.Secrets) == 0 {
		return ""
	}
	return s.Secrets[0].Value
}

// with returns a copy to change.
func (s *Subscription) with() *Subscription {
	return &Subscription{
		ID: s.ID, TenantID: s.TenantID, Dialect: s.Dialect, URL: s.URL, EventTypes: s.EventTypes, Filter: s.Filter,
		Description: s.Description, Headers: s.Headers, Auth: s.Auth, CA: s.CA, Handshake: s.Handshake, Secrets: s.Secrets, Policy: s.Policy,
		Enabled: s.Enabled, Reason: s.Reason, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, DeletedAt: s.DeletedAt,
		Generation: s.Generation, Version: s.Version, Health: s.Health,
	}
}

// change replaces a subscription by what decide makes of it, in one transaction.
func (s *Service) change(ctx context.Context, tenant, sub id.ID, decide func(tx *db.Tx, old *Subscription) (*Subscription, error)) (*Subscription, error) {
	var changed *Subscription
	err := s.db.WriteKey(ctx, subscriptionsOf(tenant), func(tx *db.Tx) error {
		old, err := s.selectSubscription(tx, tenant, sub)
		if err != nil {
			return err
		}
		changed, err = decide(tx, old)
		if err != nil {
			return err
		}
		changed.ID, changed.TenantID, changed.CreatedAt, changed.UpdatedAt = old.ID, old.TenantID, old.CreatedAt, tx.Now()
		if err := s.updateSubscription(tx, changed); err != nil {
			return err
		}
		return cmp.Or(auditSubscription(ctx, tx, old, changed), s.announceToggled(tx, old, changed), s.changed(tx, changed))
	})
	if err != nil {
		return nil, err
	}
	return changed, nil
}

// changed tells, once it is committed, of a change that is stored, here and on the
// other nodes.
func (s *Service) changed(tx *db.Tx, sub *Subscription) error {
	tx.After(func() {
		s.index.changed(sub.TenantID)
		if s.sender != nil {
			s.sender.Changed(sub)
		}
	})
	return s.node.Changed(tx, topicSubscriptions, sub.TenantID)
}

// DisableSubscription stops sending to a subscription. Its pending deliveries
// wait; what is published from now on is held.
func (s *Service) DisableSubscription(ctx context.Context, tenant, sub id.ID) (*Subscription, error) {
	return s.change(ctx, tenant, sub, func(_ *db.Tx, old *Subscription) (*Subscription, error) {
		changed := old.with()
		if old.Enabled {
			changed.Enabled, changed.Reason = false, ReasonManual
		}
		return changed, nil
	})
}

// enable enables a subscription, and does in the same transaction what also says.
// Of the endpoint's failures nothing is remembered, also where it was enabled
// already. A handshake that is due is asked for first: see ConfirmSubscription.
func (s *Service) enable(ctx context.Context, tenant, sub id.ID, also func(tx *db.Tx) error) (*Subscription, error) {
	if err := s.ConfirmSubscription(ctx, tenant, sub, nil); err != nil {
		return nil, err
	}
	for {
		if err := s.sweep(ctx, sub); err != nil { // what was to be cancelled must not be sent
			return nil, err
		}
		changed, err := s.change(ctx, tenant, sub, func(tx *db.Tx, old *Subscription) (*Subscription, error) {
			if _, cancelling, err := selectCancelling(tx, sub); err != nil || cancelling {
				return nil, cmp.Or(err, errCancelling)
			}
			if old.Handshake == HandshakeDue { // it was moved since the endpoint was asked
				return nil, problem.Conflict.New("the subscription's URL was changed meanwhile")
			}
			changed := old.with()
			changed.Enabled, changed.Reason = true, ""
			return changed, cmp.Or(s.renew(tx, changed), also(tx))
		})
		if !errors.Is(err, errCancelling) {
			return changed, err
		}
	}
}

// errCancelling says that a subscription's deliveries are being cancelled.
var errCancelling = errors.New("webhook: deliveries are being cancelled")

// DeleteSubscription ends a subscription and cancels its pending deliveries. The
// records stay.
func (s *Service) DeleteSubscription(ctx context.Context, tenant, sub id.ID) error {
	return s.db.WriteKey(ctx, subscriptionsOf(tenant), func(tx *db.Tx) error {
		old, err := s.selectSubscription(tx, tenant, sub)
		if err != nil {
			return err
		}
		gone := old.deleted(tx.Now())
		if err := auditSubscription(ctx, tx, old, nil); err != nil {
			return err
		}
		if err := s.announceSubscription(tx, gone, standard.SubscriptionDeleted); err != nil {
			return err
		}
		return s.delete(tx, gone)
	})
}

// deleted returns the subscription as it is once it is deleted.
func (s *Subscription) deleted(now time.Time) *Subscription {
	gone := s.with()
	gone.Enabled, gone.Reason, gone.UpdatedAt, gone.DeletedAt = false, ReasonSubscriptionDeleted, now, now
	return gone
}

func (s *Service) delete(tx *db.Tx, gone *Subscription) error {
	if err := s.updateSubscription(tx, gone); err != nil {
		return err
	}
	if err := s.cancelPending(tx, gone); err != nil {
		return err
	}
	return s.changed(tx, gone)
}

// DeleteTenant ends all subscriptions of a tenant, inside the transaction that
// ends the tenant.
func (s *Service) DeleteTenant(tx *db.Tx, tenant id.ID) error {
	subs, err := s.listSubscriptions(tx, tenant, id.ID{}, -1)
	if err != nil {
		return err
	}
	for _, sub := range subs {
		if err := s.delete(tx, sub.deleted(tx.Now())); err != nil {
			return err
		}
	}
	return nil
}

// RotateSecret makes secret, or one of the same kind as the current one if it is
// empty, the current one. The old ones sign as well until overlap has passed.
func (s *Service) RotateSecret(ctx context.Context, tenant, sub id.ID, secret string, overlap time.Duration) (*Subscription, error) {
	if overlap < 0 || overlap > maxOverlap {
		return nil, problem.InvalidField("overlap", "must be between 0 and %d seconds", int(maxOverlap.Seconds()))
	}
	return s.change(ctx, tenant, sub, func(tx *db.Tx, old *Subscription) (*Subscription, error) {
		if old.Dialect.Signing() != wire.BySecret {
			return nil, problem.Conflict.New("subscriptions of this dialect have no secret to rotate")
		}
		fresh, err := rotated(old, secret)
		if err != nil {
			return nil, err
		}
		changed := old.with()
		changed.Secrets = []Secret{{Value: fresh}}
		until := tx.Now().Add(overlap)
		for _, o := range old.Secrets {
			if o.ExpiresAt.IsZero() || o.ExpiresAt.After(until) {
				o.ExpiresAt = until
			}
			if o.ExpiresAt.After(tx.Now()) && o.Value != fresh {
				changed.Secrets = append(changed.Secrets, o)
			}
		}
		if len(changed.Secrets) > maxSecrets {
			return nil, problem.Conflict.New("%d secrets are valid at once already: wait until one expires, or rotate with a shorter overlap", maxSecrets)
		}
		return changed, s.announceSubscription(tx, changed, standard.SubscriptionUpdated)
	})
}

func rotated(old *Subscription, given string) (string, error) {
	if given != "" {
		secrets, err := chooseSecrets(old.Dialect, given, "")
		if err != nil {
			return "", problem.InvalidField("secret", "%s", err)
		}
		return secrets[0].Value, nil
	}
	return old.Dialect.NewSecretLike(old.CurrentSecret())
}

// RevealSecrets returns the secrets that sign at now, the newest first, and
// the public keys of those that have one. That they were asked for is on record
// before they are shown.
func (s *Service) RevealSecrets(ctx context.Context, tenant, sub id.ID, now time.Time) ([]Secret, []string, error) {
	found, err := s.auditReveal(ctx, tenant, sub)
	if err != nil {
		return nil, nil, err
	}
	valid := slices.DeleteFunc(slices.Clone(found.Secrets), func(secret Secret) bool {
		return !secret.ExpiresAt.IsZero() && !now.Before(secret.ExpiresAt)
	})
	keys, err := found.PublicKeys(now)
	return valid, keys, err
}

// PublicKeys returns what receivers verify asymmetric signatures with, where the
// subscription has keys of its own.
func (s *Subscription) PublicKeys(now time.Time) ([]string, error) {
	if s.Dialect.Signing() != wire.BySecret {
		return nil, nil
	}
	signer, err := s.Signer(now, nil)
	if err != nil {
		return nil, err
	}
	return signer.PublicKeys(), nil
}

// TestDraft sends the dialect's test event to a subscription that is not saved.
func (s *Service) TestDraft(ctx context.Context, tenant id.ID, draft Draft) (Attempt, error) {
	sub, err := s.prepare(ctx, tenant, draft)
	if err != nil {
		return Attempt{}, err
	}
	sub.TenantID = tenant
	return s.test(ctx, sub)
}

// TestSubscription sends the dialect's test event to a subscription, enabled or
// not. It is no delivery and is not recorded.
func (s *Service) TestSubscription(ctx context.Context, tenant, sub id.ID) (Attempt, error) {
	found, err := s.Subscription(ctx, tenant, sub)
	if err != nil {
		return Attempt{}, err
	}
	return s.test(ctx, found)
}

// How many tests may be under way at once. They hold a connection for as long as
// an endpoint likes, and nothing else limits them.
const (
	maxTests          = 64
	maxTestsPerTenant = 8
)

// testQuota counts the tests under way.
type testQuota struct {
	mu       sync.Mutex
	all      int
	byTenant map[id.ID]int
}

// begin returns the function that ends a test, or a refusal.
func (q *testQuota) begin(tenant id.ID) (func(), error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.all >= maxTests || q.byTenant[tenant] >= maxTestsPerTenant {
		return nil, problem.RateLimited.New("too many tests are under way: wait until one has ended")
	}
	q.all++
	q.byTenant[tenant]++
	return func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.all--
		if q.byTenant[tenant]--; q.byTenant[tenant] == 0 {
			delete(q.byTenant, tenant)
		}
	}, nil
}

func (s *Service) test(ctx context.Context, sub *Subscription) (Attempt, error) {
	end, err := s.tests.begin(sub.TenantID)
	if err != nil {
		return Attempt{}, err
	}
	defer end()
	as, err := s.identify(ctx, sub.TenantID, sub.Dialect.Name())
	if err != nil {
		return Attempt{}, err
	}
	now := time.Now()
	e := sub.Dialect.TestEvent(wire.Endpoint{URL: sub.URL, Name: sub.Description})
	e.ID, e.OccurredAt, e.Tenant = id.New(now), now, as.Tenant
	return s.attempter.Attempt(ctx, sub, wire.Message{EventID: e.ID, Type: e.Type, Body: sub.Dialect.Encode(e), SentAt: now, Attempt: 1}, ""), nil
}

// sweepStep is how many deliveries one transaction cancels. More would keep
// publishers waiting.
const sweepStep = 1000

// cancelPending cancels what waits for a subscription that takes nothing more:
// as much as one transaction should do now, the rest in the background.
func (s *Service) cancelPending(tx *db.Tx, sub *Subscription) error {
	n, err := cancelSome(tx, sub.ID, sub.Reason, sweepStep)
	if err != nil {
		return err
	}
	// What others publish by the subscription as it was is there once they have
	// gone, which this transaction may not see.
	if n < sweepStep && !tx.Shared() {
		return setCancelling(tx, sub.ID, false)
	}
	tx.After(s.sweepSoon)
	return setCancelling(tx, sub.ID, true)
}

func (s *Service) sweepSoon() {
	select {
	case s.sweeps <- struct{}{}:
	default:
	}
}

// sweepLoop finishes cancelling, also what an earlier run left.
func (s *Service) sweepLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.sweeps:
		}
		if err := s.sweepAll(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "cancelling_interrupted", "error", err.Error())
			time.AfterFunc(time.Second, s.sweepSoon)
		}
	}
}

func (s *Service) sweepAll(ctx context.Context) error {
	for {
		var next id.ID
		err := s.db.Read(ctx, func(q db.Queryer) error {
			var err error
			next, err = nextCancelling(q)
			return err
		})
		if errors.Is(err, db.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.sweep(ctx, next); err != nil {
			return err
		}
	}
}

// sweep finishes cancelling for one subscription.
func (s *Service) sweep(ctx context.Context, sub id.ID) error {
	for done := false; !done; {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			reason, cancelling, err := selectCancelling(tx, sub)
			if err != nil || !cancelling {
				done = true
				return err
			}
			n, err := cancelSome(tx, sub, reason, sweepStep)
			if err != nil {
				return err
			}
			if done = n < sweepStep; done {
				return setCancelling(tx, sub, false)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
