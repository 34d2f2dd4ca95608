package tenant_test

import (
	"sync"
	"testing"
	"time"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/problem"
	"github.com/grapevine-hq/grapevine/internal/secret"
	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/testkit"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// pair is two servers of one database.
type pair struct {
	nodes       testkit.Nodes
	feed        *testkit.Feed // of the one that only asks
	here, there *tenant.Service
	ten         made
	key         tenant.Key // of the dialect saasquatch
	text        string     // the key itself
}

func newPair(t *testing.T) *pair {
	t.Helper()
	d := testkit.OpenDB(t, db.Options{})
	box, err := secret.Open(t.Context(), d, secret.NewKey())
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{}
	p.feed = p.nodes.Node()
	p.here = MustService(t, d, tenant.Options{Box: box, Dialects: spoken, Feed: p.nodes.Node()})
	p.there = MustService(t, d, tenant.Options{Box: box, Dialects: spoken, Feed: p.feed})
	p.ten = MustCreate(t, p.here, "acme")
	p.key, p.text = MustCreateKey(t, p.here, p.ten.ID, tenant.NewKey{Dialect: "saasquatch", Scopes: tenant.AllScopes()})
	return p
}

func (p *pair) credential() tenant.Credential {
	return tenant.Credential{Dialect: "saasquatch", Alias: "acme", Key: p.text}
}

// known is all that a server keeps in memory of the tenant.
type known struct {
	native, dialect error          // of authenticating
	as              *wire.Identity // nil: it does not speak the dialect
}

// ask asks there.
func (p *pair) ask(t *testing.T) known {
	t.Helper()
	var k known
	now := time.Now()
	_, k.native = p.there.Authenticate(t.Context(), p.ten.plaintext, now)
	_, k.dialect = p.there.AuthenticateDialect(t.Context(), p.credential(), now)
	k.as, _ = p.there.Identity(t.Context(), p.ten.ID, "saasquatch")
	return k
}

// elsewhere are changes that one server makes and another has to know of.
var elsewhere = map[string]struct {
	change func(t *testing.T, p *pair) error
	right  func(k known) bool
}{
	"a native key is revoked": {
		func(t *testing.T, p *pair) error { return p.here.RevokeKey(t.Context(), p.ten.ID, p.ten.key.ID) },
		func(k known) bool {
			return problem.Unauthenticated.Has(k.native) && k.dialect == nil
		},
	},
	"a dialect's key is revoked": {
		func(t *testing.T, p *pair) error { return p.here.RevokeKey(t.Context(), p.ten.ID, p.key.ID) },
		func(k known) bool {
			return k.native == nil && problem.Unauthenticated.Has(k.dialect) && k.as != nil && k.as.Key == ""
		},
	},
	"a dialect's key is rolled": {
		func(t *testing.T, p *pair) error {
			_, _, err := p.here.RollKey(t.Context(), p.ten.ID, p.key.ID, 0)
			return err
		},
		func(k known) bool {
			return problem.Unauthenticated.Has(k.dialect) && k.as != nil && k.as.Key != ""
		},
	},
	"a newer key signs": {
		func(t *testing.T, p *pair) error {
			_, _, err := p.here.CreateKey(t.Context(), p.ten.ID, tenant.NewKey{Dialect: "saasquatch", Value: "given-value", Scopes: tenant.AllScopes()})
			return err
		},
		func(k known) bool {
			return k.dialect == nil && k.as != nil && k.as.Key == "given-value"
		},
	},
	"a setting is chosen": {
		func(t *testing.T, p *pair) error {
			return p.here.SetSettings(t.Context(), p.ten.ID, "saasquatch", wire.Settings{"payload_version": "2020"})
		},
		func(k known) bool {
			return k.as != nil && k.as.Tenant.Settings["payload_version"] == "2020"
		},
	},
	"the dialect is dropped": {
		func(t *testing.T, p *pair) error {
			_, err := p.here.Update(t.Context(), p.ten.ID, tenant.Patch{Dialects: &[]string{"standard"}})
			return err
		},
		func(k known) bool {
			return k.native == nil && problem.Forbidden.Has(k.dialect) && k.as == nil
		},
	},
	"the tenant is renamed": {
		func(t *testing.T, p *pair) error {
			_, err := p.here.Update(t.Context(), p.ten.ID, tenant.Patch{Alias: new("other")})
			return err
		},
		func(k known) bool {
			return k.native == nil && problem.Unauthenticated.Has(k.dialect) && k.as != nil && k.as.Tenant.Alias == "other"
		},
	},
	"the tenant is deleted": {
		func(t *testing.T, p *pair) error { return p.here.Delete(t.Context(), p.ten.ID) },
		func(k known) bool {
			return problem.Unauthenticated.Has(k.native) && problem.Unauthenticated.Has(k.dialect) && k.as == nil
		},
	},
}

func TestWhatAnotherServerChangesIsKnownOnceItIsHeardOf(t *testing.T) {
	for name, tt := range elsewhere {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.ask(t) // from here on it is in memory
			if err := tt.change(t, p); err != nil {
				t.Fatal(err)
			}
			if k := p.ask(t); !tt.right(k) {
				t.Errorf("afterwards: %+v", k)
			}
		})
	}
}

