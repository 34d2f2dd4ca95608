package referral

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/grapevine-hq/grapevine/internal/engine/attribution"
	"github.com/grapevine-hq/grapevine/internal/engine/fraud"
	"github.com/grapevine-hq/grapevine/internal/engine/person"
	"github.com/grapevine-hq/grapevine/internal/engine/reward"
	"github.com/grapevine-hq/grapevine/internal/engine/rule"
)

// The sentences of explanations.

func sprint(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// when writes a time as people read it, in a time zone; nil: UTC.
func when(at time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	return at.In(zone).Format("2 January 2006 at 15:04:05 MST")
}

func capital(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(r)) + text[n:]
}

// lower is for a sentence that goes on within another one.
func lower(text string) string {
	r, n := utf8.DecodeRuneInString(text)
	return string(unicode.ToLower(r)) + text[n:]
}

// amountOf is what a reward is worth.
func amountOf(r *reward.Reward) string {
	switch {
	case r.Kind == rule.Percent:
		return strings.TrimSuffix(sprint("%.2f", float64(r.Amount)/100), ".00") + " %"
	case r.Amount == 0:
		return "the kind " + string(r.Kind)
	default:
		return strings.TrimSpace(sprint("%d %s", r.Amount, r.Unit))
	}
}

func sentenceOfProgram(b *book, story *ProgramStory) string {
	var now string
	switch story.Status {
	case ProgramRuns:
		now = "The program runs."
	case ProgramIsDraft:
		now = "The program is a draft: nothing happens in it yet."
	case ProgramPaused:
		now = "The program is paused: nothing new begins in it."
	case ProgramEnded:
		now = "The program was ended."
	case ProgramWaits:
		now = "The program begins on " + when(b.StartsAt, b.Zone) + "."
	case ProgramIsOver:
		now = "The program's time was over on " + when(b.EndsAt, b.Zone) + "."
	}
	switch story.NotJoined {
	case ForUnreferable:
		return now + " The person is not in it, being marked as one who takes part in no program."
	case ForProgram:
		return now + " The person is not in it: nobody can join it now."
	case ForSilence:
		return now + " The person is not in it: nothing was said of them since it runs. The next report of them has them join."
	default:
		return now + " The person is in it since " + when(story.JoinedAt, b.Zone) + "."
	}
}

func sentenceOfReferral(b *book, story *ReferralStory, r *Referral) string {
	text := "The person referred " + person.Kind.Format(r.ReferredID)
	if story.Side == ReferredSide {
		text = "The person was referred by " + person.Kind.Format(r.ReferrerID)
	}
	text += " on " + when(r.StartedAt, b.Zone)
	if r.Code != "" {
		text += ", with the code " + r.Code
	}
	text += "."
	switch r.State {
	case IsStarted:
		return text + " The referral is not converted yet."
	case IsConverted:
		return text + " The referral was converted on " + when(r.ConvertedAt, b.Zone) + "."
	case IsEnded:
		return text + " The referral ended on " + when(r.EndedAt, b.Zone) + ": " + endWords(r.EndReason) + "."
	default:
		return text
	}
}

func endWords(reason string) string {
	switch reason {
	case EndedByHand:
		return "somebody ended it"
	case EndedByAccount:
		return "the referred person's account was cancelled"
	case EndedByBlock:
		return "the referred person was blocked"
	case EndedByDelete:
		return "the referred person was forgotten"
	default:
		return reason
	}
}

func touchWord(t Touch) string {
	switch t.Method {
	case attribution.ByCode:
		return "code " + t.Code
	case attribution.ByCookie:
		return "cookie of the code " + t.Code
	case attribution.ByLink:
		return "click on a link of the code " + t.Code
	case attribution.Manual:
		return "decision by hand"
	default:
		return "touch"
	}
}

func moderationOf(b *book, r *Referral) ModerationStory {
	m := ModerationStory{Referrer: r.Referrer, Referred: r.Referred, ByHand: r.ByHand, At: r.ModeratedAt, Signals: r.Signals}
	m.Sentence = sprint("The referrer's side is %s, the referred person's %s, decided %s on %s.", r.Referrer, r.Referred, decider(r), when(r.ModeratedAt, b.Zone))
	if names := signalNames(r); names != "" {
		m.Sentence += " It has signals of fraud: " + names + "."
	}
	return m
}

