package bench

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
)

// sent is the body that Grapevine makes of an event's data.
func sent(data []byte) []byte {
	return slices.Concat([]byte(`{"type":"bench.event","timestamp":"2026-01-31T15:04:05.123456Z","data":`), data, []byte(`}`))
}

func TestEveryBodyIsOneKiBOfJSONThatTellsItsNumber(t *testing.T) {
	for _, n := range []int{0, 7, 99, 12_345, 1_000_000, 123_456_789} {
		body := sent(appendData(nil, n))
		if len(body) != 1024 {
			t.Errorf("the body of event %d has %d bytes", n, len(body))
		}
		var event struct{ Data struct{ N int } }
		if err := json.Unmarshal(body, &event); err != nil || event.Data.N != n {
			t.Errorf("event %d reads as %d, %v", n, event.Data.N, err)
		}
		got, checksum := parseBody(body)
		if got != n || checksum != sum(appendData(nil, n)) {
			t.Errorf("event %d is taken for %d", n, got)
		}
	}
}

func TestEventsWithNeighbouringNumbersHaveDifferentTexts(t *testing.T) {
	text := func(n int) []byte { _, text, _ := bytes.Cut(appendData(nil, n), []byte(`"text":`)); return text }
	if bytes.Equal(text(10), text(11)) {
		t.Error("the texts of 10 and 11 are the same")
	}
}

func TestABodyOfAnotherShapeHasNoNumber(t *testing.T) {
	const head = `{"type":"bench.event","timestamp":"2026-01-31T15:04:05.123456Z"`
	if n, _ := parseBody([]byte(head + `,"data":{"n":5,"text":""}}`)); n != 5 {
		t.Fatalf("a body of the right shape has the number %d", n)
	}
	for _, body := range []string{
		"", "{}", head, head + `,"data":`, head + `,"data":{}}`, head + `,"data":{"n":"5"}}`, head + `,"data":{"n":-5,"text":""}}`,
		head + `,"data":{"n":5,"text":""`, // cut short
		`{"type":"bench.dead","timestamp":"2026-01-31T15:04:05Z","data":{"n":5,"text":""}}`, // of another type
		`{"type":"bench.event","data":{"n":5,"text":""}}`,                                   // without a time
	} {
		if n, _ := parseBody([]byte(body)); n != -1 {
			t.Errorf("%q has the number %d", body, n)
		}
	}
}

func TestACheckSumNoticesOneChangedByte(t *testing.T) {
	body := sent(appendData(nil, 5))
	_, before := parseBody(body)
	body[len(body)-10] ^= 1
	if _, after := parseBody(body); after == before {
		t.Error("the checksum is the same")
	}
}