func TestAServerThatHearsNothingTrustsNothingThatItHasRead(t *testing.T) {
	for name, tt := range elsewhere {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.ask(t)
			p.feed.Deafen()
			p.ask(t) // which is not kept either
			if err := tt.change(t, p); err != nil {
				t.Fatal(err)
			}
			if k := p.ask(t); !tt.right(k) {
				t.Errorf("afterwards: %+v", k)
			}
		})
	}
}

func TestAServerThatMayHaveMissedAChangeReadsAgain(t *testing.T) {
	for name, tt := range elsewhere {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.ask(t)
			p.nodes.Hold()
			if err := tt.change(t, p); err != nil {
				t.Fatal(err)
			}
			p.feed.Miss("tenant")
			if k := p.ask(t); !tt.right(k) {
				t.Errorf("afterwards: %+v", k)
			}
		})
	}
}

func TestADialectThatAnotherServerHasJustAllowedIsNotRefused(t *testing.T) {
	p := newPair(t)
	speak := func(dialects ...string) {
		if _, err := p.here.Update(t.Context(), p.ten.ID, tenant.Patch{Dialects: &dialects}); err != nil {
			t.Fatal(err)
		}
	}
	speak("standard")
	if k := p.ask(t); !problem.Forbidden.Has(k.dialect) || k.as != nil {
		t.Fatalf("before: %+v", k)
	}
	p.nodes.Hold()
	speak()
	if k := p.ask(t); k.dialect != nil || k.as == nil {
		t.Errorf("afterwards: %+v", k)
	}
}

func TestServersThatStartTogetherHaveOneAdminKey(t *testing.T) {
	d := testkit.OpenDB(t, db.Options{})
	var services []*tenant.Service
	keys := make([]string, 8)
	var starting sync.WaitGroup
	for i := range keys {
		s := MustService(t, d, tenant.Options{})
		services = append(services, s)
		starting.Go(func() {
			var err error
			if keys[i], err = s.EnsureAdminKey(t.Context(), ""); err != nil {
				t.Error(err)
			}
		})
	}
	starting.Wait()
	var shown string
	for _, key := range keys {
		if key != "" && shown != "" {
			t.Fatal("two servers have made a key")
		}
		shown += key
	}
	for i, s := range services {
		if p, err := s.Authenticate(t.Context(), shown, time.Now()); err != nil || !p.Admin {
			t.Errorf("server %d: %+v, %v", i, p, err)
		}
	}
}

func TestTheProofOfAnAdminKeyIsItsOwn(t *testing.T) {
	with := func(key string) *tenant.Service {
		s := newService(t)
		if _, err := s.EnsureAdminKey(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		return s
	}
	const one, another = "gv_admin_0123456789abcdefghijklmnop", "gv_admin_another9abcdefghijklmnop"
	first := string(with(one).AdminProof("secret"))
	if string(with(one).AdminProof("secret")) != first {
		t.Error("servers with one key do not recognise it")
	}
	if string(with(another).AdminProof("secret")) == first || string(with(one).AdminProof("another")) == first {
		t.Error("another key, or another secret, gives the same proof")
	}
}
