package testkit

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/dispatch"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// Sole is the one node of a database that several could share: what it holds has
// its number, as with real nodes, and whatever had an earlier one is dead. It has no
// lease and hears of nobody, so it does not mind virtual time.
type Sole int64

var (
	_ webhook.Node  = Sole(1)
	_ dispatch.Node = Sole(1)
)

// Membership says that there is nobody else.
func (s Sole) Membership() node.Membership {
	return node.Membership{Self: int64(s), Members: []int64{int64(s)}, Latest: int64(s)}
}

// OnMembership tells fn once, since nothing changes.
func (s Sole) OnMembership(fn func(node.Membership)) { fn(s.Membership()) }

// Alive reports that it is.
func (Sole) Alive() bool { return true }

// Changed has nobody to tell.
func (Sole) Changed(*db.Tx, string, id.ID) error { return nil }

// Hint has nobody to tell either.
func (Sole) Hint(string, string) {}

// Watch never calls.
func (Sole) Watch(string, func(ctx context.Context, tenant id.ID)) {}

// OnHint never calls.
func (Sole) OnHint(string, func(payload string)) {}

// OnGap never calls.
func (Sole) OnGap(func()) {}
