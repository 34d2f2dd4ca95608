package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/grapevine-hq/grapevine/internal/dialect"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// telling has the facts of each command told as events, in the transaction of the
// command: in each dialect that a subscription of the tenant is of.
type telling struct {
	webhooks  *webhook.Service
	renderers []dialect.Renderer // one for each dialect that tells of programs; set before the first command
}

var _ fact.Sink = (*telling)(nil)

// Prepare looks up who wants to hear of what.
func (t *telling) Prepare(ctx context.Context, tenant id.ID) (fact.Teller, error) {
	prepared, err := t.webhooks.Prepare(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return teller{t.renderers, prepared}, nil
}

// Stale reports whether the subscriptions have changed meanwhile.
func (*telling) Stale(err error) bool { return webhook.Stale(err) }

// teller tells of the facts of one command.
type teller struct {
	renderers []dialect.Renderer
	prepared  *webhook.Prepared
}

// Tell publishes the events of the facts. It publishes also where there are none: that
// nobody wants them has to be true until the command commits.
func (t teller) Tell(c *fact.Command, facts []*fact.Fact) error {
	var pubs []webhook.Publication
	for _, r := range t.renderers {
		rendered, err := t.render(r, c, facts)
		if err != nil {
			return err
		}
		pubs = append(pubs, rendered...)
	}
	return t.prepared.Publish(c.Tx(), pubs)
}

// render returns the events of one dialect.
func (t teller) render(r dialect.Renderer, c *fact.Command, facts []*fact.Fact) ([]webhook.Publication, error) {
	as := t.prepared.Identity(r.Name())
	if as == nil {
		return nil, nil
	}
	wants := func(eventType string) bool { return t.prepared.Wants(r.Name(), eventType) }
	events, err := r.Render(c, facts, dialect.Audience{As: as, Wants: wants})
	if err != nil {
		return nil, fmt.Errorf("app: tell of a command in %s: %w", r.Name(), err)
	}
	pubs := make([]webhook.Publication, len(events))
	for i, e := range events {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return nil, fmt.Errorf("app: write the data of %s of %s: %w", e.Type, r.Name(), err)
		}
		pubs[i] = webhook.Publication{
			Dialect: r.Name(), Type: e.Type, Data: data, OccurredAt: e.OccurredAt, Fields: e.Fields, SubjectVersion: e.SubjectVersion,
		}
	}
	return pubs, nil
}
