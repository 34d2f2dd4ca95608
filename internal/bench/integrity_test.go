package bench

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// arrival is a webhook of the event n, as it was published.
func arrival(id string, n int) Arrival {
	return Arrival{ID: id, N: n, Sum: sum(appendData(nil, n))}
}

// at is the arrival at another endpoint than the first.
func at(endpoint int, a Arrival) Arrival {
	a.Endpoint = endpoint
	return a
}

func TestWhatArrivedIsComparedWithWhatWasAccepted(t *testing.T) {
	accepted := []publication{{N: 1, ID: "a"}, {N: 2, ID: "b"}}
	lostAnswer := publication{N: 3, err: errors.New("connection reset")}
	refused := publication{N: 3, err: refusal{503}}
	changed := arrival("b", 2)
	changed.Sum++
	for _, c := range []struct {
		name      string
		posted    []publication
		arrivals  []Arrival
		endpoints int // zero: 1
		want      Integrity
	}{
		{name: "everything once", arrivals: []Arrival{arrival("b", 2), arrival("a", 1)}, want: Integrity{Accepted: 2, Arrived: 2}},
		{
			name: "two got one id, and one of them is lost", posted: []publication{{N: 1, ID: "a"}, {N: 2, ID: "a"}},
			arrivals: []Arrival{arrival("a", 2)}, want: Integrity{Accepted: 2, Arrived: 1, Lost: 1},
		},
		{name: "one is lost", arrivals: []Arrival{arrival("a", 1)}, want: Integrity{Accepted: 2, Arrived: 1, Lost: 1}},
		{name: "one comes twice", arrivals: []Arrival{arrival("a", 1), arrival("b", 2), arrival("a", 1)}, want: Integrity{Accepted: 2, Arrived: 3, Duplicated: 1}},
		{name: "one has other content", arrivals: []Arrival{arrival("a", 1), changed}, want: Integrity{Accepted: 2, Arrived: 2, Altered: 1}},
		{name: "two have changed bodies", arrivals: []Arrival{arrival("a", 2), arrival("b", 1)}, want: Integrity{Accepted: 2, Arrived: 2, Altered: 2}},
		{name: "one has an unknown id", arrivals: []Arrival{arrival("a", 1), arrival("b", 2), arrival("c", 9)}, want: Integrity{Accepted: 2, Arrived: 3, Foreign: 1}},
		{name: "one is at an endpoint that it is not for", arrivals: []Arrival{arrival("a", 1), arrival("b", 2), at(1, arrival("b", 2))}, want: Integrity{Accepted: 2, Arrived: 3, Foreign: 1}},
		{
			name: "each goes to two endpoints and one is missing at one", endpoints: 2,
			arrivals: []Arrival{arrival("a", 1), at(1, arrival("a", 1)), at(1, arrival("b", 2))},
			want:     Integrity{Accepted: 2, Arrived: 3, Lost: 1},
		},
		{
			name: "one arrives whose answer was lost", posted: []publication{lostAnswer},
			arrivals: []Arrival{arrival("x", 3)}, want: Integrity{Arrived: 1, Unanswered: 1},
		},
		{name: "one does not arrive whose answer was lost", posted: []publication{lostAnswer}, want: Integrity{}},
		{
			name: "one whose answer was lost arrives as two events", posted: []publication{lostAnswer},
			arrivals: []Arrival{arrival("x", 3), arrival("y", 3)}, want: Integrity{Arrived: 2, Unanswered: 1, Foreign: 1},
		},
		{
			name: "one arrives that was refused", posted: []publication{refused},
			arrivals: []Arrival{arrival("x", 3)}, want: Integrity{Arrived: 1, Foreign: 1},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.posted == nil {
				c.posted = accepted
			}
			got := compare(c.posted, Noted{Arrivals: c.arrivals}, max(c.endpoints, 1))
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if healthy := c.want.Lost+c.want.Altered+c.want.Foreign+c.want.Duplicated == 0; got.ok() != healthy {
				t.Errorf("ok is %v", got.ok())
			}
		})
	}
}
