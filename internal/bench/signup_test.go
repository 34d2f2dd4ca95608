package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// squatchServer answers as SaaSquatch's API does to the calls of the bench, and
// refuses what it can't do.
type squatchServer struct {
	mu      sync.Mutex
	codes   map[string]string // users by code
	referee map[string]string // codes by user
	opened  int               // connections
	busy    int               // so many upserts are turned away before the first is taken
}

const squatchKey = "the key"

func (s *squatchServer) start(t *testing.T) squatch {
	t.Helper()
	s.codes, s.referee = map[string]string{}, map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /api/open/account/{account}/user/{user}", s.put)
	mux.HandleFunc("GET /api/users", s.list)
	mux.HandleFunc("GET /api/user", s.byCode)
	mux.HandleFunc("GET /api/open/account/{account}/user/{user}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"id":%q}`, r.PathValue("user"))
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, key, _ := r.BasicAuth(); key != squatchKey && r.URL.Path != "/healthz" {
			http.Error(w, "no key", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.opened++
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	return squatch{server.URL + "/api", squatchKey}
}

func (s *squatchServer) put(w http.ResponseWriter, r *http.Request) {
	var told upsert
	if err := json.NewDecoder(r.Body).Decode(&told); err != nil || told.ID != r.PathValue("user") || told.AccountID != r.PathValue("account") {
		http.Error(w, "not the user of the path", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy > 0 {
		s.busy--
		http.Error(w, "nothing was stored", http.StatusServiceUnavailable)
		return
	}
	if told.ReferredBy != nil {
		if s.codes[told.ReferredBy.Code] == "" {
			http.Error(w, "no such code", http.StatusBadRequest)
			return
		}
		s.referee[told.ID] = told.ReferredBy.Code
	}
	code := strings.ToUpper(told.FirstName + told.LastName + told.ID)
	s.codes[code] = told.ID
	fmt.Fprintf(w, `{"id":%q,"accountId":%q,"referralCode":%q}`, told.ID, told.AccountID, code)
}

func (s *squatchServer) list(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range s.codes {
		var n newcomer
		if _, err := fmt.Sscanf(user, "u%d", &n); err == nil && n.email() == r.URL.Query().Get("query") {
			fmt.Fprintf(w, `{"count":1,"totalCount":1,"users":[{"id":%q}]}`, user)
			return
		}
	}
	fmt.Fprintf(w, `{"count":10,"totalCount":%d,"users":[]}`, len(s.codes))
}

func (s *squatchServer) byCode(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(w, `{"id":%q}`, s.codes[r.URL.Query().Get("referralCode")])
}

func (s *squatchServer) forgetConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = 0
}

// mustFill has people sign up at the server.
func mustFill(t *testing.T, to squatch, n int) (*crowd, []signUp) {
	t.Helper()
	people := new(crowd)
	done, err := newLoad().signUpAll(t.Context(), rush{
		to: to, crowd: people, connections: 8, n: n, referEvery: 2, show: func(int) {},
	})
	if err != nil {
		t.Fatal(err)
	}
	return people, done
}

func TestNewcomersSignUpByTheCodesOfThoseBefore(t *testing.T) {
	var server squatchServer
	const n = 300
	people, done := mustFill(t, server.start(t), n)
	if len(people.known) != n || len(server.codes) != n {
		t.Errorf("%d of %d are known, and %d signed up", len(people.known), n, len(server.codes))
	}
	referred := 0
	for i, s := range done {
		if s.user() != newcomer(i).user() || server.codes[s.code] != s.user() || s.answered < s.posted {
			t.Errorf("the sign-up %d is %+v", i, s)
		}
		if got := server.codes[server.referee[s.user()]]; got != s.referrer {
			t.Errorf("%s came by %q, and the bench says by %q", s.user(), got, s.referrer)
		}
		if s.referrer != "" {
			referred++
		}
	}
	if referred < n/2-8 || referred > n/2 { // the first ones may find nobody
		t.Errorf("%d of %d have a referrer, want every second", referred, n)
	}
}

func TestASignUpThatIsRefusedEndsTheRunAndSaysWhy(t *testing.T) {
	var server squatchServer
	to := server.start(t)
	to.key = "another key"
	_, err := newLoad().signUpAll(t.Context(), rush{to: to, crowd: new(crowd), connections: 2, n: 10, referEvery: 1, show: func(int) {}})
	if err == nil || !strings.Contains(err.Error(), "401: no key") {
		t.Errorf("it ended with %v", err)
	}
}

func TestASignUpIsAskedForAgainWhereTheServerWasBusy(t *testing.T) {
	server := squatchServer{busy: 3}
	done, err := server.start(t).signUp(t.Context(), newLoad().client, 1, member{})
	if err != nil || done.again != 3 || server.codes[done.code] != newcomer(1).user() {
		t.Errorf("got %+v, %v", done, err)
	}
}

func TestAnAnswerWithoutACodeIsNoSignUp(t *testing.T) {
	for _, answer := range []string{`{"id":"u1"}`, `{"referralCode":""}`, `{"referralCode":null}`, `{"referralCode":"AD`} {
		if code, err := codeOf([]byte(answer)); err == nil {
			t.Errorf("the code of %s is %q", answer, code)
		}
	}
	if code, err := codeOf([]byte(`{"id":"u1","referralCode":"ADA","x":1}`)); err != nil || code != "ADA" {
		t.Errorf("got %q, %v", code, err)
	}
}
