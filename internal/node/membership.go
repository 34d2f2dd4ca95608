package node

import (
	"encoding/binary"
	"slices"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// Membership is which nodes live, as one of them last saw it. The zero
// Membership is that of a process that has the database to itself. Nodes that
// see the same members agree on who owns what and on how limits are shared;
// while they don't, for a lease at most, two may think that a thing is theirs, or
// none.
type Membership struct {
	Self    int64   // number of this node's present life; 0: the database is this process's own
	Members []int64 // living ones, Self included, ascending; not to be changed
	Latest  int64   // the highest number that had been given when this was read: a number up to it that is no member's is of a node that is dead
}

// Owner returns which of the members does what only one may do about the thing
// that key names. When a member comes or goes, only what it gains or had changes
// its owner.
func (m Membership) Owner(key id.ID) int64 {
	owner, best := m.Self, uint64(0)
	for i, member := range m.Members {
		if w := weight(member, key); i == 0 || w > best {
			owner, best = member, w
		}
	}
	return owner
}

// Owns reports whether this node is the owner of what key names.
func (m Membership) Owns(key id.ID) bool { return m.Owner(key) == m.Self }

// Share returns this member's part of a limit: the parts of all members add up to
// it. Where there are more members than that, some get none.
func (m Membership) Share(limit int) int {
	n := len(m.Members)
	if n == 0 {
		return limit
	}
	share := limit / n
	if slices.Index(m.Members, m.Self) < limit%n {
		share++
	}
	return share
}

// ShareRate returns this member's part of a rate.
func (m Membership) ShareRate(rate float64) float64 {
	return rate / float64(max(len(m.Members), 1))
}

func (m Membership) equal(other Membership) bool {
	return m.Self == other.Self && m.Latest == other.Latest && slices.Equal(m.Members, other.Members)
}

// weight is how strongly a member claims a key: of all members the one with the
// highest weight has it (rendezvous hashing). Nodes of different versions have to
// agree, so it never changes.
func weight(member int64, key id.ID) uint64 {
	h := mix(uint64(member) + 0x9e3779b97f4a7c15) //nolint:gosec // a number is not negative
	h = mix(h ^ binary.BigEndian.Uint64(key[:8]))
	return mix(h ^ binary.BigEndian.Uint64(key[4:]))
}

// mix is a bijection in which every bit of the result depends on every bit of x
// (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