// decider says who decided about a referral.
func decider(r *Referral) string {
	if r.ByHand {
		return "by hand"
	}
	for _, s := range r.Signals {
		if s.Action == fraud.Hold || s.Action == fraud.Block {
			return "because of its signals (" + signalNames(r) + ")"
		}
	}
	return "by the program's settings"
}

func signalNames(r *Referral) string {
	names := make([]string, len(r.Signals))
	for i, s := range r.Signals {
		names[i] = string(s.Kind)
	}
	return strings.Join(names, ", ")
}

func span(a rule.Active, zone *time.Location) string {
	switch {
	case a.Until.IsZero():
		return "from " + when(a.From, zone) + " on"
	case a.From.IsZero():
		return "until " + when(a.Until, zone)
	default:
		return "from " + when(a.From, zone) + " until " + when(a.Until, zone)
	}
}

func limitWords(l *LimitStory, refused bool) string {
	what := sprint("%d rewards", l.Cap)
	switch {
	case l.Amounts:
		what = sprint("%d in all", l.Cap)
	case l.Cap == 1:
		what = "1 reward"
	}
	scope := map[rule.Scope]string{rule.PerPerson: " for each person", rule.PerProgram: " for the program", rule.PerTenant: " for all programs together"}[l.Per]
	window := " in " + l.Window
	switch l.Window {
	case "ever":
		window = ""
	case "day", "week", "month", "year":
		window = " in a " + l.Window
	}
	text := sprint("The limit is %s%s%s, and %d of it is used", what, scope, window, l.Used)
	if !refused {
		return text + "."
	}
	switch {
	case !l.Reopens:
		return text + "; what this window refused is not given later."
	case l.Ahead == 0:
		return text + "; this is given if one that counts is taken back."
	case l.Ahead < 0:
		return text + "; if one that counts is taken back, more than a hundred others come first."
	default:
		return text + sprint("; if one that counts is taken back, %d others come first.", l.Ahead)
	}
}

func (sc *scene) untriggered(key string, types []string) string {
	who := "the person"
	if sc.referral != nil && sc.as == rule.Referrer {
		who = "the referred person"
	}
	return sprint("Nothing that the rule %s listens to (%s) was reported of %s.", key, strings.Join(types, ", "), who)
}

// wanted says what comparisons ask for, by their operators.
var wanted = map[string]string{
	"eq": "must be %s", "ne": "must not be %s", "gt": "must be more than %s", "gte": "must be %s or more", "lt": "must be less than %s",
	"lte": "must be %s or less", "between": "must be between %s", "in": "must be one of %s", "contains": "must contain %s",
	"starts": "must begin with %s", "ends": "must end with %s",
}

// unmet says why a condition does not hold: the parts that decide it.
func unmet(x rule.Explanation) string {
	switch x.Operator {
	case "all", "any":
		var parts []string
		for _, part := range x.Parts {
			if !part.Holds {
				parts = append(parts, unmet(part))
			}
		}
		if x.Operator == "any" {
			return "none of these holds: " + strings.Join(parts, "; ")
		}
		return strings.Join(parts, "; ")
	case "not":
		return "what must not hold does (" + held(x.Parts[0]) + ")"
	case "member_of":
		return "the person is not in the segment " + x.Left
	case "exists":
		return "there is no " + x.Left
	}
	found := x.Left + " is " + string(x.Found)
	if len(x.Found) == 0 {
		found = x.Left + ": " + x.Note
		if x.Note == "" {
			found = x.Left + " is something else"
		}
	}
	if form, ok := wanted[x.Operator]; ok {
		return found + ", and " + sprint(form, x.Wanted)
	}
	return found
}

// held says what holds.
func held(x rule.Explanation) string {
	switch {
	case x.Operator == "not":
		return unmet(x.Parts[0])
	case len(x.Parts) > 0:
		var parts []string
		for _, part := range x.Parts {
			if part.Holds {
				parts = append(parts, held(part))
			}
		}
		return strings.Join(parts, "; ")
	case x.Operator == "exists", x.Operator == "member_of":
		return x.Operator + " " + x.Left
	default:
		return x.Left + " is " + string(x.Found)
	}
}
