package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

type triggerCommand struct {
	Type    string `arg:"" help:"The type of the event, such as invoice.paid, or webhook.test; 'grapevine event types' lists those that the dialects define."`
	Data    string `placeholder:"JSON" help:"The event's data instead of the sample: a JSON object, a file that has one (@FILE), or - for the standard input."`
	Variant string `placeholder:"NAME" help:"Which sample, where the catalogue has several forms of the event."`
	Dialect string `placeholder:"NAME" help:"Whose event it is. Unless this is given, that of the one catalogue that has the type, or standard where none has."`
	fieldFlags
	Subscription string        `placeholder:"ID" help:"With webhook.test: which subscription is tested; all that are enabled, unless this is given."`
	Repeat       int           `default:"1" placeholder:"N" help:"How many to publish."`
	Wait         bool          `help:"Follow the deliveries to their end, and fail if one does. What is held for a disabled subscription is only counted."`
	Timeout      time.Duration `default:"1m" placeholder:"TIME" help:"How long --wait waits in all."`
	output
	tenantConnection
}

// Help is shown below the summary.
func (triggerCommand) Help() string {
	return "Fields of the envelope that the dialect demands and --field does not give are made up, such as the waitlist of a referralloop event."
}

const (
	// testType is sent by the call that tests a subscription, and can't be
	// published. SaaSquatch has its own.
	testType = "webhook.test"
	// ownPrefix begins the types that only Grapevine itself sends.
	ownPrefix = "webhook."
)

// Validate checks the flags.
func (c *triggerCommand) Validate() error {
	if c.Repeat < 1 {
		return usagef("--repeat must be at least 1")
	}
	if c.Subscription != "" && !c.isTest() {
		return usagef("--subscription goes with %s alone: an event goes to every subscription that takes its type", testType)
	}
	if c.Data != "" && c.Variant != "" {
		return usagef("--data and --variant exclude each other")
	}
	return nil
}

// isTest reports whether the type tests subscriptions.
func (c *triggerCommand) isTest() bool {
	return strings.HasPrefix(c.Type, ownPrefix) || c.Dialect == "saasquatch" && c.Type == saasquatchTest
}

// Run publishes a sample, or tests subscriptions where the type is Grapevine's
// own.
func (c *triggerCommand) Run(e *env) error {
	fields, err := c.fields()
	if err != nil {
		return err
	}
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if c.isTest() {
		return c.test(e, api)
	}
	p := client.Publication{Type: c.Type, Fields: fields}
	if p.Dialect, p.Data, err = c.find(e, api); err != nil {
		return err
	}
	for name, value := range sampleFields[p.Dialect] {
		if _, given := fields[name]; !given {
			fields[name] = value
		}
	}
	published, err := c.publish(e, api, p)
	if err != nil || !c.Wait {
		return err
	}
	return c.follow(e, api, published)
}

// sampleData is what an event has that no catalogue knows and nobody gave data.
const sampleData = `{"sample":true,"message":"Published by 'grapevine trigger'."}`

// find returns whose event it is, and its data: what was given, or the
// catalogue's sample, or a small object.
func (c *triggerCommand) find(e *env, api *client.Client) (string, json.RawMessage, error) {
	var data json.RawMessage
	if c.Data != "" {
		var err error
		if data, err = e.readJSON("--data", c.Data); err != nil || c.Dialect != "" {
			return c.Dialect, data, err
		}
	}
	known, err := c.lookUp(e, api)
	if data != nil {
		err = unlessForbidden(err) // a key that may not read can publish all the same
	}
	switch {
	case err != nil:
		return "", nil, err
	case known != nil && data == nil:
		data, err = c.sample(*known)
		return known.Dialect, data, err
	case known != nil:
		return known.Dialect, data, nil
	case c.Variant != "":
		return "", nil, usagef("no catalogue has %s, so it has no variants; --data gives its data", c.Type)
	case data == nil:
		e.note("No catalogue has %s, so its data is a small sample; --data gives your own.", printable(c.Type))
		data = json.RawMessage(sampleData)
	}
	return standardDialect, data, nil
}

