package session_test

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/session"
	"github.com/grapevine-hq/grapevine/internal/testkit"
)

// newServers returns the sessions of one database as two servers have them.
func newServers(t *testing.T) (*session.Service, *session.Service) {
	t.Helper()
	d, err := db.Open(t.Context(), testkit.DatabaseURL(t), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	var made [2]*session.Service
	for i := range made {
		if made[i], err = session.New(d); err != nil {
			t.Fatal(err)
		}
	}
	return made[0], made[1]
}

func holder() session.Holder {
	return session.Holder{Tenant: id.New(time.Now()), Key: id.New(time.Now())}
}

func mustBegin(t *testing.T, s *session.Service, h session.Holder) string {
	t.Helper()
	token := session.NewToken()
	if err := s.Begin(t.Context(), token, h); err != nil {
		t.Fatal(err)
	}
	return token
}

func mustFind(t *testing.T, s *session.Service, token string) *session.Session {
	t.Helper()
	found, err := s.Find(t.Context(), token, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func isOver(t *testing.T, s *session.Service, token string) bool {
	t.Helper()
	_, err := s.Find(t.Context(), token, time.Now())
	if err != nil && !problem.Unauthenticated.Has(err) {
		t.Fatal(err)
	}
	return err != nil
}

func TestASessionIsOneAtEveryServer(t *testing.T) {
	here, there := newServers(t)
	h := holder()
	token := mustBegin(t, here, h)
	if found := mustFind(t, there, token); found.Tenant != h.Tenant || found.Key != h.Key || found.Operator() {
		t.Errorf("found %+v, want %+v", found.Holder, h)
	}
	if err := there.End(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if !isOver(t, here, token) {
		t.Error("what was ended at one server goes on at the other")
	}
	if !isOver(t, here, "") || !isOver(t, here, session.NewToken()) {
		t.Error("a token that was never given finds a session")
	}
}

func TestTheOperatorsSessionKeepsItsProof(t *testing.T) {
	here, there := newServers(t)
	proof := bytes.Repeat([]byte{7}, 32)
	found := mustFind(t, there, mustBegin(t, here, session.Holder{Proof: proof}))
	if !found.Operator() || !found.ProvenBy(proof) || found.ProvenBy(proof[1:]) || found.ProvenBy(nil) {
		t.Errorf("found %+v", found.Holder)
	}
}

func TestASessionLastsTwelveHoursFromItsLastUse(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		here, there := newServers(t)
		used, rested := mustBegin(t, here, holder()), mustBegin(t, here, holder())
		time.Sleep(time.Hour)
		if err := there.Touch(t.Context(), mustFind(t, there, used), time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11*time.Hour - time.Second)
		if isOver(t, here, rested) {
			t.Error("a session has ended early")
		}
		time.Sleep(time.Second)
		if !isOver(t, here, rested) {
			t.Error("a session that nobody uses goes on")
		}
		time.Sleep(time.Hour - time.Second)
		if isOver(t, here, used) {
			t.Error("the use of a session did not count at the other server")
		}
		time.Sleep(time.Second)
		if !isOver(t, here, used) {
			t.Error("a session goes on for ever")
		}
	})
}

func TestAKeyHasSixtyFourSessionsAndTheOneThatRestedLongestEnds(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		here, there := newServers(t)
		h, other := holder(), holder()
		bystander := mustBegin(t, here, other)
		first, second := mustBegin(t, here, h), ""
		for i := range 63 {
			time.Sleep(time.Minute)
			token := mustBegin(t, there, h)
			if i == 0 {
				second = token
			}
		}
		if err := here.Touch(t.Context(), mustFind(t, here, first), time.Now()); err != nil {
			t.Fatal(err)
		}
		mustBegin(t, here, h)
		if !isOver(t, here, second) || isOver(t, here, first) || isOver(t, here, bystander) {
			t.Errorf("the longest at rest goes on: %v; the one in use: %v; another key's: %v",
				!isOver(t, here, second), !isOver(t, here, first), !isOver(t, here, bystander))
		}
	})
}

func TestWhatIsLeftForAPageIsShownOnceAtWhicheverServer(t *testing.T) {
	here, there := newServers(t)
	token := mustBegin(t, here, holder())
	about, another := id.New(time.Now()), id.New(time.Now())
	ctx := t.Context()
	if err := here.Made(ctx, mustFind(t, here, token), about); err != nil {
		t.Fatal(err)
	}
	if err := here.Leave(ctx, mustFind(t, here, token), about, "It is done."); err != nil {
		t.Fatal(err)
	}
	seen := func(s *session.Service, in *session.Session, of id.ID) (bool, string) {
		unseen, err := s.TakeUnseen(ctx, in, of)
		if err != nil {
			t.Fatal(err)
		}
		notice, err := s.TakeNotice(ctx, in, of)
		if err != nil {
			t.Fatal(err)
		}
		return unseen, notice
	}
	atOnce := mustFind(t, here, token) // another request, which has read the same
	if unseen, notice := seen(there, mustFind(t, there, token), another); unseen || notice != "" {
		t.Errorf("another page shows it: %v, %q", unseen, notice)
	}
	if unseen, notice := seen(there, mustFind(t, there, token), about); !unseen || notice != "It is done." {
		t.Errorf("its page shows %v, %q", unseen, notice)
	}
	for _, in := range []*session.Session{atOnce, mustFind(t, here, token)} {
		if unseen, notice := seen(here, in, about); unseen || notice != "" {
			t.Errorf("it is shown again: %v, %q", unseen, notice)
		}
	}
}

func TestALinkIsGoodOnceAtAllServersTogether(t *testing.T) {
	here, there := newServers(t)
	token, err := here.NewLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var good atomic.Int32
	var opening sync.WaitGroup
	for _, s := range []*session.Service{here, there, here, there} {
		opening.Go(func() {
			ok, err := s.Redeem(t.Context(), token)
			if err != nil {
				t.Error(err)
			}
			if ok {
				good.Add(1)
			}
		})
	}
	opening.Wait()
	if good.Load() != 1 {
		t.Errorf("the link was good %d times", good.Load())
	}
}

func TestThereAreSixtyFourLinksAndTheOldestEnds(t *testing.T) {
	testkit.VirtualTime(t, func(t *testing.T) {
		here, there := newServers(t)
		var tokens []string
		for range 65 {
			token, err := here.NewLink(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
			time.Sleep(time.Second)
		}
		for i, want := range map[int]bool{0: false, 1: true, 64: true} {
			if ok, err := there.Redeem(t.Context(), tokens[i]); err != nil || ok != want {
				t.Errorf("link %d of 65: good %v, %v", i+1, ok, err)
			}
		}
	})
}

func TestTheDatabaseHasNoTokens(t *testing.T) {
	d, err := db.Open(t.Context(), testkit.DatabaseURL(t), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	s, err := session.New(d)
	if err != nil {
		t.Fatal(err)
	}
	token := mustBegin(t, s, holder())
	link, err := s.NewLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = d.Read(t.Context(), func(q db.Queryer) error {
		for _, query := range []string{`SELECT hash FROM console_session`, `SELECT hash FROM console_link`} {
			var stored []byte
			if err := q.QueryRow(query).Scan(&stored); err != nil {
				return err
			}
			if len(stored) != 32 || bytes.Contains(stored, []byte(token)) || bytes.Contains(stored, []byte(link)) {
				t.Errorf("%s returns %x", query, stored)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session.New(nil); err == nil {
		t.Error("sessions without a database were made")
	}
}
