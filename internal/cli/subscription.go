package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// subscriptionCommands are about where events go.
type subscriptionCommands struct {
	Create  subscriptionCreate  `cmd:"" help:"Send events to an endpoint."`
	List    subscriptionList    `cmd:"" help:"List the subscriptions, the oldest first."`
	Show    subscriptionShow    `cmd:"" help:"Show a subscription, its secrets masked."`
	Update  subscriptionUpdate  `cmd:"" help:"Change a subscription. What is not given stays."`
	Delete  subscriptionDelete  `cmd:"" help:"End a subscription, and cancel what is pending for it."`
	Enable  subscriptionEnable  `cmd:"" help:"Send again, first what was pending."`
	Disable subscriptionDisable `cmd:"" help:"Stop sending. What is published from then on is held."`
	Recover subscriptionRecover `cmd:"" help:"Send again what a subscription has missed: what failed, and what is held."`
	Explain subscriptionExplain `cmd:"" help:"Show whether an event reaches a subscription, and why: each event type, and each condition of the filter with what the event has there."`
	Test    subscriptionTest    `cmd:"" help:"Send a test event to a subscription, and show what comes back."`
	Try     subscriptionTry     `cmd:"" help:"Send a test event to an endpoint that is not subscribed."`
	Rotate  subscriptionRotate  `cmd:"" help:"Make a new secret; the old ones sign as well for a while."`
	Secret  subscriptionSecret  `cmd:"" help:"Show the secrets that receivers verify with."`
}

// draftFlags describe a subscription that is to be made.
type draftFlags struct {
	Endpoint    string   `arg:"" optional:"" help:"The URL that events are sent to."`
	Type        []string `placeholder:"TYPE" help:"A type of event to send, or a family such as 'invoice.*'; repeatable. Every type that the tenant publishes, unless one is given."`
	Dialect     string   `placeholder:"NAME" help:"Whose events are sent, in whose shape; standard unless said otherwise."`
	Filter      string   `placeholder:"CONDITION" help:"Only events that it holds for: JSON, such as '{\"gte\":[\"data.amount\",5000]}', or a field of the envelope and its value, such as waitlist_id=…"`
	Description string   `placeholder:"TEXT" help:"For people."`
	Header      []string `sep:"none" placeholder:"'NAME: VALUE'" help:"A header to send with every request; repeatable. For one that is secret use --file."`
	Signature   string   `enum:",v1,v1a" default:"" placeholder:"KIND" help:"The kind of secret to make: v1 (HMAC-SHA256, unless said otherwise) or v1a (ed25519)."`
	File        string   `placeholder:"FILE" help:"Read the subscription from a file, as JSON like the API takes it, or from the standard input (-). Flags come on top."`
	credentialFlags
	CA string `placeholder:"FILE" name:"ca" help:"The authorities that vouch for the endpoint instead of the system's: a file of certificates in PEM."`
	policyFlags
}

// policyFlags are how a subscription differs from its dialect.
type policyFlags struct {
	Schedule    *string        `placeholder:"TIMES" help:"The waits between attempts, as in 5s,1m,1h; 'none': one attempt only; 'default': the dialect's."`
	Timeout     *time.Duration `placeholder:"TIME" help:"How long an attempt may take in all: 1s to 60s; 0: the dialect's."`
	MaxInFlight *int           `placeholder:"N" help:"Attempts at the same time: 1 to 128; 0: as many as the endpoint keeps up with."`
	Rate        *float64       `placeholder:"N" help:"Attempts a second; 0: no limit."`
	NativeRules *bool          `negatable:"" help:"Let answers pause or end the subscription as in the standard dialect, also where its own dialect has them fail the attempt only."`
	Ordered     *bool          `negatable:"" help:"Make deliveries one at a time, in the order of their events; one that fails holds up those behind it."`

	AutoDisable    *bool `negatable:"" help:"Disable the subscription after five days and 20 attempts without a success; so it is unless said otherwise."`
	HealthWarnings *bool `negatable:"" help:"Tell again after 1, 3 and 4 days that the endpoint fails, by webhook.subscription.failing; so it is unless said otherwise."`
}

// given reports whether there is such a flag.
func (f policyFlags) given() bool { return f != (policyFlags{}) }

