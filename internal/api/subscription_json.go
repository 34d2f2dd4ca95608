package api

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// SubscriptionJSON is how a subscription is shown: with its secrets masked.
type SubscriptionJSON struct {
	ID                string            `json:"id" example:"sub_019a9c1d2f3b5e8d7c6a4f10"`
	URL               string            `json:"url" example:"https://example.com/webhooks"`
	Dialect           string            `json:"dialect" example:"standard"`
	EventTypes        []string          `json:"event_types" doc:"Names and patterns, such as invoice.*; [\"*\"] stands for every type that the tenant publishes."`
	Filter            *filterJSON       `json:"filter,omitempty" doc:"Absent: every event of these types."`
	Description       string            `json:"description"`
	Headers           map[string]string `json:"headers" doc:"Sent with every request; the values are masked."`
	Auth              *shownAuthJSON    `json:"auth,omitempty" doc:"Absent: none. Its secrets are masked."`
	ClientCertificate *certificateJSON  `json:"client_certificate,omitempty" doc:"What auth has in certificate; absent: none."`
	Authorities       []certificateJSON `json:"authorities,omitempty" doc:"Those of ca, which vouch for the endpoint; absent: the system's."`
	Handshake         bool              `json:"handshake,omitempty" doc:"Whether the endpoint has to confirm the subscription before it is enabled."`
	Policy            shownPolicyJSON   `json:"policy" doc:"How the subscription differs from its dialect."`
	Status            string            `json:"status" example:"enabled" doc:"Whether it sends: enabled or disabled."`
	Reason            string            `json:"reason,omitempty" doc:"Why it is disabled: manual, gone, failing or handshake_failed." example:"gone"`
	Health            healthJSON        `json:"health" doc:"How the endpoint has fared since it last took an event."`
	PublicKeys        []string          `json:"public_keys" doc:"What receivers verify v1a signatures with."`
	CreatedAt         time.Time         `json:"created_at"`
	UpdatedAt         time.Time         `json:"updated_at"`
}

type subscriptionWithSecretJSON struct {
	SubscriptionJSON
	Secret string `json:"secret,omitempty" doc:"What requests are signed with; absent where the dialect signs otherwise." example:"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"`

	HandshakeResult *testResultJSON `json:"handshake_result,omitempty" doc:"What came of the handshake that was asked for; its verdict is delivered if the endpoint has confirmed the subscription."`
}

type newSubscriptionJSON struct {
	URL         string            `json:"url" minLength:"1" maxLength:"2048" doc:"Where events go: https, and to a public address." example:"https://example.com/webhooks"`
	EventTypes  []string          `json:"event_types" doc:"At most 100 names and patterns: invoice.* stands for every type that begins with invoice. and a full stop. Or [\"*\"] for every type that the tenant publishes, which Grapevine's own (webhook.*) are not."`
	Dialect     string            `json:"dialect,omitempty" minLength:"1" doc:"Whose events are sent, in whose shape; absent: standard."`
	Filter      *filterJSON       `json:"filter,omitempty" doc:"Only events that fit; absent: all of these types."`
	Description string            `json:"description,omitempty" doc:"For people; at most 500 characters."`
	Headers     map[string]string `json:"headers,omitempty" doc:"At most 20, sent with every request."`
	Auth        *authJSON         `json:"auth,omitempty" doc:"How requests prove to the endpoint who sends them."`
	CA          string            `json:"ca,omitempty" minLength:"1" doc:"The authorities that vouch for the endpoint, and for the token endpoint if there is one, instead of the system's: certificates in PEM, at most 32 KiB."`
	Handshake   bool              `json:"handshake,omitempty" doc:"Have the endpoint confirm the subscription: it has to answer an empty POST with 2xx and the header X-Hook-Secret as it came. Until it has, the subscription is disabled, with the reason handshake_failed, and enabling it asks again."`
	Secret      string            `json:"secret,omitempty" minLength:"1" doc:"What requests are signed with; absent: one is made."`
	Signature   string            `json:"signature,omitempty" minLength:"1" doc:"The kind of secret to make: v1 (HMAC-SHA256, the default) or v1a (ed25519)." example:"v1"`
	Policy      *policyJSON       `json:"policy,omitempty" doc:"How the subscription differs from its dialect."`
}

