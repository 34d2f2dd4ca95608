package bench

import (
	"errors"
	"fmt"
	"strings"
)

// Integrity is how what arrived compares with what was accepted. Everything but
// Accepted, Arrived, Unanswered and Verified ought to be zero; after kills
// Duplicated may not be.
type Integrity struct {
	Accepted   int `json:"accepted"`   // publications that were answered with a success
	Arrived    int `json:"arrived"`    // webhooks that the receiver took, duplicates included
	Lost       int `json:"lost"`       // accepted for an endpoint, and never there
	Duplicated int `json:"duplicated"` // arrived once more
	Altered    int `json:"altered"`    // with other content than was accepted under the id
	Foreign    int `json:"foreign"`    // of an event that nobody published
	Unanswered int `json:"unanswered"` // events that arrived though the answer to their publication was lost
	Verified   int `json:"signatures_verified"`
	Invalid    int `json:"signatures_invalid"`
}

// ok reports whether everything is as it ought to be where nothing was killed.
func (i Integrity) ok() bool {
	return i.Lost+i.Duplicated+i.Altered+i.Foreign+i.Invalid == 0
}

// plus is the sum of two comparisons of different events.
func (i Integrity) plus(other Integrity) Integrity {
	return Integrity{
		Accepted: i.Accepted + other.Accepted, Arrived: i.Arrived + other.Arrived, Lost: i.Lost + other.Lost,
		Duplicated: i.Duplicated + other.Duplicated, Altered: i.Altered + other.Altered, Foreign: i.Foreign + other.Foreign,
		Unanswered: i.Unanswered + other.Unanswered, Verified: i.Verified + other.Verified, Invalid: i.Invalid + other.Invalid,
	}
}

// String says what is wrong with what arrived.
func (i Integrity) String() string {
	var wrong []string
	for _, kind := range []struct {
		name  string
		count int
	}{
		{"lost", i.Lost}, {"duplicated", i.Duplicated}, {"altered", i.Altered}, {"foreign", i.Foreign},
	} {
		if kind.count > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", kind.count, kind.name))
		}
	}
	if i.Accepted == 0 {
		return "nothing was accepted"
	}
	if wrong == nil {
		return fmt.Sprintf("%d arrived as accepted", i.Arrived)
	}
	return fmt.Sprintf("%d arrived, ", i.Arrived) + strings.Join(wrong, ", ")
}

// place is where an event arrives.
type place struct {
	id       string
	endpoint int
}

// compare finds out whether each accepted event arrived at each of the endpoints
// 0 to endpoints-1, exactly as it was published under its id, and nothing else
// did. An event whose answer was lost may have been accepted or not.
func compare(posted []publication, noted Noted, endpoints int) Integrity {
	i := Integrity{Arrived: len(noted.Arrivals), Verified: noted.Verified, Invalid: noted.Invalid}
	accepted := make(map[string]int, len(posted)) // the number by id
	unanswered := make(map[int]string)            // the id that arrived, by number; "": none yet
	for _, p := range posted {
		switch {
		case p.ID != "":
			i.Accepted++
			if _, taken := accepted[p.ID]; taken {
				i.Lost += endpoints // two publications got one id: one of them is no event
			}
			accepted[p.ID] = p.N
		case !errors.As(p.err, new(refusal)):
			unanswered[p.N] = ""
		}
	}

	seen := make(map[place]bool, len(noted.Arrivals))
	var data []byte
	for _, a := range noted.Arrivals {
		n, known := accepted[a.ID]
		if !known {
			if id, asked := unanswered[a.N]; asked && (id == "" || id == a.ID) {
				n, known, unanswered[a.N] = a.N, true, a.ID
			}
		}
		if !known || a.Endpoint < 0 || a.Endpoint >= endpoints {
			i.Foreign++
			continue
		}
		if data = appendData(data[:0], n); a.N != n || a.Sum != sum(data) {
			i.Altered++
		}
		at := place{a.ID, a.Endpoint}
		if seen[at] {
			i.Duplicated++
		}
		seen[at] = true
	}
	for _, id := range unanswered {
		if id != "" {
			i.Unanswered++
		}
	}
	for id := range accepted {
		for endpoint := range endpoints {
			if !seen[place{id, endpoint}] {
				i.Lost++
			}
		}
	}
	return i
}
