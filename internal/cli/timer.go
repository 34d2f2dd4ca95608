package cli

import (
	"fmt"
	"strconv"

	"github.com/grapevine-hq/grapevine/client"
)

// timerCommands are about what happens later.
type timerCommands struct {
	List   timerList   `cmd:"" help:"List what will happen later, in the order in which it will."`
	Resume timerResume `cmd:"" help:"Have tried what failed too often, as if it had not failed."`
}

type timerList struct {
	Parked bool `help:"List what failed too often instead, and waits to be resumed."`
	listing
	tenantConnection
}

// Run lists timers.
func (c *timerList) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	get := api.Timers
	if c.Parked {
		get = api.ParkedTimers
	}
	return list[client.Timer]{
		get:    func(p client.Page) (client.List[client.Timer], error) { return get(e.ctx, p) },
		widths: []int{28, 19, 20, 8}, header: []string{"ID", "DUE", "KIND", "FAILED", "ERROR"},
		row: func(t client.Timer) []cell {
			failed := cell{strconv.Itoa(t.Failures), plain}
			if !t.ParkedAt.IsZero() {
				failed.colour = red
			}
			return []cell{{t.ID, plain}, {when(t.DueAt), dim}, {t.Kind, plain}, failed, {excerpt(t.Error, 200), plain}}
		},
	}.show(e, c.listing)
}

type timerResume struct {
	ID string `arg:"" help:"The timer's id (tmr_…)."`
	tenantConnection
}

// Run resumes a timer.
func (c *timerResume) Run(e *env) error {
	api, err := c.dial(e)
	if err != nil {
		return err
	}
	if err := api.ResumeTimer(e.ctx, c.ID); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "Resumed %s.\n", c.ID)
	return nil
}
