package condition

// Effort is what asking conditions may still cost, so that nobody's conditions and
// documents keep a processor busy for long. A unit is a step of a path, a value or
// an item that is compared, or sixteen bytes that are looked at: some ten
// nanoseconds. A nil Effort is without bounds.
type Effort struct{ left int }

const (
	effortOfComparison = 10
	bytesPerEffort     = 16
)

// NewEffort returns an effort of so many units.
func NewEffort(units int) *Effort { return &Effort{units} }

// Exhausted reports whether something was broken off, since it would have cost more
// than was left.
func (e *Effort) Exhausted() bool { return e != nil && e.left < 0 }

// spend takes units and reports whether there were enough.
func (e *Effort) spend(units int) bool {
	if e == nil {
		return true
	}
	if e.left >= 0 {
		e.left -= units
	}
	return e.left >= 0
}

// cost is what a comparison with what was found costs, but for the items of a list.
func (n *node) cost(found value) int {
	cost := effortOfComparison + len(n.path.steps)
	cost += len(n.wanted) * (1 + min(len(found.text), MaxText)/bytesPerEffort)
	if found.kind == Number || n.operator.searches { // reads all of it
		cost += len(found.text) / bytesPerEffort
	}
	return cost
}

// costOfItem is what it costs to compare an item of a list with a value.
func costOfItem(item, wanted value) int {
	switch {
	case item.kind == Number:
		return 2 + len(item.text)/bytesPerEffort
	case item.kind == Text && len(item.text) == len(wanted.text):
		return 1 + len(item.text)/bytesPerEffort
	default:
		return 1
	}
}
