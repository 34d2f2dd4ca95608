package webhook

import (
	"fmt"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// Limits of a subscription.
const (
	maxEventTypes  = 100
	maxPerTenant   = 2000 // subscriptions
	maxHeaders     = 20
	maxHeaderBytes = 4096
	maxDelays      = 99
	maxPeriod      = 30 * 24 * time.Hour
	minDelay       = 100 * time.Millisecond
	maxInFlight    = 128
	maxRate        = 10_000
	maxSecrets     = 8
	maxOverlap     = 7 * 24 * time.Hour
)

// Subscription is where events go. Once made it does not change; a change makes
// a new one.
type Subscription struct {
	ID          id.ID
	TenantID    id.ID
	Dialect     wire.Dialect
	URL         string
	EventTypes  []string // names, and patterns such as "invoice.*"; or AllTypes alone
	Filter      *Filter  // nil: every event of these types
	Description string
	Headers     []wire.Header // sent with every request; values are secrets
	Auth        Auth
	CA          string    // vouches for the endpoint instead of the system's authorities; in PEM
	Handshake   Handshake // whether the endpoint has to confirm the subscription, and has
	Secrets     []Secret  // the newest first
	Policy      Policy
	Enabled     bool
	Reason      string // why it is disabled
	CreatedAt   time.Time
	UpdatedAt   time.Time
	DeletedAt   time.Time // zero while it lives

	// Generation counts the new chances that the endpoint got: when the
	// subscription was enabled, and when its URL changed.
	Generation int
	// Version orders the states of the tenant's subscriptions: the later of two
	// states of one has the higher.
	Version int64
	Health  Health // of the endpoint, when the subscription was read

	signing    atomic.Pointer[signing]
	connection atomic.Pointer[connection]
}

// Secret signs requests.
type Secret struct {
	Value     string    `json:"value"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // zero: it is the current one
}

// Policy is how a subscription differs from its dialect. The zero value does
// not.
type Policy struct {
	// Schedule holds the waits between attempts. Nil: the dialect's schedule;
	// empty: one attempt only.
	Schedule    []time.Duration `json:"schedule"`
	Timeout     time.Duration   `json:"timeout,omitempty"`       // zero: the dialect's
	MaxInFlight int             `json:"max_in_flight,omitempty"` // zero: adaptive
	Rate        float64         `json:"rate,omitempty"`          // attempts a second; zero: no limit
	// NativeRules lets answers pause or end the subscription as in the standard
	// dialect, where the subscription's own dialect has them fail the attempt only.
	NativeRules bool `json:"native_rules,omitempty"`
	// Ordered has deliveries made one at a time, in the order of their events: one
	// that fails holds up those behind it until it has ended.
	Ordered bool `json:"ordered,omitempty"`
	// NoAutoDisable keeps a subscription whose endpoint has failed for five days.
	NoAutoDisable bool `json:"no_auto_disable,omitempty"`
	// NoHealthWarnings spares the tenant the news that the endpoint still fails.
	NoHealthWarnings bool `json:"no_health_warnings,omitempty"`
}

// Judge says what an answer means for its delivery.
func (s *Subscription) Judge(a wire.Answer) wire.Judgement {
	judged := s.Dialect.Judge(a)
	if !s.Policy.NativeRules || judged.Verdict == wire.Delivered {
		return judged
	}
	native := dialects.All[0].Judge(a)
	if native.Verdict == wire.Gone || native.Verdict == wire.Throttled || native.Verdict == wire.Busy {
		return native
	}
	return judged
}

// Schedule is when this subscription's deliveries are tried again.
func (s *Subscription) Schedule() wire.Schedule {
	schedule := s.Dialect.Schedule()
	if s.Policy.Schedule != nil {
		schedule.Delays = s.Policy.Schedule
	}
	return schedule
}

// Timeout is how long an attempt may take in all.
func (s *Subscription) Timeout() time.Duration {
	if s.Policy.Timeout > 0 {
		return s.Policy.Timeout
	}
	return s.Dialect.Timeout()
}

// signing is a signer with the time until which its secrets are the valid ones.
type signing struct {
	signer   wire.Signer
	identity *wire.Identity
	until    time.Time // zero: for ever
}

// Signer returns the signer with the secrets that are valid at now, for a tenant
// that speaks the dialect like this; see [Identify].
func (s *Subscription) Signer(now time.Time, as *wire.Identity) (wire.Signer, error) {
	if c := s.signing.Load(); c != nil && c.identity == as && (c.until.IsZero() || now.Before(c.until)) {
		return c.signer, nil
	}
	var valid []string
	var until time.Time
	for _, secret := range s.Secrets {
		if secret.ExpiresAt.IsZero() {
			valid = append(valid, secret.Value)
			continue
		}
		if now.Before(secret.ExpiresAt) {
			valid = append(valid, secret.Value)
			if until.IsZero() || secret.ExpiresAt.Before(until) {
				until = secret.ExpiresAt
			}
		}
	}
	signer, err := s.Dialect.NewSigner(wire.Keys{Secrets: valid, Identity: as})
	if err != nil {
		return nil, err
	}
	s.signing.Store(&signing{signer, as, until})
	return signer, nil
}

// Draft is what a caller says of a subscription.
type Draft struct {
	Dialect     string // "": the default dialect
	URL         string
	EventTypes  []string
	Filter      *Filter
	Description string
	Headers     map[string]string
	Auth        Auth
	CA          string // in PEM; "": the system's authorities
	Secret      string // "": one is made
	Signature   string // the kind of secret to make; "": the dialect's default
	Policy      Policy

	// OncePerURL creates nothing if the tenant has a subscription of the dialect
	// with the URL already: the oldest of them is returned, under the description
	// given if that is not empty, and is otherwise left as it is.
	OncePerURL bool

	// Handshake has the endpoint confirm the subscription: see
	// [Service.CreateSubscription]. Answered, unless it is nil, is told what came of
	// it before CreateSubscription returns.
	Handshake bool
	Answered  func(Attempt)

	Confirm ConfirmFunc
}

// build checks a draft, all but where its URL leads, and makes a subscription
// of it. The error is a problem that names every field that is not valid.
func (d Draft) build() (*Subscription, error) {
	var checks problem.Checks
	dialect := dialects.All[0]
	if d.Dialect != "" {
		known, ok := dialects.Get(d.Dialect)
		if !ok {
			return nil, problem.InvalidField("dialect", "must be one of %s", dialects.Names())
		}
		dialect = known
	}
	s := &Subscription{
		Dialect:     dialect,
		URL:         d.URL,
		Description: d.Description,
		Auth:        d.Auth,
		CA:          d.CA,
		Policy:      d.Policy,
		Enabled:     true,
	}
	if d.Handshake {
		s.Handshake = HandshakeDue
	}
	s.EventTypes = resolveTypes(&checks, dialect, d.EventTypes)
	s.Filter = d.Filter.checked(&checks, dialect)
	checkText(&checks, "description", d.Description, 500)
	s.Headers = checkHeaders(&checks, dialect, d.Headers, d.Auth)
	checkAuth(&checks, d.Auth)
	checkConnection(&checks, d)
	checkPolicy(&checks, d.Policy)
	secrets, err := chooseSecrets(dialect, d.Secret, d.Signature)
	checks.AddError("secret", err)
	s.Secrets = secrets
	return s, checks.Err()
}

// chooseSecrets returns the secret given, if it is a valid one, or makes one; and
// none where the dialect does not sign with secrets.
func chooseSecrets(dialect wire.Dialect, given, kind string) ([]Secret, error) {
	switch {
	case dialect.Signing() != wire.BySecret && given != "":
		return nil, problem.InvalidField("secret", "can't be given: subscriptions of this dialect have none")
	case dialect.Signing() != wire.BySecret && kind != "":
		return nil, problem.InvalidField("signature", "can't be given: subscriptions of this dialect have no secret")
	case dialect.Signing() != wire.BySecret:
		return nil, nil
	case given == "":
		secret, err := dialect.NewSecret(kind)
		if err != nil {
			return nil, problem.InvalidField("signature", "%s", err)
		}
		return []Secret{{Value: secret}}, nil
	case kind != "":
		return nil, problem.InvalidField("signature", "can't be given together with a secret, which says it already")
	}
	if _, err := dialect.NewSigner(wire.Keys{Secrets: []string{given}}); err != nil {
		return nil, err
	}
	return []Secret{{Value: given}}, nil
}

// resolveTypes returns the event types under their one name each.
func resolveTypes(checks *problem.Checks, dialect wire.Dialect, types []string) []string {
	switch {
	case len(types) == 0:
		checks.Add("event_types", "must name at least one event type, or be [\"*\"] for all")
		return nil
	case len(types) > maxEventTypes:
		checks.Add("event_types", "must name at most %d event types, or be [\"*\"] for all", maxEventTypes)
		return nil
	case len(types) == 1 && types[0] == AllTypes:
		return types
	}
	resolved := make([]string, 0, len(types))
	for i, t := range types {
		name := fmt.Sprintf("event_types[%d]", i)
		known, err := resolveType(dialect, t)
		switch {
		case t == AllTypes:
			checks.Add(name, "stands for all types and must be the only one")
		case err != nil:
			checks.AddError(name, err)
		case slices.Contains(resolved, known):
			checks.Add(name, "is there twice")
		}
		resolved = append(resolved, known)
	}
	return resolved
}

// resolveType accepts what may be published, what only Grapevine sends, and
// patterns that stand for any of it.
func resolveType(dialect wire.Dialect, eventType string) (string, error) {
	if strings.Contains(eventType, "*") {
		return resolvePattern(dialect, eventType)
	}
	if slices.ContainsFunc(dialect.Catalogue(nil), func(t wire.EventType) bool { return t.Name == eventType }) {
		return eventType, nil
	}
	return dialect.Resolve(eventType)
}

func checkText(checks *problem.Checks, name, text string, most int) {
	switch {
	case utf8.RuneCountInString(text) > most:
		checks.Add(name, "has more than %d characters", most)
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		checks.Add(name, "has characters that can't be printed")
	}
}

// reservedHeaders can't be set by a subscription: they are the transport's, or
// say who sends.
var reservedHeaders = []string{
	"host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection",
	"keep-alive", "te", "trailer", "upgrade", "expect", "user-agent", "accept-encoding", "traceparent", "tracestate",
}

// checkHeaders returns the headers in the order of their names.
func checkHeaders(checks *problem.Checks, dialect wire.Dialect, given map[string]string, auth Auth) []wire.Header {
	if len(given) > maxHeaders {
		checks.Add("headers", "has more than %d headers", maxHeaders)
		return nil
	}
	var headers []wire.Header
	seen := make(map[string]bool, len(given))
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value, field := given[name], "headers"
		lower := strings.ToLower(name)
		if isToken(name) {
			field = "headers." + lower
		}
		switch {
		case !isToken(name):
			checks.Add(field, "has a name that is not one: a name has letters, digits and !#$%%&'*+-.^_`|~ only")
		case seen[lower]:
			checks.Add(field, "is there twice; upper and lower case are the same")
		case isReserved(dialect, lower):
			checks.Add(field, "is set by Grapevine and can't be chosen")
		case lower == "authorization" && auth.Type != NoAuth && auth.Type != MTLSAuth:
			checks.Add(field, "is set by auth and can't be given twice")
		case len(value) > maxHeaderBytes:
			checks.Add(field, "has more than %d bytes", maxHeaderBytes)
		case !isHeaderValue(value):
			checks.Add(field, "has characters that a header can't hold")
		case value == Masked:
			checks.Add(field, "is the mask that stands for a value, not a value")
		}
		seen[lower] = true
		headers = append(headers, wire.Header{Name: textproto.CanonicalMIMEHeaderKey(name), Value: value})
	}
	slices.SortFunc(headers, func(a, b wire.Header) int { return strings.Compare(a.Name, b.Name) })
	return headers
}

