package referral

import (
	"context"
	"sync"

	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/activity"
	"github.com/grapevine-hq/grapevine/internal/engine/message"
	"github.com/grapevine-hq/grapevine/internal/engine/program"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/fact"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// Options are what a Service needs. All are required but Messages.
type Options struct {
	DB       *db.DB
	Log      *fact.Log
	Programs *program.Service
	Rewards  *reward.Service
	Messages *message.Service // nil: nobody is written to
}

// Service runs the referral programs of all tenants. Its methods may be called
// concurrently.
type Service struct {
	db       *db.DB
	log      *fact.Log
	programs *program.Service
	rewards  *reward.Service
	messages *message.Service
	settings *settingsCache
}

// New returns a Service, which reacts to the facts of the log.
func New(opts Options) *Service {
	s := &Service{
		db: opts.DB, log: opts.Log, programs: opts.Programs, rewards: opts.Rewards, messages: opts.Messages,
		settings: &settingsCache{of: make(map[settingsKey]*Settings)},
	}
	s.log.React(s)
	s.log.Handle(approveTimer, s.approveDue)
	s.log.Handle(unlessTimer, s.unlessDue)
	s.log.Reverse(activity.Tracked, activity.Reversal())
	s.log.Reverse(Converted, fact.Reversal{Undo: s.retract, Redo: s.reconvert})
	s.log.Reverse(Ended, fact.Reversal{Undo: s.resume, Redo: s.endAgain})
	return s
}

// Running is a program with its settings.
type Running struct {
	*program.Program

	Settings *Settings
}

// running returns the tenant's programs in which something may begin now.
func (s *Service) running(c *fact.Command) ([]Running, error) {
	all, err := s.programs.Running(c.Tx(), c.Tenant(), KindName, c.Now())
	if err != nil {
		return nil, err
	}
	running := make([]Running, len(all))
	for i, p := range all {
		if running[i], err = s.withSettings(p); err != nil {
			return nil, err
		}
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