// lookUp returns the type out of the catalogue that has it, or nil where it is
// none but a type of one's own.
func (c *triggerCommand) lookUp(e *env, api *client.Client) (*client.EventType, error) {
	types, err := catalogue(e, api, c.Dialect)
	if err != nil {
		return nil, err
	}
	named := slices.DeleteFunc(slices.Clone(types), func(t client.EventType) bool { return t.Name != c.Type })
	switch {
	case c.Dialect == "" && c.Type == saasquatchTest:
		return nil, nil // one of your own: SaaSquatch's can't be published
	case c.Dialect == "" && len(named) > 0:
		return c.choose(e, api, named)
	case len(named) > 0:
		return &named[0], nil
	case c.Dialect == "" || c.Dialect == standardDialect:
		return nil, nil
	}
	known := make([]string, len(types))
	for i, t := range types {
		known[i] = t.Name
	}
	return nil, usagef("the dialect %s has no event %q; it has: %s", c.Dialect, c.Type, strings.Join(known, ", "))
}

// choose returns the one of several types of a name whose dialect the tenant
// speaks, and says so.
func (c *triggerCommand) choose(e *env, api *client.Client, named []client.EventType) (*client.EventType, error) {
	dialects, err := api.Dialects(e.ctx)
	if err != nil {
		return nil, err
	}
	named = slices.DeleteFunc(named, func(t client.EventType) bool {
		return !slices.ContainsFunc(dialects, func(d client.Dialect) bool { return d.Name == t.Dialect && d.Spoken })
	})
	var whose []string
	for _, t := range named {
		whose = append(whose, t.Dialect)
	}
	switch {
	case len(named) == 0:
		return nil, nil // one of the tenant's own that is called like another's
	case len(named) > 1:
		return nil, usagef("%s is an event of several dialects: say with --dialect which is meant, %s", c.Type, strings.Join(whose, " or "))
	case named[0].Dialect != standardDialect:
		e.note("%s is an event of %s and published as such; --dialect standard makes it one of your own.", printable(c.Type), whose[0])
	}
	return &named[0], nil
}

// sample returns the catalogue's sample of the form that was chosen.
func (c *triggerCommand) sample(t client.EventType) (json.RawMessage, error) {
	if c.Variant == "" {
		return t.Sample, nil
	}
	forms := make([]string, len(t.Variants))
	for i, v := range t.Variants {
		if v.Name == c.Variant {
			return v.Sample, nil
		}
		forms[i] = v.Name
	}
	if len(forms) == 0 {
		return nil, usagef("%s has one form only: leave --variant out", c.Type)
	}
	return nil, usagef("%s has no variant %q; it has: %s", c.Type, c.Variant, strings.Join(forms, ", "))
}

func (c *triggerCommand) publish(e *env, api *client.Client, publication client.Publication) ([]client.Published, error) {
	line := newProgress(e.err)
	defer line.clear()
	all := make([]client.Published, 0, min(c.Repeat, 1000))
	for len(all) < c.Repeat {
		p, err := api.Publish(e.ctx, publication)
		if err != nil {
			line.clear()
			if len(all) > 0 {
				e.note("%s were published before this.", plural(len(all), "event"))
			}
			return nil, err
		}
		all = append(all, p)
		line.clear()
		switch {
		case c.Wait:
		case c.JSON:
			if err := e.line(p); err != nil {
				return nil, err
			}
		default:
			showPublished(e, p)
		}
		line.show("%d of %d published", len(all), c.Repeat)
	}
	line.clear()
	if all[0].Deliveries == 0 {
		e.note("No subscription takes this type. Make one with 'grapevine subscription create', or look on with 'grapevine listen'.")
	}
	return all, nil
}

