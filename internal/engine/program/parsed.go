package program

import (
	"sync"
	"time"

	"github.com/grapevine-hq/grapevine/internal/engine/rule"
	"github.com/grapevine-hq/grapevine/internal/id"
)

// parsed keeps what was parsed. A version of rules never changes, so nothing in it
// goes out of date.
type parsed struct {
	mu    sync.Mutex
	sets  map[version]*rule.Set
	zones map[string]*time.Location
}

type version struct {
	program id.ID
	number  int64
}

// maxParsed bounds it: what is found no more is parsed again.
const maxParsed = 2000

func newParsed() *parsed {
	return &parsed{sets: make(map[version]*rule.Set), zones: make(map[string]*time.Location)}
}

func (p *parsed) of(program id.ID, number int64, raw string) (*rule.Set, error) {
	key := version{program, number}
	p.mu.Lock()
	defer p.mu.Unlock()
	if set, ok := p.sets[key]; ok && string(set.JSON()) == raw { // a number may be used again where a transaction failed
		return set, nil
	}
	set, err := rule.Parse("rules", []byte(raw), rule.Options{})
	if err != nil {
		return nil, err
	}
	if len(p.sets) >= maxParsed {
		clear(p.sets)
	}
	p.sets[key] = set
	return set, nil
}

func (p *parsed) zone(name string) (*time.Location, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if zone, ok := p.zones[name]; ok {
		return zone, nil
	}
	zone, err := time.LoadLocation(name)
	if err == nil {
		p.zones[name] = zone
	}
	return zone, err
}
