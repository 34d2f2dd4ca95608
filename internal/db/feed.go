package db

import (
	"context"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// Feed tells the processes that share a database what the others have changed,
// so that each forgets what it had read of it. Whoever keeps in memory what is in
// tables takes a Feed; nil says that the database is this process's own, and that
// nobody else changes it.
//
// News takes a moment. A process that has read something since may still have it
// as it was before the change, for as long as that moment lasts.
type Feed interface {
	// Changed notes in the transaction of a change that what goes by the topic has
	// changed of the tenant; the zero ID stands for what is no tenant's. When tx is
	// committed the other processes hear of it.
	Changed(tx *Tx, topic string, tenant id.ID) error

	// Watch has fn called after changes, each time with the tenant, or with the zero
	// ID where what was changed is no tenant's, or of any of them may have been missed.
	// A change that this process made, and does not know whether it was committed, is
	// one of them. fn must not block. Nothing is told of what changed before Watch was
	// called.
	Watch(topic string, fn func(ctx context.Context, tenant id.ID))

	// Alive reports whether news comes in. While it does not, what is kept in
	// memory may be out of date by more than a moment, and is not to be used. It
	// is asked often, and answers from memory.
	Alive() bool
}
