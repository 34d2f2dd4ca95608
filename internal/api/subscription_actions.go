package api

import (
	"context"
	"net/http"
	"time"

	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// maxTestBody is how much of the answer to a test is shown.
const maxTestBody = 1 << 10

type testResultJSON struct{ OutcomeJSON }

type secretRotationJSON struct {
	Secret  string `json:"secret,omitempty" minLength:"1" doc:"The new secret; absent: one of the same kind is made."`
	Overlap *int64 `json:"overlap,omitempty" minimum:"0" maximum:"604800" doc:"For how many seconds the old ones sign as well; absent: a day."`
}

type secretsJSON struct {
	Secrets    []secretJSON `json:"secrets" doc:"Those that sign now, the newest first."`
	PublicKeys []string     `json:"public_keys" doc:"What receivers verify v1a signatures with."`
}

type secretJSON struct {
	Secret    string     `json:"secret"`
	ExpiresAt *time.Time `json:"expires_at,omitempty" doc:"Absent: it is the current one."`
}

func (s *server) subscriptionActionRoutes() {
	register(s, route{
		id: "test-draft", method: http.MethodPost, path: "/v1/subscriptions/test", tag: tagSubscriptions, access: canManage,
		summary: "Try a subscription that is not saved", description: "Sends the dialect's test event and answers with what came back.",
		example: exampleSubscription,
	}, s.testDraft)
	register(s, route{
		id: "test-subscription", method: http.MethodPost, path: "/v1/subscriptions/{id}/test", tag: tagSubscriptions, access: canManage,
		summary: "Test a subscription", description: "Sends the dialect's test event, also if the subscription is disabled, and answers with what came back.",
	}, s.testSubscription)
	register(s, route{
		id: "enable-subscription", method: http.MethodPost, path: "/v1/subscriptions/{id}/enable", tag: tagSubscriptions, access: canManage,
		summary: "Enable a subscription", description: "Sends what was pending when it was disabled. The answer says what it has missed; with recover_since that is sent again. A handshake that is due is asked for first; without it the subscription stays disabled.",
		example: exampleEnable, errors: []*problem.Code{problem.Conflict, problem.HandshakeFailed},
	}, s.enableSubscription)
	register(s, route{
		id: "disable-subscription", method: http.MethodPost, path: "/v1/subscriptions/{id}/disable", tag: tagSubscriptions, access: canManage,
		summary: "Disable a subscription", description: "Its pending deliveries wait; what is published from now on is held.",
	}, s.disableSubscription)
	register(s, route{
		id: "rotate-secret", method: http.MethodPost, path: "/v1/subscriptions/{id}/secret/rotate", tag: tagSubscriptions, access: canManage,
		summary: "Rotate a secret", description: "The answer has the new secret. The old ones sign as well until the overlap has passed.",
		example: `{"overlap":3600}`,
	}, s.rotateSecret)
	register(s, route{
		id: "reveal-secret", method: http.MethodPost, path: "/v1/subscriptions/{id}/secret", tag: tagSubscriptions, access: canManage,
		summary: "Reveal the secrets", description: "Changes nothing. It is a POST so that secrets are not fetched by following an address.",
	}, s.revealSecret)
}

func (s *server) testDraft(ctx context.Context, r request[none, newSubscriptionJSON]) (testResultJSON, error) {
	a, err := s.opts.Webhooks.TestDraft(ctx, r.tenant.ID, r.body.draft(r.confirm))
	return showTest(a), err
}

func (s *server) testSubscription(ctx context.Context, r request[subscriptionPath, none]) (testResultJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return testResultJSON{}, err
	}
	a, err := s.opts.Webhooks.TestSubscription(ctx, r.tenant.ID, sub)
	return showTest(a), err
}

func (s *server) disableSubscription(ctx context.Context, r request[subscriptionPath, none]) (SubscriptionJSON, error) {
	return s.withSubscription(ctx, r.tenant.ID, r.params, s.opts.Webhooks.DisableSubscription)
}

func (s *server) rotateSecret(ctx context.Context, r request[subscriptionPath, secretRotationJSON]) (subscriptionWithSecretJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return subscriptionWithSecretJSON{}, err
	}
	return withSecret(s.opts.Webhooks.RotateSecret(ctx, r.tenant.ID, sub, r.body.Secret, overlapOf(r.body.Overlap)))
}

func (s *server) revealSecret(ctx context.Context, r request[subscriptionPath, none]) (secretsJSON, error) {
	sub, err := r.params.parse()
	if err != nil {
		return secretsJSON{}, err
	}
	secrets, keys, err := s.opts.Webhooks.RevealSecrets(ctx, r.tenant.ID, sub, time.Now())
	shown := secretsJSON{Secrets: make([]secretJSON, len(secrets)), PublicKeys: append([]string{}, keys...)}
	for i, secret := range secrets {
		shown.Secrets[i] = secretJSON{secret.Value, optionalTime(secret.ExpiresAt)}
	}
	return shown, err
}

func showTest(a webhook.Attempt) testResultJSON {
	return testResultJSON{showOutcome(a, a.Body[:min(len(a.Body), maxTestBody)])}
}
