package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
)

// Topics of nodes among themselves.
const (
	nodesTopic   = ".nodes"   // somebody came or went
	changedTopic = ".changed" // a revision was counted up
	lookTopic    = ".look"    // hints were lost: look at the database
)

// channel is where hints go.
const channel = "grapevine"

const (
	hintPause   = 5 * time.Millisecond // between two statements that send hints
	mostHints   = 10_000               // that wait to be sent; then they are lost
	messageSize = 7000                 // Postgres takes less than 8,000 bytes
	largestHint = 4000
)

// hint says where to look.
type hint struct{ topic, payload string }

// message is what a notification carries. It is read by other versions too: what
// they don't know they leave out.
type message struct {
	Node  int64             `json:"node"`            // who sends it
	Token string            `json:"token,omitempty"` // of its process, by which it knows what it has sent itself
	Hints []json.RawMessage `json:"hints,omitempty"`
}

// hints are those that wait to be sent, and who wants to hear.
type hints struct {
	mu      sync.Mutex
	waiting []hint
	known   map[hint]bool // those that wait
	pinging bool          // a message is due even if it says nothing
	wakes   chan struct{} // one token: something waits

	onHint map[string][]func(payload string)
}

func newHints() *hints {
	return &hints{known: make(map[hint]bool), wakes: make(chan struct{}, 1), onHint: make(map[string][]func(string))}
}

// Hint tells the other nodes to look, soon and perhaps: it may be lost, alone or
// with others, of which they are told then (OnGap). It neither blocks nor waits for
// the transaction under way: call it after the commit. The same hint is sent once
// as long as it waits.
func (n *Node) Hint(topic, payload string) {
	if n.alone || !n.db.Shared() {
		return
	}
	n.hints.add(hint{topic, payload})
}

// OnHint has fn called with each payload that another node sends under the topic.
// It must not block: what comes after waits for it.
func (n *Node) OnHint(topic string, fn func(payload string)) {
	if n.alone {
		return
	}
	n.hints.mu.Lock()
	defer n.hints.mu.Unlock()
	n.hints.onHint[topic] = append(n.hints.onHint[topic], fn)
}

func (h *hints) add(one hint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(one.payload) > largestHint {
		one = hint{topic: lookTopic}
	}
	if h.known[one] {
		return
	}
	if len(h.waiting) >= mostHints {
		h.waiting = h.waiting[:0]
		clear(h.known)
		one = hint{topic: lookTopic}
	}
	h.waiting = append(h.waiting, one)
	h.known[one] = true
	signal(h.wakes)
}

// ping has a message sent in any case, so that this node can tell whether it hears.
func (h *hints) ping() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pinging = true
	signal(h.wakes)
}

// take returns what waits, and whether a message is due even if that is nothing.
func (h *hints) take() ([]hint, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	waiting, pinging := h.waiting, h.pinging
	h.waiting, h.pinging = nil, false
	clear(h.known)
	return waiting, pinging
}

// send sends what waits until ctx ends, at most one statement in a while. What can't
// be sent is lost, and that is made known as soon as something can.
func (n *Node) send(ctx context.Context) {
	for failures := 0; ; {
		select {
		case <-n.hints.wakes:
		case <-ctx.Done():
			return
		}
		pause := hintPause
		if n.flush(ctx) {
			failures = 0
		} else {
			pause = backOff(failures)
			failures++
		}
		rest(ctx, pause)
	}
}

// flush sends what waits, and reports whether that was possible.
func (n *Node) flush(ctx context.Context) bool {
	waiting, pinging := n.hints.take()
	m := n.Membership()
	if len(m.Members) < 2 { // who comes later is told to look
		waiting = nil
	}
	if len(waiting) == 0 && !pinging {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, n.lease/2)
	defer cancel()
	messages := pack(message{Node: m.Self, Token: n.token}, waiting)
	err := n.db.Write(ctx, func(tx *db.Tx) error {
		for _, text := range messages {
			// Nothing is to be flushed to disk for a hint.
			var set, none string
			if err := tx.QueryRow(`SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)::text`,
				channel, text).Scan(&set, &none); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		if len(waiting) > 0 {
			n.hints.add(hint{topic: lookTopic})
		}
		return false
	}
	n.metrics.hints.WithLabelValues("sent").Add(float64(len(waiting)))
	return true
}

// pack puts hints into as few messages as they fit into, one at least.
func pack(from message, waiting []hint) []string {
	var messages []string
	m, size := from, 0
	seal := func() {
		text, _ := json.Marshal(m) // what was encoded already
		messages = append(messages, string(text))
		m, size = from, 0
	}
	for _, one := range waiting {
		text, _ := json.Marshal([2]string{one.topic, one.payload}) // strings can be encoded
		if len(text) > messageSize/2 {                             // escapes have made it long
			text, _ = json.Marshal([2]string{lookTopic, ""})
		}
		if size+len(text) > messageSize {
			seal()
		}
		m.Hints = append(m.Hints, text)
		size += len(text) + 1
	}
	seal()
	return messages
}

// receive passes on what another node has sent, and reports whether it was this one.
// What can't be read was meant for somebody else.
func (n *Node) receive(text string) bool {
	var m message
	if json.Unmarshal([]byte(text), &m) != nil {
		return false
	}
	if m.Token == n.token {
		return true
	}
	for _, raw := range m.Hints {
		var pair []string
		if json.Unmarshal(raw, &pair) != nil || len(pair) != 2 {
			continue
		}
		n.metrics.hints.WithLabelValues("heard").Inc()
		n.hints.mu.Lock()
		fns := n.hints.onHint[pair[0]]
		n.hints.mu.Unlock()
		for _, fn := range fns {
			fn(pair[1])
		}
	}
	return false
}