type changeSubscriptionJSON struct {
	URL         *string              `json:"url,omitempty" minLength:"1" maxLength:"2048"`
	EventTypes  *[]string            `json:"event_types,omitempty" doc:"See creation."`
	Filter      nullable[filterJSON] `json:"filter,omitzero" doc:"Replaces what there is; null removes it."`
	Description *string              `json:"description,omitempty"`
	Headers     *map[string]string   `json:"headers,omitempty" doc:"Replaces all headers."`
	Auth        nullable[authJSON]   `json:"auth,omitzero" doc:"Replaces what there is; null removes it."`
	CA          nullable[string]     `json:"ca,omitzero" doc:"Replaces what there is; null removes it, for the system's authorities."`
	Policy      *policyJSON          `json:"policy,omitempty" doc:"Replaces the whole policy."`
}

type policyJSON struct {
	Schedule    *[]float64 `json:"schedule,omitempty" nullable:"true" doc:"The waits between attempts, in seconds; null or absent: the dialect's; []: one attempt only."`
	Timeout     *float64   `json:"timeout,omitempty" minimum:"1" maximum:"60" doc:"How long an attempt may take in all, in seconds; absent: the dialect's."`
	MaxInFlight *int64     `json:"max_in_flight,omitempty" minimum:"1" maximum:"128" doc:"Attempts at the same time; absent: as many as the endpoint keeps up with."`
	Rate        *float64   `json:"rate,omitempty" minimum:"0.001" maximum:"10000" doc:"Attempts a second; absent: no limit."`
	NativeRules bool       `json:"native_rules,omitempty" doc:"Whether 410 ends the subscription and 429, 502, 503 and 504 pause it, as they do in the standard dialect, also where its own dialect has them fail the attempt only."`
	Ordered     bool       `json:"ordered,omitempty" doc:"Whether deliveries are made one at a time, in the order of their events; one that fails holds up those behind it until it has ended. Not together with max_in_flight."`

	AutoDisable    *bool `json:"auto_disable,omitempty" doc:"Whether the subscription is disabled after five days and 20 attempts without a success; absent: yes."`
	HealthWarnings *bool `json:"health_warnings,omitempty" doc:"Whether webhook.subscription.failing is sent again after 1, 3 and 4 days without a success; absent: yes."`
}

// The types of answers have the fields of those of requests and no bounds, so
// that they can grow.
type (
	shownPolicyJSON struct {
		Schedule    *[]float64 `json:"schedule,omitempty" doc:"The waits between attempts, in seconds; absent: the dialect's; []: one attempt only."`
		Timeout     *float64   `json:"timeout,omitempty" doc:"How long an attempt may take in all, in seconds; absent: the dialect's."`
		MaxInFlight *int64     `json:"max_in_flight,omitempty" doc:"Attempts at the same time; absent: as many as the endpoint keeps up with."`
		Rate        *float64   `json:"rate,omitempty" doc:"Attempts a second; absent: no limit."`
		NativeRules bool       `json:"native_rules,omitempty" doc:"Whether answers pause and end the subscription as in the standard dialect."`
		Ordered     bool       `json:"ordered,omitempty" doc:"Whether deliveries are made one at a time, in the order of their events."`

		AutoDisable    *bool `json:"auto_disable,omitempty" doc:"Whether the subscription is disabled after five days and 20 attempts without a success; absent: yes."`
		HealthWarnings *bool `json:"health_warnings,omitempty" doc:"Whether the tenant is told after 1, 3 and 4 days that the endpoint still fails; absent: yes."`
	}
)

// nullable tells a field that is absent from one that is null.
type nullable[T any] struct {
	Set   bool
	Value *T // nil: null
}

var (
	_ json.Unmarshaler    = (*nullable[none])(nil)
	_ huma.SchemaProvider = nullable[none]{}
)

// UnmarshalJSON reads a field that is there.
func (n *nullable[T]) UnmarshalJSON(b []byte) error {
	n.Set = true
	return json.Unmarshal(b, &n.Value)
}

