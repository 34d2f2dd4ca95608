package db

import (
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/grapevine-hq/grapevine/internal/id"
)

// mostKeys is how many keys one statement asks for. The sizes of lists are its
// fourths, so that there are few texts: 1, 4, 16, 64 and 256.
const mostKeys = 256

// In yields what a statement writes behind IN to find the rows of many keys, such as
// ($2, $3, $4, $5), and the arguments of the statement: those that are given, which
// are $1 and so on, and the keys. Of many keys there are several statements; each key
// is in one of them, however often it is given. The rows have no order.
func In[K id.ID | string](keys []K, given ...any) iter.Seq2[string, []any] {
	seen := make(map[K]bool, len(keys))
	once := slices.DeleteFunc(slices.Clone(keys), func(key K) bool {
		again := seen[key]
		seen[key] = true
		return again
	})
	return func(yield func(string, []any) bool) {
		for part := range slices.Chunk(once, mostKeys) {
			size := 1
			for size < len(part) {
				size *= 4
			}
			args := slices.Grow(slices.Clone(given), size)
			for i := range size {
				args = append(args, part[min(i, len(part)-1)]) // the last one fills the list up
			}
			if !yield(placeholders(len(given)+1, size), args) {
				return
			}
		}
	}
}

// placeholders lists as many as there are keys.
func placeholders(first, n int) string {
	var list strings.Builder
	for i := range n {
		list.WriteString(", $" + strconv.Itoa(first+i))
	}
	return "(" + list.String()[2:] + ")"
}
