package console

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/webhook"
	"github.com/grapevine-hq/grapevine/internal/wire"
)

// shownStatuses are the states of deliveries, as they are shown, once each.
var shownStatuses = []webhook.Status{webhook.Pending, webhook.Delivered, webhook.Failed, webhook.Held, webhook.Cancelled}

// reasons says in words why an attempt or a delivery ended as it did, and why a
// webhook is disabled.
var reasons = map[string]string{
	string(wire.ReasonOK):             "accepted",
	string(wire.ReasonUnexpected):     "a success, but not the one that the dialect asks for",
	string(wire.ReasonRedirect):       "it redirects elsewhere, which is not followed",
	string(wire.ReasonClientError):    "the endpoint refused it",
	string(wire.ReasonServerError):    "the endpoint has an error",
	string(wire.ReasonUnavailable):    "the endpoint is not available",
	string(wire.ReasonThrottled):      "the endpoint asks to wait",
	string(wire.ReasonGone):           "the endpoint is gone and wants nothing more",
	"blocked":                         "the address is not one that webhooks may be sent to",
	"canceled":                        "it was broken off here",
	"dns":                             "the host name could not be looked up",
	"tls":                             "no encrypted connection that can be trusted came about",
	"timeout":                         "the endpoint took too long",
	"connect":                         "no connection came about, or it broke before the answer was whole",
	"protocol":                        "the answer is not HTTP, or out of bounds",
	"configuration":                   "the webhook's configuration can't be applied",
	webhook.ReasonUngranted:           "there is no access token to send it with",
	webhook.ReasonHandshake:           "the endpoint has not confirmed the webhook",
	"internal":                        "something went wrong here",
	webhook.ReasonManual:              "somebody disabled it",
	webhook.ReasonSubscriptionDeleted: "the webhook was deleted",
	webhook.ReasonBodyExpunged:        "the event's body was removed",
	webhook.ReasonDisabled:            "the webhook was disabled",
	webhook.ReasonExpired:             "the event's body is no longer kept",
	webhook.ReasonFailing:             "the endpoint took nothing for five days",
	string(webhook.FailedInRow):       "ten attempts in a row failed",
	string(webhook.DeliveryFailed):    "a delivery used up its attempts",
}

// reasonsOfDeliveries are those that a delivery can have, but for the one of
// success, in the order in which they can be chosen.
var reasonsOfDeliveries = []string{
	"timeout", "connect", "dns", "tls", "protocol", string(wire.ReasonServerError), string(wire.ReasonClientError),
	string(wire.ReasonUnavailable), string(wire.ReasonThrottled), string(wire.ReasonRedirect), string(wire.ReasonUnexpected),
	string(wire.ReasonGone), "blocked", "configuration", webhook.ReasonUngranted, webhook.ReasonHandshake, "canceled", "internal",
	webhook.ReasonDisabled, webhook.ReasonSubscriptionDeleted, webhook.ReasonBodyExpunged, webhook.ReasonExpired,
}

// reasonWords says a reason in words; one that is not known here as it is.
func reasonWords(reason any) string {
	text := fmt.Sprint(reason)
	if words, ok := reasons[text]; ok {
		return words
	}
	return visible(text)
}

// when shows a time to the second.
func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2 Jan 2006, 15:04:05") + " UTC"
}

// shortly shows a time in a list, whose head says that it is UTC.
func shortly(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// spell shows a duration as a person would say it.
func spell(d time.Duration) string {
	day := 24 * time.Hour
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Millisecond:
		return fmt.Sprintf("%d µs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return parts(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 2*day:
		return parts(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	default:
		return parts(int(d/day), "d", int(d.Hours())%24, "h")
	}
}

// spellWhole shows a duration that somebody chose: below ten seconds with no
// fraction that is none, and no less than there is.
func spellWhole(d time.Duration) string {
	if time.Second <= d && d < 10*time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s"
	}
	return spell(d)
}

// waitsNamed is how many waits of a schedule are named one by one.
const waitsNamed = 10

// scheduleWords says when the attempts of a delivery are made.
func scheduleWords(s wire.Schedule) string {
	waits := make([]string, len(s.Delays))
	var whole time.Duration
	for i, delay := range s.Delays {
		waits[i] = strings.ReplaceAll(spellWhole(delay), " ", "\u00a0") // no line ends in it
		whole += delay
	}
	attempts := plural(len(waits)+1, "attempt")
	jitter := ""
	if s.Jitter > 0 {
		jitter = fmt.Sprintf(", each ±%.0f %%", s.Jitter*100)
	}
	switch {
	case len(waits) == 0:
		return "1 attempt, and no other"
	case len(slices.Compact(slices.Clone(s.Delays))) == 1:
		return attempts + ", " + waits[0] + " apart" + jitter
	case len(waits) > waitsNamed:
		return attempts + " within " + spellWhole(whole) + jitter
	default:
		return attempts + ", after waits of " + strings.Join(waits, ", ") + jitter
	}
}

// parts shows a number of units, and of smaller ones unless there are none.
func parts(n int, unit string, rest int, smaller string) string {
	text := fmt.Sprintf("%d %s", n, unit)
	if rest > 0 {
		text += fmt.Sprintf(" %d %s", rest, smaller)
	}
	return text
}

// plural counts things: "1 event", "2 events".
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// grouped shows a number with its thousands apart: 12,345.
func grouped(n int64) string {
	text := strconv.FormatInt(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// counted counts things of which there may be many.
func counted(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return grouped(n) + " " + thing + "s"
}

// timeLayouts are the forms in which a time can be typed. The first one is what
// browsers send.
var timeLayouts = []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339}

// readTime reads a time as it is typed, in UTC unless it says otherwise. Nothing
// typed is the zero time.
func readTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, errNoTime
}

var errNoTime = errors.New("must be a time from 1970 on, such as 2026-01-31T15:04")

// typedTime shows a time as browsers send it.
func typedTime(t time.Time) string { return t.UTC().Format(timeLayouts[0] + ".999") }

// isTime reports whether a text is one that a field for times can hold. What else
// was typed is kept in a field for texts.
func isTime(text string) bool {
	_, err := readTime(text)
	return err == nil
}

// typed shows what was typed as a time: as browsers send it, if it is one.
func typed(text string) string {
	t, err := readTime(text)
	if err != nil || text == "" {
		return text
	}
	return typedTime(t)
}

// capital begins a text with a capital letter.
func capital(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	if size == 0 {
		return text
	}
	return string(unicode.ToUpper(first)) + text[size:]
}

// sentence makes a sentence of what a refusal says.
func sentence(text string) string {
	text = capital(text)
	if text != "" && !strings.HasSuffix(text, ".") {
		text += "."
	}
	return text
}

// visible returns what came from outside as text in which nothing hides: what is
// not UTF-8 is replaced, and characters that show nothing, or change the order
// of those around them, are named.
func visible(text any) string {
	var s string
	switch text := text.(type) {
	case string:
		s = text
	case []byte:
		s = string(text)
	default:
		s = fmt.Sprint(text)
	}
	s = strings.ToValidUTF8(s, string(utf8.RuneError))
	if !strings.ContainsFunc(s, hidden) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if hidden(r) {
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// hidden reports whether a character shows nothing of itself. The joiners, which
// scripts and emoji need, do not count.
func hidden(r rune) bool {
	switch r {
	case '\n', '\t', '\u200c', '\u200d':
		return false
	case '\r', '\u2028', '\u2029':
		return true
	}
	return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r)
}
