package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

// replayCommands are about sending many deliveries again.
type replayCommands struct {
	Create  replayCreate  `cmd:"" help:"Send again all deliveries that the flags choose."`
	Preview replayPreview `cmd:"" help:"Count what 'create' with the same flags would send, and send nothing."`
	List    replayList    `cmd:"" help:"List the replays of the last 30 days, the newest first."`
	Show    replayShow    `cmd:"" aliases:"get" help:"Show a replay and how far it has come."`
	Pause   replayPause   `cmd:"" help:"Let a replay rest. What it has made due is sent."`
	Resume  replayResume  `cmd:"" help:"Let a replay go on that was paused, or that failed."`
	Cancel  replayCancel  `cmd:"" help:"End a replay. What it has made due is sent."`
}

// choiceFlags choose deliveries.
type choiceFlags struct {
	Subscription string                  `placeholder:"ID" help:"Deliveries to this subscription; to all, unless one is given."`
	Type         []string                `placeholder:"TYPE" help:"Deliveries of events of this type; repeatable. Of every type, unless one is given."`
	Status       []client.DeliveryStatus `enum:"delivered,failed,held,cancelled" placeholder:"STATUS" help:"Deliveries that are delivered, failed, held or cancelled; repeatable. All of these, unless one is given."`
	Since        moment                  `required:"" placeholder:"TIME" help:"Of events published at this time or later: a time, or how long ago, such as 2h or 3d."`
	Until        moment                  `placeholder:"TIME" help:"Of events published before this time, given in the same way."`
}

func (f choiceFlags) choice() client.NewReplay {
	return client.NewReplay{SubscriptionID: f.Subscription, EventTypes: f.Type, Status: f.Status, Since: f.Since.Time, Until: f.Until.Time}
}

type replayCreate struct {
	choiceFlags
	output
	tenantConnection
}

// Run starts a replay.
func (c *replayCreate) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.CreateReplay(e.ctx, c.choice())
	return c.showReplay(e, r, err)
}

type replayPreview struct {
	choiceFlags
	output
	tenantConnection
}

// Run counts what a replay would send.
func (c *replayPreview) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	n, err := api.PreviewReplay(e.ctx, c.choice())
	if err != nil {
		return err
	}
	if c.JSON {
		return e.document(n)
	}
	more := ""
	if n.More {
		more = "more than "
	}
	s := newSheet(e.out)
	s.field("deliveries", more+strconv.FormatInt(n.Deliveries, 10))
	if n.Skipped > 0 {
		s.field("skipped", strconv.FormatInt(n.Skipped, 10)+" can't be sent: disabled, deleted or expunged")
	}
	return nil
}

type replayList struct {
	listing
	tenantConnection
}

// Run lists replays.
func (c *replayList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	return list[client.Replay]{
		get:    func(p client.Page) (client.List[client.Replay], error) { return api.Replays(e.ctx, p) },
		widths: []int{28, 19, 7, 9, 17}, header: []string{"ID", "MADE", "KIND", "STATE", "DONE", "SUBSCRIPTION"},
		row: func(r client.Replay) []cell {
			to := r.SubscriptionID
			if to == "" {
				to = "all"
			}
			return []cell{{r.ID, plain}, {when(r.CreatedAt), dim}, {r.Kind, plain}, replayState(r), {replayProgress(r), plain}, {to, plain}}
		},
	}.show(e, c.listing)
}

// replayArgument names a replay.
type replayArgument struct {
	ID string `arg:"" help:"The replay's id (job_…)."`
}

// steer does something with a replay and shows how it then stands.
func (c replayArgument) steer(e *env, connection tenantConnection, how output, do func(*client.Client, context.Context, string) (client.Replay, error)) error {
	api, err := connection.dial(e)
	if err != nil {
		return err
	}
	r, err := do(api, e.ctx, c.ID)
	return how.showReplay(e, r, err)
}

type replayShow struct {
	replayArgument
	output
	tenantConnection
}

// Run shows a replay.
func (c *replayShow) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).Replay)
}

type replayPause struct {
	replayArgument
	output
	tenantConnection
}

// Run pauses a replay.
func (c *replayPause) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).PauseReplay)
}

type replayResume struct {
	replayArgument
	output
	tenantConnection
}

// Run resumes a replay.
func (c *replayResume) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).ResumeReplay)
}

type replayCancel struct {
	replayArgument
	output
	tenantConnection
}

// Run cancels a replay.
func (c *replayCancel) Run(e *env) error {
	return c.steer(e, c.tenantConnection, c.output, (*client.Client).CancelReplay)
}

type subscriptionRecover struct {
	subscriptionArgument
	Since moment `required:"" placeholder:"TIME" help:"What it has missed of events published at this time or later: a time, or how long ago, such as 2h or 3d."`
	Until moment `placeholder:"TIME" help:"Of events published before this time, given in the same way."`
	output
	tenantConnection
}

// Run sends again what a subscription has missed.
func (c *subscriptionRecover) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	r, err := api.RecoverSubscription(e.ctx, c.ID, c.Since.Time, c.Until.Time)
	return c.showReplay(e, r, err)
}

func (o output) showReplay(e *env, r client.Replay, err error) error {
	if err != nil {
		return err
	}
	if o.JSON {
		return e.document(r)
	}
	s := newSheet(e.out)
	s.field("id", r.ID)
	s.field("kind", r.Kind)
	s.painted("state", replayState(r))
	s.field("done", replayProgress(r))
	if r.Skipped > 0 {
		s.field("skipped", strconv.FormatInt(r.Skipped, 10))
	}
	s.field("subscription", r.SubscriptionID)
	s.field("types", strings.Join(r.EventTypes, ", "))
	status := make([]string, len(r.Status))
	for i, word := range r.Status {
		status[i] = string(word)
	}
	s.field("status", strings.Join(status, ", "))
	s.field("since", when(r.Since))
	if !r.Until.IsZero() {
		s.field("until", when(r.Until))
	}
	s.field("made", when(r.CreatedAt))
	if !r.EndedAt.IsZero() {
		s.field("ended", when(r.EndedAt))
	}
	return nil
}

func replayState(r client.Replay) cell {
	switch r.State {
	case client.ReplayCompleted:
		return cell{string(r.State), green}
	case client.ReplayFailed, client.ReplayCancelled:
		return cell{string(r.State), red}
	case client.ReplayRunning, client.ReplayPaused:
		return cell{string(r.State), yellow}
	}
	return cell{string(r.State), plain}
}

// replayProgress shows how many deliveries were dealt with, of how many.
func replayProgress(r client.Replay) string {
	if r.Total == nil {
		return strconv.FormatInt(r.Done+r.Skipped, 10)
	}
	return fmt.Sprintf("%d of %d", r.Done+r.Skipped, *r.Total)
}

// showMissed says beside an enabled subscription what it has missed, and how to
// send it again.
func showMissed(e *env, sub client.EnabledSubscription) {
	switch {
	case sub.Replay != nil:
		e.note("\nWhat it has missed is sent again: grapevine replay show %s", sub.Replay.ID)
	case !sub.Missed.Since.IsZero():
		e.note("\nIt has missed %s deliveries: %d failed, %d were held. To send them again:\n  grapevine subscription recover %s --since %s",
			strconv.FormatInt(sub.Missed.Failed+sub.Missed.Held, 10), sub.Missed.Failed, sub.Missed.Held, sub.ID, sub.Missed.Since.Format(time.RFC3339))
	}
}