func isReserved(dialect wire.Dialect, lower string) bool {
	return slices.Contains(reservedHeaders, lower) || slices.Contains(dialect.ReservedHeaders(), lower) ||
		strings.HasPrefix(lower, "x-grapevine-") || strings.HasPrefix(lower, "proxy-") || strings.HasPrefix(lower, ":")
}

// isToken reports whether name may name a header (RFC 9110 §5.6.2).
func isToken(name string) bool {
	return name != "" && len(name) <= 128 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// isHeaderValue accepts what can be printed, and spaces and tabs inside.
func isHeaderValue(value string) bool {
	return strings.TrimSpace(value) == value && !strings.ContainsFunc(value, func(r rune) bool {
		return r != '\t' && (r < ' ' || r > '~')
	})
}

// Masked stands for a secret where it is shown.
const Masked = "********"

func checkPolicy(checks *problem.Checks, p Policy) {
	var period time.Duration
	for i, delay := range p.Schedule {
		if delay < minDelay || delay > maxPeriod {
			checks.Add(fmt.Sprintf("policy.schedule[%d]", i), "must be between %v seconds and 30 days", minDelay.Seconds())
			break
		}
		period += delay
	}
	switch {
	case len(p.Schedule) > maxDelays:
		checks.Add("policy.schedule", "must have at most %d waits, for %d attempts", maxDelays, maxDelays+1)
	case period > maxPeriod:
		checks.Add("policy.schedule", "must end within 30 days")
	}
	if p.Timeout != 0 && (p.Timeout < time.Second || p.Timeout > time.Minute) {
		checks.Add("policy.timeout", "must be between 1 and 60 seconds")
	}
	if p.MaxInFlight < 0 || p.MaxInFlight > maxInFlight {
		checks.Add("policy.max_in_flight", "must be between 1 and %d", maxInFlight)
	}
	if p.Ordered && p.MaxInFlight != 0 {
		checks.Add("policy.max_in_flight", "can't be given together with ordered, by which it is 1")
	}
	if p.Rate != 0 && !(p.Rate >= 0.001 && p.Rate <= maxRate) { // a NaN is neither
		checks.Add("policy.rate", "must be between 0.001 and %d a second", maxRate)
	}
}
