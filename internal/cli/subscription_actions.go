package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

type subscriptionDelete struct {
	subscriptionArgument
	confirmation
	tenantConnection
}

// Run ends a subscription.
func (c *subscriptionDelete) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := c.ask(e, fmt.Sprintf("This ends the subscription %s and cancels what is pending for it.", c.ID)); err != nil {
		return err
	}
	if err := api.DeleteSubscription(e.ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Deleted %s.\n", c.ID)
	return nil
}

type subscriptionEnable struct {
	subscriptionArgument
	RecoverSince moment `placeholder:"TIME" help:"Send again what it has missed of events published at this time or later: a time, or how long ago, such as 2h or 3d."`
	output
	tenantConnection
}

// Run enables a subscription.
func (c *subscriptionEnable) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	sub, err := api.EnableAndRecover(e.ctx, c.ID, c.RecoverSince.Time)
	if err == nil && c.JSON {
		return e.document(sub)
	}
	if err := c.show(e, sub.Subscription, err); err != nil {
		return err
	}
	showMissed(e, sub)
	return nil
}

type subscriptionDisable struct {
	subscriptionArgument
	output
	tenantConnection
}

// Run disables a subscription.
func (c *subscriptionDisable) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	sub, err := api.DisableSubscription(e.ctx, c.ID)
	return c.show(e, sub, err)
}

type subscriptionTest struct {
	subscriptionArgument
	output
	tenantConnection
}

// Run tests a subscription. It fails if the endpoint did not take the event.
func (c *subscriptionTest) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	result, err := api.TestSubscription(e.ctx, c.ID)
	return c.showTest(e, result, err)
}

type subscriptionTry struct {
	draftFlags
	output
	tenantConnection
}

// Run tests an endpoint that is not subscribed. It fails if the endpoint did not
// take the event.
func (c *subscriptionTry) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n, err := c.draft(e)
	if err != nil {
		return err
	}
	result, err := api.TestDraft(e.ctx, n)
	return c.showTest(e, result, err)
}

var errTestNotTaken = errors.New("the endpoint did not take the test event")

func (o output) showTest(e *env, r client.TestResult, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		err = e.document(r)
	} else {
		showTestResult(e, r)
	}
	if err == nil && r.Verdict != client.VerdictDelivered {
		return errTestNotTaken
	}
	return err
}

func showTestResult(e *env, r client.TestResult) {
	s := newSheet(e.out)
	s.painted("verdict", verdictCell(r.Verdict, string(r.Verdict)))
	s.field("answer", answer(r.ResponseStatus, r.Reason))
	s.field("error", r.Error)
	s.field("took", timing(r.Timing))
	if r.Response != nil {
		for i, line := range bodyLines(r.Response.Body) {
			name := ""
			if i == 0 {
				name = "body"
			}
			s.table.row(cell{name, dim}, cell{line, plain})
		}
	}
}

type subscriptionRotate struct {
	subscriptionArgument
	Overlap    *time.Duration `placeholder:"TIME" help:"For how long the old secrets sign as well, such as 1h, at most 168h; a day unless said otherwise."`
	SecretFile string         `type:"path" placeholder:"FILE" help:"Read the new secret from a file; one is made unless this is given."`
	output
	tenantConnection
}

// Run makes a new secret and shows it.
func (c *subscriptionRotate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	rotation := client.Rotation{Overlap: c.Overlap}
	if c.SecretFile != "" {
		text, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return usagef("--secret-file: %v", err)
		}
		rotation.Secret = strings.TrimSpace(string(text))
		if rotation.Secret == "" {
			return usagef("--secret-file: %s is empty", c.SecretFile)
		}
	}
	made, err := api.RotateSecret(e.ctx, c.ID, rotation)
	if err != nil {
		return err
	}
	return c.showWithSecret(e, made)
}

type subscriptionSecret struct {
	subscriptionArgument
	output
	tenantConnection
}

// Run shows the secrets that sign now.
func (c *subscriptionSecret) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	secrets, err := api.RevealSecrets(e.ctx, c.ID)
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(secrets)
	}
	s := newSheet(e.out)
	for _, secret := range secrets.Secrets {
		name := "secret"
		if !secret.ExpiresAt.IsZero() {
			name = "until " + when(secret.ExpiresAt)
		}
		s.field(name, secret.Secret)
	}
	for _, public := range secrets.PublicKeys {
		s.field("public key", public)
	}
	e.note("\nReceivers verify signatures with these. Keep the secrets from everybody else; whsk_… stays with the sender, whpk_… is public.")
	return nil
}