// apply changes what the flags name.
func (f policyFlags) apply(p *client.Policy) error {
	if f.Timeout != nil {
		p.Timeout = f.Timeout.Seconds()
	}
	if f.MaxInFlight != nil {
		p.MaxInFlight = *f.MaxInFlight
	}
	if f.Rate != nil {
		p.Rate = *f.Rate
	}
	if f.NativeRules != nil {
		p.NativeRules = *f.NativeRules
	}
	if f.Ordered != nil {
		p.Ordered = *f.Ordered
	}
	if f.AutoDisable != nil {
		p.AutoDisable = f.AutoDisable
	}
	if f.HealthWarnings != nil {
		p.HealthWarnings = f.HealthWarnings
	}
	if f.Schedule == nil {
		return nil
	}
	switch *f.Schedule {
	case "default":
		p.Schedule = nil
		return nil
	case "none":
		p.Schedule = []float64{}
		return nil
	}
	p.Schedule = nil
	for text := range strings.SplitSeq(*f.Schedule, ",") {
		wait, err := readDuration(strings.TrimSpace(text))
		if err != nil {
			return usagef("--schedule must be durations with commas between, such as 5s,1m,1h, or none, or default")
		}
		p.Schedule = append(p.Schedule, wait.Seconds())
	}
	return nil
}

// draft is the subscription that the flags describe.
func (f draftFlags) draft(e *env) (client.NewSubscription, error) {
	var n client.NewSubscription
	if f.File != "" {
		if err := e.decodeFile(f.File, &n); err != nil {
			return n, err
		}
	}
	n.URL = cmp.Or(f.Endpoint, n.URL)
	if n.URL == "" {
		return n, usagef("name the endpoint: the URL that events are sent to")
	}
	if len(f.Type) > 0 {
		n.EventTypes = f.Type
	}
	if len(n.EventTypes) == 0 {
		n.EventTypes = []string{"*"}
	}
	n.Dialect, n.Description, n.Signature = cmp.Or(f.Dialect, n.Dialect), cmp.Or(f.Description, n.Description), cmp.Or(f.Signature, n.Signature)
	if f.Filter != "" {
		filter, err := readFilter(f.Filter)
		if err != nil {
			return n, err
		}
		n.Filter = filter
	}
	headers, err := readHeaders(f.Header)
	if err != nil {
		return n, err
	}
	if n.Headers == nil {
		n.Headers = make(map[string]string, len(headers))
	}
	maps.Copy(n.Headers, headers)
	if n.Auth, err = f.onTop(e, n.Auth); err != nil {
		return n, err
	}
	if f.CA != "" {
		if n.CA, err = e.readSecret("--ca", f.CA); err != nil {
			return n, err
		}
	}
	if !f.given() {
		return n, nil
	}
	if n.Policy == nil {
		n.Policy = &client.Policy{}
	}
	return n, f.apply(n.Policy)
}

// readFilter reads a condition in JSON, or "field=value".
func readFilter(text string) (*client.Filter, error) {
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		if err := checkJSON([]byte(text)); err != nil {
			return nil, usagef("--filter is not JSON: %v\nGive JSON in quotes for the shell, as in '{\"gte\":[\"data.amount\",5000]}', or a field of the dialect's envelope and a value, as in waitlist_id=VALUE", err)
		}
		var filter client.Filter
		if err := decodeStrictly([]byte(text), &filter); err != nil {
			return nil, usagef("--filter: %v", err)
		}
		return &filter, nil
	}
	field, value, found := strings.Cut(text, "=")
	if !found || field == "" {
		return nil, usagef("--filter must be a condition, as in --filter '{\"gte\":[\"data.amount\",5000]}', or a field of the dialect's envelope and a value, as in --filter waitlist_id=VALUE")
	}
	return &client.Filter{Eq: client.Operands{field, value}}, nil
}

// filterText shows a filter as it can be given again.
func filterText(f client.Filter) string {
	if len(f.Eq) == 2 {
		field, isText := f.Eq[0].(string)
		value, alsoText := f.Eq[1].(string)
		if isText && alsoText && !strings.Contains(field, ".") {
			return field + "=" + value
		}
	}
	text, err := json.Marshal(f)
	if err != nil {
		return ""
	}
	return string(text)
}

