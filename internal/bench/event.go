package bench

import (
	"bytes"
	"hash/crc32"
	"strconv"
	"strings"
)

// The types of the events that are published. Subscriptions of the load's own
// endpoints take the first one.
const (
	eventType = "bench.event"
	deadType  = "bench.dead"
)

// dataBytes is how long the data of every event is, so that the body that
// Grapevine makes of it has 1 KiB, or a few bytes less where the microseconds of
// its timestamp end in zeros.
const dataBytes = 1024 - len(`{"type":"bench.event","timestamp":"2026-01-31T15:04:05.123456Z","data":}`)

// filler is what texts are cut from, at an offset that depends on the number.
var filler = strings.Repeat("the quick brown fox jumps over the lazy dog, twice; ", 40)

// offsets is how many different texts there are. It is prime to the length of
// the words above.
const offsets = 997

// appendData appends the data of the event with the number n. The same number
// always gives the same bytes.
func appendData(b []byte, n int) []byte {
	start := len(b)
	b = append(b, `{"n":`...)
	b = strconv.AppendInt(b, int64(n), 10)
	b = append(b, `,"text":"`...)
	from := n % offsets
	b = append(b, filler[from:from+dataBytes-(len(b)-start)-len(`"}`)]...)
	return append(b, `"}`...)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sum is the checksum of an event's data.
func sum(data []byte) uint32 { return crc32.Checksum(data, castagnoli) }

// What stands in a body that Grapevine sends before the time and before the data.
var (
	beforeTime = []byte(`{"type":"` + eventType + `","timestamp":"`)
	beforeData = []byte(`","data":`)
)

// quote writes data as the inside of a JSON string.
func quote(data []byte) []byte { return bytes.ReplaceAll(data, []byte{'"'}, []byte(`\"`)) }

// unquoted returns the data that stands in some string of a body.
func unquoted(body []byte) ([]byte, bool) {
	start := bytes.Index(body, []byte(`{\"n\":`))
	if start < 0 {
		return nil, false
	}
	data, _, found := bytes.Cut(body[start:], []byte(`\"}`))
	return bytes.ReplaceAll(append(bytes.Clone(data), `\"}`...), []byte(`\"`), []byte{'"'}), found
}

// parseBody returns the number and the checksum of the data in a body that
// Grapevine has sent. The number is -1 where the body is not of that shape.
func parseBody(body []byte) (int, uint32) {
	envelope, found := bytes.CutPrefix(body, beforeTime)
	if !found {
		data, found := unquoted(body)
		if !found {
			return -1, 0
		}
		return parseData(data)
	}
	_, data, found := bytes.Cut(envelope, beforeData)
	if !found {
		return -1, 0
	}
	data, found = bytes.CutSuffix(data, []byte{'}'})
	if !found {
		return -1, 0
	}
	return parseData(data)
}

func parseData(data []byte) (int, uint32) {
	digits, found := bytes.CutPrefix(data, []byte(`{"n":`))
	if !found {
		return -1, 0
	}
	digits, _, _ = bytes.Cut(digits, []byte{','})
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 {
		return -1, 0
	}
	return n, sum(data)
}
