package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/verify"
)

// receiver counts the webhooks that arrive, by id, and verifies each.
type receiver struct {
	*httptest.Server
	verifier atomic.Pointer[verify.Standard]

	mu       sync.Mutex
	arrivals map[string]int
	invalid  int
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{arrivals: make(map[string]int)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		msg, err := r.verifier.Load().Request(req)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.invalid++
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		r.arrivals[msg.ID]++
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, count := range r.arrivals {
		n += count
	}
	return n
}

// settled returns how many have arrived once what was on its way has.
func (r *receiver) settled() int {
	for before := r.total(); ; {
		time.Sleep(100 * time.Millisecond)
		now := r.total()
		if now == before {
			return now
		}
		before = now
	}
}

// missing returns how many of the ids have not arrived.
func (r *receiver) missing(ids []string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, id := range ids {
		if r.arrivals[id] == 0 {
			n++
		}
	}
	return n
}

// recorded returns how many attempts the database of a server that does not run
// knows of.
func (s *server) recorded(t *testing.T) int {
	t.Helper()
	d, err := db.Open(t.Context(), "sqlite:"+s.database(), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var n int
	err = d.Read(t.Context(), func(q db.Queryer) error {
		return q.QueryRow(`SELECT coalesce(sum(attempts), 0) FROM delivery`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNothingAcceptedIsLostByTenKills(t *testing.T) {
	const kills, publishers = 10, 16
	s, r := newServer(t), newReceiver(t)
	flags := []string{"--allow-network", "127.0.0.0/8", "--allow-http"}
	s.mustStart(t, flags...)
	key, _, secret := s.mustTenant(t, r.URL)
	verifier, err := verify.NewStandard(secret)
	if err != nil {
		t.Fatal(err)
	}
	verifier.Tolerance = time.Hour
	r.verifier.Store(verifier)

	var mu sync.Mutex
	var accepted []string
	unrecorded := 0
	for round := range kills {
		stop := make(chan struct{})
		var clients sync.WaitGroup
		for p := range publishers {
			clients.Go(func() {
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					default:
					}
					var answer struct{ ID string }
					event := map[string]any{"type": "test.happened", "data": map[string]any{"source": fmt.Sprint(round, p, n)}}
					if status, err := s.call(t.Context(), http.MethodPost, "/v1/events", key, event, &answer); err == nil && status == http.StatusAccepted {
						mu.Lock()
						accepted = append(accepted, answer.ID)
						mu.Unlock()
					}
				}
			})
		}
		time.Sleep(50*time.Millisecond + rand.N(350*time.Millisecond))
		s.kill()
		close(stop)
		clients.Wait()
		unrecorded = r.settled() - s.recorded(t)
		s.mustStart(t, flags...)
	}
	for deadline := time.Now().Add(time.Minute); r.missing(accepted) > 0 && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	s.mustStop(t)

	lost, duplicated := r.missing(accepted), 0
	for _, n := range r.arrivals {
		duplicated += n - 1
	}
	t.Logf("%d kills: accepted %d, delivered %d, lost %d, duplicated %d (attempts begun and unrecorded at the kills: %d)",
		kills, len(accepted), len(r.arrivals), lost, duplicated, unrecorded)
	if len(accepted) < kills*publishers {
		t.Error("too few events were accepted for the kills to mean anything")
	}
	if lost > 0 {
		t.Error("accepted events were lost")
	}
	if duplicated > unrecorded {
		t.Error("there are more duplicates than the kills explain")
	}
	if r.invalid > 0 {
		t.Errorf("%d requests did not verify", r.invalid)
	}
}
