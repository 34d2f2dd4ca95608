package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
	"github.com/grapevine-hq/grapevine/verify"
)

// demoDialect is a dialect's part in the story.
type demoDialect struct {
	name  string
	event string
	data  any    // nil: the catalogue's sample
	types string // that its endpoint takes
	proof string // what its receiver verifies by

	// receive says what its subscription has besides, and returns the verifier,
	// given the subscription's secret.
	receive func(*story, *client.NewSubscription) func(secret string) (verifier, error)
}

var demoDialects = []demoDialect{
	{
		"standard", "invoice.paid",
		map[string]any{"amount": 4200, "currency": "EUR"},
		"invoice.paid", "webhook-signature, made with the subscription's secret",
		func(*story, *client.NewSubscription) func(string) (verifier, error) {
			return func(secret string) (verifier, error) { return verify.NewStandard(secret) }
		},
	},
	{
		"saasquatch", "user.created", nil, "*", "X-Hook-Signature, with the tenant's key, and X-Hook-JWS-RFC-7797, with the server's",
		func(s *story, _ *client.NewSubscription) func(string) (verifier, error) {
			return func(string) (verifier, error) { return newSaaSquatchVerifier(s.dialectKey, s.url) }
		},
	},
	{
		"referralloop", "signup.created", nil, "*", "X-Webhook-Signature, made with the subscription's secret",
		func(*story, *client.NewSubscription) func(string) (verifier, error) {
			return func(secret string) (verifier, error) { return verify.NewReferralLoop(secret) }
		},
	},
	{
		"rehook", "customer.rewarded", nil, "*", "the subscription's password: the dialect signs nothing",
		func(_ *story, n *client.NewSubscription) func(string) (verifier, error) {
			auth, credential := newCredential()
			n.Auth = auth
			return func(string) (verifier, error) { return verify.NewRehook(credential) }
		},
	},
	{
		"partnerstack", "deal.created", nil, "*", "a header of the subscription's: the dialect signs nothing",
		func(_ *story, n *client.NewSubscription) func(string) (verifier, error) {
			const header = "X-Webhook-Key"
			secret := rand.Text()
			n.Headers = map[string]string{header: secret}
			return func(string) (verifier, error) { return verify.NewPartnerStack(verify.Header(header, secret)) }
		},
	},
}

// tellOfDialects sends one event in each dialect to a receiver that verifies it
// as that product's receivers do.
func (s *story) tellOfDialects() error {
	fmt.Fprintf(s.env.out, "\nA tenant 'demo' speaks five dialects. A receiver on this machine verifies each in its own way.\n\n")
	if _, err := s.client.SetDialectSettings(s.env.ctx, "saasquatch", map[string]string{"jws": "on"}); err != nil {
		return err
	}
	table := newTable(s.env.out, 13, 18, 10)
	table.row(cell{"DIALECT", bold}, cell{"EVENT", bold}, cell{"DELIVERY", bold}, cell{"VERIFIED BY", bold})
	for _, d := range demoDialects {
		if err := s.sendIn(d, table); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

// sendIn subscribes an endpoint in the dialect, publishes an event, and shows what
// arrived.
func (s *story) sendIn(d demoDialect, table *table) error {
	path := "/" + d.name
	draft := client.NewSubscription{
		URL: s.receiver.url + path, EventTypes: []string{d.types}, Dialect: d.name, Policy: &client.Policy{Schedule: []float64{}},
	}
	receive := d.receive(s, &draft)
	sub, err := s.client.CreateSubscription(s.env.ctx, draft)
	if err != nil {
		return err
	}
	v, err := receive(sub.Secret)
	if err != nil {
		return err
	}
	s.receiver.trust(path, v)
	s.endpoints[sub.ID] = path
	delivery, err := s.deliver(d, sub.ID)
	if err != nil {
		return err
	}
	came, arrived := s.receiver.received(path, delivery.EventID, 1)
	if !arrived {
		return fmt.Errorf("%s did not arrive: %s", d.event, delivery.Reason)
	}
	state, proof := cell{string(delivery.Status), green}, cell{d.proof, plain}
	if delivery.Status != client.Delivered {
		state = cell{string(delivery.Status), red}
	}
	if came.refused != nil {
		proof = cell{came.refused.Error(), red}
	}
	table.row(cell{d.name, plain}, cell{d.event, plain}, state, proof)
	table.row(cell{}, cell{came.body, dim})
	return nil
}

// deliver publishes the dialect's event and returns how its delivery ended.
func (s *story) deliver(d demoDialect, subscription string) (client.Delivery, error) {
	p := client.Publication{Type: d.event, Data: d.data, Dialect: d.name, Fields: sampleFields[d.name]}
	if p.Data == nil {
		types, err := s.client.EventTypes(s.env.ctx, d.name)
		if err != nil {
			return client.Delivery{}, err
		}
		i := slices.IndexFunc(types, func(t client.EventType) bool { return t.Name == d.event })
		if i < 0 {
			return client.Delivery{}, fmt.Errorf("the catalogue has no %s", d.event)
		}
		p.Data = types[i].Sample
	}
	event, err := s.client.Publish(s.env.ctx, p)
	if err != nil {
		return client.Delivery{}, err
	}
	ctx, cancel := context.WithTimeout(s.env.ctx, 30*time.Second)
	defer cancel()
	ended, err := awaitDeliveries(ctx, s.client, event.ID)
	if err != nil {
		return client.Delivery{}, err
	}
	i := slices.IndexFunc(ended, func(d client.Delivery) bool { return d.SubscriptionID == subscription })
	if i < 0 {
		return client.Delivery{}, errors.New("the event went to another subscription only")
	}
	s.shown[ended[i].ID] = ended[i].AttemptCount
	return ended[i], nil
}

// beginning returns at most so many bytes of a text, and a sign where there are
// more.
func beginning(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + " …"
}
