package node_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/grapevine-hq/grapevine/internal/id"
	"github.com/grapevine-hq/grapevine/internal/node"
)

func drawMembers(t *rapid.T) []int64 {
	members := rapid.SliceOfNDistinct(rapid.Int64Range(1, 1<<40), 1, 12, rapid.ID).Draw(t, "members")
	slices.Sort(members)
	return members
}

func drawKey(t *rapid.T) id.ID {
	return id.ID(rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "key"))
}

func TestThePartsOfALimitAddUpToIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members := drawMembers(t)
		limit := rapid.IntRange(0, 100).Draw(t, "limit")
		rate := rapid.Float64Range(0, 1000).Draw(t, "rate")
		sum, rates := 0, 0.0
		for _, self := range members {
			m := node.Membership{Self: self, Members: members}
			share := m.Share(limit)
			if fair := limit / len(members); share != fair && share != fair+1 {
				t.Fatalf("the part of %d is %d of %d, among %d", self, share, limit, len(members))
			}
			sum += share
			rates += m.ShareRate(rate)
		}
		if sum != limit || rates < rate*0.999 || rates > rate*1.001 {
			t.Fatalf("the parts add up to %d and %v, of %d and %v", sum, rates, limit, rate)
		}
	})
}

func TestExactlyOneMemberOwnsAKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, key := drawMembers(t), drawKey(t)
		var owners []int64
		for _, self := range members {
			if (node.Membership{Self: self, Members: members}).Owns(key) {
				owners = append(owners, self)
			}
		}
		if len(owners) != 1 {
			t.Fatalf("the owners of %s are %v", key, owners)
		}
	})
}

func TestAMemberThatGoesMovesOnlyItsOwnKeys(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		members, key := drawMembers(t), drawKey(t)
		gone := rapid.SampledFrom(members).Draw(t, "gone")
		before := node.Membership{Members: members}.Owner(key)
		left := slices.DeleteFunc(slices.Clone(members), func(n int64) bool { return n == gone })
		after := node.Membership{Members: left}.Owner(key)
		if before != gone && after != before {
			t.Fatalf("%d had %s, and %d has it after %d has gone", before, key, after, gone)
		}
	})
}

func TestKeysAreSpreadEvenly(t *testing.T) {
	m := node.Membership{Members: []int64{7, 8, 9, 10}}
	owned := map[int64]int{}
	for i := range 10_000 {
		// As ids are: of the same time, and random at the end.
		owned[m.Owner(id.ID{0x01, 0x9a, 0x9c, 0x1d, 0x2f, 0x3b, 0, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)})]++
	}
	for _, member := range m.Members {
		if n := owned[member]; n < 2300 || n > 2700 {
			t.Errorf("member %d owns %d of 10,000", member, n)
		}
	}
}

// Nodes of different versions share a database while they are upgraded one by one.
func TestOwnersStayTheSameFromVersionToVersion(t *testing.T) {
	var owners []int64
	for i := range byte(16) {
		owners = append(owners, node.Membership{Members: []int64{1, 2, 3}}.Owner(id.ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, i}))
	}
	if got, want := fmt.Sprint(owners), "[1 3 1 3 1 1 2 3 3 1 2 1 3 2 3 1]"; got != want {
		t.Errorf("the owners are %s, want %s", got, want)
	}
}

func TestWhoIsAloneHasAll(t *testing.T) {
	for _, m := range []node.Membership{{}, {Members: []int64{0}}} {
		if !m.Owns(id.ID{1}) || m.Share(5) != 5 || m.ShareRate(5) != 5 {
			t.Errorf("%+v owns %v, and has %d and %v of 5", m, m.Owns(id.ID{1}), m.Share(5), m.ShareRate(5))
		}
	}
}
