package node

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// overlap is how much longer a transaction may take to commit, after it has noted
// the time of its change, than it takes to read what has changed. What is read twice
// is known by its number.
const overlap = time.Minute

// feed is what has changed of what this process keeps in memory.
type feed struct {
	mu       sync.Mutex
	watchers map[string][]func(ctx context.Context, tenant id.ID)
	seen     map[subject]int64 // revisions of which the watchers were told
	last     time.Time         // by the database's clock: when the revisions were read last
	lastHere time.Time         // the same moment, by this process's clock
	waiting  map[subject]bool  // of which the watchers are to be told

	wakes chan struct{} // one token: something is waiting
}

func newFeed() *feed {
	return &feed{
		watchers: make(map[string][]func(context.Context, id.ID)),
		seen:     make(map[subject]int64),
		waiting:  make(map[subject]bool),
		wakes:    make(chan struct{}, 1),
	}
}

// Changed notes in a transaction that it changes what nodes keep in memory about a
// tenant under a topic; the zero ID stands for what is no tenant's, or everybody's.
// Once it is committed the other nodes' watchers are told.
func (n *Node) Changed(tx *db.Tx, topic string, tenant id.ID) error {
	if n.alone {
		return nil
	}
	now, err := tx.ServerTime()
	if err != nil {
		return err
	}
	number, err := countUp(tx, subject{topic, tenant}, now)
	if err != nil {
		return err
	}
	tx.After(func() { n.Hint(changedTopic, fmt.Sprintf("%s %s %d", topic, tenant, number)) })
	return nil
}

// Watch has fn called when what is kept under a topic about a tenant has been
// changed, by another node mostly, and may have been by this one: fn drops what it
// holds, or reads it again. It is called within a fifth of a lease, at once if hints
// are heard, and after the change is committed. With the zero ID anything under the
// topic may have changed, as at the begin of a new life. Calls follow one another;
// ctx ends with the node. A topic has no spaces.
func (n *Node) Watch(topic string, fn func(ctx context.Context, tenant id.ID)) {
	if n.alone {
		return
	}
	n.feed.mu.Lock()
	defer n.feed.mu.Unlock()
	n.feed.watchers[topic] = append(n.feed.watchers[topic], fn)
}

// since returns from when on revisions have to be read, if the database's clock says
// now. It may have been set back since the last reading, but then what has changed
// meanwhile is no older than that reading.
func (f *feed) since(now time.Time) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	from := now
	if !f.last.IsZero() {
		from = now.Add(-time.Since(f.lastHere))
		if f.last.Before(from) {
			from = f.last
		}
	}
	return from.Add(-overlap)
}

// read takes note of what has changed lately. What is no longer among it can be
// forgotten. What the first reading finds is older than whatever the watchers hold.
func (f *feed) read(changed []revision, now, here time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	first := f.last.IsZero()
	f.last, f.lastHere = now, here
	seen := make(map[subject]int64, len(changed))
	for _, r := range changed {
		seen[r.of] = r.number
		if !first && f.seen[r.of] != r.number {
			f.note(r.of)
		}
	}
	f.seen = seen
}

// hear takes note of a change that another node hints at. Hints can come from
// anybody who may connect to the database: they have something looked at, and never
// keep anything from being looked at.
func (f *feed) hear(payload string) {
	var of subject
	var tenant string
	var number int64
	if _, err := fmt.Sscanf(payload, "%s %s %d", &of.topic, &tenant, &number); err != nil {
		return
	}
	if err := of.tenant.UnmarshalText([]byte(tenant)); err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note(of)
}

// forget has all watchers told that anything may have changed.
func (f *feed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for topic := range f.watchers {
		f.note(subject{topic: topic})
	}
}

// note is called with mu held.
func (f *feed) note(of subject) {
	if len(f.watchers[of.topic]) == 0 {
		return
	}
	f.waiting[of] = true
	signal(f.wakes)
}

// loop tells the watchers until ctx ends.
func (f *feed) loop(ctx context.Context) {
	for {
		select {
		case <-f.wakes:
		case <-ctx.Done():
			return
		}
		f.mu.Lock()
		waiting := f.waiting
		f.waiting = make(map[subject]bool)
		f.mu.Unlock()
		for of := range waiting {
			f.mu.Lock()
			watchers := slices.Clone(f.watchers[of.topic])
			f.mu.Unlock()
			for _, fn := range watchers {
				fn(ctx, of.tenant)
			}
		}
	}
}
