package console

import (
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/tenant"
	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/dialects"
)

// dialectsOf returns the dialects that an application speaks, the default first.
func dialectsOf(t tenant.Tenant) []wire.Dialect {
	return slices.DeleteFunc(slices.Clone(dialects.All), func(d wire.Dialect) bool { return !t.Speaks(d.Name()) })
}

// catalogueOf returns the event types of a dialect that can be chosen. That of
// another product's tests is not one of them: it goes to the tested endpoint
// alone.
func catalogueOf(d wire.Dialect) []wire.EventType {
	if takesOwnTypes(d) {
		return d.Catalogue(nil)
	}
	test := d.TestEvent(wire.Endpoint{}).Type
	return slices.DeleteFunc(slices.Clone(d.Catalogue(nil)), func(t wire.EventType) bool { return t.Name == test })
}

// takesOwnTypes reports whether a dialect takes event types besides those of its
// catalogue.
func takesOwnTypes(d wire.Dialect) bool {
	_, err := d.Resolve("own-name")
	return err == nil
}

// family is the event types whose names begin with the same word.
type family struct {
	Name   string
	Events []eventChoice
}

// eventChoice is an event type that can be chosen.
type eventChoice struct {
	Name, Description string
	Chosen            bool
}

// otherEvents is the family of those that have none.
const otherEvents = "Other events"

// familiesOf groups a catalogue by the words before the first full stop, in the
// order of the catalogue. Types that would be alone come last, together.
func familiesOf(catalogue []wire.EventType, chosen map[string]bool) []family {
	counts := make(map[string]int)
	for _, t := range catalogue {
		counts[familyOf(t.Name)]++
	}
	var families []family
	other := family{Name: otherEvents}
	at := make(map[string]int)
	for _, t := range catalogue {
		choice := eventChoice{Name: t.Name, Description: t.Description, Chosen: chosen[t.Name]}
		name := familyOf(t.Name)
		if counts[name] == 1 {
			other.Events = append(other.Events, choice)
			continue
		}
		i, ok := at[name]
		if !ok {
			i = len(families)
			at[name] = i
			families = append(families, family{Name: capital(name)})
		}
		families[i].Events = append(families[i].Events, choice)
	}
	if len(other.Events) > 0 {
		if len(families) == 0 {
			other.Name = "Events of the dialect"
		}
		families = append(families, other)
	}
	return families
}

func familyOf(eventType string) string {
	name, _, _ := strings.Cut(eventType, ".")
	return name
}