// decodeFile reads a JSON document from a file, or from the standard input.
func (e *env) decodeFile(file string, into any) error {
	argument := "-"
	if file != "-" {
		argument = "@" + file
	}
	text, err := e.read(argument)
	if errors.Is(err, context.Canceled) {
		return err
	}
	if err != nil {
		return usagef("--file: %v", err)
	}
	if err := decodeStrictly(text, into); err != nil {
		return usagef("--file: %v", err)
	}
	return nil
}

// readHeaders reads lines of "Name: value". Its error does not repeat them,
// since a value may be secret.
func readHeaders(lines []string) (map[string]string, error) {
	headers := make(map[string]string, len(lines))
	for i, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(name) == "" {
			return nil, usagef("--header %d must be a name, a colon and a value, as in --header 'X-Team: billing'", i+1)
		}
		headers[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return headers, nil
}

type subscriptionCreate struct {
	draftFlags
	Handshake bool `help:"Have the endpoint confirm the subscription before anything is sent to it, by answering with the X-Hook-Secret that it gets."`
	output
	tenantConnection
}

// Run makes a subscription and shows its secret.
func (c *subscriptionCreate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n, err := c.draft(e)
	if err != nil {
		return err
	}
	n.Handshake = n.Handshake || c.Handshake
	made, err := api.CreateSubscription(e.ctx, n)
	if err != nil {
		return err
	}
	if err := c.showWithSecret(e, made); err != nil {
		return err
	}
	if made.HandshakeResult != nil && made.Status == client.Disabled {
		return fmt.Errorf("the endpoint did not confirm the subscription, which is disabled: 'grapevine subscription enable %s' asks again", made.ID)
	}
	return nil
}

func (o output) showWithSecret(e *env, made client.SubscriptionWithSecret) error {
	if o.JSON {
		return e.document(made)
	}
	showSubscription(e, made.Subscription)
	if made.Secret == "" { // its dialect signs otherwise
		return nil
	}
	s := newSheet(e.out)
	s.painted("secret", cell{made.Secret, bold})
	if made.HandshakeResult != nil {
		s.field("confirmation", answer(made.HandshakeResult.ResponseStatus, made.HandshakeResult.Reason))
		s.field("error", made.HandshakeResult.Error)
	}
	e.note("\nReceivers verify signatures with the secret. Keep it from everybody else; 'grapevine subscription secret %s' shows it again.", made.ID)
	return nil
}

type subscriptionList struct {
	listing
	tenantConnection
}

// Run lists subscriptions.
func (c *subscriptionList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Subscription]{
		get:    func(p client.Page) (client.List[client.Subscription], error) { return api.Subscriptions(e.ctx, p) },
		widths: []int{28, 17, 24}, header: []string{"ID", "STATUS", "TYPES", "ENDPOINT"},
		row: func(sub client.Subscription) []cell {
			return []cell{{sub.ID, plain}, subscriptionState(sub), {typesInShort(sub.EventTypes), plain}, {sub.URL, plain}}
		},
	}.show(e, c.listing)
}

// typesInShort names the first type, and how many others there are.
func typesInShort(types []string) string {
	if len(types) < 2 {
		return strings.Join(types, "")
	}
	return fmt.Sprintf("%s and %d more", types[0], len(types)-1)
}

// subscriptionArgument names a subscription.
type subscriptionArgument struct {
	ID string `arg:"" help:"The subscription's id (sub_…)."`
}

type subscriptionShow struct {
	subscriptionArgument
	output
	tenantConnection
}

// Run shows a subscription.
func (c *subscriptionShow) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	sub, err := api.Subscription(e.ctx, c.ID)
	return c.show(e, sub, err)
}

// show shows a subscription unless there was an error.
func (o output) show(e *env, sub client.Subscription, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(sub)
	}
	showSubscription(e, sub)
	return nil
}

type subscriptionUpdate struct {
	subscriptionArgument
	Endpoint    string   `placeholder:"URL" help:"The URL that events are sent to."`
	Type        []string `placeholder:"TYPE" help:"A type of event to send, or a family such as 'invoice.*'; repeatable. Replaces all types."`
	Filter      *string  `placeholder:"CONDITION" help:"Only events that it holds for, as in 'create'; 'none': all."`
	Description *string  `placeholder:"TEXT" help:"For people."`
	Header      []string `sep:"none" placeholder:"'NAME: VALUE'" help:"A header to send with every request; repeatable. Replaces all headers. For one that is secret use --file."`
	File        string   `placeholder:"FILE" help:"Read the change from a file, as JSON like the API takes it, or from the standard input (-). Flags come on top."`
	credentialFlags
	CA *string `placeholder:"FILE" name:"ca" help:"The authorities that vouch for the endpoint instead of the system's: a file of certificates in PEM; 'none': the system's."`
	policyFlags
	output
	tenantConnection
}

