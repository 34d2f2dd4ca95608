package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// moment is a time in a flag: RFC 3339, the beginning of a day on the caller's
// clock, or how long ago it was.
type moment struct{ time.Time }

// UnmarshalText reads "2026-01-31T15:04:05Z", "2026-01-31" or "2h".
func (m *moment) UnmarshalText(text []byte) error {
	var err error
	m.Time, err = readTime(string(text), func(d time.Duration) time.Time { return time.Now().Add(-d) })
	return err
}

// deadline is a time in a flag: RFC 3339, the beginning of a day on the caller's
// clock, or how long it is until then.
type deadline struct{ time.Time }

// UnmarshalText reads "2026-01-31T15:04:05Z", "2026-01-31" or "90d".
func (d *deadline) UnmarshalText(text []byte) error {
	var err error
	d.Time, err = readTime(string(text), func(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Second) })
	return err
}

func readTime(text string, distance func(time.Duration) time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return t, nil
		}
	}
	if d, err := readDuration(text); err == nil && d >= 0 {
		return distance(d), nil
	}
	return time.Time{}, errors.New("must be a time such as 2026-01-31T15:04:05Z or 2026-01-31, or a distance such as 90s, 2h or 3d")
}

// readDuration reads a duration as Go writes it, or a number of days.
func readDuration(text string) (time.Duration, error) {
	days, isDays := strings.CutSuffix(text, "d")
	if !isDays {
		return time.ParseDuration(text)
	}
	const day = 24 * time.Hour
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || !(n >= -1e5 && n <= 1e5) { // nor NaN
		return 0, errors.New("must be a number of days, such as 3d")
	}
	return time.Duration(n * float64(day)), nil
}

// read returns what an argument stands for: @FILE a file, - the standard input,
// anything else itself.
func (e *env) read(argument string) ([]byte, error) {
	if argument == "-" {
		return io.ReadAll(e.in)
	}
	if file, ok := strings.CutPrefix(argument, "@"); ok {
		return os.ReadFile(file)
	}
	return []byte(argument), nil
}

// readJSON returns the JSON that an argument stands for.
func (e *env) readJSON(name, argument string) (json.RawMessage, error) {
	text, err := e.read(argument)
	if errors.Is(err, context.Canceled) {
		return nil, err
	}
	if err != nil {
		return nil, usagef("%s: %v", name, err)
	}
	if err := checkJSON(text); err != nil {
		return nil, usagef("%s: this is not JSON: %v\n%s", name, err, howToGiveJSON(argument))
	}
	return text, nil
}

// howToGiveJSON says it to somebody who has given something else.
func howToGiveJSON(argument string) string {
	if file, err := os.Stat(argument); err == nil && file.Mode().IsRegular() {
		return "There is a file of that name: give @" + argument + " to have it read"
	}
	return "Give JSON in quotes for the shell, as in '{\"amount\":4200}', a file as @FILE, or - for the standard input"
}

func checkJSON(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("it is empty")
	}
	var whole json.RawMessage
	return json.Unmarshal(text, &whole)
}

// decodeStrictly refuses what into does not have, so that a mistyped field is
// not lost.
func decodeStrictly(text []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON document")
	}
	return nil
}
