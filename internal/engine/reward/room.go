package reward

import (
	"github.com/grapevine-hq/grapevine/internal/db"
	"github.com/grapevine-hq/grapevine/internal/engine/counter"
	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/problem"
)

// Room is how far a limit is used that an award counts against.
type Room struct {
	Used    int64 // in its window, without what the award itself has taken if it was given before
	Cap     int64
	Amount  bool // both are amounts, not numbers of rewards
	Refuses bool // the limit would not allow the award
}

// RoomFor returns how a limit stands for an award; nil: it has none. It takes nothing.
func RoomFor(q db.Queryer, tenant id.ID, a Award) (*Room, error) {
	if a.Limit == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	r := &Reward{TenantID: tenant, Amount: a.Amount}
	if a.Zone != nil {
		r.zoneName = a.Zone.String()
	}
	l := a.Limit.of(r)
	key, err := l.key(tenant, r.zone())
	if err != nil {
		return nil, err
	}
	room := &Room{Cap: l.Cap, Amount: l.Amount}
	if room.Used, err = counter.Used(q, key); err != nil {
		return nil, err
	}
	given, err := selectByEffect(q, tenant, effectKey(a.Effect))
	if err != nil && !problem.NotFound.Has(err) {
		return nil, err
	}
	if err == nil && given.limit != nil && given.State != IsRefused && given.State != IsCancelled {
		room.Used = max(room.Used-given.limit.Units, 0)
	}
	room.Refuses = room.Used+l.Units > l.Cap
	if l.Clamp && l.Amount {
		room.Refuses = room.Used >= l.Cap
	}
	return room, nil
}
