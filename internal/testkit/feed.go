package testkit

import (
	"context"
	"slices"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
)

// Nodes stands for the processes that share a database: services of one process
// that hear of each other's changes through feeds of their own.
type Nodes struct {
	mu    sync.Mutex
	nodes []*Feed
	held  bool
}

// Feed is what one of them hears.
type Feed struct {
	nodes    *Nodes
	watchers map[string][]func(context.Context, id.ID)
	deaf     bool
}

var _ db.Feed = (*Feed)(nil)

// Node adds one and returns its feed.
func (n *Nodes) Node() *Feed {
	n.mu.Lock()
	defer n.mu.Unlock()
	f := &Feed{nodes: n, watchers: make(map[string][]func(context.Context, id.ID))}
	n.nodes = append(n.nodes, f)
	return f
}

// Hold has nobody hear anything any more, as in the moment before news comes.
func (n *Nodes) Hold() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = true
}

// Deafen has the node know that it hears nothing.
func (f *Feed) Deafen() {
	f.nodes.mu.Lock()
	defer f.nodes.mu.Unlock()
	f.deaf = true
}

// Changed implements db.Feed: the others hear of it after the commit.
func (f *Feed) Changed(tx *db.Tx, topic string, tenant id.ID) error {
	tx.After(func() {
		for _, fn := range f.nodes.others(f, topic) {
			fn(context.Background(), tenant)
		}
	})
	return nil
}

// others returns what is to be called at the other nodes.
func (n *Nodes) others(than *Feed, topic string) []func(context.Context, id.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []func(context.Context, id.ID)
	for _, f := range n.nodes {
		if f != than && !f.deaf && !n.held {
			all = slices.Concat(all, f.watchers[topic])
		}
	}
	return all
}

// Miss has the node hear that it may have missed any change.
func (f *Feed) Miss(topic string) {
	f.nodes.mu.Lock()
	watchers := slices.Clone(f.watchers[topic])
	f.nodes.mu.Unlock()
	for _, fn := range watchers {
		fn(context.Background(), id.ID{})
	}
}

// Watch implements db.Feed.
func (f *Feed) Watch(topic string, fn func(context.Context, id.ID)) {
	f.nodes.mu.Lock()
	defer f.nodes.mu.Unlock()
	f.watchers[topic] = append(f.watchers[topic], fn)
}

// Alive implements db.Feed.
func (f *Feed) Alive() bool {
	f.nodes.mu.Lock()
	defer f.nodes.mu.Unlock()
	return !f.deaf
}

// What several processes need that really share a database; here it is one's own.

// Membership implements webhook.Node.
func (f *Feed) Membership() node.Membership { return node.Membership{} }

// Hint implements webhook.Node.
func (f *Feed) Hint(string, string) {}

// OnHint implements webhook.Node.
func (f *Feed) OnHint(string, func(string)) {}

// OnGap implements webhook.Node.
func (f *Feed) OnGap(func()) {}
