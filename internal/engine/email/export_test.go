package email

import (
	"maps"
	"slices"
)

// Lists returns the domains of both lists.
func Lists() ([]string, []string) {
	return slices.Sorted(maps.Keys(free)), slices.Sorted(maps.Keys(disposable))
}
