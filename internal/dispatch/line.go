package dispatch

import (
	"slices"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/webhook"
)

// line is what waits for its turn, in order. The zero value is empty.
type line[T any] struct {
	items []T
	head  int
}

// keptCapacity is how many places an empty line keeps: what a burst needed is
// given back.
const keptCapacity = 64

func (l *line[T]) len() int { return len(l.items) - l.head }

func (l *line[T]) push(item T) { l.items = append(l.items, item) }

func (l *line[T]) front() *T { return &l.items[l.head] }

func (l *line[T]) pop() T {
	item := l.items[l.head]
	clear(l.items[l.head : l.head+1]) // lets go of what it refers to
	l.head++
	switch n := l.len(); {
	case n == 0 && cap(l.items) > keptCapacity:
		l.items, l.head = nil, 0
	case n == 0:
		l.items, l.head = l.items[:0], 0
	case l.head >= keptCapacity && l.head >= n:
		copy(l.items, l.items[l.head:])
		clear(l.items[n:])
		l.items, l.head = l.items[:n], 0
	}
	return item
}

// lane is the jobs of a subscription that wait for the same kind of attempt.
type lane struct{ line[webhook.Job] }

// remove takes out the job of an event, if it is there.
func (l *lane) remove(event id.ID) (webhook.Job, bool) {
	for i := l.head; i < len(l.items); i++ {
		if job := l.items[i]; job.EventID == event {
			l.items = slices.Delete(l.items, i, i+1)
			return job, true
		}
	}
	return webhook.Job{}, false
}

// rotate moves the first job behind the others.
func (l *lane) rotate() { l.push(l.pop()) }