// follow shows how each delivery ends. It fails if one was not delivered.
func (c *triggerCommand) follow(e *env, api *client.Client, published []client.Published) error {
	ctx, cancel := context.WithTimeout(e.ctx, c.Timeout)
	defer cancel()
	line := newProgress(e.err)
	defer line.clear()
	table := newTable(e.out, deliveryWidths...)
	failed, held, total := 0, 0, 0
	for i, p := range published {
		line.show("waiting for %d of %d", i+1, len(published))
		ended, err := awaitDeliveries(ctx, api, p.ID)
		late := err != nil && e.ctx.Err() == nil && ctx.Err() != nil
		if err != nil && !late {
			return err
		}
		line.clear()
		for _, d := range ended {
			total++
			switch d.Status {
			case client.Failed, client.Cancelled:
				failed++
			case client.Held:
				held++
			case client.Delivered, client.Pending:
			}
			if !c.JSON {
				if total == 1 {
					table.row(deliveryHeader()...)
				}
				table.row(deliveryRow(d)...)
			} else if err := e.line(d); err != nil {
				return err
			}
		}
		if late {
			return fmt.Errorf("after %s not all deliveries of %s have ended; 'grapevine delivery list --event %s' shows how they go on", span(c.Timeout), p.ID, p.ID)
		}
	}
	if held > 0 {
		e.note("%d of %d are held, since their subscriptions are disabled; 'grapevine subscription list' shows which.", held, total)
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d were not delivered; 'grapevine delivery show ID' shows why", failed, total)
	}
	return nil
}

// The waits between looks at what is still pending.
const (
	firstLook = 20 * time.Millisecond
	lastLook  = time.Second
)

// awaitDeliveries returns the deliveries of an event when none is pending; with
// an error, as they were seen last.
func awaitDeliveries(ctx context.Context, api *client.Client, event string) ([]client.Delivery, error) {
	var seen []client.Delivery
	for wait := firstLook; ; wait = min(2*wait, lastLook) {
		var all []client.Delivery
		pending := false
		for d, err := range api.AllDeliveries(ctx, client.DeliveryFilter{EventID: event}) {
			if err != nil {
				return seen, err
			}
			all = append(all, d)
			pending = pending || d.Status == client.Pending
		}
		if seen = all; !pending {
			return seen, nil
		}
		select {
		case <-ctx.Done():
			return seen, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// testedJSON is the line of a test.
type testedJSON struct {
	SubscriptionID string `json:"subscription_id"`
	client.TestResult
}

// test sends the test event to one subscription or to all that are enabled.
func (c *triggerCommand) test(e *env, api *client.Client) error {
	if c.Type != testType && c.Type != saasquatchTest {
		return usagef("%s is sent by Grapevine itself when it happens; %s is the one that can be triggered", c.Type, testType)
	}
	if c.Data != "" || c.Variant != "" || len(c.Field) > 0 || c.Repeat > 1 {
		return usagef("a test is sent once, with its own data: --data, --variant, --field and --repeat don't go with %s", c.Type)
	}
	tested, err := c.tested(e, api)
	if err != nil {
		return err
	}
	table := newTable(e.out, 28, 9)
	failed := 0
	for _, sub := range tested {
		result, err := api.TestSubscription(e.ctx, sub)
		if err != nil {
			return err
		}
		if result.Verdict != client.VerdictDelivered {
			failed++
		}
		if c.JSON {
			if err := e.line(testedJSON{sub, result}); err != nil {
				return err
			}
			continue
		}
		text := strings.Join(slices.DeleteFunc([]string{answer(result.ResponseStatus, result.Reason), timing(result.Timing), result.Error}, func(s string) bool { return s == "" }), ", ")
		table.row(cell{sub, plain}, verdictCell(result.Verdict, string(result.Verdict)), cell{text, plain})
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d subscriptions did not take the test event", failed, len(tested))
	}
	return nil
}

// tested returns the ids of the subscriptions to test.
func (c *triggerCommand) tested(e *env, api *client.Client) ([]string, error) {
	if c.Subscription != "" {
		return []string{c.Subscription}, nil
	}
	var ids []string
	for sub, err := range api.AllSubscriptions(e.ctx) {
		if err != nil {
			return nil, err
		}
		if sub.Status == client.Enabled && (c.Dialect == "" || sub.Dialect == c.Dialect) {
			ids = append(ids, sub.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("no subscription is enabled\nMake one with 'grapevine subscription create', or look on with 'grapevine listen'")
	}
	return ids, nil
}
