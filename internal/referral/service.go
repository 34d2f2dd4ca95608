package referral

import (
	"context"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/effect"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Options are what a Service needs. All are required but Messages and Schemes, and
// Naming where there are no exports.
type Options struct {
	DB       *db.DB
	Log      *fact.Log
	Programs *program.Service
	Rewards  *reward.Service
	Effects  *effect.Engine
	Messages *message.Service // nil: nobody is written to
	// Schemes are those by which dialects know people.
	Schemes map[string]Scheme
	// Naming is how exports and messages call people, rewards and links. Without it
	// messages have no links.
	Naming Naming
}

// Service runs the referral programs of all tenants. Its methods may be called
// concurrently.
type Service struct {
	db       *db.DB
	log      *fact.Log
	programs *program.Service
	rewards  *reward.Service
	effects  *effect.Engine
	messages *message.Service
	settings *settingsCache
	searches chan struct{} // lists that look at all that a tenant has
	schemes  map[string]Scheme
	naming   Naming
}

// New returns a Service, which reacts to the facts of the log and has the rules of its
// programs be run.
func New(opts Options) *Service {
	s := &Service{
		db: opts.DB, log: opts.Log, programs: opts.Programs, rewards: opts.Rewards, effects: opts.Effects,
		messages: opts.Messages,
		settings: &settingsCache{of: make(map[settingsKey]*Settings)}, searches: make(chan struct{}, maxSearches),
		schemes: schemes(opts.Schemes), naming: opts.Naming,
	}
	s.effects.Add(host{s})
	s.log.React(s)
	s.log.Handle(approveTimer, s.approveDue)
	s.log.Handle(forgetTimer, s.forgetDue)
	s.log.Reverse(Converted, fact.Reversal{May: mayRetract, Undo: s.retract, Redo: s.reconvert})
	s.log.Reverse(Ended, fact.Reversal{May: mayResume, Undo: s.resume, Redo: s.endAgain})
	return s
}

// Running is a program with its settings.
type Running struct {
	*program.Program

	Settings *Settings
}

// all returns the tenant's programs. They do not change while a command is under way.
func (s *Service) all(c *fact.Command) ([]*program.Program, error) {
	return s.programs.ListOnce(c.Tx(), c.Tenant())
}

// running returns the tenant's programs in which something may begin now.
func (s *Service) running(c *fact.Command) ([]Running, error) {
	all, err := s.all(c)
	if err != nil {
		return nil, err
	}
	var running []Running
	for _, p := range all {
		if p.Kind != KindName || !p.Runs(c.Now()) {
			continue
		}
		of, err := s.withSettings(p)
		if err != nil {
			return nil, err
		}
		running = append(running, of)
	}
	return running, nil
}

// ProgramOf returns one of the tenant's referral programs with its settings, or
// problem.NotFound.
func (s *Service) ProgramOf(q db.Queryer, tenant, of id.ID) (Running, error) {
	p, err := s.programs.Get(q, tenant, of)
	if err != nil {
		return Running{}, err
	}
	return s.withSettings(p)
}

func (s *Service) withSettings(p *program.Program) (Running, error) {
	settings, err := s.settings.read(p)
	return Running{p, settings}, err
}

// settingsCache keeps settings that were read. What is stored under a version never
// changes; the text is compared, since a version may be used again after a
// transaction that failed.
type settingsCache struct {
	mu sync.Mutex
	of map[settingsKey]*Settings
}

type settingsKey struct {
	program id.ID
	text    string
}

const maxSettings = 2000

func (k *settingsCache) read(p *program.Program) (*Settings, error) {
	key := settingsKey{p.ID, string(p.Settings)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s, ok := k.of[key]; ok {
		return s, nil
	}
	s, err := readSettings(p.Settings)
	if err != nil {
		return nil, err
	}
	if len(k.of) >= maxSettings {
		clear(k.of)
	}
	k.of[key] = s
	return s, nil
}

// do runs a command about a person, in the order of those about the same.
func (s *Service) do(ctx context.Context, tenant id.ID, key string, fn func(c *fact.Command) error) error {
	return s.log.Do(ctx, fact.Order{Tenant: tenant, Key: key}, fn)
}
