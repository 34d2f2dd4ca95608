package cli

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grapevine-hq/grapevine/client"
)

func showSubscription(e *env, sub client.Subscription) {
	s := newSheet(e.out)
	s.field("id", sub.ID)
	s.field("endpoint", sub.URL)
	s.painted("status", subscriptionState(sub))
	s.painted("health", health(sub.Health))
	s.field("types", strings.Join(sub.EventTypes, ", "))
	s.field("dialect", sub.Dialect)
	if sub.Filter != nil {
		s.field("filter", filterText(*sub.Filter))
	}
	s.field("description", sub.Description)
	s.field("headers", strings.Join(slices.Sorted(maps.Keys(sub.Headers)), ", "))
	showCredentials(s, sub)
	s.field("schedule", schedule(sub.Policy))
	if sub.Policy.Timeout != 0 {
		s.field("timeout", span(seconds(sub.Policy.Timeout)))
	}
	if sub.Policy.MaxInFlight != 0 {
		s.field("max in flight", strconv.Itoa(sub.Policy.MaxInFlight))
	}
	if sub.Policy.Rate != 0 {
		s.field("rate", strconv.FormatFloat(sub.Policy.Rate, 'g', -1, 64)+" a second")
	}
	if sub.Policy.NativeRules {
		s.field("rules", "native")
	}
	if sub.Policy.Ordered {
		s.field("order", "one at a time, by event")
	}
	if off := sub.Policy.AutoDisable; off != nil && !*off {
		s.field("auto-disable", "no")
	}
	if off := sub.Policy.HealthWarnings; off != nil && !*off {
		s.field("warnings", "no")
	}
	s.field("public keys", strings.Join(sub.PublicKeys, " "))
	s.field("created", when(sub.CreatedAt))
	s.field("updated", when(sub.UpdatedAt))
}

// seconds is a number of seconds as a duration.
func seconds(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// schedule shows a schedule, and nothing for the dialect's.
func schedule(p client.Policy) string {
	if p.Schedule == nil {
		return ""
	}
	if len(p.Schedule) == 0 {
		return "one attempt only"
	}
	waits := make([]string, len(p.Schedule))
	for i, wait := range p.Schedule {
		waits[i] = span(seconds(wait))
	}
	return strings.Join(waits, ", ")
}

// health says how an endpoint fares, and why.
func health(h client.Health) cell {
	if h.State != client.Failing && h.Failures == 0 {
		return cell{string(h.State), green}
	}
	text := fmt.Sprintf("%s, %d failed since %s", h.State, h.Failures, when(h.Since))
	if h.ErrorClass != "" {
		text += ", last: " + h.ErrorClass
	}
	if !h.PausedUntil.IsZero() {
		text += ", waits until " + when(h.PausedUntil)
	}
	if h.State == client.Failing {
		return cell{text, red}
	}
	return cell{text, plain}
}

func subscriptionState(sub client.Subscription) cell {
	if sub.Status == client.Enabled && sub.Health.State == client.Failing {
		return cell{"failing", red}
	}
	if sub.Status == client.Enabled {
		return cell{string(sub.Status), green}
	}
	text := string(sub.Status)
	if sub.Reason != "" {
		text += " (" + sub.Reason + ")"
	}
	return cell{text, red}
}