// Schema returns that of T or null.
func (nullable[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{AnyOf: []*huma.Schema{r.Schema(reflect.TypeFor[T](), true, ""), {Type: "null"}}}
}

func (n newSubscriptionJSON) draft(confirm webhook.ConfirmFunc) webhook.Draft {
	return webhook.Draft{
		Confirm: confirm,
		Dialect: n.Dialect, URL: n.URL, EventTypes: n.EventTypes, Filter: n.Filter.filter(), Description: n.Description, Headers: n.Headers,
		Auth: n.Auth.auth(), CA: n.CA, Handshake: n.Handshake, Secret: n.Secret, Signature: n.Signature, Policy: n.Policy.policy(),
	}
}

func (c changeSubscriptionJSON) patch(confirm webhook.ConfirmFunc) webhook.Patch {
	p := webhook.Patch{Confirm: confirm, URL: c.URL, EventTypes: c.EventTypes, Description: c.Description, Headers: c.Headers}
	if c.Filter.Set {
		p.Filter = new(c.Filter.Value.filter())
	}
	if c.Auth.Set {
		p.Auth = new(c.Auth.Value.auth())
	}
	if c.CA.Set {
		p.CA = new("")
		if c.CA.Value != nil {
			p.CA = c.CA.Value
		}
	}
	if c.Policy != nil {
		p.Policy = new(c.Policy.policy())
	}
	return p
}

// policy returns the dialect's policy for nil.
func (p *policyJSON) policy() webhook.Policy {
	var policy webhook.Policy
	if p == nil {
		return policy
	}
	if p.Schedule != nil {
		policy.Schedule = make([]time.Duration, len(*p.Schedule))
		for i, wait := range *p.Schedule {
			policy.Schedule[i] = seconds(wait)
		}
	}
	if p.Timeout != nil {
		policy.Timeout = seconds(*p.Timeout)
	}
	if p.MaxInFlight != nil {
		policy.MaxInFlight = int(*p.MaxInFlight)
	}
	if p.Rate != nil {
		policy.Rate = *p.Rate
	}
	policy.NativeRules, policy.Ordered = p.NativeRules, p.Ordered
	policy.NoAutoDisable = p.AutoDisable != nil && !*p.AutoDisable
	policy.NoHealthWarnings = p.HealthWarnings != nil && !*p.HealthWarnings
	return policy
}

// seconds is exact to the millisecond, and a century where it is longer.
func seconds(n float64) time.Duration {
	const century = 100 * 365 * 24 * 3600
	return time.Duration(max(min(n, century), -century)*1000) * time.Millisecond
}

func showSubscription(sub *webhook.Subscription) (SubscriptionJSON, error) {
	keys, err := sub.PublicKeys(time.Now())
	if err != nil {
		return SubscriptionJSON{}, err
	}
	own, authorities, err := sub.Certificates()
	if err != nil {
		return SubscriptionJSON{}, err
	}
	shown := SubscriptionJSON{
		ID:          id.Subscription.Format(sub.ID),
		URL:         sub.URL,
		Dialect:     sub.Dialect.Name(),
		EventTypes:  sub.EventTypes,
		Filter:      showFilter(sub.Filter),
		Description: sub.Description,
		Headers:     make(map[string]string, len(sub.Headers)),
		Auth:        showAuth(sub.Auth),
		Authorities: showCertificates(authorities),
		Handshake:   sub.Handshake != webhook.NoHandshake,
		Policy:      showPolicy(sub.Policy),
		Status:      "disabled",
		Reason:      sub.Reason,
		Health:      showHealth(sub),
		PublicKeys:  append([]string{}, keys...),
		CreatedAt:   sub.CreatedAt,
		UpdatedAt:   sub.UpdatedAt,
	}
	if own != nil {
		shown.ClientCertificate = new(showCertificate(own))
	}
	for _, h := range sub.Headers {
		shown.Headers[h.Name] = webhook.Masked
	}
	if sub.Enabled {
		shown.Status = "enabled"
	}
	return shown, nil
}

func showPolicy(p webhook.Policy) shownPolicyJSON {
	var shown shownPolicyJSON
	if p.Schedule != nil {
		waits := make([]float64, len(p.Schedule))
		for i, wait := range p.Schedule {
			waits[i] = wait.Seconds()
		}
		shown.Schedule = &waits
	}
	if p.Timeout != 0 {
		shown.Timeout = new(p.Timeout.Seconds())
	}
	if p.MaxInFlight != 0 {
		shown.MaxInFlight = new(int64(p.MaxInFlight))
	}
	if p.Rate != 0 {
		shown.Rate = &p.Rate
	}
	shown.NativeRules, shown.Ordered = p.NativeRules, p.Ordered
	if p.NoAutoDisable {
		shown.AutoDisable = new(false)
	}
	if p.NoHealthWarnings {
		shown.HealthWarnings = new(false)
	}
	return shown
}
