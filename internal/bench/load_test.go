package bench

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"
)

// node answers publications in turn as it is told, the last answer for ever, and
// notes with which keys they came.
type node struct {
	mu      sync.Mutex
	answers []int
	keys    []string
}

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keys = append(n.keys, r.Header.Get("Idempotency-Key"))
	status := n.answers[0]
	if len(n.answers) > 1 {
		n.answers = n.answers[1:]
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"id":"evt_1"}`)
}

func TestWhatIsNotAcceptedIsPublishedAgainElsewhereWithTheSameKey(t *testing.T) {
	for _, c := range []struct {
		name          string
		first, second []int
		asked         int
		accepted      bool
	}{
		{"accepted at once", []int{202}, []int{202}, 1, true},
		{"accepted elsewhere", []int{503}, []int{202}, 2, true},
		{"accepted in the end", []int{500, 200}, []int{503}, 3, true},
		{"refused for good", []int{422}, []int{202}, 1, false},
		{"asked to wait", []int{429}, []int{202}, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			nodes := []*node{{answers: c.first}, {answers: c.second}}
			to := &target{insist: true, header: make(http.Header)}
			for _, n := range nodes {
				server := httptest.NewServer(n)
				t.Cleanup(server.Close)
				to.urls = append(to.urls, server.URL)
			}
			p := newLoad().post(t.Context(), to, 4, time.Now())
			if accepted := p.err == nil && p.ID == "evt_1"; accepted != c.accepted || p.again != c.asked-1 {
				t.Errorf("got %+v", p)
			}
			keys := slices.Concat(nodes[0].keys, nodes[1].keys)
			if want := slices.Repeat([]string{"bench-4"}, c.asked); !slices.Equal(keys, want) {
				t.Errorf("it was asked with the keys %q, want %q", keys, want)
			}
		})
	}
}

func TestANodeThatIsGoneIsPassedOver(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	there := httptest.NewServer(&node{answers: []int{202}})
	defer there.Close()
	p := newLoad().post(t.Context(), &target{urls: []string{gone.URL, there.URL}, insist: true, header: make(http.Header)}, 2, time.Now())
	if p.err != nil || p.again != 1 {
		t.Errorf("got %+v", p)
	}
}