// Run changes a subscription.
func (c *subscriptionUpdate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	change, err := c.change(e)
	if err != nil {
		return err
	}
	if c.given() {
		if change.Policy == nil { // the API replaces it as a whole
			sub, err := api.Subscription(e.ctx, c.ID)
			if err != nil {
				return err
			}
			change.Policy = &sub.Policy
		}
		if err := c.apply(change.Policy); err != nil {
			return err
		}
	}
	if change == (client.SubscriptionChange{}) {
		return usagef("say what to change; 'grapevine subscription update --help' shows what there is")
	}
	sub, err := api.UpdateSubscription(e.ctx, c.ID, change)
	return c.show(e, sub, err)
}

// filter reads what the file and the flag say of the filter.
func (c *subscriptionUpdate) filter(file json.RawMessage, change *client.SubscriptionChange) error {
	switch {
	case c.Filter != nil && *c.Filter == "none", c.Filter == nil && string(file) == "null":
		change.RemoveFilter = true
	case c.Filter != nil:
		filter, err := readFilter(*c.Filter)
		change.Filter = filter
		return err
	case len(file) > 0:
		change.Filter = &client.Filter{}
		if err := decodeStrictly(file, change.Filter); err != nil {
			return usagef("--file: filter: %v", err)
		}
	}
	return nil
}

// credentials reads what the file says of the authorities, and what the flags say
// of credentials.
func (c *subscriptionUpdate) credentials(e *env, file json.RawMessage, change *client.SubscriptionChange) error {
	var err error
	change.Auth, err = c.onTop(e, change.Auth)
	if err != nil {
		return err
	}
	change.RemoveAuth = change.RemoveAuth && change.Auth == nil
	switch {
	case c.CA != nil && *c.CA == "none", c.CA == nil && string(file) == "null":
		change.CA = new("")
	case c.CA != nil:
		text, err := e.readSecret("--ca", *c.CA)
		change.CA = &text
		return err
	case len(file) > 0:
		change.CA = new("")
		if err := decodeStrictly(file, change.CA); err != nil {
			return usagef("--file: ca: %v", err)
		}
	}
	return nil
}

// change is what the file and the flags ask for, all but the policy's flags.
func (c *subscriptionUpdate) change(e *env) (client.SubscriptionChange, error) {
	var file struct {
		URL         *string            `json:"url"`
		EventTypes  *[]string          `json:"event_types"`
		Filter      json.RawMessage    `json:"filter"`
		Description *string            `json:"description"`
		Headers     *map[string]string `json:"headers"`
		Auth        json.RawMessage    `json:"auth"`
		CA          json.RawMessage    `json:"ca"`
		Policy      *client.Policy     `json:"policy"`
	}
	if c.File != "" {
		if err := e.decodeFile(c.File, &file); err != nil {
			return client.SubscriptionChange{}, err
		}
	}
	change := client.SubscriptionChange{
		URL: file.URL, EventTypes: file.EventTypes, Description: file.Description, Headers: file.Headers, Policy: file.Policy,
	}
	switch string(file.Auth) {
	case "":
	case "null":
		change.RemoveAuth = true
	default:
		change.Auth = &client.Auth{}
		if err := decodeStrictly(file.Auth, change.Auth); err != nil {
			return client.SubscriptionChange{}, usagef("--file: auth: %v", err)
		}
	}
	if err := c.credentials(e, file.CA, &change); err != nil {
		return client.SubscriptionChange{}, err
	}
	if err := c.filter(file.Filter, &change); err != nil {
		return client.SubscriptionChange{}, err
	}
	if c.Endpoint != "" {
		change.URL = &c.Endpoint
	}
	if len(c.Type) > 0 {
		change.EventTypes = &c.Type
	}
	if c.Description != nil {
		change.Description = c.Description
	}
	if len(c.Header) > 0 {
		headers, err := readHeaders(c.Header)
		if err != nil {
			return client.SubscriptionChange{}, err
		}
		change.Headers = &headers
	}
	return change, nil
}
