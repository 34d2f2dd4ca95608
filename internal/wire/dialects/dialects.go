// Package dialects is the registry of the wire dialects. Adding one is its
// package and a line in All.
package dialects

import (
	"slices"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/wire"
	"github.com/grapevine-hq/grapevine/internal/wire/partnerstack"
	"github.com/grapevine-hq/grapevine/internal/wire/referralloop"
	"github.com/grapevine-hq/grapevine/internal/wire/rehook"
	"github.com/grapevine-hq/grapevine/internal/wire/saasquatch"
	"github.com/grapevine-hq/grapevine/internal/wire/standard"
)

// All lists the dialects that Grapevine speaks, the default first.
var All = []wire.Dialect{
	standard.Dialect{},
	saasquatch.Dialect{},
	referralloop.Dialect{},
	rehook.Dialect{},
	partnerstack.Dialect{},
}

// Names lists the dialects' names for a sentence, with commas between.
func Names() string {
	names := make([]string, len(All))
	for i, d := range All {
		names[i] = d.Name()
	}
	return strings.Join(names, ", ")
}

// Get returns the dialect of that name.
func Get(name string) (wire.Dialect, bool) {
	i := slices.IndexFunc(All, func(d wire.Dialect) bool { return d.Name() == name })
	if i < 0 {
		return nil, false
	}
	return All[i], true
}
