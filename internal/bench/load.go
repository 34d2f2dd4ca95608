package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// connections is how many keep-alive connections the load uses, and so how many
// requests of it are under way at once.
const connections = 64

// load publishes. The numbers of its events go on from scenario to scenario, so
// that none stands for two events.
type load struct {
	client   *http.Client
	next     atomic.Int64
	accepted atomic.Int64 // events that were answered with a success
}

func newLoad() *load {
	return &load{client: &http.Client{Transport: &http.Transport{
		MaxConnsPerHost:       connections,
		MaxIdleConns:          connections,
		MaxIdleConnsPerHost:   connections,
		ResponseHeaderTimeout: time.Minute,
		DisableCompression:    true,
	}}}
}

// take reserves n numbers and returns the first.
func (l *load) take(n int) int { return int(l.next.Add(int64(n))) - n }

// idHeader names the event in every dialect.
const idHeader = "X-Grapevine-Event-Id"

// target is where the load posts to, and how.
type target struct {
	urls   []string // in turn, by the number of the event
	insist bool     // an event that was not accepted is posted again, with the same key, to the next one
	header http.Header
	head   []byte                    // of each body, up to the data
	tail   []byte                    // of each body, after the data
	quoted bool                      // the data stands inside of a string
	id     func(n int) (name string) // names the event where the receiver is posted to directly; nil: the answer has the id
}

// body returns the body of the event n.
func (t *target) body(n int) []byte {
	b := make([]byte, 0, len(t.head)+dataBytes+len(t.tail)+8)
	b = append(b, t.head...)
	if t.quoted {
		b = append(b, quote(appendData(nil, n))...)
	} else {
		b = appendData(b, n)
	}
	return append(b, t.tail...)
}

// publication is one event that the load has posted, and what came of it. Times
// are nanoseconds of the wall clock, which the receiver reads too.
type publication struct {
	N        int
	ID       string // "": it was not accepted, as far as the load knows
	Due      int64  // when it was to be posted
	Answered int64
	again    int   // how often it was posted once more
	err      error // why ID is empty
}

// refusal is an answer other than a success: then nothing was published.
type refusal struct{ status int }

// Error names the status.
func (r refusal) Error() string { return fmt.Sprintf("an event was answered with status %d", r.status) }

// post posts the event n, which was due at a time.
func (l *load) post(ctx context.Context, t *target, n int, due time.Time) publication {
	p := publication{N: n, Due: due.UnixNano()}
	for {
		p.ID, p.err = l.exchange(ctx, t, p)
		p.Answered = time.Now().UnixNano()
		if p.err == nil || !t.insist || isFinal(p.err) || time.Since(due) > patience || !sleep(ctx, insistAfter) {
			return p
		}
		p.again++
	}
}

// insistAfter is how long the load waits before it posts an event again.
const insistAfter = 20 * time.Millisecond

// isFinal reports whether an answer says that it will be the same next time.
func isFinal(err error) bool {
	refused, ok := errors.AsType[refusal](err)
	return ok && refused.status < 500 && refused.status != http.StatusTooManyRequests
}

// exchange makes one request and returns the id of the event.
func (l *load) exchange(ctx context.Context, t *target, p publication) (string, error) {
	n := p.N
	url := t.urls[(n+p.again)%len(t.urls)]
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(t.body(n)))
	if err != nil {
		return "", err
	}
	req.Header = t.header.Clone()
	if t.insist {
		req.Header.Set("Idempotency-Key", "bench-"+strconv.Itoa(n))
	}
	if t.id != nil {
		req.Header.Set(idHeader, t.id(n))
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return "", refusal{resp.StatusCode}
	}
	l.accepted.Add(1)
	if t.id != nil {
		return t.id(n), nil
	}
	return idOf(answer)
}

// idOf cuts the id out of the answer to a publication.
func idOf(answer []byte) (string, error) {
	if _, rest, found := bytes.Cut(answer, []byte(`"id":"`)); found {
		if name, _, found := bytes.Cut(rest, []byte{'"'}); found {
			return string(name), nil
		}
	}
	return "", errors.New("the answer to a publication has no id")
}

// flood posts n events as fast as they are answered and returns them in the
// order of their numbers. It ends with the first error.
func (l *load) flood(ctx context.Context, t *target, n int) ([]publication, error) {
	first := l.take(n)
	posted := make([]publication, n)
	var next atomic.Int64
	err := l.each(ctx, func(ctx context.Context) error {
		for {
			i := int(next.Add(1)) - 1
			if i >= n {
				return nil
			}
			posted[i] = l.post(ctx, t, first+i, time.Now())
			if posted[i].err != nil {
				return posted[i].err
			}
		}
	})
	return posted, err
}

// floodFor is flood for a time instead of a number, which it returns the events
// of in no order.
func (l *load) floodFor(ctx context.Context, t *target, d time.Duration) ([]publication, error) {
	until := time.Now().Add(d)
	return l.floodWhile(ctx, t, func() bool { return time.Now().Before(until) })
}

// floodWhile posts as long as more says so, and returns the events in no order.
func (l *load) floodWhile(ctx context.Context, t *target, more func() bool) ([]publication, error) {
	var mu sync.Mutex
	var posted []publication
	err := l.each(ctx, func(ctx context.Context) error {
		var mine []publication
		defer func() {
			mu.Lock()
			defer mu.Unlock()
			posted = append(posted, mine...)
		}()
		for more() {
			p := l.post(ctx, t, l.take(1), time.Now())
			mine = append(mine, p)
			if p.err != nil {
				return p.err
			}
		}
		return nil
	})
	return posted, err
}

// pace posts events on a timetable, whether or not the ones before have been
// answered, so that an answer that is late does not hide those behind it. It
// returns them in the order of their numbers.
func (l *load) pace(ctx context.Context, t *target, every time.Duration, n int) ([]publication, error) {
	first := l.take(n)
	posted := make([]publication, n)
	due := make(chan int, n) // has room for all: the timetable waits for nobody
	start := time.Now().Add(every)
	dueAt := func(i int) time.Time { return start.Add(time.Duration(i) * every) }
	go func() {
		defer close(due)
		for i := range n {
			if !waitFor(ctx, dueAt(i)) {
				return
			}
			due <- i
		}
	}()
	err := l.each(ctx, func(ctx context.Context) error {
		for i := range due {
			posted[i] = l.post(ctx, t, first+i, dueAt(i))
			if posted[i].err != nil {
				return posted[i].err
			}
		}
		return ctx.Err()
	})
	return posted, err
}

// each runs work once for each connection, until all have returned. It returns
// the first error, which ends the others.
func (l *load) each(ctx context.Context, work func(ctx context.Context) error) error {
	return inParallel(ctx, connections, func(ctx context.Context, _ int) error { return work(ctx) })
}

// inParallel runs work n times at once, each time with a number from 0 on, until all
// have returned. It returns the first error, which ends the others.
func inParallel(ctx context.Context, n int, work func(ctx context.Context, worker int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var workers sync.WaitGroup
	for worker := range n {
		workers.Go(func() {
			if err := work(ctx, worker); err != nil {
				cancel(err)
			}
		})
	}
	workers.Wait()
	return context.Cause(ctx)
}

// sleep waits, and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
